//! Upgrading files of an earlier release when they are opened: a new file is created beside the old one and then
//! takes its name. The old one is kept.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Key, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle, Value};
use tracing::info;

use super::agreement::disagreements;
use super::create::{Draft, new_file, remove_left};
use super::initialise::initialise;
use super::meta_row::read_meta;
use super::old::{count, frames, is_bare};
use super::recover::load_journal;
use super::refusal::io_error;
use super::storage::{file_backend, is_earlier, open_tables, storage_of, whole_storage};
use crate::codec::{BranchRow, FORMAT, Meta};
use crate::engine::file::disk::journal::Ring;
use crate::engine::file::flush::into_tables::{Flushed, flush_into};
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::options::Options;
use crate::engine::file::redb_errors::{MapRedb, corrupt, guarded};
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, ORDER};
use crate::engine::file::tables::lookup;
use crate::engine::file::tables::sidecar_view::table_of;
use crate::engine::sidecar::SidecarTable;
use crate::engine::upgraded::Upgraded;
use crate::error::{Error, Result};

/// How many names are tried for a copy of one store.
const MAX_COPIES: u32 = 1_000;

/// Rows in one transaction.
const ROWS: usize = 100_000;

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
        match fs::hard_link(path, &copy) {
            Ok(()) => return Ok(copy),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                // No hard links here. While the store is locked, nobody else creates this name.
                let mut to = match new_file(&copy) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                    made => made.map_err(|e| failed(&e))?,
                };
                let copied = File::open(path).and_then(|mut from| io::copy(&mut from, &mut to));
                return copied.and_then(|_| to.sync_all()).map(|()| copy).map_err(|e| failed(&e));
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
        let bare = is_bare(&open()?).map_err(|e| io_error(name, &e))?;
        // From here on nobody else has it, because its tables are locked …
        let tables = file_backend(open()?, name)?;
        // … but somebody may have been faster.
        let is_old = is_earlier(&open()?).map_err(|e| io_error(name, &e))?;
        if !is_old || bare != is_bare(&open()?).map_err(|e| io_error(name, &e))? {
            return Ok(None);
        }
        let journal = file_backend(open()?, name);
        let storage = match bare {
            true => whole_storage(tables),
            false => storage_of(tables, journal?, name, options)?,
        };
        let dirty = storage.is_dirty().map_err(|e| io_error(name, &e))?;
        let db = open_tables(&storage, name, options)?;
        let txn = db.begin_read()?;
        let meta = read_meta(&txn, name, None)?;
        // Damaged tables are not copied over what may yet be saved.
        if let Some(problem) = disagreements(&txn, &meta)?.into_iter().next() {
            return Err(problem.into_error());
        }
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
    draft.replace(path)?;
    draft.sync_folder()?;
    drop(old);
    info!(from, to = FORMAT, kept = %copy.display(), "brought up to date");
    Ok(Some(Upgraded { from, to: FORMAT, copy }))
}

/// Copies every table, and flushes what the old journal holds.
fn copy_store(old: &Old, db: &Db) -> Result<()> {
    let txn = &old.db.begin_read()?;
    let counts = if old.meta.format == 1 { count(txn)? } else { old.meta.counts };
    let before = Meta { counts, ..old.meta.clone() };
    let mut meta = Meta { format: FORMAT, journal: Meta::new([0; 16], 0).journal, ..before.clone() };
    let mut copied = vec![
        copy(txn, db, BRANCHES)?,
        copy(txn, db, HEADS)?,
        copy(txn, db, EVENTS)?,
        copy(txn, db, ORDER)?,
        copy(txn, db, IDS)?,
        copy_branches(txn, db)?,
    ];
    for table in SidecarTable::ALL {
        if lookup::open_if_made(txn, table_of(table))?.is_some() {
            copied.push(copy(txn, db, table_of(table))?);
        }
    }
    copied.into_iter().for_each(|(table, rows)| meta.set_rows_of(&table, rows));
    let journal = load_journal(txn, &before, old.frames.clone(), &Branches::new())?;
    if let Some(error) = journal.broken {
        return Err(error);
    }
    let txn = db.begin_write(|_| Ok(()))?;
    let layer = journal.tail.growing();
    let mut flushed = Flushed::default();
    flushed.add(layer);
    let counts = counts.plus(layer.counts());
    let meta = Meta { flushed: layer.last(), counts, next_branch: journal.next_branch, ..meta };
    flush_into(&txn, &flushed, meta)?;
    txn.commit()
}

/// Branches have another layout since.
fn copy_branches(old: &ReadTransaction, db: &Db) -> Result<(String, u64)> {
    let from = lookup::open(old, LINES)?;
    let mut rows = lookup::rows(&from, 0..)?;
    let mut copied = 0;
    loop {
        let before = copied;
        let txn = db.begin_write(|_| Ok(()))?;
        {
            let mut to = txn.open(LINES)?;
            for row in rows.by_ref().take(ROWS) {
                let (number, row) = row?;
                let number = number.value();
                // One that is damaged stays as it is: whoever reads it gets the error.
                match BranchRow::decode(number, row.value()) {
                    Ok(row) => to.insert(number, row.encode(number).as_slice())?,
                    Err(_) => to.insert(number, row.value())?,
                }
                copied += 1;
            }
        }
        if copied == before {
            return as_many(&from, copied, LINES.name());
        }
        txn.commit()?;
    }
}

fn copy<K: Key + 'static, V: Value + 'static>(
    old: &ReadTransaction,
    db: &Db,
    table: TableDefinition<'static, K, V>,
) -> Result<(String, u64)> {
    let from = lookup::open(old, table)?;
    let mut rows = guarded(|| from.iter().map_redb())?;
    let mut copied = 0;
    loop {
        let before = copied;
        let txn = db.begin_write(|_| Ok(()))?;
        {
            let mut to = txn.open(table)?;
            for row in rows.by_ref().take(ROWS) {
                let (key, value) = row.map_redb()?;
                to.insert(key.value(), value.value())?;
                copied += 1;
            }
        }
        if copied == before {
            break;
        }
        txn.commit()?;
    }
    as_many(&from, copied, table.name())
}

/// redb keeps the count apart from the rows; where they differ, rows are missing.
fn as_many(from: &impl ReadableTableMetadata, copied: u64, name: &str) -> Result<(String, u64)> {
    match lookup::len(from)? {
        len if len == copied => Ok((name.to_owned(), copied)),
        len => {
            let reason = format!("it has {copied} rows, but its row count is {len}");
            Err(corrupt(format!("table {name}"), reason))
        }
    }
}
