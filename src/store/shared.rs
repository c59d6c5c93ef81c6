//! What every handle of one open store shares.

use std::fmt;
use std::sync::{Arc, OnceLock, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend};

use super::attached::Attached;
use super::behind::Behind;
use super::branch::Branches;
use super::builder::Options;
use super::hook::CommitHook;
use super::recent::Recent;
use super::ring::Region;
use super::settler::Settler;
use super::sync::read;
use super::tail::Tail;
use super::trouble::{Trouble, guarded};
use super::upgrade::Upgraded;
use super::view::SharedView;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::event::{StoreId, Timestamp};

/// The open file. It is released when the last reader lets go of it.
pub(super) enum Db {
    /// `None` only while it is let go.
    Writable(Option<Database>),
    /// Over a storage that keeps what redb writes to itself.
    ReadOnly(Option<Database>),
}

impl Drop for Db {
    /// redb writes as it closes, and asserts what a damaged file breaks: whoever lets go last is not unwound by it.
    fn drop(&mut self) {
        let (Self::Writable(db) | Self::ReadOnly(db)) = self;
        let db = db.take();
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
        f.write_str(match self {
            Self::Writable(_) => "Db::Writable",
            Self::ReadOnly(_) => "Db::ReadOnly",
        })
    }
}

impl Db {
    pub(super) fn begin_read(&self) -> Result<ReadTransaction> {
        match self {
            Self::Writable(Some(db)) | Self::ReadOnly(Some(db)) => db.begin_read().told(),
            Self::Writable(None) | Self::ReadOnly(None) => Err(Error::Closed { after: None }),
        }
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
    pub(super) view: SharedView,
    pub(super) recent: Recent,
    pub(super) writer: Writer,
    pub(super) settler: Settler,
    pub(super) journal: JournalFile,
    pub(super) hook: OnceLock<Arc<dyn CommitHook>>,
    pub(super) behind: OnceLock<Arc<dyn Behind>>,
    pub(super) attached: Attached,
}

impl Shared {
    pub(super) fn db(&self) -> Result<Arc<Db>> {
        read(&self.db).clone().ok_or(Error::Closed { after: None })
    }

    pub(super) fn read_only(&self) -> bool {
        self.options.read_only
    }
}
