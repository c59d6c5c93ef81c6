//! The state of one subscribed handler: its settings, its machine, its progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::answer::Answer;
use super::gate::GateProgress;
use super::handler::Handler;
use super::message::Message;
use super::metrics::Metrics;
use super::phase::Phase;
use super::route::Route;
use super::shared::Shared;
use crate::delivery::{Clock, DeadLetterQueue, DeliverySettings, Machine, NEVER, Rules};
use crate::limits::MAX_STUCK;
use crate::store::Reader;
use crate::sync::{Mutex, MutexGuard, fault, lock};

/// The settings of a handler.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: Arc<str>,
    pub(super) route: Route,
    pub(super) handler: Handler,
    pub(super) priority: i32,
    pub(super) delivery: DeliverySettings,
    pub(super) once: bool,
    pub(super) awaited: bool,
}

/// Its pending events.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) machine: Machine<Message>,
    pub(super) progress: GateProgress,
    /// Timed-out calls that keep running.
    pub(super) stuck: usize,
    /// It takes nothing at the moment.
    pub(super) full: bool,
    /// It has caught up with live events.
    pub(super) live: bool,
}

impl Work {
    pub(super) fn has_room(&self) -> bool {
        self.machine.has_room() && self.stuck < MAX_STUCK
    }
}

#[derive(Debug)]
pub(super) struct HandlerState {
    pub(super) id: u64,
    pub(super) asked: Asked,
    pub(super) shared: Arc<Shared>,
    pub(super) dead_letters: DeadLetterQueue,
    work: Mutex<Work>,
    pub(super) clock: Clock,
    pub(super) phase: watch::Sender<Phase>,
    /// While it drains: the position up to which it takes. Before, no position is beyond it.
    pub(super) until: AtomicU64,
    /// Signals that there is room again, or that a branch has become idle.
    pub(super) room: Notify,
    /// Signals that a first attempt has ended.
    pub(super) tried: Notify,
    /// Signals that a timed-out call has ended.
    pub(super) unstuck: Notify,
    /// Its own worker, and its share of the shared ones.
    own: Arc<Semaphore>,
    part: Arc<Semaphore>,
    /// Ephemeral events on their way.
    told: mpsc::Sender<Message>,
    /// How far its follower has scanned.
    scanned: Arc<AtomicU64>,
    /// Can still read after the store is closed, like its follower, until it has gone.
    pub(super) reader: Mutex<Option<Reader>>,
    pub(super) metrics: Metrics,
    /// Why it ended, if that was not requested.
    pub(super) ended: Mutex<Option<String>>,
}

/// Its initial state.
pub(super) struct Start {
    pub(super) scanned: Arc<AtomicU64>,
    /// It starts with recorded events, for which no other handler waits.
    pub(super) late: bool,
    pub(super) told: mpsc::Sender<Message>,
    pub(super) dead_letters: DeadLetterQueue,
    pub(super) reader: Reader,
}

impl HandlerState {
    pub(super) fn new(id: u64, asked: Asked, shared: Arc<Shared>, start: Start) -> Self {
        // A call is stopped at its deadline by whoever makes it, and workers bound how many there are.
        let rules = Rules { deadline: NEVER, ..asked.delivery.rules(usize::MAX, usize::MAX) };
        let machine = Machine::new(rules, 0);
        let progress = GateProgress::new(start.scanned.load(Ordering::Relaxed), start.late);
        Self {
            id,
            asked,
            dead_letters: start.dead_letters,
            work: Mutex::new(Work { machine, progress, stuck: 0, full: false, live: !start.late }),
            clock: Clock::new(),
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

    /// A delivery has come to its end: its branch goes on.
    pub(super) fn resolved(&self, delivery: u64) {
        // It fails for one that was dropped meanwhile.
        let _ = self.work().machine.resolved(delivery);
        self.room.notify_one();
    }

    /// Advances to a later phase; never back.
    pub(super) fn go(&self, to: Phase) {
        self.phase.send_if_modified(|now| {
            let later = *now < to;
            *now = to.max(*now);
            later
        });
    }

    /// Drops everything that is not being tried; nothing has to wait for it any more.
    pub(super) fn leave(&self) -> Vec<Message> {
        let mut work = self.work();
        let left = work.machine.leave();
        left.iter().filter_map(Message::position).for_each(|position| work.progress.tried(position));
        drop(work);
        self.tried.notify_waiters();
        left
    }

    /// Takes what is committed by now, finishes it, and leaves.
    pub(super) fn drain(&self) {
        self.until.store(self.shared.handle.committed().get(), Ordering::Relaxed);
        self.go(Phase::Draining);
    }

    pub(super) async fn reached(&self, phase: Phase) {
        let mut now = self.phase.subscribe();
        // The sender lives as long as this handler.
        let _ = now.wait_for(|now| *now >= phase).await;
    }

    /// Resolves when few enough timed-out calls are running for another to start, or when none may start any more.
    pub(super) async fn unstuck(&self) {
        loop {
            let ended = self.unstuck.notified();
            tokio::pin!(ended);
            // Subscribed before checking, so that nothing is missed in between.
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

    /// A worker to run a call. A handler always has one of its own, and a limited share of the others, so that a slow
    /// one cannot occupy them all.
    pub(super) async fn worker(&self) -> impl Drop + use<> {
        let shared = async {
            let part = self.part.clone().acquire_owned().await;
            (self.shared.workers.clone().acquire_owned().await, part)
        };
        tokio::select! {
            biased;
            own = self.own.clone().acquire_owned(), if !fault!(WaitsAsWorker) => Worker { _held: (own.ok(), None) },
            (all, part) = shared => Worker { _held: (all.ok(), part.ok()) },
        }
    }

    /// Queues an ephemeral event. One that does not fit is counted.
    pub(super) fn tell(&self, message: Message) {
        if self.told.try_send(message).is_err() {
            self.dropped_ephemeral();
        }
    }

    pub(super) fn dropped_ephemeral(&self) {
        self.metrics.ephemeral_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the event at this position no longer has to wait for this handler.
    pub(super) async fn passed(&self, position: u64) {
        loop {
            fault!(LooksThenListens, {
                if self.work().progress.has_passed(position) {
                    return;
                }
                crate::sync::point();
                self.tried.notified().await;
                continue;
            });
            let tried = self.tried.notified();
            tokio::pin!(tried);
            // Subscribed before checking, so that nothing is missed in between.
            tried.as_mut().enable();
            if self.work().progress.has_passed(position) {
                return;
            }
            tried.await;
        }
    }

    /// Reports the result of an event to waiting publishers.
    pub(super) fn resolve(&self, message: &Message, answer: impl FnOnce() -> Answer) {
        if self.asked.awaited || self.shared.tickets.are_for_all() {
            self.shared.tickets.resolve(message.id(), self.id, answer());
        }
    }

    /// Committed events that its follower has not scanned yet.
    pub(super) fn lag(&self) -> u64 {
        self.shared.handle.committed().get().saturating_sub(self.scanned())
    }

    /// How far its follower has come.
    pub(super) fn scanned(&self) -> u64 {
        self.scanned.load(Ordering::Relaxed)
    }
}

/// Released when it is dropped.
struct Worker {
    _held: (Option<tokio::sync::OwnedSemaphorePermit>, Option<tokio::sync::OwnedSemaphorePermit>),
}

impl Drop for Worker {
    fn drop(&mut self) {}
}
