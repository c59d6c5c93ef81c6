//! Timers: events that are recorded when their time has come, once, also when the program was not running at it.
//!
//! A timer is a row in the store. When it fires, its event is recorded and the row goes in one transaction, so however
//! the process ends, the event is there once. `docs/timers.md` says what happens when the wall clock is set.

mod clock;
mod deleted;
#[cfg(test)]
mod explored;
mod forget;
mod mark;
mod page;
mod registry;
mod row;
mod run;
mod running;
mod schedule;
#[cfg(test)]
mod tests;
mod timer;
#[allow(clippy::module_inception, reason = "the handle itself")]
mod timers;

use self::registry::Registry;
use self::row::Row;
use crate::error::Result;
use crate::event::{NewEvent, Place};
use crate::store::StoreHandle;

pub(crate) use forget::forget_deleted_timers;
pub use mark::TimerMark;
pub use run::TimersRunning;
pub use timer::{Due, Fired, Timer};
pub use timers::Timers;

#[doc(hidden)]
/// A row of the table of timers, for programs that take a store apart.
///
/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt) for anything that is not a timer.
pub fn parse_timer_row(key: &[u8], value: &[u8]) -> Result<Timer> {
    Row::decode(key, value).map(Timer::from)
}

/// [`Timers::schedule`] for the bus.
pub(in crate::bus) fn later(handle: &StoreHandle, place: Place, event: NewEvent, when: Due) -> Result<Timer> {
    Registry::of(handle)?.add(handle, place, event, when)
}
