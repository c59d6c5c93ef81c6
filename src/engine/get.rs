//! What can be asked of an engine, and how it answers.

use std::sync::Arc;

use super::branch::Branch;
use super::pieces::Pieces;
use super::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::event::{Event, EventId, Place, Position, SessionId};

/// One question. The answer never changes for sequences or positions up to something committed; an end or a record
/// can change at any time.
#[derive(Clone, Debug)]
pub(crate) enum Get<'a> {
    /// The branch that had these names last, which may be deleted: [`Got::Branch`].
    Branch(&'a Place),
    /// The branches of a session, by name: [`Got::Branches`]; none when there is no such session.
    BranchesOf(&'a SessionId),
    /// All branches of up to `limit` sessions after this one, by name: [`Got::Branches`].
    Branches { after: Option<&'a SessionId>, limit: usize },
    /// Names of up to `limit` sessions after this one: [`Got::Sessions`].
    Sessions { after: Option<&'a SessionId>, limit: usize },
    /// Up to `limit` names of sessions, or of the branches of one, after this name, found by looking at no more than so many
    /// rows: [`Got::Names`].
    Names { of: Option<&'a SessionId>, after: Option<&'a str>, limit: usize, rows: usize },
    /// Where a branch ends: [`Got::End`].
    End(&'a Branch),
    /// A page of a branch's history, including its ancestors' part: [`Got::Events`], dense, and shorter than asked
    /// for only at the end of the range or when the page has grown large in bytes. What is asked of a branch that is deleted,
    /// or from a sequence that was removed, is an error.
    Events { branch: &'a Branch, range: Range },
    /// A longer read of the same, which the caller may decode as it goes: [`Got::Pieces`].
    Pieces { branch: &'a Branch, from: u64, to: u64 },
    /// A page of all branches of one session in global order, of what is committed: [`Got::Events`].
    OfSession { session: &'a SessionId, range: Range },
    /// A page of the global order: [`Got::Events`]. Positions of events that are gone are left out, and those alone; it is empty
    /// when there is nothing up to the end of the range.
    All(Range),
    /// The event with this id: [`Got::Event`].
    Event(EventId),
    /// Up to `limit` ids of events from this one to that one, in their order; of events that are there, as for
    /// [`Get::Event`]: [`Got::Ids`]. Refused when too many lie between that are not there.
    Ids { from: EventId, to: EventId, limit: usize },
    /// The branch and the sequence of a position, even if the event itself cannot be read: [`Got::Whose`].
    Whose(Position),
    /// One record: [`Got::Record`].
    Record { table: SidecarTable, key: &'a [u8] },
    /// Several records of a table: [`Got::EachRecord`], in the order of the keys.
    EachRecord { table: SidecarTable, keys: &'a [&'a [u8]] },
    /// Records in the order of their keys, or in reverse: [`Got::Records`].
    Records { table: SidecarTable, range: SidecarRange<'a> },
}

/// The answer to a [`Get`].
#[derive(Debug)]
pub(crate) enum Got {
    Branch(Option<Arc<Branch>>),
    Branches(Vec<(Arc<Branch>, End)>),
    Sessions(Vec<SessionId>),
    Names(NamesFound),
    End(End),
    Events(Vec<Event>),
    Pieces(Pieces),
    Event(Option<Event>),
    Ids(Vec<EventId>),
    Whose(Option<(Arc<Branch>, u64)>),
    Record(Option<Vec<u8>>),
    EachRecord(Vec<Option<Vec<u8>>>),
    Records(Vec<SidecarRecord>),
}

/// Names in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamesFound {
    pub(crate) names: Vec<String>,
    /// There may be more up to the limit: the rows that were looked at were too many.
    pub(crate) is_cut: bool,
}

/// Sequences, or positions where several branches are read: which, and how many at the most. There are none when the last
/// comes before the first, as it does for who asks again after the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// The first, inclusive.
    pub(crate) from: u64,
    /// The last, inclusive.
    pub(crate) to: u64,
    pub(crate) limit: usize,
    pub(crate) reverse: bool,
}

/// Where a branch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Its last sequence, including inherited ones; zero when it is empty.
    pub(crate) head: u64,
    /// The position of the last event it owns; zero when it owns none.
    pub(crate) position: u64,
    /// When that event was recorded, in microseconds; `None` when it owns none.
    pub(crate) recorded: Option<i64>,
    /// The first sequence that can be read, once there is one.
    pub(crate) first: u64,
    /// Nothing follows.
    pub(crate) closed: bool,
}

impl End {
    /// The end after this event, which the branch owns.
    pub(crate) fn at(branch: &Branch, event: &Event) -> Self {
        Self {
            head: event.sequence().get(),
            position: event.position().get(),
            recorded: Some(event.recorded().micros()),
            ..Self::of_nothing(branch)
        }
    }

    /// The end of a branch that owns no events.
    pub(crate) fn of_nothing(branch: &Branch) -> Self {
        let closed = branch.attributes.closed.is_some();
        Self { head: branch.fork, position: 0, recorded: None, first: branch.first(), closed }
    }
}
