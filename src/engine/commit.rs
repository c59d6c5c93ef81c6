//! What an engine is asked to write, checked and encoded by the caller, and the outcome.

use std::sync::Arc;

use super::branch::Branch;
use super::durability::Durability;
use super::life::BranchChange;
use super::receipt::Receipt;
use super::sidecar::SidecarWrites;
use crate::error::Result;
use crate::event::{Expect, Invalid, Place, Record, Sequence};
use crate::limits::{MAX_BATCH_EVENTS, MAX_BATCH_FORKS, MAX_GROUP_APPENDS, QUEUE_BYTES};

/// About what a change of a branch holds while it is queued.
const CHANGE_BYTES: usize = 256;
/// The same of a fork, besides its names …
const FORK_BYTES: usize = 256;
/// … and of each part of an append after the first, besides its events.
const PART_BYTES: usize = 128;

/// Branches in one frame of the journal that can be read again.
const FRAME_BRANCHES: usize = 1 << 20;
// Each part and each fork begins two at the most: it and `main`. A commit of more bytes than the queue holds is a group of its own.
const _: () = assert!(2 * (MAX_BATCH_EVENTS + MAX_BATCH_FORKS) <= FRAME_BRANCHES);
const _: () =
    assert!(2 * (MAX_GROUP_APPENDS + QUEUE_BYTES / PART_BYTES + QUEUE_BYTES / FORK_BYTES) <= FRAME_BRANCHES);

/// One write, which happens as a whole or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Commit {
    /// Events, and the records to be written atomically with them.
    Append(Prepared),
    /// A branch that shares the history of another.
    Fork {
        parent: Place,
        /// The last sequence to inherit; the parent's head when `None`.
        at: Option<Sequence>,
        place: Place,
    },
    /// Records without events.
    Records(SidecarWrites),
    /// What becomes of branches.
    Change(Vec<BranchChange>),
}

/// The result of a commit.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Appended(Receipt),
    Forked(Arc<Branch>),
    Written,
    /// The branches as they are now, in the order of the changes.
    Changed(Vec<Arc<Branch>>),
}

/// Appends to one or more branches.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) parts: Vec<PreparedPart>,
    /// Branches that begin in the same commit, in the order of [`PreparedFork::after`].
    pub(crate) forks: Vec<PreparedFork>,
    pub(crate) durability: Durability,
    pub(crate) bytes: usize,
    pub(crate) records: SidecarWrites,
}

#[derive(Clone, Debug)]
pub(crate) struct PreparedPart {
    pub(crate) place: Place,
    pub(crate) expect: Expect,
    /// The branch that is meant, where that was looked up: another may have its name by now, and gets nothing.
    pub(crate) branch: Option<u64>,
    pub(crate) records: Vec<Record>,
}

/// A branch that begins as a fork, so that what follows can append to it.
#[derive(Clone, Debug)]
pub(crate) struct PreparedFork {
    /// How many of the parts come before it.
    pub(crate) after: usize,
    pub(crate) parent: Place,
    /// The last sequence to inherit, which may be one that an earlier part appends.
    pub(crate) at: Sequence,
    pub(crate) place: Place,
}

impl PreparedFork {
    fn bytes(&self) -> usize {
        let name = |place: &Place| place.session.as_str().len() + place.branch.as_str().len();
        FORK_BYTES + name(&self.parent) + name(&self.place)
    }
}

/// Checks how many branches one append forks.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) when they are too many.
pub(crate) fn check_forks(forks: usize) -> Result<()> {
    if forks <= MAX_BATCH_FORKS {
        return Ok(());
    }
    let reason = format!("begins {forks} branches; the limit of one append is {MAX_BATCH_FORKS}");
    Err(Invalid::new("events", reason).into())
}

impl Commit {
    /// Bytes that it holds while it is queued.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(p) => {
                let parts = p.parts.len().saturating_sub(1) * PART_BYTES;
                p.bytes + parts + p.forks.iter().map(PreparedFork::bytes).sum::<usize>()
            }
            Self::Records(records) => records.bytes(),
            Self::Fork { .. } => 0,
            Self::Change(changes) => changes.len() * CHANGE_BYTES,
        }
    }

    /// The records that it writes, with or without events.
    pub(crate) fn records(&self) -> Option<&SidecarWrites> {
        match self {
            Self::Append(p) => Some(&p.records).filter(|records| !records.is_empty()),
            Self::Records(records) => Some(records),
            Self::Fork { .. } | Self::Change(_) => None,
        }
    }

    /// Whether it is made again by the store itself when the storage failed before it was written. An append is left to its
    /// caller, but for one that belongs to records: a consumer, say, waits for a storage that works.
    #[cfg(unix)]
    pub(crate) fn outlives_its_engine(&self) -> bool {
        match self {
            Self::Append(p) => p.records.changes(),
            Self::Fork { .. } | Self::Records(_) | Self::Change(_) => true,
        }
    }

    /// Records that have to be durable make the events beside them so: both are one entry of the journal.
    pub(crate) fn durability(&self) -> Durability {
        match self {
            Self::Append(p) if p.records.changes() && p.records.durability() == Durability::Durable => {
                Durability::Durable
            }
            Self::Append(p) => p.durability,
            Self::Records(records) => records.durability(),
            Self::Fork { .. } | Self::Change(_) => Durability::Durable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Address;

    #[test]
    fn forks_and_parts_have_bytes_of_their_own_in_the_queue() {
        let place = |a: &str| a.parse::<Address>().unwrap().place().clone();
        let append = |parts: usize, forks: usize| {
            let part =
                PreparedPart { place: place("s"), expect: Expect::Any, branch: None, records: Vec::new() };
            let (parent, at) = (place("s"), Sequence::ZERO);
            let fork = PreparedFork { after: 0, parent, at, place: place("s/b") };
            Commit::Append(Prepared {
                parts: vec![part; parts],
                forks: vec![fork; forks],
                durability: Durability::Durable,
                bytes: 7,
                records: SidecarWrites::new(),
            })
        };
        assert_eq!((append(1, 0).bytes(), append(3, 0).bytes()), (7, 7 + 2 * PART_BYTES));
        assert_eq!(append(1, 10).bytes(), 7 + 10 * (FORK_BYTES + "smainsb".len()));
    }
}
