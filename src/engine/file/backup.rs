//! A backup: all that is committed, copied into a new file while the store is in use.

use std::path::Path;

use super::contents::Contents;
use super::flush::into_tables::Flushed;
use super::open::copy::copy_tables;
use super::open::create::create_filled;
use super::open::meta_row::read_meta;
use super::open::old::uncounted;
use super::options::Options;
use super::redb_errors::corrupt;
use super::tables::db::Db;
use crate::codec::Meta;
use crate::engine::backup::Backup;
use crate::engine::port::OnProgress;
use crate::engine::problem::Problem;
use crate::error::Result;
use crate::event::Position;

/// Copies the store into a new file. What is in its journal is in the tables when this is called, or the store is only read:
/// then nothing moves while it is copied.
pub(super) fn backup(
    contents: &Contents,
    db: &Db,
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<Backup> {
    if let Some(Problem { place, reason }) = contents.identity.damage.first() {
        let reason = format!("{reason}; a copy would not show it any more: repair the file");
        return Err(corrupt(place, reason));
    }
    // The copy is written and synced, however the store was opened.
    let options = Options { read_only: false, sync: true, ..contents.options.clone() };
    let mut position = 0;
    let bytes = create_filled(to, &options, |copy| {
        let txn = db.begin_read()?;
        let meta = read_meta(&txn, &contents.identity.name, None)?;
        if contents.read_only() {
            let tail = contents.own_tail();
            let mut flushed = Flushed::default();
            tail.layers().for_each(|layer| flushed.add(layer));
            let next_branch = meta.next_branch + tail.births().count() as u64;
            position = tail.committed();
            let counts = tail.counts().plus(uncounted(&txn, meta.format)?);
            let meta = Meta { flushed: position, counts, next_branch, ..meta };
            copy_tables(&txn, copy, &flushed, meta, progress)
        } else {
            position = meta.flushed;
            copy_tables(&txn, copy, &Flushed::default(), meta, progress)
        }
    })?;
    Ok(Backup { path: to.to_owned(), position: Position::new(position), bytes })
}
