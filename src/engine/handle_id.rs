use std::sync::atomic::{AtomicU64, Ordering};

/// One handle on an open engine. What it commits carries its number, so that it can tell the records of others from its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HandleId(u64);

impl HandleId {
    /// One that no other handle of this process has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
