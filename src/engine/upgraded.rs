//! The upgrade of a file from an earlier format.

use std::path::PathBuf;

/// The upgrade that was made when a file of an earlier format was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgraded {
    /// The old format.
    pub from: u32,
    /// The new format.
    pub to: u32,
    /// The kept copy of the old file.
    pub copy: PathBuf,
}
