//! A backup: all that is committed, copied into a new file while the store is in use.

use std::path::Path;

use super::labels::{label_of, stick};
use crate::engine::backup::Backup;
use crate::engine::file::contents::Contents;
use crate::engine::file::moment::Moment;
use crate::engine::file::open::copy::copy_tables;
use crate::engine::file::open::create::create_filled;
use crate::engine::file::options::Options;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::db::Db;
use crate::engine::port::OnProgress;
use crate::engine::problem::Problem;
use crate::error::Result;
use crate::event::Position;

/// Copies the store into a new file, with a label of its own. What is in its journal is in the tables when this is called, or the
/// store is only read: then nothing moves while it is copied.
pub(in crate::engine::file) fn backup(
    contents: &Contents,
    db: &Db,
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<Backup> {
    filled(contents, db, to, true, progress)
}

/// The same for a store that goes on from where this one ended: it keeps whatever label it has.
pub(in crate::engine::file) fn copied(
    contents: &Contents,
    db: &Db,
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<Backup> {
    filled(contents, db, to, false, progress)
}

/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt) when the store lacks something that a copy would not show to be missing.
pub(super) fn undamaged(contents: &Contents) -> Result<()> {
    match contents.identity.damage.first() {
        None => Ok(()),
        Some(Problem { place, reason }) => {
            let reason = format!("{reason}; a copy would not show it any more: repair the file");
            Err(corrupt(place, reason))
        }
    }
}

fn filled(
    contents: &Contents,
    db: &Db,
    to: &Path,
    labels: bool,
    progress: &mut OnProgress<'_>,
) -> Result<Backup> {
    undamaged(contents)?;
    // The copy is written and synced, however the store was opened.
    let options = Options { read_only: false, sync: true, ..contents.options.clone() };
    let mut position = 0;
    let bytes = create_filled(to, &options, |copy| {
        let (moment, meta) = Moment::now(contents, db)?;
        position = moment.committed;
        copy_tables(&moment.txn, copy, &moment.journal(), meta, progress)?;
        match label_of(contents, &moment)?.filter(|_| labels) {
            Some(label) => stick(copy, &label),
            None => Ok(()),
        }
    })?;
    Ok(Backup { path: to.to_owned(), position: Position::new(position), since: None, bytes })
}
