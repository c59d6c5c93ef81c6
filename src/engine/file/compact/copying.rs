//! Copying the tables of a store that is in use: row after row as they are now, and then again what has changed.
//!
//! Each step looks at one moment, at which nobody is changing the tables. It first brings up to date what has changed
//! since the moment before, and then goes on with rows that it has not come to yet. So whatever it has passed is as it
//! was at its last moment, and no old state of the tables is kept while it copies.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::{Key, ReadTransaction, TableDefinition, TableHandle, Value};

use crate::codec::Meta;
use crate::engine::file::open::meta_row::read_meta;
use crate::engine::file::tables::changed::ChangedKeys;
use crate::engine::file::tables::db::{Db, WriteTxn};
use crate::engine::file::tables::definitions::{META, META_KEY};
use crate::engine::file::tables::each::{OfATable, with_table};
use crate::engine::file::tables::lookup;
use crate::error::Result;
use crate::limits::{COMPACT_STEP_BYTES, COMPACT_STEP_ROWS};

/// How far it has come.
#[derive(Default)]
pub(super) struct Copying {
    /// The table that it is in, and the last key that it has copied of it.
    at: Option<(String, Option<Vec<u8>>)>,
    begun: bool,
    pub(super) rows: u64,
}

impl Copying {
    /// Brings up to date what has changed, and goes on. Whether it has come to the end.
    pub(super) fn step(&mut self, to: &Db, moment: &ReadTransaction, changed: ChangedKeys) -> Result<bool> {
        let txn = to.begin_write(|_| Ok(()))?;
        renew(moment, &txn, changed)?;
        let mut left = (COMPACT_STEP_ROWS, COMPACT_STEP_BYTES);
        while left.0 > 0 && left.1 > 0 {
            let Some((table, after)) = self.place(moment)? else { break };
            let step = Rows { moment, txn: &txn, after, left };
            let (last, remaining) = with_table(&table, step)?;
            self.rows += (left.0 - remaining.0) as u64;
            left = remaining;
            self.at = Some((table, last));
        }
        txn.commit()?;
        Ok(self.begun && self.at.is_none())
    }

    /// The table to go on with, and the last key that it has of it.
    fn place(&mut self, moment: &ReadTransaction) -> Result<Option<(String, Option<Vec<u8>>)>> {
        match self.at.take() {
            Some((table, Some(last))) => Ok(Some((table, Some(last)))),
            // To the next table.
            at => {
                let after = at.map(|(table, _)| table);
                if self.begun && after.is_none() {
                    return Ok(None);
                }
                self.begun = true;
                let mut next: Option<String> = None;
                for table in lookup::tables(moment)? {
                    let (name, _) = table?;
                    let is_later = after.as_ref().is_none_or(|after| name > *after) && name != META.name();
                    if is_later && next.as_ref().is_none_or(|next| name < *next) {
                        next = Some(name);
                    }
                }
                Ok(next.map(|table| (table, None)))
            }
        }
    }

    /// Brings up to date what has changed since, and finishes: nobody changes the store any more.
    pub(super) fn finish(
        self,
        to: &Db,
        moment: &ReadTransaction,
        changed: ChangedKeys,
        name: &str,
    ) -> Result<()> {
        let meta = read_meta(moment, name, None)?;
        let txn = to.begin_write(|txn| {
            txn.set_quick_repair(true);
            Ok(())
        })?;
        renew(moment, &txn, changed)?;
        for table in lookup::tables(moment)? {
            let (name, rows) = table?;
            if name != META.name() {
                with_table(&name, Count { txn: &txn, rows })?;
            }
        }
        // The journal of the copy is a new one.
        let meta = Meta { journal: Meta::new([0; 16], 0).journal, ..meta };
        txn.open(META)?.insert(META_KEY, meta.encode().as_slice())?;
        txn.commit()
    }
}

/// Makes each of the rows what it is now.
fn renew(moment: &ReadTransaction, txn: &WriteTxn, changed: ChangedKeys) -> Result<()> {
    for (table, keys) in changed {
        if table != META.name() {
            with_table(&table, Renew { moment, txn, keys })?;
        }
    }
    Ok(())
}

struct Renew<'a> {
    moment: &'a ReadTransaction,
    txn: &'a WriteTxn,
    keys: BTreeSet<Vec<u8>>,
}

impl OfATable for Renew<'_> {
    type Output = ();

    fn with<K: Key + 'static, V: Value + 'static>(self, table: TableDefinition<'static, K, V>) -> Result<()> {
        let from = lookup::open_if_made(self.moment, table)?;
        let mut to = self.txn.open(table)?;
        for key in &self.keys {
            let row = match &from {
                Some(from) => lookup::get(from, K::from_bytes(key))?,
                None => None,
            };
            match row {
                Some(row) => to.insert(K::from_bytes(key), row.value())?,
                None => to.remove(K::from_bytes(key))?,
            }
        }
        Ok(())
    }
}

struct Rows<'a> {
    moment: &'a ReadTransaction,
    txn: &'a WriteTxn,
    after: Option<Vec<u8>>,
    left: (usize, usize),
}

impl OfATable for Rows<'_> {
    /// The last key, unless the table is at its end, and how many rows and bytes more may be copied.
    type Output = (Option<Vec<u8>>, (usize, usize));

    fn with<K: Key + 'static, V: Value + 'static>(
        self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<Self::Output> {
        let from = lookup::open(self.moment, table)?;
        let mut to = self.txn.open(table)?;
        let (mut rows, mut bytes) = self.left;
        let after = self.after.as_deref().map_or(Bound::Unbounded, |key| Bound::Excluded(K::from_bytes(key)));
        for row in lookup::rows(&from, (after, Bound::Unbounded))? {
            let (key, value) = row?;
            let (key, value) = (key.value(), value.value());
            let last = K::as_bytes(&key).as_ref().to_vec();
            let size = last.len() + V::as_bytes(&value).as_ref().len();
            to.insert(key, value)?;
            (rows, bytes) = (rows.saturating_sub(1), bytes.saturating_sub(size));
            if rows == 0 || bytes == 0 {
                return Ok((Some(last), (rows, bytes)));
            }
        }
        Ok((None, (rows, bytes)))
    }
}

struct Count<'a> {
    txn: &'a WriteTxn,
    rows: u64,
}

impl OfATable for Count<'_> {
    type Output = ();

    /// redb keeps the count apart from the rows: where they differ, rows are missing.
    fn with<K: Key + 'static, V: Value + 'static>(self, table: TableDefinition<'static, K, V>) -> Result<()> {
        match self.txn.open(table)?.len()? {
            rows if rows == self.rows => Ok(()),
            rows => {
                let reason = format!("it has {rows} rows, but its row count is {}", self.rows);
                Err(crate::error::Error::corrupt(format!("table {}", table.name()), reason))
            }
        }
    }
}
