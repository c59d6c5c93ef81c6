//! Signals to the runner: requests, and a wake-up that the writer sends only if the runner sleeps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::apply::Fold;
use super::status::Status;
use super::task::{Task, closed};
use crate::error::Result;
use crate::sync::mpsc::{self, SyncSender};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard};

pub(super) type Reply<T> = SyncSender<Result<T>>;

/// What the runner is asked to do.
pub(super) enum Command {
    Add(Arc<Fold>, Arc<Status>, Reply<()>),
    Rebuild(String, Reply<Arc<Task>>),
    /// Of all that is parked, or of one.
    Retry(String, Option<String>, Reply<Retried>),
    CatchUp(Reply<()>),
    /// A rebuild has ended.
    Ended(String),
}

/// What became of the keys that were parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retried {
    /// How many go on.
    pub mended: usize,
    /// How many are parked again.
    pub parked: usize,
}

#[derive(Default)]
struct Orders {
    queue: VecDeque<Command>,
    stop: bool,
    /// Nobody takes orders any more.
    ended: bool,
    /// Records were changed by others.
    changed: bool,
}

#[derive(Default)]
pub(super) struct RunnerSignal {
    orders: Mutex<Orders>,
    rung: Condvar,
    asleep: AtomicBool,
    /// The runner waits for what others do.
    watching: AtomicBool,
}

impl RunnerSignal {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the runner and waits for its answer.
    pub(super) fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.give(order(reply))?;
        answer.recv().unwrap_or_else(|_| Err(closed()))
    }

    pub(super) fn give(&self, order: Command) -> Result<()> {
        let mut orders = self.lock();
        if orders.ended || orders.stop {
            return Err(closed());
        }
        orders.queue.push_back(order);
        self.rung.notify_all();
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.rung.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    /// Accepts no more requests; pending ones are answered with the store being closed.
    pub(super) fn end(&self) {
        let mut orders = self.lock();
        orders.ended = true;
        orders.queue.clear();
    }

    pub(super) fn order(&self) -> Option<Command> {
        self.lock().queue.pop_front()
    }

    /// Something was committed. One read of a flag, unless the runner sleeps.
    pub(super) fn ring(&self) {
        if self.asleep.swap(false, Ordering::AcqRel) {
            drop(self.lock());
            self.rung.notify_all();
        }
    }

    /// Records were changed by others. One read of a flag, unless the runner waits for that.
    pub(super) fn changed(&self) {
        if self.watching.load(Ordering::SeqCst) {
            self.lock().changed = true;
            self.rung.notify_all();
        }
    }

    /// Whether the runner is to be told of records that others change: of all that come after this.
    pub(super) fn watch(&self, watching: bool) {
        self.watching.store(watching, Ordering::SeqCst);
    }

    /// Whether records were changed by others since this was asked last.
    pub(super) fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().changed)
    }

    /// Waits for an order, for so long at the most.
    pub(super) fn pause(&self, time: Duration) {
        let orders = self.lock();
        if orders.queue.is_empty() && !orders.stop {
            drop(self.rung.wait_timeout(orders, time));
        }
    }

    /// Waits for an order, a change by others, or a commit, for so long at the most. `news` is checked once more after the
    /// wake-up is armed; without it commits wake nobody.
    pub(super) fn sleep(&self, news: Option<impl FnOnce() -> bool>, most: Option<Duration>) {
        let arms = news.is_some();
        self.asleep.store(arms, Ordering::Release);
        // The store's lock lies between: what is committed from here on rings.
        if news.is_some_and(|news| news()) {
            self.asleep.store(false, Ordering::Release);
            return;
        }
        let until = most.map(|most| Instant::now() + most);
        let mut orders = self.lock();
        let is_rung = || arms && !self.asleep.load(Ordering::Acquire);
        while !is_rung() && orders.queue.is_empty() && !orders.stop && !orders.changed {
            orders = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.rung.wait(orders).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.rung.wait_timeout(orders, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        self.asleep.store(false, Ordering::Release);
    }
}
