//! The storage under redb, where it is not simply a file.

use std::fs::File;
use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

/// Passes everything on, but for syncs when they are turned off.
#[derive(Debug)]
pub(super) struct Wrapped {
    pub(super) inner: Box<dyn StorageBackend>,
    pub(super) sync: bool,
}

impl StorageBackend for Wrapped {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.sync { self.inner.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

/// Makes the kernel forget what it holds of a file. After a failed sync it marks the lost pages clean, so that a
/// recovery would read what never reached the disk; this way it reads the disk.
pub(super) fn drop_cached_pages(file: &File) {
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::debug!(%e, "the file's cached pages could not be dropped");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
