//! What a repair has kept, and what was lost.

use std::fmt;
use std::path::PathBuf;

use super::problem::Problem;
use crate::event::{Place, Position, Sequence};

/// The type of the events that stand where events were lost.
pub const LOST_EVENT: &str = "store.event.lost";

/// A store that was put together from what is sound in a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// Its file.
    pub path: PathBuf,
    /// Its last position.
    pub position: Position,
    /// Bytes of the file.
    pub bytes: u64,
    /// Events that were kept.
    pub events: u64,
    /// Branches that were kept, with those that have another name now.
    pub branches: u64,
    /// Records beside the events that were kept: of consumers, timers, leases, projections and the like.
    pub records: u64,
    /// What is wrong with the damaged file, whether anything was lost by it or not.
    pub damage: Vec<Problem>,
    /// Everything that is not in the new store as it was in the old one.
    pub lost: Vec<Lost>,
}

/// Something that a repair could not keep as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// Events of a branch. In the place of each is one of type [`LOST_EVENT`], so that all others keep their addresses.
    Events {
        /// The branch, as it is called now.
        place: Place,
        /// The first of them.
        first: Sequence,
        /// The last of them.
        last: Sequence,
    },
    /// Events of which nobody knows to which branch they belonged: their positions are in this branch.
    Strays {
        /// A branch with an event of type [`LOST_EVENT`] for each of them.
        place: Place,
        /// How many there were.
        events: u64,
    },
    /// Events at the end of which nothing is left. Their positions are given out again.
    End {
        /// The position of the first of them.
        first: Position,
        /// The position of the last that is known.
        last: Position,
    },
    /// A branch whose row is lost.
    Branch {
        /// What is known of it.
        was: String,
        /// What its events are called now; `None` when it had none.
        now: Option<Place>,
        /// What became of it.
        why: String,
    },
    /// Rows of branches may be older ones: what was changed of these branches last is lost, if anything was.
    Changes {
        /// How many branches.
        branches: u64,
    },
    /// What leads to the tables. Whether there were consumers, timers, leases or other records beside the events, nobody knows.
    Tables,
    /// Records beside the events.
    Records {
        /// Their table: `consumers`, `timers`, `letters` for dead letters, and so on.
        table: &'static str,
        /// How many at the most: the journal may have had some of them again.
        rows: u64,
    },
    /// Commits that were acknowledged and of which nothing is left in the journal. What they recorded and how many events they
    /// had is not known, where other entries of this list do not say it.
    Commits {
        /// The number of the first.
        first: u64,
        /// The number of the last that is known.
        last: u64,
    },
    /// The row that says which store it is: the new one has another id, so cursors and tokens of the old one do not work in it.
    Identity,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events { place, first, last } if first == last => write!(f, "{place}@{first} is lost"),
            Self::Events { place, first, last } => write!(f, "{place}@{first} to {place}@{last} are lost"),
            Self::Strays { place, events: 1 } => {
                write!(f, "an event of an unknown branch is lost; {place} stands for it")
            }
            Self::Strays { place, events } => {
                write!(f, "{events} events of unknown branches are lost; {place} stands for them")
            }
            Self::End { first, last } => write!(f, "positions {first} to {last}, at the end, are lost"),
            Self::Branch { was, now: None, why } => write!(f, "{was} is lost: {why}"),
            Self::Branch { was, now: Some(now), why } => write!(f, "{was} is now {now}: {why}"),
            Self::Changes { branches: 1 } => f.write_str(
                "what was changed of a branch last is lost, if anything was: its row may be an older one",
            ),
            Self::Changes { branches } => write!(
                f,
                "what was changed of {branches} branches last is lost, if anything was: their rows may be older ones"
            ),
            Self::Tables => f.write_str(
                "what leads to the tables is lost: consumers, timers and other records may be missing",
            ),
            Self::Records { table, rows: 1 } => write!(f, "a record of table {table} is lost"),
            Self::Records { table, rows } => write!(f, "up to {rows} records of table {table} are lost"),
            Self::Commits { first, last } if first == last => {
                write!(f, "commit {first} of the journal is lost")
            }
            Self::Commits { first, last } => write!(f, "commits {first} to {last} of the journal are lost"),
            Self::Identity => f.write_str("the store's id is lost; the new store has another"),
        }
    }
}
