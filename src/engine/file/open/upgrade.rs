//! Upgrading files of an earlier release when they are opened: a new file is created beside the old one and then
//! takes its name. The old one is kept.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::{Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableHandle, Value};
use tracing::info;

use super::agreement::disagreements;
use super::create::{Draft, new_file, remove_left};
use super::initialise::initialise;
use super::old::{count, frames, is_bare, old_meta};
use super::recover::load_journal;
use super::refusal::{io_error, refused};
use crate::codec::{FORMAT, Meta, OldMeta};
use crate::engine::branch::Branch;
use crate::engine::file::flush::into_tables::{ToFlush, flush_into};
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::options::Options;
use crate::engine::file::redb_errors::{MapRedb, corrupt, guarded};
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, ORDER};
use crate::engine::file::tables::lookup;
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

/// Upgrades a file of an earlier format. After a kill or a power cut the file is whole, in one format or the other.
pub(crate) fn upgrade_file(path: &Path, name: &str, options: &Options) -> Result<Option<Upgraded>> {
    // A symbolic link leads to the file that others open too.
    let path = &fs::canonicalize(path).map_err(|e| io_error(name, &e))?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| io_error(name, &e))?;
    let old = redb::Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_file(file)
        .map_err(|e| refused(name, e))?;
    // From here on nobody else has it; but somebody may have been faster.
    if !is_bare(&File::open(path).map_err(|e| io_error(name, &e))?).map_err(|e| io_error(name, &e))? {
        return Ok(None);
    }
    let txn = old.begin_read().map_redb()?;
    let meta = old_meta(&txn, name)?;
    // Damaged tables are not copied over what may yet be saved.
    if let Some(problem) = disagreements(&txn, &meta.into())?.into_iter().next() {
        return Err(problem.into_error());
    }
    remove_left(path);
    let draft = Draft::written(path, name, options, |db| {
        initialise(db)?;
        copy_store(&txn, &meta, db)
    })?;
    let draft = draft
        .ok_or_else(|| io_error(name, &io::Error::other("its upgraded file was removed in the meantime")))?;
    drop(txn);
    let copy = keep(path, meta.format)?;
    draft.replace(path)?;
    draft.sync_folder()?;
    drop(old);
    info!(from = meta.format, to = FORMAT, kept = %copy.display(), "brought up to date");
    Ok(Some(Upgraded { from: meta.format, to: FORMAT, copy }))
}

/// Copies every table, and flushes what the old journal holds.
fn copy_store(old: &ReadTransaction, meta: &OldMeta, db: &Db) -> Result<()> {
    copy(old, db, BRANCHES)?;
    copy(old, db, LINES)?;
    copy(old, db, HEADS)?;
    copy(old, db, EVENTS)?;
    copy(old, db, ORDER)?;
    copy(old, db, IDS)?;
    let now = Meta { format: FORMAT, counts: count(old)?, ..Meta::from(*meta) };
    let journal = load_journal(old, &now, frames(old)?, &Branches::new())?;
    if let Some(error) = journal.broken {
        return Err(error);
    }
    let txn = db.begin_write(|_| Ok(()))?;
    let layer = journal.tail.growing();
    let items: Vec<ToFlush<'_>> =
        layer.events().iter().map(|e| ToFlush { branch: e.branch, event: &e.event }).collect();
    let births: Vec<&Branch> = layer.births().map(|b| &**b).collect();
    let (flushed, counts) = (layer.last(), now.counts.plus(layer.counts()));
    flush_into(&txn, &items, &births, Meta { flushed, counts, next_branch: journal.next_branch, ..now })?;
    txn.commit()
}

fn copy<K: Key + 'static, V: Value + 'static>(
    old: &ReadTransaction,
    db: &Db,
    table: TableDefinition<'static, K, V>,
) -> Result<()> {
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
    // redb keeps the count apart from the rows; where they differ, rows are missing.
    match lookup::len(&from)? {
        len if len == copied => Ok(()),
        len => Err(corrupt(
            format!("table {}", table.name()),
            format!("it has {copied} rows, but its row count is {len}"),
        )),
    }
}
