//! The properties of an open store that never change.

use std::path::PathBuf;

use crate::engine::problem::Problem;
use crate::engine::upgraded::Upgraded;
use crate::error::{Error, Result};
use crate::event::{EventId, StoreId, Timestamp};

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: StoreId,
    /// Which opening of the storage this is: all handles on it have the same, and those of an earlier one are gone.
    pub(crate) opening: EventId,
    pub(crate) created: Timestamp,
    /// The format of the file; an earlier one is possible when the store is read-only.
    pub(crate) format: u32,
    /// How the store is named in messages: its file, as it was given.
    pub(crate) name: String,
    /// The absolute path, so that the files beside the store are found after a change of directory.
    pub(crate) path: Option<PathBuf>,
    pub(crate) read_only: bool,
    pub(crate) upgraded: Option<Upgraded>,
    /// What could not be read when the store was opened, and was skipped.
    pub(crate) damage: Vec<Problem>,
    /// The first of these that may hide recorded events.
    pub(crate) lacks: Option<Problem>,
}

impl Identity {
    /// Refuses if the store is read-only.
    pub(crate) fn writable(&self) -> Result<()> {
        match self.read_only {
            true => Err(Error::ReadOnly { path: self.name.clone() }),
            false => Ok(()),
        }
    }

    /// The error for something that is not found. While part of the file is unreadable, it may exist all the same.
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
