//! The handle that everything inside the crate works with. It does not keep the store open: only a
//! [`Store`](crate::store::Store) does that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::reader::Reader;
use super::settings::Settings;
#[cfg(unix)]
use crate::engine::Durability;
#[cfg(feature = "testkit")]
use crate::engine::beside;
use crate::engine::{
    Admin, Commit, Engine, Identity, Outcome, Placed, Process, Receipt, SidecarWrites, Watcher,
};
use crate::error::{Error, Result};
use crate::event::{Catalogue, Event, EventId, Position, Record, Sequence, StoreId, Timestamp};
#[cfg(feature = "schema")]
use crate::schema::Guard;
use crate::store::append::batch::Batch;
use crate::store::observe::{Observer, Observers};
use crate::store::unblocked::unblocked;

/// An open store, for those whom it outlives and those who outlive it.
#[derive(Clone, Debug)]
pub(crate) struct StoreHandle {
    engine: Arc<dyn Engine>,
    observers: Arc<Observers>,
    settings: Arc<Settings>,
}

impl Drop for StoreHandle {
    fn drop(&mut self) {
        self.process().keep(&self.engine);
        self.process().keep(&self.observers);
    }
}

impl StoreHandle {
    pub(crate) fn new(engine: Arc<dyn Engine>, settings: Settings) -> Self {
        let observers = Arc::<Observers>::default();
        engine.watch(&(observers.clone() as Arc<dyn Watcher>));
        Self { engine, observers, settings: Arc::new(settings) }
    }

    /// Another handle on the same engine, which shares nothing else with this one.
    #[cfg(feature = "testkit")]
    pub(crate) fn beside(&self) -> Self {
        Self::new(beside(self.engine.clone()), (*self.settings).clone())
    }

    /// The process that opened the store.
    pub(crate) fn process(&self) -> &Process {
        self.engine.process()
    }

    /// The observer of this type, made when it is first asked for. `make` must not ask for another.
    pub(crate) fn observer<T: Observer>(&self, make: impl FnOnce() -> T) -> Result<Arc<T>> {
        self.process().check()?;
        Ok(self.observers.get_or_make(make))
    }

    /// The observer of this type, if there is one.
    pub(crate) fn find_observer<T: Observer>(&self) -> Option<Arc<T>> {
        self.observers.get()
    }

    /// Bytes of a payload that this store takes.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.settings.payload_bytes
    }

    /// The store's identity.
    pub(crate) fn id(&self) -> StoreId {
        self.identity().id
    }

    /// Which opening of the storage this is now.
    pub(crate) fn opening(&self) -> EventId {
        self.engine.opening()
    }

    /// Of appends that do not choose their own.
    #[cfg(unix)]
    pub(crate) fn durability(&self) -> Durability {
        self.settings.durability
    }

    /// How often what was folded is to be written.
    pub(crate) fn project_flush(&self) -> Duration {
        self.settings.project_flush
    }

    /// How long the lease on a projection lasts.
    pub(crate) fn lease_span(&self) -> Duration {
        self.settings.project_lease
    }

    pub(crate) fn read_only(&self) -> bool {
        self.identity().read_only
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

    fn prepare(&self, batch: Batch) -> Result<Commit> {
        self.process().check()?;
        self.writable()?;
        let settings = &self.settings;
        let mut prepared = batch.prepare(settings.payload_bytes, settings.durability, &settings.guard)?;
        prepared.records = prepared.records.from(self.observers.id());
        Ok(Commit::Append(prepared))
    }

    /// A reader that outlives `close`.
    pub(crate) fn reader(&self) -> Result<Reader> {
        Ok(Reader::new(self.engine.reader()?, self.settings.clone()))
    }

    pub(crate) fn committed(&self) -> Position {
        self.engine.committed()
    }

    /// Writes records in one transaction. Nothing to write is nothing done.
    pub(crate) fn write_records(&self, records: SidecarWrites) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.writable()?;
        written(self.engine.commit(Commit::Records(records.from(self.observers.id())))?)
    }

    /// [`write_records`](Self::write_records) for tasks. Once queued it happens or fails as a whole, also when the future is dropped.
    pub(crate) async fn write_records_async(&self, records: SidecarWrites) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.writable()?;
        written(self.engine.submit(Commit::Records(records.from(self.observers.id()))).await?)
    }

    pub(crate) fn append(&self, batch: Batch) -> Result<Receipt> {
        if batch.fences().is_empty() {
            return appended(self.engine.commit(self.prepare(batch)?)?);
        }
        let records = self.reader()?.records();
        let commit = self.prepare(batch.clone().guarded(&records)?)?;
        match self.engine.commit(commit) {
            // It says who has the lease now.
            Err(changed @ Error::RecordChanged { .. }) => Err(batch.refusal(&records)?.unwrap_or(changed)),
            outcome => appended(outcome?),
        }
    }

    /// [`append`](Self::append) for tasks.
    pub(crate) async fn append_async(&self, batch: Batch) -> Result<Receipt> {
        let (commit, fenced) = self.prepare_async(batch).await?;
        match self.engine.submit(commit).await {
            Err(error) => Err(self.explained(error, fenced).await),
            Ok(outcome) => appended(outcome),
        }
    }

    /// What is committed, and the batch if it is fenced.
    async fn prepare_async(&self, batch: Batch) -> Result<(Commit, Option<Batch>)> {
        if batch.fences().is_empty() {
            return Ok((self.prepare(batch)?, None));
        }
        let (records, fenced) = (self.reader()?.records(), batch.clone());
        let guarded = unblocked(move || batch.guarded(&records)).await?;
        Ok((self.prepare(guarded)?, Some(fenced)))
    }

    /// Says who has the lease now, if that is why.
    async fn explained(&self, error: Error, fenced: Option<Batch>) -> Error {
        let (Error::RecordChanged { .. }, Some(batch), Ok(reader)) = (&error, fenced, self.reader()) else {
            return error;
        };
        match unblocked(move || batch.refusal(&reader.records())).await {
            Ok(refusal) => refusal.unwrap_or(error),
            Err(failed) => failed,
        }
    }

    /// [`append_async`](Self::append_async), with the events as they are recorded; none if they already were.
    pub(crate) async fn append_events_async(&self, batch: Batch) -> Result<(Receipt, Vec<Event>)> {
        let (commit, fenced) = self.prepare_async(batch).await?;
        let records = match &commit {
            Commit::Append(prepared) => prepared.parts.iter().map(|part| part.records.clone()).collect(),
            _ => Vec::new(),
        };
        let receipt = match self.engine.submit(commit).await {
            Err(error) => return Err(self.explained(error, fenced).await),
            Ok(outcome) => appended(outcome)?,
        };
        let events = match receipt.duplicate() {
            true => Vec::new(),
            false => {
                receipt.parts().iter().zip(records).flat_map(|(at, of)| events(&receipt, at, of)).collect()
            }
        };
        Ok((receipt, events))
    }

    pub(crate) fn writable(&self) -> Result<()> {
        self.identity().writable()
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The engine, for the server of its clients.
    #[cfg(unix)]
    pub(crate) fn shared_engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    /// What only some engines can do.
    pub(crate) fn admin(&self) -> Result<&dyn Admin> {
        self.process().check()?;
        self.engine.admin().ok_or_else(|| {
            Error::storage(format!("{} has no file to look after; its server does that", self.name()))
        })
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }

    /// The rules for types and payloads.
    #[cfg(feature = "schema")]
    pub(crate) fn guard(&self) -> &Guard {
        &self.settings.guard
    }

    /// The types that this store knows.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.settings.guard.catalogue()
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.engine.identity()
    }
}

/// The events of one part of an append.
fn events(receipt: &Receipt, at: &Placed, records: Vec<Record>) -> impl Iterator<Item = Event> + use<> {
    let place = Arc::new(at.place.clone());
    let (first, first_position) = (at.first.get(), at.first_position.get());
    let recorded = receipt.recorded().unwrap_or_else(Timestamp::now);
    (0..).zip(records).map(move |(n, record)| {
        let (sequence, position) = (Sequence::new(first + n), Position::new(first_position + n));
        Event::new(place.clone(), sequence, position, recorded, record)
    })
}

fn appended(outcome: Outcome) -> Result<Receipt> {
    match outcome {
        Outcome::Appended(receipt) => Ok(receipt),
        other => Err(Error::storage(format!("an append was answered with {other:?}"))),
    }
}

fn written(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Written => Ok(()),
        other => Err(Error::storage(format!("records were answered with {other:?}"))),
    }
}
