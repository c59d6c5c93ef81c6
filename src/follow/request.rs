use super::Cursor;
use crate::error::{Error, Result};
use crate::event::{Address, Filter, Place, Position, Sequence, SessionId, Timestamp};
use crate::store::Shape;

/// What to follow, where to start, and which events to deliver. By default it starts at the first event.
#[derive(Clone, Debug)]
#[must_use]
pub struct Follow {
    pub(super) scope: FollowScope,
    pub(super) start: Start,
    pub(super) filter: Filter,
    pub(super) shape: Shape,
    /// What is not there yet is waited for.
    pub(super) waits: bool,
}

#[derive(Clone, Debug)]
pub(super) enum FollowScope {
    Branch(Place),
    Session(SessionId),
    All,
}

#[derive(Clone, Debug)]
pub(super) enum Start {
    After(u64),
    AfterPosition(u64),
    End,
    Since(Timestamp),
    Cursor(Cursor),
}

impl Follow {
    fn new(scope: FollowScope) -> Self {
        Self { scope, start: Start::After(0), filter: Filter::new(), shape: Shape::Newest, waits: false }
    }

    /// One branch: its inherited events, its own, then what is appended to it. A session that does not exist yet is
    /// waited for; another branch than `main` has to exist, unless it is [waited for](Self::wait_for_start).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid address, or one that names an event.
    pub fn branch<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let place = address
            .branch_only("follow the branch, and give the sequence to start after separately")?
            .clone();
        Ok(Self::new(FollowScope::Branch(place)))
    }

    /// All branches of one session, including future ones, in global order. The session need not exist yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid name.
    pub fn session<S>(session: S) -> Result<Self>
    where
        S: TryInto<SessionId>,
        Error: From<S::Error>,
    {
        Ok(Self::new(FollowScope::Session(session.try_into()?)))
    }

    /// Everything, in global order.
    pub fn all() -> Self {
        Self::new(FollowScope::All)
    }

    /// Starts with the first event.
    pub fn from_start(mut self) -> Self {
        self.start = Start::After(0);
        self
    }

    /// Starts with the next event that is committed.
    pub fn from_end(mut self) -> Self {
        self.start = Start::End;
        self
    }

    /// Starts after this sequence of the branch.
    pub fn after(mut self, sequence: impl Into<Sequence>) -> Self {
        self.start = Start::After(sequence.into().get());
        self
    }

    /// Starts after this position of the store; for a session or everything.
    pub fn after_position(mut self, position: impl Into<Position>) -> Self {
        self.start = Start::AfterPosition(position.into().get());
        self
    }

    /// Starts with the first event recorded at or after this time. It is found by binary search, so if a clock was
    /// set back between two appends, the start may be off by those events.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.start = Start::Since(time);
        self
    }

    /// Resumes at the cursor of another subscription of the same scope.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.start = Start::Cursor(cursor);
        self
    }

    /// Waits for what is not there yet: a branch that does not exist, a sequence or position beyond the last one.
    /// Without it those are refused, because a place that was reached once and is gone tells of a restored backup; so
    /// a cursor of a subscription that waits is resumed by one that waits.
    pub fn wait_for_start(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Delivers events as they were appended, whatever newer shapes their types have.
    pub fn raw(mut self) -> Self {
        self.shape = Shape::Stored;
        self
    }

    /// Delivers only events that match this filter; the cursor advances over the others. The filter applies to the
    /// newest shape of an event, unless the subscription is [`raw`](Self::raw).
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}
