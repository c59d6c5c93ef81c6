//! The number of events of each type in a branch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stats::count;
use crate::event::Event;
use crate::project::{ApplyError, Projection};

/// Counts the events of a branch by their type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts;

/// What [`Counts`] knows about a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counted {
    /// All events, including inherited ones.
    pub events: u64,
    /// The number of events of each type. Types beyond [`STATS_NAMES`](crate::limits::STATS_NAMES) are counted
    /// together under [`OTHERS`](super::OTHERS).
    pub types: BTreeMap<String, u64>,
}

impl Projection for Counts {
    type State = Counted;

    fn name(&self) -> &str {
        "counts"
    }

    fn apply(&self, counted: &mut Counted, event: &Event) -> Result<(), ApplyError> {
        counted.events += 1;
        count(&mut counted.types, event.kind());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::recorded;
    use super::super::{Counts, OTHERS};
    use super::*;
    use crate::event::NewEvent;
    use crate::limits::STATS_NAMES;

    #[test]
    fn no_writer_decides_how_large_a_state_is() {
        let mut counted = Counted::default();
        for n in 0..1_000 {
            Counts.apply(&mut counted, &recorded("s@1", &NewEvent::new(format!("a.b{n}")))).unwrap();
        }
        assert_eq!((counted.events, counted.types.len()), (1_000, STATS_NAMES + 1));
        assert_eq!(counted.types[OTHERS], 1_000 - STATS_NAMES as u64);
    }
}
