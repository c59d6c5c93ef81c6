//! Events that were published without waiting and are not written yet, and which events go to the spill: one lock for both, so
//! that nothing overtakes what is queued.

use std::collections::{HashSet, VecDeque};

use tokio::sync::{Notify, oneshot, watch};

use super::persist::Persistence;
use crate::event::{NewEvent, Place};
use crate::sync::{Mutex, MutexGuard, lock};

/// What waits to be written.
#[derive(Debug)]
pub(super) enum Queued {
    Event {
        place: Place,
        event: Box<NewEvent>,
        asked: Option<Persistence>,
    },
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
    room: usize,
    is_closed: bool,
    pub(super) spilling: Spilling,
}

impl Waiting {
    /// Queues an event that does not go to the spill.
    pub(super) fn add(
        &mut self,
        place: Place,
        event: Box<NewEvent>,
        asked: Option<Persistence>,
    ) -> Result<(), (Place, Box<NewEvent>, Unqueued)> {
        let why = match (self.spilling.takes(&place), self.is_closed) {
            (true, _) => Unqueued::Behind,
            (_, true) => Unqueued::Closed,
            _ if self.queue.len() >= self.room => Unqueued::Full,
            _ => {
                self.queue.push_back(Queued::Event { place, event, asked });
                return Ok(());
            }
        };
        Err((place, event, why))
    }

    /// Takes out what is queued and goes to the spill from now on, in order.
    pub(super) fn take_covered(&mut self) -> Vec<(Place, NewEvent)> {
        let mut covered = Vec::new();
        for queued in std::mem::take(&mut self.queue) {
            match queued {
                Queued::Event { place, event, .. } if self.spilling.takes(&place) => {
                    covered.push((place, *event));
                }
                other => self.queue.push_back(other),
            }
        }
        covered
    }

    /// What there was no room for in the spill is queued again, before everything else.
    pub(super) fn put_back(&mut self, events: impl DoubleEndedIterator<Item = (Place, NewEvent)>) {
        for (place, event) in events.rev() {
            self.queue.push_front(Queued::Event { place, event: Box::new(event), asked: None });
        }
    }

    /// Takes nothing more, and hands out what is left.
    pub(super) fn close(&mut self) -> Vec<(Place, NewEvent)> {
        self.is_closed = true;
        let left = std::mem::take(&mut self.queue).into_iter();
        // Who flushes is told that nobody writes any more.
        left.filter_map(|queued| match queued {
            Queued::Event { place, event, .. } => Some((place, *event)),
            Queued::Flush(_) => None,
        })
        .collect()
    }
}

#[derive(Debug)]
pub(super) struct Nowait {
    waiting: Mutex<Waiting>,
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
        let waiting = Waiting { queue: VecDeque::new(), room, is_closed: false, spilling };
        let (ready, ended) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { waiting: Mutex::new(waiting), arrived: Notify::new(), ready, ended }
    }

    /// Held while an event is put into the spill.
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    pub(super) fn ready(&self) {
        // It is said with each event: looked at first, which many can do at once.
        if !*self.ready.borrow() {
            self.ready.send_replace(true);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().queue.len()
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
    pub(super) fn take(&self, most: usize) -> Option<Vec<Queued>> {
        let mut waiting = self.lock();
        let count = waiting.queue.len().min(most);
        let taken: Vec<Queued> = waiting.queue.drain(..count).collect();
        (!taken.is_empty() || !waiting.is_closed).then_some(taken)
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

    fn kinds(events: &[(Place, NewEvent)]) -> Vec<&str> {
        events.iter().map(|(_, event)| event.kind()).collect()
    }

    #[test]
    fn what_is_queued_for_a_branch_that_is_held_comes_before_what_is_published_next() {
        let nowait = Nowait::new(4, false);
        let mut waiting = nowait.lock();
        for (branch, kind) in [("a", "a.one"), ("b", "b.one"), ("a", "a.two"), ("b", "b.two")] {
            waiting.add(place(branch), NewEvent::new(kind).into(), None).unwrap();
        }
        let (_, _, why) = waiting.add(place("b"), NewEvent::new("b.three").into(), None).unwrap_err();
        assert_eq!(why, Unqueued::Full);
        waiting.spilling.hold(&place("a"));
        assert_eq!(kinds(&waiting.take_covered()), ["a.one", "a.two"]);
        let (_, _, why) = waiting.add(place("a"), NewEvent::new("a.three").into(), None).unwrap_err();
        assert_eq!(why, Unqueued::Behind);
        waiting.add(place("b"), NewEvent::new("b.three").into(), None).unwrap();
        waiting.spilling = Spilling::All;
        let covered = waiting.take_covered();
        assert_eq!(kinds(&covered), ["b.one", "b.two", "b.three"]);
        waiting.put_back(covered.into_iter().skip(1));
        assert_eq!(kinds(&waiting.take_covered()), ["b.two", "b.three"]);
        waiting.spilling = Spilling::None;
        waiting.add(place("a"), NewEvent::new("a.four").into(), None).unwrap();
        assert_eq!(kinds(&waiting.close()), ["a.four"]);
        let (_, _, why) = waiting.add(place("a"), NewEvent::new("a.five").into(), None).unwrap_err();
        assert_eq!(why, Unqueued::Closed);
        drop(waiting);
        assert!(nowait.take(9).is_none());
    }
}
