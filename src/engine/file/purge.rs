//! Removing from the tables what no branch has any more: chunk by chunk, in short transactions between which appends and flushes
//! go on. What is left to do is found in the tables, so one that was ended, or killed, is simply begun again.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::TableHandle;

use super::read::file_reader::FileReader;
use super::redb_errors::{corrupt, guarded, malformed};
use super::tables::chunks::open_chunk;
use super::tables::db::{WriteTable, WriteTxn};
use super::tables::definitions::{EVENTS, IDS, LINES, META, META_KEY, ORDER};
use super::tables::lookup;
use super::write::writer::Writer;
use crate::codec::{BranchRow, Chunk, Meta, Run, StoreCounts, decode_order, decode_record, encode_order};
use crate::engine::branch::Branch;
use crate::engine::life::{Kept, KeptOf};
use crate::engine::port::OnProgress;
use crate::engine::purged::Purged;
use crate::error::{Error, Result};
use crate::event::{Place, SessionId};
use crate::limits::{MAX_ORDER_RUNS, PURGE_BRANCHES, PURGE_EVENTS};

/// Removes everything. What is only in the journal is left for the next time.
pub(super) fn purge(reader: &FileReader, writer: &Writer, progress: &mut OnProgress<'_>) -> Result<Purged> {
    let (mut purged, mut damaged) = (Purged::default(), None);
    let mut next = Some(1);
    while let Some(from) = next {
        let (gone, then) = guarded(|| candidates(reader, from))?;
        // Between two commits, and as the tables have it: a fork that is made while its parent is deleted would be among neither,
        // and what only the journal says is gone is there to whoever reads the tables.
        let gone = if gone.is_empty() {
            Vec::new()
        } else {
            writer.between_commits_flushed(|| judged(reader, gone, &mut damaged))??
        };
        for (branch, kept) in gone {
            loop {
                let step = match guarded(|| step(reader, &branch, kept)) {
                    Ok(step) if step.events > 0 => step,
                    Ok(_) => break,
                    Err(e) if e.is_damage() => {
                        damaged.get_or_insert(e);
                        break;
                    }
                    Err(e) => return Err(e),
                };
                purged = Purged::new(purged.events + step.events, purged.bytes + step.bytes);
                if progress(purged.events, purged.events).is_break() {
                    return Err(Error::Closed { after: None });
                }
            }
        }
        next = then;
    }
    // What is damaged keeps its own events only.
    damaged.map_or(Ok(purged), Err)
}

/// Branches, and what is kept of each. The first that cannot be read is noted, and left as it is with its whole session.
fn judged(
    reader: &FileReader,
    candidates: Vec<Candidate>,
    damaged: &mut Option<Error>,
) -> Result<Vec<(Arc<Branch>, Kept)>> {
    let mut sessions: BTreeMap<SessionId, Vec<u64>> = BTreeMap::new();
    for (number, place) in candidates {
        sessions.entry(place.session).or_default().push(number);
    }
    let mut judged = Vec::new();
    for (session, numbers) in sessions {
        let of_session = guarded(|| {
            let mut kept = KeptOf::default();
            reader.branches_of(&session)?.iter().for_each(|(branch, _)| kept.add(branch));
            let each = numbers.iter().map(|number| Ok((reader.by_number(*number)?, kept.of(*number))));
            each.collect::<Result<Vec<_>>>()
        });
        match of_session {
            Ok(of_session) => judged.extend(of_session),
            Err(e) if e.is_damage() => drop(damaged.get_or_insert(e)),
            Err(e) => return Err(e),
        }
    }
    Ok(judged)
}

/// Number and names.
type Candidate = (u64, Place);

/// Branches of which something may be removed, of some rows from this number on; and where to go on.
fn candidates(reader: &FileReader, from: u64) -> Result<(Vec<Candidate>, Option<u64>)> {
    let txn = reader.db.begin_read()?;
    let events = lookup::open(&txn, EVENTS)?;
    let (mut found, mut last, mut rows) = (Vec::new(), None, 0);
    for row in lookup::rows(&lookup::open(&txn, LINES)?, from..)?.take(PURGE_BRANCHES) {
        let (number, row) = row?;
        let number = number.value();
        (last, rows) = (Some(number), rows + 1);
        // One that cannot be read is kept.
        let Ok(row) = BranchRow::decode(number, row.value()) else { continue };
        let (is_deleted, truncated) = (row.attributes.deleted.is_some(), row.attributes.truncated);
        if !is_deleted && truncated == 0 {
            continue;
        }
        // The key of a chunk has its last sequence.
        let chunk = lookup::rows(&events, (number, 0)..=(number, u64::MAX))?.next().transpose()?;
        if chunk.is_some_and(|(key, _)| is_deleted || key.value().1 <= truncated) {
            found.push((number, row.place));
        }
    }
    Ok((found, last.filter(|_| rows == PURGE_BRANCHES).map(|last| last + 1)))
}

/// One transaction: some chunks, with the ids and positions of their events.
fn step(reader: &FileReader, branch: &Branch, kept: Kept) -> Result<Purged> {
    reader.contents.db()?;
    reader.contents.in_place()?;
    // The store does not move into another file before it is known here as well what was removed.
    let _stays = reader.contents.stays();
    let txn = reader.contents.change_tables(&reader.db, reader.contents.options.fast_recovery)?;
    let Some(removed) = Removed::chunks(&txn, branch, kept)? else { return Ok(Purged::default()) };
    let mut meta = meta_of(&txn)?;
    meta.counts = meta.counts.minus(removed.counts());
    for (table, rows) in removed.write(&txn, branch)? {
        meta.set_rows_of(table, rows);
    }
    txn.open(META)?.insert(META_KEY, meta.encode().as_slice())?;
    let counts = removed.counts();
    txn.commit_and(|| reader.contents.own_tail_mut().removed(counts))?;
    reader.contents.recent.forget();
    Ok(Purged::new(removed.ids.len() as u64, removed.bytes))
}

fn meta_of(txn: &WriteTxn) -> Result<Meta> {
    let meta = txn.open(META)?.get(META_KEY, Meta::decode)?;
    meta.ok_or_else(|| corrupt("the meta row", "it is missing"))?.map_err(malformed("the meta row"))
}

/// What chunks that were removed had.
#[derive(Default)]
struct Removed {
    /// Ids, each with the sequence of its event.
    ids: Vec<([u8; 16], u64)>,
    /// In order.
    positions: Vec<u64>,
    /// Bytes of records, and of their payloads.
    bytes: u64,
    payload_bytes: u64,
}

impl Removed {
    /// Removes chunks of which nothing is kept; `None` when there are none.
    fn chunks(txn: &WriteTxn, branch: &Branch, kept: Kept) -> Result<Option<Self>> {
        let mut removed = Self::default();
        let mut table = txn.open(EVENTS)?;
        while removed.positions.len() < PURGE_EVENTS {
            let Some((key, chunk)) = loose(&mut table, branch, kept)? else { break };
            for ((position, _, record), sequence) in chunk.entries().zip(chunk.first()..) {
                let record =
                    decode_record(record).map_err(malformed(format!("{}@{sequence}", branch.place)))?;
                removed.ids.push((*record.id_bytes(), sequence));
                removed.positions.push(position);
                removed.bytes += record.encoded().len() as u64;
                removed.payload_bytes += record.payload().len() as u64;
            }
            table.remove(key)?;
        }
        removed.positions.sort_unstable();
        Ok((!removed.positions.is_empty()).then_some(removed))
    }

    fn counts(&self) -> StoreCounts {
        StoreCounts { payload_bytes: self.payload_bytes, ..StoreCounts::default() }
    }

    /// Removes the rest of the events. Answers with how many rows the tables have then.
    fn write(&self, txn: &WriteTxn, branch: &Branch) -> Result<Vec<(&'static str, u64)>> {
        let mut rows = vec![(EVENTS.name(), txn.open(EVENTS)?.len()?)];
        if branch.deleted().is_some() {
            // The ids of what was truncated stay known: a retry of it must not be recorded again.
            let mut ids = txn.open(IDS)?;
            for (id, sequence) in &self.ids {
                if ids.get(*id, |at| at == (branch.number, *sequence))? == Some(true) {
                    ids.remove(*id)?;
                }
            }
            rows.push((IDS.name(), ids.len()?));
        }
        let mut order = txn.open(ORDER)?;
        take_out(&mut order, &self.positions)?;
        rows.push((ORDER.name(), order.len()?));
        Ok(rows)
    }
}

type Chunks<'t> = WriteTable<'t, (u64, u64), &'static [u8]>;

/// The first or the last chunk of a branch, if nothing of it is kept.
fn loose(table: &mut Chunks<'_>, branch: &Branch, kept: Kept) -> Result<Option<((u64, u64), Chunk)>> {
    let range = || (branch.number, 0)..=(branch.number, u64::MAX);
    let open = |key: (u64, u64), row: &[u8]| Ok((key, open_chunk(&branch.place, key, row)?));
    let is_loose = |chunk: &Chunk| !kept.touches(chunk.first(), chunk.last());
    let first: Option<Result<_>> = table.first(range(), open)?;
    let Some(first) = first.transpose()? else { return Ok(None) };
    if is_loose(&first.1) {
        return Ok(Some(first));
    }
    let last: Option<Result<_>> = table.last(range(), open)?;
    Ok(last.transpose()?.filter(|(_, chunk)| is_loose(chunk)))
}

type Order<'t> = WriteTable<'t, u64, &'static [u8]>;

/// Marks positions of the global order as removed, in the rows where they are.
fn take_out(order: &mut Order<'_>, mut positions: &[u64]) -> Result<()> {
    while let Some(first) = positions.first().copied() {
        let found: Option<Result<_>> = order.last(..=first, |key, row| {
            let runs = decode_order(key, row).map_err(malformed(format!("position {key}")))?;
            Ok((key, runs))
        })?;
        let missing = || corrupt(format!("position {first}"), "the global order does not have it");
        let (key, runs) = found.transpose()?.ok_or_else(missing)?;
        let end = key + runs.iter().map(|run| u64::from(run.count)).sum::<u64>();
        let (here, rest) = positions.split_at(positions.partition_point(|position| *position < end));
        if here.is_empty() {
            return Err(missing());
        }
        put(order, key, without(key, &runs, here))?;
        positions = rest;
    }
    Ok(())
}

/// Writes what a row is now. Rows of which nothing is left become one.
fn put(order: &mut Order<'_>, key: u64, runs: Vec<Run>) -> Result<()> {
    if let [only] = runs.as_slice()
        && only.is_removed()
        && let Some(before) = key.checked_sub(1)
    {
        let found = order.last(..=before, |key, row| Some((key, decode_order(key, row).ok()?)))?.flatten();
        if let Some((earlier, runs)) = found
            && let [gone] = runs.as_slice()
            && gone.is_removed()
            && let Some(count) = gone.count.checked_add(only.count)
        {
            order.remove(key)?;
            return order.insert(earlier, encode_order(earlier, &[Run::removed(count)]).as_slice());
        }
    }
    let mut at = key;
    for part in runs.chunks(MAX_ORDER_RUNS) {
        order.insert(at, encode_order(at, part).as_slice())?;
        at += part.iter().map(|run| u64::from(run.count)).sum::<u64>();
    }
    Ok(())
}

/// The runs of a row that begins at `key`, with these positions of it removed.
fn without(key: u64, runs: &[Run], gone: &[u64]) -> Vec<Run> {
    let mut left: Vec<Run> = Vec::with_capacity(runs.len());
    let mut gone = gone.iter().copied().peekable();
    let mut at = key;
    for run in runs {
        let end = at + u64::from(run.count);
        let part = |from: u64, to: u64| Run {
            first: if run.is_removed() { run.first } else { run.first + (from - at) },
            count: (to - from) as u32,
            ..*run
        };
        let mut next = at;
        while let Some(position) = gone.next_if(|position| *position < end) {
            if next < position {
                add(&mut left, part(next, position));
            }
            add(&mut left, Run::removed(1));
            next = position + 1;
        }
        if next < end {
            add(&mut left, part(next, end));
        }
        at = end;
    }
    left
}

/// Adds a run, to the one before if both were removed.
fn add(runs: &mut Vec<Run>, run: Run) {
    if let Some(last) = runs.last_mut()
        && last.is_removed()
        && run.is_removed()
        && let Some(count) = last.count.checked_add(run.count)
    {
        last.count = count;
    } else {
        runs.push(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_a_row_leaves_its_positions_and_the_events_beside_it() {
        let run = |branch, first, count| Run { branch, first, count };
        let row = [run(1, 5, 3), run(2, 1, 1), run(1, 8, 2)];
        // Positions 10, 11, 12 are 5, 6, 7 of the first branch; 13 is of the second; 14 and 15 are 8 and 9.
        assert_eq!(without(10, &row, &[13]), [run(1, 5, 3), Run::removed(1), run(1, 8, 2)]);
        assert_eq!(
            without(10, &row, &[10, 11, 14]),
            [Run::removed(2), run(1, 7, 1), run(2, 1, 1), Run::removed(1), run(1, 9, 1)]
        );
        assert_eq!(without(10, &row, &[10, 11, 12, 13, 14, 15]), [Run::removed(6)]);
        let again = without(10, &row, &[11]);
        assert_eq!(
            without(10, &again, &[12, 14]),
            [run(1, 5, 1), Run::removed(2), run(2, 1, 1), Run::removed(1), run(1, 9, 1)]
        );
    }
}
