//! Small things that are done with files: what std has not, and what changes names or makes something durable, which tests
//! of power cuts have to know of.

#[cfg(all(unix, feature = "testkit"))]
mod log;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(all(unix, feature = "testkit"))]
pub(crate) use log::{FolderLog, LoggedFile, Step};

/// Does something with the name of a file. Where the folder has a log, it is noted there.
macro_rules! noted {
    ($path:expr, $work:expr, $note:expr) => {{
        #[cfg(all(unix, feature = "testkit"))]
        let done = log::noted($path, || $work, $note);
        #[cfg(not(all(unix, feature = "testkit")))]
        let done = $work;
        done
    }};
}

/// The folder that a file lies in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The folder of a store's search indexes, which are no part of the store: beside its file, whatever name it was opened by.
pub(crate) fn search_folder(store: &Path) -> PathBuf {
    let mut name = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned()).into_os_string();
    name.push(".search");
    name.into()
}

/// The file in that folder which says that words of purged events may still be in the indexes.
pub(crate) fn purged_mark(folder: &Path) -> PathBuf {
    folder.join("purged")
}

/// Says so, if the store has such a folder.
pub(crate) fn mark_purged(store: &Path) -> io::Result<()> {
    let folder = search_folder(store);
    if !folder.is_dir() {
        return Ok(());
    }
    let mark = purged_mark(&folder);
    match new_file(&mark) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|_| sync_folder_of(&mark)),
    }
}

/// Makes a file that was not there, which only its owner may read until the owner changes the permissions.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    noted!(path, options.open(path), |log| {
        log.made(path);
    })
}

/// Gives a file a second name. Nothing is replaced.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    noted!(to, fs::hard_link(from, to), |log| log.named(to))
}

/// Gives a file another name, in place of whatever has that.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    noted!(to, fs::rename(from, to), |log| log.renamed(from, to))
}

/// The same, but where the system can, nothing is replaced.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let renamed = || match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => fs::rename(from, to),
            renamed => Ok(renamed?),
        };
        noted!(to, renamed(), |log| log.renamed(from, to))
    }
    #[cfg(not(target_os = "linux"))]
    rename(from, to)
}

/// Puts what was written to a file on the disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    #[cfg(all(unix, feature = "testkit"))]
    if let Some(logged) = LoggedFile::of(file) {
        return logged.sync(|| file.sync_all());
    }
    file.sync_all()
}

/// Puts the names of the files in the folder of this one on the disk.
pub(crate) fn sync_folder_of(file: &Path) -> io::Result<()> {
    noted!(file, File::open(folder_of(file)).and_then(|folder| folder.sync_all()), |log| log.folder_synced())
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match noted!(path, fs::remove_file(path), |log| log.removed(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// What becomes of the length of a file that is given blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Stays,
    Grows,
}

/// Gives a file the blocks of its first bytes. `false` where the system cannot.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn preallocate(file: &File, bytes: u64, length: Length) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    let flags = match length {
        Length::Stays => FallocateFlags::KEEP_SIZE,
        Length::Grows => FallocateFlags::empty(),
    };
    let done = fallocate(file, flags, 0, bytes);
    #[cfg(feature = "testkit")]
    if done.is_ok()
        && length == Length::Grows
        && let Some(logged) = LoggedFile::of(file)
    {
        let len = file.metadata()?.len();
        logged.set_len(len, || Ok(()))?;
    }
    match done {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn preallocate(_: &File, _: u64, _: Length) -> io::Result<bool> {
    Ok(false)
}
