//! The open database under the tables, and its transactions. redb panics on what a damaged file breaks. Here that is
//! an error, and what was left half done is leaked: dropping it would panic again and abort the process.

use std::mem;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use redb::{
    CursorError, CursorMut, Database, Key, StorageBackend, Table, TableDefinition, TableHandle, Value,
    WriteTransaction,
};

use super::changed::{ChangedKeys, Notes};
use super::lookup;
use super::lookup::{RangeRows, Row};
use super::opened::{Opened, Snapshot};
use crate::engine::file::redb_errors::{MapRedb, guarded};
use crate::error::{Error, Result};
use crate::sync::{RwLock, read, write};

/// Takes one of some rows.
type Which<K, V> = for<'r> fn(&mut RangeRows<'r, K, V>) -> Option<Result<Row<'r, K, V>>>;

/// The open file. It is released when the last reader drops it. Another that holds the same can take its place.
#[derive(Debug)]
pub(crate) struct Db(RwLock<Arc<Opened>>);

impl Db {
    /// Takes over a database and the storage under it, in which it begins at `base`.
    pub(crate) fn new(db: Database, storage: Arc<dyn StorageBackend>, base: u64, read_only: bool) -> Self {
        Self(RwLock::new(Arc::new(Opened::new(db, storage, base, read_only))))
    }

    fn opened(&self) -> Arc<Opened> {
        read(&self.0).clone()
    }

    /// From now on this is the file of another, and the other the one of this. What was begun before goes on in the old one.
    pub(crate) fn swap(&self, other: &Self) {
        let mut theirs = write(&other.0);
        std::mem::swap(&mut *write(&self.0), &mut *theirs);
    }

    pub(crate) fn begin_read(&self) -> Result<Snapshot> {
        self.opened().begin_read()
    }

    /// `how` configures the transaction.
    pub(crate) fn begin_write(
        &self,
        how: impl FnOnce(&mut WriteTransaction) -> Result<()>,
    ) -> Result<WriteTxn> {
        let opened = self.opened();
        let txn = opened.begin_write()?;
        let mut begun = WriteTxn { txn: Some(txn), notes: opened.watched.begin(), opened };
        if let Some(txn) = &mut begun.txn {
            begun.opened.noted(guarded(|| how(txn)))?;
        }
        Ok(begun)
    }

    /// Moves what the file holds to its front, and cuts it off behind. Nobody may be reading or writing.
    pub(crate) fn pack(&self) -> Result<()> {
        match Arc::get_mut(&mut write(&self.0)) {
            Some(opened) => opened.pack(),
            None => Ok(()),
        }
    }

    /// Leaves the file as after a kill: whoever opens it next reads the whole journal.
    pub(crate) fn abandon(&self) {
        self.opened().abandon();
    }

    /// Keeps the keys of rows that change from here on, or keeps them no longer. Nobody may be writing.
    pub(crate) fn watch_rows(&self, wanted: bool) {
        self.opened().watched.set(wanted);
    }

    /// The rows that have changed since the last call.
    pub(crate) fn changed_rows(&self) -> ChangedKeys {
        self.opened().watched.take()
    }
}

/// A write transaction. Without [`commit`](Self::commit) it has no effect.
pub(crate) struct WriteTxn {
    txn: Option<WriteTransaction>,
    notes: Notes,
    opened: Arc<Opened>,
}

impl WriteTxn {
    pub(crate) fn open<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<WriteTable<'_, K, V>> {
        let txn = self.txn.as_ref().ok_or(Error::Closed { after: None })?;
        let table = self.opened.noted(guarded(|| txn.open_table(table).map_redb()))?;
        Ok(WriteTable { table: Some(table), of: self })
    }

    pub(crate) fn commit(mut self) -> Result<()> {
        let Some(txn) = self.txn.take() else { return Ok(()) };
        if self.opened.is_broken() {
            mem::forget(txn);
            return Err(Error::corrupt("the store", "a transaction met damage"));
        }
        self.opened.watched.add(mem::take(&mut self.notes));
        self.opened.noted(guarded(|| txn.commit().map_redb()))
    }
}

impl Drop for WriteTxn {
    fn drop(&mut self) {
        if let Err(error) = self.opened.let_go(self.txn.take()) {
            tracing::warn!(%error, "a transaction could not be undone");
        }
    }
}

/// A table that is open for writing.
pub(crate) struct WriteTable<'t, K: Key + 'static, V: Value + 'static> {
    table: Option<Table<'t, K, V>>,
    of: &'t WriteTxn,
}

impl<'t, K: Key + 'static, V: Value + 'static> WriteTable<'t, K, V> {
    fn with<T>(&mut self, work: impl FnOnce(&mut Table<'t, K, V>) -> Result<T>) -> Result<T> {
        let table = self.table.as_mut().ok_or(Error::Closed { after: None })?;
        self.of.opened.noted(guarded(|| work(table)))
    }

    fn note(&self, key: &K::SelfType<'_>) {
        if let Some(table) = &self.table {
            self.of.notes.note(table.name(), || K::as_bytes(key).as_ref().to_vec());
        }
    }

    pub(crate) fn insert<'k, 'v>(&mut self, key: K::SelfType<'k>, value: V::SelfType<'v>) -> Result<()> {
        self.note(&key);
        self.with(|table| table.insert(key, value).map_redb().map(drop))
    }

    /// The same for a row that lookups must find: its neighbours have to be in order. Beside a damaged key it would
    /// go where no search leads.
    pub(crate) fn insert_in_order<'k, 'v>(
        &mut self,
        key: K::SelfType<'k>,
        value: V::SelfType<'v>,
    ) -> Result<()>
    where
        K::SelfType<'k>: Copy,
    {
        self.note(&key);
        self.with(|table| {
            lookup::neighbours(&*table, key)?;
            table.insert(key, value).map_redb().map(drop)
        })
    }

    /// The row of a key, passed to `read`.
    pub(crate) fn get<'k, T>(
        &mut self,
        key: K::SelfType<'k>,
        read: impl FnOnce(V::SelfType<'_>) -> T,
    ) -> Result<Option<T>> {
        self.with(|table| Ok(lookup::get(&*table, key)?.map(|row| read(row.value()))))
    }

    /// How many rows it has.
    pub(crate) fn len(&mut self) -> Result<u64> {
        self.with(|table| lookup::len(&*table))
    }

    pub(crate) fn remove<'k>(&mut self, key: K::SelfType<'k>) -> Result<()> {
        self.note(&key);
        self.with(|table| table.remove(key).map_redb().map(drop))
    }

    /// The first row of a range, passed to `read`.
    pub(crate) fn first<'k, T>(
        &mut self,
        range: impl RangeBounds<K::SelfType<'k>> + 'k,
        read: impl FnOnce(K::SelfType<'_>, V::SelfType<'_>) -> T,
    ) -> Result<Option<T>> {
        self.one(range, |rows| rows.next(), read)
    }

    /// The last row of a range, passed to `read`.
    pub(crate) fn last<'k, T>(
        &mut self,
        range: impl RangeBounds<K::SelfType<'k>> + 'k,
        read: impl FnOnce(K::SelfType<'_>, V::SelfType<'_>) -> T,
    ) -> Result<Option<T>> {
        self.one(range, |rows| rows.next_back(), read)
    }

    /// The row of a range that `which` takes, passed to `read`.
    fn one<'k, T>(
        &mut self,
        range: impl RangeBounds<K::SelfType<'k>> + 'k,
        which: Which<K, V>,
        read: impl FnOnce(K::SelfType<'_>, V::SelfType<'_>) -> T,
    ) -> Result<Option<T>> {
        self.with(|table| {
            let row = which(&mut lookup::rows(&*table, range)?).transpose()?;
            Ok(row.map(|(key, value)| read(key.value(), value.value())))
        })
    }

    /// Inserts rows in the order of their keys; neighbours are inserted without a search for each. Returns a key that
    /// exists already, if there is one; the rows are then only partly inserted.
    pub(crate) fn insert_sorted<'r, R>(&mut self, rows: R) -> Result<Option<K::SelfType<'r>>>
    where
        R: Iterator<Item = (K::SelfType<'r>, V::SelfType<'r>)>,
        K::SelfType<'r>: Copy,
        V::SelfType<'r>: Copy,
        K: 'r,
        V: 'r,
    {
        let notes = &self.of.notes;
        self.with(|table| {
            let name = table.name().to_owned();
            let note = |key: &K::SelfType<'_>| notes.note(&name, || K::as_bytes(key).as_ref().to_vec());
            let mut rows = rows.inspect(|(key, _)| note(key)).peekable();
            while let Some((key, value)) = rows.next() {
                lookup::neighbours(&*table, key)?;
                let mut cursor = Inserting::at(table, key)?;
                if !cursor.insert(key, value)? {
                    cursor.close()?;
                    return Ok(Some(key));
                }
                while let Some((key, value)) = rows.peek() {
                    if !cursor.insert(*key, *value)? {
                        break;
                    }
                    rows.next();
                }
                cursor.close()?;
            }
            Ok(None)
        })
    }
}

/// A place between two rows of a table, for rows in the order of their keys. After an error it is leaked.
struct Inserting<'a, K: Key + 'static, V: Value + 'static>(Option<CursorMut<'a, K, V>>);

impl<'a, K: Key + 'static, V: Value + 'static> Inserting<'a, K, V> {
    fn at(table: &'a mut Table<'_, K, V>, key: K::SelfType<'_>) -> Result<Self> {
        guarded(|| table.lower_bound_mut(Bound::Included(key)).map_redb()).map(|cursor| Self(Some(cursor)))
    }

    /// `false` for a row that does not belong here.
    fn insert(&mut self, key: K::SelfType<'_>, value: V::SelfType<'_>) -> Result<bool> {
        let Some(mut cursor) = self.0.take() else { return Ok(false) };
        let inserted = guarded(|| match cursor.insert_before(key, value) {
            Ok(()) => Ok(true),
            Err(CursorError::UnorderedKey) => Ok(false),
            Err(e) => Err(e).map_redb(),
        });
        match &inserted {
            Ok(_) => self.0 = Some(cursor),
            Err(_) => mem::forget(cursor),
        }
        inserted
    }

    fn close(self) -> Result<()> {
        self.0.map_or(Ok(()), |cursor| guarded(|| cursor.close().map_redb()))
    }
}

impl<K: Key + 'static, V: Value + 'static> Drop for WriteTable<'_, K, V> {
    fn drop(&mut self) {
        if let Err(error) = self.of.opened.let_go(self.table.take()) {
            tracing::warn!(%error, "a table could not be closed");
        }
    }
}
