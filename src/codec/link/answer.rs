//! What an owner answers.

use bincode::{BorrowDecode, Encode};

use super::parts::{
    LIST, SentBranch, SentEnd, SentEvents, SentFullBranch, SentFullEnd, SentPiece, SentPlaced,
};
use super::problem::SentProblem;
use crate::codec::wire::Bounded;
use crate::limits::{MAX_BATCH_EVENTS, SHARED_CLIENTS, SHARED_PIECES};

/// A key, and its value or what is wrong with it.
type SentRecord<'a> = (&'a [u8], Result<&'a [u8], SentProblem<'a>>);

/// The answer to one call. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentAnswer<'a> {
    /// It was refused, or failed.
    Failed(SentProblem<'a>),
    /// It was not begun, because the owner leaves.
    Leaving,
    /// The answer to [`Ping`](super::SentAsk::Ping) and [`Handover`](super::SentAsk::Handover).
    Heard,
    /// Events were recorded, or had been.
    Appended(Bounded<SentPlaced<'a>, { MAX_BATCH_EVENTS as u32 }>, bool),
    /// A branch was made.
    Forked(SentBranch<'a>),
    /// Sidecar records were written.
    Written,
    /// The branch, if there is one.
    Branch(Option<SentBranch<'a>>),
    /// Branches and their ends.
    Branches(Bounded<(SentBranch<'a>, SentEnd), LIST>),
    /// Names of sessions.
    Sessions(Bounded<&'a str, LIST>),
    /// The end of a branch.
    End(SentEnd),
    /// A page of events.
    Events(SentEvents<'a>),
    /// Pieces, and the sequence to continue from.
    Pieces(Bounded<SentPiece<'a>, { SHARED_PIECES as u32 }>, Option<u64>),
    /// The event, if there is one.
    Event(Option<SentEvents<'a>>),
    /// The branch and the sequence, if there is such a position.
    Whose(Option<(SentBranch<'a>, u64)>),
    /// The record, if there is one.
    Record(Option<&'a [u8]>),
    /// The records that were asked for.
    EachRecord(Bounded<Option<&'a [u8]>, LIST>),
    /// Keys, and values or what is wrong with them.
    Records(Bounded<SentRecord<'a>, LIST>),
    /// The journal is in the tables.
    Flushed,
    /// So many events of so many were checked; more follows.
    Progress(u64, u64),
    /// What a check found.
    Report(SentReport<'a>),
    /// Figures.
    Figures(SentFigures),
    /// The owner and its clients.
    Status(SentStatus<'a>),
    /// The last position that a copy holds, and how large it is.
    BackedUp(u64, u64),
    /// Bytes of the file before it was compacted, and after.
    Compacted(u64, u64),
    /// The branches as they are now, in the order of the changes.
    Changed(Bounded<SentFullBranch<'a>, LIST>),
    /// How many events, and bytes of them, were removed.
    Purged(u64, u64),
    /// [`Forked`](Self::Forked), where anything has become of the branch.
    FullForked(SentFullBranch<'a>),
    /// [`Branch`](Self::Branch), where anything has become of it.
    FullBranch(SentFullBranch<'a>),
    /// [`Branches`](Self::Branches), where anything has become of one of them.
    FullBranches(Bounded<(SentFullBranch<'a>, SentEnd), LIST>),
    /// [`End`](Self::End), where anything has become of the branch.
    FullEnd(SentFullEnd),
    /// [`Whose`](Self::Whose), where anything has become of the branch.
    FullWhose(SentFullBranch<'a>, u64),
    /// What of its file the store could do without, if anybody can say.
    DeadSpace(Option<SentDeadSpace>),
    /// [`BackedUp`](Self::BackedUp) for what has changed since an earlier backup; and the last position of that.
    BackedUpSince(u64, u64, u64),
    /// Ids of events.
    Ids(Bounded<[u8; 16], LIST>),
    /// Names, and whether there may be more that were not looked at.
    Names(Bounded<&'a str, LIST>, bool),
    /// The last position that a copy for the client holds, and how large it is.
    Copied(u64, u64),
    /// A part of it.
    CopyPart(&'a [u8]),
}

/// What a walk over the store found.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentReport<'a> {
    /// Branches that were checked.
    pub branches: u64,
    /// Events that were decoded.
    pub events: u64,
    /// Chunks that were decoded.
    pub chunks: u64,
    /// Place and reason of every problem.
    pub problems: Bounded<(&'a str, &'a str), LIST>,
}

/// Figures of what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentFigures {
    /// Sessions.
    pub sessions: u64,
    /// Branches.
    pub branches: u64,
    /// Events.
    pub events: u64,
    /// Events in the journal.
    pub in_journal: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of payloads.
    pub payload_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: Option<u64>,
}

/// What of its file a store could do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentDeadSpace {
    /// Bytes of the file.
    pub file: u64,
    /// Bytes that hold nothing.
    pub free: u64,
    /// Bytes of what was deleted or truncated and not purged.
    pub unpurged: u64,
    /// There may be more of it.
    pub is_partial: bool,
}

/// Who owns the store, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentStatus<'a> {
    /// The owner.
    pub owner: SentOwner<'a>,
    /// Its clients.
    pub clients: Bounded<SentPeer<'a>, { SHARED_CLIENTS as u32 }>,
}

/// The owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentOwner<'a> {
    /// The process.
    pub pid: u32,
    /// The program.
    pub program: &'a str,
    /// What it is entitled to.
    pub rank: u8,
    /// Since when, in microseconds since the epoch.
    pub since: i64,
}

/// One client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentPeer<'a> {
    /// The process.
    pub pid: u32,
    /// The user.
    pub uid: u32,
    /// The program.
    pub program: &'a str,
    /// What it is entitled to.
    pub rank: u8,
    /// Since when, in microseconds since the epoch.
    pub since: i64,
    /// Bytes that wait for it.
    pub queued: u64,
}
