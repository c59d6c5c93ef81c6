//! A plan as it is executed: its events need not be in memory.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::{NewEvent, Place};

use super::entries::{Entries, Entry, Item};
use super::plan::{Plan, PlanStep};
use super::spool::{Planned, Spool};

/// A plan whose steps are single entries.
pub(crate) struct Sketch {
    /// Everything but the steps.
    pub(crate) plan: Plan,
    pub(super) entries: Entries,
    pub(super) spool: Spool,
}

impl Sketch {
    /// The sketch of a plan that has its steps.
    pub(super) fn of(mut plan: Plan) -> io::Result<Self> {
        let (mut entries, mut spool) = (Entries::new(false), Spool::new(false));
        let entry = |place, item| Entry { order: 0, ordinal: 0, sequence: None, place, item };
        for step in std::mem::take(&mut plan.steps) {
            match step {
                PlanStep::Fork { place, parent, at } => {
                    let (place, parent) = (entries.number(&place), entries.number(&parent));
                    entries.push(entry(place, Item::Fork { parent, at }))?;
                }
                PlanStep::Append { place, events } => {
                    let place = entries.number(&place);
                    for event in events {
                        let planned = spool.put(event, None)?;
                        entries.push(entry(place, Item::Event(planned)))?;
                    }
                }
            }
        }
        Ok(Self { plan, entries, spool })
    }

    /// The plan with its steps, all in memory.
    pub(super) fn into_plan(self, read: &dyn Fn(Range<usize>) -> Bytes) -> io::Result<Plan> {
        let Self { mut plan, entries, spool } = self;
        for entry in entries.iter() {
            let entry = entry?;
            let place = entries.place(entry.place)?;
            let event = match entry.item {
                Item::Fork { parent, at } => {
                    let (place, parent) = (place.clone(), entries.place(parent)?.clone());
                    plan.steps.push(PlanStep::Fork { place, parent, at });
                    continue;
                }
                Item::Event(planned) => spool.event(&planned, read)?,
            };
            match plan.steps.last_mut() {
                Some(PlanStep::Append { place: last, events }) if last == place => events.push(event),
                _ => plan.steps.push(PlanStep::Append { place: place.clone(), events: vec![event] }),
            }
        }
        Ok(plan)
    }

    pub(crate) fn events(&self) -> usize {
        self.entries.events()
    }

    pub(crate) fn places(&self) -> BTreeSet<&Place> {
        self.entries.places()
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
        self.spool.event(planned, read).map_err(|e| lost(&e))
    }
}

/// The error for a temporary file that cannot be read or written.
pub(super) fn lost(e: &io::Error) -> Error {
    Error::storage(format!("a temporary file of the import failed: {e}"))
}
