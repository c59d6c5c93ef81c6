//! The number of events, by type, source and place, and their rate.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::annotations::Annotations;
use super::chart::Chart;
use super::roles::clip;
use super::{OTHERS, stamp};
use crate::error::{Error, Result};
use crate::event::{Event, Filter, SessionId, Timestamp};
use crate::limits::{RATE_WINDOW_SECONDS, STATS_NAMES};
use crate::project::{ApplyError, Projection, Scope};
use crate::store::{Query, Store};

/// Counts the events of a session over all its branches, each once; or those of the whole store.
///
/// ```
/// use retold::agents::projections::Stats;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let (one, all) = (store.project(Stats::of_sessions())?, store.project(Stats::of_the_store())?);
/// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("tool.invoked")])?;
/// store.append("run-8", NewEvent::new("run.started"))?;
/// assert_eq!(one.state("run-7")?.events, 2);
/// assert_eq!(all.state_of(Stats::STORE)?.types["run.started"], 2);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    scope: Scope,
}

/// What [`Stats`] knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Figures {
    /// All events.
    pub events: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// The number of events of each type. Types beyond [`STATS_NAMES`] are counted together under `(others)`.
    pub types: BTreeMap<String, u64>,
    /// The number of events from each source, if one is named; likewise.
    pub sources: BTreeMap<String, u64>,
    /// The number of events in each branch, for a session, or in each session, for the store; likewise.
    pub places: BTreeMap<String, u64>,
    /// When the first happened. Labels of sessions and notes on them do not count here, for `newest`, `last`, the rate or the
    /// chart.
    #[serde(default, with = "stamp::maybe", skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// When the newest happened.
    #[serde(default, with = "stamp::maybe", skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// The event that was recorded last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// Events per minute at the time of the newest; [`Figures::per_minute`] gives it for other times.
    pub per_minute: f64,
    /// The number of events over the whole time, for a chart.
    pub chart: Chart,
    /// Seconds and their counts, for the window.
    window: VecDeque<(i64, u64)>,
}

/// The event that was recorded last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Last {
    /// Its address.
    pub at: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    #[serde(with = "stamp")]
    pub time: Timestamp,
}

impl Stats {
    /// The key of the figures of the whole store.
    pub const STORE: &'static str = "store";

    /// One state per session.
    #[must_use]
    pub fn of_sessions() -> Self {
        Self { scope: Scope::Session }
    }

    /// One state for the whole store.
    #[must_use]
    pub fn of_the_store() -> Self {
        Self { scope: Scope::Key }
    }
}

impl Projection for Stats {
    type State = Figures;

    fn name(&self) -> &str {
        if self.scope == Scope::Key { "store_stats" } else { "stats" }
    }

    fn version(&self) -> u32 {
        2
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn key(&self, _: &Event) -> Option<String> {
        Some(Self::STORE.to_owned())
    }

    fn apply(&self, figures: &mut Figures, event: &Event) -> Result<(), ApplyError> {
        let place = match self.scope {
            Scope::Key => event.session().as_str(),
            _ => event.branch().as_str(),
        };
        figures.take(event, place);
        Ok(())
    }
}

const SECOND: i64 = 1_000_000;

impl Figures {
    /// Whether the session with these figures has an event of a source. They name so many sources, and count the others
    /// together: for one of those the events are looked through.
    ///
    /// # Errors
    /// As [`Store::events`]. A session that was deleted meanwhile has none.
    pub fn has_source(&self, store: &Store, session: &SessionId, source: &str) -> Result<bool> {
        let is_named = self.sources.contains_key(source);
        if source != OTHERS && (is_named || !self.sources.contains_key(OTHERS)) {
            return Ok(is_named);
        }
        let query = Query::session(session.clone())?.filter(Filter::new().source(source)).limit(1);
        match store.events(query)?.next().transpose() {
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(false),
            // It is there, though it cannot be brought to its newest shape.
            Err(Error::Upcast { .. }) => Ok(true),
            found => Ok(found?.is_some()),
        }
    }

    fn take(&mut self, event: &Event, place: &str) {
        let time = event.occurred();
        self.events += 1;
        self.bytes += event.payload().len() as u64;
        count(&mut self.types, event.kind());
        count(&mut self.places, place);
        if let Some(source) = event.source() {
            count(&mut self.sources, source);
        }
        // Somebody wrote about the session; nothing happened in it.
        if Annotations::has_type(event.kind()) {
            return;
        }
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        self.last = Some(Last { at: event.address().to_string(), kind: event.kind().to_owned(), time });
        let second = time.micros().div_euclid(SECOND);
        self.chart.add(second);
        self.slide(second);
        self.per_minute = self.newest.map_or(0.0, |newest| self.per_minute(newest));
    }

    /// Counts an event in its second, and drops the seconds that no window reaches any more.
    fn slide(&mut self, second: i64) {
        let at = self.window.partition_point(|(s, _)| *s < second);
        match self.window.get_mut(at) {
            Some((s, n)) if *s == second => *n += 1,
            _ => self.window.insert(at, (second, 1)),
        }
        let newest = self.window.back().map_or(second, |(s, _)| *s);
        while self.window.front().is_some_and(|(s, _)| *s <= newest - RATE_WINDOW_SECONDS) {
            self.window.pop_front();
        }
    }

    /// Events per minute over the last [`RATE_WINDOW_SECONDS`] before a moment.
    ///
    /// Events are counted by whole seconds. The window is the second of the moment, as far as it has passed, and the
    /// 59 before it; the count is divided by the time that has passed in it. If the first event is younger than the
    /// window, that time is what has passed since then, and at least one second: twenty events in twenty seconds are
    /// sixty a minute, not twenty. Meant for moments at or after the newest event: older windows are not kept.
    #[must_use]
    pub fn per_minute(&self, now: Timestamp) -> f64 {
        let Some(first) = self.first else { return 0.0 };
        let second = now.micros().div_euclid(SECOND);
        let from = second.saturating_sub(RATE_WINDOW_SECONDS - 1);
        let inside = self.window.iter().filter(|(s, _)| (from..=second).contains(s));
        let events: u64 = inside.map(|(_, n)| n).sum();
        let begin = Timestamp::from_micros(from.saturating_mul(SECOND)).max(first);
        let passed = stamp::between(begin, now).max(SECOND as u64);
        events as f64 * 60.0 * SECOND as f64 / passed as f64
    }
}

/// Counts one more; names beyond the bound are counted together.
pub(super) fn count(all: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(n) = all.get_mut(name) {
        *n += 1;
        return;
    }
    let name = if all.len() < STATS_NAMES { clip(name.to_owned()) } else { super::OTHERS.to_owned() };
    *all.entry(name).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, folded, recorded};
    use super::*;
    use crate::event::NewEvent;
    use serde_json::json;

    fn every(step_ms: i64, count: i64) -> Vec<NewEvent> {
        let time = |n: i64| Timestamp::from_micros(1_000_000_000_000 + n * step_ms * 1_000);
        (0..count).map(|n| NewEvent::new("a.b").occurred(time(n))).collect()
    }

    fn after(figures: &Figures, seconds: i64) -> Timestamp {
        Timestamp::from_micros(figures.newest.unwrap().micros() + seconds * SECOND)
    }

    #[test]
    fn a_steady_stream_has_its_rate_from_the_first_seconds_to_the_last() {
        for (step_ms, count, least, most) in [
            (1_000, 21, 60.0, 64.0),
            (1_000, 600, 60.0, 61.1),
            (250, 40, 240.0, 250.0),
            (250, 5_000, 239.0, 244.0),
        ] {
            let figures = folded(Stats::of_sessions(), every(step_ms, count));
            assert!(
                (least..=most).contains(&figures.per_minute),
                "{step_ms} {count}: {}",
                figures.per_minute
            );
        }
    }

    #[test]
    fn the_window_slides_over_silence_to_nothing() {
        let figures = folded(Stats::of_sessions(), every(1_000, 300));
        let rates: Vec<f64> = [0, 15, 30, 45, 59, 60].map(|s| figures.per_minute(after(&figures, s))).into();
        for (rate, wanted) in rates.iter().zip([60.0, 45.0, 30.0, 15.0, 1.0, 0.0]) {
            assert!((rate - wanted).abs() <= 1.5, "{rates:?}");
        }
        assert_eq!(rates.last(), Some(&0.0));
        assert_eq!(figures.per_minute(after(&figures, 1_000_000_000)), 0.0);
    }

    #[test]
    fn one_event_is_no_infinite_rate() {
        assert_eq!(folded(Stats::of_sessions(), every(1, 1)).per_minute, 60.0);
        assert_eq!(Figures::default().per_minute(Timestamp::from_micros(0)), 0.0);
    }

    #[test]
    fn times_in_any_order_and_beyond_all_years_are_taken() {
        let times = [5, 3, 4, 70, 3, -62_135_596_800, 253_402_000_000];
        let figures = folded(Stats::of_sessions(), times.map(|s| at(s, "a.b", json!(null))).into());
        assert_eq!((figures.events, figures.chart.counts.iter().sum::<u64>()), (7, 7));
        assert_eq!(figures.last.unwrap().at, "s/main@7");
    }

    #[test]
    fn a_note_is_counted_and_moves_neither_the_newest_event_nor_the_rate() {
        let mut events = every(1_000, 30);
        let before = folded(Stats::of_sessions(), events.clone());
        events.push(at(9_000_000_000, "session.noted", json!({"text": "look"})));
        let after = folded(Stats::of_sessions(), events);
        assert_eq!((after.events, after.types["session.noted"]), (31, 1));
        let of = |f: &Figures| (f.first, f.newest, f.last.clone(), f.per_minute, f.chart.clone());
        assert_eq!(of(&after), of(&before));
    }

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let (stats, mut figures) = (Stats::of_the_store(), Figures::default());
        for n in 0..1_000 {
            let event = NewEvent::new("a.b").source("test");
            stats.apply(&mut figures, &recorded(&format!("s-{n}@1"), &event)).unwrap();
        }
        assert_eq!(
            (figures.places.len(), figures.places[super::super::OTHERS]),
            (STATS_NAMES + 1, 1_000 - STATS_NAMES as u64)
        );
        assert_eq!((figures.types["a.b"], figures.sources["test"]), (1_000, 1_000));
    }
}
