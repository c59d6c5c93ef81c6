//! What a subscription delivers.

use super::Cursor;
use crate::event::Event;

/// An item of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// The next event, and the cursor that resumes after it.
    Event {
        /// The event.
        event: Event,
        /// Resumes after it.
        cursor: Cursor,
    },
    /// Everything committed so far was delivered; from now on events are live. Reported once.
    CaughtUp {
        /// Resumes from here.
        cursor: Cursor,
    },
    /// Events that come next were removed before they were delivered: the branch was
    /// [truncated](crate::lifecycle::BranchLifecycle::truncate), or, for a follower of everything, that or
    /// [deleted](crate::lifecycle::BranchLifecycle::delete). A follower of one session is not told.
    Gap {
        /// The first that may be left: a sequence of one branch, or a position of the whole store.
        first: u64,
        /// Resumes there.
        cursor: Cursor,
    },
}

impl Followed {
    /// The event, if it is one.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        match self {
            Self::Event { event, .. } => Some(event),
            Self::CaughtUp { .. } | Self::Gap { .. } => None,
        }
    }

    /// Resumes after this item.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Event { cursor, .. } | Self::CaughtUp { cursor } | Self::Gap { cursor, .. } => *cursor,
        }
    }
}
