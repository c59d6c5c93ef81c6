//! Small things that are done with files, and that std has not.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// The folder that a file lies in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a file that was not there, which only its owner may read until the owner changes the permissions.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
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
    match fallocate(file, flags, 0, bytes) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn preallocate(_: &File, _: u64, _: Length) -> io::Result<bool> {
    Ok(false)
}
