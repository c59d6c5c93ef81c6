//! What is to be written, and its answer.

use std::sync::Arc;

use super::slot::{Gate, Slot};
use crate::error::Result;
use crate::event::{Place, Sequence};
use crate::store::append::batch::Prepared;
use crate::store::append::receipt::Receipt;
use crate::store::branch::Branch;
use crate::store::durability::Durability;
use crate::store::sidecar::SidecarWrites;

/// One thing to be written.
#[derive(Debug)]
pub(crate) enum Work {
    Append(Prepared),
    Fork {
        parent: Place,
        at: Option<Sequence>,
        place: Place,
    },
    /// Writes sidecar records alone.
    Sidecar(SidecarWrites),
    /// Moves the tail into the tables.
    Flush,
}

#[derive(Debug, Clone)]
pub(crate) enum Done {
    Appended(Receipt),
    Forked(Arc<Branch>),
    SidecarWritten,
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
    pub(crate) fn bytes(&self) -> usize {
        match &self.work {
            Work::Append(p) => p.bytes,
            Work::Sidecar(records) => records.bytes(),
            Work::Fork { .. } | Work::Flush => 0,
        }
    }

    /// The sidecar records that it writes, alone or with its events.
    pub(crate) fn records(&self) -> Option<&SidecarWrites> {
        match &self.work {
            Work::Append(p) => Some(&p.records).filter(|records| !records.is_empty()),
            Work::Sidecar(records) => Some(records),
            Work::Fork { .. } | Work::Flush => None,
        }
    }

    /// Whether it has sidecar records that must be written atomically with its events.
    pub(crate) fn binds_records_to_events(&self) -> bool {
        matches!(&self.work, Work::Append(p) if !p.records.is_empty())
    }

    pub(crate) fn durability(&self) -> Durability {
        match &self.work {
            Work::Append(p) => p.durability,
            Work::Sidecar(records) => records.durability(),
            Work::Fork { .. } | Work::Flush => Durability::Durable,
        }
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
