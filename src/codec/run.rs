//! Runs of consecutive events.

use bincode::{BorrowDecode, Encode};

/// Consecutive events of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Run {
    /// Number of the branch.
    pub branch: u64,
    /// Sequence of the first event.
    pub first: u64,
    /// The number of events.
    pub count: u32,
}
