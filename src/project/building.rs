//! A rebuild that goes on in threads of its own.

use std::sync::Arc;

use super::apply::Fold;
use super::build::build;
use super::build_writer::BuildWriter;
use super::keys::{self, Built, to_json};
use super::lease::Lease;
use super::row::Row;
use super::signal::{Command, RunnerSignal};
use super::task::{End, Task};
use crate::error::{Error, Result};
use crate::event::Timestamp;
use crate::panics::caught;
use crate::store::{SidecarTable, SidecarWrites, StoreHandle};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Mutex, lock};

/// A rebuild that goes on.
pub(super) struct Building {
    pub(super) task: Arc<Task>,
    pub(super) next: Built,
    writer: Arc<BuildWriter>,
    thread: JoinHandle<()>,
    end: Arc<Mutex<Option<Result<End>>>>,
}

impl Building {
    /// Makes it known that this generation is being built, in place of what the row was read as, and begins to.
    ///
    /// # Errors
    /// [`Error::RecordChanged`] when the lease was lost, or others build.
    pub(super) fn begin(
        handle: &StoreHandle,
        signal: &Arc<RunnerSignal>,
        fold: &Arc<Fold>,
        lease: &Arc<Lease>,
        next: Built,
        row: &Row,
        task: Arc<Task>,
    ) -> Result<Self> {
        let key = keys::next(&fold.name);
        let json = to_json(&next);
        let mut records = SidecarWrites::new();
        records.put(SidecarTable::Checkpoints, key.clone(), json.clone());
        row.expected_by(&mut records, key.clone());
        lease.write(handle, records, Timestamp::now())?;
        let writer = Arc::new(BuildWriter::new(handle.clone(), lease.clone(), key, json));
        task.begin(next.target.unwrap_or(0));
        let end = Arc::default();
        let thread = {
            let (writer, signal, fold, next) = (writer.clone(), signal.clone(), fold.clone(), next.clone());
            let (task, end) = (task.clone(), Arc::clone(&end));
            let named = thread::Builder::new().name("retold-rebuild".into());
            let spawned = named.spawn(move || {
                let built = caught(|| build(&writer, &fold, &next, &task));
                let panicked = |said| Err(Error::storage(format!("the rebuild panicked: {said}")));
                *lock(&end) = Some(built.unwrap_or_else(panicked));
                // A runner that is gone has stopped this, and does not wait.
                let _ = signal.give(Command::Ended(fold.name.clone()));
            });
            spawned.map_err(|e| Error::storage(format!("a thread for the rebuild cannot be started: {e}")))?
        };
        Ok(Self { task, next, writer, thread, end })
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        lock(&self.end).is_some()
    }

    /// Waits for its end.
    pub(super) fn join(self) -> (Arc<Task>, Built, Result<End>) {
        // It says its end before it ends, whatever that is.
        let _ = self.thread.join();
        let end = lock(&self.end).take();
        let end = end.unwrap_or_else(|| Err(Error::storage("the rebuild has not said how it ended")));
        (self.task, self.next, end)
    }

    /// What it writes with.
    pub(super) fn writer(&self) -> Arc<BuildWriter> {
        self.writer.clone()
    }
}
