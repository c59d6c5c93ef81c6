//! A page of events: bounded in events, in bytes, and in what is looked at for it.

use retold::{Error, Store};
use serde_json::json;

use super::asked::{Asked, From};
use super::feed::Feed;
use super::page_cursor::PageCursors;
use super::watch::stuck;
use crate::access::Access;
use crate::problem::Problem;
use crate::tokens::Scope;

/// Bytes after which a page ends.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Events that are looked at for a page. One that finds fewer than it was asked for has a cursor all the same.
const LOOKED_AT: usize = 100_000;
/// Events that are read at once, at least and at most.
const AT_ONCE: (usize, usize) = (64, 1_024);

/// Reads a page, as JSON. Blocks.
pub(super) fn page(store: &Store, feed: &Feed, asked: &Asked, access: &Access) -> Result<Vec<u8>, Problem> {
    let limit = asked.page_limit()?;
    let cursors = PageCursors::of(store.id(), feed, &asked.question, access.token());
    let begin = asked.cursor.as_deref().map(|cursor| cursors.open(cursor)).transpose()?;
    let span = span(store, feed, asked).map_err(|error| feed.problem(error, access))?;
    let mut page =
        Page { store, feed, asked, access, limit, events: Vec::new(), errors: Vec::new(), found: 0 };
    let next =
        page.fill(narrowed(span, begin, asked.reverse)).map_err(|error| feed.problem(error, access))?;
    let next = next.map(|number| cursors.seal(number));
    Ok(page.into_json(next))
}

/// What there is of what is asked for: the first number and the last.
fn span(store: &Store, feed: &Feed, asked: &Asked) -> Result<(u64, u64), Error> {
    let (first, last) = match feed {
        Feed::Branch(address) => {
            let branch = store.branch(address)?;
            let first = branch.first.get();
            if asked.to.is_some_and(|to| to < first && first > 1) {
                return Err(Error::Truncated { place: branch.place, first: branch.first });
            }
            (first, branch.head.get())
        }
        Feed::Session(session) => {
            store.branches(session)?;
            (1, store.committed().get())
        }
        Feed::All => (1, store.committed().get()),
    };
    let from = match asked.from {
        // Whoever reads from the beginning gets what is left.
        None | Some(From::Start | From::Number(0 | 1)) => first,
        Some(From::Number(from)) => from,
        Some(From::End) => last.saturating_add(1),
    };
    Ok((from, asked.to.unwrap_or(u64::MAX).min(last)))
}

fn narrowed((from, to): (u64, u64), begin: Option<u64>, reverse: bool) -> (u64, u64) {
    match begin {
        None => (from, to),
        Some(number) if reverse => (from, to.min(number)),
        Some(number) => (from.max(number), to),
    }
}

struct Page<'a> {
    store: &'a Store,
    feed: &'a Feed,
    asked: &'a Asked,
    access: &'a Access,
    limit: usize,
    events: Vec<u8>,
    errors: Vec<serde_json::Value>,
    found: usize,
}

impl Page<'_> {
    /// Reads until it is full or enough was looked at; the number at which the next page goes on.
    fn fill(&mut self, (mut from, mut to): (u64, u64)) -> Result<Option<u64>, Error> {
        let mut looked_at = 0;
        while from <= to {
            if self.is_full() || looked_at >= LOOKED_AT {
                return Ok(Some(if self.asked.reverse { to } else { from }));
            }
            let at_once = (self.limit - self.found).clamp(AT_ONCE.0, AT_ONCE.1);
            let mut query = self.feed.query()?.from(from).to(to).limit(at_once);
            if self.asked.reverse {
                query = query.reverse();
            }
            if self.asked.raw {
                query = query.raw();
            }
            let mut read = 0;
            for event in self.store.events(query)? {
                let number = match event {
                    Ok(event) => {
                        read += 1;
                        if self.access.may(Scope::Read, event.session()) && self.asked.pick.takes(&event) {
                            self.event(&event);
                        }
                        self.feed.number(&event)
                    }
                    Err(error) => self.stuck(error)?,
                };
                looked_at += 1;
                if self.asked.reverse {
                    to = number.saturating_sub(1);
                } else {
                    from = number.saturating_add(1);
                }
                if self.is_full() {
                    break;
                }
            }
            if read < at_once && !self.is_full() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn is_full(&self) -> bool {
        self.found >= self.limit || self.events.len() >= MOST_BYTES
    }

    fn event(&mut self, event: &retold::Event) {
        if !self.events.is_empty() {
            self.events.push(b',');
        }
        self.asked.form.write(event, &mut self.events);
        self.found += 1;
    }

    /// An event that can't be made new is told of in its place, and reading goes on after it.
    fn stuck(&mut self, error: Error) -> Result<u64, Error> {
        let Error::Upcast { at, position, .. } = &error else { return Err(error) };
        let sequence = at.sequence().map_or(0, retold::Sequence::get);
        let number = if matches!(self.feed, Feed::Branch(_)) { sequence } else { position.get() };
        if self.access.may(Scope::Read, at.session()) && self.may_be_wanted(at)? {
            self.errors.push(stuck(error).to_json());
            self.found += 1;
        }
        Ok(number)
    }

    /// Whether the type of the event that can't be made new is asked for.
    fn may_be_wanted(&self, at: &retold::Address) -> Result<bool, Error> {
        let sequence = at.sequence().unwrap_or(retold::Sequence::ZERO).get();
        let query = retold::Query::branch(at)?.from(sequence).to(sequence).limit(1).raw();
        let event = self.store.events(query)?.next().transpose()?;
        Ok(event.is_none_or(|event| self.asked.pick.takes_kind(event.kind())))
    }

    fn into_json(self, next: Option<String>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.events.len() + 128);
        out.extend_from_slice(b"{\"events\":[");
        out.extend_from_slice(&self.events);
        out.extend_from_slice(b"],\"next\":");
        out.extend_from_slice(json!(next).to_string().as_bytes());
        if !self.errors.is_empty() {
            out.extend_from_slice(b",\"errors\":");
            out.extend_from_slice(serde_json::Value::Array(self.errors).to_string().as_bytes());
        }
        out.push(b'}');
        out
    }
}
