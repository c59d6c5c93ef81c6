//! What compacting a store has made of its file.

/// The size of a store's file before and after it was compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of the file that has taken its place.
    pub after: u64,
}
