//! Writing the tables of a new store row by row, from events and records that come from somewhere else: what a repair has
//! found, or a part of another store.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::filling::Filling;
use super::redb_errors::{corrupt, malformed};
use super::tables::db::Db;
use super::tables::definitions::{BRANCHES, HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::codec::{
    BranchRow, Chunk, Features, HeadRow, Meta, Run, StoreCounts, decode_record, encode_order,
};
use crate::engine::sidecar::SidecarTable;
use crate::error::Result;
use crate::limits::MAX_ORDER_RUNS;

/// Rows, and bytes of them, in one transaction.
const ROWS: usize = 100_000;
const BYTES: usize = 16 * 1_024 * 1_024;

/// An event with everything that the store adds to it.
pub(super) struct RebuiltEvent {
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) recorded: i64,
    pub(super) record: Bytes,
}

/// Branches come in the order of their numbers, events of a branch in theirs; records in any.
pub(super) struct Rebuild<'d> {
    db: &'d Db,
    lines: Vec<(u64, BranchRow)>,
    ids: Vec<([u8; 16], (u64, u64))>,
    filling: Filling,
    heads: BTreeMap<u64, HeadRow>,
    /// Branches that are deleted: their ids may belong to later events.
    deleted: BTreeSet<u64>,
    /// Something was deleted or truncated, or a branch changed otherwise.
    has_lifecycle: bool,
    has_expiry: bool,
    /// Where events are in the global order, in any order: position and run.
    order: Vec<(u64, Run)>,
    counts: StoreCounts,
    last_branch: u64,
}

impl<'d> Rebuild<'d> {
    pub(super) fn new(db: &'d Db) -> Self {
        Self {
            db,
            lines: Vec::new(),
            ids: Vec::new(),
            filling: Filling::default(),
            heads: BTreeMap::new(),
            deleted: BTreeSet::new(),
            has_lifecycle: false,
            has_expiry: false,
            order: Vec::new(),
            counts: StoreCounts::default(),
            last_branch: 0,
        }
    }

    pub(super) fn branch(&mut self, number: u64, row: BranchRow) -> Result<()> {
        self.has_lifecycle |= !row.attributes.is_empty();
        self.has_expiry |= row.attributes.may_expire() && row.attributes.deleted.is_none();
        match row.attributes.deleted {
            None => self.counts.add_branch(row.parent.is_some()),
            Some(_) => self.deletes(number),
        }
        self.last_branch = self.last_branch.max(number);
        self.lines.push((number, row));
        self.when_full()
    }

    /// Says that a branch is deleted, before its events are added.
    pub(super) fn deletes(&mut self, number: u64) {
        self.deleted.insert(number);
    }

    /// The head of a branch that has lost events at its end, or all of them.
    pub(super) fn head(&mut self, branch: u64, head: HeadRow) {
        let known = self.heads.entry(branch).or_insert(head);
        if known.head < head.head {
            *known = head;
        }
    }

    /// The id of an event that was truncated, which stays known.
    pub(super) fn id(&mut self, id: [u8; 16], branch: u64, sequence: u64) -> Result<()> {
        self.ids.push((id, (branch, sequence)));
        self.when_full()
    }

    /// Positions of which the events were removed.
    pub(super) fn removed(&mut self, mut position: u64, mut count: u64) {
        self.has_lifecycle |= count > 0;
        while count > 0 {
            let part = u32::try_from(count).unwrap_or(u32::MAX);
            self.order.push((position, Run::removed(part)));
            (position, count) = (position + u64::from(part), count - u64::from(part));
        }
    }

    /// Adds a chunk as it is.
    pub(super) fn chunk(&mut self, chunk: &Chunk, row: Vec<u8>) -> Result<()> {
        for (sequence, (position, recorded, record)) in (chunk.first()..).zip(chunk.entries()) {
            let event = RebuiltEvent { sequence, position, recorded, record };
            self.note(chunk.branch(), &event)?;
        }
        self.filling.chunk(chunk.branch(), chunk.last(), row);
        self.when_full()
    }

    pub(super) fn event(&mut self, branch: u64, event: RebuiltEvent) -> Result<()> {
        self.note(branch, &event)?;
        let RebuiltEvent { sequence, position, recorded, record } = event;
        self.filling.event(branch, sequence, (position, recorded, record));
        self.when_full()
    }

    pub(super) fn record(&mut self, table: SidecarTable, key: &[u8], value: &[u8]) -> Result<()> {
        self.filling.record(table, key, value);
        self.when_full()
    }

    fn note(&mut self, branch: u64, event: &RebuiltEvent) -> Result<()> {
        let RebuiltEvent { sequence, position, recorded, ref record } = *event;
        let record = decode_record(record.clone()).map_err(malformed(format!("position {position}")))?;
        self.counts.add_event(record.payload().len());
        self.ids.push((*record.id_bytes(), (branch, sequence)));
        let head = HeadRow { head: sequence, position, recorded };
        self.head(branch, head);
        match self.order.last_mut() {
            Some((first, run))
                if run.branch == branch
                    && run.first + u64::from(run.count) == sequence
                    && *first + u64::from(run.count) == position
                    && run.count < u32::MAX =>
            {
                run.count += 1;
            }
            _ => self.order.push((position, Run { branch, first: sequence, count: 1 })),
        }
        Ok(())
    }

    fn when_full(&mut self) -> Result<()> {
        let rows = self.lines.len() + self.ids.len() + self.filling.rows();
        if rows < ROWS && self.filling.bytes() < BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<()> {
        let txn = self.db.begin_write(|_| Ok(()))?;
        let (mut lines, mut names) = (txn.open(LINES)?, txn.open(BRANCHES)?);
        for (number, row) in self.lines.drain(..) {
            lines.insert(number, row.encode(number).as_slice())?;
            // A name leads to the last branch that had it.
            let name = (row.place.session.as_str(), row.place.branch.as_str());
            if names.get(name, |other| other)?.is_none_or(|other| other < number) {
                names.insert(name, number)?;
            }
        }
        drop((lines, names));
        self.ids.sort_unstable();
        let mut table = txn.open(IDS)?;
        for (id, place) in self.ids.drain(..) {
            if !self.deleted.contains(&place.0) || table.get(id, |_| ())?.is_none() {
                table.insert(id, place)?;
            }
        }
        drop(table);
        self.filling.write(&txn)?;
        txn.commit()
    }

    /// Writes the rest, and the meta row: that of the other store, but for what is counted here. Answers the last position.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) when a position is missing, or there twice.
    pub(super) fn finish(mut self, meta: Meta) -> Result<u64> {
        self.filling.end_chunk();
        self.write()?;
        let flushed = self.write_order()?;
        let txn = self.db.begin_write(|txn| {
            txn.set_quick_repair(true);
            Ok(())
        })?;
        let mut heads = txn.open(HEADS)?;
        for (branch, head) in &self.heads {
            heads.insert(*branch, head.encode(*branch).as_slice())?;
        }
        drop(heads);
        let mut meta = Meta {
            flushed,
            next_branch: self.last_branch + 1,
            journal: Meta::new([0; 16], 0).journal,
            counts: self.counts,
            tables: Vec::new(),
            format: crate::codec::FORMAT,
            ..meta
        };
        if self.has_lifecycle {
            meta.features.incompatible |= Features::LIFECYCLE;
        }
        if self.has_expiry {
            meta.features.compatible |= Features::EXPIRY;
        }
        self.filling.count(&txn, &mut meta)?;
        txn.open(META)?.insert(META_KEY, meta.encode().as_slice())?;
        txn.commit()?;
        Ok(flushed)
    }

    fn write_order(&mut self) -> Result<u64> {
        self.order.sort_unstable_by_key(|(position, _)| *position);
        let mut next = 1;
        let order = std::mem::take(&mut self.order);
        for rows in order.chunks(ROWS) {
            let txn = self.db.begin_write(|_| Ok(()))?;
            let mut table = txn.open(ORDER)?;
            for runs in rows.chunks(MAX_ORDER_RUNS / 2) {
                let Some((start, _)) = runs.first() else { continue };
                for (position, run) in runs {
                    if *position != next {
                        let reason = format!("position {position} follows where {next} was due");
                        return Err(corrupt("the global order", reason));
                    }
                    next += u64::from(run.count);
                }
                let runs: Vec<Run> = runs.iter().map(|(_, run)| *run).collect();
                table.insert(*start, encode_order(*start, &runs).as_slice())?;
            }
            drop(table);
            txn.commit()?;
        }
        Ok(next - 1)
    }
}
