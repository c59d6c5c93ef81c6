//! Files that an earlier release wrote are brought up to date when they are opened: beside the old file a new one is
//! made, which then takes its name. The old one is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableHandle, Value};
use tracing::{info, warn};

use super::branch::{Branch, Branches};
use super::builder::Options;
use super::create::{Draft, new_file, remove_left};
use super::db::Db;
use super::journal::load_journal;
use super::layout::initialise;
use super::lookup;
use super::open::{io_error, not_a_store, refused};
use super::settle::{Item, settle_store};
use super::tables::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use super::trouble::{Trouble, corrupt, guarded, malformed};
use crate::codec::{Chunk, Counts, FORMAT, Meta, OldMeta, decode_record};
use crate::error::{Error, Result};
use crate::event::MAIN;

/// How many copies beside one store are given names of their own.
const MAX_COPIES: u32 = 1_000;

/// What became of a file of an earlier format as it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgraded {
    /// The format that it had.
    pub from: u32,
    /// The format that it has.
    pub to: u32,
    /// The file as it was.
    pub copy: PathBuf,
}

/// The first bytes of a redb file: of formats before the second, a store's.
const REDB_MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// Number of the commit to its frame, in formats before the second.
const JOURNAL: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("journal");
/// Rows in one transaction.
const ROWS: usize = 100_000;

/// Whether the file is redb's alone, without our header: a store of the first format, or another program's.
pub(super) fn is_bare(mut file: &File) -> io::Result<bool> {
    let mut head = Vec::with_capacity(REDB_MAGIC.len());
    file.by_ref().take(REDB_MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == REDB_MAGIC)
}

/// Gives the file another name, of those that nothing has yet.
fn keep(path: &Path, format: u32) -> Result<PathBuf> {
    let failed = |e: &io::Error| {
        let path = path.display();
        Error::storage(format!(
            "{path} cannot be upgraded: no copy of it can be kept in its folder: {e}; make room there, or open it read-only"
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
                // No links here: nobody else makes this name while the store is locked.
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

/// Brings a file of an earlier format to this one. A kill or a power cut leaves the file in one format or the other,
/// whole.
pub(super) fn upgrade_file(path: &Path, name: &str, options: &Options) -> Result<Option<Upgraded>> {
    // Behind a link lies the file that others open too.
    let path = &fs::canonicalize(path).map_err(|e| io_error(name, &e))?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| io_error(name, &e))?;
    let old = redb::Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_file(file)
        .map_err(|e| refused(name, e))?;
    // From here on nobody else has it; perhaps somebody was faster.
    if !is_bare(&File::open(path).map_err(|e| io_error(name, &e))?).map_err(|e| io_error(name, &e))? {
        return Ok(None);
    }
    let txn = old.begin_read().told()?;
    let meta = old_meta(&txn, name)?;
    remove_left(path);
    let draft = Draft::written(path, name, options, |db| {
        initialise(db)?;
        copy_store(&txn, &meta, db)
    })?;
    let draft =
        draft.ok_or_else(|| io_error(name, &io::Error::other("its new form was removed meanwhile")))?;
    drop(txn);
    let copy = keep(path, meta.format)?;
    draft.replace(path)?;
    draft.sync_folder()?;
    drop(old);
    info!(from = meta.format, to = FORMAT, kept = %copy.display(), "brought up to date");
    Ok(Some(Upgraded { from: meta.format, to: FORMAT, copy }))
}

pub(super) fn old_meta(txn: &ReadTransaction, name: &str) -> Result<OldMeta> {
    let Some(table) = lookup::open_if_made(txn, META)? else {
        return Err(not_a_store(name, "is a redb file of another program"));
    };
    let place = || format!("the meta row of {name}");
    let row = lookup::get(&table, META_KEY)?.ok_or_else(|| corrupt(place(), "it is missing"))?;
    let found = Meta::format(row.value()).map_err(malformed(place()))?;
    if found >= FORMAT {
        return Err(Error::NewerFormat { path: name.to_owned(), found, supported: FORMAT });
    }
    OldMeta::decode(row.value()).map_err(malformed(place()))
}

/// What the tables of the first format hold, which does not count it. Whatever is damaged counts for nothing: a store
/// is not refused for one chunk, and `verify` names it.
pub(super) fn count(txn: &ReadTransaction) -> Result<Counts> {
    let mut counts = Counts { branches: lookup::len(&lookup::open(txn, LINES)?)?, ..Counts::default() };
    for row in lookup::rows(&lookup::open(txn, BRANCHES)?, ("", "")..)? {
        let (names, _) = row?;
        counts.sessions += u64::from(names.value().1 == MAIN);
    }
    for row in lookup::rows(&lookup::open(txn, EVENTS)?, (0, 0)..)? {
        let (key, value) = row?;
        let chunk = match Chunk::decode(value.value()) {
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

/// Copies every table, and settles what the old journal holds.
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
    let items: Vec<Item<'_>> =
        layer.events().iter().map(|e| Item { branch: e.branch, event: &e.event }).collect();
    let births: Vec<&Branch> = layer.births().map(|b| &**b).collect();
    let (settled, counts) = (layer.last(), now.counts.plus(layer.counts()));
    settle_store(&txn, &items, &births, Meta { settled, counts, next_branch: journal.next_branch, ..now })?;
    txn.commit()
}

/// The frames of the old journal.
pub(super) fn frames(old: &ReadTransaction) -> Result<Vec<(u64, Bytes)>> {
    let table = lookup::open(old, JOURNAL)?;
    let mut frames = Vec::new();
    for row in lookup::rows(&table, 0..)? {
        let (commit, frame) = row?;
        let expected = frames.len() as u64 + 1;
        if commit.value() != expected {
            return Err(corrupt(format!("commit {expected} of the journal"), "it is missing"));
        }
        frames.push((commit.value(), Bytes::copy_from_slice(frame.value())));
    }
    Ok(frames)
}

fn copy<K: Key + 'static, V: Value + 'static>(
    old: &ReadTransaction,
    db: &Db,
    table: TableDefinition<'static, K, V>,
) -> Result<()> {
    let from = lookup::open(old, table)?;
    let mut rows = guarded(|| from.iter().told())?;
    let mut copied = 0;
    loop {
        let before = copied;
        let txn = db.begin_write(|_| Ok(()))?;
        {
            let mut to = txn.open(table)?;
            for row in rows.by_ref().take(ROWS) {
                let (key, value) = row.told()?;
                to.insert(key.value(), value.value())?;
                copied += 1;
            }
        }
        if copied == before {
            break;
        }
        txn.commit()?;
    }
    // The count is kept apart from the rows; where they differ, rows are missing.
    match lookup::len(&from)? {
        len if len == copied => Ok(()),
        len => {
            Err(corrupt(format!("table {}", table.name()), format!("it has {copied} rows and counts {len}")))
        }
    }
}
