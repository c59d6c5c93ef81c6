//! Up to where a backup is restored, and what came of it.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::event::{Place, Position, Timestamp};

/// Up to where a backup is restored. A commit is restored as a whole or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestoreUntil {
    /// All of it.
    #[default]
    End,
    /// Every commit that ends at this position or before it.
    Position(Position),
    /// Every commit that was recorded at this time or before it, by the store's clock.
    Time(Timestamp),
}

/// A store that was made of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Its file.
    pub path: PathBuf,
    /// Its last position.
    pub position: Position,
    /// Bytes of the file.
    pub bytes: u64,
    /// Events of the backup that are later, and not in it.
    pub left_out: u64,
    /// Branches of the backup that are later, and not in it.
    pub branches_left_out: u64,
}

/// What is kept of a store that is restored up to some point. Records have no position, so whoever knows them has to tell
/// which of them belong to it.
pub(crate) struct KeptPart {
    /// The last position.
    pub(crate) position: u64,
    /// Everything was made before this, in microseconds since the epoch.
    pub(crate) before: i64,
    /// The branches, each with its last sequence.
    pub(crate) heads: HashMap<Place, u64>,
}

/// A record of one table.
pub(crate) type KeptRecord = (Vec<u8>, Vec<u8>);
