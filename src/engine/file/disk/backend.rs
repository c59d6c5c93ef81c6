//! The storage under redb: part of the file, optionally without syncs or without writes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{BackendError, StorageBackend};

use crate::sync::Mutex;
use crate::sync::lock;

/// The tables' part of a storage: from an offset to the end.
#[derive(Debug)]
pub(crate) struct Shifted {
    pub(crate) inner: Arc<dyn StorageBackend>,
    pub(crate) by: u64,
    /// A file that was not closed cleanly: its [cached pages are dropped](drop_cached_pages) once it is locked, and not
    /// while another process works with them.
    pub(crate) stale: Option<Arc<File>>,
    pub(crate) refreshed: AtomicBool,
}

impl Shifted {
    fn locked(&self, locked: bool) -> bool {
        if let Some(file) = self.stale.as_ref().filter(|_| locked)
            && !self.refreshed.swap(true, Ordering::Relaxed)
        {
            drop_cached_pages(file);
        }
        locked
    }
}

impl StorageBackend for Shifted {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner.len()?.saturating_sub(self.by))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset + self.by, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len + self.by)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset + self.by, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end).map(|locked| self.locked(locked))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end).map(|locked| self.locked(locked))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

/// Passes everything on except syncs.
#[derive(Debug)]
pub(crate) struct Unsynced(pub(crate) Arc<dyn StorageBackend>);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}

const PAGE: u64 = 4_096;

/// Keeps writes in memory, over a read-only storage: redb may repair and close a file that must not change. The lock
/// is shared with other readers.
#[derive(Debug)]
pub(crate) struct Overlay {
    inner: Arc<dyn StorageBackend>,
    state: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    len: u64,
    /// How far the storage itself still counts; what was cut off and extended again is zero.
    kept: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(crate) fn new(inner: Arc<dyn StorageBackend>) -> io::Result<Self> {
        let len = inner.len()?;
        Ok(Self { inner, state: Mutex::new(Over { len, kept: len, pages: BTreeMap::new() }) })
    }

    /// A writer may have been active until the lock is held, so the storage's length is only known now.
    fn lock_shared(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let locked = self.inner.try_lock_shared_range(start, end)?;
        let mut state = lock(&self.state);
        if locked && state.pages.is_empty() {
            let len = self.inner.len().map_err(BackendError::Io)?;
            (state.len, state.kept) = (len, len);
        }
        Ok(locked)
    }

    /// A page as the storage has it, zero beyond its end.
    fn below(&self, page: u64, kept: u64) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; PAGE as usize].into_boxed_slice();
        let there = kept.saturating_sub(page * PAGE).min(PAGE) as usize;
        if let Some(own) = bytes.get_mut(..there).filter(|own| !own.is_empty()) {
            self.inner.read(page * PAGE, own)?;
        }
        Ok(bytes)
    }
}

/// The pages that a range touches: page number, where the range begins in it, and how long it is there.
fn pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len as u64;
    (offset / PAGE..end.div_ceil(PAGE)).map(move |page| {
        let (from, to) = (offset.max(page * PAGE), end.min((page + 1) * PAGE));
        (page, (from - page * PAGE) as usize, (to - from) as usize)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.state).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = lock(&self.state);
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if state.pages.is_empty() && offset + out.len() as u64 <= state.kept {
            drop(state);
            return self.inner.read(offset, out);
        }
        let mut rest = out;
        for (page, at, len) in pages(offset, rest.len()) {
            let (part, later) = rest.split_at_mut_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
            rest = later;
            match state.pages.get(&page) {
                Some(bytes) => part.copy_from_slice(bytes.get(at..at + len).unwrap_or_default()),
                None => {
                    part.copy_from_slice(self.below(page, state.kept)?.get(at..at + len).unwrap_or_default())
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        if len < state.len {
            // What is truncated and then extended reads as zero.
            let border = len / PAGE;
            let mut last = match state.pages.remove(&border) {
                Some(page) => page,
                None => self.below(border, state.kept)?,
            };
            state.pages.split_off(&border);
            last.get_mut((len % PAGE) as usize..).unwrap_or_default().fill(0);
            state.pages.insert(border, last);
            state.kept = state.kept.min(len);
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let kept = state.kept;
        let mut rest = data;
        for (page, at, len) in pages(offset, data.len()) {
            let (part, later) = rest.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
            rest = later;
            let bytes = match state.pages.entry(page) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => place.insert(self.below(page, kept)?),
            };
            if let Some(place) = bytes.get_mut(at..at + len) {
                place.copy_from_slice(part);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock_shared(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock_shared(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

/// Makes the kernel drop its cached pages of a file. After a failed sync it marks the lost pages clean, and a
/// recovery would read what never reached the disk; this way it reads the disk.
fn drop_cached_pages(file: &File) {
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::debug!(%e, "the file's cached pages could not be dropped");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    use super::*;

    #[derive(Clone, Debug)]
    enum DiskStep {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Read(u64, usize),
    }

    fn step() -> impl Strategy<Value = DiskStep> {
        prop_oneof![
            (0..30_000u64, prop::collection::vec(any::<u8>(), 0..9_000))
                .prop_map(|(o, d)| DiskStep::Write(o, d)),
            (0..30_000u64).prop_map(DiskStep::SetLen),
            (0..30_000u64, 0..9_000usize).prop_map(|(o, l)| DiskStep::Read(o, l)),
        ]
    }

    proptest! {
        #[test]
        fn an_overlay_is_a_storage_and_leaves_the_one_below_as_it_was(
            below in prop::collection::vec(any::<u8>(), 0..20_000),
            steps in prop::collection::vec(step(), 1..20),
        ) {
            let inner = InMemoryBackend::new();
            inner.set_len(below.len() as u64).unwrap();
            inner.write(0, &below).unwrap();
            let inner: Arc<dyn StorageBackend> = Arc::new(inner);
            let overlay = Overlay::new(inner.clone()).unwrap();
            let mut plain = below.clone();
            for step in steps {
                match step {
                    DiskStep::Write(offset, data) => {
                        let place = plain.get_mut(offset as usize..offset as usize + data.len());
                        prop_assert_eq!(overlay.write(offset, &data).is_ok(), place.is_some());
                        place.into_iter().for_each(|place| place.copy_from_slice(&data));
                    }
                    DiskStep::SetLen(len) => {
                        overlay.set_len(len).unwrap();
                        plain.resize(len as usize, 0);
                    }
                    DiskStep::Read(offset, len) => {
                        let mut out = vec![1; len];
                        let read = overlay.read(offset, &mut out).is_ok();
                        let due = plain.get(offset as usize..offset as usize + len);
                        prop_assert_eq!(read, due.is_some());
                        due.into_iter().for_each(|due| assert_eq!(due, out));
                    }
                }
                prop_assert_eq!(overlay.len().unwrap(), plain.len() as u64);
            }
            let mut untouched = vec![0; below.len()];
            inner.read(0, &mut untouched).unwrap();
            prop_assert_eq!(untouched, below);
        }
    }
}
