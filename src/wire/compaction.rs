//! A compaction as JSON.

use serde::Serialize;

use crate::store;

/// The size of a store's file before and after it was compacted, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct CompactionView {
    before: u64,
    after: u64,
}

impl From<&store::Compaction> for CompactionView {
    fn from(compaction: &store::Compaction) -> Self {
        Self { before: compaction.before, after: compaction.after }
    }
}
