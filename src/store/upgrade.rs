//! A file of an earlier format becomes one of this format as it is opened to be written: a copy is put beside it,
//! then one transaction takes every step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use tracing::{info, warn};

use super::open::read_meta;
use super::settle::create_tables;
use super::tables::{BRANCHES, EVENTS, LINES, META, META_KEY};
use super::trouble::Trouble;
use crate::codec::{Chunk, Counts, FORMAT, Meta, decode_record};
use crate::error::{Error, Result};
use crate::event::{MAIN, StoreId};
use crate::limits::DEFAULT_CACHE_BYTES;

/// How many copies beside one store are given names of their own.
const MAX_BACKUPS: u32 = 1_000;

/// What became of a file of an earlier format as it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgraded {
    /// The format that it had.
    pub from: u32,
    /// The format that it has.
    pub to: u32,
    /// The copy of the file as it was; `None` for a store that is no file.
    pub copy: Option<PathBuf>,
}

/// Brings a store to this release's format; does nothing for one that has it. `file` is the store's own, already
/// locked: without one there is no copy.
///
/// A kill or a power cut leaves the file in one format or the other, whole. A copy that was made before is not
/// overwritten: the next try makes another beside it.
pub(super) fn upgrade(db: &Database, name: &str, file: Option<(&File, &Path)>) -> Result<Option<Upgraded>> {
    let txn = db.begin_read().told()?;
    let meta = read_meta(&txn, name)?;
    if meta.format == FORMAT {
        return Ok(None);
    }
    let mut kept = None;
    if let Some((file, path)) = file {
        let copy = backup(file, path, meta.format)?;
        info!(copy = %copy.display(), format = meta.format, "kept a copy of the store before its upgrade");
        kept = Some(copy);
    }
    // Nobody else writes while the file is open here, so what is counted now is what the transaction finds.
    let counts = count(&txn)?;
    drop(txn);
    let mut txn = db.begin_write().told()?;
    txn.set_durability(Durability::Immediate).told()?;
    txn.set_two_phase_commit(true);
    create_tables(&txn)?;
    let new = Meta { format: FORMAT, counts, ..meta };
    txn.open_table(META).told()?.insert(META_KEY, new.encode().as_slice()).told()?;
    txn.commit().told()?;
    info!(from = meta.format, to = FORMAT, "upgraded");
    Ok(Some(Upgraded { from: meta.format, to: FORMAT, copy: kept }))
}

/// From format 1 to 2: what format 2 keeps count of. Whatever is damaged counts for nothing: a store is not refused
/// for one chunk, and `verify` names it.
pub(super) fn count(txn: &ReadTransaction) -> Result<Counts> {
    let mut counts = Counts { branches: txn.open_table(LINES).told()?.len().told()?, ..Counts::default() };
    for row in txn.open_table(BRANCHES).told()?.iter().told()? {
        let (names, _) = row.told()?;
        counts.sessions += u64::from(names.value().1 == MAIN);
    }
    for row in txn.open_table(EVENTS).told()?.iter().told()? {
        let (key, value) = row.told()?;
        let chunk = match Chunk::decode(&Bytes::copy_from_slice(value.value())) {
            Ok(chunk) => chunk,
            Err(error) => {
                warn!(key = ?key.value(), %error, "a chunk is corrupt and was not counted");
                continue;
            }
        };
        for (_, _, record) in chunk.entries() {
            if let Ok(record) = decode_record(record) {
                counts.add_event(record.payload().len());
            }
        }
    }
    Ok(counts)
}

/// A copy of the store beside it, under a name that nothing has yet: opened once, so that it is known to be a store
/// and does not look as if it had not been closed.
fn backup(file: &File, path: &Path, format: u32) -> Result<PathBuf> {
    let failed = |e: io::Error| {
        Error::storage(format!(
            "{} cannot be upgraded: no copy of it can be kept in its folder: {e}; make room there, or open it read-only",
            path.display()
        ))
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let draft = folder.join(format!(".{name}.{}.new", StoreId::new()));
    let made = copy(file, &draft, format).and_then(|()| {
        for n in 1..=MAX_BACKUPS {
            let number = if n == 1 { String::new() } else { format!(".{n}") };
            let copy = folder.join(format!("{name}.format{format}.bak{number}"));
            match keep(&draft, &copy) {
                Ok(()) => return Ok(copy),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Err(failed(io::Error::other(format!("there are {MAX_BACKUPS} already"))))
    });
    // Gone already after a rename; after a failure there is nothing to keep.
    let _ = fs::remove_file(&draft);
    let copy = made.map_err(|e| match e {
        Error::Storage { .. } => e,
        // Whatever is wrong with the copy is wrong with the store.
        e => Error::storage(format!("{} cannot be upgraded: its copy does not open: {e}", path.display())),
    })?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed)?;
    Ok(copy)
}

fn copy(file: &File, draft: &Path, format: u32) -> Result<()> {
    let failed = |e: io::Error| Error::storage(format!("{} cannot be written: {e}", draft.display()));
    // The database reads at places of its own and does not mind where this handle stands.
    let mut from = file.try_clone().map_err(failed)?;
    from.rewind().map_err(failed)?;
    let mut to = OpenOptions::new().read(true).write(true).create_new(true).open(draft).map_err(failed)?;
    to.set_permissions(file.metadata().map_err(failed)?.permissions()).map_err(failed)?;
    io::copy(&mut from, &mut to).map_err(failed)?;
    let synced = to.try_clone().map_err(failed)?;
    let backend = FileBackend::new(to).map_err(|e| Error::storage(e.to_string()))?;
    let db = redb::Builder::new()
        .set_cache_size(DEFAULT_CACHE_BYTES)
        .create_with_backend(backend)
        .map_err(|e| Error::storage(e.to_string()))?;
    let found = read_meta(&db.begin_read().told()?, &draft.display().to_string())?.format;
    drop(db);
    synced.sync_all().map_err(failed)?;
    if found == format {
        return Ok(());
    }
    Err(Error::corrupt(draft.display(), format!("its copy has format {found}, not {format}")))
}

/// Gives the draft its name, unless that is taken.
fn keep(draft: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(draft, name) {
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            // No links here: nobody else makes this name while the store is locked.
            if name.exists() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(draft, name) }
        }
        linked => linked,
    }
}
