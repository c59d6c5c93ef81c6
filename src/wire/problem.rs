//! One table that gives every error its code, its exit code and its HTTP status.

use serde::Serialize;

use crate::error::Error;

/// How an error is reported to programs: a stable name, an exit code, and an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Code {
    /// The name.
    pub name: &'static str,
    /// The kind of problem in a few words.
    pub title: &'static str,
    /// The exit code of a program that fails with it.
    pub exit: Exit,
    /// The status of an HTTP response that carries it.
    pub status: u16,
}

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// A failure not covered by the others.
    Failed = 1,
    /// The command line is invalid.
    Usage = 2,
    /// The store is not as the command expects.
    Conflict = 3,
    /// No such session, branch, event or file.
    NotFound = 4,
    /// Another process has the store open.
    InUse = 5,
    /// The store is damaged.
    Corrupt = 6,
    /// A value or a file is invalid.
    Invalid = 7,
    /// Interrupted by Ctrl-C: 128 plus the signal number, as shells do.
    Interrupted = 130,
}

impl Exit {
    /// All of them, with their meaning.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "the command line was not understood"),
        (Self::Conflict, "conflict: the store is not as the command expects"),
        (Self::NotFound, "not found"),
        (Self::InUse, "the store is in use by another process"),
        (Self::Corrupt, "the store is corrupt"),
        (Self::Invalid, "invalid input"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// The table: one row for every error.
#[must_use]
pub fn code(error: &Error) -> Code {
    let row = |name, title, exit, status| Code { name, title, exit, status };
    match error {
        Error::Conflict { .. } => row("conflict", "The branch has moved", Exit::Conflict, 409),
        Error::BranchClosed { .. } => row("branch_closed", "The branch is closed", Exit::Conflict, 409),
        Error::Deleted { .. } => row("deleted", "The branch was deleted", Exit::NotFound, 410),
        Error::Truncated { .. } => row("truncated", "The events were removed", Exit::NotFound, 410),
        Error::RecordChanged { .. } => row("record_changed", "A record has changed", Exit::Conflict, 409),
        Error::Exists { .. } => row("exists", "It already exists", Exit::Conflict, 409),
        Error::Duplicate { .. } => row("duplicate", "The event id is already recorded", Exit::Conflict, 409),
        Error::Differs { .. } => row("differs", "It already exists with other settings", Exit::Conflict, 409),
        Error::NotDelivered { .. } => {
            row("not_delivered", "The delivery cannot be resolved", Exit::Conflict, 409)
        }
        Error::NotFound { .. } => row("not_found", "Not found", Exit::NotFound, 404),
        Error::Invalid(_) => row("invalid", "A value is invalid", Exit::Invalid, 422),
        Error::TooLarge { .. } => row("too_large", "A value is too large", Exit::Invalid, 413),
        Error::BadCursor { .. } => row("bad_cursor", "The cursor cannot be used", Exit::Invalid, 400),
        Error::Diverged { .. } => row("diverged", "The store was restored since", Exit::Conflict, 409),
        Error::NotABase { .. } => {
            row("not_a_base", "No incremental backup can follow it", Exit::Conflict, 409)
        }
        Error::Upcast { .. } => row("upcast", "An old event cannot be upcast", Exit::Invalid, 500),
        Error::NewerFormat { .. } => row("newer_format", "The store has a newer format", Exit::Invalid, 500),
        Error::LeaseHeld { .. } => row("lease_held", "Somebody else holds the lease", Exit::Conflict, 409),
        Error::LeaseLost { .. } => row("lease_lost", "The lease is over", Exit::Conflict, 409),
        Error::UnknownFeatures { .. } => {
            row("unknown_features", "The store has features of a newer release", Exit::Invalid, 500)
        }
        Error::Locked { .. } => row("locked", "The store is in use", Exit::InUse, 503),
        Error::OwnerLost { .. } => row("owner_lost", "The owner of the store has left", Exit::InUse, 503),
        Error::NoAnswer { .. } => {
            row("no_answer", "The owner of the store does not answer", Exit::InUse, 503)
        }
        Error::OtherProtocol { .. } => {
            row("other_protocol", "The owner of the store is of another release", Exit::InUse, 500)
        }
        Error::Unreachable { .. } => {
            row("unreachable", "The server of the store cannot be reached", Exit::InUse, 503)
        }
        Error::Refused { .. } => {
            row("refused", "The server of the store does not let it in", Exit::Failed, 403)
        }
        Error::OtherProcess { .. } => {
            row("other_process", "The store was opened by another process", Exit::Failed, 500)
        }
        Error::Corrupt { .. } => row("corrupt", "The store is damaged", Exit::Corrupt, 500),
        Error::Unknown { .. } => row("unknown", "The outcome is unknown", Exit::Failed, 503),
        Error::Storage { .. } => row("storage", "The storage failed", Exit::Failed, 500),
        Error::Parked { .. } => row("parked", "The projection is parked", Exit::Failed, 500),
        Error::ReadOnly { .. } => row("read_only", "The store was opened read-only", Exit::Failed, 403),
        Error::Closed { .. } => row("closed", "The store is closed", Exit::Failed, 503),
    }
}

/// An error as a problem document (RFC 9457), the same in every front end.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemDocument {
    /// The error's name, as a URI reference.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The error message.
    pub detail: String,
    /// Whether the same request can succeed later.
    pub retryable: bool,
    /// Where the branch was, for a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
    /// The field that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
}

impl From<&Error> for ProblemDocument {
    fn from(error: &Error) -> Self {
        let code = code(error);
        Self {
            kind: format!("urn:retold:error:{}", code.name),
            title: code.title,
            status: code.status,
            detail: error.to_string(),
            retryable: error.is_retryable(),
            head: if let Error::Conflict { actual, .. } = error { Some(actual.get()) } else { None },
            field: if let Error::Invalid(invalid) = error { Some(invalid.field) } else { None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Expect, Place};

    #[test]
    fn exit_codes_are_their_place_in_the_list_but_for_that_of_a_signal() {
        let (signal, all) = Exit::ALL.split_last().unwrap();
        for (at, (exit, _)) in all.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), at);
        }
        assert_eq!(signal.0.code(), 128 + 2);
    }

    #[test]
    fn a_conflict_is_a_document_with_the_head() {
        let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
        let e = Error::Conflict { place, expected: Expect::Head(5.into()), actual: 3.into() };
        let document = serde_json::to_value(ProblemDocument::from(&e)).unwrap();
        assert_eq!(document["type"], "urn:retold:error:conflict");
        assert_eq!((&document["status"], &document["head"]), (&409.into(), &3.into()));
        assert_eq!(code(&e).exit, Exit::Conflict);
    }
}
