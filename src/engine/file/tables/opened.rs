//! One open file of tables. It is closed when nobody reads it any more.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};

use super::changed::Watched;
use super::pages::Pages;
use crate::engine::file::redb_errors::{MapRedb, drop_unwritten, guarded, guarded_drop};
use crate::engine::process::Process;
use crate::error::{Error, Result};

pub(crate) struct Opened {
    process: Process,
    /// `None` only while it is dropped.
    db: Option<Database>,
    storage: Arc<dyn StorageBackend>,
    /// Where the tables begin in it.
    base: u64,
    /// A transaction met damage, or the store closed after an error: nothing more is written, not even on closing.
    broken: AtomicBool,
    /// Nobody writes it.
    read_only: bool,
    /// Which rows change, while somebody wants to know.
    pub(super) watched: Watched,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("broken", &self.broken).finish_non_exhaustive()
    }
}

/// A read transaction. It keeps its file open.
pub(crate) struct Snapshot {
    // Dropped first.
    txn: ReadTransaction,
    file: Arc<Opened>,
}

impl Snapshot {
    /// The pages of the file. Those of the newest state, and of later ones, stay as they are for as long as this lives.
    pub(crate) fn pages(&self) -> Option<Pages> {
        self.file.pages()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Deref for Snapshot {
    type Target = ReadTransaction;

    fn deref(&self) -> &ReadTransaction {
        &self.txn
    }
}

impl Opened {
    pub(super) fn new(db: Database, storage: Arc<dyn StorageBackend>, base: u64, read_only: bool) -> Self {
        Self {
            process: Process::this(),
            db: Some(db),
            storage,
            base,
            broken: AtomicBool::new(false),
            read_only,
            watched: Watched::default(),
        }
    }

    pub(super) fn pages(&self) -> Option<Pages> {
        let len = self.storage.len().ok()?;
        Some(Pages::new(self.storage.clone(), self.base, len))
    }

    pub(super) fn begin_read(self: &Arc<Self>) -> Result<Snapshot> {
        self.process.check()?;
        let db = self.db.as_ref().ok_or(Error::Closed { after: None })?;
        let txn = guarded(|| db.begin_read().map_redb())?;
        Ok(Snapshot { txn, file: self.clone() })
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction> {
        // What a transaction that met damage holds is never released; the next one would wait for it.
        if self.is_broken() {
            return Err(Error::Closed { after: Some("an earlier transaction met damage".into()) });
        }
        let db = self.db.as_ref().ok_or(Error::Closed { after: None })?;
        guarded(|| db.begin_write().map_redb())
    }

    pub(super) fn pack(&mut self) -> Result<()> {
        let Some(db) = &mut self.db else { return Ok(()) };
        let packed =
            guarded(|| db.compact().map_err(|e| Error::storage(format!("the copy cannot be packed: {e}"))));
        self.noted(packed.map(drop))
    }

    pub(super) fn abandon(&self) {
        self.broken.store(true, Ordering::Release);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Drops what a transaction holds, or leaks it once one has met damage.
    pub(super) fn let_go<T>(&self, held: Option<T>) -> Result<()> {
        if self.is_broken() {
            mem::forget(held);
            return Ok(());
        }
        self.noted(guarded_drop(held))
    }

    pub(super) fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(Error::Corrupt { .. }) = &outcome {
            self.broken.store(true, Ordering::Release);
        }
        outcome
    }
}

impl Drop for Opened {
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
        if self.read_only {
            return drop_unwritten(db);
        }
        if let Err(error) = guarded_drop(db) {
            tracing::warn!(%error, "the file could not be closed properly");
        }
    }
}
