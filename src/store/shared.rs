//! What every handle of one open store shares.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, RwLock, RwLockReadGuard};

use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend};

use super::attached::Attached;
use super::behind::Behind;
use super::branch::Branches;
use super::builder::Options;
use super::hook::CommitHook;
use super::process::Process;
use super::ring::Region;
use super::settler::Settler;
use super::sync::read;
use super::tail::Tail;
use super::trouble::{Trouble, guarded};
use super::upgrade::Upgraded;
use super::view::View;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::event::{Position, StoreId, Timestamp};

/// The open file. It is released when the last reader lets go of it.
pub(super) struct Db {
    process: Process,
    /// `None` only while it is let go.
    database: Option<Database>,
    /// Over a storage that keeps what redb writes to itself.
    read_only: bool,
}

impl Drop for Db {
    /// redb writes as it closes, and asserts what a damaged file breaks: whoever lets go last is not unwound by it.
    fn drop(&mut self) {
        let db = self.database.take();
        if !self.process.is_surely_this() {
            // redb would write, and release the lock of the process that has the file.
            return std::mem::forget(db);
        }
        let closed = guarded(move || {
            drop(db);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the file could not be closed properly");
        }
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

impl Db {
    pub(super) fn new(process: Process, database: Database, read_only: bool) -> Self {
        Self { process, database: Some(database), read_only }
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction> {
        self.process.check()?;
        self.database.as_ref().ok_or(Error::Closed { after: None })?.begin_read().told()
    }

    /// The database to write to.
    pub(super) fn writable(&self) -> Option<&Database> {
        self.database.as_ref().filter(|_| !self.read_only)
    }
}

/// Where the journal is read from.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: Arc<dyn StorageBackend>,
    pub(super) region: Region,
    pub(super) secret: [u8; 16],
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) process: Process,
    pub(super) id: StoreId,
    pub(super) created: Timestamp,
    /// The format of the file: an earlier one in a store that is only read.
    pub(super) format: u32,
    pub(super) upgraded: Option<Upgraded>,
    pub(super) name: String,
    pub(super) options: Options,
    /// `None` once the store is closed.
    pub(super) db: RwLock<Option<Arc<Db>>>,
    pub(super) tail: RwLock<Tail>,
    pub(super) branches: Branches,
    /// What readers share until the next settle, with the number of settles before it.
    pub(super) view: Mutex<Option<(u64, Arc<View>)>>,
    pub(super) writer: Writer,
    pub(super) settler: Settler,
    pub(super) journal: JournalFile,
    pub(super) hook: OnceLock<Arc<dyn CommitHook>>,
    pub(super) behind: OnceLock<Arc<dyn Behind>>,
    pub(super) attached: Attached,
}

impl Shared {
    pub(super) fn db(&self) -> Result<Arc<Db>> {
        self.process.check()?;
        read(&self.db).clone().ok_or(Error::Closed { after: None })
    }

    /// The recent events.
    pub(super) fn tail(&self) -> Result<RwLockReadGuard<'_, Tail>> {
        self.process.check()?;
        Ok(read(&self.tail))
    }

    /// The last position that is committed; zero in another process, where the tail may be locked for ever.
    pub(super) fn committed(&self) -> Position {
        self.tail().map_or(Position::ZERO, |tail| Position::new(tail.committed()))
    }

    pub(super) fn read_only(&self) -> bool {
        self.options.read_only
    }
}
