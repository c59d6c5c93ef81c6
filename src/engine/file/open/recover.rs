//! Rebuilds the tail from the journal's frames.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use redb::ReadTransaction;

use crate::codec::{BranchRow, Frame, FrameRecord, Meta, decode_record};
use crate::engine::branch::Branch;
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::in_memory::tail::Tail;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::ids;
use crate::engine::file::tables::view::flushed_head;
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::{Event, EventId, Position, Sequence, Timestamp};

/// The journal as it was found on opening.
pub(crate) struct Journal {
    pub(crate) tail: Tail,
    pub(crate) next_branch: u64,
    /// Why the remaining frames are not in the tail.
    pub(crate) broken: Option<Error>,
}

/// No flushed event has a larger id; `None` when none is flushed. Only writers need it: it reads a chunk.
pub(crate) fn largest_id(txn: &ReadTransaction, branches: &Branches) -> Result<Option<EventId>> {
    let nothing = Tail::default();
    ids::largest(txn, |number| Ok(branches.by_number(number, &nothing, txn)?.place.clone()))
}

/// Takes the frames of all unflushed commits, each checked against the tables and the frames before it. Stops before
/// the first that does not fit; a writer then refuses the store.
pub(crate) fn load_journal(
    txn: &ReadTransaction,
    meta: &Meta,
    frames: Vec<(u64, Bytes)>,
    branches: &Branches,
) -> Result<Journal> {
    let tail = Tail::new(meta.flushed, meta.counts);
    let mut loading = Loading { txn, branches, tail, next_branch: meta.next_branch, heads: HashMap::new() };
    let broken = frames.into_iter().find_map(|(commit, frame)| loading.take(commit, &frame).err());
    Ok(Journal { tail: loading.tail, next_branch: loading.next_branch, broken })
}

struct Loading<'a> {
    txn: &'a ReadTransaction,
    branches: &'a Branches,
    tail: Tail,
    next_branch: u64,
    /// The last sequence of each branch seen so far.
    heads: HashMap<u64, u64>,
}

/// What one frame adds.
#[derive(Default)]
struct Added {
    births: Vec<Arc<Branch>>,
    /// Each with whether it is deleted by this.
    changes: Vec<(Arc<Branch>, bool)>,
    events: Vec<(u64, Event)>,
    heads: HashMap<u64, u64>,
    records: Vec<(SidecarTable, Bytes, Option<Bytes>)>,
}

impl Loading<'_> {
    /// Takes all of a frame, or nothing.
    fn take(&mut self, commit: u64, frame: &Bytes) -> Result<()> {
        let bad = |reason: String| corrupt(format!("commit {commit} of the journal"), reason);
        let frame = Frame::decode(frame).map_err(|e| bad(e.to_string()))?;
        let mut added = Added::default();
        for birth in frame.births {
            let due = self.next_branch + added.births.len() as u64;
            if birth.number != due || birth.row.parent.is_some_and(|p| p >= birth.number) {
                return Err(bad(format!("branch number {} is out of turn", birth.number)));
            }
            let parent = birth.row.parent.map(|number| self.branch(number, &added)).transpose()?;
            added.heads.insert(birth.number, birth.row.fork);
            added.births.push(Arc::new(Branch::new(birth.number, birth.row, parent.as_deref())));
        }
        for change in frame.changes {
            if change.number >= self.next_branch + added.births.len() as u64 {
                return Err(bad(format!("it changes branch number {}, which does not exist", change.number)));
            }
            let before = self.branch(change.number, &added)?;
            let (attributes, kept) = (change.row.attributes.clone(), before.attributes.clone());
            if (BranchRow { attributes: kept, ..change.row }) != before.row() {
                return Err(bad(format!("it makes another branch of {}", before.place)));
            }
            let deletes = before.deleted().is_none() && attributes.deleted.is_some();
            added.changes.push((Arc::new(before.with(attributes)), deletes));
        }
        if !frame.events.is_empty() && frame.first_position != self.tail.committed() + 1 {
            return Err(bad(format!("it begins at position {}", frame.first_position)));
        }
        let mut records = frame.events.into_iter();
        for run in frame.runs {
            let branch = self.branch(run.branch, &added)?;
            let head = self.head(&branch, &added)?;
            if run.first != head + 1 {
                return Err(bad(format!("{} continues at {} after {head}", branch.place, run.first)));
            }
            for (sequence, bytes) in (run.first..).zip(records.by_ref().take(run.count as usize)) {
                let record = decode_record(bytes).map_err(|e| bad(e.to_string()))?;
                let position = self.tail.committed() + 1 + added.events.len() as u64;
                let (sequence, position) = (Sequence::new(sequence), Position::new(position));
                let recorded = Timestamp::from_micros(frame.recorded);
                let event = Event::new(branch.place.clone(), sequence, position, recorded, record);
                added.events.push((run.branch, event));
            }
            added.heads.insert(run.branch, head + u64::from(run.count));
        }
        for FrameRecord { table, key, value } in frame.beside {
            let table = SidecarTable::numbered(table).ok_or_else(|| {
                bad(format!("it has a record of table number {table}, which does not exist"))
            })?;
            // Copied, so that a small record does not keep a large frame.
            let own = |bytes: Bytes| Bytes::copy_from_slice(&bytes);
            added.records.push((table, own(key), value.map(own)));
        }
        self.add(added);
        Ok(())
    }

    fn branch(&self, number: u64, added: &Added) -> Result<Arc<Branch>> {
        let place = number.checked_sub(self.next_branch).and_then(|n| usize::try_from(n).ok());
        match place.and_then(|place| added.births.get(place)) {
            Some(branch) => Ok(branch.clone()),
            None => self.branches.by_number(number, &self.tail, self.txn),
        }
    }

    fn head(&self, branch: &Branch, added: &Added) -> Result<u64> {
        match added.heads.get(&branch.number).or_else(|| self.heads.get(&branch.number)) {
            Some(head) => Ok(*head),
            None => Ok(flushed_head(self.txn, branch.number)?.map_or(branch.fork, |row| row.head)),
        }
    }

    fn add(&mut self, added: Added) {
        self.next_branch += added.births.len() as u64;
        let layer = self.tail.growing_mut();
        for branch in added.births {
            self.branches.keep(&branch);
            layer.add_birth(branch);
        }
        for (branch, deletes) in added.changes {
            self.branches.keep(&branch);
            layer.add_change(branch, deletes);
        }
        added.events.into_iter().for_each(|(branch, event)| layer.push(branch, event));
        let records = layer.records_mut();
        added.records.into_iter().for_each(|(table, key, value)| records.put(table, key, value));
        self.heads.extend(added.heads);
    }
}
