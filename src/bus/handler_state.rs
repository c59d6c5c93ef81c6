//! One subscribed handler: what it asked for, what it has taken, how far it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::answer::Answer;
use super::backoff::Retry;
use super::branch_queues::BranchQueues;
use super::gate::GateProgress;
use super::handler::Handler;
use super::message::Message;
use super::metrics::Metrics;
use super::phase::Phase;
use super::route::Route;
use super::shared::Shared;
use crate::consumer::DeadLetterQueue;
use crate::event::Place;
use crate::limits::{HANDLER_EVENTS, LANE_EVENTS, MAX_STUCK};
use crate::store::{Reader, lock};

/// What a handler asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: Arc<str>,
    pub(super) route: Route,
    pub(super) handler: Handler,
    pub(super) priority: i32,
    pub(super) timeout: Duration,
    pub(super) retry: Retry,
    pub(super) once: bool,
    pub(super) awaited: bool,
}

/// What it has taken.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) branch_queues: BranchQueues<Arc<Place>, Message>,
    pub(super) progress: GateProgress,
    /// Calls past their time that run on.
    pub(super) stuck: usize,
    /// It takes nothing for now.
    pub(super) full: bool,
    /// It has come to what is being committed.
    pub(super) live: bool,
}

impl Work {
    pub(super) fn has_room(&self) -> bool {
        self.branch_queues.has_room() && self.stuck < MAX_STUCK
    }
}

#[derive(Debug)]
pub(super) struct HandlerState {
    pub(super) id: u64,
    pub(super) asked: Asked,
    pub(super) shared: Arc<Shared>,
    pub(super) dead_letters: DeadLetterQueue,
    work: Mutex<Work>,
    pub(super) phase: watch::Sender<Phase>,
    /// While it drains: the position up to which it takes. Before, no position is beyond it.
    pub(super) until: AtomicU64,
    /// There is room again, or a queue has come to rest.
    pub(super) room: Notify,
    /// A first attempt has ended.
    pub(super) tried: Notify,
    /// A call that ran on past its time has ended.
    pub(super) unstuck: Notify,
    /// The worker of its own, and its part of the shared ones.
    own: Arc<Semaphore>,
    part: Arc<Semaphore>,
    /// Ephemeral events on their way.
    told: mpsc::Sender<Message>,
    /// How far its follower has looked.
    scanned: Arc<AtomicU64>,
    /// Reads on when the store was closed, like its follower; until it has gone.
    pub(super) reader: Mutex<Option<Reader>>,
    pub(super) metrics: Metrics,
    /// Why it ended, when that was not asked for.
    pub(super) ended: Mutex<Option<String>>,
}

/// What it begins with.
pub(super) struct Start {
    pub(super) scanned: Arc<AtomicU64>,
    /// It begins with what is recorded, which nobody is to wait for.
    pub(super) late: bool,
    pub(super) told: mpsc::Sender<Message>,
    pub(super) dead_letters: DeadLetterQueue,
    pub(super) reader: Reader,
}

impl HandlerState {
    pub(super) fn new(id: u64, asked: Asked, shared: Arc<Shared>, start: Start) -> Self {
        let branch_queues = BranchQueues::new(asked.retry.calls(), HANDLER_EVENTS, LANE_EVENTS);
        let progress = GateProgress::new(start.scanned.load(Ordering::Relaxed), start.late);
        Self {
            id,
            asked,
            dead_letters: start.dead_letters,
            work: Mutex::new(Work { branch_queues, progress, stuck: 0, full: false, live: !start.late }),
            phase: watch::Sender::new(Phase::Running),
            until: AtomicU64::new(u64::MAX),
            room: Notify::new(),
            tried: Notify::new(),
            unstuck: Notify::new(),
            own: Arc::new(Semaphore::new(1)),
            part: Arc::new(Semaphore::new(shared.part)),
            told: start.told,
            scanned: start.scanned,
            reader: Mutex::new(Some(start.reader)),
            metrics: Metrics::default(),
            ended: Mutex::new(None),
            shared,
        }
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Goes on to a later phase; never back.
    pub(super) fn go(&self, to: Phase) {
        self.phase.send_if_modified(|now| {
            let later = *now < to;
            *now = to.max(*now);
            later
        });
    }

    /// Lets go of everything that is not being tried; nobody has to wait for it any more.
    pub(super) fn leave(&self) -> Vec<Message> {
        let mut work = self.work();
        let left = work.branch_queues.leave();
        left.iter().filter_map(Message::position).for_each(|position| work.progress.tried(position));
        drop(work);
        self.tried.notify_waiters();
        left
    }

    /// Takes what is committed by now, ends it, and goes.
    pub(super) fn drain(&self) {
        self.until.store(self.shared.handle.committed().get(), Ordering::Relaxed);
        self.go(Phase::Draining);
    }

    pub(super) async fn reached(&self, phase: Phase) {
        let mut now = self.phase.subscribe();
        // The sender lives as long as this handler.
        let _ = now.wait_for(|now| *now >= phase).await;
    }

    /// Resolves when so few calls run on past their time that another may begin, or when none is to begin any more.
    pub(super) async fn unstuck(&self) {
        loop {
            let ended = self.unstuck.notified();
            tokio::pin!(ended);
            // Listened for before looking, so that nothing falls in between.
            ended.as_mut().enable();
            if self.work().stuck < MAX_STUCK || self.phase() >= Phase::Leaving {
                return;
            }
            tokio::select! {
                () = ended => {}
                () = self.reached(Phase::Leaving) => {}
            }
        }
    }

    /// Room to run. A handler always has one worker of its own; beyond it, it has a part of the shared ones, so that
    /// one that is slow cannot have them all.
    pub(super) async fn worker(&self) -> impl Drop + use<> {
        let shared = async {
            let part = self.part.clone().acquire_owned().await;
            (self.shared.workers.clone().acquire_owned().await, part)
        };
        tokio::select! {
            biased;
            own = self.own.clone().acquire_owned() => Worker { _held: (own.ok(), None) },
            (all, part) = shared => Worker { _held: (all.ok(), part.ok()) },
        }
    }

    /// An ephemeral event. What does not fit is counted.
    pub(super) fn tell(&self, message: Message) {
        if self.told.try_send(message).is_err() {
            self.dropped_ephemeral();
        }
    }

    pub(super) fn dropped_ephemeral(&self) {
        self.metrics.ephemeral_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until nobody has to wait for this handler with the event at this position.
    pub(super) async fn passed(&self, position: u64) {
        loop {
            let tried = self.tried.notified();
            tokio::pin!(tried);
            // Listened for before looking, so that nothing falls in between.
            tried.as_mut().enable();
            if self.work().progress.has_passed(position) {
                return;
            }
            tried.await;
        }
    }

    /// Tells who waits what became of an event here.
    pub(super) fn resolve(&self, message: &Message, answer: impl FnOnce() -> Answer) {
        if self.asked.awaited {
            self.shared.tickets.resolve(message.id(), self.id, answer());
        }
    }

    /// Events that were committed and that its follower has not looked at yet.
    pub(super) fn lag(&self) -> u64 {
        self.shared.handle.committed().get().saturating_sub(self.scanned.load(Ordering::Relaxed))
    }
}

/// Given back when it is dropped.
struct Worker {
    _held: (Option<tokio::sync::OwnedSemaphorePermit>, Option<tokio::sync::OwnedSemaphorePermit>),
}

impl Drop for Worker {
    fn drop(&mut self) {}
}
