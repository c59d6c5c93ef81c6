//! The handle that everything inside the crate works with. It does not keep the store open: only a
//! [`Store`](crate::store::Store) does that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::reader::Reader;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::event::{Catalogue, Position, StoreId};
use crate::store::append::batch::Batch;
use crate::store::append::receipt::Receipt;
use crate::store::engine::file_engine::Engine;
use crate::store::engine::identity::Identity;
use crate::store::engine::write::work::{Done, Work};
use crate::store::observe::Observer;
use crate::store::process::Process;
use crate::store::sidecar::SidecarWrites;

/// An open store, for those whom it outlives and those who outlive it.
#[derive(Clone, Debug)]
pub(crate) struct StoreHandle {
    engine: Arc<Engine>,
    settings: Arc<Settings>,
}

impl Drop for StoreHandle {
    fn drop(&mut self) {
        self.process().keep(&self.engine);
    }
}

impl StoreHandle {
    pub(crate) fn new(engine: Arc<Engine>, settings: Settings) -> Self {
        Self { engine, settings: Arc::new(settings) }
    }

    /// The process that opened the store.
    pub(crate) fn process(&self) -> &Process {
        &self.engine.contents.process
    }

    /// The observer of this type, made when it is first asked for. `make` must not ask for another.
    pub(crate) fn observer<T: Observer>(&self, make: impl FnOnce() -> T) -> Result<Arc<T>> {
        self.process().check()?;
        Ok(self.engine.observers.get_or_make(make))
    }

    /// The observer of this type, if there is one.
    pub(crate) fn find_observer<T: Observer>(&self) -> Option<Arc<T>> {
        self.engine.observers.get()
    }

    /// Bytes of a payload that this store takes.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.settings.payload_bytes
    }

    /// The store's identity.
    pub(crate) fn id(&self) -> StoreId {
        self.identity().id
    }

    /// How often what was folded is to be written.
    pub(crate) fn project_flush(&self) -> Duration {
        self.settings.project_flush
    }

    pub(crate) fn read_only(&self) -> bool {
        self.engine.contents.read_only()
    }

    pub(crate) fn name(&self) -> &str {
        &self.identity().name
    }

    /// The store's file; `None` for a store that has none.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.identity().path.as_deref()
    }

    /// Everything that can be said against a batch before it is queued.
    pub(crate) fn check(&self, batch: Batch) -> Result<()> {
        self.prepare(batch).map(|_| ())
    }

    fn prepare(&self, batch: Batch) -> Result<Work> {
        self.writable()?;
        let settings = &self.settings;
        Ok(Work::Append(batch.prepare(settings.payload_bytes, settings.durability, &settings.guard)?))
    }

    /// A reader that outlives `close`.
    pub(crate) fn reader(&self) -> Result<Reader> {
        Ok(Reader::new(self.engine.reader()?, self.settings.clone()))
    }

    pub(crate) fn committed(&self) -> Position {
        self.engine.contents.committed()
    }

    /// Writes records in one transaction. Nothing to write is nothing done.
    pub(crate) fn write_records(&self, records: SidecarWrites) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.writable()?;
        marked(self.engine.writer.write(Work::Sidecar(records))?)
    }

    /// [`write_records`](Self::write_records) for tasks. Once queued it happens or fails as a whole, also when the future is dropped.
    pub(crate) async fn write_records_async(&self, records: SidecarWrites) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.writable()?;
        marked(self.engine.writer.write_async(Work::Sidecar(records)).await?)
    }

    pub(crate) fn append(&self, batch: Batch) -> Result<Receipt> {
        let work = self.prepare(batch)?;
        appended(self.engine.writer.write(work)?)
    }

    /// [`append`](Self::append) for tasks.
    pub(crate) async fn append_async(&self, batch: Batch) -> Result<Receipt> {
        let work = self.prepare(batch)?;
        appended(self.engine.writer.write_async(work).await?)
    }

    pub(crate) fn writable(&self) -> Result<()> {
        self.engine.contents.writable()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The types that this store knows.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.settings.guard.catalogue()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.engine.contents.identity
    }
}

fn appended(done: Done) -> Result<Receipt> {
    match done {
        Done::Appended(receipt) => Ok(receipt),
        other => Err(Error::storage(format!("an append was answered with {other:?}"))),
    }
}

fn marked(done: Done) -> Result<()> {
    match done {
        Done::SidecarWritten => Ok(()),
        other => Err(Error::storage(format!("records were answered with {other:?}"))),
    }
}
