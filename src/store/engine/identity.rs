//! What is said of a store once it is open, and never changes.

use std::path::PathBuf;

use crate::event::{StoreId, Timestamp};
use crate::store::problem::Problem;
use crate::store::upgraded::Upgraded;

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) id: StoreId,
    pub(crate) created: Timestamp,
    /// The format of the file: an earlier one in a store that is only read.
    pub(crate) format: u32,
    /// How the store is named in messages: its file, as it was given.
    pub(crate) name: String,
    /// The file; what lies beside the store is found there when the process goes to another folder.
    pub(crate) path: Option<PathBuf>,
    pub(crate) upgraded: Option<Upgraded>,
    /// What could not be read as the store was opened, and was gone without.
    pub(crate) damage: Vec<Problem>,
}
