//! Who wants to make a call, and what it takes.

use std::time::Instant;

/// What a call takes of the room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Its place among the calls.
    Call,
    /// So many bytes as well.
    Commit(usize),
}

/// A call that wants to begin.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) load: Load,
    /// When it was made: the wait for its answer includes that for room.
    pub(super) since: Instant,
    /// Among those who wait for room.
    pub(super) place: Option<u64>,
}

impl Caller {
    pub(super) fn new(load: Load) -> Self {
        Self { load, since: Instant::now(), place: None }
    }
}
