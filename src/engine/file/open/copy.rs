//! Copying a store's tables into a new file, with what is only in its journal.

use redb::{Key, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle, Value};

use crate::codec::{BranchRow, FORMAT, Meta};
use crate::engine::file::flush::into_tables::{Flushed, flush_into};
use crate::engine::file::redb_errors::{MapRedb, corrupt, guarded};
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, ORDER};
use crate::engine::file::tables::lookup;
use crate::engine::file::tables::sidecar_view::table_of;
use crate::engine::port::OnProgress;
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};

/// Rows in one transaction.
const ROWS: usize = 100_000;

/// Copies every table into a store that was just initialised, in the format of this release, and adds what is not in the
/// tables. `meta` is true afterwards, but for where the journal begins. Tells how many events of how many it has copied.
pub(crate) fn copy_tables(
    from: &ReadTransaction,
    to: &Db,
    journal: &Flushed<'_>,
    meta: Meta,
    progress: &mut OnProgress<'_>,
) -> Result<()> {
    let mut meta = Meta { format: FORMAT, journal: Meta::new([0; 16], 0).journal, ..meta };
    let total = meta.flushed;
    // Chunks are most of it, and the ids one row for each event.
    let mut copied = vec![
        copy(from, to, BRANCHES, &mut nothing)?,
        copy(from, to, HEADS, &mut nothing)?,
        copy(from, to, EVENTS, &mut nothing)?,
        copy(from, to, ORDER, &mut nothing)?,
        copy(from, to, IDS, &mut |rows| goes_on(progress, rows, total))?,
        copy_branches(from, to)?,
    ];
    for table in SidecarTable::ALL {
        if lookup::open_if_made(from, table_of(table))?.is_some() {
            copied.push(copy(from, to, table_of(table), &mut nothing)?);
        }
    }
    copied.into_iter().for_each(|(table, rows)| meta.set_rows_of(&table, rows));
    let txn = to.begin_write(|txn| {
        txn.set_quick_repair(true);
        Ok(())
    })?;
    flush_into(&txn, journal, meta)?;
    txn.commit()
}

fn nothing(_: u64) -> Result<()> {
    Ok(())
}

fn goes_on(progress: &mut OnProgress<'_>, done: u64, of: u64) -> Result<()> {
    if progress(done, of).is_break() { Err(Error::Closed { after: None }) } else { Ok(()) }
}

/// Branches have another layout since.
fn copy_branches(old: &ReadTransaction, db: &Db) -> Result<(String, u64)> {
    let from = lookup::open(old, LINES)?;
    let mut rows = lookup::rows(&from, 0..)?;
    let mut copied = 0;
    loop {
        let before = copied;
        let txn = db.begin_write(|_| Ok(()))?;
        {
            let mut to = txn.open(LINES)?;
            for row in rows.by_ref().take(ROWS) {
                let (number, row) = row?;
                let number = number.value();
                // One that is damaged stays as it is: whoever reads it gets the error.
                match BranchRow::decode(number, row.value()) {
                    Ok(row) => to.insert(number, row.encode(number).as_slice())?,
                    Err(_) => to.insert(number, row.value())?,
                }
                copied += 1;
            }
        }
        if copied == before {
            return as_many(&from, copied, LINES.name());
        }
        txn.commit()?;
    }
}

fn copy<K: Key + 'static, V: Value + 'static>(
    old: &ReadTransaction,
    db: &Db,
    table: TableDefinition<'static, K, V>,
    told: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(String, u64)> {
    let from = lookup::open(old, table)?;
    let mut rows = guarded(|| from.iter().map_redb())?;
    let mut copied = 0;
    loop {
        let before = copied;
        let txn = db.begin_write(|_| Ok(()))?;
        {
            let mut to = txn.open(table)?;
            for row in rows.by_ref().take(ROWS) {
                let (key, value) = row.map_redb()?;
                to.insert(key.value(), value.value())?;
                copied += 1;
            }
        }
        if copied == before {
            break;
        }
        txn.commit()?;
        told(copied)?;
    }
    as_many(&from, copied, table.name())
}

/// redb keeps the count apart from the rows; where they differ, rows are missing.
fn as_many(from: &impl ReadableTableMetadata, copied: u64, name: &str) -> Result<(String, u64)> {
    match lookup::len(from)? {
        len if len == copied => Ok((name.to_owned(), copied)),
        len => {
            let reason = format!("it has {copied} rows, but its row count is {len}");
            Err(corrupt(format!("table {name}"), reason))
        }
    }
}
