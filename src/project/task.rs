//! A rebuild as others see it: its progress and its outcome.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::store::Process;
use crate::sync::{Condvar, Instant, Mutex};

/// How a rebuild ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Cancelled,
}

#[derive(Debug)]
pub(super) struct Task {
    process: Process,
    begun: Instant,
    pub(super) total: AtomicU64,
    pub(super) done: AtomicU64,
    /// Taken by somebody who wants it no more: what was built goes.
    pub(super) cancelled: AtomicBool,
    /// The store closes: what was built stays, and is gone on with.
    pub(super) stopped: AtomicBool,
    end: Mutex<Option<Result<End>>>,
    ended: Condvar,
    /// The same for tasks.
    told: Notify,
}

/// The progress of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RebuildProgress {
    /// Events folded so far.
    pub done: u64,
    /// Events to fold in all.
    pub total: u64,
    /// Time since it started or resumed.
    pub elapsed: Duration,
}

impl RebuildProgress {
    /// Events per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }

    /// Estimated remaining time at this rate; `None` before there is one.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let left = self.total.saturating_sub(self.done) as f64 / self.rate();
        Duration::try_from_secs_f64(left).ok()
    }
}

impl Task {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            process: Process::this(),
            begun: Instant::now(),
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            end: Mutex::new(None),
            ended: Condvar::new(),
            told: Notify::new(),
        })
    }

    /// It begins, or is gone on with: what was done before is counted again.
    pub(super) fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.stopped.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed) && !self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, events: u64) {
        self.done.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn end(&self, end: Result<End>) {
        let mut slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(end);
        self.ended.notify_all();
        drop(slot);
        self.told.notify_waiters();
    }

    fn progress(&self) -> RebuildProgress {
        RebuildProgress {
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            elapsed: self.begun.elapsed(),
        }
    }
}

/// A rebuild that runs in the background. Dropping this changes nothing.
#[derive(Clone, Debug)]
pub struct Rebuild(pub(super) Arc<Task>);

impl Rebuild {
    /// Its progress.
    #[must_use]
    pub fn progress(&self) -> RebuildProgress {
        self.0.progress()
    }

    /// Cancels it: what was built is removed, and the existing states stay. A rebuild for a changed version starts
    /// again when the projection is next registered; until then its states are folded from the events.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Blocks until it has ended. `false` if it was cancelled.
    ///
    /// # Errors
    /// [`Error::Closed`] if the store was closed in the meantime: it resumes when the projection is registered again.
    /// [`Error::RecordChanged`] if another process has taken over. Also those of reading.
    pub fn wait(&self) -> Result<bool> {
        loop {
            if let Some(end) = self.wait_for(Duration::from_secs(3_600))? {
                return Ok(end);
            }
        }
    }

    /// [`wait`](Self::wait) for tasks; no thread waits. Dropping the future changes nothing. A task that waits for so long
    /// at the most bounds it with its runtime, as `tokio::time::timeout` does.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_async(&self) -> Result<bool> {
        loop {
            self.0.process.check()?;
            let told = self.0.told.notified();
            tokio::pin!(told);
            // Listened for before looking, so that nothing falls in between.
            told.as_mut().enable();
            if let Some(end) = self.wait_for(Duration::ZERO)? {
                return Ok(end);
            }
            told.await;
        }
    }

    /// [`wait`](Self::wait) for so long at the most; `None` when it goes on.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for(&self, time: Duration) -> Result<Option<bool>> {
        self.0.process.check()?;
        let end = self.0.end.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.ended.wait_timeout_while(end, time, |end| end.is_none());
        let (end, _) = waited.unwrap_or_else(PoisonError::into_inner);
        end.clone().map(|end| end.map(|end| end == End::Done)).transpose()
    }
}

pub(super) fn closed() -> Error {
    Error::Closed { after: None }
}
