//! A copy of the store for a client on another machine: made beside the store's file, nameless, and handed out part by part.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::engine::port::{Admin, OnProgress};
use crate::error::{Error, Result};
use crate::event::StoreId;
use crate::files::remove;
use crate::limits::COPY_PART_BYTES;
use crate::sync::{Mutex, lock};

/// The copy of one connection, which goes with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Copying(Arc<Mutex<Option<Arc<File>>>>);

impl Copying {
    /// Copies the store whose file this is; the last position of the copy, and its bytes.
    pub(super) fn make(
        &self,
        admin: &dyn Admin,
        store: Option<&Path>,
        progress: &mut OnProgress<'_>,
    ) -> Result<(u64, u64)> {
        let store = store.ok_or_else(|| Error::storage("the store has no file that could be copied"))?;
        // One that a kill leaves is removed by a later backup in this folder, as all that have such a name.
        let path = store.with_file_name(format!(".copy.{}.new", StoreId::new()));
        let made = admin.backup(&path, None, progress);
        let opened = File::open(&path);
        let removed = remove(&path);
        let made = made?;
        let file = opened.map_err(failed)?;
        removed.map_err(failed)?;
        *lock(&self.0) = Some(Arc::new(file));
        Ok((made.position.get(), made.bytes))
    }

    /// What it holds from this byte on; nothing at its end.
    pub(super) fn part(&self, from: u64) -> Result<Vec<u8>> {
        let file =
            lock(&self.0).clone().ok_or_else(|| Error::storage("no copy was made on this connection"))?;
        let mut part = vec![0; COPY_PART_BYTES];
        let mut len = 0;
        while let Some(room) = part.get_mut(len..).filter(|room| !room.is_empty()) {
            match file.read_at(room, from.saturating_add(len as u64)) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
        }
        part.truncate(len);
        Ok(part)
    }
}

fn failed(e: io::Error) -> Error {
    Error::storage(format!("the copy of the store cannot be read: {e}"))
}
