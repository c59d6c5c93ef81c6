use super::Cursor;
use crate::error::{Error, Result};
use crate::event::{Address, Filter, Place, Position, Sequence, SessionId, Timestamp};
use crate::store::Shape;

/// What to follow, from where on, and which events of it.
///
/// Unless told otherwise it begins at the first event.
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
    /// [`Error::Invalid`] for an address that is none, or that names an event.
    pub fn branch<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let place = address.branch_only("a branch is followed, from a sequence on")?.clone();
        Ok(Self::new(FollowScope::Branch(place)))
    }

    /// All branches of one session, also those that are made later, in global order. The session need not exist yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is none.
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

    /// Begins with the first event.
    pub fn from_start(mut self) -> Self {
        self.start = Start::After(0);
        self
    }

    /// Begins with the next event that will be committed.
    pub fn from_end(mut self) -> Self {
        self.start = Start::End;
        self
    }

    /// Begins after this sequence of the branch.
    pub fn after(mut self, sequence: impl Into<Sequence>) -> Self {
        self.start = Start::After(sequence.into().get());
        self
    }

    /// Begins after this position of the store; for a session or everything.
    pub fn after_position(mut self, position: impl Into<Position>) -> Self {
        self.start = Start::AfterPosition(position.into().get());
        self
    }

    /// Begins with the first event that was recorded at this time or later. It is found by halving, so a clock that
    /// was set back between two appends may move the beginning by those events.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.start = Start::Since(time);
        self
    }

    /// Goes on where another subscription to the same stood.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.start = Start::Cursor(cursor);
        self
    }

    /// Waits for what is not there yet: a branch that does not exist, a sequence or position beyond the last one.
    /// Without it those are refused, because a place that was reached once and is gone tells of a restored backup.
    pub fn wait_for_start(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Delivers events as they were appended, whatever newer shapes their types have.
    pub fn raw(mut self) -> Self {
        self.shape = Shape::Stored;
        self
    }

    /// Delivers only what this filter takes. The cursor moves over everything else. The filter looks at the newest
    /// shape of an event, unless the subscription is [`raw`](Self::raw).
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}
