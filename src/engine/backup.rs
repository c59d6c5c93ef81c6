//! What a backup holds, and how it gets its name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event::{Position, StoreId};
use crate::files::{folder_of, link, new_file, remove, rename, sync_folder_of};

/// What is still being written is younger, or locked.
const LEFT_AFTER: Duration = Duration::from_secs(3_600);

/// A copy of a store, which is a store of its own with the same id; or what has become of the store since an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Its file.
    pub path: PathBuf,
    /// The last position that it holds.
    pub position: Position,
    /// The last position of the backup that it continues, if it is an incremental one.
    pub since: Option<Position>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A backup that has not got its name yet, because it was not checked. It is removed on drop.
#[derive(Debug)]
pub(crate) struct UnnamedBackup {
    pub(crate) path: PathBuf,
    to: PathBuf,
}

impl UnnamedBackup {
    /// A name beside the one that it is to have.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is something under that name.
    pub(crate) fn of(to: &Path) -> Result<Self> {
        free(to)?;
        let file = to.file_name().ok_or_else(|| failed(to, &io::Error::other("it is no name of a file")))?;
        remove_left(folder_of(to));
        let path = to.with_file_name(format!(".{}.{}.new", file.display(), StoreId::new()));
        Ok(Self { path, to: to.to_owned() })
    }

    /// What is needed only until the file of this name is made.
    pub(crate) fn beside(to: &Path) -> Self {
        let path = folder_of(to).join(format!(".restore.{}.new", StoreId::new()));
        Self { path, to: PathBuf::new() }
    }

    /// Gives it its name, which it keeps: whoever opens it then may write to it. Nothing is replaced.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is something under that name by now.
    pub(crate) fn publish(self) -> Result<()> {
        let named = match link(&self.path, &self.to) {
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                // No hard links here: the name is claimed first, and then taken.
                new_file(&self.to).and_then(|_| rename(&self.path, &self.to))
            }
            linked => linked,
        };
        match named {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&self.to)),
            Err(e) => return Err(failed(&self.to, &e)),
        }
        sync_folder_of(&self.to).map_err(|e| failed(&self.to, &e))
    }
}

impl Drop for UnnamedBackup {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn free(to: &Path) -> Result<()> {
    if fs::symlink_metadata(to).is_ok() { Err(exists(to)) } else { Ok(()) }
}

fn exists(to: &Path) -> Error {
    Error::Exists { what: "file", name: to.display().to_string() }
}

fn failed(to: &Path, e: &io::Error) -> Error {
    Error::storage(format!("{} cannot be written: {e}", to.display()))
}

/// Removes files without a name that a kill has left in a folder: nobody has written to them for long, or keeps them locked.
fn remove_left(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id =
            name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".new")?.rsplit_once('.'));
        let is_draft = id.is_some_and(|(_, id)| id.parse::<uuid::Uuid>().is_ok());
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file);
        let age = meta.and_then(|meta| meta.modified().ok()?.elapsed().ok());
        if is_draft
            && age.is_some_and(|age| age > LEFT_AFTER)
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kill_left_is_removed_once_it_is_old_and_nobody_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let (old, now) = (2 * LEFT_AFTER, Duration::ZERO);
        let file = |name: String, age: Duration| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() - age).unwrap();
            file
        };
        let draft = |of: &str| format!(".{of}.{}.new", StoreId::new());
        let locked = file(draft("a"), old);
        locked.lock().unwrap();
        let kept = [file(draft("a"), now), file(".a.new".into(), old), file("a.redb".into(), old)];
        drop(file(draft("b"), old));
        remove_left(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), kept.len() + 1);
    }

    #[test]
    fn a_backup_takes_no_name_that_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("copy");
        let backup = UnnamedBackup::of(&to).unwrap();
        fs::write(&backup.path, "a copy").unwrap();
        fs::write(&to, "mine").unwrap();
        assert!(matches!(backup.publish(), Err(Error::Exists { .. })));
        assert!(matches!(UnnamedBackup::of(&to), Err(Error::Exists { .. })));
        assert_eq!(fs::read(&to).unwrap(), b"mine");
        fs::remove_file(&to).unwrap();
        let backup = UnnamedBackup::of(&to).unwrap();
        fs::write(&backup.path, "a copy").unwrap();
        backup.publish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"a copy");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
