//! What is said of a store once it is open, and never changes.

use std::path::PathBuf;

use super::problem::Problem;
use super::upgraded::Upgraded;
use crate::event::{StoreId, Timestamp};

#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: StoreId,
    pub(super) created: Timestamp,
    /// The format of the file: an earlier one in a store that is only read.
    pub(super) format: u32,
    /// How the store is named in messages: its file, as it was given.
    pub(super) name: String,
    /// The file; what lies beside the store is found there when the process goes to another folder.
    pub(super) path: Option<PathBuf>,
    pub(super) upgraded: Option<Upgraded>,
    /// What could not be read as the store was opened, and was gone without.
    pub(super) damage: Vec<Problem>,
}
