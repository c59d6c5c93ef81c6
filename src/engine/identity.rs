//! The properties of an open store that never change.

use std::path::PathBuf;

use crate::engine::problem::Problem;
use crate::engine::upgraded::Upgraded;
use crate::error::{Error, Result};
use crate::event::{StoreId, Timestamp};

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
    /// Nothing is written.
    pub(crate) read_only: bool,
    pub(crate) upgraded: Option<Upgraded>,
    /// What could not be read as the store was opened, and was gone without.
    pub(crate) damage: Vec<Problem>,
    /// The first of it that may hide what was recorded.
    pub(crate) lacks: Option<Problem>,
}

impl Identity {
    /// Refuses where the store is only read.
    pub(crate) fn writable(&self) -> Result<()> {
        match self.read_only {
            true => Err(Error::ReadOnly { path: self.name.clone() }),
            false => Ok(()),
        }
    }

    /// The error for something that is not found: if part of the file is missing, nothing is known to be absent.
    pub(crate) fn not_found(&self, what: &'static str, name: impl ToString) -> Error {
        match &self.lacks {
            None => Error::not_found(what, name),
            Some(problem) => {
                let place = format!("{what} {}", name.to_string());
                Error::corrupt(place, format!("it is not found in what can be read of the store; {problem}"))
            }
        }
    }
}
