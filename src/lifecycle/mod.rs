//! What becomes of branches: closing, deleting and truncating them, and when they expire. The decision is the engine's; this is the handle to it.

mod preview;
mod purge;
mod retention;

use self::preview::{DELETED, TRUNCATED, preview};
pub use self::preview::{Removal, RemovalPreview};
use self::purge::purge;
pub use self::retention::{RetentionLimit, RetentionPolicy, Retired, RetiredEvents, RetiredSession};
pub use crate::engine::{DeadSpace, Expiry, Purged};
use crate::error::{Error, Result};
use crate::event::{Address, Sequence, SessionId};
use crate::store::{
    Branch, BranchChange, BranchInfo, Change, Commit, Outcome, Store, StoreHandle, unblocked,
};

/// The lifecycle of branches: they are closed, deleted and truncated, and may expire. What a fork inherits stays readable to it, whatever
/// becomes of its parent.
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task.
#[derive(Clone, Debug)]
pub struct BranchLifecycle {
    store: Store,
}

impl Store {
    /// What becomes of branches: closing, deleting and truncating them, and when they expire.
    #[must_use]
    pub fn lifecycle(&self) -> BranchLifecycle {
        BranchLifecycle { store: self.clone() }
    }
}

impl BranchLifecycle {
    /// Closes a branch: nothing is appended to it any more, and its followers end after its last event. It can be read and
    /// forked as before. Closing it again changes nothing, and answers when it was closed.
    ///
    /// ```
    /// use retold::{Error, NewEvent, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.completed"))?;
    /// let closed = store.lifecycle().close("run-7")?;
    /// assert!(closed.closed.is_some());
    /// let refused = store.append("run-7", NewEvent::new("tool.invoked"));
    /// assert!(matches!(refused, Err(Error::BranchClosed { .. })));
    /// store.fork("run-7", "more")?;
    /// store.append("run-7/more", NewEvent::new("tool.invoked"))?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such branch, [`Error::Invalid`] for an address that names an event,
    /// [`Error::ReadOnly`], [`Error::Closed`].
    pub fn close<A>(&self, address: A) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let commit = self.prepare_change(&address.try_into()?, Change::Close, CLOSED)?;
        let outcome = self.store.inner().engine().commit(commit)?;
        changed(self.store.inner(), outcome)
    }

    /// [`close`](Self::close) as an async function. Cancellation as with
    /// [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub async fn close_async<A>(&self, address: A) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let commit = self.prepare_change(&address.try_into()?, Change::Close, CLOSED)?;
        let outcome = self.store.inner().engine().submit(commit).await?;
        let handle = self.store.handle();
        unblocked(move || changed(&handle, outcome)).await
    }

    /// Deletes a branch: it is in no listing, and nothing of it is read any more. Forks of it that are not deleted go on, and
    /// read what they inherit. Its name is free: what begins under it is another branch, whose sequences begin anew, and whose
    /// events may have the ids of the deleted ones. Followers of it end with [`Error::Deleted`]. The space is used again after
    /// [`purge`](Self::purge).
    ///
    /// Any branch can be deleted: one that is closed, that has forks, or the main branch of its session, which is there for as
    /// long as one of its branches is.
    ///
    /// ```
    /// use retold::{Error, NewEvent, Query, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// store.fork("run-7", "retry")?;
    /// store.lifecycle().delete("run-7")?;
    /// assert!(matches!(store.head("run-7"), Err(Error::Deleted { .. })));
    /// assert_eq!(store.read(&Query::branch("run-7/retry")?)?.events.len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when there never was such a branch, [`Error::Deleted`] when it is deleted already,
    /// [`Error::Invalid`] for an address that names an event, [`Error::ReadOnly`], [`Error::Closed`].
    pub fn delete<A>(&self, address: A) -> Result<()>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let commit = self.prepare_change(&address.try_into()?, Change::Delete, DELETED)?;
        deleted(&self.store.inner().engine().commit(commit)?).map(drop)
    }

    /// [`delete`](Self::delete) as an async function. Cancellation as with
    /// [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_async<A>(&self, address: A) -> Result<()>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let commit = self.prepare_change(&address.try_into()?, Change::Delete, DELETED)?;
        deleted(&self.store.inner().engine().submit(commit).await?).map(drop)
    }

    /// Deletes all branches of a session at once. Answers with how many there were. A branch that begins meanwhile is left, also
    /// one that has the name of another that was deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such session, [`Error::Deleted`] when somebody else has just deleted it, and those of
    /// [`delete`](Self::delete).
    pub fn delete_session(&self, session: &SessionId) -> Result<u64> {
        self.store.inner().process().check()?;
        self.store.inner().writable()?;
        let mut meant = self.store.reader()?.branches_of(session)?;
        if meant.is_empty() {
            return Err(self.store.inner().identity().not_found("session", session));
        }
        loop {
            let commit = Commit::Change(meant.iter().map(|branch| ending(branch)).collect());
            let gone = match self.store.inner().engine().commit(commit) {
                Err(gone @ Error::Deleted { .. }) => gone,
                outcome => return deleted(&outcome?),
            };
            // Somebody else has deleted one of them: the others are left. What began since is not meant.
            let there = self.store.reader()?.branches_of(session)?;
            meant.retain(|branch| there.iter().any(|other| other.number == branch.number));
            if meant.is_empty() {
                return Err(gone);
            }
        }
    }

    /// [`delete_session`](Self::delete_session) as an async function. Cancellation as with
    /// [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`delete_session`](Self::delete_session).
    pub async fn delete_session_async(&self, session: &SessionId) -> Result<u64> {
        let session = session.clone();
        self.store.in_task(move |store| store.lifecycle().delete_session(&session)).await
    }

    /// Removes the events of a branch before this sequence, which becomes the first that can be read; one after the head removes
    /// them all. Sequences stay as they are. Forks of before keep what they inherit; what is forked from now on has what is
    /// left. States that were written of the branch stay, so that its state can be had after any event that is left. Followers
    /// that had not come so far are told with a [`Gap`](crate::follow::Followed::Gap). The ids of the events stay known, so that a retry of
    /// one is not recorded again. Truncating before an earlier sequence than last time changes nothing.
    ///
    /// ```
    /// use retold::{NewEvent, Query, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("step.done"), NewEvent::new("step.done")])?;
    /// assert_eq!(store.lifecycle().truncate("run-7", 3)?.first, 3.into());
    /// let left = store.read(&Query::branch("run-7")?)?.events;
    /// assert_eq!(left[0].sequence(), 3.into());
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such branch, or it ends earlier; [`Error::Deleted`]; [`Error::Invalid`] for an address that
    /// names an event, [`Error::ReadOnly`], [`Error::Closed`].
    pub fn truncate<A>(&self, address: A, before: impl Into<Sequence>) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let what = Change::Truncate { before: before.into() };
        let commit = self.prepare_change(&address.try_into()?, what, TRUNCATED)?;
        let outcome = self.store.inner().engine().commit(commit)?;
        changed(self.store.inner(), outcome)
    }

    /// [`truncate`](Self::truncate) as an async function. Cancellation as with
    /// [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`truncate`](Self::truncate).
    pub async fn truncate_async<A>(&self, address: A, before: impl Into<Sequence>) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let what = Change::Truncate { before: before.into() };
        let commit = self.prepare_change(&address.try_into()?, what, TRUNCATED)?;
        let outcome = self.store.inner().engine().submit(commit).await?;
        let handle = self.store.handle();
        unblocked(move || changed(&handle, outcome)).await
    }

    /// Says when the store deletes a branch by itself, in place of what was said before; `None` says that it stays. It is gone
    /// then as one that was [deleted](Self::delete): its forks go on, its name is free, its followers end with [`Error::Deleted`].
    /// Forks do not have the expiry of their parent.
    ///
    /// It goes within moments of that time while a process has the store open for writing, and otherwise when one opens it. When
    /// a branch was used last is written now and then: a crash forgets uses of the last eighth of the span. An open store holds some
    /// 300 bytes in memory for each branch that expires.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use retold::lifecycle::Expiry;
    /// use retold::{NewEvent, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// let week = Duration::from_secs(7 * 86_400);
    /// let kept = store.lifecycle().expire("run-7", Expiry::Unused(week))?;
    /// assert_eq!(kept.expiry, Some(Expiry::Unused(week)));
    /// let kept = store.lifecycle().expire("run-7", None)?;
    /// assert_eq!(kept.expires, None);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such branch, [`Error::Deleted`]; [`Error::Invalid`] for a time that has passed, a span
    /// of nothing, or an address that names an event; [`Error::ReadOnly`], [`Error::Closed`].
    pub fn expire<A>(&self, address: A, expiry: impl Into<Option<Expiry>>) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let commit = self.prepare_change(&address.try_into()?, Change::Expire(expiry.into()), EXPIRES)?;
        let outcome = self.store.inner().engine().commit(commit)?;
        changed(self.store.inner(), outcome)
    }

    /// [`expire`](Self::expire) as an async function. Cancellation as with [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`expire`](Self::expire).
    pub async fn expire_async<A>(&self, address: A, expiry: impl Into<Option<Expiry>>) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let commit = self.prepare_change(&address.try_into()?, Change::Expire(expiry.into()), EXPIRES)?;
        let outcome = self.store.inner().engine().submit(commit).await?;
        let handle = self.store.handle();
        unblocked(move || changed(&handle, outcome)).await
    }

    /// What would go if this was removed now. Nothing is changed; the events that would go are read, to know their size.
    ///
    /// ```
    /// use retold::lifecycle::Removal;
    /// use retold::{NewEvent, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("step.done"), NewEvent::new("step.done")])?;
    /// store.fork("run-7@1", "retry")?;
    /// let would_go = store.lifecycle().preview(&Removal::Branch("run-7".parse()?))?;
    /// assert_eq!((would_go.branches, would_go.events, would_go.inherited), (1, 2, 1));
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Deleted`], [`Error::Invalid`] as the removal itself; those of reading.
    pub fn preview(&self, removal: &Removal) -> Result<RemovalPreview> {
        preview(&self.store, removal)
    }

    /// [`preview`](Self::preview) for tasks. Dropping the future changes nothing; a read that was begun goes on, and keeps the
    /// store open until it ends.
    ///
    /// # Errors
    /// As [`preview`](Self::preview).
    pub async fn preview_async(&self, removal: &Removal) -> Result<RemovalPreview> {
        let removal = removal.clone();
        self.store.in_task(move |store| preview(store, &removal)).await
    }

    /// Removes for good what was [deleted](Self::delete) or [truncated](Self::truncate) and no fork inherits.
    /// It is done in short steps, and appends go on in between; one that was ended is begun again. A store does not do this on
    /// its own. The space is used for what is recorded next; the file does not shrink. Of what was truncated a few events may be
    /// left in the file, up to where the next block of them begins.
    ///
    /// What others keep of a branch goes with it: the states that projections have of it, once no fork inherits from it, its timers,
    /// its dead letters, and that it is the current one. Leases on its session stay, so that their fencing tokens go on growing.
    ///
    /// ```
    /// use retold::{NewEvent, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("run.completed")])?;
    /// store.lifecycle().delete("run-7")?;
    /// assert_eq!(store.lifecycle().purge()?.events, 2);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`]: what is damaged is not removed.
    pub fn purge(&self) -> Result<Purged> {
        purge(&self.store)
    }

    /// [`purge`](Self::purge) for tasks. Dropping the future does not stop what was begun, which keeps the store open until it
    /// ends.
    ///
    /// # Errors
    /// As [`purge`](Self::purge).
    pub async fn purge_async(&self) -> Result<Purged> {
        self.store.in_task(purge).await
    }

    /// How much of the file holds nothing that is needed: about what a [purge](Self::purge) and a
    /// [compaction](crate::store::Maintenance::compact) would give back. `None` for a store in memory, where the file is
    /// damaged, and where the process that has the file is of an earlier release.
    ///
    /// It reads some pages of the tables, and of what was deleted some chunks: a few MiB for a file of ordinary size, and some
    /// 100 MiB at the most, however large the file is.
    ///
    /// ```
    /// use retold::{NewEvent, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path().join("runs.redb"))?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// if let Some(dead) = store.lifecycle().dead_space()? {
    ///     println!("{} of {} bytes, {} %", dead.bytes(), dead.file, dead.percent());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Storage`].
    pub fn dead_space(&self) -> Result<Option<DeadSpace>> {
        dead_space(&self.store)
    }

    /// [`dead_space`](Self::dead_space) for tasks. Cancellation as with [`info_async`](crate::store::Maintenance::info_async).
    ///
    /// # Errors
    /// As [`dead_space`](Self::dead_space).
    pub async fn dead_space_async(&self) -> Result<Option<DeadSpace>> {
        self.store.in_task(dead_space).await
    }

    fn prepare_change(&self, address: &Address, what: Change, branch_only: &'static str) -> Result<Commit> {
        self.store.inner().process().check()?;
        self.store.inner().writable()?;
        let place = address.branch_only(branch_only)?.clone();
        Ok(Commit::Change(vec![BranchChange { place, number: None, head: None, what }]))
    }
}

/// Deletes this branch, and none that has its name by then.
fn ending(branch: &Branch) -> BranchChange {
    BranchChange {
        place: (*branch.place).clone(),
        number: Some(branch.number),
        head: None,
        what: Change::Delete,
    }
}

fn dead_space(store: &Store) -> Result<Option<DeadSpace>> {
    store.inner().admin()?.dead_space()
}

const CLOSED: &str = "only a whole branch can be closed";
const EXPIRES: &str = "only a whole branch can expire";

/// How many were deleted.
fn deleted(outcome: &Outcome) -> Result<u64> {
    match outcome {
        Outcome::Changed(branches) => Ok(branches.len() as u64),
        other => Err(Error::storage(format!("a change of branches was answered with {other:?}"))),
    }
}

fn changed(handle: &StoreHandle, outcome: Outcome) -> Result<BranchInfo> {
    let branch: Option<std::sync::Arc<Branch>> = match &outcome {
        Outcome::Changed(branches) => branches.first().cloned(),
        _ => None,
    };
    match branch {
        Some(branch) => handle.reader()?.info_of(&branch),
        None => Err(Error::storage(format!("a change of a branch was answered with {outcome:?}"))),
    }
}
