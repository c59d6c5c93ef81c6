//! What opening did to a file of an earlier release.

use std::path::PathBuf;

/// What became of a file of an earlier format as it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgraded {
    /// The format that it had.
    pub from: u32,
    /// The format that it has.
    pub to: u32,
    /// The file as it was.
    pub copy: PathBuf,
}
