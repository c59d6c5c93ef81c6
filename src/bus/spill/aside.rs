//! Lines of a spill that cannot be recorded: kept in a separate file, each after a line that says why.

use std::io;
use std::path::{Path, PathBuf};

use super::file::{Held, beside};
use crate::error::{Error, Result};
use crate::event::Timestamp;

/// Bytes that are buffered before they are written.
const BUFFER: usize = 256 * 1_024;

/// The file, opened when the first line is moved.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
    limit: u64,
    open: Option<(Held, u64)>,
    buffer: Vec<u8>,
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

impl Aside {
    pub(super) fn of(spill: &Path, limit: u64) -> Self {
        Self { path: path(spill), limit, open: None, buffer: Vec::new(), count: 0, first: None }
    }

    /// Adds a line with the reason why it was refused.
    pub(super) fn keep(&mut self, number: u64, line: &[u8], reason: &str) -> Result<()> {
        let reason = format!("line {number}: {reason}");
        let note = serde_json::json!({ "refused": reason, "at": Timestamp::now().to_string() });
        self.buffer.extend_from_slice(note.to_string().as_bytes());
        self.buffer.push(b'\n');
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.count += 1;
        self.first.get_or_insert(reason);
        if self.buffer.len() > BUFFER { self.write() } else { Ok(()) }
    }

    /// Writes and syncs the moved lines, before the spill is removed.
    pub(super) fn write(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let failed = |e: io::Error| Error::storage(format!("{} cannot be written: {e}", self.path.display()));
        let held = match &mut self.open {
            Some((held, _)) => held,
            none => {
                let held = Held::open(&self.path, true).map_err(failed)?;
                let held = held.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
                let len = held.len().map_err(failed)?;
                &mut none.insert((held, len)).0
            }
        };
        let len = held.len().map_err(failed)? + self.buffer.len() as u64;
        if len > self.limit {
            let reason = format!(
                "{} would have {len} bytes, and the limit is {}: look at the refused lines, then move the file away",
                self.path.display(),
                self.limit
            );
            return Err(Error::storage(reason));
        }
        held.append(&self.buffer).map_err(failed)?;
        self.buffer.clear();
        Ok(())
    }

    /// Undoes the writes: the spill stays, and its bad lines will be found again.
    pub(super) fn take_back(self) {
        if let Some((held, len)) = self.open
            && let Err(error) = held.cut(len)
        {
            tracing::warn!(path = %self.path.display(), %error, "moved lines will appear twice");
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

pub(super) fn path(spill: &Path) -> PathBuf {
    beside(spill, ".refused")
}
