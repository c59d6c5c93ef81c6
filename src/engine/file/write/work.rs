//! What the writer is asked to do, and its answer.

use std::sync::Arc;

use super::slot::{Gate, Slot};
use crate::engine::commit::{Commit, Outcome};
use crate::engine::durability::Durability;
use crate::engine::sidecar::SidecarWrites;
use crate::error::Result;

/// What a job asks for.
#[derive(Debug)]
pub(crate) enum Work {
    Commit(Commit),
    /// Moves the tail into the tables.
    Flush,
}

#[derive(Debug, Clone)]
pub(crate) enum Done {
    Committed(Outcome),
    Flushed,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) slot: Arc<Slot<Result<Done>>>,
    /// Where a blocked thread waits for it; `None` for a future.
    pub(crate) gate: Option<Arc<Gate>>,
}

impl Job {
    fn commit(&self) -> Option<&Commit> {
        match &self.work {
            Work::Commit(commit) => Some(commit),
            Work::Flush => None,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.commit().map_or(0, Commit::bytes)
    }

    /// Whether it records events, and nothing else.
    pub(crate) fn is_append(&self) -> bool {
        matches!(self.commit(), Some(Commit::Append(prepared)) if !prepared.records.changes())
    }

    /// The records that it writes, with or without events.
    pub(crate) fn records(&self) -> Option<&SidecarWrites> {
        self.commit().and_then(Commit::records)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.commit().map_or(Durability::Durable, Commit::durability)
    }
}

/// Answers every job of a group, then wakes the threads that are blocked on it.
pub(crate) fn answer_all(group: Vec<Job>, mut answer: impl FnMut(usize) -> Result<Done>) {
    let mut gates: Vec<Arc<Gate>> = Vec::new();
    for (i, job) in group.into_iter().enumerate() {
        job.slot.answer(answer(i));
        // Neighbours share a gate. A group has one, or two when an earlier group was cut short.
        if let Some(gate) = job.gate
            && gates.last().is_none_or(|last| !Arc::ptr_eq(last, &gate))
        {
            gates.push(gate);
        }
    }
    gates.iter().for_each(|gate| gate.open());
}
