//! The journal's frames become the tail again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::branch::{Branch, Branches};
use super::read::settled_head;
use super::tables::IDS;
use super::tail::Tail;
use super::trouble::{Trouble, corrupt};
use crate::codec::{Frame, Meta, decode_record};
use crate::error::Result;
use crate::event::{Event, EventId, Position, Sequence, Timestamp};

/// What opening makes of the journal.
pub(super) struct Journal {
    pub(super) tail: Tail,
    pub(super) next_branch: u64,
}

/// Takes the frames of all commits that are not settled, holding each against what the tables and the frames before
/// it say.
pub(super) fn load_journal(
    txn: &ReadTransaction,
    meta: &Meta,
    frames: Vec<(u64, Bytes)>,
    branches: &Branches,
) -> Result<Journal> {
    let max_id = {
        let ids = txn.open_table(IDS).told()?;
        ids.last().told()?.map(|(id, _)| EventId::from_bytes(id.value()))
    };
    let mut journal =
        Journal { tail: Tail::new(meta.settled, max_id, meta.counts), next_branch: meta.next_branch };
    let mut heads: HashMap<u64, u64> = HashMap::new();
    for (commit, frame) in frames {
        let bad = |reason: String| corrupt(format!("commit {commit} of the journal"), reason);
        let frame = Frame::decode(&frame).map_err(|e| bad(e.to_string()))?;
        for birth in frame.births {
            if birth.number != journal.next_branch || birth.row.parent.is_some_and(|p| p >= birth.number) {
                return Err(bad(format!("branch number {} is out of turn", birth.number)));
            }
            journal.next_branch += 1;
            let parent = match birth.row.parent {
                Some(number) => Some(branches.by_number(number, &journal.tail, txn)?),
                None => None,
            };
            heads.insert(birth.number, birth.row.fork);
            let branch = Arc::new(Branch::new(birth.number, birth.row, parent.as_deref()));
            branches.keep(&branch);
            journal.tail.growing_mut().add_birth(branch);
        }
        if !frame.records.is_empty() && frame.first_position != journal.tail.committed() + 1 {
            return Err(bad(format!("it begins at position {}", frame.first_position)));
        }
        let mut records = frame.records.into_iter();
        for run in frame.runs {
            let branch = branches.by_number(run.branch, &journal.tail, txn)?;
            let head = match heads.get(&run.branch) {
                Some(head) => *head,
                None => settled_head(txn, run.branch)?.map_or(branch.fork, |row| row.head),
            };
            if run.first != head + 1 {
                return Err(bad(format!("{} continues at {} after {head}", branch.place, run.first)));
            }
            for (sequence, bytes) in (run.first..).zip(records.by_ref().take(run.count as usize)) {
                let record = decode_record(bytes).map_err(|e| bad(e.to_string()))?;
                let position = journal.tail.committed() + 1;
                let event = Event::new(
                    branch.place.clone(),
                    Sequence::new(sequence),
                    Position::new(position),
                    Timestamp::from_micros(frame.recorded),
                    record,
                );
                journal.tail.growing_mut().push(run.branch, event);
            }
            heads.insert(run.branch, head + u64::from(run.count));
        }
    }
    Ok(journal)
}
