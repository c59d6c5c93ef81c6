//! A store as of one moment: its tables, and what is only in its journal.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::contents::Contents;
use super::flush::into_tables::Flushed;
use super::in_memory::tail::Tail;
use super::open::meta_row::read_meta;
use super::open::old::uncounted;
use super::redb_errors::{corrupt, malformed};
use super::tables::db::Db;
use super::tables::definitions::{EVENTS, HEADS, IDS, LINES, ORDER};
use super::tables::lookup;
use super::tables::opened::Snapshot;
use super::tables::sidecar_view::table_of;
use super::tables::view::flushed_head;
use crate::codec::{BranchRow, Chunk, HeadRow, Meta, Run, decode_order, decode_sidecar_row};
use crate::engine::restored::KeptRecord;
use crate::engine::sidecar::SidecarTable;
use crate::error::Result;
use crate::sync::RwLockReadGuard;

/// An event as it is stored: position, time recorded, record.
pub(super) type StoredEvent = (u64, i64, Bytes);

pub(super) struct Moment<'a> {
    pub(super) txn: Snapshot,
    /// The last position.
    pub(super) committed: u64,
    /// `None` for a moment that ends with the tables.
    tail: Option<RwLockReadGuard<'a, Tail>>,
    nothing: Tail,
}

impl<'a> Moment<'a> {
    /// All that is committed, of a store that is only read.
    pub(super) fn whole(contents: &'a Contents, txn: Snapshot) -> Self {
        let tail = contents.own_tail();
        Self { txn, committed: tail.committed(), tail: Some(tail), nothing: Tail::default() }
    }

    /// What is in the tables.
    pub(super) fn of_tables(txn: Snapshot, flushed: u64) -> Self {
        Self { txn, committed: flushed, tail: None, nothing: Tail::default() }
    }

    /// What is in the tables now; of a store that is only read, also what is in its journal. And the meta row of all that, but
    /// for the rows of the journal, which it does not count.
    pub(super) fn now(contents: &'a Contents, db: &Db) -> Result<(Self, Meta)> {
        let txn = db.begin_read()?;
        let meta = read_meta(&txn, &contents.identity.name, None)?;
        if !contents.read_only() {
            return Ok((Self::of_tables(txn, meta.flushed), meta));
        }
        let now = Self::whole(contents, txn);
        let tail = now.tail();
        let counts = tail.counts().plus(uncounted(&now.txn, meta.format)?);
        let next_branch = meta.next_branch + tail.births().count() as u64;
        let meta = Meta { flushed: now.committed, counts, next_branch, ..meta };
        Ok((now, meta))
    }

    pub(super) fn tail(&self) -> &Tail {
        self.tail.as_deref().unwrap_or(&self.nothing)
    }

    /// What is only in the journal.
    pub(super) fn journal(&self) -> Flushed<'_> {
        let mut journal = Flushed::default();
        self.tail().layers().for_each(|layer| journal.add(layer));
        journal
    }

    /// The rows of all branches.
    pub(super) fn lines(&self) -> Result<BTreeMap<u64, BranchRow>> {
        let mut lines = BTreeMap::new();
        for row in lookup::rows(&lookup::open(&self.txn, LINES)?, 0..)? {
            let (number, row) = row?;
            let number = number.value();
            let place = || format!("branch number {number}");
            lines.insert(number, BranchRow::decode(number, row.value()).map_err(malformed(place()))?);
        }
        for layer in self.tail().layers() {
            let changed = layer.births().chain(layer.changes());
            lines.extend(changed.map(|branch| (branch.number, branch.row())));
        }
        Ok(lines)
    }

    /// Where branches end that have events of their own.
    pub(super) fn heads(&self) -> Result<BTreeMap<u64, HeadRow>> {
        let mut heads = BTreeMap::new();
        for row in lookup::rows(&lookup::open(&self.txn, HEADS)?, 0..)? {
            let (number, row) = row?;
            let number = number.value();
            let place = || format!("the head of branch number {number}");
            heads.insert(number, HeadRow::decode(number, row.value()).map_err(malformed(place()))?);
        }
        for event in self.tail().positions(1, u64::MAX) {
            let (head, position) = (event.event.sequence().get(), event.event.position().get());
            let recorded = event.event.recorded().micros();
            heads.insert(event.branch, HeadRow { head, position, recorded });
        }
        Ok(heads)
    }

    /// The flushed head of a branch.
    pub(super) fn flushed_head(&self, number: u64) -> Result<Option<HeadRow>> {
        flushed_head(&self.txn, number)
    }

    /// The event at this position, or the first after it that was not removed.
    pub(super) fn first_at(&self, position: u64) -> Result<Option<Run>> {
        let table = lookup::open(&self.txn, ORDER)?;
        let row = lookup::rows::<_, _, _, u64>(&table, ..=position)?.next_back().transpose()?;
        let first = row.map_or(position, |(key, _)| key.value());
        for row in lookup::rows::<_, _, _, u64>(&table, first..)? {
            let (key, row) = row?;
            if let Some(run) = runs_of(key.value(), row.value())?
                .find(|(at, run)| !run.is_removed() && at + u64::from(run.count) > position)
            {
                return Ok(Some(from(run, position)));
            }
        }
        let event = self.tail().positions(position, u64::MAX).next();
        Ok(event.map(|e| Run { branch: e.branch, first: e.event.sequence().get(), count: 1 }))
    }

    /// The event at this position, or the last before it that was not removed.
    pub(super) fn last_at(&self, position: u64) -> Result<Option<Run>> {
        if let Some(e) = self.tail().positions(1, position).next_back() {
            return Ok(Some(Run { branch: e.branch, first: e.event.sequence().get(), count: 1 }));
        }
        let table = lookup::open(&self.txn, ORDER)?;
        for row in lookup::rows::<_, _, _, u64>(&table, ..=position)?.rev() {
            let (key, row) = row?;
            let found =
                runs_of(key.value(), row.value())?.filter(|(at, run)| !run.is_removed() && *at <= position);
            if let Some((at, run)) = found.last() {
                let last = position.min(at + u64::from(run.count) - 1);
                return Ok(Some(from((at, run), last)));
            }
        }
        Ok(None)
    }

    /// The runs of the tables that have this position or come after it, each with its first position.
    pub(super) fn runs_from(
        &self,
        position: u64,
        mut each: impl FnMut(u64, Run) -> Result<()>,
    ) -> Result<()> {
        let table = lookup::open(&self.txn, ORDER)?;
        let row = lookup::rows::<_, _, _, u64>(&table, ..=position)?.next_back().transpose()?;
        let first = row.map_or(position, |(key, _)| key.value());
        for row in lookup::rows::<_, _, _, u64>(&table, first..)? {
            let (key, row) = row?;
            for (at, run) in runs_of(key.value(), row.value())? {
                if at + u64::from(run.count) > position {
                    each(at, run)?;
                }
            }
        }
        Ok(())
    }

    /// An event that was not removed.
    pub(super) fn event(&self, branch: u64, sequence: u64) -> Result<StoredEvent> {
        let place = || format!("branch number {branch}@{sequence}");
        if let Some(event) =
            self.tail().layers().flat_map(|layer| layer.between(branch, sequence, sequence)).next()
        {
            let record = event.record().encoded().clone();
            return Ok((event.position().get(), event.recorded().micros(), record));
        }
        let table = lookup::open(&self.txn, EVENTS)?;
        let row = lookup::rows(&table, (branch, sequence)..=(branch, u64::MAX))?.next().transpose()?;
        let (_, row) = row.ok_or_else(|| corrupt(place(), "it is missing"))?;
        let chunk = Chunk::decode(row.value()).map_err(malformed(place()))?;
        let entry = chunk.entry(sequence).filter(|_| chunk.branch() == branch);
        entry.ok_or_else(|| corrupt(place(), "it is missing"))
    }

    /// The first and the last event that a branch owns and that is there.
    pub(super) fn present(&self, number: u64) -> Result<Option<(u64, u64)>> {
        let table = lookup::open(&self.txn, EVENTS)?;
        let mut rows = lookup::rows(&table, (number, 0)..=(number, u64::MAX))?;
        let mut present: Option<(u64, u64)> = None;
        if let Some(row) = rows.next() {
            let (key, row) = row?;
            let chunk = Chunk::decode(row.value()).map_err(malformed(format!("branch number {number}")))?;
            let last = rows.next_back().transpose()?.map_or(key.value().1, |(key, _)| key.value().1);
            present = Some((chunk.first(), last));
        }
        for event in self.tail().layers().flat_map(|layer| layer.between(number, 1, u64::MAX)) {
            let sequence = event.sequence().get();
            present = Some((present.map_or(sequence, |(first, _)| first), sequence));
        }
        Ok(present)
    }

    /// The chunks of a branch that have this sequence or come after it, each with its row.
    pub(super) fn each_chunk(
        &self,
        branch: u64,
        from: u64,
        mut each: impl FnMut(&Chunk, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let table = lookup::open(&self.txn, EVENTS)?;
        for row in lookup::rows(&table, (branch, from)..=(branch, u64::MAX))? {
            let (key, row) = row?;
            let place = || format!("branch number {branch}@{}", key.value().1);
            let chunk = Chunk::decode(row.value()).map_err(malformed(place()))?;
            if (chunk.branch(), chunk.last()) != key.value() {
                return Err(corrupt(place(), "another chunk lies in its place"));
            }
            each(&chunk, row.value())?;
        }
        Ok(())
    }

    /// Every row of the index of ids: id, branch, sequence.
    pub(super) fn each_id(&self, mut each: impl FnMut([u8; 16], u64, u64) -> Result<()>) -> Result<()> {
        for row in lookup::rows::<_, _, _, &[u8; 16]>(&lookup::open(&self.txn, IDS)?, ..)? {
            let (id, row) = row?;
            let (branch, sequence) = row.value();
            each(id.value(), branch, sequence)?;
        }
        Ok(())
    }

    /// Every record of a table, in any order.
    pub(super) fn each_record(
        &self,
        table: SidecarTable,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut changes: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        for layer in self.tail().layers() {
            let of_table = layer.records().iter().filter(|(of, ..)| *of == table);
            changes.extend(of_table.map(|(_, key, value)| (key.as_ref(), value.map(Bytes::as_ref))));
        }
        if let Some(rows) = lookup::open_if_made(&self.txn, table_of(table))? {
            for row in lookup::rows::<_, _, _, &[u8]>(&rows, ..)? {
                let (key, row) = row?;
                if changes.contains_key(key.value()) {
                    continue;
                }
                let place = || format!("row {} of {}", key.value().escape_ascii(), table.name());
                let value = decode_sidecar_row(table.number(), key.value(), row.value());
                each(key.value(), value.map_err(malformed(place()))?)?;
            }
        }
        changes.into_iter().try_for_each(|(key, value)| value.map_or(Ok(()), |value| each(key, value)))
    }

    /// All records of a table, in the order of their keys.
    pub(super) fn records(&self, table: SidecarTable) -> Result<Vec<KeptRecord>> {
        let mut records = BTreeMap::new();
        self.each_record(table, |key, value| {
            records.insert(key.to_vec(), value.to_vec());
            Ok(())
        })?;
        Ok(records.into_iter().collect())
    }
}

/// The events of a chunk, each with its sequence.
pub(super) fn events_of(chunk: &Chunk) -> impl Iterator<Item = (u64, StoredEvent)> + '_ {
    (chunk.first()..).zip(chunk.entries())
}

/// The runs of a row, each with its first position.
pub(super) fn runs_of(key: u64, row: &[u8]) -> Result<impl Iterator<Item = (u64, Run)> + use<>> {
    let runs = decode_order(key, row).map_err(malformed(format!("position {key}")))?;
    Ok(runs.into_iter().scan(key, |at, run| {
        let begin = *at;
        *at += u64::from(run.count);
        Some((begin, run))
    }))
}

/// The event of a run at this position, or its first.
fn from((at, run): (u64, Run), position: u64) -> Run {
    Run { first: run.first + position.saturating_sub(at), count: 1, ..run }
}
