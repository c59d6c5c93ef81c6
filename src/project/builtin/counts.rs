//! How many events of each type a branch has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::fold::{ApplyError, Projection};
use crate::event::Event;

/// Counts the events of a branch by their type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts;

/// What [`Counts`] knows of a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counted {
    /// All events, inherited ones too.
    pub events: u64,
    /// How many there are of each type.
    pub types: BTreeMap<String, u64>,
}

impl Projection for Counts {
    type State = Counted;

    fn name(&self) -> &str {
        "counts"
    }

    fn apply(&self, counted: &mut Counted, event: &Event) -> Result<(), ApplyError> {
        counted.events += 1;
        match counted.types.get_mut(event.kind()) {
            Some(count) => *count += 1,
            None => drop(counted.types.insert(event.kind().to_owned(), 1)),
        }
        Ok(())
    }
}
