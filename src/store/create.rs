//! A file appears under its name complete or not at all: a power cut while redb creates a file is the one moment
//! that can leave one which does not open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tracing::info;

use super::builder::{Mode, Options};
use super::db::Db;
use super::layout::{initialise, lay_out};
use super::open::{file_backend, not_a_store, open_tables, storage_of};
use crate::error::{Error, Result};
use crate::event::StoreId;
use crate::limits::JOURNAL_BYTES;

/// A new store under the name, unless one came there meanwhile.
pub(super) fn create_file(path: &Path, name: &str, options: &Options) -> Result<()> {
    let draft = Draft::new(path, name)?;
    draft.write(options, initialise)?;
    // A link, unlike a rename, never replaces what another process made meanwhile.
    match fs::hard_link(&draft.path, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && options.mode == Mode::CreateOnly => {
            return Err(Error::Exists { what: "store", name: name.to_owned() });
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) if e.kind() == io::ErrorKind::Unsupported || e.kind() == io::ErrorKind::PermissionDenied => {
            match draft.rename_new(path) {
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

/// A file on its way to its name. What is left of it goes with it.
pub(super) struct Draft {
    name: String,
    folder: PathBuf,
    pub(super) path: PathBuf,
}

impl Draft {
    pub(super) fn new(target: &Path, name: &str) -> Result<Self> {
        let folder = match target.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let file_name = target.file_name().ok_or_else(|| not_a_store(name, "is not a file name"))?;
        let path = folder.join(format!(".{}.{}.new", file_name.display(), StoreId::new()));
        Ok(Self { name: name.to_owned(), folder: folder.to_owned(), path })
    }

    /// Removes drafts of this file that a kill has left. Only for whoever has the file for itself: nobody else then
    /// makes one.
    pub(super) fn remove_left(target: &Path) {
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else { return };
        let begin = format!(".{}.", name.display());
        let is_draft = |name: &str| {
            let id = name.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(".new"));
            id.is_some_and(|id| id.parse::<uuid::Uuid>().is_ok())
        };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_draft) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Lays out a store in the draft, lets its tables be filled, and syncs it.
    pub(super) fn write(&self, options: &Options, fill: impl FnOnce(&Db) -> Result<()>) -> Result<()> {
        let failed = |e: io::Error| self.failed(&e);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.path);
        let file = file.map_err(failed)?;
        let synced = file.try_clone().map_err(failed)?;
        let backend = file_backend(file, &self.name)?;
        lay_out(&*backend, options.journal_bytes.unwrap_or(JOURNAL_BYTES)).map_err(failed)?;
        let storage = storage_of(backend.clone(), backend, &self.name, options)?;
        let db = open_tables(&storage, &self.name, options)?;
        fill(&db)?;
        drop(db);
        synced.sync_all().map_err(failed)
    }

    /// Takes a name that nothing has yet, where there are no links.
    fn rename_new(&self, target: &Path) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
                Err(rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {}
                renamed => return Ok(renamed?),
            }
        }
        fs::rename(&self.path, target)
    }

    pub(super) fn rename(&self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).map_err(|e| self.failed(&e))
    }

    pub(super) fn sync_folder(&self) -> Result<()> {
        File::open(&self.folder).and_then(|f| f.sync_all()).map_err(|e| self.failed(&e))
    }

    pub(super) fn failed(&self, e: &io::Error) -> Error {
        Error::storage(format!("{} cannot be created: {e}", self.name))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already after a rename; after a failure there is nothing to keep.
        let _ = fs::remove_file(&self.path);
    }
}
