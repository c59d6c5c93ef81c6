//! Who works behind the writer: is told that something was committed, and writes marks and events of its own.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::hook::CommitHook;
use super::process::Process;
use super::read::Reader;
use super::receipt::Receipt;
use super::shared::Shared;
use super::sidecar::Marks;
use super::verbs::Store;
use super::work::{Done, Work};
use crate::error::{Error, Result};
use crate::event::{Position, StoreId};

/// One who works behind the writer of a store.
pub(crate) trait Behind: Any + Send + Sync + fmt::Debug {
    /// Something was committed. On the writer's path: it wakes and returns, and takes no lock that is held for long.
    fn committed(&self);

    /// The store is about to close: the last moment to write. Returns when the work is done. Called once or more.
    fn closing(&self);

    /// For its owner, to find itself again.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// What one who works behind the writer holds: everything but the handle, which closes the store with its last clone.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
}

impl Store {
    /// What is needed to work behind the writer.
    pub(crate) fn desk(&self) -> Desk {
        Desk { shared: self.shared().clone() }
    }

    /// Writes marks in one transaction.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    #[cfg(test)]
    pub(crate) fn mark(&self, marks: Marks) -> Result<()> {
        self.desk().mark(marks)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shared.process.keep(&self.shared);
    }
}

impl Desk {
    /// The process that opened the store.
    pub(crate) fn process(&self) -> &Process {
        &self.shared.process
    }

    /// Who works behind this writer, made when it is first asked for.
    pub(crate) fn behind(&self, make: impl FnOnce() -> Arc<dyn Behind>) -> Result<Arc<dyn Behind>> {
        self.shared.process.check()?;
        Ok(self.shared.behind.get_or_init(make).clone())
    }

    pub(crate) fn who_is_behind(&self) -> Option<Arc<dyn Behind>> {
        self.shared.behind.get().cloned()
    }

    /// The listener of this store, made when it is first asked for.
    pub(crate) fn hook(&self, make: impl FnOnce() -> Arc<dyn CommitHook>) -> Result<Arc<dyn CommitHook>> {
        self.shared.process.check()?;
        Ok(self.shared.hook.get_or_init(make).clone())
    }

    /// Bytes of a payload that this store takes.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.shared.options.payload_bytes
    }

    /// The store's identity.
    pub(crate) fn id(&self) -> StoreId {
        self.shared.id
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How often what was folded is to be written.
    pub(crate) fn project_flush(&self) -> Duration {
        self.shared.options.project_flush
    }

    pub(crate) fn read_only(&self) -> bool {
        self.shared.read_only()
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// The store's file; `None` for a store that has none.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.shared.options.path.as_deref()
    }

    /// Everything that can be said against a batch before it is queued.
    pub(crate) fn check(&self, batch: Batch) -> Result<()> {
        self.writable()?;
        let options = &self.shared.options;
        batch.prepare(options.payload_bytes, options.durability, &options.guard).map(|_| ())
    }

    pub(crate) fn reader(&self) -> Result<Reader> {
        Ok(Reader { shared: self.shared.clone(), db: self.shared.db()? })
    }

    pub(crate) fn committed(&self) -> Position {
        self.shared.committed()
    }

    /// Writes marks in one transaction. Nothing to write is nothing done.
    pub(crate) fn mark(&self, marks: Marks) -> Result<()> {
        if marks.is_empty() {
            return Ok(());
        }
        self.writable()?;
        marked(self.shared.write(Work::Marks(marks))?)
    }

    /// [`mark`](Self::mark) for tasks. Once queued it happens or fails as a whole, also when the future is dropped.
    pub(crate) async fn mark_async(&self, marks: Marks) -> Result<()> {
        if marks.is_empty() {
            return Ok(());
        }
        self.writable()?;
        marked(self.shared.write_async(Work::Marks(marks)).await?)
    }

    pub(crate) fn append(&self, batch: Batch) -> Result<Receipt> {
        self.writable()?;
        let options = &self.shared.options;
        let work = Work::Append(batch.prepare(options.payload_bytes, options.durability, &options.guard)?);
        match self.shared.write(work)? {
            Done::Appended(receipt) => Ok(receipt),
            other => Err(Error::storage(format!("an append was answered with {other:?}"))),
        }
    }

    /// [`append`](Self::append) for tasks.
    pub(crate) async fn append_async(&self, batch: Batch) -> Result<Receipt> {
        self.writable()?;
        let options = &self.shared.options;
        let work = Work::Append(batch.prepare(options.payload_bytes, options.durability, &options.guard)?);
        match self.shared.write_async(work).await? {
            Done::Appended(receipt) => Ok(receipt),
            other => Err(Error::storage(format!("an append was answered with {other:?}"))),
        }
    }

    fn writable(&self) -> Result<()> {
        match self.shared.read_only() {
            true => Err(Error::ReadOnly { path: self.shared.name.clone() }),
            false => Ok(()),
        }
    }
}

fn marked(done: Done) -> Result<()> {
    match done {
        Done::Marked => Ok(()),
        other => Err(Error::storage(format!("marks were answered with {other:?}"))),
    }
}
