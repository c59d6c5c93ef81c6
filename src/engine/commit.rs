//! What an engine is asked to write, checked and encoded by the caller, and the outcome.

use std::sync::Arc;

use super::branch::Branch;
use super::durability::Durability;
use super::life::BranchChange;
use super::receipt::Receipt;
use super::sidecar::SidecarWrites;
use crate::event::{Expect, Place, Record, Sequence};

/// About what a change of a branch holds while it is queued.
const CHANGE_BYTES: usize = 256;

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

impl Commit {
    /// Bytes that it holds while it is queued.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(p) => p.bytes,
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
