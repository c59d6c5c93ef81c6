//! A file appears under its name complete or not at all: only a power cut while redb creates a file can leave one
//! that does not open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tracing::info;

use super::agreement::agrees;
use super::initialise::initialise;
use super::meta_row::read_meta;
use super::refusal::{io_error, not_a_store};
use super::storage::{file_backend, open_tables, storage_of};
use crate::engine::file::disk::layout::{Storage, lay_out};
use crate::engine::file::disk::place::FilePlace;
use crate::engine::file::options::{Mode, Options};
use crate::engine::file::tables::db::Db;
use crate::error::{Error, Result};
use crate::event::StoreId;
use crate::files::{
    Length, folder_of, link, new_file, preallocate, remove, rename, rename_new, sync, sync_folder_of,
};
use crate::limits::JOURNAL_BYTES;

/// How many drafts are tried before giving up. A draft disappears when another process takes it for the leftover of a
/// kill, which each process does at most once.
const TRIES: u32 = 100;

/// Creates a new store under this name, unless one has appeared there.
pub(crate) fn create_file(path: &Path, name: &str, options: &Options) -> Result<()> {
    remove_left(path);
    for _ in 0..TRIES {
        let Some(draft) = Draft::written(path, name, options, initialise)? else { continue };
        if !draft.is_there() {
            continue;
        }
        return publish(&draft, path, name, options);
    }
    Err(Error::storage(format!("{name} cannot be created: its draft is removed again and again")))
}

/// Creates a new store of what `fill` puts into the tables. Nothing is replaced. Says how many bytes its file has.
///
/// # Errors
/// [`Error::Exists`] when there is something under the name, and those of `fill`: then there is no file.
pub(crate) fn create_filled(
    path: &Path,
    options: &Options,
    fill: impl FnOnce(&Db) -> Result<()>,
) -> Result<u64> {
    let name = path.display().to_string();
    create_part(path, options, |db| {
        fill(db)?;
        // What could not be opened gets no name.
        let txn = db.begin_read()?;
        agrees(&txn, &read_meta(&txn, &name, None)?)
    })
}

/// The same for a file that is not a store by itself, of which nothing is checked.
///
/// # Errors
/// As [`create_filled`].
pub(crate) fn create_part(
    path: &Path,
    options: &Options,
    fill: impl FnOnce(&Db) -> Result<()>,
) -> Result<u64> {
    let name = path.display().to_string();
    if fs::symlink_metadata(path).is_ok() {
        return Err(Error::Exists { what: "file", name });
    }
    let options = Options { mode: Mode::CreateOnly, ..options.clone() };
    let draft = Draft::written(path, &name, &options, |db| {
        initialise(db)?;
        fill(db)
    })?;
    let gone = || Error::storage(format!("{name} cannot be written: its draft was removed in the meantime"));
    publish(&draft.ok_or_else(gone)?, path, &name, &options)?;
    Ok(fs::metadata(path).map_err(|e| io_error(&name, &e))?.len())
}

fn publish(draft: &Draft, path: &Path, name: &str, options: &Options) -> Result<()> {
    // Unlike a rename, a link never replaces what another process has created.
    match link(&draft.path, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && options.mode == Mode::CreateOnly => {
            return Err(Error::Exists { what: "store", name: name.to_owned() });
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) if e.kind() == io::ErrorKind::Unsupported || e.kind() == io::ErrorKind::PermissionDenied => {
            match rename_new(&draft.path, path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && options.mode == Mode::CreateOnly => {
                    return Err(Error::Exists { what: "store", name: name.to_owned() });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|e| draft.failed(&e))?,
            }
        }
        other => other.map_err(|e| draft.failed(&e))?,
    }
    draft.sync_folder()?;
    info!("created");
    Ok(())
}

/// Removes drafts of this file that a kill left behind. One that is being written is locked, and stays.
pub(crate) fn remove_left(target: &Path) {
    let Some(name) = target.file_name() else { return };
    let begin = format!(".{}.", name.display());
    let is_draft = |name: &str| {
        let id = name.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(".new"));
        id.is_some_and(|id| id.parse::<uuid::Uuid>().is_ok())
    };
    for entry in fs::read_dir(folder_of(target)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_draft) {
            remove_if_left(&entry.path(), target);
        }
    }
}

/// Removes a draft that nobody is writing.
fn remove_if_left(draft: &Path, target: &Path) {
    if !fs::symlink_metadata(draft).is_ok_and(|meta| meta.is_file()) {
        return;
    }
    // It is the store itself, whose creator died before removing this second name: locking it would lock others out.
    if is_same_file(draft, target) {
        let _ = remove(draft);
        return;
    }
    let Ok(file) = File::open(draft) else { return };
    // Locked until it is gone: if its creator is alive after all, it notices and starts again.
    if file.try_lock().is_ok() {
        let _ = remove(draft);
        let _ = file.unlock();
    }
}

#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    id(a).is_some_and(|a| Some(a) == id(b))
}

#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

/// A file on its way to its name. Whatever is left of it is removed on drop.
pub(crate) struct Draft {
    name: String,
    pub(crate) path: PathBuf,
    /// Locked while it is written, except for a moment when redb releases it.
    file: Option<File>,
}

impl Draft {
    /// A draft that is complete, synced and locked; `None` when another process took it for a leftover.
    pub(crate) fn written(
        target: &Path,
        name: &str,
        options: &Options,
        fill: impl FnOnce(&Db) -> Result<()>,
    ) -> Result<Option<Self>> {
        let Some((draft, storage)) = Self::begun(target, name, options, None)? else { return Ok(None) };
        let db = open_tables(&storage, name, options)?;
        fill(&db)?;
        drop((db, storage));
        let Some(file) = &draft.file else { return Ok(None) };
        sync(file).map_err(|e| draft.failed(&e))?;
        // redb's lock was the same one, and was released when redb closed.
        let taken = is_taken(file);
        Ok((!taken).then_some(draft))
    }

    /// A draft that is locked, with a storage that is laid out and has no tables; `None` when another process took it for a
    /// leftover. One that continues another file has its secret.
    pub(crate) fn begun(
        target: &Path,
        name: &str,
        options: &Options,
        secret: Option<[u8; 16]>,
    ) -> Result<Option<(Self, Storage)>> {
        let mut draft = Self::new(target, name)?;
        let file = new_file(&draft.path).map_err(|e| draft.failed(&e))?;
        let tables = file.try_clone().map_err(|e| draft.failed(&e))?;
        if is_taken(draft.file.insert(file)) {
            return Ok(None);
        }
        let tables = file_backend(tables, name)?;
        let bytes = options.journal_bytes.unwrap_or(JOURNAL_BYTES);
        lay_out(&*tables, bytes, secret).map_err(|e| draft.failed(&e))?;
        let journal = match OpenOptions::new().read(true).write(true).open(&draft.path) {
            // It was removed before it was locked.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| draft.failed(&e))?,
        };
        let journal = file_backend(journal, name)?;
        let storage = storage_of(tables, journal, name, options)?;
        Ok(Some((draft, storage)))
    }

    /// Takes the space of its first bytes, where the system can.
    pub(crate) fn preallocate(&self, bytes: u64) -> Result<()> {
        let file = self.file.as_ref();
        file.map_or(Ok(true), |file| preallocate(file, bytes, Length::Grows))
            .map(drop)
            .map_err(|e| self.failed(&e))
    }

    /// Where it is to be found.
    pub(crate) fn place(&self, path: &Path) -> Result<FilePlace> {
        let file =
            self.file.as_ref().ok_or_else(|| self.failed(&io::Error::other("it has its name already")))?;
        FilePlace::at(path, file).map_err(|e| self.failed(&e))
    }

    /// It has got its name, and whoever has it open keeps its lock.
    pub(crate) fn keep(mut self) {
        self.file = None;
    }

    /// Whatever was written is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), sync).map_err(|e| self.failed(&e))
    }

    /// Whether it is still there.
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    fn new(target: &Path, name: &str) -> Result<Self> {
        let file_name = target.file_name().ok_or_else(|| not_a_store(name, "is not a file name"))?;
        let path = folder_of(target).join(format!(".{}.{}.new", file_name.display(), StoreId::new()));
        Ok(Self { name: name.to_owned(), path, file: None })
    }

    /// Replaces a file, as which it [looks](Self::looks_like) already.
    pub(crate) fn replace(&self, target: &Path) -> Result<()> {
        rename(&self.path, target).map_err(|e| self.failed(&e))
    }

    /// Gives it the owner and the permissions of a file that it is to replace.
    ///
    /// # Errors
    /// Among others, that this process may not: then those who use the file could not use it any more.
    pub(crate) fn looks_like(&self, target: &Path) -> Result<()> {
        let meta = fs::metadata(target).map_err(|e| self.failed(&e))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, chown};
            let own = fs::metadata(&self.path).map_err(|e| self.failed(&e))?;
            if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
                chown(&self.path, Some(meta.uid()), Some(meta.gid())).map_err(|e| self.failed(&e))?;
            }
        }
        fs::set_permissions(&self.path, meta.permissions()).map_err(|e| self.failed(&e))
    }

    pub(crate) fn sync_folder(&self) -> Result<()> {
        sync_folder_of(&self.path).map_err(|e| self.failed(&e))
    }

    pub(crate) fn failed(&self, e: &io::Error) -> Error {
        Error::storage(format!("{} cannot be created: {e}", self.name))
    }
}

/// Tries to lock the draft; `true` if somebody else holds the lock. Where there are no locks, nobody removes drafts.
fn is_taken(draft: &File) -> bool {
    matches!(draft.try_lock(), Err(TryLockError::WouldBlock))
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename it is gone already; after a failure there is nothing to keep.
        let _ = remove(&self.path);
        // Unlocked explicitly: a child process has a copy of the file until it runs its program, and until then
        // closing ours would not release the lock.
        if let Some(file) = &self.file {
            let _ = file.unlock();
        }
    }
}
