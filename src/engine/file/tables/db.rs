//! The open database under the tables, and its transactions. redb panics on what a damaged file breaks. Here that is
//! an error, and what was left half done is leaked: dropping it would panic again and abort the process.

use std::fmt;
use std::mem;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{
    CursorError, CursorMut, Database, Key, ReadTransaction, ReadableDatabase, StorageBackend, Table,
    TableDefinition, Value, WriteTransaction,
};

use super::lookup;
use super::lookup::RangeRows;
use crate::engine::file::redb_errors::{MapRedb, guarded, guarded_drop};
use crate::engine::process::Process;
use crate::error::{Error, Result};

/// The open file. It is released when the last reader drops it.
pub(crate) struct Db {
    process: Process,
    /// `None` only while it is dropped.
    db: Option<Database>,
    storage: Arc<dyn StorageBackend>,
    /// A transaction met damage, or the store closed after an error: nothing more is written, not even on closing.
    broken: AtomicBool,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Db {
    /// Takes over a database and the storage under it.
    pub(crate) fn new(db: Database, storage: Arc<dyn StorageBackend>) -> Self {
        Self { process: Process::this(), db: Some(db), storage, broken: AtomicBool::new(false) }
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction> {
        self.process.check()?;
        let db = self.db.as_ref().ok_or(Error::Closed { after: None })?;
        guarded(|| db.begin_read().map_redb())
    }

    /// `how` configures the transaction.
    pub(crate) fn begin_write(
        &self,
        how: impl FnOnce(&mut WriteTransaction) -> Result<()>,
    ) -> Result<WriteTxn<'_>> {
        // What a transaction that met damage holds is never released; the next one would wait for it.
        if self.is_broken() {
            return Err(Error::Closed { after: Some("an earlier transaction met damage".into()) });
        }
        let db = self.db.as_ref().ok_or(Error::Closed { after: None })?;
        let txn = guarded(|| db.begin_write().map_redb())?;
        let mut begun = WriteTxn { txn: Some(txn), db: self };
        if let Some(txn) = &mut begun.txn {
            self.noted(guarded(|| how(txn)))?;
        }
        Ok(begun)
    }

    /// Leaves the file as after a kill: whoever opens it next reads the whole journal.
    pub(crate) fn abandon(&self) {
        self.broken.store(true, Ordering::Release);
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Drops what a transaction holds, or leaks it once one has met damage.
    fn let_go<T>(&self, held: Option<T>) -> Result<()> {
        if self.is_broken() {
            mem::forget(held);
            return Ok(());
        }
        self.noted(guarded_drop(held))
    }

    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(Error::Corrupt { .. }) = &outcome {
            self.broken.store(true, Ordering::Release);
        }
        outcome
    }
}

impl Drop for Db {
    /// redb writes on closing, and panics on a damaged file; whoever drops last must not be unwound by it.
    fn drop(&mut self) {
        let db = self.db.take();
        if !self.process.is_surely_this() {
            // redb would write, and release the lock of the process that owns the file.
            return mem::forget(db);
        }
        if self.is_broken() {
            mem::forget(db);
            if let Err(error) = self.storage.close() {
                tracing::warn!(%error, "the file could not be unlocked");
            }
            return;
        }
        if let Err(error) = guarded_drop(db) {
            tracing::warn!(%error, "the file could not be closed properly");
        }
    }
}

/// A write transaction. Without [`commit`](Self::commit) it has no effect.
pub(crate) struct WriteTxn<'d> {
    txn: Option<WriteTransaction>,
    db: &'d Db,
}

impl WriteTxn<'_> {
    pub(crate) fn open<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<WriteTable<'_, K, V>> {
        let txn = self.txn.as_ref().ok_or(Error::Closed { after: None })?;
        let table = self.db.noted(guarded(|| txn.open_table(table).map_redb()))?;
        Ok(WriteTable { table: Some(table), db: self.db })
    }

    pub(crate) fn commit(mut self) -> Result<()> {
        let Some(txn) = self.txn.take() else { return Ok(()) };
        if self.db.is_broken() {
            mem::forget(txn);
            return Err(Error::corrupt("the store", "a transaction met damage"));
        }
        self.db.noted(guarded(|| txn.commit().map_redb()))
    }
}

impl Drop for WriteTxn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.db.let_go(self.txn.take()) {
            tracing::warn!(%error, "a transaction could not be undone");
        }
    }
}

/// A table that is open for writing.
pub(crate) struct WriteTable<'t, K: Key + 'static, V: Value + 'static> {
    table: Option<Table<'t, K, V>>,
    db: &'t Db,
}

impl<'t, K: Key + 'static, V: Value + 'static> WriteTable<'t, K, V> {
    fn with<T>(&mut self, work: impl FnOnce(&mut Table<'t, K, V>) -> Result<T>) -> Result<T> {
        let table = self.table.as_mut().ok_or(Error::Closed { after: None })?;
        self.db.noted(guarded(|| work(table)))
    }

    pub(crate) fn insert<'k, 'v>(&mut self, key: K::SelfType<'k>, value: V::SelfType<'v>) -> Result<()> {
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
        self.with(|table| table.remove(key).map_redb().map(drop))
    }

    /// The last row of a range, passed to `read`.
    pub(crate) fn last<'k, T>(
        &mut self,
        range: impl RangeBounds<K::SelfType<'k>> + 'k,
        read: impl FnOnce(K::SelfType<'_>, V::SelfType<'_>) -> T,
    ) -> Result<Option<T>> {
        self.with(|table| {
            let mut rows: RangeRows<'_, K, V> = lookup::rows(&*table, range)?;
            let row = rows.next_back().transpose()?;
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
        self.with(|table| {
            let mut rows = rows.peekable();
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
        if let Err(error) = self.db.let_go(self.table.take()) {
            tracing::warn!(%error, "a table could not be closed");
        }
    }
}
