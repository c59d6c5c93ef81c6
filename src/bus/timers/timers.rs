//! The handle to the timers of a store.

use super::mark::TimerMark;
use super::registry::Registry;
use super::run::TimersRunning;
use super::timer::{Due, Fired, Timer};
use crate::error::{Error, Result};
use crate::event::{Address, EventId, NewEvent, Place};
use crate::limits::MAX_LISTING;
use crate::store::{Store, StoreHandle};

/// The timers of a store: events that are recorded after a while, or at a time.
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task.
///
/// ```
/// use std::time::Duration;
/// use retold::{NewEvent, Store};
///
/// let store = Store::in_memory()?;
/// let timers = store.timers();
/// let timer = timers.schedule("run-7", NewEvent::new("run.timed_out"), Duration::from_secs(600))?;
/// assert_eq!(timers.list(10)?[0].id, timer.id);
/// timers.cancel(timer.id)?;
/// timers.schedule("run-7", NewEvent::new("step.retried"), Duration::ZERO)?;
/// assert_eq!(timers.fire()?.recorded, 1);
/// assert_eq!(store.head("run-7")?.get(), 1);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timers {
    store: Store,
}

impl Store {
    /// The timers: events that are recorded after a while, or at a time.
    #[must_use]
    pub fn timers(&self) -> Timers {
        Timers { store: self.clone() }
    }
}

impl Timers {
    /// Records an event after a while, or at a time: once, whether or not the program runs until then. It is fired by
    /// [`run`](Self::run), by a bus, or by [`fire`](Self::fire); without one of them it waits.
    ///
    /// The timer has the event's id. Asking again for the same event is recognised and changes nothing. The event's
    /// time of occurrence is the time at which it is due.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a time that is past, for an event that the store would not take, and when there are
    /// 100,000 timers; [`Error::NotFound`] for a branch that does not exist; [`Error::Duplicate`] when the event is
    /// recorded already; [`Error::Exists`] when its id has another timer; those of [`append`](Store::append).
    pub fn schedule<A>(&self, address: A, event: NewEvent, when: impl Into<Due>) -> Result<Timer>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        schedule(&self.store, place(address)?, event, when.into())
    }

    /// [`schedule`](Self::schedule) for tasks.
    ///
    /// # Cancellation
    /// Once begun, the timer is made or not made as a whole; dropping the future does not stop it. Ask again to know.
    ///
    /// # Errors
    /// As [`schedule`](Self::schedule).
    pub async fn schedule_async<A>(&self, address: A, event: NewEvent, when: impl Into<Due>) -> Result<Timer>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let (place, when) = (place(address)?, when.into());
        self.store.in_task(move |store| schedule(store, place, event, when)).await
    }

    /// Up to `limit` timers (10,000 at the most): those that were refused, then the others, the next one first.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn list(&self, limit: usize) -> Result<Vec<Timer>> {
        list(&self.store, None, limit)
    }

    /// [`list`](Self::list) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_async(&self, limit: usize) -> Result<Vec<Timer>> {
        self.store.in_task(move |store| list(store, None, limit)).await
    }

    /// Up to `limit` timers (10,000 at the most) after this [mark](Timer::mark), in the order of [`list`](Self::list): the next
    /// page. The timer of the mark need not be there any more.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn list_after(&self, mark: &TimerMark, limit: usize) -> Result<Vec<Timer>> {
        list(&self.store, Some(mark), limit)
    }

    /// [`list_after`](Self::list_after) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_after_async(&self, mark: &TimerMark, limit: usize) -> Result<Vec<Timer>> {
        let mark = *mark;
        self.store.in_task(move |store| list(store, Some(&mark), limit)).await
    }

    /// The timer of this event.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it has fired.
    pub fn get(&self, id: EventId) -> Result<Timer> {
        get(&self.store, id)
    }

    /// [`get`](Self::get) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_async(&self, id: EventId) -> Result<Timer> {
        self.store.in_task(move |store| get(store, id)).await
    }

    /// Takes a timer away. When this returns, it does not fire any more.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, because it has fired or was never made; those of
    /// [`append`](Store::append).
    pub fn cancel(&self, id: EventId) -> Result<()> {
        cancel(&self.store, id)
    }

    /// [`cancel`](Self::cancel) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn cancel_async(&self, id: EventId) -> Result<()> {
        self.store.in_task(move |store| cancel(store, id)).await
    }

    /// Fires what is due now, and returns. For programs without a runtime, and for those that look from time to time.
    ///
    /// # Errors
    /// Those of [`append`](Store::append) that are about the store; what was not fired waits.
    pub fn fire(&self) -> Result<Fired> {
        fire(&self.store)
    }

    /// [`fire`](Self::fire) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`fire`](Self::fire).
    pub async fn fire_async(&self) -> Result<Fired> {
        self.store.in_task(fire).await
    }

    /// Fires timers as they come due, in a task, until what it returns is dropped or the store closes. Those that came
    /// due while nobody ran them fire at once, the oldest first. Called again it takes part in the same task.
    ///
    /// It starts the task and returns: nothing waits here. The task does not keep the store open.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a tokio runtime; [`Error::ReadOnly`].
    pub fn run(&self) -> Result<TimersRunning> {
        TimersRunning::start(self.store.handle())
    }
}

fn place<A>(address: A) -> Result<Place>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    Ok(address.try_into()?.branch_only("events are appended to a branch")?.clone())
}

fn with<T>(store: &Store, work: impl FnOnce(&Registry, &StoreHandle) -> Result<T>) -> Result<T> {
    let handle = store.handle();
    work(&*Registry::of(&handle)?, &handle)
}

fn schedule(store: &Store, place: Place, event: NewEvent, when: Due) -> Result<Timer> {
    with(store, |registry, handle| registry.add(handle, place, event, when))
}

fn list(store: &Store, after: Option<&TimerMark>, limit: usize) -> Result<Vec<Timer>> {
    with(store, |registry, handle| registry.list(handle, after, limit.min(MAX_LISTING)))
}

fn get(store: &Store, id: EventId) -> Result<Timer> {
    with(store, |registry, handle| registry.get(handle, id))
}

fn cancel(store: &Store, id: EventId) -> Result<()> {
    with(store, |registry, handle| registry.cancel(handle, id))
}

fn fire(store: &Store) -> Result<Fired> {
    with(store, |registry, handle| {
        let look = registry.fire(handle)?;
        let wait = look.pending.wait(registry.clock.now());
        Ok(Fired { recorded: look.fired, refused: look.refused, wait })
    })
}
