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

impl Run {
    /// Positions of events that were removed. No branch has number 0.
    #[must_use]
    pub fn removed(count: u32) -> Self {
        Self { branch: 0, first: 1, count }
    }

    /// Whether the events were removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.branch == 0
    }
}
