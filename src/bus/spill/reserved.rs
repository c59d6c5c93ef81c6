//! Whether anybody has room reserved for a spill: a file beside it that each of them has locked, together. It is as long as
//! what is reserved, and takes no room itself.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{beside, is_named, options};

/// Room is reserved as long as this lives.
#[derive(Debug)]
pub(super) struct Reserved {
    file: File,
    path: PathBuf,
}

/// Nobody has, as long as this lives, and nobody does meanwhile.
#[derive(Debug)]
pub(super) struct Unreserved(Reserved);

impl Reserved {
    pub(super) fn take(spill: &Path, bytes: u64) -> io::Result<Self> {
        let path = path(spill);
        loop {
            let file = options(true).open(&path)?;
            match file.lock_shared() {
                // A file system without locks: it is given back by whoever comes first.
                Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
                locked => locked?,
            }
            // The last one that had some may have removed it.
            if is_named(&file, &path)? {
                if file.metadata()?.len() < bytes {
                    file.set_len(bytes)?;
                }
                return Ok(Self { file, path });
            }
        }
    }

    /// Lets go of it. `None` if somebody else has some.
    pub(super) fn give_back(self) -> io::Result<Option<Unreserved>> {
        let released = self.file.unlock().and_then(|()| match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(e),
        });
        match released {
            Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(e),
            Ok(false) => Ok(None),
            // Another may have removed it, and made it anew for somebody.
            _ => Ok(is_named(&self.file, &self.path)?.then_some(Unreserved(self))),
        }
    }
}

/// How many bytes somebody has reserved. What a process has left that was killed is removed.
pub(super) fn reserved(spill: &Path) -> u64 {
    let path = path(spill);
    let Ok(file) = options(false).open(&path) else { return 0 };
    let bytes = file.metadata().map_or(0, |meta| meta.len());
    match file.try_lock() {
        Ok(()) if is_named(&file, &path).unwrap_or(false) => {
            drop(Unreserved(Reserved { file, path }));
            0
        }
        _ => bytes,
    }
}

fn path(spill: &Path) -> PathBuf {
    beside(spill, ".reserved")
}

impl Drop for Unreserved {
    fn drop(&mut self) {
        // Before its lock goes.
        let _ = fs::remove_file(&self.0.path);
    }
}
