//! A timeline of the entities of a session and their phases.

use std::collections::HashMap;

use crate::event::{Catalogue, Event, Phase, Timestamp};
use crate::limits::MAX_TIMELINE_ROWS;

/// The entities of a branch and their phases over time, folded by the roles of its events.
///
/// ```
/// use retold::event::Phase;
/// use retold::project::Timeline;
/// use retold::{Catalogue, NewEvent, Query, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("run.failed")])?;
/// let mut timeline = Timeline::new(Catalogue::builtin().clone());
/// for event in store.events(Query::branch("run-7")?)? {
///     timeline.take(&event?);
/// }
/// let [run] = timeline.entities() else { panic!() };
/// assert_eq!((run.kind.as_str(), run.end()), ("run", Some(Phase::Failed)));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    catalogue: Catalogue,
    entities: Vec<Lasting>,
    by_name: HashMap<(String, String), usize>,
    warnings: Vec<Warning>,
    range: Option<(Timestamp, Timestamp)>,
    events: u64,
    left_out: u64,
}

/// An entity and its phases.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lasting {
    /// Its kind.
    pub kind: String,
    /// Its id; empty for the unnamed one.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its phases in the order of their events. A final phase has no duration.
    pub spans: Vec<PhaseSpan>,
}

/// A phase of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseSpan {
    /// The phase.
    pub phase: Phase,
    /// Its start.
    pub from: Timestamp,
    /// Its end; for a phase that has not ended, the last event.
    pub to: Timestamp,
}

/// An event with an alert role.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Its type.
    pub kind: String,
    /// When it occurred.
    pub at: Timestamp,
}

impl Lasting {
    /// The phase in which it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<Phase> {
        self.spans.last().map(|s| s.phase).filter(|p| p.is_final())
    }

    /// When it first appeared.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.spans.first().map(|s| s.from).unwrap_or_default()
    }

    /// When it ended.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        self.spans.last().map(|s| s.to).unwrap_or_default()
    }

    /// How long it lasted, in microseconds.
    #[must_use]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.to().micros().saturating_sub(self.from().micros())).unwrap_or_default()
    }

    /// The outcome of one of its phases: the next final phase, if there is one.
    #[must_use]
    pub fn outcome(&self, span: usize) -> Option<Phase> {
        self.spans.iter().skip(span).map(|s| s.phase).find(|p| p.is_final())
    }
}

impl Timeline {
    /// An empty timeline. The catalogue says what events mean.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue,
            entities: Vec::new(),
            by_name: HashMap::new(),
            warnings: Vec::new(),
            range: None,
            events: 0,
            left_out: 0,
        }
    }

    /// Adds the next event.
    pub fn take(&mut self, event: &Event) {
        let at = event.occurred();
        self.events += 1;
        let (from, to) = self.range.unwrap_or((at, at));
        self.range = Some((from.min(at), to.max(at)));
        let Some(role) = self.catalogue.role(event.kind()) else { return };
        if (role.alert.is_some() || event.kind().starts_with("alert."))
            && self.warnings.len() < MAX_TIMELINE_ROWS
        {
            self.warnings.push(Warning { kind: event.kind().to_owned(), at });
        }
        let Some(entity) = role.entity.as_ref().filter(|_| role.has_phase()) else { return };
        let payload =
            if event.is_json() { event.json().unwrap_or_default() } else { serde_json::Value::Null };
        let Some(phase) = role.phase(&payload) else { return };
        let id = entity.id(&payload, event.correlation());
        let name = entity.name(&payload);
        let key = (entity.kind.clone(), id);
        let row = match self.by_name.get(&key) {
            Some(row) => *row,
            None if self.entities.len() >= MAX_TIMELINE_ROWS => {
                self.left_out += 1;
                return;
            }
            None => {
                let (kind, id) = key.clone();
                self.entities.push(Lasting { kind, id, name: None, spans: Vec::new() });
                self.by_name.insert(key, self.entities.len() - 1);
                self.entities.len() - 1
            }
        };
        if let Some(entity) = self.entities.get_mut(row) {
            entity.name = entity.name.take().or(name);
            entity.enter(phase, at);
        }
    }

    /// The entities, in order of appearance.
    #[must_use]
    pub fn entities(&self) -> &[Lasting] {
        &self.entities
    }

    /// The alerts, in order.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// When the first event occurred and when the last one; `None` without events.
    #[must_use]
    pub fn range(&self) -> Option<(Timestamp, Timestamp)> {
        self.range
    }

    /// The number of events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Events of entities beyond [`MAX_TIMELINE_ROWS`], which are omitted.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Extends what has not ended to the last event. Call this after adding it.
    pub fn close(&mut self) {
        let Some((_, to)) = self.range else { return };
        for span in self.entities.iter_mut().filter_map(|e| e.spans.last_mut()) {
            if !span.phase.is_final() {
                span.to = to;
            }
        }
    }
}

impl Lasting {
    fn enter(&mut self, phase: Phase, at: Timestamp) {
        let at = match self.spans.last_mut() {
            // Said again, or reached again while it lasts.
            Some(last) if last.phase == phase => {
                last.to = if phase.is_final() { last.to } else { at.max(last.to) };
                return;
            }
            Some(last) if !last.phase.is_final() => {
                // A clock that was set back makes a moment, never a span that ends before it begins.
                last.to = at.max(last.from);
                last.to
            }
            Some(last) => at.max(last.to),
            None => at,
        };
        self.spans.push(PhaseSpan { phase, from: at, to: at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::store::{Query, Store};
    use serde_json::json;

    fn of(steps: &[(i64, &'static str)]) -> Timeline {
        let store = Store::in_memory().unwrap();
        for (second, kind) in steps {
            let at = Timestamp::from_micros(second * 1_000_000);
            store.append("s", NewEvent::new(*kind).data(json!({"tool": "cargo"})).occurred(at)).unwrap();
        }
        let mut timeline = Timeline::new(Catalogue::builtin().clone());
        for event in store.events(Query::branch("s").unwrap()).unwrap() {
            timeline.take(&event.unwrap());
        }
        timeline.close();
        timeline
    }

    fn spans(entity: &Lasting) -> Vec<(Phase, i64, i64)> {
        let second = |t: Timestamp| t.micros() / 1_000_000;
        entity.spans.iter().map(|s| (s.phase, second(s.from), second(s.to))).collect()
    }

    #[test]
    fn phases_follow_each_other_and_what_is_open_lasts_until_the_end() {
        let timeline =
            of(&[(0, "run.started"), (1, "tool.invoked"), (4, "tool.errored"), (6, "tool.retried")]);
        let [run, tool] = timeline.entities() else { panic!("{timeline:?}") };
        assert_eq!(spans(run), [(Phase::Running, 0, 6)]);
        assert_eq!(spans(tool), [(Phase::Running, 1, 4), (Phase::Failed, 4, 4), (Phase::Running, 6, 6)]);
        assert_eq!((tool.outcome(0), tool.outcome(2), tool.end()), (Some(Phase::Failed), None, None));
        assert_eq!((run.end(), timeline.events()), (None, 4));
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_span_that_ends_before_it_begins() {
        let timeline =
            of(&[(10, "run.started"), (4, "run.paused"), (5, "run.resumed"), (1, "run.completed")]);
        let [run] = timeline.entities() else { panic!("{timeline:?}") };
        assert!(run.spans.iter().all(|s| s.from <= s.to), "{run:?}");
        assert_eq!(run.end(), Some(Phase::Completed));
    }
}
