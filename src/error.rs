//! The one error of the crate: plain data that a caller can act on.

use crate::event::{Address, EventId, Expect, Invalid, Place, Position, Sequence};

/// What can go wrong. Every message names the thing and, where there is one, the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A branch was not at the head that the append expected. Nothing was written.
    #[error("{place} is at sequence {actual}, not at {expected}; nothing was written")]
    Conflict {
        /// The branch.
        place: Place,
        /// What the append took for granted.
        expected: Expect,
        /// Where the branch really was.
        actual: Sequence,
    },
    /// A record was not as the commit expected: somebody else has changed it. Nothing was written.
    #[error(
        "{record} was changed by somebody else meanwhile; nothing was written: read it again, then try again"
    )]
    RecordChanged {
        /// The table and the key.
        record: String,
    },
    /// There is no such session, branch, event or file.
    #[error("there is no {what} {name}")]
    NotFound {
        /// The sort of thing: `session`, `branch`, `event`, `store`.
        what: &'static str,
        /// Its name as it was asked for.
        name: String,
    },
    /// There is one already.
    #[error("there is already a {what} {name}")]
    Exists {
        /// The sort of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value was refused before anything was written.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// An event id is recorded already, with other content or at another place. Nothing was written.
    #[error("event {id} is recorded already, at {at}, and not as this append has it; nothing was written")]
    Duplicate {
        /// The id that is taken.
        id: EventId,
        /// Where it is recorded.
        at: Address,
    },
    /// Another process, or another handle of this one, has the store open.
    #[error("{path} is in use by another process; wait for it, or close it there")]
    Locked {
        /// The store's file.
        path: String,
    },
    /// The handle was opened by another process: this one is a child that it forked. Nothing was read or written.
    #[error(
        "this handle was opened by process {opened_in} and does not work in a forked child; open the store again here, once process {opened_in} has closed it"
    )]
    OtherProcess {
        /// The process that opened the store.
        opened_in: u32,
    },
    /// The file does not hold what was written to it. What the place names was not handed out.
    #[error("{place} is corrupt: {reason}")]
    Corrupt {
        /// The event, table row or file.
        place: String,
        /// How that shows.
        reason: String,
    },
    /// Something passes a bound of this store. Nothing was written.
    #[error("{what} has {size} bytes; {limit} are the most here")]
    TooLarge {
        /// What passes the bound.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// The commit failed in a way that leaves open whether it is on the disk. The store has to be opened again;
    /// appending the same events with the same ids after that is safe, whether or not they are there.
    #[error(
        "the outcome of this write is unknown ({reason}); open the store again and retry with the same event ids"
    )]
    Unknown {
        /// What the storage said.
        reason: String,
    },
    /// The storage failed: an I/O error, a full disk, a file that may not be opened.
    #[error("{reason}")]
    Storage {
        /// What the storage said, with the file's name where one is known.
        reason: String,
    },
    /// An event is stored in an old shape that its steps do not make new. It is as it was written, and can be read
    /// raw; readers go on after it.
    #[error("{at} cannot be read in its newest shape, {reason}; it is stored as it was, and can be read raw")]
    Upcast {
        /// The event.
        at: Address,
        /// Its position.
        position: Position,
        /// How far it came, and why it goes no further.
        reason: String,
    },
    /// The file was written by a newer release.
    #[error("{path} has store format {found}; this release reads up to {supported}: use a newer release")]
    NewerFormat {
        /// The store's file.
        path: String,
        /// The file's format.
        found: u32,
        /// The newest format that this release knows.
        supported: u32,
    },
    /// A cursor that this store cannot go on from.
    #[error("this cursor cannot be used here: {reason}")]
    BadCursor {
        /// Why not.
        reason: String,
    },
    /// A projection could not apply an event. Its state before that event can be read; the state after it once the
    /// fault is mended and the projection is retried or rebuilt.
    #[error("projection {projection} is parked at {at}: {reason}; mend it, then retry or rebuild it")]
    Parked {
        /// The projection.
        projection: String,
        /// The event that it could not apply.
        at: Address,
        /// Why not.
        reason: String,
    },
    /// There is one already that was made with another setting.
    #[error(
        "{what} {name} is there with {setting} {recorded}, not {asked}; use it as it is, or remove it and make it anew"
    )]
    Differs {
        /// The sort of thing: `consumer`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The setting that differs.
        setting: &'static str,
        /// Its value there.
        recorded: String,
        /// The value that was asked for.
        asked: String,
    },
    /// What a token names is no delivery that can be resolved.
    #[error("this delivery of consumer {consumer} cannot be resolved: {reason}")]
    NotDelivered {
        /// The consumer that was asked.
        consumer: String,
        /// Why not.
        reason: String,
    },
    /// The store was opened to be read only.
    #[error("{path} was opened read-only")]
    ReadOnly {
        /// The store's file.
        path: String,
    },
    /// The store was closed, or was closed after a storage error.
    #[error("the store is closed{}", .after.as_ref().map(|a| format!(" after an error: {a}; open it again")).unwrap_or_default())]
    Closed {
        /// The error that made it close itself, if it was not closed on purpose.
        after: Option<String>,
    },
}

impl Error {
    /// Whether the same call can succeed later without a change by the caller.
    ///
    /// `true` for [`Error::Locked`], and for [`Error::Unknown`] and [`Error::Closed`] once the store is open again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Locked { .. }) || self.is_of_a_closed_store()
    }

    /// Whether it is what was asked for that was refused, and would be again: the store goes on as it was, and whatever
    /// else is to be written can be.
    ///
    /// ```
    /// use retold::{Error, Invalid};
    /// assert!(Error::from(Invalid::new("type", "is empty")).is_refusal());
    /// assert!(!Error::Closed { after: None }.is_refusal());
    /// ```
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::RecordChanged { .. }
                | Self::NotFound { .. }
                | Self::Exists { .. }
                | Self::Invalid(_)
                | Self::Duplicate { .. }
                | Self::TooLarge { .. }
                | Self::BadCursor { .. }
                | Self::Differs { .. }
                | Self::NotDelivered { .. }
        )
    }

    /// Whether a part of the file cannot be read. What lies elsewhere in it can be.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    /// Whether the store is closed by now, so that nothing can be done before it is opened again.
    pub(crate) fn is_of_a_closed_store(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Closed { .. })
    }

    pub(crate) fn corrupt(place: impl ToString, reason: impl Into<String>) -> Self {
        Self::Corrupt { place: place.to_string(), reason: reason.into() }
    }

    pub(crate) fn storage(reason: impl ToString) -> Self {
        Self::Storage { reason: reason.to_string() }
    }

    /// There is no such thing: `what` is its sort, `name` what it was asked for by.
    pub fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_refused_damage_or_of_the_store() {
        let refused = [
            Error::not_found("branch", "s/b"),
            Error::Exists { what: "branch", name: "s/b".into() },
            Invalid::new("type", "is empty").into(),
            Error::TooLarge { what: "a payload".into(), size: 2, limit: 1 },
            Error::BadCursor { reason: "it is of another store".into() },
        ];
        let closed = [Error::Closed { after: None }, Error::Unknown { reason: "a sync failed".into() }];
        let damaged = [Error::corrupt("s/main@3", "its checksum differs")];
        let rest = [
            Error::storage("the disk is full"),
            Error::Locked { path: "x".into() },
            Error::OtherProcess { opened_in: 1 },
            Error::ReadOnly { path: "x".into() },
        ];
        let asked = |e: &Error| [e.is_refusal(), e.is_of_a_closed_store(), e.is_damage()];
        assert!(refused.iter().all(|e| asked(e) == [true, false, false] && !e.is_retryable()));
        assert!(closed.iter().all(|e| asked(e) == [false, true, false] && e.is_retryable()));
        assert!(damaged.iter().all(|e| asked(e) == [false, false, true] && !e.is_retryable()));
        assert!(rest.iter().all(|e| asked(e) == [false, false, false]));
    }

    #[test]
    fn a_conflict_names_both_numbers() {
        let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
        let e = Error::Conflict { place, expected: Expect::Head(5.into()), actual: 3.into() };
        assert_eq!(e.to_string(), "s/main is at sequence 3, not at head 5; nothing was written");
    }
}
