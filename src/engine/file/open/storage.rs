//! The storage of a file that is about to be opened, split into its parts by the header.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::old::is_bare;
use super::refusal::{io_error, not_a_store, refused};
use crate::codec::{FileHeader, HEADER_BYTES, HeaderLayout, MAGIC};
use crate::engine::file::disk::backend::{Overlay, Unsynced};
use crate::engine::file::disk::layout::{Storage, read_header};
#[cfg(all(unix, feature = "testkit"))]
use crate::engine::file::disk::logged::Logged;
use crate::engine::file::disk::mend::mended;
use crate::engine::file::disk::place::FilePlace;
use crate::engine::file::options::Options;
use crate::engine::file::redb_errors::{corrupt, guarded};
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::pages::Pages;
use crate::engine::file::tables::system::system_damage;
use crate::engine::problem::Problem;
use crate::error::Result;
#[cfg(all(unix, feature = "testkit"))]
use crate::files::LoggedFile;

pub(crate) fn file_backend(file: File, name: &str) -> Result<Arc<dyn StorageBackend>> {
    #[cfg(all(unix, feature = "testkit"))]
    let logged = LoggedFile::of(&file);
    let backend = FileBackend::new(file).map_err(|e| refused(name, e))?;
    #[cfg(all(unix, feature = "testkit"))]
    if let Some(logged) = logged {
        return Ok(Arc::new(Logged { inner: backend, logged }));
    }
    Ok(Arc::new(backend))
}

pub(crate) fn storage_of(
    tables: Arc<dyn StorageBackend>,
    journal: Arc<dyn StorageBackend>,
    name: &str,
    options: &Options,
) -> Result<Storage> {
    let len = tables.len().map_err(|e| io_error(name, &e))?;
    if len == 0 {
        return Err(not_a_store(name, "is empty"));
    }
    let bytes = read_header(&*tables).map_err(|e| io_error(name, &e))?;
    let mut damage = Vec::new();
    let header = match FileHeader::decode(&bytes) {
        Ok(header) => header,
        Err(malformed) => {
            let decode = |bytes: &[u8]| match bytes.first_chunk() {
                Some(bytes) => FileHeader::decode(bytes),
                None => Err(malformed.clone()),
            };
            match mended(&bytes, decode).filter(|_| options.read_only) {
                Some(header) => {
                    damage.push(Problem::new(name, format!("{malformed}; one bit of it is wrong")));
                    header
                }
                None if !bytes.starts_with(&MAGIC) => return Err(not_a_store(name, "is something else")),
                None => return Err(corrupt(name, malformed.to_string())),
            }
        }
    };
    if len < header.tables {
        return Err(corrupt(name, "it ends early"));
    }
    let (tables, journal): (Arc<dyn StorageBackend>, Arc<dyn StorageBackend>) = if options.read_only {
        let overlay = Overlay::new(tables).map_err(|e| io_error(name, &e))?;
        (Arc::new(overlay), journal)
    } else if options.sync {
        (tables, journal)
    } else {
        (Arc::new(Unsynced(tables)), Arc::new(Unsynced(journal)))
    };
    Ok(Storage { tables, journal, header, damage, stale: None, place: FilePlace::of(None) })
}

/// A file of the first format, which is all tables, to be read only.
pub(crate) fn bare_storage(tables: Arc<dyn StorageBackend>, name: &str) -> Result<Storage> {
    Ok(whole_storage(Arc::new(Overlay::new(tables).map_err(|e| io_error(name, &e))?)))
}

/// A file of the first format.
pub(crate) fn whole_storage(tables: Arc<dyn StorageBackend>) -> Storage {
    Storage {
        journal: tables.clone(),
        tables,
        header: FileHeader { layout: HeaderLayout::JournalFirst, journal: 0, tables: 0, secret: [0; 16] },
        damage: Vec::new(),
        stale: None,
        place: FilePlace::of(None),
    }
}

/// Whether the file is of an earlier format. One that is damaged is not.
pub(crate) fn is_earlier(mut file: &File) -> io::Result<bool> {
    if is_bare(file)? {
        return Ok(true);
    }
    let mut bytes = [0; HEADER_BYTES];
    file.seek(SeekFrom::Start(0))?;
    match file.read_exact(&mut bytes) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    Ok(FileHeader::decode(&bytes).is_ok_and(|header| header.layout == HeaderLayout::JournalFirst))
}

/// What a file has in common with those that it continues: the secret of its journal. Backups and upgrades draw their own.
#[cfg(unix)]
pub(crate) fn line_of(path: &Path) -> Option<[u8; 16]> {
    let mut bytes = [0; HEADER_BYTES];
    File::open(path).ok()?.read_exact(&mut bytes).ok()?;
    FileHeader::decode(&bytes).ok().map(|header| header.secret)
}

/// The tables of a storage. Those of one that is written to have to be sound.
pub(crate) fn open_tables(storage: &Storage, name: &str, options: &Options) -> Result<Db> {
    open_damaged_tables(storage, name, options).map(|(db, _)| db)
}

/// The tables of a storage, and what is wrong with its list of free pages: that is refused, unless it is only read.
pub(crate) fn open_damaged_tables(
    storage: &Storage,
    name: &str,
    options: &Options,
) -> Result<(Db, Option<Problem>)> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(options.cache_bytes);
    let db = guarded(|| builder.create_with_backend(storage.shifted()).map_err(|e| refused(name, e)))?;
    // Only now is the file locked.
    let (tables, base) = (storage.tables.clone(), storage.header.tables);
    let len = tables.len().map_err(|e| io_error(name, &e));
    let found = len.map(|len| system_damage(&mut Pages::new(tables.clone(), base, len)));
    let is_unwritten = options.read_only || !matches!(found, Ok(None));
    let db = Db::new(db, tables, base, is_unwritten);
    match found? {
        Some(found) if !options.read_only => {
            let way_out = "nothing can be written to it; open it read-only, or have it repaired";
            Err(corrupt(name, format!("its list of free pages is damaged, {found}: {way_out}")))
        }
        found => Ok((db, found)),
    }
}
