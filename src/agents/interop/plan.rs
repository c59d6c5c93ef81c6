//! What an import would append, decided from the file alone, before any store is read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::event::{BranchName, EventId, NewEvent, Place, SessionId};

use super::format::Format;
use super::layout::Layout;

/// What a file holds, as steps for a store.
///
/// The steps are in the order of the file, and every branch but `main` is forked before it is written to. Whoever
/// executes them looks up each event's id first: an id that is recorded with the same payload is a duplicate; with
/// another payload the event is appended under [`variant`](super::variant) of the two. The ids of a file that has
/// grown begin with those it had before; its branches may have other names, so an event goes to the branch where the
/// store has those before it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The format that was read.
    pub format: Format,
    /// What to do, in order.
    pub steps: Vec<PlanStep>,
    /// The branch of each session that was written last, for formats that tell: the one that people mean by the
    /// session.
    pub current: BTreeMap<SessionId, BranchName>,
    /// Records in the file, including broken and repeated ones.
    pub records: usize,
    /// Records that repeat an earlier one of this file byte for byte.
    pub duplicates: usize,
    /// Records that were skipped, and why.
    pub skipped: Vec<Skipped>,
    /// What else is worth knowing about the file.
    pub notes: Vec<String>,
    /// Events without a time: they have the time at which the file was read, and their metadata says so.
    pub timeless: usize,
    pub(crate) origin: Origins,
}

/// What is needed to restore the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// The file, as it was given.
    pub(crate) path: String,
    /// The session of records that name none.
    pub(crate) home: Option<SessionId>,
    /// The file or folder that this session belongs to.
    pub(crate) owner: Option<String>,
    pub(crate) layout: Layout,
    /// Whether the file goes on from what other files have.
    pub(crate) is_part: bool,
    /// The sessions whose files it is a fork of.
    pub(crate) parents: BTreeSet<String>,
    /// The file itself, if it is in memory.
    pub(crate) bytes: Option<Bytes>,
}

impl Plan {
    /// The number of events in all steps.
    #[must_use]
    pub fn events(&self) -> usize {
        self.steps
            .iter()
            .map(|s| if let PlanStep::Append { events, .. } = s { events.len() } else { 0 })
            .sum()
    }

    /// Every branch that the steps write to.
    #[must_use]
    pub fn places(&self) -> BTreeSet<&Place> {
        let place = |s| match s {
            &PlanStep::Fork { ref place, .. } | &PlanStep::Append { ref place, .. } => place,
        };
        self.steps.iter().map(place).collect()
    }
}

/// One step of a [`Plan`].
#[derive(Clone, Debug)]
pub enum PlanStep {
    /// A new branch.
    Fork {
        /// The branch.
        place: Place,
        /// The branch to fork.
        parent: Place,
        /// The last event to inherit; with `None` the branch begins empty.
        at: Option<EventId>,
    },
    /// Events to append to a branch.
    Append {
        /// The branch.
        place: Place,
        /// The events, oldest first.
        events: Vec<NewEvent>,
    },
}

/// A record that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The line of the file that it begins on, from 1.
    pub line: usize,
    /// The byte of the file that it begins with, from 1.
    pub byte: usize,
    /// What is wrong with it, as a clause: "is not JSON".
    pub reason: String,
}

impl Skipped {
    /// A record at this line and byte, both from 1, that was skipped for this reason.
    #[must_use]
    pub fn new(line: usize, byte: usize, reason: String) -> Self {
        Self { line, byte, reason }
    }
}
