//! A plan as it is carried out: its events need not be in memory.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::{NewEvent, Place};

use super::live::{Entry, Item};
use super::plan::{Plan, Step};
use super::spool::{Planned, Spool};

/// A plan whose steps are single entries.
pub(crate) struct Sketch {
    /// All but the steps.
    pub(crate) plan: Plan,
    pub(crate) entries: Vec<Entry>,
    pub(super) spool: Option<Spool>,
}

impl Sketch {
    /// Of a plan with its steps.
    pub(super) fn of(mut plan: Plan) -> Self {
        let mut entries = Vec::new();
        for step in std::mem::take(&mut plan.steps) {
            match step {
                Step::Fork { place, parent, at } => {
                    entries.push(Entry { order: 0, place, item: Item::Fork { parent, at } });
                }
                Step::Append { place, events } => entries.extend(events.into_iter().map(|event| Entry {
                    order: 0,
                    place: place.clone(),
                    item: Item::Event(Planned::Whole(Box::new(event))),
                })),
            }
        }
        Self { plan, entries, spool: None }
    }

    /// The plan with its steps, all in memory.
    pub(super) fn into_plan(self, read: &dyn Fn(Range<usize>) -> Bytes) -> Result<Plan> {
        let Self { mut plan, entries, spool } = self;
        for entry in entries {
            let event = match entry.item {
                Item::Fork { parent, at } => {
                    plan.steps.push(Step::Fork { place: entry.place, parent, at });
                    continue;
                }
                Item::Event(planned) => event(spool.as_ref(), planned, read)?,
            };
            match plan.steps.last_mut() {
                Some(Step::Append { place, events }) if *place == entry.place => events.push(event),
                _ => plan.steps.push(Step::Append { place: entry.place, events: vec![event] }),
            }
        }
        Ok(plan)
    }

    /// Events in all steps.
    pub(crate) fn events(&self) -> usize {
        self.entries.iter().filter(|e| matches!(e.item, Item::Event(_))).count()
    }

    /// Every branch that the steps write to.
    pub(crate) fn places(&self) -> BTreeSet<&Place> {
        let mut places = BTreeSet::new();
        let mut last = None;
        for entry in &self.entries {
            if last != Some(&entry.place) {
                places.insert(&entry.place);
                last = Some(&entry.place);
            }
        }
        places
    }

    /// Whether some of its events are in a session that is named after the file.
    pub(crate) fn uses_home(&self) -> bool {
        let Some(home) = &self.plan.origin.home else { return false };
        self.places().iter().any(|place| {
            let rest = place.session.as_str().strip_prefix(home.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// One of its events.
    pub(super) fn event(&self, planned: &Planned, read: &dyn Fn(Range<usize>) -> Bytes) -> Result<NewEvent> {
        event(self.spool.as_ref(), planned.clone(), read)
    }
}

/// An event, from where it is.
pub(super) fn event(
    spool: Option<&Spool>,
    planned: Planned,
    read: &dyn Fn(Range<usize>) -> Bytes,
) -> Result<NewEvent> {
    match (planned, spool) {
        (Planned::Whole(event), _) => Ok(*event),
        (Planned::Spooled(spooled), Some(spool)) => spool.event(&spooled, read).map_err(|e| told(&e)),
        (Planned::Spooled(_), None) => Err(told(&io::Error::from(io::ErrorKind::NotFound))),
    }
}

fn told(e: &io::Error) -> Error {
    Error::storage(format!("a temporary file cannot be read: {e}"))
}
