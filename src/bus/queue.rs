//! Events that were published without waiting and are not written yet.

use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot, watch};

use super::persist::Persistence;
use crate::event::{NewEvent, Place};

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

#[derive(Debug)]
pub(super) struct Nowait {
    pub(super) queue: mpsc::Sender<Queued>,
    /// Whether events go to the spill. Held while one is put there.
    pub(super) spilling: Mutex<bool>,
    /// Signals that events start going to the spill.
    pub(super) begun: tokio::sync::Notify,
    pub(super) ended: watch::Sender<bool>,
}

impl Nowait {
    /// `spilling`: the spill holds events of an earlier process, which are recorded before anything new.
    pub(super) fn new(room: usize, spilling: bool) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, rest) = mpsc::channel(room);
        let begun = tokio::sync::Notify::new();
        (Self { queue, spilling: Mutex::new(spilling), begun, ended: watch::Sender::new(false) }, rest)
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Resolves when everything is written and nothing more is accepted.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}
