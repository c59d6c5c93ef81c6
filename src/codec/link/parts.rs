//! What messages are made of.

use bincode::{BorrowDecode, Encode};

use crate::codec::wire::Bounded;
use crate::limits::{MAX_CHUNK_EVENTS, MAX_FORK_DEPTH, SHARED_LIST};

/// The most that a list in a message holds, unless it says another number.
pub(super) const LIST: u32 = SHARED_LIST as u32;

/// A session and a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, BorrowDecode)]
pub struct SentPlace<'a> {
    /// The session.
    pub session: &'a str,
    /// The branch.
    pub branch: &'a str,
}

/// A branch with its ancestors.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentBranch<'a> {
    /// Its number.
    pub number: u64,
    /// Its names.
    pub place: SentPlace<'a>,
    /// The number of the branch that it was forked from.
    pub parent: Option<u64>,
    /// The name of that branch.
    pub parent_name: Option<&'a str>,
    /// The last sequence that it inherits.
    pub fork: u64,
    /// When it was made, in microseconds since the epoch.
    pub created: i64,
    /// How many ancestors it has.
    pub depth: u32,
    /// Where its events are, oldest first; the last segment is its own.
    pub lineage: Bounded<SentSegment<'a>, { MAX_FORK_DEPTH as u32 + 1 }>,
}

/// What has become of a branch. Times are in microseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentAttributes {
    /// When it was closed.
    pub closed: Option<i64>,
    /// When it expires.
    pub expires: Option<i64>,
    /// After how many microseconds without use it expires, and when it was used last.
    pub idle: Option<(u64, i64)>,
    /// When it was deleted.
    pub deleted: Option<i64>,
    /// How many branches had its name before it.
    pub incarnation: u32,
    /// Events up to this sequence were removed.
    pub truncated: u64,
}

/// A branch of which anything has become.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentFullBranch<'a> {
    /// The branch.
    pub branch: SentBranch<'a>,
    /// What has become of it.
    pub attributes: SentAttributes,
}

/// Sequences of a history that one branch owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentSegment<'a> {
    /// The number of the branch.
    pub branch: u64,
    /// Its names.
    pub place: SentPlace<'a>,
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
}

/// Where a branch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentEnd {
    /// Its last sequence.
    pub head: u64,
    /// The position of the last event that it owns.
    pub position: u64,
    /// When that was recorded.
    pub recorded: Option<i64>,
}

/// Where a branch begins and ends of which anything has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentFullEnd {
    /// Where it ends.
    pub end: SentEnd,
    /// The first sequence that can be read, once there is one.
    pub first: u64,
    /// Nothing follows.
    pub closed: bool,
}

/// Events. Those of one branch in a row name it once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentEvents<'a> {
    /// The branches, each at least once.
    pub places: Bounded<SentPlace<'a>, LIST>,
    /// The events.
    pub events: Bounded<SentEvent<'a>, LIST>,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentEvent<'a> {
    /// Which of the branches.
    pub place: u32,
    /// Its sequence.
    pub sequence: u64,
    /// Its position.
    pub position: u64,
    /// When it was recorded, in microseconds since the epoch.
    pub recorded: i64,
    /// The encoded record.
    pub record: &'a [u8],
}

/// Part of a long read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentPiece<'a> {
    /// Events that are decoded as they are asked for.
    Packed(SentPlace<'a>, SentChunk<'a>),
    /// Events.
    Events(SentEvents<'a>),
}

/// Consecutive events of one branch, whose records are read on demand.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentChunk<'a> {
    /// The number of the branch.
    pub branch: u64,
    /// The sequence of the first event.
    pub first: u64,
    /// Position, recorded time and bytes of each event.
    pub table: Bounded<(u64, i64, u32), { MAX_CHUNK_EVENTS as u32 }>,
    /// The records, one after the other.
    pub body: &'a [u8],
}

/// Where one part of an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentPlaced<'a> {
    /// The branch.
    pub place: SentPlace<'a>,
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
    /// The first position.
    pub first_position: u64,
    /// The last position.
    pub last_position: u64,
}
