//! A page of events: bounded in events, in bytes, and in what is looked at for it.

use retold::store::recovery::LOST_EVENT;
use retold::{Error, Event, EventId, Store, Timestamp};
use serde_json::json;

use super::asked::{Asked, From};
use super::feed::{Feed, bad_cursor};
use super::page_cursor::{PageCursors, PagePlace};
use super::stuck;
use crate::access::Access;
use crate::kept_key::Key;
use crate::problem::Problem;
use crate::tokens::Scope;

/// What a page takes at most.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Bytes after which it ends.
    bytes: usize,
    /// Events that are looked at for it. One that finds fewer than it was asked for has a cursor all the same.
    looked_at: usize,
    /// Events that are read at once, at least and at most.
    at_once: (usize, usize),
}

const BOUNDS: Bounds = Bounds { bytes: 8 * 1024 * 1024, looked_at: 100_000, at_once: (64, 1_024) };
/// As many events it counts for to look up one that can't be made new.
const STUCK: usize = 64;

/// Reads a page, as JSON. Blocks.
pub(super) fn page(
    store: &Store,
    key: &Key,
    feed: &Feed,
    asked: &Asked,
    access: &Access,
) -> Result<Vec<u8>, Problem> {
    bounded(store, key, feed, asked, access, BOUNDS)
}

fn bounded(
    store: &Store,
    key: &Key,
    feed: &Feed,
    asked: &Asked,
    access: &Access,
    bounds: Bounds,
) -> Result<Vec<u8>, Problem> {
    let limit = asked.page_limit()?;
    let problem = |error| feed.problem(error, access);
    let (span, made) = span(store, feed, asked).map_err(problem)?;
    let cursors = PageCursors::of(key, store.id(), feed, made, &asked.question, access.token());
    let begin = asked.cursor.as_deref().map(|cursor| cursors.open(cursor)).transpose()?;
    if let Some(begin) = &begin
        && !is_still_there(store, feed, begin, asked.reverse).map_err(problem)?
    {
        return Err(bad_cursor("the store was restored since"));
    }
    // Spans are before the time of the first page.
    let of_then = begin.and_then(|begin| begin.began).map(|began| asked.as_of(began, store.catalogue()));
    let of_then = of_then.transpose()?;
    let asked = of_then.as_ref().unwrap_or(asked);
    let mut page = Page {
        store,
        feed,
        asked,
        access,
        limit,
        bounds,
        events: Vec::new(),
        errors: Vec::new(),
        found: 0,
        looked_at: 0,
        last: None,
    };
    let next = page.fill(narrowed(span, begin, asked.reverse)).map_err(problem)?;
    let next =
        next.map(|number| cursors.seal(PagePlace { number, after: page.last, began: asked.pick.began() }));
    Ok(page.into_json(next))
}

/// What there is of what is asked for: the first number and the last; and when the branch was made.
fn span(store: &Store, feed: &Feed, asked: &Asked) -> Result<((u64, u64), Option<Timestamp>), Error> {
    let (first, last, made) = match feed {
        Feed::Branch(address) => {
            let branch = store.branch(address)?;
            let first = branch.first.get();
            if asked.to.is_some_and(|to| to < first && first > 1) {
                return Err(Error::Truncated { place: branch.place, first: branch.first });
            }
            (first, branch.head.get(), Some(branch.created))
        }
        Feed::Session(_) | Feed::All => {
            feed.check(store)?;
            (1, store.committed().get(), None)
        }
    };
    let from = match asked.from {
        // Whoever reads from the beginning gets what is left.
        None | Some(From::Start | From::Number(0 | 1)) => first,
        Some(From::Number(from)) => from,
        Some(From::End) => last.saturating_add(1),
    };
    Ok(((from, asked.to.unwrap_or(u64::MAX).min(last)), made))
}

/// Whether the event before a place is the one that was there, or may have been removed since.
fn is_still_there(store: &Store, feed: &Feed, place: &PagePlace, reverse: bool) -> Result<bool, Error> {
    let Some(id) = place.after else { return Ok(true) };
    let number = if reverse { place.number.checked_add(1) } else { place.number.checked_sub(1) };
    let Some(number) = number else { return Ok(true) };
    match store.events(feed.query()?.from(number).to(number).limit(1).raw())?.next() {
        None => Ok(feed.last(store)? >= number),
        Some(Ok(event)) => Ok(event.id() == id || event.kind() == LOST_EVENT),
        // Damage is told of where it is in the way.
        Some(Err(Error::Truncated { .. } | Error::Corrupt { .. })) => Ok(true),
        Some(Err(error)) => Err(error),
    }
}

fn narrowed((from, to): (u64, u64), begin: Option<PagePlace>, reverse: bool) -> (u64, u64) {
    match begin {
        None => (from, to),
        Some(PagePlace { number, .. }) if reverse => (from, to.min(number)),
        Some(PagePlace { number, .. }) => (from.max(number), to),
    }
}

struct Page<'a> {
    store: &'a Store,
    feed: &'a Feed,
    asked: &'a Asked,
    access: &'a Access,
    limit: usize,
    bounds: Bounds,
    events: Vec<u8>,
    errors: Vec<serde_json::Value>,
    found: usize,
    looked_at: usize,
    /// The last event that was looked at, unless it can't be made new.
    last: Option<EventId>,
}

impl Page<'_> {
    /// Reads until it is full or enough was looked at; the number at which the next page goes on.
    fn fill(&mut self, (mut from, mut to): (u64, u64)) -> Result<Option<u64>, Error> {
        let reverse = self.asked.reverse;
        while from <= to {
            if self.is_done() {
                return Ok(Some(if reverse { to } else { from }));
            }
            let (least, most) = self.bounds.at_once;
            let at_once = (self.limit - self.found).clamp(least, most);
            let mut query = self.feed.query()?.from(from).to(to).limit(at_once);
            if reverse {
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
                        self.take(&event)
                    }
                    Err(error) => self.stuck(error)?,
                };
                self.looked_at += 1;
                if reverse {
                    to = number.saturating_sub(1);
                } else {
                    from = number.saturating_add(1);
                }
                if self.is_done() {
                    break;
                }
            }
            if read < at_once && !self.is_done() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// It is full, or enough was looked at.
    fn is_done(&self) -> bool {
        self.found >= self.limit
            || self.events.len() >= self.bounds.bytes
            || self.looked_at >= self.bounds.looked_at
    }

    fn take(&mut self, event: &Event) -> u64 {
        self.last = Some(event.id());
        if self.access.may(Scope::Read, event.session()) && self.asked.pick.takes(event) {
            if !self.events.is_empty() {
                self.events.push(b',');
            }
            self.asked.form.write(event, &mut self.events);
            self.found += 1;
        }
        self.feed.number(event)
    }

    /// An event that can't be made new is told of in its place, and reading goes on after it.
    fn stuck(&mut self, error: Error) -> Result<u64, Error> {
        let Error::Upcast { at, position, .. } = &error else { return Err(error) };
        self.last = None;
        let sequence = at.sequence().map_or(0, retold::Sequence::get);
        let number = if matches!(self.feed, Feed::Branch(_)) { sequence } else { position.get() };
        if self.access.may(Scope::Read, at.session()) {
            self.looked_at += STUCK;
            if let Some(problem) = stuck::told(self.store, &self.asked.pick, error)? {
                self.errors.push(problem.to_json());
                self.found += 1;
            }
        }
        Ok(number)
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

#[cfg(test)]
mod tests {
    use retold::event::{NamePattern, SessionId};
    use retold::schema::Upcaster;
    use retold::{NewEvent, Upcasts};
    use serde_json::Value;

    use super::*;
    use crate::tokens::Token;

    const KEY: Key = Key([7; 32]);
    const SMALL: Bounds = Bounds { bytes: 2_000, looked_at: 7, at_once: (2, 5) };

    fn token(sessions: &str) -> Access {
        let token = Token::new("one", Scope::Read);
        Access::with(if sessions.is_empty() {
            token
        } else {
            token.sessions(NamePattern::new(sessions).unwrap())
        })
    }

    fn asked(store: &Store, text: &str) -> Asked {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Asked::parse(pairs, store.catalogue()).unwrap()
    }

    fn read(store: &Store, feed: &Feed, text: &str, access: &Access) -> Value {
        let page = bounded(store, &KEY, feed, &asked(store, text), access, SMALL).unwrap();
        serde_json::from_slice(&page).unwrap()
    }

    /// The numbers of all events, page by page, and how many pages there were.
    fn paged(store: &Store, feed: &Feed, text: &str, access: &Access) -> (Vec<u64>, usize) {
        paged_from(store, feed, text, "", access)
    }

    fn paged_from(store: &Store, feed: &Feed, text: &str, at: &str, access: &Access) -> (Vec<u64>, usize) {
        let (mut numbers, mut pages, mut at) = (Vec::new(), 0, at.to_owned());
        loop {
            let page = read(store, feed, &format!("{text}&{at}"), access);
            let events = page["events"].as_array().unwrap().iter();
            numbers.extend(events.map(|event| event["data"]["n"].as_u64().unwrap()));
            pages += 1;
            let Some(cursor) = page["next"].as_str() else { return (numbers, pages) };
            at = format!("cursor={cursor}");
        }
    }

    fn numbered(n: u64) -> NewEvent {
        let event = NewEvent::new(["step.done", "tool.invoked"][n as usize % 2]).data(json!({ "n": n }));
        if n.is_multiple_of(10) { event.meta("long", "x".repeat(900)) } else { event }
    }

    fn filled() -> Store {
        let store = Store::in_memory().unwrap();
        for n in 0..200 {
            store.append(if n % 20 < 15 { "b" } else { "a" }, numbered(n)).unwrap();
        }
        store
    }

    #[test]
    fn pages_end_at_every_bound_and_leave_nothing_out() {
        let store = filled();
        for (sessions, feed) in [
            ("", Feed::All),
            ("a", Feed::All),
            ("", Feed::Session(SessionId::new("b").unwrap())),
            ("", Feed::Branch("b".try_into().unwrap())),
        ] {
            for (text, takes) in [
                ("limit=3", None),
                ("limit=100", None),
                ("limit=4&type=tool.*", Some(1)),
                ("limit=100&except=tool.*", Some(0)),
            ] {
                let is_due = |n: &u64| {
                    let is_a = n % 20 >= 15;
                    let is_of_feed = if sessions == "a" { is_a } else { feed == Feed::All || !is_a };
                    is_of_feed && takes.is_none_or(|rest| n % 2 == rest)
                };
                let mut due: Vec<u64> = (0..200).filter(is_due).collect();
                let access = token(sessions);
                let (found, pages) = paged(&store, &feed, text, &access);
                assert_eq!(found, due, "{feed} {sessions:?} {text}");
                assert!(pages > 10, "{feed} {sessions:?} {text}: {pages}");
                due.reverse();
                let reversed = paged(&store, &feed, &format!("{text}&reverse=true"), &access);
                assert_eq!(reversed.0, due, "{feed} {sessions:?} {text} reversed");
            }
        }
    }

    #[test]
    fn events_that_cannot_be_made_new_end_a_page_as_others_do() {
        let fails = Upcaster::new("step.done", 1).to("step.done", 2).function(1, |_| Err("no".to_owned()));
        let store = Store::builder().upcasts(Upcasts::new([fails]).unwrap()).in_memory().unwrap();
        for n in 0..40 {
            store.append("b", NewEvent::new("step.done").data(json!({ "n": n }))).unwrap();
        }
        store.append("a", NewEvent::new("tool.invoked").data(json!({ "n": 40 }))).unwrap();
        // Those of others, and those that nobody asked for.
        for (sessions, text, most) in [("a", "limit=9", 7), ("", "limit=9&type=tool.*", 1)] {
            let access = token(sessions);
            let page = read(&store, &Feed::All, text, &access);
            assert_eq!((page["events"].as_array().unwrap().len(), page.get("errors")), (0, None), "{text}");
            let cursors = PageCursors::of(
                &KEY,
                store.id(),
                &Feed::All,
                None,
                &asked(&store, text).question,
                access.token(),
            );
            let next = cursors.open(page["next"].as_str().expect("it goes on")).unwrap();
            assert_eq!(next.number, most + 1, "{text}");
            assert_eq!(paged(&store, &Feed::All, text, &access).0, [40], "{text}");
        }
        let all = read(&store, &Feed::All, "limit=9", &token(""));
        assert_eq!(all["errors"][0]["sequence"], 1, "{all}");
        let except = read(&store, &Feed::All, "limit=9&except=step.done", &token(""));
        assert_eq!(except.get("errors"), None, "{except}");
    }

    #[test]
    fn a_cursor_outlives_no_branch_and_keeps_its_time() {
        let store = filled();
        let feed = Feed::Branch("b".try_into().unwrap());
        let first = read(&store, &feed, "limit=3", &token(""));
        let again = format!("limit=3&cursor={}", first["next"].as_str().unwrap());
        assert_eq!(read(&store, &feed, &again, &token(""))["events"][0]["sequence"], 4);
        store.lifecycle().delete("b").unwrap();
        store.append("b", (0..10).map(numbered).collect::<Vec<_>>()).unwrap();
        let refused = bounded(&store, &KEY, &feed, &asked(&store, &again), &token(""), SMALL).unwrap_err();
        assert_eq!(refused.name(), "bad-cursor");
        // Restored, it may have another event where the page ended.
        let cursors = |text: &str| {
            PageCursors::of(
                &KEY,
                store.id(),
                &Feed::All,
                None,
                &asked(&store, text).question,
                token("").token(),
            )
        };
        let at = |number, after| PagePlace { number, after, began: None };
        let there = store.read(&retold::Query::all().from(20_u64).limit(1).raw()).unwrap().events.remove(0);
        assert_eq!(there.position().get(), 20);
        for (place, is_good) in [
            (at(21, Some(there.id())), true),
            (at(21, Some(EventId::new())), false),
            (at(100_000, Some(there.id())), false),
            // It was removed.
            (at(2, Some(EventId::new())), true),
        ] {
            let text = format!("limit=3&cursor={}", cursors("").seal(place));
            let page = bounded(&store, &KEY, &Feed::All, &asked(&store, &text), &token(""), SMALL);
            assert_eq!(page.is_ok(), is_good, "{place:?}");
        }
        // Spans are before the first page.
        let now = Timestamp::now().micros();
        let hour = 3_600_000_000;
        let old = NewEvent::new("old")
            .data(json!({"n": 1_000}))
            .occurred(Timestamp::from_micros(now - hour * 3 / 2));
        store.append("c", old).unwrap();
        let question = "since=1h&type=old";
        assert_eq!(paged(&store, &Feed::All, question, &token("")).0, [0_u64; 0]);
        let began = Some(Timestamp::from_micros(now - hour));
        let cursor = cursors(question).seal(PagePlace { number: 1, after: None, began });
        let found = paged_from(&store, &Feed::All, question, &format!("cursor={cursor}"), &token(""));
        assert_eq!(found.0, [1_000]);
    }
}
