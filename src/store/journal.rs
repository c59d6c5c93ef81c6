//! The journal's rows become the tail again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::branch::{Branch, Branches};
use super::read::settled_head;
use super::tables::JOURNAL;
use super::tail::Tail;
use super::trouble::{Trouble, corrupt};
use crate::codec::{Frame, Meta, decode_record};
use crate::error::Result;
use crate::event::{Event, Position, Sequence, Timestamp};

pub(super) struct Journal {
    pub(super) tail: Tail,
    pub(super) next_branch: u64,
    pub(super) next_commit: u64,
}

/// Reads every frame, holding each against what the tables and the frames before it say.
pub(super) fn load_journal(txn: &ReadTransaction, meta: &Meta, branches: &Branches) -> Result<Journal> {
    let mut journal =
        Journal { tail: Tail::new(meta.settled, meta.counts), next_branch: meta.next_branch, next_commit: 1 };
    let mut heads: HashMap<u64, u64> = HashMap::new();
    let table = txn.open_table(JOURNAL).told()?;
    for row in table.iter().told()? {
        let (key, value) = row.told()?;
        let commit = key.value();
        let bad = |reason: String| corrupt(format!("commit {commit} of the journal"), reason);
        if commit != journal.next_commit {
            return Err(bad(format!("commit {} is missing before it", journal.next_commit)));
        }
        journal.next_commit += 1;
        let frame = Frame::decode(&Bytes::copy_from_slice(value.value())).map_err(|e| bad(e.to_string()))?;
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
            journal.tail.add_birth(branch);
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
                journal.tail.push(run.branch, event);
            }
            heads.insert(run.branch, head + u64::from(run.count));
        }
    }
    Ok(journal)
}
