//! Space that is kept beside a store, so that a full disk is met by who appends and not by what was acknowledged already.
//!
//! It is a file of its own that holds nothing. Before a flush that the disk has no room for, it is emptied, and nothing
//! more is appended until its space can be had again.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::engine::process::Process;
use crate::files::{Length, folder_of, new_file, preallocate, remove};

#[derive(Debug)]
pub(crate) struct Ballast {
    process: Process,
    path: PathBuf,
    bytes: u64,
    /// Made and filled.
    held: Option<File>,
}

impl Ballast {
    /// For the store of this path, whose lock is held.
    pub(crate) fn beside(store: &Path, bytes: u64) -> Self {
        Self { process: Process::this(), path: place(store), bytes, held: None }
    }

    /// Takes the space, unless it has it.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        if self.held.is_some() {
            return Ok(());
        }
        // Left by a kill, or half filled.
        remove(&self.path)?;
        let file = new_file(&self.path)?;
        match filled(&file, self.bytes) {
            Ok(()) => {
                self.held = Some(file);
                Ok(())
            }
            Err(e) => {
                drop(file);
                remove(&self.path)?;
                Err(e)
            }
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Leaves the space to what is written next, if the disk has no other.
    pub(crate) fn make_room(&mut self) {
        if self.held.is_some() && !has_room(&self.path, self.bytes) {
            self.release();
        }
    }

    /// Leaves it to others.
    pub(crate) fn release(&mut self) {
        if let Some(file) = self.held.take() {
            // Also where somebody else has it open.
            let _ = file.set_len(0);
            let _ = remove(&self.path);
        }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // In a child that was forked it is the parent's.
        if self.process.is_surely_this() {
            self.release();
        }
    }
}

/// Removes what a kill has left beside a store, whose lock is held.
pub(crate) fn remove_left(store: &Path) {
    let _ = remove(&place(store));
}

fn place(store: &Path) -> PathBuf {
    let name = store.file_name().unwrap_or_default().display().to_string();
    store.with_file_name(format!(".{name}.ballast"))
}

fn filled(file: &File, bytes: u64) -> io::Result<()> {
    if preallocate(file, bytes, Length::Grows)? {
        return Ok(());
    }
    let zeros = vec![0; 1 << 16];
    let (mut file, mut left) = (file, bytes);
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        file.write_all(zeros.get(..now as usize).unwrap_or(&zeros))?;
        left -= now;
    }
    file.sync_data()
}

/// Whether the disk has so much besides. If nobody can say, it does not.
fn has_room(path: &Path, bytes: u64) -> bool {
    free_bytes(path).is_some_and(|free| free >= bytes)
}

/// What is free on the disk of a file, if the system says.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder_of(path)).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
pub(crate) fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_takes_its_space_gives_it_back_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("runs.redb");
        let mut ballast = Ballast::beside(&store, 100_000);
        let left = dir.path().join(".runs.redb.ballast");
        fs::write(&left, "left by a kill").unwrap();
        ballast.hold().unwrap();
        ballast.hold().unwrap();
        assert_eq!(fs::metadata(&left).unwrap().len(), 100_000);
        // There is room enough.
        ballast.make_room();
        assert!(left.exists());
        ballast.release();
        assert!(!left.exists());
        ballast.hold().unwrap();
        drop(ballast);
        assert!(!left.exists());
        // No disk has so much.
        let mut ballast = Ballast::beside(&store, 1 << 60);
        assert!(ballast.hold().is_err() && !left.exists());
    }
}
