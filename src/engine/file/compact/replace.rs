//! The new file takes the place of the old one between two commits. Until its name is on the disk nothing is recorded in
//! it, so that a power cut leaves a file with everything that was acknowledged, whichever of the two it is.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::copying::Copying;
use crate::codec::Meta;
use crate::engine::compaction::Compaction;
use crate::engine::file::contents::Contents;
use crate::engine::file::disk::ballast::free_bytes;
use crate::engine::file::disk::journal::Ring;
use crate::engine::file::open::agreement::agrees;
use crate::engine::file::open::create::Draft;
use crate::engine::file::open::meta_row::read_meta;
use crate::engine::file::open::refusal::io_error;
use crate::engine::file::open::storage::open_tables;
use crate::engine::file::options::Options;
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::lookup;
use crate::engine::file::write::commit::NewFile;
use crate::engine::file::write::writer::Writer;
use crate::engine::port::OnProgress;
use crate::error::{Error, Result};
use crate::limits::{COMPACT_CHANGED_ROWS, COMPACT_ROUNDS, COMPACT_SPARE_BYTES};

/// Keeps the keys of changed rows for as long as it lives.
struct Watch<'a>(&'a Contents);

impl<'a> Watch<'a> {
    fn begin(contents: &'a Contents) -> Result<Self> {
        let db = contents.db()?;
        contents.while_nobody_changes(|| db.watch_rows(true));
        Ok(Self(contents))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Ok(db) = self.0.db() {
            self.0.while_nobody_changes(|| db.watch_rows(false));
        }
    }
}

/// Gives the file under a path the name of the store, by calling what it is given.
pub(crate) type Moves<'a> = &'a dyn Fn(&Path, &mut dyn FnMut() -> Result<()>) -> Result<()>;

/// One at a time. The name changes within `moves`.
pub(crate) fn compact(
    contents: &Contents,
    writer: &Writer,
    moves: Moves<'_>,
    progress: &mut OnProgress<'_>,
) -> Result<Compaction> {
    let name = &contents.identity.name;
    let Some(at) = &contents.identity.path else {
        return Err(Error::storage(format!("{name} is not in a file, so there is none to compact")));
    };
    contents.in_place()?;
    // A symbolic link goes on leading to the store.
    let path = &fs::canonicalize(at).map_err(|e| io_error(name, &e))?;
    has_one_name(path, name)?;
    let size = || fs::metadata(path).map(|meta| meta.len());
    let before = size().map_err(|e| io_error(name, &e))?;
    let journal = writer.journal_file();
    let options = Options { journal_bytes: Some(journal.region.len), ..contents.options.clone() };
    let begun = Draft::begun(path, name, &options, Some(journal.secret))?;
    let (draft, storage) = begun
        .ok_or_else(|| io_error(name, &io::Error::other("its compacted file was removed in the meantime")))?;
    if options.reserve.is_some() {
        draft.preallocate(storage.header.tables)?;
    }
    let copy = open_tables(&storage, name, &options)?;
    let watch = Watch::begin(contents)?;
    let mut copying = Copying::default();
    let total = rows_of(&*contents.db()?)?;
    let mut rounds = 0;
    loop {
        leaves_room(path, name, options.reserve.unwrap_or_default())?;
        // Between two steps nothing keeps the file from being closed.
        let (changed, moment) = contents.moment(&*contents.db()?)?;
        let behind: usize = changed.values().map(BTreeSet::len).sum();
        let at_the_end = copying.step(&copy, &moment, changed)?;
        drop(moment);
        if progress(copying.rows.min(total), total).is_break() {
            return Err(Error::Closed { after: None });
        }
        if at_the_end && rounds == 0 {
            // Each step has left free what the one before had written.
            copy.pack()?;
            draft.sync()?;
            rounds = 1;
            continue;
        }
        // What is left is done while nobody can append: a little, or as little as it gets under this load.
        rounds += u32::from(at_the_end);
        if at_the_end && (behind < COMPACT_CHANGED_ROWS || rounds > COMPACT_ROUNDS) {
            break;
        }
    }
    let db = contents.db()?;
    let stays = contents.stays();
    let old = writer.change_file(&db, || {
        let (changed, moment) = contents.moment(&db)?;
        copying.finish(&copy, &moment, changed, name)?;
        agreed(&copy, name)?;
        draft.looks_like(path)?;
        draft.sync()?;
        let source = storage.journal_file();
        let ring = Ring::recover(&source, Meta::new([0; 16], 0).journal, false)?.ring;
        let place = draft.place(at)?;
        has_one_name(path, name)?;
        moves(&draft.path, &mut || draft.replace(path))?;
        let named = draft.sync_folder();
        draft.keep();
        Ok(NewFile { db: copy, ring, journal: source, place, named })
    })?;
    drop((stays, watch));
    drop((db, old));
    Ok(Compaction { before, after: size().unwrap_or_default() })
}

/// Under another name the old file would go on as another store.
#[cfg(unix)]
fn has_one_name(path: &Path, name: &str) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(path).map_err(|e| io_error(name, &e))?.nlink() {
        0 | 1 => Ok(()),
        names => {
            let reason =
                format!("{name} has {names} names (hard links), and would keep only one; remove the others");
            Err(Error::storage(reason))
        }
    }
}

#[cfg(not(unix))]
fn has_one_name(_: &Path, _: &str) -> Result<()> {
    Ok(())
}

/// The store itself goes on writing meanwhile.
fn leaves_room(path: &Path, name: &str, reserve: u64) -> Result<()> {
    let least = reserve + COMPACT_SPARE_BYTES;
    match free_bytes(path).filter(|free| *free < least) {
        None => Ok(()),
        Some(free) => Err(Error::storage(format!(
            "{name} cannot be compacted: {free} bytes are free on its disk, and {least} are kept for the store in the meantime; free some space"
        ))),
    }
}

/// Rows of all tables.
fn rows_of(db: &Db) -> Result<u64> {
    let txn = db.begin_read()?;
    lookup::tables(&txn)?.map(|table| table.map(|(_, rows)| rows)).sum()
}

/// What opening the file would find wrong with it.
fn agreed(copy: &Db, name: &str) -> Result<()> {
    let txn = copy.begin_read()?;
    agrees(&txn, &read_meta(&txn, name, None)?)
}
