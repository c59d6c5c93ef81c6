//! Settling: events leave the journal, grouped by branch into chunks, with heads, global order and ids.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{CursorError, ReadableTable, Table, WriteTransaction};
use tracing::debug_span;

use super::branch::Branch;
use super::shared::Shared;
use super::tables::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use super::trouble::{Trouble, corrupt};
use crate::codec::{Chunk, ChunkBuilder, Counts, FORMAT, HeadRow, JournalMark, Meta, Run, encode_order};
use crate::error::Result;
use crate::event::{Event, EventId};
use crate::limits::{CHUNK_BODY_BYTES, CHUNK_BYTES, MAX_CHUNK_EVENTS, MAX_ORDER_RUNS, SMALL_CHUNK_EVENTS};

/// One event to settle, with the number of its branch.
pub(super) struct Item<'a> {
    pub(super) branch: u64,
    pub(super) event: &'a Event,
}

/// Writes all items, which are in global order without holes; the journal goes on at the mark.
pub(super) fn settle_into(
    txn: &WriteTransaction,
    shared: &Shared,
    items: &[Item<'_>],
    births: &[&Branch],
    next_branch: u64,
    counts: Counts,
    journal: JournalMark,
) -> Result<()> {
    let settled = match items.last() {
        Some(item) => item.event.position().get(),
        None => super::sync::read(&shared.tail).settled(),
    };
    let meta = Meta {
        format: FORMAT,
        store: *shared.id.bytes(),
        created: shared.created.micros(),
        settled,
        next_branch,
        journal,
        counts,
    };
    settle_store(txn, items, births, meta)
}

/// The same for a store that is not open yet.
pub(super) fn settle_store(
    txn: &WriteTransaction,
    items: &[Item<'_>],
    births: &[&Branch],
    meta: Meta,
) -> Result<()> {
    let _span = debug_span!("settle", events = items.len(), births = births.len()).entered();
    write_births(txn, births)?;
    write_branches(txn, items)?;
    write_ids(txn, items)?;
    write_order(txn, items)?;
    txn.open_table(META).told()?.insert(META_KEY, meta.encode().as_slice()).told()?;
    Ok(())
}

fn write_births(txn: &WriteTransaction, births: &[&Branch]) -> Result<()> {
    if births.is_empty() {
        return Ok(());
    }
    let (mut branches, mut lines) = (txn.open_table(BRANCHES).told()?, txn.open_table(LINES).told()?);
    for branch in births {
        let names = (branch.place.session.as_str(), branch.place.branch.as_str());
        branches.insert(names, branch.number).told()?;
        lines.insert(branch.number, branch.row().encode(branch.number).as_slice()).told()?;
    }
    Ok(())
}

fn write_branches(txn: &WriteTransaction, items: &[Item<'_>]) -> Result<()> {
    let mut by_branch: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for item in items {
        by_branch.entry(item.branch).or_default().push(item.event);
    }
    // Half is what JSON usually packs to; the first chunk corrects it.
    let mut packing = Packing(128);
    let mut events = txn.open_table(EVENTS).told()?;
    let mut heads = txn.open_table(HEADS).told()?;
    for (branch, own) in by_branch {
        write_chunks(&mut events, &mut packing, branch, &own)?;
        if let Some(last) = own.last() {
            let head = HeadRow {
                head: last.sequence().get(),
                position: last.position().get(),
                recorded: last.recorded().micros(),
            };
            heads.insert(branch, head.encode(branch).as_slice()).told()?;
        }
    }
    Ok(())
}

fn write_chunks(
    table: &mut Table<'_, (u64, u64), &[u8]>,
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

/// A guess, from the chunks before it, at how far the next one can be packed: in 256ths of its size.
struct Packing(usize);

impl Packing {
    fn is_full(&self, size: usize) -> bool {
        size > CHUNK_BODY_BYTES || size * self.0 / 256 > CHUNK_BYTES
    }

    fn learn(&mut self, size: usize, packed: usize) {
        let now = (packed * 256 / size.max(1)).clamp(1, 256);
        self.0 = (self.0 + now).div_ceil(2);
    }
}

fn insert(
    table: &mut Table<'_, (u64, u64), &[u8]>,
    packing: &mut Packing,
    branch: u64,
    chunk: ChunkBuilder,
) -> Result<()> {
    let mut waiting = vec![chunk];
    while let Some(chunk) = waiting.pop() {
        let row = chunk.finish();
        packing.learn(chunk.size(), row.len());
        if chunk.count() > 1 && row.len() > CHUNK_BYTES {
            // A guess that was too good costs a second packing, not a row that wastes half its pages.
            let (first, second) = chunk.split();
            waiting.extend([second, first]);
        } else {
            table.insert((branch, chunk.last()), row.as_slice()).told()?;
        }
    }
    Ok(())
}

/// The branch's last chunk, taken out of the table to be extended, while it is small. One that does not decode is
/// left where it is: the new events do not depend on it.
fn reopen_small(
    table: &mut Table<'_, (u64, u64), &[u8]>,
    branch: u64,
    next: u64,
) -> Result<Option<ChunkBuilder>> {
    let (last, chunk) = match table.range((branch, 0)..=(branch, u64::MAX)).told()?.next_back() {
        None => return Ok(None),
        Some(row) => {
            let (key, value) = row.told()?;
            if value.value().len() > CHUNK_BYTES / 2 {
                return Ok(None);
            }
            (key.value().1, Chunk::decode(value.value()))
        }
    };
    let Ok(old) = chunk else { return Ok(None) };
    let continues = old.branch() == branch && old.last() == last && last + 1 == next;
    if !continues || old.count() >= SMALL_CHUNK_EVENTS {
        return Ok(None);
    }
    let mut chunk = ChunkBuilder::new(branch, old.first());
    for (position, recorded, record) in old.entries() {
        chunk.push(position, recorded, record);
    }
    table.remove((branch, last)).told()?;
    Ok(Some(chunk))
}

fn write_ids(txn: &WriteTransaction, items: &[Item<'_>]) -> Result<()> {
    let mut rows: Vec<(&[u8; 16], (u64, u64))> =
        items.iter().map(|i| (id_of(i), (i.branch, i.event.sequence().get()))).collect();
    // Ids made by time arrive nearly sorted; in order, neighbours share their page.
    rows.sort_unstable_by_key(|(id, _)| *id);
    let mut table = txn.open_table(IDS).told()?;
    let mut rows = rows.into_iter().peekable();
    // A cursor takes a run of keys that all fall between two neighbours without a search for each: with ids made by
    // time that is the whole settle, at the table's end.
    while let Some((id, place)) = rows.next() {
        let mut cursor = table.lower_bound_mut(Bound::Included(id)).told()?;
        match cursor.insert_before(id, place) {
            Ok(()) => {}
            Err(CursorError::UnorderedKey) => {
                cursor.close().told()?;
                return Err(corrupt(
                    format!("event {}", EventId::from_bytes(*id)),
                    "its id is recorded already",
                ));
            }
            Err(e) => return Err(e).told(),
        }
        while let Some((id, place)) = rows.peek() {
            match cursor.insert_before(*id, *place) {
                Ok(()) => drop(rows.next()),
                Err(CursorError::UnorderedKey) => break,
                Err(e) => return Err(e).told(),
            }
        }
        cursor.close().told()?;
    }
    Ok(())
}

fn id_of<'a>(item: &'a Item<'_>) -> &'a [u8; 16] {
    item.event.record().id_bytes()
}

fn write_order(txn: &WriteTransaction, items: &[Item<'_>]) -> Result<()> {
    let mut table = txn.open_table(ORDER).told()?;
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
                    table.insert(start, encode_order(start, &runs).as_slice()).told()?;
                    runs.clear();
                    start = item.event.position().get();
                }
                runs.push(Run { branch: item.branch, first: sequence, count: 1 });
            }
        }
    }
    if !runs.is_empty() {
        table.insert(start, encode_order(start, &runs).as_slice()).told()?;
    }
    Ok(())
}

/// Every table, so that a reader never meets one that was not made yet.
pub(super) fn create_tables(txn: &WriteTransaction) -> Result<()> {
    txn.open_table(BRANCHES).told()?;
    txn.open_table(LINES).told()?;
    txn.open_table(HEADS).told()?;
    txn.open_table(EVENTS).told()?;
    txn.open_table(ORDER).told()?;
    txn.open_table(IDS).told()?;
    Ok(())
}
