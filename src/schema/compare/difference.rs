//! One difference between two schemas.

use super::fix::Fix;

/// What a difference means for payloads of the old schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All of them fit the new schema.
    Compatible,
    /// Whether they fit cannot be determined.
    Undecided,
    /// Some of them do not fit.
    Breaking,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The place in a payload: a JSON pointer, with `*` for every item of a list and `""` for the whole.
    pub path: String,
    /// What it means.
    pub verdict: Verdict,
    /// What has changed, as a clause.
    pub what: String,
    pub(super) fix: Option<Fix>,
}
