//! One thing that is wrong with a store.

use std::fmt;

use crate::error::Error;

/// One inconsistency.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The event, branch, position or table.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(place: impl ToString, reason: impl Into<String>) -> Self {
        Self { place: place.to_string(), reason: reason.into() }
    }

    pub(crate) fn into_error(self) -> Error {
        Error::Corrupt { place: self.place, reason: self.reason }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}
