//! What a client asks.

use bincode::{BorrowDecode, Encode};

use super::parts::{LIST, SentPlace};
use super::problem::SentExpect;
use crate::codec::sidecar::SidecarChange;
use crate::codec::wire::Bounded;
use crate::limits::MAX_BATCH_EVENTS;

/// One call. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentAsk<'a> {
    /// Nothing but a sign of life; answered at once.
    Ping,
    /// Asks the owner to leave the store to this client.
    Handover,
    /// Who owns the store, and who uses it.
    Status,
    /// Records events.
    Append(SentAppend<'a>),
    /// Makes a branch: parent, the last sequence to inherit, the new branch.
    Fork(SentPlace<'a>, Option<u64>, SentPlace<'a>),
    /// Writes sidecar records.
    Write(SentWrites<'a>),
    /// A branch by its names.
    Branch(SentPlace<'a>),
    /// The branches of a session.
    BranchesOf(&'a str),
    /// The branches of so many sessions after this one.
    Branches(Option<&'a str>, u64),
    /// The names of so many sessions after this one.
    Sessions(Option<&'a str>, u64),
    /// Where a branch ends, by its number and names.
    End(u64, SentPlace<'a>),
    /// A page of a branch.
    Events(u64, SentPlace<'a>, SentRange),
    /// A long read of a branch, from and to a sequence.
    Pieces(u64, SentPlace<'a>, u64, u64),
    /// A page of a session.
    OfSession(&'a str, SentRange),
    /// A page of the global order.
    All(SentRange),
    /// The event with an id.
    Event([u8; 16]),
    /// The branch and the sequence of a position.
    Whose(u64),
    /// One sidecar record: table and key.
    Record(u8, &'a [u8]),
    /// Several sidecar records.
    EachRecord(u8, Bounded<&'a [u8], LIST>),
    /// The records of a table.
    Records {
        /// The table.
        table: u8,
        /// How their keys begin.
        prefix: &'a [u8],
        /// Only keys after this one.
        after: Option<&'a [u8]>,
        /// Only keys up to this one.
        to: Option<&'a [u8]>,
        /// How many at the most.
        limit: u64,
        /// From the last one.
        reverse: bool,
    },
    /// Moves the journal into the tables.
    Flush,
    /// Checks everything; progress is told on the way.
    Verify,
    /// Figures of what is stored.
    Figures,
    /// Nobody waits for the answer to this call any more: it need not be found.
    GiveUp(u64),
    /// Copies the store into a new file of this absolute path; progress is told on the way.
    Backup(&'a str),
    /// Copies the store into a new file that takes the place of its own; progress is told on the way.
    Compact,
    /// Changes what becomes of branches, all or none.
    Change(Bounded<SentChange<'a>, LIST>),
    /// Removes what was deleted or truncated from the tables; progress is told on the way.
    Purge,
    /// What of its file the store could do without.
    DeadSpace,
    /// Writes what has changed since an earlier backup into a new file: the absolute paths of both, that of the earlier one first.
    /// Progress is told on the way.
    BackupSince(&'a str, &'a str),
    /// So many ids of events from this one to that one.
    Ids([u8; 16], [u8; 16], u64),
    /// Records events, and makes branches on the way.
    AppendForking(SentAppend<'a>, Bounded<SentFork<'a>, { MAX_BATCH_EVENTS as u32 }>),
    /// So many names of sessions, or of the branches of this one, after this name, out of so many rows.
    Names(Option<&'a str>, Option<&'a str>, u64, u64),
    /// Makes a copy of the store for this client, which takes it in parts; progress is told on the way. It is there until the
    /// connection ends, or the next one is made.
    Copy,
    /// A part of that copy, from this byte on.
    CopyPart(u64),
}

/// A change of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentChange<'a> {
    /// The branch.
    pub place: SentPlace<'a>,
    /// Its number, if only that branch is meant, and no other that has its names by now.
    pub number: Option<u64>,
    /// Its last sequence, if it is changed only while it ends there.
    pub head: Option<u64>,
    /// The change.
    pub what: SentWhat,
}

/// What becomes of a branch. New kinds are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentWhat {
    /// Nothing is appended to it any more.
    Close,
    /// It is deleted.
    Delete,
    /// Its events before this sequence are removed.
    Truncate(u64),
    /// It stays until it is deleted.
    Keep,
    /// It goes at this time, in microseconds since the epoch.
    ExpireAt(i64),
    /// It goes once it was not used for so many microseconds.
    ExpireUnused(u64),
    /// It goes if it is due.
    Lapse,
}

/// Sequences or positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentRange {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How many at the most.
    pub limit: u64,
    /// From the last one.
    pub reverse: bool,
}

/// Events to record, and sidecar records with them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentAppend<'a> {
    /// The branches; the records of each follow those of the one before.
    pub parts: Bounded<SentPart<'a>, { MAX_BATCH_EVENTS as u32 }>,
    /// The encoded records of all parts.
    pub records: Bounded<&'a [u8], { MAX_BATCH_EVENTS as u32 }>,
    /// Answered before the sync.
    pub relaxed: bool,
    /// The sidecar records.
    pub writes: SentWrites<'a>,
}

/// A branch that begins on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentFork<'a> {
    /// How many of the parts come before it.
    pub after: u32,
    /// The branch that it is forked from.
    pub parent: SentPlace<'a>,
    /// The last sequence to inherit.
    pub at: u64,
    /// The new branch.
    pub place: SentPlace<'a>,
}

/// Events of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentPart<'a> {
    /// The branch.
    pub place: SentPlace<'a>,
    /// Its head before.
    pub expect: SentExpect,
    /// Its number, if only that branch is meant, and no other that has its names by now.
    pub branch: Option<u64>,
    /// How many records are for it.
    pub count: u32,
}

/// Changes to sidecar records.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentWrites<'a> {
    /// Table, key and value; no value removes the record.
    pub rows: Bounded<SidecarChange<'a>, LIST>,
    /// What records have to be for this: table, key and value; no value for one that is not there.
    pub expected: Bounded<SidecarChange<'a>, LIST>,
    /// Answered before the sync.
    pub relaxed: bool,
    /// The handle that writes them.
    pub by: u64,
}
