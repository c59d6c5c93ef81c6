//! Reading page by page.

use std::sync::Arc;

use super::events::Events;
use super::query::{Page, Query, QueryScope, Scanned};
use crate::engine::{Branch, Range};
use crate::error::{Error, Result};
use crate::event::{Event, Position, SessionId};
use crate::limits::{DEFAULT_PAGE, MAX_PAGE, PAGE_BYTES};
use crate::store::handle::reader::Reader;
use crate::store::handle::store::Store;

/// What a query is read from.
enum Source<'a> {
    Branch(Arc<Branch>),
    Session(&'a SessionId),
    All,
}

impl<'a> Source<'a> {
    fn of(reader: &Reader, scope: &'a QueryScope) -> Result<Self> {
        Ok(match scope {
            QueryScope::Branch(place) => Self::Branch(reader.branch(place)?),
            QueryScope::Session(session) if reader.branches_of(session)?.is_empty() => {
                return Err(reader.identity().not_found("session", session));
            }
            QueryScope::Session(session) => Self::Session(session),
            QueryScope::All => Self::All,
        })
    }

    fn page(&self, reader: &Reader, at: &Query, limit: usize) -> Result<Vec<Event>> {
        let (from, to, reverse) = (at.from, at.to, at.reverse);
        match self {
            Self::Branch(branch) => reader.page(branch, Range { from, to, limit, reverse }),
            Self::All => reader.page_all(Range { from, to, limit, reverse }),
            Self::Session(session) => reader.of_session(session, Range { from, to, limit, reverse }),
        }
    }
}

impl Reader {
    /// A page of up to `limit` matching events. It scans as far as necessary, and ends early if the page grows large
    /// in bytes.
    pub(crate) fn scan(&self, query: &Query) -> Result<Scanned> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let mut scanned = Scanned { events: Vec::new(), failed: Vec::new(), next: None };
        let mut at = query.clone();
        at.filter = self.resolved(at.filter);
        let filter = at.filter.clone();
        let from = Source::of(self, &query.scope)?;
        let as_it_is = filter.is_empty() && self.steps_for(query.shape).is_none();
        let events = &mut scanned.events;
        // A page of large payloads ends early: what it holds has to fit in memory.
        while events.len() < limit && scanned.failed.len() < limit && bytes_of(events) < PAGE_BYTES {
            let size = if filter.is_empty() { limit - events.len() } else { limit.max(DEFAULT_PAGE) };
            if at.from > at.to {
                return Ok(scanned);
            }
            let found = match from.page(self, &at, size) {
                // Whoever reads from the beginning gets what is left.
                Err(Error::Truncated { first, .. }) if at.from == 1 && first.get() <= at.to => {
                    at.from = first.get();
                    continue;
                }
                found => found?,
            };
            if found.is_empty() {
                return Ok(scanned);
            }
            let last = found.last().map_or(0, |e| at.number(e));
            if as_it_is {
                at.go_past(last);
                // Moved as a whole: a replay has nothing to pick.
                if events.is_empty() {
                    *events = found;
                } else {
                    events.extend(found);
                }
                continue;
            }
            for event in found {
                at.go_past(at.number(&event));
                match self.taken(event, &filter, query.shape) {
                    None => {}
                    Some(Ok(event)) => events.push(event),
                    Some(Err(e)) => scanned.failed.push((events.len(), e)),
                }
                if events.len() == limit {
                    break;
                }
            }
        }
        scanned.next = (at.from <= at.to && limit > 0).then_some(at);
        Ok(scanned)
    }
}

fn bytes_of(events: &[Event]) -> usize {
    events.iter().map(|e| e.record().encoded().len()).sum()
}

impl Store {
    /// One page of events.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) for a session or branch that does not exist,
    /// [`Error::Corrupt`](crate::Error::Corrupt) for an event that is not what was written,
    /// [`Error::Deleted`](crate::Error::Deleted), [`Error::Truncated`](crate::Error::Truncated) for a query that begins at, or ends
    /// before, an event that was removed. One without a beginning begins with the first event that is left.
    /// [`Error::Upcast`](crate::Error::Upcast) if the first event of the page cannot be upcast: a page ends before
    /// such an event, and a query that starts after it reads on.
    pub fn read(&self, query: &Query) -> Result<Page> {
        self.scan(query)?.page(query)
    }

    /// One page, with errors in place of events that cannot be upcast.
    pub(crate) fn scan(&self, query: &Query) -> Result<Scanned> {
        let reader = self.reader()?;
        reader.scan(query)
    }

    /// All events of a query, page by page, in bounded memory.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed). Errors while reading are items.
    pub fn events(&self, query: Query) -> Result<Events> {
        Ok(Events::new(self.reader()?, query))
    }

    /// One page of the whole store in global order, from a position on.
    ///
    /// # Errors
    /// As [`Store::read`](crate::Store::read).
    pub fn read_all(&self, from: Position, limit: usize) -> Result<Page> {
        self.read(&Query::all().from(from).limit(limit))
    }
}
