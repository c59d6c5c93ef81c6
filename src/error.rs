//! The crate's one error type: plain data that a caller can act on.

use crate::event::{Address, EventId, Expect, Invalid, Place, Position, Sequence, SessionId, Timestamp};

/// What can go wrong. Every message names the thing, says what is wrong and, if possible, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A branch was not at the head that the append expected. Nothing was written.
    #[error("{place} is at sequence {actual}, not at {expected}; nothing was written")]
    Conflict {
        /// The branch.
        place: Place,
        /// What the append expected.
        expected: Expect,
        /// The branch's actual head.
        actual: Sequence,
    },
    /// A record was not as the commit expected: somebody else has changed it. Nothing was written.
    #[error(
        "{record} was changed by somebody else in the meantime; nothing was written: read it again and retry"
    )]
    RecordChanged {
        /// The table and the key.
        record: String,
    },
    /// The branch was closed: nothing is appended to it any more. Nothing was written.
    #[error("{place} was closed at {at}; nothing was written: fork it, and append to the fork")]
    BranchClosed {
        /// The branch.
        place: Place,
        /// When it was closed.
        at: Timestamp,
    },
    /// The branch was deleted. An append that may begin a branch of this name begins another one. Nothing was read or written.
    #[error("{place} was deleted at {at}; its name is free for another branch")]
    Deleted {
        /// The branch.
        place: Place,
        /// When it was deleted.
        at: Timestamp,
    },
    /// The events before this sequence were removed from the branch. Nothing was read or written.
    #[error("the events of {place} before @{first} were removed; read from there on")]
    Truncated {
        /// The branch.
        place: Place,
        /// The first sequence that is left; one after the last when none is.
        first: Sequence,
    },
    /// Somebody else holds the lease on a session.
    #[error("{session} is held by {holder} until {until}; try again then, or when it is released")]
    LeaseHeld {
        /// The session.
        session: SessionId,
        /// Who holds it.
        holder: String,
        /// When the lease ends, unless it is renewed.
        until: Timestamp,
    },
    /// The lease that the call relied on was taken by somebody else, or released. Nothing was written.
    #[error("lease {fence} on {session} is over{}; nothing was written", taken_by(.holder))]
    LeaseLost {
        /// The session.
        session: SessionId,
        /// The fence of the token that was given.
        fence: u64,
        /// Who holds the session now, if anybody does.
        holder: Option<String>,
    },
    /// There is no such session, branch, event or file.
    #[error("there is no {what} {name}")]
    NotFound {
        /// The kind of thing: `session`, `branch`, `event`, `store`.
        what: &'static str,
        /// Its name, as requested.
        name: String,
    },
    /// It already exists.
    #[error("there is already a {what} {name}")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value was refused before anything was written.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// An event id is already recorded, with different content or at another place. Nothing was written.
    #[error(
        "event {id} is already recorded at {at} with different content or in another place; nothing was written"
    )]
    Duplicate {
        /// The id.
        id: EventId,
        /// Where it is recorded.
        at: Address,
    },
    /// Another process, or another handle of this one, has the store open and does not share it.
    #[error("{path} is in use by another process; wait until it is closed, or close it there{}", because(.reason))]
    Locked {
        /// The store's file.
        path: String,
        /// Who has it, and why it cannot be shared, as far as that is known; else empty.
        reason: String,
    },
    /// The process that held the store has ended, or has handed it over. Nothing was written. The same call succeeds once
    /// another process has taken over.
    #[error("process {owner}, which held the store, has ended or left it; try again")]
    OwnerLost {
        /// The process that held the store.
        owner: u32,
    },
    /// The process that holds the store has not answered. Nothing was written. The same call succeeds once it answers.
    #[error(
        "process {owner} holds the store and has not answered for {seconds} s; if it is stopped, continue or end it"
    )]
    NoAnswer {
        /// The process that holds the store.
        owner: u32,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The process that holds the store is of a release that this one cannot talk to. The numbers are the oldest and the
    /// newest version of the protocol that each speaks.
    #[error(
        "process {owner} holds the store and speaks versions {}-{} of the protocol, this release {}-{}; use releases that are closer, or end it",
        theirs.0, theirs.1, ours.0, ours.1
    )]
    OtherProtocol {
        /// The process that holds the store.
        owner: u32,
        /// What it speaks.
        theirs: (u16, u16),
        /// What this release speaks.
        ours: (u16, u16),
    },
    /// The server of a remote store cannot be reached, or has lost its connection and not come back. Nothing was written. The
    /// same call succeeds once it can be reached.
    #[error("{store} cannot be reached: {reason}")]
    Unreachable {
        /// The store, as it was named.
        store: String,
        /// Why not.
        reason: String,
    },
    /// The server of a remote store does not let this program in: it does not know the token, or does not let it do everything;
    /// or it is not to be trusted, or is none. Nothing was written, and waiting does not help.
    #[error("{store} cannot be used: {reason}")]
    Refused {
        /// The store, as it was named.
        store: String,
        /// Why not.
        reason: String,
    },
    /// The handle was opened by another process: this one is a child that it forked. Nothing was read or written.
    #[error(
        "this handle was opened by process {opened_in} and does not work in a forked child; open the store again here"
    )]
    OtherProcess {
        /// The process that opened the store.
        opened_in: u32,
    },
    /// The file does not hold what was written to it. The damaged data was not returned.
    #[error("{place} is corrupt: {reason}")]
    Corrupt {
        /// The event, table row or file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Something exceeds a limit of this store. Nothing was written.
    #[error("{what} has {size} bytes; the limit is {limit}")]
    TooLarge {
        /// What exceeds the limit.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The commit failed in a way that leaves open whether it is on disk. It is safe to append the same events with the
    /// same ids again, whether or not they were recorded. A store of a file goes on by itself, in this process or another;
    /// one on a storage that the caller supplied says [`Closed`](Self::Closed) from then on, and has to be opened again.
    #[error("the outcome of this write is unknown ({reason}); retry with the same event ids")]
    Unknown {
        /// The storage's error.
        reason: String,
    },
    /// The storage failed: an I/O error, a full disk, a file that may not be opened.
    #[error("{reason}")]
    Storage {
        /// The storage's error, with the file's name where one is known.
        reason: String,
    },
    /// An event stored in an old shape cannot be upcast. It is unchanged and can be read raw; readers continue after
    /// it.
    #[error("{at} cannot be upcast, {reason}; it is unchanged in the store, and can be read raw")]
    Upcast {
        /// The event.
        at: Address,
        /// Its position.
        position: Position,
        /// How far it came, and why it could go no further.
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
    /// A newer release has added something to the file that this one does not know.
    #[error(
        "{path} has features that this release does not know (bits {features:#x}): use a newer release{}",
        if *.may_read { ", or open it read-only" } else { "" }
    )]
    UnknownFeatures {
        /// The store's file.
        path: String,
        /// A bit for each feature that is in the way.
        features: u64,
        /// They are only in the way of writing.
        may_read: bool,
    },
    /// This store cannot resume from the cursor.
    #[error("this cursor cannot be used here: {reason}")]
    BadCursor {
        /// Why not.
        reason: String,
    },
    /// What was to resume has seen an event that is not there: the store was restored from a backup, or replaced, and has
    /// gone on differently since.
    #[error(
        "{what} cannot resume after {at}: another event is there now, or none, so the store was restored or replaced since; undo what was done with later events if it matters, and begin anew at an event that both have"
    )]
    Diverged {
        /// What was to resume: `this cursor`, `consumer work`.
        what: String,
        /// The sequence or the position up to which it had come.
        at: String,
    },
    /// An earlier backup from which no incremental one can be made of this store.
    #[error("{path} is not a base for an incremental backup of this store: {reason}; make a full one")]
    NotABase {
        /// The earlier backup.
        path: String,
        /// Why it is none.
        reason: String,
    },
    /// A projection could not apply an event. Its state before that event can be read; later states can be read once
    /// the cause is fixed and the projection is retried or rebuilt.
    #[error("projection {projection} is parked at {at}: {reason}; fix the cause, then retry or rebuild it")]
    Parked {
        /// The projection.
        projection: String,
        /// The event that it could not apply.
        at: Address,
        /// Why not.
        reason: String,
    },
    /// It already exists with a different setting.
    #[error(
        "{what} {name} already exists with {setting} {recorded}, not {asked}; use it as it is, or remove it first"
    )]
    Differs {
        /// The kind of thing: `consumer`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The setting that differs.
        setting: &'static str,
        /// Its existing value.
        recorded: String,
        /// The requested value.
        asked: String,
    },
    /// A token does not name a delivery that can be resolved.
    #[error("this delivery of consumer {consumer} cannot be resolved: {reason}")]
    NotDelivered {
        /// The consumer that was asked.
        consumer: String,
        /// Why not.
        reason: String,
    },
    /// The store was opened read-only.
    #[error("{path} was opened read-only; open it for writing to change it")]
    ReadOnly {
        /// The store's file.
        path: String,
    },
    /// The store was closed, or was closed after a storage error.
    #[error("the store is closed{}", .after.as_ref().map(|a| format!(" after an error: {a}; reopen it")).unwrap_or_default())]
    Closed {
        /// The error that made it close itself, if it was not closed on purpose.
        after: Option<String>,
    },
}

fn taken_by(holder: &Option<String>) -> String {
    holder.as_ref().map_or_else(String::new, |holder| format!(": {holder} holds it now"))
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

impl Error {
    /// Whether the same call can succeed later without changes.
    ///
    /// `true` for [`Error::Locked`], [`Error::OwnerLost`], [`Error::NoAnswer`], [`Error::Unreachable`] and
    /// [`Error::Unknown`], and for [`Error::Closed`] once the store is reopened.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_passing() || self.is_of_a_closed_store()
    }

    /// Whether an open store may answer the next call: it is in use, its owner is gone or says nothing, or what it was doing
    /// when that happened is unknown.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::OwnerLost { .. }
                | Self::NoAnswer { .. }
                | Self::Unreachable { .. }
                | Self::Unknown { .. }
        )
    }

    /// Whether the request itself was refused, and would be refused again. The store is unaffected, and other
    /// requests can succeed.
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
                | Self::BranchClosed { .. }
                | Self::Deleted { .. }
                | Self::Truncated { .. }
                | Self::RecordChanged { .. }
                | Self::NotFound { .. }
                | Self::Exists { .. }
                | Self::Invalid(_)
                | Self::Duplicate { .. }
                | Self::TooLarge { .. }
                | Self::BadCursor { .. }
                | Self::Diverged { .. }
                | Self::NotABase { .. }
                | Self::Differs { .. }
                | Self::NotDelivered { .. }
        )
    }

    /// Whether part of the file cannot be read. The rest of it can.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    /// Whether what was asked for is gone for good.
    pub(crate) fn is_of_what_is_gone(&self) -> bool {
        matches!(self, Self::Deleted { .. } | Self::Truncated { .. })
    }

    /// Whether the store is closed, so that nothing works until it is reopened.
    pub(crate) fn is_of_a_closed_store(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Closed { .. })
    }

    pub(crate) fn corrupt(place: impl ToString, reason: impl Into<String>) -> Self {
        Self::Corrupt { place: place.to_string(), reason: reason.into() }
    }

    pub(crate) fn storage(reason: impl ToString) -> Self {
        Self::Storage { reason: reason.to_string() }
    }

    /// No such thing: `what` is its kind, `name` its name as requested.
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
            Error::Locked { path: "x".into(), reason: String::new() },
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
