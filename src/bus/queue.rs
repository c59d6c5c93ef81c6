//! Events that were published without waiting and are not written yet, and which events go to the spill: one lock for both, so
//! that nothing overtakes what is queued.

use std::collections::{HashSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{Notify, oneshot, watch};

use super::persist::Persistence;
use crate::event::{NewEvent, Place};
use crate::sync::{Mutex, MutexGuard, fault, lock};

/// An event that is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Unwritten {
    pub(super) place: Place,
    pub(super) event: Arc<NewEvent>,
    pub(super) asked: Option<Persistence>,
}

impl Unwritten {
    pub(super) fn new(place: Place, event: NewEvent, asked: Option<Persistence>) -> Self {
        Self { place, event: Arc::new(event), asked }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.event, &other.event)
    }
}

/// What waits to be written.
#[derive(Debug)]
enum Queued {
    Event(Unwritten),
    /// Answered when everything before it was processed.
    Flush(oneshot::Sender<()>),
}

/// Which events go to the spill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spilling {
    None,
    /// Those of branches that are damaged.
    Of(HashSet<Place>),
    /// The store cannot be written, or the spill has to be drained first.
    All,
}

impl Spilling {
    pub(super) fn takes(&self, place: &Place) -> bool {
        match self {
            Self::None => false,
            Self::Of(places) => places.contains(place),
            Self::All => true,
        }
    }

    /// Events of this branch go there from now on.
    pub(super) fn hold(&mut self, place: &Place) {
        match self {
            Self::None => *self = Self::Of(HashSet::from([place.clone()])),
            Self::Of(places) => drop(places.insert(place.clone())),
            Self::All => {}
        }
    }
}

/// Why an event was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unqueued {
    /// Earlier events of its branch are in the spill.
    Behind,
    Full,
    Closed,
}

/// What is changed under the lock.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Queued>,
    /// What the writer has taken and not dealt with. It is found here when the writer is dropped in the middle of it.
    in_hand: Vec<Unwritten>,
    /// To be answered when that was dealt with.
    flushes: Vec<oneshot::Sender<()>>,
    room: usize,
    is_closed: bool,
    /// Neither the store nor the spill takes what is queued. It is not tried before the next look.
    stalls: bool,
    /// Changed only by who has the turn to [put](Nowait::putting).
    pub(super) spilling: Spilling,
}

impl Waiting {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn stalls(&self) -> bool {
        self.stalls
    }

    /// What stalls is tried again.
    pub(super) fn go_on(&mut self) {
        self.stalls = false;
    }

    /// Whether something is queued, or being written, that is older than what its branch has in the spill.
    pub(super) fn comes_first(&self) -> bool {
        let queued = self.queue.iter().filter_map(|queued| match queued {
            Queued::Event(event) => Some(event),
            Queued::Flush(_) => None,
        });
        queued.chain(&self.in_hand).any(|event| self.spilling.takes(&event.place))
    }

    /// Queues an event that does not go to the spill.
    pub(super) fn add(&mut self, event: Unwritten) -> Result<(), (Unwritten, Unqueued)> {
        let why = match (self.spilling.takes(&event.place), self.is_closed) {
            (true, _) => Unqueued::Behind,
            (_, true) => Unqueued::Closed,
            _ if self.queue.len() >= self.room => Unqueued::Full,
            _ => {
                self.queue.push_back(Queued::Event(event));
                return Ok(());
            }
        };
        Err((event, why))
    }

    /// Takes what is queued, at most so much; `None` when nothing is, and nothing more comes.
    fn take(&mut self, most: usize) -> Option<Vec<Unwritten>> {
        if self.stalls && !self.is_closed {
            self.take_flushes();
            return Some(Vec::new());
        }
        let count = self.queue.len().min(most);
        let mut taken = Vec::new();
        for queued in self.queue.drain(..count) {
            match queued {
                Queued::Event(event) => taken.push(event),
                Queued::Flush(done) => self.flushes.push(done),
            }
        }
        self.in_hand.extend_from_slice(&taken);
        (count > 0 || !self.is_closed).then_some(taken)
    }

    /// These were written or refused, or go to the spill.
    pub(super) fn dealt_with(&mut self, events: &[Unwritten]) {
        if events.len() >= self.in_hand.len() {
            self.in_hand.clear();
        } else {
            self.in_hand.retain(|held| !events.iter().any(|event| event.is(held)));
        }
    }

    /// Which of these are still in hand: they are no more. Whoever has closed this has taken the others.
    pub(super) fn let_go(&mut self, mut events: Vec<Unwritten>) -> Vec<Unwritten> {
        events.retain(|event| self.in_hand.iter().any(|held| event.is(held)));
        self.dealt_with(&events);
        events
    }

    /// Takes out what is queued and goes to the spill from now on, in order.
    pub(super) fn take_covered(&mut self) -> Vec<Unwritten> {
        let mut covered = Vec::new();
        fault!(LeavesWhatIsQueued, { return covered });
        for queued in std::mem::take(&mut self.queue) {
            match queued {
                Queued::Event(event) if self.spilling.takes(&event.place) => covered.push(event),
                other => self.queue.push_back(other),
            }
        }
        covered
    }

    fn take_flushes(&mut self) {
        for queued in std::mem::take(&mut self.queue) {
            match queued {
                Queued::Flush(done) => self.flushes.push(done),
                event => self.queue.push_back(event),
            }
        }
    }

    /// What there was no room for in the spill is queued again, before everything else: it is older. `stalls`: the store does
    /// not take it either.
    pub(super) fn put_back(&mut self, events: Vec<Unwritten>, stalls: bool) {
        for event in events.into_iter().rev() {
            fault!(ForgetsWhatWasAsked, {
                self.queue.push_front(Queued::Event(Unwritten { asked: None, ..event }));
                continue;
            });
            fault!(QueuesAgainAtTheEnd, {
                self.queue.push_back(Queued::Event(event));
                continue;
            });
            self.queue.push_front(Queued::Event(event));
        }
        self.stalls |= stalls;
    }

    /// Takes nothing more, and hands out what is left, in order. Who flushes is [`answered`](Nowait::answer) after that.
    pub(super) fn close(&mut self) -> Vec<Unwritten> {
        self.is_closed = true;
        let mut left = std::mem::take(&mut self.in_hand);
        fault!(LosesWhatIsInHand, { left.clear() });
        for queued in std::mem::take(&mut self.queue) {
            match queued {
                Queued::Event(event) => left.push(event),
                Queued::Flush(done) => self.flushes.push(done),
            }
        }
        left
    }
}

/// The lock, which tells how much is queued when it is released.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    waiting: MutexGuard<'a, Waiting>,
    queued: &'a AtomicUsize,
}

impl Deref for Locked<'_> {
    type Target = Waiting;
    fn deref(&self) -> &Waiting {
        &self.waiting
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Waiting {
        &mut self.waiting
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.queued.store(self.waiting.queue.len(), Relaxed);
    }
}

/// See [`Nowait::putting`].
#[derive(Debug)]
pub(super) struct Putting<'a> {
    _turn: MutexGuard<'a, ()>,
}

#[derive(Debug)]
pub(super) struct Nowait {
    waiting: Mutex<Waiting>,
    /// What is queued, for those who only want to know how much.
    queued: AtomicUsize,
    /// The turn to put something into the spill.
    puts: Mutex<()>,
    /// Signals that something is queued, or that events start going to the spill.
    arrived: Notify,
    /// Becomes true when subscriptions are in place: what an earlier process left in the spill can be recorded.
    pub(super) ready: watch::Sender<bool>,
    pub(super) ended: watch::Sender<bool>,
}

impl Nowait {
    /// `spilling`: the spill holds events of an earlier process, which are recorded before anything new.
    pub(super) fn new(room: usize, spilling: bool) -> Self {
        let spilling = if spilling { Spilling::All } else { Spilling::None };
        let waiting = Waiting {
            queue: VecDeque::new(),
            in_hand: Vec::new(),
            flushes: Vec::new(),
            room,
            is_closed: false,
            stalls: false,
            spilling,
        };
        let (ready, ended) = (watch::Sender::new(false), watch::Sender::new(false));
        Self {
            waiting: Mutex::new(waiting),
            queued: AtomicUsize::new(0),
            puts: Mutex::default(),
            arrived: Notify::new(),
            ready,
            ended,
        }
    }

    /// Held for a moment only: not while a file is read or written.
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked { waiting: lock(&self.waiting), queued: &self.queued }
    }

    /// The turn to put something into the spill, and to change what goes there. Taken before the lock.
    pub(super) fn putting(&self) -> Putting<'_> {
        Putting { _turn: lock(&self.puts) }
    }

    pub(super) fn ready(&self) {
        // It is said with each event: looked at first, which many can do at once.
        if !*self.ready.borrow() {
            self.ready.send_replace(true);
        }
    }

    /// How many are queued. It waits for nobody.
    pub(super) fn waiting(&self) -> usize {
        self.queued.load(Relaxed)
    }

    /// Something was queued, or has changed what the writer does next.
    pub(super) fn arrived(&self) {
        self.arrived.notify_one();
    }

    /// Queues a question whether everything before it was processed. `false` when nobody writes any more.
    pub(super) fn flush(&self, done: oneshot::Sender<()>) -> bool {
        let mut waiting = self.lock();
        let is_open = !waiting.is_closed;
        if is_open {
            waiting.queue.push_back(Queued::Flush(done));
        }
        drop(waiting);
        self.arrived();
        is_open
    }

    /// Takes nothing more; what is queued stays to be written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived();
    }

    /// What is queued, at most so many; `None` when nothing is, and nothing more comes.
    pub(super) fn take(&self, most: usize) -> Option<Vec<Unwritten>> {
        self.lock().take(most)
    }

    /// What was taken is dealt with. Says whether somebody waited for that.
    pub(super) fn answer(&self) -> bool {
        let flushes = std::mem::take(&mut self.lock().flushes);
        let any = !flushes.is_empty();
        for done in flushes {
            let _ = done.send(());
        }
        any
    }

    /// Resolves when something was queued or changed since it was waited for last.
    pub(super) async fn news(&self) {
        self.arrived.notified().await;
    }

    /// Resolves when everything is written and nothing more is accepted.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(branch: &str) -> Place {
        Place::new("s".try_into().unwrap(), branch.try_into().unwrap())
    }

    fn event(branch: &str, kind: &'static str) -> Unwritten {
        Unwritten::new(place(branch), NewEvent::new(kind), None)
    }

    fn kinds(events: &[Unwritten]) -> Vec<&str> {
        events.iter().map(|unwritten| unwritten.event.kind()).collect()
    }

    #[test]
    fn what_is_queued_for_a_branch_that_is_held_comes_before_what_is_published_next() {
        let nowait = Nowait::new(4, false);
        let mut waiting = nowait.lock();
        for (branch, kind) in [("a", "a.one"), ("b", "b.one"), ("a", "a.two"), ("b", "b.two")] {
            waiting.add(event(branch, kind)).unwrap();
        }
        let (_, why) = waiting.add(event("b", "b.three")).unwrap_err();
        assert_eq!(why, Unqueued::Full);
        waiting.spilling.hold(&place("a"));
        assert_eq!(kinds(&waiting.take_covered()), ["a.one", "a.two"]);
        let (_, why) = waiting.add(event("a", "a.three")).unwrap_err();
        assert_eq!(why, Unqueued::Behind);
        waiting.add(event("b", "b.three")).unwrap();
        waiting.spilling = Spilling::All;
        let covered = waiting.take_covered();
        assert_eq!(kinds(&covered), ["b.one", "b.two", "b.three"]);
        waiting.put_back(covered.into_iter().skip(1).collect(), false);
        assert_eq!(kinds(&waiting.take_covered()), ["b.two", "b.three"]);
        waiting.spilling = Spilling::None;
        waiting.add(event("a", "a.four")).unwrap();
        assert_eq!(kinds(&waiting.close()), ["a.four"]);
        let (_, why) = waiting.add(event("a", "a.five")).unwrap_err();
        assert_eq!(why, Unqueued::Closed);
        drop(waiting);
        assert!(nowait.take(9).is_none());
    }
}
