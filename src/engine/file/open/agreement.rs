//! Checks that the tables agree with the meta row. redb locates each table through a record whose checksum it does
//! not verify: if a bit of it flips, the table looks empty, or as it was some commits ago. So the newest branch and
//! the newest event are looked up in each table: a few lookups, however large the store is.

use redb::{Key, ReadTransaction, TableDefinition, TableHandle, Value};

use crate::codec::{BranchRow, Chunk, Features, HeadRow, Meta, Run, decode_order, decode_record};
use crate::engine::file::redb_errors::{corrupt, guarded};
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, ORDER};
use crate::engine::file::tables::lookup;
use crate::engine::problem::Problem;
use crate::error::{Error, Result};

/// What does not agree. An unreadable row proves nothing here; whoever reads it gets the error.
pub(crate) fn agrees(txn: &ReadTransaction, meta: &Meta) -> Result<()> {
    match disagreements(txn, meta)?.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(problem.into_error()),
    }
}

pub(crate) fn disagreements(txn: &ReadTransaction, meta: &Meta) -> Result<Vec<Problem>> {
    let checks = [counted, named, newest_branch, newest_event];
    let found = checks.into_iter().map(|check| guarded(|| check(txn, meta)));
    let mut problems = Vec::new();
    for found in found {
        match found {
            Ok(()) => {}
            Err(Error::Corrupt { place, reason }) => problems.push(Problem::new(place, reason)),
            Err(error) => return Err(error),
        }
    }
    Ok(problems)
}

/// A table that counts rows has some, and counts as many as the meta row says, if that has a figure.
fn counted(txn: &ReadTransaction, meta: &Meta) -> Result<()> {
    // Of a branch that was deleted rows are left, and others are removed; then only their numbers say how many there are.
    let is_whole = meta.features.incompatible & Features::LIFECYCLE == 0;
    let branches = (meta.format >= 2 && is_whole).then_some(meta.counts.branches);
    rows(txn, BRANCHES, branches)?;
    rows(txn, LINES, branches)?;
    rows(txn, IDS, is_whole.then_some(meta.flushed))?;
    let some_or_none = if meta.flushed == 0 { Some(0) } else { None };
    // A deleted branch of which nothing is left still has its head.
    rows(txn, HEADS, some_or_none.filter(|_| is_whole))?;
    rows(txn, EVENTS, some_or_none)?;
    rows(txn, ORDER, some_or_none)
}

/// There are the tables that the meta row names, with as many rows as it says, and no others.
pub(crate) fn named(txn: &ReadTransaction, meta: &Meta) -> Result<()> {
    if meta.format < 3 {
        return Ok(());
    }
    let mut missing: Vec<&str> =
        meta.tables.iter().filter(|(_, rows)| *rows > 0).map(|(name, _)| name.as_str()).collect();
    for table in lookup::tables(txn)? {
        let (name, rows) = table?;
        missing.retain(|missing| *missing != name);
        let due = if name == META.name() { 1 } else { meta.rows_of(&name).unwrap_or_default() };
        if rows != due {
            let reason = format!("its row count is {rows}, but {due} rows are expected");
            return Err(corrupt(format!("table {}", name.escape_debug()), reason));
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(corrupt(format!("table {name}"), "it is missing")),
    }
}

fn rows<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    definition: TableDefinition<'static, K, V>,
    due: Option<u64>,
) -> Result<()> {
    let place = || format!("table {}", definition.name());
    let table = lookup::open(txn, definition)?;
    let (len, is_empty) = (lookup::len(&table)?, lookup::is_empty(&table)?);
    if is_empty && len > 0 {
        return Err(corrupt(place(), format!("its row count is {len}, but it has no rows")));
    }
    if !is_empty && len == 0 {
        return Err(corrupt(place(), "its row count is 0, but it has rows"));
    }
    match due {
        Some(due) if due != len => {
            Err(corrupt(place(), format!("its row count is {len}, but {due} rows are expected")))
        }
        _ => Ok(()),
    }
}

/// The newest branch is stored under the last number, and its name leads there.
fn newest_branch(txn: &ReadTransaction, meta: &Meta) -> Result<()> {
    let due = meta.next_branch.saturating_sub(1);
    let lines = lookup::open(txn, LINES)?;
    let Some((number, row)) = lookup::rows::<_, _, _, u64>(&lines, ..)?.next_back().transpose()? else {
        return due_there(due == 0, "lines", "branch", due);
    };
    // A damaged number may hold the right row; the right number may hold a damaged row.
    let row = BranchRow::decode(due, row.value());
    due_there(row.is_ok() || number.value() == due, "lines", "branch", due)?;
    let Ok(row) = row else { return Ok(()) };
    let names = (row.place.session.as_str(), row.place.branch.as_str());
    let table = lookup::open(txn, BRANCHES)?;
    let is_there = lookup::get(&table, names)?.is_some()
        || lookup::neighbours(&table, names)?.iter().any(|(_, number)| number.value() == due);
    due_there(is_there, "branches", "branch", due)
}

/// The newest event is the last in the global order, the head of its branch, in a chunk, and found by its id.
fn newest_event(txn: &ReadTransaction, meta: &Meta) -> Result<()> {
    let flushed = meta.flushed;
    let Some(last) = last_run(txn, flushed)?.filter(|run| !run.is_removed()) else { return Ok(()) };
    let (branch, sequence) = (last.branch, last.first + u64::from(last.count) - 1);
    let is_deleted = is_deleted(txn, branch)?;
    due_there(is_head(txn, branch, (sequence, flushed), is_deleted)?, "heads", "event", flushed)?;
    let found = chunk_of(txn, branch, sequence)?;
    due_there(!matches!(found, Found::Nothing), "events", "event", flushed)?;
    let Found::Chunk(chunk) = found else { return Ok(()) };
    let Some((position, _, record)) = chunk.entry(sequence) else { return Ok(()) };
    due_there(position == flushed, "events", "event", flushed)?;
    // The ids of a deleted branch may be given to other events.
    let Some(record) = decode_record(record).ok().filter(|_| !is_deleted) else { return Ok(()) };
    due_there(is_indexed(txn, record.id_bytes(), (branch, sequence))?, "ids", "event", flushed)
}

/// The last run of the global order, which must end where the tables do.
fn last_run(txn: &ReadTransaction, flushed: u64) -> Result<Option<Run>> {
    let table = lookup::open(txn, ORDER)?;
    let mut rows = lookup::rows::<_, _, _, u64>(&table, ..)?;
    let Some((key, row)) = rows.next_back().transpose()? else {
        return due_there(flushed == 0, "order", "event", flushed).map(|()| None);
    };
    let Ok(runs) = decode_order(key.value(), row.value()) else {
        // A single damaged row has intact ones beside it.
        let first = rows.next().transpose()?;
        let is_sound = first.is_some_and(|(key, row)| decode_order(key.value(), row.value()).is_ok());
        return due_there(is_sound, "order", "event", flushed).map(|()| None);
    };
    let count: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
    due_there(key.value().saturating_add(count) == flushed + 1, "order", "event", flushed)?;
    Ok(runs.last().copied())
}

fn is_deleted(txn: &ReadTransaction, branch: u64) -> Result<bool> {
    let table = lookup::open(txn, LINES)?;
    let row = lookup::get(&table, branch)?.and_then(|row| BranchRow::decode(branch, row.value()).ok());
    Ok(row.is_some_and(|row| row.attributes.deleted.is_some()))
}

/// Whether the head of a branch is this sequence and position, or its row is damaged. A deleted branch may have lost what came
/// after, and its head still says that.
fn is_head(txn: &ReadTransaction, branch: u64, due: (u64, u64), is_deleted: bool) -> Result<bool> {
    let table = lookup::open(txn, HEADS)?;
    let is_due = |row: HeadRow| match is_deleted {
        true => row.head >= due.0,
        false => (row.head, row.position) == due,
    };
    if let Some(row) = lookup::get(&table, branch)? {
        return Ok(HeadRow::decode(branch, row.value()).map_or(true, is_due));
    }
    let beside = lookup::neighbours(&table, branch)?;
    Ok(beside.iter().any(|(_, row)| HeadRow::decode(branch, row.value()).is_ok_and(is_due)))
}

enum Found {
    Chunk(Chunk),
    /// It cannot be read.
    Damaged,
    Nothing,
}

/// The chunk that ends with this sequence.
fn chunk_of(txn: &ReadTransaction, branch: u64, sequence: u64) -> Result<Found> {
    let table = lookup::open(txn, EVENTS)?;
    let key = (branch, sequence);
    if let Some(row) = lookup::get(&table, key)? {
        return Ok(Chunk::decode(row.value()).map_or(Found::Damaged, Found::Chunk));
    }
    let beside = lookup::neighbours(&table, key)?;
    let mut chunks = beside.iter().filter_map(|(_, row)| Chunk::decode(row.value()).ok());
    Ok(match chunks.any(|chunk| (chunk.branch(), chunk.last()) == key) {
        true => Found::Damaged,
        false => Found::Nothing,
    })
}

/// Whether the index leads from an id to its event, or only the row of this id is damaged.
fn is_indexed(txn: &ReadTransaction, id: &[u8; 16], due: (u64, u64)) -> Result<bool> {
    let table = lookup::open(txn, IDS)?;
    if lookup::get(&table, id)?.is_some() {
        return Ok(true);
    }
    match lookup::neighbours(&table, id) {
        Ok(beside) => Ok(beside.iter().any(|(_, row)| row.value() == due)),
        // A row is out of order. Is this the index at all?
        Err(e) if e.is_damage() => {
            let first = lookup::rows::<_, _, _, &[u8; 16]>(&table, ..)?.next().transpose()?;
            let last = lookup::rows::<_, _, _, &[u8; 16]>(&table, ..)?.next_back().transpose()?;
            let mut ends = first.into_iter().chain(last);
            Ok(ends.any(|(id, row)| row.value() == due || leads(txn, &id.value(), row.value())))
        }
        Err(error) => Err(error),
    }
}

fn leads(txn: &ReadTransaction, id: &[u8; 16], (branch, sequence): (u64, u64)) -> bool {
    let table = lookup::open(txn, EVENTS);
    let chunk = table.and_then(|table| {
        let row = lookup::rows(&table, (branch, sequence)..=(branch, u64::MAX))?.next().transpose()?;
        Ok(row.and_then(|(_, row)| Chunk::decode(row.value()).ok()))
    });
    let entry = chunk.ok().flatten().filter(|chunk| chunk.branch() == branch);
    let record = entry.and_then(|chunk| decode_record(chunk.entry(sequence)?.2).ok());
    record.is_some_and(|record| record.id_bytes() == id)
}

fn due_there(is_there: bool, table: &str, what: &str, newest: u64) -> Result<()> {
    match is_there {
        true => Ok(()),
        false => {
            let reason = format!("the newest {what} in the tables, number {newest}, is missing in it");
            Err(corrupt(format!("table {table}"), reason))
        }
    }
}
