//! What was removed for good.

/// How much was removed of what was deleted or truncated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// Events.
    pub events: u64,
    /// Bytes of them, as they were appended.
    pub bytes: u64,
}

impl Purged {
    pub(crate) fn new(events: u64, bytes: u64) -> Self {
        Self { events, bytes }
    }
}
