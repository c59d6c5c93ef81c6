//! The state of a projection, as a client of a stream has it: whole once, then by what changes.

use std::fmt;

use serde_json::Value;

use super::record::{Operation, Record};
use crate::event::{Event, Invalid};
use crate::project::{AnyState, DynProjection, Scope, patch};

/// A projection that is folded along with a stream.
pub(super) struct State {
    projection: Box<dyn DynProjection>,
    state: AnyState,
    /// As it was told last; nothing yet.
    told: Option<Value>,
    /// Where it fails it stays as it is.
    is_parked: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("projection", &self.projection.name()).finish_non_exhaustive()
    }
}

impl State {
    /// Of a projection that has a state for each branch.
    pub(super) fn new(projection: Box<dyn DynProjection>) -> Result<Self, Invalid> {
        if projection.scope() != Scope::Branch {
            let reason =
                format!("{} has no state for each branch, which is what a stream is of", projection.name());
            return Err(Invalid::new("state", reason));
        }
        Ok(Self { state: projection.fresh(), projection, told: None, is_parked: false })
    }

    /// What an event changes, if it changes anything.
    pub(super) fn take(&mut self, event: &Event) -> Option<Record> {
        if self.is_parked || !self.projection.interests().takes(event) {
            return None;
        }
        if self.projection.apply(&mut self.state, event).is_err() {
            self.is_parked = true;
            return None;
        }
        let now = self.now()?;
        let record = match &self.told {
            None => Record::StateSnapshot { snapshot: now.clone() },
            Some(told) => {
                let delta: Vec<Operation> = serde_json::from_value(patch(told, &now)).ok()?;
                if delta.is_empty() {
                    return None;
                }
                Record::StateDelta { delta }
            }
        };
        self.told = Some(now);
        Some(record)
    }

    /// All of it.
    pub(super) fn snapshot(&self) -> Option<Record> {
        Some(Record::StateSnapshot { snapshot: self.told.clone().or_else(|| self.now())? })
    }

    fn now(&self) -> Option<Value> {
        serde_json::from_slice(&self.projection.encode(&self.state).ok()?).ok()
    }
}
