use std::fmt;

/// A value that was refused before anything was written: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalid {
    /// The name of the field, as in an event's JSON.
    pub field: &'static str,
    /// What is wrong with it, as a clause: "is empty".
    pub reason: String,
}

impl Invalid {
    /// `field` is the name that users know; `reason` completes the sentence "the field …".
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.reason)
    }
}

impl std::error::Error for Invalid {}
