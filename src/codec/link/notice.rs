//! What an owner says without being asked.

use bincode::{BorrowDecode, Encode};

use super::parts::{LIST, SentBranch, SentEvents};
use crate::codec::wire::Bounded;

/// A message that belongs to no call. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentNotice<'a> {
    /// A sign of life, while calls wait.
    Alive,
    /// The owner leaves: look for another one.
    Leaving,
    /// Something was committed up to this position, and nothing is said of it.
    Unseen(u64),
    /// What was committed at once.
    Committed {
        /// The last position that is committed.
        position: u64,
        /// Branches that began.
        births: Bounded<SentBranch<'a>, LIST>,
        /// The events.
        events: SentEvents<'a>,
        /// Handles, and a bit for every table in which they changed records.
        changed: Bounded<(u64, u16), LIST>,
    },
}
