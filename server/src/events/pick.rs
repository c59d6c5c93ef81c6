//! Which events are wanted: the filters of the command line, plus types that are left out.

use std::collections::BTreeMap;

use retold::event::finding::{FilterText, any_of};
use retold::event::{Catalogue, Filter, parse_span};
use retold::{Error, Event, Timestamp};
use serde::Deserialize;

/// Filters as they are written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PickText {
    /// Types that match one of these globs.
    #[serde(rename = "type")]
    pub(super) kinds: Vec<String>,
    /// But none that matches one of these.
    pub(super) except: Vec<String>,
    /// Tests of the payload, all of which have to pass.
    #[serde(rename = "where")]
    pub(super) tests: Vec<String>,
    pub(super) source: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) correlation: Option<String>,
    /// At least this.
    pub(super) priority: Option<u8>,
    pub(super) meta: BTreeMap<String, String>,
    /// Times, or spans before now.
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
}

/// Filters that were understood.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    filter: Filter,
    except: Option<Filter>,
    began: Option<Timestamp>,
}

impl PickText {
    /// What is meant by them. Spans are before `now`, and that has to stay the same for as long as somebody reads on.
    pub(super) fn pick(&self, catalogue: &Catalogue, now: Timestamp) -> Result<Pick, Error> {
        let mut text = FilterText::default();
        text.kinds.clone_from(&self.kinds);
        text.tests.clone_from(&self.tests);
        text.source.clone_from(&self.source);
        text.actor.clone_from(&self.actor);
        text.correlation.clone_from(&self.correlation);
        text.since.clone_from(&self.since);
        text.until.clone_from(&self.until);
        text.priority = self.priority;
        text.meta.extend(self.meta.iter().map(|(key, value)| (key.clone(), value.clone())));
        text.now = Some(now);
        let filter = text.filter(catalogue)?;
        let except = match self.except.is_empty() {
            true => None,
            false => Some(any_of("except", &self.except, catalogue)?),
        };
        let mut times = [&self.since, &self.until].into_iter().flatten();
        let began = times.any(|text| parse_span(text).is_ok()).then_some(now);
        Ok(Pick { filter, except, began })
    }
}

impl Pick {
    /// What the store can look for by itself.
    pub(super) fn filter(&self) -> Filter {
        self.filter.clone()
    }

    /// Whether an event is wanted.
    pub(super) fn takes(&self, event: &Event) -> bool {
        !self.leaves_out(event.kind()) && self.filter.takes(event)
    }

    /// Whether a type is left out, though the filter may take it.
    pub(super) fn leaves_out(&self, kind: &str) -> bool {
        self.except.as_ref().is_some_and(|except| except.takes_kind(kind))
    }

    /// Whether it leaves out types: then the store's filter alone does not say what is wanted.
    pub(super) fn has_exceptions(&self) -> bool {
        self.except.is_some()
    }

    /// What its spans are before; nothing if it has none.
    pub(super) fn began(&self) -> Option<Timestamp> {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::{NewEvent, Store};

    fn taken(text: &PickText) -> Vec<String> {
        let store = Store::in_memory().unwrap();
        let events = ["tool.invoked", "tool.completed", "coder_started", "step.done"].map(NewEvent::new);
        store.append("s", events.to_vec()).unwrap();
        let pick = text.pick(store.catalogue(), Timestamp::now()).unwrap();
        let all = store.read(&retold::Query::all()).unwrap().events;
        all.iter().filter(|event| pick.takes(event)).map(|event| event.kind().to_owned()).collect()
    }

    #[test]
    fn what_is_left_out_is_so_under_each_of_its_names() {
        let of = |kinds: &[&str], except: &[&str]| {
            let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
            taken(&PickText { kinds: texts(kinds), except: texts(except), ..PickText::default() })
        };
        assert_eq!(of(&["tool.*"], &["tool.completed"]), ["tool.invoked"]);
        assert_eq!(of(&[], &["coder.*", "tool.*"]), ["step.done"]);
        assert_eq!(of(&["CoderStarted"], &[]), ["coder_started"]);
    }

    #[test]
    fn spans_are_before_a_time_that_is_kept() {
        let store = Store::in_memory().unwrap();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        store.append("s", [10, 20, 30].map(|n| NewEvent::new("a").occurred(at(n))).to_vec()).unwrap();
        let all = store.read(&retold::Query::all()).unwrap().events;
        let text = |since: &str, until: &str| PickText {
            since: Some(since.to_owned()),
            until: Some(until.to_owned()),
            ..PickText::default()
        };
        let taken = |text: &PickText, now| {
            let pick = text.pick(store.catalogue(), now).unwrap();
            all.iter().map(|event| pick.takes(event)).collect::<Vec<_>>()
        };
        assert_eq!(taken(&text("15s", "5s"), at(30)), [false, true, false]);
        assert_eq!(taken(&text("15s", "5s"), at(20)), [true, false, false]);
        let began =
            |since: &str, until: &str| text(since, until).pick(store.catalogue(), at(7)).unwrap().began();
        let time = "2026-02-03T04:05:06Z";
        assert_eq!(began(time, time), None);
        assert_eq!((began("1s", time), began(time, "1s")), (Some(at(7)), Some(at(7))));
    }

    #[test]
    fn what_is_no_filter_names_its_field() {
        let field = |text: &str| {
            let text: PickText = serde_json::from_str(text).unwrap();
            match text.pick(Catalogue::builtin(), Timestamp::now()).unwrap_err() {
                Error::Invalid(invalid) => invalid.field,
                other => panic!("{other}"),
            }
        };
        assert_eq!(field(r#"{"since":"yesterday"}"#), "since");
        assert_eq!(field(r#"{"except":["a..b"]}"#), "except");
        assert!(serde_json::from_str::<PickText>(r#"{"typo":1}"#).is_err());
    }
}
