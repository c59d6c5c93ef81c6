//! Events that were published without waiting and are not written yet.

use std::collections::HashSet;

use tokio::sync::{mpsc, oneshot, watch};

use super::persist::Persistence;
use crate::event::{NewEvent, Place};
use crate::sync::Mutex;

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
#[derive(Debug, PartialEq, Eq)]
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

#[derive(Debug)]
pub(super) struct Nowait {
    pub(super) queue: mpsc::Sender<Queued>,
    /// Which events go to the spill. Held while one is put there.
    pub(super) spilling: Mutex<Spilling>,
    /// Becomes true when subscriptions are in place: what an earlier process left in the spill can be recorded.
    pub(super) ready: watch::Sender<bool>,
    /// Signals that events start going to the spill.
    pub(super) begun: tokio::sync::Notify,
    pub(super) ended: watch::Sender<bool>,
}

impl Nowait {
    /// `spilling`: the spill holds events of an earlier process, which are recorded before anything new.
    pub(super) fn new(room: usize, spilling: bool) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, rest) = mpsc::channel(room);
        let begun = tokio::sync::Notify::new();
        let spilling = Mutex::new(if spilling { Spilling::All } else { Spilling::None });
        let (ready, ended) = (watch::Sender::new(false), watch::Sender::new(false));
        (Self { queue, spilling, ready, begun, ended }, rest)
    }

    pub(super) fn ready(&self) {
        // It is said with each event: looked at first, which many can do at once.
        if !*self.ready.borrow() {
            self.ready.send_replace(true);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Resolves when everything is written and nothing more is accepted.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}
