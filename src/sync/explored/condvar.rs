//! A condition variable, whose timeouts are the explorer's while it explores.

use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle_engine::runtime::task::TaskId;

use super::clock::{self, Alarm};
use super::instant::Instant;
use super::lock::MutexGuard;
use super::switch::{block, is_exploring, me, point, unblock};

#[derive(Debug, Default)]
pub(crate) struct Condvar {
    inner: std::sync::Condvar,
    waiting: std::sync::Mutex<Vec<TaskId>>,
}

/// Nobody asks what a wait with a timeout ended with: they look at what they wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitTimeoutResult;

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self { inner: std::sync::Condvar::new(), waiting: std::sync::Mutex::new(Vec::new()) }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<TaskId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is notified, or `over`.
    fn explored<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        over: impl Fn() -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        let me = me();
        self.waiting().push(me);
        let mutex = guard.unlocked();
        while self.waiting().contains(&me) && !over() {
            block();
        }
        self.waiting().retain(|task| *task != me);
        mutex.lock()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        if is_exploring() {
            point();
            return self.explored(guard, || false);
        }
        let (inner, mutex) = guard.taken_apart();
        match self.inner.wait(inner) {
            Ok(inner) => Ok(MutexGuard::put_together(inner, mutex)),
            Err(e) => Err(PoisonError::new(MutexGuard::put_together(e.into_inner(), mutex))),
        }
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        if is_exploring() {
            point();
            let until = clock::now().saturating_add(time);
            let _alarm = clock::alarm(until, Alarm::Unblock(me()));
            let waited = self.explored(guard, || clock::now() >= until);
            return match waited {
                Ok(guard) => Ok((guard, WaitTimeoutResult)),
                Err(e) => Err(PoisonError::new((e.into_inner(), WaitTimeoutResult))),
            };
        }
        let (inner, mutex) = guard.taken_apart();
        let whole = |inner| MutexGuard::put_together(inner, mutex);
        match self.inner.wait_timeout(inner, time) {
            Ok((inner, _)) => Ok((whole(inner), WaitTimeoutResult)),
            Err(e) => Err(PoisonError::new((whole(e.into_inner().0), WaitTimeoutResult))),
        }
    }

    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
        mut waits: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let until = Instant::now().checked_add(time);
        while waits(&mut guard) {
            let left = until.map_or(time, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok((guard, WaitTimeoutResult));
            }
            guard = self.wait_timeout(guard, left)?.0;
        }
        Ok((guard, WaitTimeoutResult))
    }

    pub(crate) fn notify_one(&self) {
        if is_exploring() {
            point();
            let mut waiting = self.waiting();
            if !waiting.is_empty() {
                let one = thread_rng().gen_range(0..waiting.len());
                unblock(waiting.swap_remove(one));
            }
        }
        self.inner.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        if is_exploring() {
            point();
            let all = std::mem::take(&mut *self.waiting());
            all.into_iter().for_each(unblock);
        }
        self.inner.notify_all();
    }
}
