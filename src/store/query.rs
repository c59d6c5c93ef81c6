//! What a reader asks for, and the pages that it is given.

use super::events::Events;
use super::order::Positions;
use super::read::{Range, Reader};
use super::verbs::Store;
use crate::error::{Error, Result};
use crate::event::{Address, Event, Filter, Place, Position, Sequence};
use crate::limits::{DEFAULT_PAGE, MAX_PAGE, PAGE_BYTES};

/// Which events to read: of one branch, or of the whole store in global order.
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
    scope: Scope,
    from: u64,
    to: u64,
    limit: Option<usize>,
    reverse: bool,
    filter: Filter,
}

#[derive(Clone, Debug)]
enum Scope {
    Branch(Place),
    All,
}

impl Query {
    fn new(scope: Scope) -> Self {
        Self { scope, from: 1, to: u64::MAX, limit: None, reverse: false, filter: Filter::new() }
    }

    /// The history of a branch, inherited events included. An address with a sequence reads up to that event.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that is none.
    pub fn branch<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let mut query = Self::new(Scope::Branch(address.place().clone()));
        query.to = address.sequence().map_or(u64::MAX, Sequence::get);
        Ok(query)
    }

    /// Every event of the store, in global order.
    pub fn all() -> Self {
        Self::new(Scope::All)
    }

    /// Leaves out what comes before: a sequence of a branch, or a position of the whole store.
    pub fn from(mut self, first: impl Into<u64>) -> Self {
        self.from = self.from.max(first.into());
        self
    }

    /// Leaves out what comes after. An earlier bound stays.
    pub fn to(mut self, last: impl Into<u64>) -> Self {
        self.to = self.to.min(last.into());
        self
    }

    /// How many events there may be in all; for [`Store::read`] also the size of its page, 512 unless said.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Latest first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Only what this filter takes.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

impl Query {
    /// The event's number in what is read.
    fn number(&self, event: &Event) -> u64 {
        match self.scope {
            Scope::Branch(_) => event.sequence().get(),
            Scope::All => event.position().get(),
        }
    }

    /// Leaves out what was read up to this number.
    fn go_past(&mut self, number: u64) {
        if self.reverse {
            self.to = number.saturating_sub(1);
        } else {
            self.from = number.saturating_add(1);
        }
    }

    /// The range of a branch, when so much of it may be read, in its order, that it is worth reading ahead.
    pub(super) fn long_read(&self) -> Option<(&Place, u64, u64)> {
        match &self.scope {
            Scope::Branch(place) if !self.reverse && self.max_events() > DEFAULT_PAGE => {
                Some((place, self.from, self.to))
            }
            _ => None,
        }
    }

    pub(super) fn into_filter(self) -> Filter {
        self.filter
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

/// Some events, and where to go on. It may hold fewer than were asked for, when they are large: `next` says whether
/// there is more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The events, in the order that was asked for.
    pub events: Vec<Event>,
    /// The query that reads on after them; `None` at the end of the range.
    pub next: Option<Query>,
}

impl Reader {
    /// A page of up to `limit` events that the filter takes. It scans as far as it has to, and ends early when the
    /// page has grown large in bytes.
    pub(super) fn read(&self, query: &Query) -> Result<Page> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let mut events = Vec::new();
        let mut at = query.clone();
        let branch = match &query.scope {
            Scope::Branch(place) => Some(self.branch(place)?),
            Scope::All => None,
        };
        // A page of large payloads ends early: what it holds has to fit in memory.
        while events.len() < limit && bytes_of(&events) < PAGE_BYTES {
            let size = if query.filter.is_empty() { limit - events.len() } else { limit.max(DEFAULT_PAGE) };
            let (from, to, reverse) = (at.from, at.to, at.reverse);
            if from > to {
                return Ok(Page { events, next: None });
            }
            let scanned = match &branch {
                Some(branch) => self.page(branch, Range { from, to, limit: size, reverse })?,
                None => self.page_all(Positions { from, to, limit: size, reverse })?,
            };
            if scanned.is_empty() {
                return Ok(Page { events, next: None });
            }
            let last = scanned.last().map_or(0, |e| at.number(e));
            if query.filter.is_empty() {
                at.go_past(last);
                // Moved as a whole: a replay has nothing to pick.
                if events.is_empty() {
                    events = scanned;
                } else {
                    events.extend(scanned);
                }
                continue;
            }
            for event in scanned {
                at.go_past(at.number(&event));
                if query.filter.takes(&event) {
                    events.push(event);
                }
                if events.len() == limit {
                    break;
                }
            }
        }
        let next = (at.from <= at.to && limit > 0).then_some(at);
        Ok(Page { events, next })
    }
}

fn bytes_of(events: &[Event]) -> usize {
    events.iter().map(|e| e.record().encoded().len()).sum()
}

impl Store {
    /// One page of events.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a session or branch that does not exist, [`Error::Corrupt`] for an event that is not
    /// what was written.
    pub fn read(&self, query: &Query) -> Result<Page> {
        let reader = self.reader()?;
        super::trouble::guarded(|| reader.read(query))
    }

    /// All events of a query, page by page, in bounded memory.
    ///
    /// # Errors
    /// [`Error::Closed`]. What goes wrong while reading comes as an item.
    pub fn events(&self, query: Query) -> Result<Events> {
        Ok(Events::new(self.reader()?, query))
    }

    /// One page of the whole store in global order, from a position on.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_all(&self, from: Position, limit: usize) -> Result<Page> {
        self.read(&Query::all().from(from).limit(limit))
    }
}
