//! The damaged file, open to be read, and where its parts lie.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::StorageBackend;

use crate::codec::{FileHeader, HEADER_BYTES, HeaderLayout};
use crate::engine::file::disk::journal::{JournalFile, Region};
use crate::engine::file::disk::layout::read_header;
use crate::engine::file::disk::mend::mended;
use crate::engine::file::open::old::is_bare;
use crate::engine::file::open::refusal::{io_error, not_a_store};
use crate::engine::file::open::storage::file_backend;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::pages::{PAGE, Pages};
use crate::engine::problem::Problem;
use crate::error::{Error, Result};
use crate::limits::{FILE_HEADER_BYTES, LAST_COMMIT_PAGES_BYTES};

pub(super) struct DamagedFile {
    pub(super) pages: Pages,
    /// `None` for a file of the first format, whose journal is a table.
    pub(super) journal: Option<JournalFile>,
    /// Whether the header's secret, which proves entries of the journal, is known.
    pub(super) is_proven: bool,
    pub(super) len: u64,
    pub(super) damage: Vec<Problem>,
    file: Arc<dyn StorageBackend>,
}

impl Drop for DamagedFile {
    fn drop(&mut self) {
        let _ = self.file.unlock_range(Bound::Unbounded, Bound::Unbounded);
    }
}

impl DamagedFile {
    /// Where the journal of an earlier format begins. Without a header, only the meta row says which format it was.
    pub(super) fn place_journal(&mut self, format: Option<u32>) {
        let (Some(journal), Some(1 | 2), false) = (&mut self.journal, format, self.is_proven) else { return };
        let end = journal.region.start + journal.region.len;
        journal.region = Region { start: FILE_HEADER_BYTES, len: end - FILE_HEADER_BYTES };
        journal.last_commit = None;
    }

    /// How large the journal is, if that is known.
    pub(super) fn journal_bytes(&self) -> Option<u64> {
        self.journal.as_ref().filter(|_| self.is_proven).map(|journal| journal.region.len)
    }

    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::not_found("store", name)),
            opened => opened.map_err(|e| io_error(&name, &e))?,
        };
        if !file.metadata().map_err(|e| io_error(&name, &e))?.is_file() {
            return Err(not_a_store(&name, "is not a plain file"));
        }
        // Where its first bytes cannot be read, it has a header to be looked for.
        let is_bare = is_bare(&file).unwrap_or_default();
        Self::over(file_backend(file, &name)?, &name, is_bare)
    }

    /// The same of what is open already; `is_bare` when there is no journal in front of the tables.
    pub(super) fn over(file: Arc<dyn StorageBackend>, name: &str, is_bare: bool) -> Result<Self> {
        // Nobody writes to it meanwhile. Where there are no locks, nobody can tell.
        if matches!(file.try_lock_shared_range(Bound::Unbounded, Bound::Unbounded), Ok(false)) {
            return Err(Error::Locked { path: name.to_owned(), reason: String::new() });
        }
        let len = file.len().map_err(|e| io_error(name, &e))?;
        if len == 0 {
            return Err(not_a_store(name, "is empty"));
        }
        let mut damage = Vec::new();
        if is_bare {
            let pages = Pages::new(file.clone(), 0, len);
            return Ok(Self { pages, journal: None, is_proven: false, len, damage, file });
        }
        let (header, is_proven) = header(&file, len, name, &mut damage)?;
        if len < header.tables {
            damage.push(Problem::new(name, "it ends before its tables"));
        }
        let pages = Pages::new(file.clone(), header.tables, len);
        if len > header.tables && !pages.has_magic() {
            damage.push(Problem::new(name, "its tables do not begin as they should"));
        }
        let journal = JournalFile {
            file: file.clone(),
            region: Region { start: header.journal, len: header.tables - header.journal },
            secret: header.secret,
            last_commit: (header.layout == HeaderLayout::LastCommitFirst).then_some(FILE_HEADER_BYTES),
        };
        Ok(Self { pages, journal: Some(journal), is_proven, len, damage, file })
    }
}

/// The header, or what can be made out of the rest of the file; and whether its secret is right.
fn header(
    file: &Arc<dyn StorageBackend>,
    len: u64,
    name: &str,
    damage: &mut Vec<Problem>,
) -> Result<(FileHeader, bool)> {
    let bytes = read_header(&**file).or_else(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Err(io_error(name, &e)),
        _ => {
            damage.push(Problem::new(name, format!("its header cannot be read: {e}")));
            Ok([0; HEADER_BYTES])
        }
    })?;
    let malformed = match FileHeader::decode(&bytes) {
        Ok(header) => return Ok((header, true)),
        Err(malformed) => malformed,
    };
    let decode = |bytes: &[u8]| match bytes.first_chunk::<HEADER_BYTES>() {
        Some(bytes) => FileHeader::decode(bytes),
        None => Err(malformed.clone()),
    };
    if let Some(header) = mended(&bytes, decode) {
        damage.push(Problem::new(name, format!("{malformed}; one bit of it was wrong and was put right")));
        return Ok((header, true));
    }
    let journal = FILE_HEADER_BYTES + LAST_COMMIT_PAGES_BYTES;
    let begins = |at: &u64| Pages::new(file.clone(), *at, len).has_magic();
    let Some(tables) = (journal..len).step_by(PAGE as usize).find(begins) else {
        return Err(corrupt(
            name,
            format!("{malformed}, and no tables can be found in it; is it a retold store?"),
        ));
    };
    let reason =
        format!("{malformed}; its tables were found, but the journal cannot be proven to be this file's");
    damage.push(Problem::new(name, reason));
    let layout = HeaderLayout::LastCommitFirst;
    Ok((FileHeader { layout, journal, tables, secret: [0; 16] }, false))
}
