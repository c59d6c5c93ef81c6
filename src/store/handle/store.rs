//! The handle and its verbs. They block; those that wait for the disk have an async form over the same queue.

use std::path::Path;
use std::sync::Arc;

use super::reader::Reader;
use super::settings::Settings;
use super::store_handle::StoreHandle;
use crate::engine::{Branch, Commit, Engine, Outcome, Receipt, is_on_path};
use crate::error::{Error, Result};
use crate::event::{
    Address, BranchName, Catalogue, Event, EventId, Expect, IdPrefix, NewEvent, Place, Position, Sequence,
    SessionId, StoreId, Timestamp,
};
use crate::limits::MAX_LISTING;
use crate::store::append::batch::Batch;
use crate::store::handle::listing::{BranchInfo, SessionInfo};
use crate::store::unblocked::unblocked;
use crate::sync::thread;

/// A handle to an open store. Clones share it; it can be used from any number of threads and tasks.
///
/// Methods block the calling thread for as long as the disk takes, which is well under a millisecond on most. The
/// async form of `verb` is `verb_async`, with the same arguments: it never blocks a worker of the runtime.
///
/// A handle works in the process that opened it. In a child made by `fork(2)` everything that can fail, here and in
/// what was made from the handle, is [`Error::OtherProcess`]; dropping it does nothing to the file. Such a child opens
/// the store itself, and is a client of its parent then.
///
/// ```
/// use retold::{Expect, NewEvent, Query, Store};
///
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// store.append_if("run-7", Expect::Head(1.into()), NewEvent::new("tool.invoked"))?;
/// let retry = store.fork("run-7@1", "retry")?;
/// store.append("run-7/retry", NewEvent::new("tool.completed"))?;
///
/// let kinds: Vec<String> = store
///     .events(Query::branch("run-7/retry")?)?
///     .map(|event| Ok(event?.kind().to_owned()))
///     .collect::<retold::Result<_>>()?;
/// assert_eq!(kinds, ["run.started", "tool.completed"]);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store(Arc<Closing>);

/// What the last clone of a store takes down.
#[derive(Debug)]
struct Closing {
    handle: StoreHandle,
}

impl Store {
    pub(crate) fn new(engine: Arc<dyn Engine>, settings: Settings) -> Self {
        Self(Arc::new(Closing { handle: StoreHandle::new(engine, settings) }))
    }

    /// Another handle on the same open store, which shares nothing else with this one.
    #[cfg(feature = "testkit")]
    pub(crate) fn beside(&self) -> Self {
        Self(Arc::new(Closing { handle: self.inner().beside() }))
    }

    /// A handle for what works beside the store, which must not keep it open.
    pub(crate) fn handle(&self) -> StoreHandle {
        self.inner().clone()
    }

    pub(crate) fn inner(&self) -> &StoreHandle {
        &self.0.handle
    }

    /// A reader that outlives `close`. Crate-wide: readers above this module hold one.
    pub(crate) fn reader(&self) -> Result<Reader> {
        self.inner().reader()
    }

    /// Writes records in one transaction.
    #[cfg(test)]
    pub(crate) fn write_records(&self, records: crate::store::SidecarWrites) -> Result<()> {
        self.inner().write_records(records)
    }

    /// The store's identity.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.inner().identity().id
    }

    /// When the store was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.inner().identity().created
    }

    /// The store's file; `None` for a store in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner().path()
    }

    /// The types that this store knows: those it was opened with.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        self.inner().catalogue()
    }

    /// The last position that is committed: everything up to it can be read. 0 in a forked child, which can read
    /// nothing.
    #[must_use]
    pub fn committed(&self) -> Position {
        self.inner().committed()
    }

    /// Records events at the end of a branch, whatever its head is. A session begins with its first append to
    /// `main`; other branches begin with a [`fork`](Self::fork), or with an [append](Self::append_if) that expects
    /// them to be empty: then they inherit nothing.
    ///
    /// When it returns, the events survive a crash and a power cut, unless [`Durability`](crate::store::Durability) was
    /// relaxed. Appending events with the same ids again is recognised, for ever: the first receipt is returned
    /// with [`duplicate`](Receipt::duplicate) set.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::TooLarge`] before anything is queued; [`Error::NotFound`] for a branch that
    /// does not exist; [`Error::Duplicate`] for an id that is taken; [`Error::Unknown`] when the commit failed and
    /// may yet be on the disk; [`Error::Closed`].
    pub fn append<A>(&self, address: A, events: impl Into<Vec<NewEvent>>) -> Result<Receipt>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.append_batch(Batch::new().add(address, Expect::Any, events)?)
    }

    /// Records events at the end of a branch if its head is as expected. A branch that does not exist and is expected to
    /// be empty begins here, and inherits nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] with both heads when it is not, and those of [`append`](Self::append):
    /// [`Error::NotFound`] for a branch other than `main` that does not exist, unless it is expected to be empty.
    pub fn append_if<A>(
        &self,
        address: A,
        expect: Expect,
        events: impl Into<Vec<NewEvent>>,
    ) -> Result<Receipt>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.append_batch(Batch::new().add(address, expect, events)?)
    }

    /// Records a batch over any number of branches: all of it or nothing.
    ///
    /// # Errors
    /// As [`append_if`](Self::append_if).
    pub fn append_batch(&self, batch: Batch) -> Result<Receipt> {
        self.inner().append(batch)
    }

    /// [`append`](Self::append) for tasks.
    ///
    /// # Cancellation
    /// Once queued, the append happens or fails as a whole; dropping the future changes nothing for it or for its
    /// neighbours. Whoever drops it can append the same events again.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_async<A>(&self, address: A, events: impl Into<Vec<NewEvent>>) -> Result<Receipt>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let batch = Batch::new().add(address, Expect::Any, events)?;
        self.append_batch_async(batch).await
    }

    /// [`append_if`](Self::append_if) as an async function. Cancellation as with [`append_async`](Self::append_async).
    ///
    /// # Errors
    /// As [`append_if`](Self::append_if).
    pub async fn append_if_async<A>(
        &self,
        address: A,
        expect: Expect,
        events: impl Into<Vec<NewEvent>>,
    ) -> Result<Receipt>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let batch = Batch::new().add(address, expect, events)?;
        self.append_batch_async(batch).await
    }

    /// [`append_batch`](Self::append_batch) as an async function. Cancellation as with [`append_async`](Self::append_async).
    ///
    /// # Errors
    /// As [`append_if`](Self::append_if).
    pub async fn append_batch_async(&self, batch: Batch) -> Result<Receipt> {
        self.inner().append_async(batch).await
    }

    /// Begins a branch that shares the history of another up to the address's sequence, or up to its head when the
    /// address has none. Nothing is copied: the cost does not depend on the history.
    ///
    /// A fork of `main` at sequence 0 inherits nothing, and also begins a session that does not exist: its `main` is
    /// then there, and empty.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such branch or it ends earlier; [`Error::Exists`] when the name is taken.
    pub fn fork<A>(&self, address: A, name: &str) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let fork = self.prepare_fork(address.try_into()?, name)?;
        let outcome = self.inner().engine().commit(fork)?;
        forked(self.inner(), outcome)
    }

    /// [`fork`](Self::fork) as an async function. Cancellation as with [`append_async`](Self::append_async).
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub async fn fork_async<A>(&self, address: A, name: &str) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let fork = self.prepare_fork(address.try_into()?, name)?;
        let outcome = self.inner().engine().submit(fork).await?;
        let handle = self.handle();
        unblocked(move || forked(&handle, outcome)).await
    }

    fn prepare_fork(&self, address: Address, name: &str) -> Result<Commit> {
        self.inner().writable()?;
        let place = Place::new(address.session().clone(), BranchName::new(name)?);
        Ok(Commit::Fork { parent: address.place().clone(), at: address.sequence(), place })
    }

    /// The last sequence of a branch, inherited ones counted; 0 for a branch without events.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such branch.
    pub fn head<A>(&self, address: A) -> Result<Sequence>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let reader = self.reader()?;
        reader.head(&*reader.branch(address.place())?)
    }

    /// The event with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Upcast`] for one that cannot be read in its newest shape.
    pub fn get(&self, id: EventId) -> Result<Event> {
        let reader = self.reader()?;
        reader.shaped(reader.by_id(id)?)
    }

    /// The event with this id as it was appended, whatever newer shape its type has.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get_raw(&self, id: EventId) -> Result<Event> {
        let reader = self.reader()?;
        reader.by_id(id)
    }

    /// Up to `limit` ids of events (10,000 at the most) that begin so, in their order. They are looked up in the index of ids:
    /// how many events there are does not matter.
    ///
    /// # Errors
    /// [`Error::Invalid`] when more than 10,000 events that were removed, and are not purged yet, begin so; [`Error::Closed`], [`Error::Corrupt`].
    pub fn ids(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<EventId>> {
        let reader = self.reader()?;
        reader.ids_between(prefix.first(), prefix.last(), limit.min(MAX_LISTING))
    }

    /// Up to `limit` sessions (10,000 at the most) after the given one, in the order of their names: pass the last
    /// session of one page to get the next.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn sessions(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionInfo>> {
        let reader = self.reader()?;
        reader.sessions(after, limit.min(MAX_LISTING))
    }

    /// One session, as a listing shows it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn session(&self, session: &SessionId) -> Result<SessionInfo> {
        let reader = self.reader()?;
        reader.session(session)?.ok_or_else(|| self.inner().identity().not_found("session", session))
    }

    /// Up to `limit` names of sessions (10,000 at the most) after the given one, in their order. It costs less than
    /// [`sessions`](Self::sessions), which also says what they hold.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn session_names(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionId>> {
        let reader = self.reader()?;
        reader.session_names(after, limit.min(MAX_LISTING))
    }

    /// All branches of a session, in the order of their names.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such session.
    pub fn branches(&self, session: &SessionId) -> Result<Vec<BranchInfo>> {
        let reader = self.reader()?;
        let branches = reader.infos_of(session)?;
        if branches.is_empty() {
            return Err(self.inner().identity().not_found("session", session));
        }
        Ok(branches)
    }

    /// One branch, as a listing shows it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn branch<A>(&self, address: A) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let reader = self.reader()?;
        reader.info_of(&*reader.branch(address.place())?)
    }

    /// The lines through which a branch is read: its oldest ancestor's part first, its own last. Each entry names
    /// the branch whose own events they are and the first of them.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn ancestry<A>(&self, address: A) -> Result<Vec<(BranchName, Sequence)>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let reader = self.reader()?;
        let branch: Arc<Branch> = reader.branch(address.place())?;
        Ok(branch.lineage.iter().map(|s| (s.place.branch.clone(), Sequence::new(s.first))).collect())
    }

    /// Takes nothing more, writes what is queued, flushes it, and lets go of the file. Every clone of the handle is
    /// closed with it. Followers still get what was committed, then end; the file is free once they have.
    /// Closing again does nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] with the reason when the store was closed after a storage error.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }

    /// [`close`](Self::close) for tasks.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub async fn close_async(&self) -> Result<()> {
        self.inner().process().check()?;
        let (answer, answered) = tokio::sync::oneshot::channel();
        let store = self.clone();
        // A thread of its own: it blocks on the disk, and there need not be a runtime.
        let spawned = thread::Builder::new().name("retold-close".into());
        spawned
            .spawn(move || answer.send(store.close()))
            .map_err(|e| Error::storage(format!("a thread for closing cannot be started: {e}")))?;
        answered.await.unwrap_or_else(|_| Err(Error::storage("closing panicked")))
    }
}

fn forked(handle: &StoreHandle, outcome: Outcome) -> Result<BranchInfo> {
    match outcome {
        Outcome::Forked(branch) => handle.reader()?.info_of(&branch),
        other => Err(Error::storage(format!("a fork was answered with {other:?}"))),
    }
}

impl Closing {
    fn close(&self) -> Result<()> {
        if !self.handle.process().is_surely_this() {
            return Err(self.handle.process().other());
        }
        self.handle.observers().closing();
        self.handle.engine().close()
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if !self.handle.process().is_surely_this() {
            // Its threads are not here to be waited for, and the file is the other process's to close.
            return std::mem::forget(self.handle.clone());
        }
        if is_on_path() {
            // Closing waits for the writer, and this thread is the writer.
            return close_elsewhere(self.handle.clone());
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was dropped and could not be closed properly");
        }
    }
}

fn close_elsewhere(handle: StoreHandle) {
    let spawned = thread::Builder::new().name("retold-close".into()).spawn(move || drop(Closing { handle }));
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread can be had to close the store; it stays open until the process ends");
    }
}

const _: () = {
    const fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Store>();
};
