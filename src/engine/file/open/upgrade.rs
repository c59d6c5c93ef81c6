//! Upgrading files of an earlier release when they are opened: a new file is created beside the old one and then
//! takes its name. The old one is kept.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{ReadTransaction, TableHandle};
use tracing::info;

use super::agreement::agrees;
use super::copy::copy_tables;
use super::create::{Draft, remove_left};
use super::initialise::initialise;
use super::meta_row::read_meta;
use super::old::{JOURNAL, frames, is_bare, uncounted};
use super::recover::load_journal;
use super::refusal::io_error;
use super::storage::{file_backend, is_earlier, open_tables, storage_of, whole_storage};
use crate::codec::{FORMAT, Meta};
use crate::engine::file::disk::journal::Ring;
use crate::engine::file::disk::place::FilePlace;
use crate::engine::file::flush::into_tables::Flushed;
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::options::Options;
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{is_a_table, unknown};
use crate::engine::file::tables::lookup;
use crate::engine::upgraded::Upgraded;
use crate::error::{Error, Result};
use crate::files::{link, new_file, sync, sync_folder_of};

/// How many names are tried for a copy of one store.
const MAX_COPIES: u32 = 1_000;

/// Keeps the file under a second name that is not taken.
fn keep(path: &Path, format: u32) -> Result<PathBuf> {
    let failed = |e: &io::Error| {
        let path = path.display();
        Error::storage(format!(
            "{path} cannot be upgraded, because a copy of it cannot be kept in its folder: {e}; free space there, or open it read-only"
        ))
    };
    for n in 1..=MAX_COPIES {
        let number = if n == 1 { String::new() } else { format!(".{n}") };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".format{format}.bak{number}"));
        let copy = PathBuf::from(name);
        match link(path, &copy) {
            Ok(()) => return Ok(copy),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                // No hard links here. While the store is locked, nobody else creates this name.
                let mut to = match new_file(&copy) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                    made => made.map_err(|e| failed(&e))?,
                };
                let copied = File::open(path).and_then(|mut from| io::copy(&mut from, &mut to));
                return copied.and_then(|_| sync(&to)).map(|()| copy).map_err(|e| failed(&e));
            }
            Err(e) => return Err(failed(&e)),
        }
    }
    Err(failed(&io::Error::other(format!("there are {MAX_COPIES} already"))))
}

/// A file of an earlier format, open and locked.
struct Old {
    db: Db,
    meta: Meta,
    /// What its journal holds.
    frames: Vec<(u64, Bytes)>,
}

impl Old {
    /// `None` when somebody else has upgraded the file meanwhile.
    fn open(path: &Path, name: &str, options: &Options) -> Result<Option<Self>> {
        let open = || {
            let file = OpenOptions::new().read(true).write(true).open(path);
            file.map_err(|e| io_error(name, &e))
        };
        let place = FilePlace::of(Some(path));
        let file = open()?;
        let bare = is_bare(&file).map_err(|e| io_error(name, &e))?;
        if !is_earlier(&file).map_err(|e| io_error(name, &e))? {
            return Ok(None);
        }
        let tables = file_backend(file, name)?;
        let storage = match bare {
            true => whole_storage(tables),
            false => storage_of(tables, file_backend(open()?, name)?, name, options)?,
        };
        let dirty = storage.is_dirty().map_err(|e| io_error(name, &e))?;
        // From here on nobody else has it, because its tables are locked. But somebody may have been faster: then the name
        // leads to another file.
        let db = open_tables(&storage, name, options)?;
        if !place.still_holds() || !is_earlier(&open()?).map_err(|e| io_error(name, &e))? {
            return Ok(None);
        }
        let txn = db.begin_read()?;
        let meta = read_meta(&txn, name, None)?;
        // Damaged tables are not copied over what may yet be saved.
        agrees(&txn, &meta)?;
        all_known(&txn)?;
        let frames = if bare {
            frames(&txn)?
        } else {
            let recovered = Ring::recover(&storage.journal_file(), meta.journal, dirty)?;
            match recovered.hole {
                Some(hole) => return Err(hole.error()),
                None => recovered.frames,
            }
        };
        drop(txn);
        Ok(Some(Self { db, meta, frames }))
    }
}

/// A table under another name is one of ours whose name is damaged: it would not be copied.
fn all_known(txn: &ReadTransaction) -> Result<()> {
    for table in lookup::tables(txn)? {
        let (name, _) = table?;
        if name != JOURNAL.name() && !is_a_table(&name) {
            return Err(unknown(&name));
        }
    }
    Ok(())
}

/// Upgrades a file of an earlier format. After a kill or a power cut the file is whole, in one format or the other.
pub(crate) fn upgrade_file(path: &Path, name: &str, options: &Options) -> Result<Option<Upgraded>> {
    // A symbolic link leads to the file that others open too.
    let path = &fs::canonicalize(path).map_err(|e| io_error(name, &e))?;
    let Some(old) = Old::open(path, name, options)? else { return Ok(None) };
    let from = old.meta.format;
    remove_left(path);
    let draft = Draft::written(path, name, options, |db| {
        initialise(db)?;
        copy_store(&old, db)
    })?;
    let draft = draft
        .ok_or_else(|| io_error(name, &io::Error::other("its upgraded file was removed in the meantime")))?;
    let copy = keep(path, from)?;
    // The old file must not lose its last name to a power cut that keeps only the change after this one.
    sync_folder_of(&copy).map_err(|e| io_error(name, &e))?;
    draft.looks_like(path)?;
    draft.replace(path)?;
    draft.sync_folder()?;
    drop(old);
    info!(from, to = FORMAT, kept = %copy.display(), "brought up to date");
    Ok(Some(Upgraded { from, to: FORMAT, copy }))
}

/// Copies every table, and flushes what the old journal holds.
fn copy_store(old: &Old, db: &Db) -> Result<()> {
    let txn = &old.db.begin_read()?;
    let counts = old.meta.counts.plus(uncounted(txn, old.meta.format)?);
    let before = Meta { counts, ..old.meta.clone() };
    let journal = load_journal(txn, &before, old.frames.clone(), &Branches::new())?;
    if let Some(error) = journal.broken {
        return Err(error);
    }
    let mut flushed = Flushed::default();
    flushed.add(journal.tail.growing());
    let (position, counts) = (journal.tail.committed(), journal.tail.counts());
    let after = Meta { flushed: position, counts, next_branch: journal.next_branch, ..before };
    copy_tables(txn, db, &flushed, after, &mut |_, _| ControlFlow::Continue(()))
}
