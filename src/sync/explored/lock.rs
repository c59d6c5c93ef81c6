//! Locks. While exploring, one that is held is waited for as the explorer's tasks wait.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use super::switch::{Again, Waiting, is_exploring, point};

/// `Some` when the lock was free.
fn tried<G>(result: TryLockResult<G>) -> Option<LockResult<G>> {
    match result {
        Ok(guard) => Some(Ok(guard)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn mapped<G, H>(result: LockResult<G>, map: impl FnOnce(G) -> H) -> LockResult<H> {
    match result {
        Ok(guard) => Ok(map(guard)),
        Err(poisoned) => Err(PoisonError::new(map(poisoned.into_inner()))),
    }
}

#[derive(Default)]
pub(crate) struct Mutex<T: ?Sized> {
    waiting: Waiting,
    inner: std::sync::Mutex<T>,
}

pub(crate) struct MutexGuard<'a, T: ?Sized> {
    inner: std::sync::MutexGuard<'a, T>,
    /// After the lock is free.
    again: Again<'a>,
    mutex: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { waiting: Waiting::new(), inner: std::sync::Mutex::new(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let locked = if is_exploring() {
            point();
            self.waiting.until(|| tried(self.inner.try_lock()))
        } else {
            self.inner.lock()
        };
        mapped(locked, |inner| MutexGuard { inner, again: Again(&self.waiting), mutex: self })
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        point();
        let locked = tried(self.inner.try_lock()).ok_or(TryLockError::WouldBlock)?;
        Ok(mapped(locked, |inner| MutexGuard { inner, again: Again(&self.waiting), mutex: self })?)
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.inner.get_mut()
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// For a condition variable: the lock of std, and what it has to be locked again with.
    pub(super) fn taken_apart(self) -> (std::sync::MutexGuard<'a, T>, &'a Mutex<T>) {
        (self.inner, self.mutex)
    }

    pub(super) fn put_together(inner: std::sync::MutexGuard<'a, T>, mutex: &'a Mutex<T>) -> Self {
        Self { inner, again: Again(&mutex.waiting), mutex }
    }

    pub(super) fn unlocked(self) -> &'a Mutex<T> {
        let Self { inner, again, mutex } = self;
        drop(inner);
        drop(again);
        mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[derive(Default)]
pub(crate) struct RwLock<T: ?Sized> {
    waiting: Waiting,
    inner: std::sync::RwLock<T>,
}

pub(crate) struct RwLockReadGuard<'a, T: ?Sized> {
    inner: std::sync::RwLockReadGuard<'a, T>,
    _again: Again<'a>,
}

pub(crate) struct RwLockWriteGuard<'a, T: ?Sized> {
    inner: std::sync::RwLockWriteGuard<'a, T>,
    _again: Again<'a>,
}

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { waiting: Waiting::new(), inner: std::sync::RwLock::new(value) }
    }
}

impl<T: ?Sized> RwLock<T> {
    pub(crate) fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let locked = if is_exploring() {
            point();
            self.waiting.until(|| tried(self.inner.try_read()))
        } else {
            self.inner.read()
        };
        mapped(locked, |inner| RwLockReadGuard { inner, _again: Again(&self.waiting) })
    }

    pub(crate) fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let locked = if is_exploring() {
            point();
            self.waiting.until(|| tried(self.inner.try_write()))
        } else {
            self.inner.write()
        };
        mapped(locked, |inner| RwLockWriteGuard { inner, _again: Again(&self.waiting) })
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
