//! Queries, and the pages they return.

use crate::error::{Error, Result};
use crate::event::{Address, Event, Filter, Place, Sequence, SessionId};
use crate::limits::DEFAULT_PAGE;
use crate::store::handle::reader::Shape;

/// Which events to read: of one branch, of all branches of a session, or of the whole store in global order.
///
/// ```
/// # use retold::{NewEvent, Query, Store};
/// # let store = Store::in_memory()?;
/// # store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("tool.invoked")])?;
/// let last = store.read(&Query::branch("run-7")?.reverse().limit(1))?;
/// assert_eq!(last.events[0].kind(), "tool.invoked");
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Query {
    pub(crate) scope: QueryScope,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) limit: Option<usize>,
    pub(crate) reverse: bool,
    pub(crate) filter: Filter,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
pub(crate) enum QueryScope {
    Branch(Place),
    Session(SessionId),
    All,
}

impl Query {
    fn new(scope: QueryScope) -> Self {
        let filter = Filter::new();
        Self { scope, from: 1, to: u64::MAX, limit: None, reverse: false, filter, shape: Shape::Newest }
    }

    /// The history of a branch, inherited events included. An address with a sequence reads up to that event.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid address.
    pub fn branch<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let mut query = Self::new(QueryScope::Branch(address.place().clone()));
        query.to = address.sequence().map_or(u64::MAX, Sequence::get);
        Ok(query)
    }

    /// Everything recorded in a session: the events of all its branches in global order, each once, even if other
    /// branches inherit it. Bounds are positions.
    ///
    /// ```
    /// use retold::{NewEvent, Query, Store};
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// store.fork("run-7", "retry")?;
    /// store.append("run-7/retry", NewEvent::new("tool.invoked"))?;
    /// store.append("run-7", NewEvent::new("run.failed"))?;
    /// let all = store.read(&Query::session("run-7")?)?.events;
    /// let at: Vec<String> = all.iter().map(|event| event.address().to_string()).collect();
    /// assert_eq!(at, ["run-7/main@1", "run-7/retry@2", "run-7/main@2"]);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid name. Reading returns [`Error::NotFound`] if there is no such session.
    pub fn session<S>(session: S) -> Result<Self>
    where
        S: TryInto<SessionId>,
        Error: From<S::Error>,
    {
        Ok(Self::new(QueryScope::Session(session.try_into()?)))
    }

    /// Every event of the store, in global order.
    pub fn all() -> Self {
        Self::new(QueryScope::All)
    }

    /// Starts at this sequence of a branch, or at this position of a session or the whole store.
    pub fn from(mut self, first: impl Into<u64>) -> Self {
        self.from = self.from.max(first.into());
        self
    }

    /// Ends at this sequence or position. A lower existing bound stays.
    pub fn to(mut self, last: impl Into<u64>) -> Self {
        self.to = self.to.min(last.into());
        self
    }

    /// The maximum number of events; for [`Store::read`](crate::Store::read) also the page size, 512 by default.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Latest first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Only events that match this filter. It applies to the newest shape of an event, unless the query is [`raw`](Self::raw).
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Events as they were appended, not upcast.
    pub fn raw(mut self) -> Self {
        self.shape = Shape::Stored;
        self
    }
}

impl Query {
    /// The event's number in what is read.
    pub(crate) fn number(&self, event: &Event) -> u64 {
        match self.scope {
            QueryScope::Branch(_) => event.sequence().get(),
            QueryScope::Session(_) | QueryScope::All => event.position().get(),
        }
    }

    /// Leaves out what was read up to this number.
    pub(crate) fn go_past(&mut self, number: u64) {
        if self.reverse {
            self.to = number.saturating_sub(1);
        } else {
            self.from = number.saturating_add(1);
        }
    }

    /// The range of a branch, when so much of it may be read, in its order, that it is worth reading ahead.
    pub(crate) fn long_read(&self) -> Option<(&Place, u64, u64)> {
        match &self.scope {
            QueryScope::Branch(place) if !self.reverse && self.max_events() > DEFAULT_PAGE => {
                Some((place, self.from, self.to))
            }
            _ => None,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn into_filter(self) -> Filter {
        self.filter
    }

    /// Leaves out what was read before this number.
    pub(crate) fn begin_at(&mut self, number: u64) {
        if self.reverse {
            self.to = number;
        } else {
            self.from = number;
        }
    }

    /// How many events it asks for in all.
    pub(crate) fn max_events(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// The same query for one page, with so many events left to deliver.
    pub(crate) fn page_limit(mut self, left: usize) -> Self {
        self.limit = Some(left.min(DEFAULT_PAGE));
        self
    }
}

/// A page of events. It may hold fewer than requested if they are large: `next` says whether there is more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The events, in the requested order.
    pub events: Vec<Event>,
    /// The query for the next page; `None` at the end of the range.
    pub next: Option<Query>,
}

/// What a page was read from: its events, and in between those that cannot be made new.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) events: Vec<Event>,
    /// Each with the number of events before it.
    pub(crate) failed: Vec<(usize, Error)>,
    /// The query that reads on.
    pub(crate) next: Option<Query>,
}

impl Scanned {
    /// Everything in its order.
    pub(crate) fn items(self) -> Items {
        Items { events: self.events.into_iter(), failed: self.failed.into_iter().peekable(), given: 0 }
    }

    /// The events up to the first that failed. When that is the first of all, it is the answer.
    pub(crate) fn page(mut self, query: &Query) -> Result<Page> {
        if let Some((before, error)) = self.failed.into_iter().next() {
            if before == 0 {
                return Err(error);
            }
            let mut next = query.clone();
            if let Error::Upcast { at, position, .. } = &error {
                next.begin_at(match next.scope {
                    QueryScope::Branch(_) => at.sequence().map_or(0, Sequence::get),
                    QueryScope::Session(_) | QueryScope::All => position.get(),
                });
            }
            self.events.truncate(before);
            self.next = Some(next);
        }
        Ok(Page { events: self.events, next: self.next })
    }
}

/// The items of one page.
#[derive(Debug)]
pub(crate) struct Items {
    events: std::vec::IntoIter<Event>,
    failed: std::iter::Peekable<std::vec::IntoIter<(usize, Error)>>,
    given: usize,
}

impl Default for Items {
    fn default() -> Self {
        Scanned { events: Vec::new(), failed: Vec::new(), next: None }.items()
    }
}

impl Iterator for Items {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((_, error)) = self.failed.next_if(|(before, _)| *before == self.given) {
            return Some(Err(error));
        }
        self.given += 1;
        self.events.next().map(Ok)
    }
}
