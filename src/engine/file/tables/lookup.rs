//! Reading tables that may be damaged. redb does not verify its pages when it reads them: on a damaged file a search
//! can go astray, return rows beside those asked for, loop, or panic. So every call is guarded here, every row is
//! compared with what was asked, and rows have to come in order.

use std::borrow::Borrow;
use std::ops::{Bound, RangeBounds};

use redb::{
    AccessGuard, Key, Range, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata,
    TableDefinition, TableError, TableHandle, UntypedTableHandle, Value,
};

use crate::engine::file::redb_errors::{MapRedb, corrupt, guarded};
use crate::error::Result;

/// Key and value, as redb hands them out.
pub(crate) type Row<'t, K, V> = (AccessGuard<'t, K>, AccessGuard<'t, V>);

pub(crate) fn open<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<ReadOnlyTable<K, V>> {
    guarded(|| txn.open_table(table).map_redb())
}

/// The same for a table that is created with its first row.
pub(crate) fn open_if_made<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>> {
    guarded(|| match txn.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(e).map_redb(),
    })
}

/// The name of every table, and the number of rows that it claims to have.
pub(crate) fn tables(txn: &ReadTransaction) -> Result<impl Iterator<Item = Result<(String, u64)>>> {
    let tables: Vec<_> = guarded(|| Ok(txn.list_tables().map_redb()?.collect()))?;
    Ok(tables.into_iter().map(move |table: UntypedTableHandle| {
        let name = table.name().to_owned();
        let rows = guarded(|| txn.open_untyped_table(table).map_redb()?.len().map_redb())?;
        Ok((name, rows))
    }))
}

/// The number of rows that a table claims to have.
pub(crate) fn len(table: &impl ReadableTableMetadata) -> Result<u64> {
    guarded(|| table.len().map_redb())
}

/// Whether no row can be found in a table, whatever number it claims.
pub(crate) fn is_empty<K: Key + 'static, V: Value + 'static>(
    table: &impl ReadableTable<K, V>,
) -> Result<bool> {
    guarded(|| Ok(table.first().map_redb()?.is_none()))
}

pub(crate) fn get<'t, 'k, K: Key + 'static, V: Value + 'static>(
    table: &'t impl ReadableTable<K, V>,
    key: impl Borrow<K::SelfType<'k>>,
) -> Result<Option<AccessGuard<'t, V>>> {
    guarded(|| {
        let row = table.get(key).map_redb()?;
        if let Some(row) = &row {
            // A damaged length shows up here, inside the guard.
            let _ = row.value();
        }
        Ok(row)
    })
}

/// The rows of a range, from either end.
pub(crate) fn rows<'t, 'k, K, V, T, R>(
    table: &'t T,
    range: impl RangeBounds<R> + 'k,
) -> Result<RangeRows<'t, K, V>>
where
    K: Key + 'static,
    V: Value + 'static,
    T: ReadableTable<K, V> + TableHandle,
    R: Borrow<K::SelfType<'k>> + 'k,
{
    let bytes = |key: &R| K::as_bytes(key.borrow()).as_ref().to_vec();
    let (from, to) = (range.start_bound().map(bytes), range.end_bound().map(bytes));
    let range = guarded(|| table.range(range).map_redb())?;
    Ok(RangeRows { range, table: table.name().to_owned(), from, to, ended: false })
}

/// Two rows on either side of the place where a missing key would lie: see [`around`].
pub(crate) fn neighbours<'t, 'k, K, V, T, R>(table: &'t T, key: R) -> Result<Vec<Row<'t, K, V>>>
where
    K: Key + 'static,
    V: Value + 'static,
    T: ReadableTable<K, V> + TableHandle,
    R: Borrow<K::SelfType<'k>> + Copy + 'k,
{
    around(table, (Bound::Included(key), Bound::Included(key)), 2)
}

/// Some rows on either side of a range. A damaged key still lies where the right one belongs, and a search that it
/// leads astray ends beside it. So whoever must be certain that a row is missing checks that these rows are what they
/// claim to be; their order is checked here. Beside an open end there is nothing.
pub(crate) fn around<'t, 'k, K, V, T, R>(
    table: &'t T,
    (from, to): (Bound<R>, Bound<R>),
    rows_each: usize,
) -> Result<Vec<Row<'t, K, V>>>
where
    K: Key + 'static,
    V: Value + 'static,
    T: ReadableTable<K, V> + TableHandle,
    R: Borrow<K::SelfType<'k>> + Copy + 'k,
{
    let before = beside(from).map(|end| rows(table, (Bound::Unbounded, end))).transpose()?;
    let after = beside(to).map(|end| rows(table, (end, Bound::Unbounded))).transpose()?;
    let before = before.into_iter().flat_map(|rows| rows.rev().take(rows_each));
    before.chain(after.into_iter().flat_map(|rows| rows.take(rows_each))).collect()
}

/// The bound of what lies on the other side of a bound.
fn beside<R>(bound: Bound<R>) -> Option<Bound<R>> {
    match bound {
        Bound::Included(key) => Some(Bound::Excluded(key)),
        Bound::Excluded(key) => Some(Bound::Included(key)),
        Bound::Unbounded => None,
    }
}

#[cfg(test)]
thread_local! {
    /// Rows of ranges that were read on this thread.
    pub(crate) static ROWS_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Ends after an error.
pub(crate) struct RangeRows<'t, K: Key + 'static, V: Value + 'static> {
    range: Range<'t, K, V>,
    table: String,
    /// The rest of the range, as bytes of keys. It shrinks with each row, so a row out of order falls outside.
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    ended: bool,
}

impl<'t, K: Key + 'static, V: Value + 'static> RangeRows<'t, K, V> {
    fn step(&mut self, back: bool) -> Option<Result<Row<'t, K, V>>> {
        if self.ended {
            return None;
        }
        #[cfg(test)]
        ROWS_READ.set(ROWS_READ.get() + 1);
        let found = guarded(|| {
            let row = if back { self.range.next_back() } else { self.range.next() };
            let Some(row) = row else { return Ok(None) };
            let (key, value) = row.map_redb()?;
            let _ = value.value();
            let bytes = K::as_bytes(&key.value()).as_ref().to_vec();
            if !self.is_inside(&bytes) {
                return Err(corrupt(
                    format!("table {}", self.table),
                    "a lookup in it leads to another place",
                ));
            }
            *(if back { &mut self.to } else { &mut self.from }) = Bound::Excluded(bytes);
            Ok(Some((key, value)))
        });
        self.ended = !matches!(found, Ok(Some(_)));
        found.transpose()
    }

    fn is_inside(&self, key: &[u8]) -> bool {
        let after = match &self.from {
            Bound::Unbounded => true,
            Bound::Included(from) => K::compare(from, key).is_le(),
            Bound::Excluded(from) => K::compare(from, key).is_lt(),
        };
        after
            && match &self.to {
                Bound::Unbounded => true,
                Bound::Included(to) => K::compare(key, to).is_le(),
                Bound::Excluded(to) => K::compare(key, to).is_lt(),
            }
    }
}

impl<'t, K: Key + 'static, V: Value + 'static> Iterator for RangeRows<'t, K, V> {
    type Item = Result<Row<'t, K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl<K: Key + 'static, V: Value + 'static> DoubleEndedIterator for RangeRows<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}
