//! A timer as its callers see it.

use std::time::Duration;

use super::row::{Family, Row};
use crate::event::{EventId, NewEvent, Place, Timestamp};

/// When a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// After a while, whatever becomes of the wall clock while the store is open. Zero is as soon as possible.
    After(Duration),
    /// When the wall clock has come to this time.
    At(Timestamp),
}

impl From<Duration> for Due {
    fn from(delay: Duration) -> Self {
        Self::After(delay)
    }
}

impl From<Timestamp> for Due {
    fn from(time: Timestamp) -> Self {
        Self::At(time)
    }
}

/// A timer that has not fired.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Timer {
    /// The id of its event, by which it is cancelled.
    pub id: EventId,
    /// The branch to which its event goes.
    pub place: Place,
    /// When it fires. The event has this as the time when it occurred.
    pub due: Timestamp,
    /// Whether it goes by the wall clock; otherwise it was made for after a while.
    pub is_at: bool,
    /// When it was made.
    pub made: Timestamp,
    /// What is recorded.
    pub event: NewEvent,
    /// Why the store did not take the event when its time had come. Such a timer does not fire again by itself.
    pub refused: Option<String>,
}

impl From<Row> for Timer {
    fn from(row: Row) -> Self {
        Self {
            id: row.event.id,
            place: row.place,
            due: Timestamp::from_micros(row.due),
            is_at: row.family == Family::At,
            made: row.made,
            event: row.event,
            refused: row.refused,
        }
    }
}

/// What one look at the timers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the store refused. Their timers are kept, with the reason.
    pub refused: u64,
    /// How long to wait before one looks again: until the next timer is due, and never longer than half a minute,
    /// because the wall clock can be set meanwhile.
    pub wait: Duration,
}
