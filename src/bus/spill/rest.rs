//! Lines of a spill that stay in it: written to a file beside it, which then takes its place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::file::{beside, make_new, sync_folder};
use crate::error::{Error, Result};

/// The lines, and the file that is made with the first.
#[derive(Debug)]
pub(super) struct Rest {
    spill: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Rest {
    pub(super) fn of(spill: &Path) -> Self {
        Self { spill: spill.to_owned(), file: None }
    }

    fn path(&self) -> PathBuf {
        beside(&self.spill, ".rest")
    }

    fn failed(&self, e: &io::Error) -> Error {
        Error::storage(format!("the rest of the spill {} cannot be written: {e}", self.spill.display()))
    }

    pub(super) fn keep(&mut self, line: &[u8]) -> Result<()> {
        self.try_keep(line).map_err(|e| self.failed(&e))
    }

    fn try_keep(&mut self, line: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        file.write_all(line)?;
        file.write_all(b"\n")
    }

    /// Adds whole lines.
    pub(super) fn copy(&mut self, mut lines: impl Read) -> Result<()> {
        let copied = self.file().and_then(|file| io::copy(&mut lines, file));
        copied.map(drop).map_err(|e| self.failed(&e))
    }

    fn file(&mut self) -> io::Result<&mut BufWriter<File>> {
        let path = self.path();
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(BufWriter::new(make_new(&path)?))),
        }
    }

    /// Puts the lines in the place of the spill, whose lock is held. `false` when there are none.
    pub(super) fn replace(mut self) -> Result<bool> {
        let Some(file) = self.file.take() else { return Ok(false) };
        let replaced = self.try_replace(file);
        if replaced.is_err() {
            // The disk may be full: what was written takes room.
            let _ = fs::remove_file(self.path());
        }
        replaced.map(|()| true).map_err(|e| self.failed(&e))
    }

    fn try_replace(&self, file: BufWriter<File>) -> io::Result<()> {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(self.path(), &self.spill)?;
        sync_folder(&self.spill)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // It was given up: the spill stays as it is.
            let _ = fs::remove_file(self.path());
        }
    }
}
