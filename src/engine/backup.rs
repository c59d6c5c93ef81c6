//! What a backup holds.

use std::path::PathBuf;

use crate::event::Position;

/// A copy of a store, which is a store of its own with the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Its file.
    pub path: PathBuf,
    /// The last position that it holds.
    pub position: Position,
    /// Bytes of the file.
    pub bytes: u64,
}
