use serde::{Deserialize, Serialize};

/// What is known of a segment without opening it. Segments follow each other: each has the texts of a range of positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    /// Its file.
    pub(crate) name: String,
    /// What of its file can be read.
    pub(super) len: u64,
    pub(crate) texts: u32,
    /// Words of all its texts.
    pub(crate) words: u64,
    /// The first position that has a text in it …
    pub(crate) first: u64,
    /// … and the last that was indexed, with the mark of the event that was there, by which it is known again.
    pub(crate) last: u64,
    pub(crate) mark: u64,
    /// Where in the file the index of its terms is, and how long.
    pub(super) terms: (u64, u64),
    pub(super) lengths: u64,
    /// Where it says where each block of rows begins, and where the last one ends.
    pub(super) rows: u64,
}
