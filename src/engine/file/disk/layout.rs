//! The parts of a store's storage: a header, the journal, and the tables after it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use redb::StorageBackend;

use super::backend::Shifted;
use super::journal::{JournalFile, Region};
use super::place::FilePlace;
use crate::codec::{FileHeader, HEADER_BYTES, HeaderLayout};
use crate::engine::problem::Problem;
use crate::event::StoreId;
use crate::limits::{FILE_HEADER_BYTES, LAST_COMMIT_PAGES_BYTES, MAX_JOURNAL_BYTES};

/// redb's flag for a file that was not closed, which follows its magic bytes.
const REDB_FLAGS: u64 = 9;
const RECOVERY_REQUIRED: u8 = 2;

/// The same storage through two handles: with its own, the journal sees every failed sync.
pub(crate) struct Storage {
    pub(crate) tables: Arc<dyn StorageBackend>,
    pub(crate) journal: Arc<dyn StorageBackend>,
    pub(crate) header: FileHeader,
    /// Problems found in the header.
    pub(crate) damage: Vec<Problem>,
    /// The file, if it was not closed cleanly.
    pub(crate) stale: Option<Arc<File>>,
    /// Where it was opened, if it is a file.
    pub(crate) place: FilePlace,
}

impl Storage {
    /// Whether it is a file of the first format.
    pub(crate) fn is_bare(&self) -> bool {
        self.header.tables == 0
    }

    fn region(&self) -> Region {
        Region { start: self.header.journal, len: self.header.tables - self.header.journal }
    }

    /// What the journal is read from.
    pub(crate) fn journal_file(&self) -> JournalFile {
        JournalFile {
            file: self.journal.clone(),
            region: self.region(),
            secret: self.header.secret,
            last_commit: self.last_commit(),
        }
    }

    /// Where it keeps which commit was acknowledged last.
    fn last_commit(&self) -> Option<u64> {
        match self.header.layout {
            HeaderLayout::JournalFirst => None,
            HeaderLayout::LastCommitFirst => Some(FILE_HEADER_BYTES),
        }
    }

    pub(crate) fn shifted(&self) -> Shifted {
        Shifted {
            inner: self.tables.clone(),
            by: self.header.tables,
            stale: self.stale.clone(),
            refreshed: AtomicBool::new(false),
        }
    }

    /// Whether it was not closed cleanly.
    pub(crate) fn is_dirty(&self) -> io::Result<bool> {
        let mut flags = [0];
        if self.tables.len()? <= self.header.tables + REDB_FLAGS {
            return Ok(true);
        }
        self.tables.read(self.header.tables + REDB_FLAGS, &mut flags)?;
        Ok(flags.iter().any(|flags| flags & RECOVERY_REQUIRED != 0))
    }
}

pub(crate) fn read_header(storage: &dyn StorageBackend) -> io::Result<[u8; HEADER_BYTES]> {
    let mut bytes = [0; HEADER_BYTES];
    let len = usize::try_from(storage.len()?).unwrap_or(usize::MAX).min(HEADER_BYTES);
    if let Some(part) = bytes.get_mut(..len) {
        storage.read(0, part)?;
    }
    Ok(bytes)
}

/// Makes room for the journal in an empty storage, and writes the header. Without a secret, it draws one.
pub(crate) fn lay_out(
    storage: &dyn StorageBackend,
    journal_bytes: u64,
    secret: Option<[u8; 16]>,
) -> io::Result<FileHeader> {
    let journal = FILE_HEADER_BYTES + LAST_COMMIT_PAGES_BYTES;
    let tables = journal + journal_bytes.min(MAX_JOURNAL_BYTES).next_multiple_of(4_096);
    let layout = HeaderLayout::LastCommitFirst;
    let secret = secret.unwrap_or_else(draw_secret);
    let header = FileHeader { layout, journal, tables, secret };
    storage.set_len(tables)?;
    // Their blocks are there then, so that a full disk does not bar them.
    storage.write(FILE_HEADER_BYTES, &[0; LAST_COMMIT_PAGES_BYTES as usize])?;
    storage.write(0, &header.encode())?;
    Ok(header)
}

/// Built from the random halves of two ids.
fn draw_secret() -> [u8; 16] {
    let mut secret = [0; 16];
    for half in secret.chunks_exact_mut(8) {
        half.copy_from_slice(StoreId::new().bytes().last_chunk::<8>().unwrap_or(&[0; 8]));
    }
    secret
}
