//! A backup that is open for reading: a full one, or an incremental one, which no engine opens.

use std::path::Path;

use crate::codec::{BackupLabel, FORMAT, Features, Meta};
use crate::engine::file::disk::journal::Ring;
use crate::engine::file::moment::Moment;
use crate::engine::file::open::agreement::{agrees, named};
use crate::engine::file::open::meta_row::read_meta;
use crate::engine::file::open::start::open_file;
use crate::engine::file::open::storage::open_tables;
use crate::engine::file::options::{Mode, Options};
use crate::engine::file::redb_errors::{corrupt, guarded, malformed};
use crate::error::{Error, Result};

/// A chain may have many files, and each is read from one end to the other.
const CACHE_BYTES: usize = 1_024 * 1_024;

pub(super) struct BackupFile {
    pub(super) name: String,
    pub(super) meta: Meta,
    pub(super) label: BackupLabel,
    pub(super) moment: Moment<'static>,
}

impl BackupFile {
    /// Opens a backup that nobody has written to since it was made. `refuse` makes an error of a reason why it is none.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`], [`Error::Corrupt`], [`Error::NewerFormat`], [`Error::UnknownFeatures`], and
    /// what `refuse` makes.
    pub(super) fn open(path: &Path, refuse: &dyn Fn(String) -> Error) -> Result<Self> {
        let name = path.display().to_string();
        let opened = guarded(|| Self::read(path, &name, refuse));
        opened.map_err(|error| match error {
            Error::NotFound { name, .. } => Error::not_found("backup", name),
            error => within(&name, error),
        })
    }

    fn read(path: &Path, name: &str, refuse: &dyn Fn(String) -> Error) -> Result<Self> {
        let mode = Mode::OpenOnly;
        let options = Options { mode, read_only: true, cache_bytes: CACHE_BYTES, ..Options::default() };
        let (storage, _) = open_file(path, name, &options)?;
        if let Some(damage) = storage.damage.first() {
            return Err(damage.clone().into_error());
        }
        let is_dirty =
            storage.is_dirty().map_err(|e| Error::storage(format!("{name} cannot be read: {e}")))?;
        let db = open_tables(&storage, name, &options)?;
        let txn = db.begin_read()?;
        let meta = read_meta(&txn, name, None)?;
        match meta.features.barring(false) {
            0 => {}
            features => {
                return Err(Error::UnknownFeatures { path: name.to_owned(), features, may_read: false });
            }
        }
        let Some((label, is_untouched)) = BackupLabel::of(&meta).map_err(malformed("its label"))? else {
            let reason = "it has no label: it is no backup, or an earlier release made it";
            return Err(refuse(reason.to_owned()));
        };
        let is_written = || {
            let journal = Ring::recover(&storage.journal_file(), meta.journal, is_dirty)?;
            Ok::<_, Error>(!journal.frames.is_empty() || journal.hole.is_some())
        };
        if meta.format < FORMAT || !is_untouched || is_written()? {
            return Err(refuse("it was written to since it was made".to_owned()));
        }
        let is_increment = meta.features.incompatible & Features::INCREMENT != 0;
        if is_increment != label.since.is_some() {
            return Err(corrupt("its label", "it does not say what kind of backup it is"));
        }
        match &label.since {
            Some(since) if since.position > meta.flushed => {
                return Err(corrupt("its label", "it ends before it begins"));
            }
            Some(_) => named(&txn, &meta)?,
            None => agrees(&txn, &meta)?,
        }
        let moment = Moment::of_tables(txn, meta.flushed);
        Ok(Self { name: name.to_owned(), meta, label, moment })
    }

    /// Whether a walk through a table has seen all of its rows: a damaged page may hide some.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub(super) fn counted(&self, table: &str, seen: u64) -> Result<()> {
        let due = self.meta.rows_of(table).unwrap_or_default();
        match seen == due {
            true => Ok(()),
            false => Err(within(&self.name, corrupt(table, format!("{seen} rows are found, of {due}")))),
        }
    }

    /// Reads it; damage is reported with its name.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Moment<'_>) -> Result<T>) -> Result<T> {
        guarded(|| read(&self.moment)).map_err(|error| within(&self.name, error))
    }
}

/// The error with the name of the file, where it says only the place in it.
fn within(name: &str, error: Error) -> Error {
    match error {
        Error::Corrupt { place, reason } if !place.contains(name) => {
            Error::Corrupt { place: format!("{name}: {place}"), reason }
        }
        error => error,
    }
}
