//! Locks, channels, threads, tasks and clocks. Nothing else in the library names those of std and tokio, so that one test
//! program can run the same code on threads, and in schedules of an explorer.
//!
//! In an ordinary build everything here is std's or tokio's own. In the library's own tests each type is std's or tokio's
//! until an exploration runs on the thread that uses it (`testkit::explore`): then taking a lock, waking, sleeping and
//! spawning are decided by the explorer, and time is a number that jumps to the next timer when every task waits.
//!
//! tokio's channels, `Notify` and `Semaphore` know no runtime and are used as they are. Where one of them stands between
//! two steps that take no lock, [`point`] says that another task may run there.
//!
//! `fault!(Name)` is a known way to get something wrong: `false` but in a test that injects it, to see that it is caught.
//! `fault!(Name, { … })` does something wrong then.

#[cfg(test)]
mod explored;
mod locked;
#[cfg(not(test))]
mod ordinary;
mod steady;
mod wall;

pub(crate) use locked::{lock, read, try_lock, write};

#[cfg(test)]
pub(crate) use explored::*;
#[cfg(not(test))]
pub(crate) use ordinary::*;
