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

/// Rows in one transaction, and their bytes.
const ROWS: usize = 20_000;
const BYTES: usize = 8 << 20;

/// Copies every table into a store that was just initialised, in the format of this release, and adds what is not in the
/// tables. `meta` is true afterwards, but for where the journal begins. Tells how many events of how many it has copied.
pub(crate) fn copy_tables(
    from: &ReadTransaction,
    to: &Db,
    journal: &Flushed<'_>,
    meta: Meta,
    progress: &mut OnProgress<'_>,
) -> Result<()> {
    let old_format = meta.format;
    let mut meta = Meta { format: FORMAT, journal: Meta::new([0; 16], 0).journal, ..meta };
    let total = lookup::tables(from)?.map(|table| table.map(|(_, rows)| rows)).sum::<Result<u64>>()?;
    let mut told = Told { progress, events: meta.flushed, done: 0, rows: total.max(1) };
    let mut copied = vec![
        copy(from, to, BRANCHES, &mut told)?,
        copy(from, to, HEADS, &mut told)?,
        copy(from, to, EVENTS, &mut told)?,
        copy(from, to, ORDER, &mut told)?,
        copy(from, to, IDS, &mut told)?,
        copy_branches(from, to)?,
    ];
    for table in SidecarTable::ALL {
        match lookup::open_if_made(from, table_of(table))? {
            Some(_) => copied.push(copy(from, to, table_of(table), &mut told)?),
            None => copied.push((table.name().to_owned(), 0)),
        }
    }
    for (table, rows) in copied {
        // Formats before this one did not count. redb may show a table as it was some commits ago.
        let due = if old_format < FORMAT { rows } else { meta.rows_of(&table).unwrap_or_default() };
        if due != rows {
            let reason = format!("it has {rows} rows where {due} were written");
            return Err(corrupt(format!("table {table}"), reason));
        }
        meta.set_rows_of(&table, rows);
    }
    let txn = to.begin_write(|txn| {
        txn.set_quick_repair(true);
        Ok(())
    })?;
    flush_into(&txn, journal, meta)?;
    txn.commit()
}

/// How far it is, told in events: each table has its share of them.
struct Told<'a, 'p> {
    progress: &'a mut OnProgress<'p>,
    events: u64,
    /// Rows that are copied, and all.
    done: u64,
    rows: u64,
}

impl Told<'_, '_> {
    /// Ends when it is to end.
    fn more(&mut self, rows: u64) -> Result<()> {
        self.done += rows;
        let share = u128::from(self.events) * u128::from(self.done.min(self.rows)) / u128::from(self.rows);
        match (self.progress)(u64::try_from(share).unwrap_or(self.events), self.events).is_break() {
            true => Err(Error::Closed { after: None }),
            false => Ok(()),
        }
    }
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
    told: &mut Told<'_, '_>,
) -> Result<(String, u64)> {
    let from = lookup::open(old, table)?;
    let mut rows = guarded(|| from.iter().map_redb())?;
    let mut copied = 0;
    loop {
        let before = copied;
        let txn = db.begin_write(|_| Ok(()))?;
        {
            let (mut to, mut bytes) = (txn.open(table)?, 0);
            for row in rows.by_ref().take(ROWS) {
                let (key, value) = row.map_redb()?;
                to.insert(key.value(), value.value())?;
                copied += 1;
                bytes += V::as_bytes(&value.value()).as_ref().len();
                if bytes >= BYTES {
                    break;
                }
            }
        }
        if copied == before {
            break;
        }
        txn.commit()?;
        told.more(copied - before)?;
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
