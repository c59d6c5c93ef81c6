//! The driver of the state machine: it reads, delivers and waits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::broadcast::error::RecvError;

use super::Cursor;
use super::followed::Followed;
use super::machine::{FollowOrder, FollowStep, Input, Machine, OutOfOrder};
use super::own_stream::OwnStream;
use super::request::{Follow, FollowScope, Start};
use super::wake::{Subscription, WakeFrame, Wakes};
use crate::error::{Error, Result};
use crate::event::{Event, EventId, Filter, MAIN, Place, Position, StoreId, Timestamp};
use crate::limits::{DEFAULT_PAGE, FOLLOW_AGAIN_MS};
use crate::store::{
    Branch, End, Range, Reader, Shape, Store, StoreHandle, is_still, mark, mark_of, unblocked,
};
use crate::sync::{fault, point, thread};

/// A running subscription: a [`Stream`] of items. It ends when the store or the branch is closed and everything was delivered,
/// or after an error, with two exceptions: [`Error::Upcast`] takes the place of an event that cannot be upcast, and the
/// next item is what comes after it; [`Error::Locked`], [`Error::OwnerLost`] and [`Error::NoAnswer`] say that the store
/// cannot be read at the moment, and the next call tries again, after a short pause. A subscription that resumes from the
/// last cursor before an event that cannot be upcast reports it
/// again; one that starts after its sequence or position does not. A follower that is slow, or not polled at all, does
/// not affect others: it holds no more than a page, and reads on from the store. It keeps the store's file open until
/// it ends or is dropped.
#[must_use = "a subscription does nothing unless it is polled"]
pub struct Following {
    items: OwnStream<Followed>,
    begun: u64,
    /// What was scanned, updated at the end of a page or a commit.
    scanned: Arc<AtomicU64>,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Following")
    }
}

impl Stream for Following {
    type Item = Result<Followed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_next(cx)
    }
}

impl Following {
    /// The sequence or position after which it started.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// How far it has scanned, as a shared number from which others can compute its lag.
    pub(crate) fn scanned(&self) -> Arc<AtomicU64> {
        self.scanned.clone()
    }

    /// The next item; `None` at the end.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready loses nothing: the next call delivers what this one would have.
    ///
    /// # Errors
    /// [`Error::Upcast`] for an event that cannot be upcast; the next call continues after it. [`Error::Locked`],
    /// [`Error::OwnerLost`] and [`Error::NoAnswer`] while the store cannot be read; the next call tries again. [`Error::Corrupt`]
    /// for an event that is not what was written, or that does not continue the one before it; [`Error::Diverged`] when the
    /// store was restored under the subscription, and has other events than it has seen; [`Error::Storage`]. The
    /// subscription ends there; its last cursor remains valid. [`Error::Deleted`] when the branch is deleted, which ends it.
    pub async fn next(&mut self) -> Option<Result<Followed>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next event, stepping over [`Followed::CaughtUp`] and [`Followed::Gap`]; `None` at the end. Cancellation as with
    /// [`next`](Self::next).
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_event(&mut self) -> Option<Result<Event>> {
        loop {
            match self.next().await? {
                Ok(Followed::Event { event, .. }) => return Some(Ok(event)),
                Ok(Followed::CaughtUp { .. } | Followed::Gap { .. }) => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

impl Store {
    /// Delivers what is recorded, then what will be, without a gap and without a repeat. What comes after this call is
    /// awaited; the call itself may look into the file, on the thread of the caller.
    ///
    /// ```
    /// # use retold::{Follow, NewEvent, Store};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// let mut following = store.follow(Follow::branch("run-7")?)?;
    /// assert_eq!(following.next_event().await.unwrap()?.kind(), "run.started");
    /// store.append("run-7", NewEvent::new("tool.invoked"))?;
    /// assert_eq!(following.next_event().await.unwrap()?.kind(), "tool.invoked");
    /// # Ok::<(), retold::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for a branch that does not exist, [`Error::BadCursor`] for a cursor of another store or
    /// branch, [`Error::Diverged`] for one whose last event is not there any more, as after a restore, [`Error::Closed`].
    pub fn follow(&self, follow: Follow) -> Result<Following> {
        self.handle().follow(follow)
    }

    /// [`follow`](Self::follow) for tasks: where the subscription begins may have to be looked up in the file, and is, on
    /// a thread that may block. Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`follow`](Self::follow).
    pub async fn follow_async(&self, follow: Follow) -> Result<Following> {
        self.in_task(move |store| store.follow(follow)).await
    }
}

impl StoreHandle {
    /// [`Store::follow`] without keeping the store open.
    pub(crate) fn follow(&self, follow: Follow) -> Result<Following> {
        let wakes = Wakes::of(self)?;
        let session = match &follow.scope {
            FollowScope::Branch(place) => Some(place.session.clone()),
            FollowScope::Session(session) => Some(session.clone()),
            FollowScope::All => None,
        };
        // Before anything is read: every commit from here on wakes it.
        let subscription = wakes.subscribe(session);
        let mut source = Source {
            reader: self.reader()?,
            scope: follow.scope,
            store: self.id(),
            branch: None,
            waits: follow.waits,
        };
        source.resolve()?;
        let filter = source.reader.resolved(follow.filter);
        let opening = source.reader.opening();
        let scanned = source.start(&follow.start)?;
        let at = Arc::new(AtomicU64::new(scanned));
        let mark = match &follow.start {
            Start::Cursor(cursor) if cursor.mark().is_some() => cursor.mark(),
            _ => source.mark_in_memory(scanned)?,
        };
        let seen = Seen { number: scanned, mark, opening };
        let items = OwnStream::new(
            self.process().clone(),
            drive(source, subscription, (filter, follow.shape), at.clone(), seen),
        );
        Ok(Following { items, begun: scanned, scanned: at })
    }
}

/// The scope that is followed, its numbers, and how to read it.
#[derive(Clone, Debug)]
struct Source {
    reader: Reader,
    scope: FollowScope,
    store: StoreId,
    /// The branch of [`FollowScope::Branch`], once it exists.
    branch: Option<Arc<Branch>>,
    /// Its start is waited for.
    waits: bool,
}

impl Source {
    fn resolve(&mut self) -> Result<()> {
        if let (FollowScope::Branch(place), None) = (&self.scope, &self.branch) {
            self.branch = match self.reader.branch(place) {
                Err(Error::NotFound { .. }) if self.waits || place.branch.as_str() == MAIN => None,
                Err(Error::Deleted { .. }) if self.waits => None,
                found => Some(found?),
            };
        }
        Ok(())
    }

    /// The last number of the store, if it is in memory: a follower that keeps up never switches threads.
    fn known(&mut self) -> Result<Option<Noted>> {
        let FollowScope::Branch(place) = &self.scope else {
            return Ok(Some(Noted::of(self.reader.committed().get())));
        };
        if self.branch.is_none() {
            let named = self.reader.last_named_in_memory(place)?;
            self.branch = named.filter(|branch| branch.deleted().is_none());
        }
        match &self.branch {
            Some(branch) => Ok(self.reader.end_in_memory(branch)?.map(Noted::at)),
            None => Ok(None),
        }
    }

    /// The last number of the store, and the branch if it exists by now. Reads the file.
    fn noted(&mut self) -> Result<(Option<Arc<Branch>>, Noted)> {
        self.resolve()?;
        let noted = match (&self.scope, &self.branch) {
            (FollowScope::Branch(_), Some(branch)) => Noted::at(self.reader.end(branch)?),
            _ => Noted::of(self.committed()?),
        };
        Ok((self.branch.clone(), noted))
    }

    fn order(&self) -> FollowOrder {
        match self.scope {
            FollowScope::Session(_) => FollowOrder::Increasing,
            FollowScope::Branch(_) | FollowScope::All => FollowOrder::Dense,
        }
    }

    fn number(&self, event: &Event) -> u64 {
        match self.scope {
            FollowScope::Branch(_) => event.sequence().get(),
            FollowScope::Session(_) | FollowScope::All => event.position().get(),
        }
    }

    fn cursor(&self, scanned: u64, mark: Option<u64>) -> Cursor {
        Cursor::new(self.store, self.branch.as_ref().map(|b| b.number), scanned, mark)
    }

    /// The event that the number of a cursor stands for, whichever session it is of; `None` when there is none. Reads the file.
    fn event_at(&self, number: u64) -> Result<Option<Event>> {
        let range = Range { from: number, to: number, limit: 1, reverse: false };
        let page = match (&self.scope, &self.branch) {
            _ if number == 0 => return Ok(None),
            (FollowScope::Branch(_), None) => return Ok(None),
            (FollowScope::Branch(_), Some(branch)) => match self.reader.page(branch, range) {
                // It was removed.
                Err(Error::Truncated { .. }) => return Ok(None),
                page => page?,
            },
            (FollowScope::Session(_) | FollowScope::All, _) => self.reader.page_all(range)?,
        };
        Ok(page.into_iter().next())
    }

    /// What is known of the event at this number, to tell it from another; nothing of one that cannot be read.
    fn mark_at(&self, number: u64) -> Result<Option<u64>> {
        mark_of(self.event_at(number))
    }

    /// The same where the event is in memory.
    fn mark_in_memory(&self, number: u64) -> Result<Option<u64>> {
        let event = match (&self.scope, &self.branch) {
            _ if number == 0 => return Ok(None),
            (FollowScope::Branch(_), None) => return Ok(None),
            (FollowScope::Branch(_), Some(branch)) => {
                match self.reader.event_in_memory(Some(branch), number) {
                    // It was removed.
                    Err(Error::Truncated { .. }) => return Ok(None),
                    event => event?,
                }
            }
            (FollowScope::Session(_) | FollowScope::All, _) => self.reader.event_in_memory(None, number)?,
        };
        Ok(event.as_ref().map(mark))
    }

    /// What a subscription begins after: its mark. It has to be there, unless it is waited for. Reads the file.
    fn mark_of_start(&self, number: u64) -> Result<Option<u64>> {
        let mark = self.mark_at(number)?;
        if mark.is_none() && !self.waits && number > self.committed()? {
            return Err(self.diverged(number, "this subscription"));
        }
        Ok(mark)
    }

    /// Looks the branch up again: the storage may be that of a restored store, where its number is another one's.
    fn resolve_again(&mut self, seen: u64) -> Result<()> {
        let FollowScope::Branch(place) = &self.scope else { return Ok(()) };
        let had = self.branch.take();
        self.branch = match self.reader.branch(place) {
            Ok(found) => Some(found),
            Err(Error::NotFound { .. }) if had.is_none() || (seen == 0 && self.waits) => None,
            Err(Error::NotFound { .. }) => {
                return Err(Error::Diverged { what: "this subscription".to_owned(), at: place.to_string() });
            }
            Err(e) => return Err(e),
        };
        Ok(())
    }

    /// Whether the event at this number is still the one that was seen there.
    fn check_mark(&self, number: u64, seen: u64, what: &str) -> Result<()> {
        match is_still(self.event_at(number), seen, || Ok(number <= self.committed()?))? {
            true => Ok(()),
            false => Err(self.diverged(number, what)),
        }
    }

    fn diverged(&self, number: u64, what: &str) -> Error {
        let at = match &self.scope {
            FollowScope::Branch(place) => format!("sequence {number} of {place}"),
            FollowScope::Session(_) | FollowScope::All => format!("position {number}"),
        };
        Error::Diverged { what: what.to_owned(), at }
    }

    /// The last number of the store, in the numbers of this scope.
    fn committed(&self) -> Result<u64> {
        match (&self.scope, &self.branch) {
            (FollowScope::Branch(_), None) => Ok(0),
            (FollowScope::Branch(_), Some(branch)) => Ok(self.reader.head(branch)?.get()),
            _ => Ok(self.reader.committed().get()),
        }
    }

    fn page(&self, after: u64, to: u64) -> Result<Vec<Event>> {
        self.page_of(after, to, DEFAULT_PAGE)
    }

    fn page_of(&self, after: u64, to: u64, limit: usize) -> Result<Vec<Event>> {
        let from = after.saturating_add(1);
        match (&self.scope, &self.branch) {
            (FollowScope::Branch(_), None) => Ok(Vec::new()),
            (FollowScope::Branch(_), Some(branch)) => {
                self.reader.page(branch, Range { from, to, limit, reverse: false })
            }
            (FollowScope::Session(session), _) => {
                self.reader.page_session(session, Position::new(after), Position::new(to), limit)
            }
            (FollowScope::All, _) => self.reader.page_all(Range { from, to, limit, reverse: false }),
        }
    }

    /// The number to start after.
    fn start(&self, start: &Start) -> Result<u64> {
        let committed = self.committed()?;
        let beyond = |n: u64, what: &str| Error::BadCursor {
            reason: format!("it is at {what} {n}, but the store ends at {committed}: was a backup restored?"),
        };
        let what = match self.scope {
            FollowScope::Branch(_) => "sequence",
            FollowScope::Session(_) | FollowScope::All => "position",
        };
        match (start, &self.scope) {
            (Start::End, _) => Ok(committed),
            (Start::After(0) | Start::AfterPosition(0), _) => Ok(0),
            (Start::After(n), FollowScope::Branch(_))
            | (Start::AfterPosition(n), FollowScope::Session(_) | FollowScope::All) => {
                if *n > committed && !self.waits {
                    let reason = format!("it starts after {what} {n}, but the last one is {committed}");
                    Err(Error::BadCursor { reason })
                } else {
                    Ok(*n)
                }
            }
            (Start::After(_) | Start::AfterPosition(_), scope) => {
                let reason = match scope {
                    FollowScope::Branch(_) => "a branch is followed from a sequence, not from a position",
                    _ => "more than one branch is followed from a position, not from a sequence",
                };
                Err(Error::BadCursor { reason: reason.into() })
            }
            (Start::Since(time), _) => self.first_since(*time, committed),
            (Start::Cursor(cursor), _) => {
                cursor.check_store(self.store)?;
                let same = match &self.scope {
                    FollowScope::Branch(_) => {
                        cursor.branch() == self.branch.as_ref().map(|b| b.number)
                            || (cursor.branch().is_none() && (self.waits || cursor.scanned() == 0))
                    }
                    FollowScope::Session(_) | FollowScope::All => cursor.branch().is_none(),
                };
                if !same {
                    let reason = "it belongs to another branch, or to one that was deleted since".into();
                    return Err(Error::BadCursor { reason });
                }
                if let Some(mark) = cursor.mark() {
                    self.check_mark(cursor.scanned(), mark, "this cursor")?;
                }
                if cursor.scanned() > committed && !self.waits {
                    return Err(beyond(cursor.scanned(), what));
                }
                Ok(cursor.scanned())
            }
        }
    }

    /// The number before the first event that was recorded at or after a time.
    fn first_since(&self, time: Timestamp, committed: u64) -> Result<u64> {
        let first = self.branch.as_ref().map_or(1, |branch| branch.first());
        let (mut lo, mut hi) = (first - 1, committed);
        while lo < hi {
            let middle = lo + (hi - lo) / 2;
            match self.page_of(middle, committed, 1)?.first() {
                Some(event) if event.recorded() < time => lo = self.number(event),
                _ => hi = middle,
            }
        }
        Ok(lo)
    }

    /// A branch that does not exist yet has no number, so it has no cursors.
    fn is_resolved(&self) -> bool {
        self.branch.is_some() || !matches!(self.scope, FollowScope::Branch(_))
    }

    fn ours(&self, events: &[Event]) -> Vec<Event> {
        let is_ours = |event: &&Event| match &self.scope {
            FollowScope::Branch(place) => **event.place() == *place,
            FollowScope::Session(_) | FollowScope::All => true,
        };
        events.iter().filter(is_ours).cloned().collect()
    }

    fn out_of_order(&self, e: OutOfOrder) -> Error {
        let what: &dyn std::fmt::Display = match &self.scope {
            FollowScope::Branch(place) => place as &Place,
            FollowScope::Session(session) => session,
            FollowScope::All => &"the global order",
        };
        Error::corrupt(what, format!("{} follows {} there", e.found, e.scanned))
    }
}

/// The last event that a follower has scanned, and in which opening of the storage that was: the storage of another may be
/// a restored one.
#[derive(Clone, Copy)]
struct Seen {
    number: u64,
    /// `None` while it has seen none.
    mark: Option<u64>,
    opening: Option<EventId>,
}

impl Seen {
    /// Whether the storage was opened anew since it was checked.
    fn is_stale(&self, source: &Source) -> bool {
        source.reader.opening().is_some_and(|now| self.opening != Some(now))
    }

    /// Whether what comes next continues what was seen; the branch as it is now. Reads the file.
    fn checked(self, mut source: Source) -> Result<(Self, Option<Arc<Branch>>)> {
        let opening = source.reader.opening();
        source.resolve_again(self.number)?;
        if let Some(mark) = self.mark {
            source.check_mark(self.number, mark, "this subscription")?;
        }
        Ok((Self { opening, ..self }, source.branch))
    }

    fn take(&mut self, number: u64, event: &Event) {
        (self.number, self.mark) = (number, Some(mark(event)));
    }

    /// What is known of the event at this number.
    fn mark_of(&self, number: u64) -> Option<u64> {
        self.mark.filter(|_| self.number == number)
    }
}

/// The last number, and the first that is not gone.
#[derive(Clone, Copy)]
struct Noted {
    input: Input,
    first: u64,
}

impl Noted {
    fn of(last: u64) -> Self {
        Self { input: Input::Noted(last), first: 1 }
    }

    /// Where a branch ends, and whether that is its end for ever.
    fn at(end: End) -> Self {
        let input = if end.closed { Input::NotedLast(end.head) } else { Input::Noted(end.head) };
        Self { input, first: end.first }
    }
}

/// Reads, after a pause when it could not a moment ago. Blocks.
fn paced<T>(again: bool, read: impl FnOnce() -> Result<T>) -> Result<T> {
    if again {
        thread::park_timeout(Duration::from_millis(FOLLOW_AGAIN_MS));
    }
    read()
}

/// Why waiting ended.
enum Waited {
    Events(Arc<[Event]>, Option<u64>),
    Woken,
    Closed,
}

async fn wait(subscription: &mut Subscription) -> Waited {
    let Some(receiver) = &mut subscription.receiver else { return Waited::Closed };
    loop {
        point();
        return match receiver.recv().await {
            Ok(WakeFrame { after, events: Some(events) }) => Waited::Events(events, after),
            Ok(WakeFrame { events: None, .. }) => Waited::Woken,
            Err(RecvError::Lagged(_)) if fault!(LagIgnored) => continue,
            Err(RecvError::Lagged(_)) => Waited::Woken,
            Err(RecvError::Closed) => Waited::Closed,
        };
    }
}

fn drive(
    mut source: Source,
    mut subscription: Subscription,
    (filter, shape): (Filter, Shape),
    scanned: Arc<AtomicU64>,
    mut seen: Seen,
) -> impl Stream<Item = Result<Result<Followed>>> + Send {
    async_stream::try_stream! {
        let mut machine = Machine::new(source.order(), scanned.load(Ordering::Relaxed));
        let mut step = FollowStep::Note;
        // What could not be read at the moment is read again.
        let mut again = false;
        while seen.mark.is_none() && seen.number > 0 && source.is_resolved() {
            let (reading, number) = (source.clone(), seen.number);
            let read = unblocked(move || paced(again, || reading.mark_of_start(number))).await;
            again = read.as_ref().is_err_and(Error::is_passing);
            if again {
                yield read.map(|_| Followed::CaughtUp { cursor: source.cursor(number, None) });
                continue;
            }
            seen.mark = read?;
            break;
        }
        loop {
            scanned.store(machine.scanned(), Ordering::Relaxed);
            if seen.is_stale(&source) {
                let (reading, was) = (source.clone(), seen);
                let checked = unblocked(move || paced(again, || was.checked(reading))).await;
                again = checked.as_ref().is_err_and(Error::is_passing);
                if again {
                    yield checked.map(|_| Followed::CaughtUp { cursor: source.cursor(machine.scanned(), None) });
                    continue;
                }
                (seen, source.branch) = checked?;
                // What was scanned without an event of this scope may have one there.
                step = machine.restart(seen.number, step);
            }
            let input = match step {
                FollowStep::Note => {
                    let noted = match source.known()? {
                    Some(noted) => {
                        fault!(ReadBeforeSubscribe, { subscription.renew() });
                        noted
                    }
                    None => {
                        let mut reading = source.clone();
                        let read = unblocked(move || paced(again, || reading.noted())).await;
                        again = read.as_ref().is_err_and(Error::is_passing);
                        if again {
                            yield read.map(|_| Followed::CaughtUp { cursor: source.cursor(machine.scanned(), None) });
                            continue;
                        }
                        let (branch, noted) = read?;
                        source.branch = branch;
                        noted
                    }
                    };
                    if machine.leave_out(noted.first) {
                        let cursor = source.cursor(machine.scanned(), None);
                        yield Ok(Followed::Gap { first: noted.first, cursor });
                    }
                    noted.input
                }
                FollowStep::Read { after, to } => {
                    let reading = source.clone();
                    let read = unblocked(move || paced(again, || reading.page(after, to))).await;
                    again = read.as_ref().is_err_and(Error::is_passing);
                    if again {
                        yield read.map(|_| Followed::CaughtUp { cursor: source.cursor(machine.scanned(), None) });
                        continue;
                    }
                    let page = match read {
                        // It is noted where it begins now.
                        Err(Error::Truncated { .. }) => { step = FollowStep::Note; continue; }
                        read => read?,
                    };
                    if seen.is_stale(&source) {
                        // It may be of another store than what was seen.
                        continue;
                    }
                    let has_holes = matches!(source.scope, FollowScope::All);
                    if has_holes && page.is_empty() && machine.leave_out(to.saturating_add(1)) {
                        let cursor = source.cursor(machine.scanned(), None);
                        yield Ok(Followed::Gap { first: to.saturating_add(1), cursor });
                        step = FollowStep::Note;
                        continue;
                    }
                    let empty = page.is_empty();
                    for event in page {
                        let number = source.number(&event);
                        if has_holes && machine.leave_out(number) {
                            let cursor = source.cursor(machine.scanned(), None);
                            yield Ok(Followed::Gap { first: number, cursor });
                        }
                        if !machine.take(number).map_err(|e| source.out_of_order(e))? {
                            continue;
                        }
                        seen.take(number, &event);
                        if let Some(item) = source.reader.taken(event, &filter, shape) {
                            let cursor = source.cursor(number, seen.mark);
                            yield item.map(|event| Followed::Event { event, cursor });
                        }
                    }
                    Input::PageEnded { empty }
                }
                FollowStep::TellCaughtUp => {
                    let number = machine.scanned();
                    let mark = match seen.mark_of(number) {
                        None if number > 0 => {
                            let reading = source.clone();
                            let read = unblocked(move || paced(again, || reading.mark_at(number))).await;
                            again = read.as_ref().is_err_and(Error::is_passing);
                            if again {
                                yield read.map(|_| Followed::CaughtUp { cursor: source.cursor(number, None) });
                                continue;
                            }
                            read?
                        }
                        known => known,
                    };
                    yield Ok(Followed::CaughtUp { cursor: source.cursor(number, mark) });
                    Input::Told
                }
                FollowStep::Wait => match wait(&mut subscription).await {
                    Waited::Woken => Input::Woken,
                    Waited::Closed => Input::Closed,
                    Waited::Events(events, after) => {
                        let ours = source.ours(&events);
                        let Some(first) = ours.first().map(|e| source.number(e)) else { continue };
                        if !source.is_resolved() || !machine.continues(first, after) || seen.is_stale(&source) {
                            Input::Woken
                        } else {
                            for event in ours {
                                let number = source.number(&event);
                                if !machine.take(number).map_err(|e| source.out_of_order(e))? {
                                    continue;
                                }
                                seen.take(number, &event);
                                if let Some(item) = source.reader.taken(event, &filter, shape) {
                                    let cursor = source.cursor(number, seen.mark);
                                    yield item.map(|event| Followed::Event { event, cursor });
                                }
                            }
                            continue;
                        }
                    }
                },
                FollowStep::End => break,
            };
            step = machine.next(input).map_err(|e| source.out_of_order(e))?;
        }
    }
}
