//! Timers as callers see them.

use std::time::Duration;

use super::row::{Family, Row};
use crate::event::{EventId, NewEvent, Place, Timestamp};

/// When a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// After a delay, whatever happens to the wall clock while the store is open. Zero means as soon as possible.
    After(Duration),
    /// When the wall clock has reached this time.
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
    /// The branch of its event.
    pub place: Place,
    /// When it fires. This becomes the event's time of occurrence.
    pub due: Timestamp,
    /// Whether it uses the wall clock; otherwise it was set with a delay.
    pub is_at: bool,
    /// When it was set.
    pub made: Timestamp,
    /// The event to record.
    pub event: NewEvent,
    /// Why the store refused the event when it was due. Such a timer does not fire again by itself.
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

/// The result of firing due timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the store refused. Their timers are kept, with the reason.
    pub refused: u64,
    /// How long to wait before the next check: until the next timer is due, but at most half a minute, because the
    /// wall clock can be set in the meantime.
    pub wait: Duration,
}
