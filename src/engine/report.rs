//! What an engine reports about its contents.

use super::problem::Problem;
use crate::error::Error;

/// What a walk over the whole store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Branches that were checked.
    pub branches: u64,
    /// Events that were decoded.
    pub events: u64,
    /// Chunks that were decoded.
    pub chunks: u64,
    /// The inconsistencies found.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether there are no problems.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn problem(&mut self, place: impl ToString, reason: impl Into<String>) {
        self.problems.push(Problem::new(place, reason));
    }

    pub(crate) fn error(&mut self, place: impl ToString, e: Error) {
        match e {
            Error::Corrupt { place, reason } => self.problem(place, reason),
            e => self.problem(place, e.to_string()),
        }
    }
}

/// Figures of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) sessions: u64,
    pub(crate) branches: u64,
    pub(crate) events: u64,
    /// How many of them are in the journal and not flushed yet.
    pub(crate) in_journal: u64,
    pub(crate) chunks: u64,
    /// Bytes of all payloads, as they were appended.
    pub(crate) payload_bytes: u64,
    /// Bytes of the file; `None` where there is none.
    pub(crate) file_bytes: Option<u64>,
}
