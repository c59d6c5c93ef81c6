//! Timers: events that are recorded when their time has come, once, also when the program was not running at it.
//!
//! A timer is a row in the store. When it fires, its event is recorded and the row goes in one transaction, so however
//! the process ends, the event is there once. `docs/timers.md` says what happens when the wall clock is set.

mod clock;
mod registry;
mod row;
mod run;
mod running;
mod schedule;
#[cfg(test)]
mod tests;
mod timer;

use self::registry::Registry;
use self::row::Row;
use crate::error::{Error, Result};
use crate::event::{Address, EventId, NewEvent, Place};
use crate::limits::MAX_LISTING;
use crate::store::{Store, StoreHandle, unblocked};

pub use run::TimersRunning;
pub use timer::{Due, Fired, Timer};

impl Store {
    /// Records an event after a while, or at a time: once, whether or not the program runs until then. It is fired by
    /// [`run_timers`](Self::run_timers), by a bus, or by [`fire_timers`](Self::fire_timers); without one of them it
    /// waits.
    ///
    /// The timer has the event's id. Asking again for the same event is recognised and changes nothing. The event's
    /// time of occurrence is the time at which it is due.
    ///
    /// ```
    /// use std::time::Duration;
    /// use retold::{NewEvent, Store};
    /// let store = Store::in_memory()?;
    /// let timer = store.emit_later("run-7", NewEvent::new("run.timed_out"), Duration::from_secs(600))?;
    /// assert_eq!(store.timers(10)?[0].id, timer.id);
    /// store.cancel_timer(timer.id)?;
    /// store.emit_later("run-7", NewEvent::new("step.retried"), Duration::ZERO)?;
    /// assert_eq!(store.fire_timers()?.recorded, 1);
    /// assert_eq!(store.head("run-7")?.get(), 1);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a time that is past, for an event that the store would not take, and when there are
    /// 100,000 timers; [`Error::NotFound`] for a branch that does not exist; [`Error::Duplicate`] when the event is
    /// recorded already; [`Error::Exists`] when its id has another timer; those of [`append`](Self::append).
    pub fn emit_later<A>(&self, address: A, event: NewEvent, when: impl Into<Due>) -> Result<Timer>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let handle = self.handle();
        Registry::of(&handle)?.add(&handle, place(address)?, event, when.into())
    }

    /// [`emit_later`](Self::emit_later) for tasks.
    ///
    /// # Cancellation
    /// Once begun, the timer is made or not made as a whole; dropping the future does not stop it. Ask again to know.
    ///
    /// # Errors
    /// As [`emit_later`](Self::emit_later).
    pub async fn emit_later_async<A>(
        &self,
        address: A,
        event: NewEvent,
        when: impl Into<Due>,
    ) -> Result<Timer>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let (handle, place, when) = (self.handle(), place(address)?, when.into());
        handle.process().check()?;
        unblocked(move || Registry::of(&handle)?.add(&handle, place, event, when)).await
    }

    /// Up to `limit` timers (10,000 at the most): those that were refused, then the others, the next one first.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn timers(&self, limit: usize) -> Result<Vec<Timer>> {
        let handle = self.handle();
        Registry::of(&handle)?.list(&handle, limit.min(MAX_LISTING))
    }

    /// The timer of this event.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it has fired.
    pub fn timer(&self, id: EventId) -> Result<Timer> {
        let handle = self.handle();
        Registry::of(&handle)?.get(&handle, id)
    }

    /// Takes a timer away. When this returns, it does not fire any more.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, because it has fired or was never made; those of
    /// [`append`](Self::append).
    pub fn cancel_timer(&self, id: EventId) -> Result<()> {
        let handle = self.handle();
        Registry::of(&handle)?.cancel(&handle, id)
    }

    /// [`cancel_timer`](Self::cancel_timer) as an async function. Dropping the future does not stop an operation in progress.
    ///
    /// # Errors
    /// As [`cancel_timer`](Self::cancel_timer).
    pub async fn cancel_timer_async(&self, id: EventId) -> Result<()> {
        let handle = self.handle();
        handle.process().check()?;
        unblocked(move || Registry::of(&handle)?.cancel(&handle, id)).await
    }

    /// Fires what is due now, and returns. For programs without a runtime, and for those that look from time to time.
    ///
    /// # Errors
    /// Those of [`append`](Self::append) that are about the store; what was not fired waits.
    pub fn fire_timers(&self) -> Result<Fired> {
        let handle = self.handle();
        let registry = Registry::of(&handle)?;
        let look = registry.fire(&handle)?;
        let wait = look.pending.wait(registry.clock.now());
        Ok(Fired { recorded: look.fired, refused: look.refused, wait })
    }

    /// Fires timers as they come due, in a task, until what it returns is dropped or the store closes. Those that came
    /// due while nobody ran them fire at once, the oldest first. Called again it takes part in the same task.
    ///
    /// The task does not keep the store open.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a tokio runtime; [`Error::ReadOnly`].
    pub fn run_timers(&self) -> Result<TimersRunning> {
        TimersRunning::start(self.handle())
    }
}

/// A row of the table of timers, for programs that take a store apart.
///
/// # Errors
/// [`Error::Corrupt`] for anything that is none.
pub fn parse_timer_row(key: &[u8], value: &[u8]) -> Result<Timer> {
    Row::decode(key, value).map(Timer::from)
}

/// [`Store::emit_later`] for the bus.
pub(in crate::bus) fn later(handle: &StoreHandle, place: Place, event: NewEvent, when: Due) -> Result<Timer> {
    Registry::of(handle)?.add(handle, place, event, when)
}

fn place<A>(address: A) -> Result<Place>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    Ok(address.try_into()?.branch_only("events can only be appended to a branch")?.clone())
}
