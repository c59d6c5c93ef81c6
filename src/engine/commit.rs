//! What is asked of an engine to write, checked and encoded by whoever asks, and what it answers.

use std::sync::Arc;

use super::branch::Branch;
use super::durability::Durability;
use super::receipt::Receipt;
use super::sidecar::SidecarWrites;
use crate::event::{Expect, Place, Record, Sequence};

/// One thing to be written, as a whole or not at all.
#[derive(Debug)]
pub(crate) enum Commit {
    /// Events, with the records that are to be there exactly when they are.
    Append(Prepared),
    /// A branch that shares the history of another.
    Fork {
        /// The other.
        parent: Place,
        /// Up to where; its head when it is not said.
        at: Option<Sequence>,
        /// The new branch.
        place: Place,
    },
    /// Records alone.
    Records(SidecarWrites),
}

/// What became of a commit.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Appended(Receipt),
    Forked(Arc<Branch>),
    Written,
}

/// Appends to one branch or more.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) parts: Vec<PreparedPart>,
    pub(crate) durability: Durability,
    pub(crate) bytes: usize,
    pub(crate) records: SidecarWrites,
}

#[derive(Debug)]
pub(crate) struct PreparedPart {
    pub(crate) place: Place,
    pub(crate) expect: Expect,
    pub(crate) records: Vec<Record>,
}

impl Commit {
    /// Bytes that it holds while it waits.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(p) => p.bytes,
            Self::Records(records) => records.bytes(),
            Self::Fork { .. } => 0,
        }
    }

    /// The records that it writes, by itself or with its events.
    pub(crate) fn records(&self) -> Option<&SidecarWrites> {
        match self {
            Self::Append(p) => Some(&p.records).filter(|records| !records.is_empty()),
            Self::Records(records) => Some(records),
            Self::Fork { .. } => None,
        }
    }

    pub(crate) fn durability(&self) -> Durability {
        match self {
            Self::Append(p) => p.durability,
            Self::Records(records) => records.durability(),
            Self::Fork { .. } => Durability::Durable,
        }
    }
}
