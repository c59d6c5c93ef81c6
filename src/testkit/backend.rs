//! A disk in memory for redb. It counts and records operations, pauses, fails, and loses power.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::fault::{DiskOperation, Fault};
use super::moment::{Change, Moment, resize, write_at};

#[derive(Default)]
struct State {
    /// What a process sees.
    file: Vec<u8>,
    /// The file when recording began.
    base: Vec<u8>,
    changes: Vec<Change>,
    writes: u64,
    bytes: u64,
    syncs: u64,
    fault: Option<Fault>,
    struck: bool,
    paused: bool,
    waiting: usize,
}

/// A disk in memory. Clones share the same disk; [`backend`](Self::backend) gives it to a store.
#[derive(Clone, Default)]
pub struct Disk(Arc<(Mutex<State>, Condvar)>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Disk").field("len", &state.file.len()).field("writes", &state.writes).finish()
    }
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk with this file on it, synced.
    #[must_use]
    pub fn from_bytes(file: Vec<u8>) -> Self {
        let disk = Self::new();
        {
            let mut state = disk.state();
            state.base = file.clone();
            state.file = file;
        }
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> &Condvar {
        &self.0.1
    }

    /// The disk as a storage for [`Builder::with_backend`](crate::store::Builder::with_backend).
    #[must_use]
    pub fn backend(&self) -> Box<dyn StorageBackend> {
        Box::new(self.clone())
    }

    /// The file as a process sees it now, which is also what a mere kill leaves.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.state().file.clone()
    }

    /// The number of writes, without changes of the length.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// The number of bytes written.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.state().bytes
    }

    /// The number of syncs.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// The number of writes, changes of the length and syncs recorded so far: the current moment's number.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.state().changes.len()
    }

    /// The moment right after this many operations.
    #[must_use]
    pub fn moment(&self, operations: usize) -> Moment {
        let state = self.state();
        let changes = state.changes.get(..operations).unwrap_or(&state.changes);
        let border = changes.iter().rposition(|c| matches!(c, Change::Sync)).map_or(0, |i| i + 1);
        let (before, after) = changes.split_at_checked(border).unwrap_or((changes, &[]));
        let mut synced = state.base.clone();
        before.iter().for_each(|change| change.apply(&mut synced));
        Moment { synced, pending: after.to_vec() }
    }

    /// Moments right after a sync, when everything acknowledged is on the disk.
    #[must_use]
    pub fn sync_points(&self) -> Vec<usize> {
        let state = self.state();
        let syncs = state.changes.iter().enumerate().filter(|(_, c)| matches!(c, Change::Sync));
        syncs.map(|(i, _)| i + 1).collect()
    }

    /// Makes an operation fail. A failed write leaves its first half; a failed sync makes nothing durable.
    pub fn arm(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = Some(fault);
        state.struck = false;
    }

    /// Removes the fault. `true` if it has struck since it was armed.
    pub fn disarm(&self) -> bool {
        let mut state = self.state();
        state.fault = None;
        state.struck
    }

    /// Makes every sync wait for [`resume`](Self::resume).
    pub fn pause(&self) {
        self.state().paused = true;
    }

    /// Releases paused syncs.
    pub fn resume(&self) {
        self.state().paused = false;
        self.changed().notify_all();
    }

    /// Blocks until a sync is waiting.
    pub fn wait_for_sync(&self) {
        let mut state = self.state();
        while state.waiting == 0 {
            state = self.changed().wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pass(state: &mut State, operation: DiskOperation) -> io::Result<()> {
        let passed = Fault::pass(&mut state.fault, operation);
        state.struck |= passed.is_err();
        passed
    }
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the disk")
}

fn index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| beyond())
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().file.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        Self::pass(&mut state, DiskOperation::Read)?;
        let offset = index(offset)?;
        let end = offset.checked_add(out.len()).ok_or_else(beyond)?;
        out.copy_from_slice(state.file.get(offset..end).ok_or_else(beyond)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        Self::pass(&mut state, DiskOperation::SetLen)?;
        let len = index(len)?;
        resize(&mut state.file, len);
        state.changes.push(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.waiting += 1;
        self.changed().notify_all();
        while state.paused {
            state = self.changed().wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        Self::pass(&mut state, DiskOperation::Sync)?;
        state.syncs += 1;
        state.changes.push(Change::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let offset = index(offset)?;
        let end = offset.checked_add(data.len()).ok_or_else(beyond)?;
        if end > state.file.len() {
            return Err(beyond());
        }
        let passed = Self::pass(&mut state, DiskOperation::Write);
        let done = if passed.is_ok() { data } else { data.get(..data.len() / 2).unwrap_or_default() };
        write_at(&mut state.file, offset, done);
        state.writes += 1;
        state.bytes += done.len() as u64;
        state.changes.push(Change::Write { offset, data: done.into() });
        passed
    }
}
