//! Which events lie together.

use bincode::{BorrowDecode, Encode};

/// Consecutive events of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Run {
    /// Number of the branch.
    pub branch: u64,
    /// Sequence of the first event.
    pub first: u64,
    /// How many there are.
    pub count: u32,
}
