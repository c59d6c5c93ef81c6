//! What is to be written, and its answer.

use std::sync::Arc;

use super::slot::{Gate, Slot};
use crate::engine::commit::{Commit, Outcome};
use crate::engine::durability::Durability;
use crate::engine::sidecar::SidecarWrites;
use crate::error::Result;

/// One thing to be done by the writer.
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
    /// Where a thread is blocked for it; a future needs none.
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

    /// The records that it writes, by itself or with its events.
    pub(crate) fn records(&self) -> Option<&SidecarWrites> {
        self.commit().and_then(Commit::records)
    }

    /// Whether it has records that are to be there exactly when its events are.
    pub(crate) fn binds_records_to_events(&self) -> bool {
        matches!(self.commit(), Some(Commit::Append(p)) if !p.records.is_empty())
    }

    pub(crate) fn durability(&self) -> Durability {
        self.commit().map_or(Durability::Durable, Commit::durability)
    }
}

/// Answers every job of a group, then wakes those who are blocked for it.
pub(crate) fn answer_all(group: Vec<Job>, mut answer: impl FnMut(usize) -> Result<Done>) {
    let mut gates: Vec<Arc<Gate>> = Vec::new();
    for (i, job) in group.into_iter().enumerate() {
        job.slot.answer(answer(i));
        // A group is of one gate, or of two when an earlier one was cut: neighbours share it.
        if let Some(gate) = job.gate
            && gates.last().is_none_or(|last| !Arc::ptr_eq(last, &gate))
        {
            gates.push(gate);
        }
    }
    gates.iter().for_each(|gate| gate.open());
}
