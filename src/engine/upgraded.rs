//! The upgrade of a file of an earlier release.

use std::path::PathBuf;

/// The upgrade of a file of an earlier format when it was opened.
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
