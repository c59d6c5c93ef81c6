//! Flushing: events move from the journal into the tables, by branch in chunks, with heads, global order and ids; records
//! move into theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::TableHandle;
use tracing::debug_span;

use crate::codec::{BranchRow, Chunk, ChunkBuilder, Features, HeadRow, Meta, Run, encode_order};
use crate::engine::branch::Branch;
use crate::engine::file::in_memory::layer::Layer;
use crate::engine::file::record_layer::RecordLayer;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::db::{WriteTable, WriteTxn};
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::engine::file::tables::sidecar_view::write_sidecar;
use crate::error::{Error, Result};
use crate::event::{Event, EventId};
use crate::limits::{CHUNK_BODY_BYTES, CHUNK_BYTES, MAX_CHUNK_EVENTS, MAX_ORDER_RUNS, SMALL_CHUNK_EVENTS};

/// One event to flush, with the number of its branch.
pub(crate) struct ToFlush<'a> {
    pub(crate) branch: u64,
    pub(crate) event: &'a Event,
}

/// Everything that one flush writes.
#[derive(Default)]
pub(crate) struct Flushed<'a> {
    /// In global order, without gaps.
    pub(crate) items: Vec<ToFlush<'a>>,
    pub(crate) births: Vec<&'a Branch>,
    /// Branches of before whose attributes have changed, oldest change first.
    pub(crate) changes: Vec<&'a Branch>,
    /// Layers of records, oldest first.
    pub(crate) records: Vec<&'a RecordLayer>,
}

impl<'a> Flushed<'a> {
    /// Adds a layer of the tail.
    pub(crate) fn add(&mut self, layer: &'a Layer) {
        self.items.extend(layer.events().iter().map(|e| ToFlush { branch: e.branch, event: &e.event }));
        self.births.extend(layer.births().map(|b| &**b));
        self.changes.extend(layer.changes().map(|b| &**b));
        self.records.push(layer.records());
    }

    /// Whether a release that does not know what becomes of branches would get it wrong.
    fn has_lifecycle(&self) -> bool {
        !self.changes.is_empty() || self.births.iter().any(|branch| !branch.attributes.is_empty())
    }

    /// Whether a branch may go by itself.
    fn has_expiry(&self) -> bool {
        self.births.iter().chain(&self.changes).any(|branch| branch.attributes.may_expire())
    }
}

/// Writes it all, and the meta row that is true afterwards.
pub(crate) fn flush_into(txn: &WriteTxn, flushed: &Flushed<'_>, mut meta: Meta) -> Result<()> {
    let (events, births) = (flushed.items.len(), flushed.births.len());
    let _span = debug_span!("flush", events, births).entered();
    if flushed.has_lifecycle() {
        meta.features.incompatible |= Features::LIFECYCLE;
    }
    if flushed.has_expiry() {
        meta.features.compatible |= Features::EXPIRY;
    }
    let mut counts = write_births(txn, &flushed.births)?;
    write_changes(txn, &flushed.changes)?;
    if !flushed.items.is_empty() {
        counts.extend(write_branches(txn, &flushed.items)?);
        counts.push(write_ids(txn, &flushed.items)?);
        counts.push(write_order(txn, &flushed.items)?);
    }
    for layer in &flushed.records {
        let rows = layer.iter().map(|(table, key, value)| (table, key.as_ref(), value.map(Bytes::as_ref)));
        counts.extend(write_sidecar(txn, rows)?);
    }
    counts.into_iter().for_each(|(table, rows)| meta.set_rows_of(table, rows));
    txn.open(META)?.insert(META_KEY, meta.encode().as_slice())
}

/// The name of a table, and how many rows it has.
type RowCount = (&'static str, u64);

fn write_births(txn: &WriteTxn, births: &[&Branch]) -> Result<Vec<RowCount>> {
    if births.is_empty() {
        return Ok(Vec::new());
    }
    let (mut branches, mut lines) = (txn.open(BRANCHES)?, txn.open(LINES)?);
    for branch in births {
        let names = (branch.place.session.as_str(), branch.place.branch.as_str());
        branches.insert_in_order(names, branch.number)?;
        lines.insert(branch.number, branch.row().encode(branch.number).as_slice())?;
    }
    Ok(vec![(BRANCHES.name(), branches.len()?), (LINES.name(), lines.len()?)])
}

/// What a branch has become replaces its row.
fn write_changes(txn: &WriteTxn, changes: &[&Branch]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut lines = txn.open(LINES)?;
    for branch in changes {
        lines.insert(branch.number, branch.row().encode(branch.number).as_slice())?;
    }
    Ok(())
}

fn write_branches(txn: &WriteTxn, items: &[ToFlush<'_>]) -> Result<[RowCount; 2]> {
    let mut by_branch: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for item in items {
        by_branch.entry(item.branch).or_default().push(item.event);
    }
    let mut packing = Packing::default();
    let mut events = txn.open(EVENTS)?;
    let mut heads = txn.open(HEADS)?;
    for (branch, own) in by_branch {
        write_chunks(&mut events, &mut packing, branch, &own)?;
        if let Some(last) = own.last() {
            let head = HeadRow {
                head: last.sequence().get(),
                position: last.position().get(),
                recorded: last.recorded().micros(),
            };
            heads.insert(branch, head.encode(branch).as_slice())?;
        }
    }
    Ok([(EVENTS.name(), events.len()?), (HEADS.name(), heads.len()?)])
}

fn write_chunks(
    table: &mut WriteTable<'_, (u64, u64), &'static [u8]>,
    packing: &mut Packing,
    branch: u64,
    events: &[&Event],
) -> Result<()> {
    let Some(first) = events.first() else { return Ok(()) };
    let mut chunk = match reopen_small(table, branch, first.sequence().get())? {
        Some(chunk) => chunk,
        None => ChunkBuilder::new(branch, first.sequence().get()),
    };
    for event in events {
        let record = event.record().encoded();
        let size = chunk.size() + record.len();
        let full = packing.is_full(size) || chunk.count() >= MAX_CHUNK_EVENTS;
        if full && chunk.count() > 0 {
            let next = ChunkBuilder::new(branch, event.sequence().get());
            insert(table, packing, branch, std::mem::replace(&mut chunk, next))?;
        }
        chunk.push(event.position().get(), event.recorded().micros(), record.clone());
    }
    insert(table, packing, branch, chunk)
}

/// An estimate from earlier chunks of how well the next one compresses, in 256ths of its size.
pub(crate) struct Packing(usize);

impl Default for Packing {
    /// JSON usually compresses to half; the first chunk corrects the guess.
    fn default() -> Self {
        Self(128)
    }
}

impl Packing {
    pub(crate) fn is_full(&self, size: usize) -> bool {
        size > CHUNK_BODY_BYTES || size * self.0 / 256 > CHUNK_BYTES
    }

    fn learn(&mut self, size: usize, packed: usize) {
        let now = (packed * 256 / size.max(1)).clamp(1, 256);
        self.0 = (self.0 + now).div_ceil(2);
    }
}

fn insert(
    table: &mut WriteTable<'_, (u64, u64), &'static [u8]>,
    packing: &mut Packing,
    branch: u64,
    chunk: ChunkBuilder,
) -> Result<()> {
    for (last, row) in chunk_rows(packing, chunk) {
        table.insert((branch, last), row.as_slice())?;
    }
    Ok(())
}

/// The rows of a chunk, each with its last sequence: one, unless it turned out too large.
pub(crate) fn chunk_rows(packing: &mut Packing, chunk: ChunkBuilder) -> Vec<(u64, Vec<u8>)> {
    let (mut rows, mut waiting) = (Vec::new(), vec![chunk]);
    while let Some(chunk) = waiting.pop() {
        let row = chunk.finish();
        packing.learn(chunk.size(), row.len());
        if chunk.count() > 1 && row.len() > CHUNK_BYTES {
            // A wrong guess costs a second compression, not a row that wastes half its pages.
            let (first, second) = chunk.split();
            waiting.extend([second, first]);
        } else {
            rows.push((chunk.last(), row));
        }
    }
    rows
}

/// Takes the branch's last chunk out of the table to extend it, if it is small. One that does not decode stays where
/// it is: the new events do not depend on it.
fn reopen_small(
    table: &mut WriteTable<'_, (u64, u64), &'static [u8]>,
    branch: u64,
    next: u64,
) -> Result<Option<ChunkBuilder>> {
    let small = |(_, last): (u64, u64), row: &[u8]| {
        let small = row.len() <= CHUNK_BYTES / 2;
        small.then(|| Chunk::decode(row).ok().map(|chunk| (last, chunk))).flatten()
    };
    let found = table.last((branch, 0)..=(branch, u64::MAX), small)?;
    let Some((last, old)) = found.flatten() else { return Ok(None) };
    let continues = old.branch() == branch && old.last() == last && last + 1 == next;
    if !continues || old.count() >= SMALL_CHUNK_EVENTS {
        return Ok(None);
    }
    let mut chunk = ChunkBuilder::new(branch, old.first());
    for (position, recorded, record) in old.entries() {
        chunk.push(position, recorded, record);
    }
    table.remove((branch, last))?;
    Ok(Some(chunk))
}

/// An id, and the branch and the sequence of its event.
type IdRow = ([u8; 16], (u64, u64));

fn write_ids(txn: &WriteTxn, items: &[ToFlush<'_>]) -> Result<RowCount> {
    let mut rows: Vec<IdRow> =
        items.iter().map(|i| (*i.event.record().id_bytes(), (i.branch, i.event.sequence().get()))).collect();
    // Time-ordered ids arrive nearly sorted; in order, neighbours share a page.
    rows.sort_by_key(|(id, _)| *id);
    let rows = last_of_each_id(txn, rows)?;
    // With time-ordered ids the whole flush is one run of keys at the end of the table.
    let mut table = txn.open(IDS)?;
    let mut rest = rows.as_slice();
    while let Some(id) = table.insert_sorted(rest.iter().copied())? {
        let taken = table.get(id, |(branch, _)| branch)?;
        if !is_deleted(txn, taken)? {
            return Err(known_already(id));
        }
        table.remove(id)?;
        let at = rest.partition_point(|(other, _)| *other < id);
        rest = rest.get(at..).unwrap_or_default();
    }
    Ok((IDS.name(), table.len()?))
}

/// An id may be given again after its branch was deleted: then the last row of it counts. They are sorted, and those of one id
/// are in the order of their commits.
fn last_of_each_id(txn: &WriteTxn, rows: Vec<IdRow>) -> Result<Vec<IdRow>> {
    let mut newest: Vec<IdRow> = Vec::with_capacity(rows.len());
    for row in rows {
        match newest.last_mut().filter(|last| last.0 == row.0) {
            Some(last) if is_deleted(txn, Some(last.1.0))? => *last = row,
            Some(_) => return Err(known_already(row.0)),
            None => newest.push(row),
        }
    }
    Ok(newest)
}

fn known_already(id: [u8; 16]) -> Error {
    corrupt(format!("event {}", EventId::from_bytes(id)), "its id is recorded already")
}

/// Whether this is the number of a branch that is deleted, as the tables have it now: its ids are free again.
fn is_deleted(txn: &WriteTxn, number: Option<u64>) -> Result<bool> {
    let Some(number) = number else { return Ok(false) };
    let row = txn.open(LINES)?.get(number, |row| BranchRow::decode(number, row))?;
    Ok(row.and_then(Result::ok).is_some_and(|row| row.attributes.deleted.is_some()))
}

fn write_order(txn: &WriteTxn, items: &[ToFlush<'_>]) -> Result<RowCount> {
    let mut table = txn.open(ORDER)?;
    let mut runs: Vec<Run> = Vec::new();
    let mut start = items.first().map_or(0, |i| i.event.position().get());
    for item in items {
        let sequence = item.event.sequence().get();
        match runs.last_mut() {
            Some(run) if run.branch == item.branch && run.first + u64::from(run.count) == sequence => {
                run.count += 1;
            }
            _ => {
                if runs.len() >= MAX_ORDER_RUNS / 2 {
                    table.insert(start, encode_order(start, &runs).as_slice())?;
                    runs.clear();
                    start = item.event.position().get();
                }
                runs.push(Run { branch: item.branch, first: sequence, count: 1 });
            }
        }
    }
    if !runs.is_empty() {
        table.insert(start, encode_order(start, &runs).as_slice())?;
    }
    Ok((ORDER.name(), table.len()?))
}
