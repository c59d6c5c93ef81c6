//! Reading ahead: a thread reads and decompresses the next pieces of a long read while its reader decodes the current ones.

use std::sync::Arc;

use crate::engine::{Branch, Pieces, Process};
use crate::error::Result;
use crate::store::handle::reader::Reader;
use crate::sync::mpsc::{Receiver, sync_channel};
use crate::sync::thread::{self, JoinHandle};

/// One read of a branch, piece by piece.
#[derive(Debug)]
pub(crate) struct Ahead {
    reader: Reader,
    branch: Arc<Branch>,
    next: Option<u64>,
    to: u64,
    batches: usize,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    process: Process,
    pieces: Option<Receiver<Result<Pieces>>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    /// The thread keeps the file open, so it is waited for: it ends with the pieces that it is reading.
    fn drop(&mut self) {
        if !self.process.is_this() {
            return std::mem::forget((self.pieces.take(), self.handle.take()));
        }
        self.pieces.take();
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

impl Ahead {
    pub(crate) fn new(reader: Reader, branch: Arc<Branch>, from: u64, to: u64) -> Self {
        Self { reader, branch, next: Some(from), to, batches: 0, thread: None }
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The next pieces; none at the end.
    pub(crate) fn next(&mut self) -> Result<Pieces> {
        self.reader.process().check()?;
        if let Some(thread) = &self.thread {
            let pieces = thread.pieces.as_ref().and_then(|pieces| pieces.recv().ok());
            return pieces.unwrap_or_else(|| Ok(Pieces::default()));
        }
        let Some(from) = self.next else { return Ok(Pieces::default()) };
        let pieces = self.reader.pieces(&self.branch, from, self.to)?;
        self.next = pieces.next;
        self.batches += 1;
        // A short read is over before a thread has started.
        if self.batches == 2 && self.next.is_some() {
            self.spawn();
        }
        Ok(pieces)
    }

    fn spawn(&mut self) {
        let (send, pieces) = sync_channel(1);
        let (reader, branch, to) = (self.reader.clone(), self.branch.clone(), self.to);
        let process = self.reader.process().clone();
        let mut next = self.next;
        let work = move || {
            while let Some(from) = next {
                let found = reader.pieces(&branch, from, to);
                next = found.as_ref().ok().and_then(|pieces| pieces.next);
                if send.send(found).is_err() {
                    return;
                }
            }
        };
        // Without a thread it goes on as it began.
        if let Ok(handle) = thread::Builder::new().name("retold-ahead".into()).spawn(work) {
            self.thread = Some(Thread { process, pieces: Some(pieces), handle: Some(handle) });
        }
    }
}
