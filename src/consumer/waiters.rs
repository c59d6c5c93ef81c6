//! Who is woken, each with a seat that costs no more when there are many of them.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::{Mutex, lock};

/// Wakers by their seats.
#[derive(Debug, Default)]
pub(super) struct Seats {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Seats {
    /// Takes a seat, or wakes another from now on.
    pub(super) fn sit(&mut self, seat: &mut Option<usize>, waker: &Waker) {
        let at = *seat.get_or_insert_with(|| self.free.pop().unwrap_or(self.wakers.len()));
        match self.wakers.get_mut(at) {
            Some(Some(old)) if old.will_wake(waker) => {}
            Some(old) => *old = Some(waker.clone()),
            None => self.wakers.push(Some(waker.clone())),
        }
    }

    pub(super) fn leave(&mut self, seat: &mut Option<usize>) {
        let Some(at) = seat.take() else { return };
        if let Some(waker) = self.wakers.get_mut(at) {
            *waker = None;
            self.free.push(at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.wakers.len()
    }

    /// All of them, for when the lock is released: what they wake may want it.
    pub(super) fn all(&self) -> Vec<Waker> {
        self.wakers.iter().flatten().cloned().collect()
    }
}

/// Those who go on with the work: few, however many wait for what it brings about. What wakes the work wakes them.
#[derive(Debug, Default)]
pub(super) struct Pollers(Mutex<Seats>);

impl Pollers {
    pub(super) fn sit(&self, seat: &mut Option<usize>, waker: &Waker) {
        lock(&self.0).sit(seat, waker);
    }

    pub(super) fn leave(&self, seat: &mut Option<usize>) {
        if seat.is_some() {
            lock(&self.0).leave(seat);
        }
    }

    /// All but one.
    pub(super) fn wake_others(&self, seat: Option<usize>) {
        let seats = lock(&self.0);
        let others = seats.wakers.iter().enumerate().filter(|(at, _)| Some(*at) != seat);
        let mut wakers = others.filter_map(|(_, waker)| waker.clone());
        let first = wakers.next();
        // As a rule there is one, and nothing is allocated.
        let more: Vec<Waker> = wakers.collect();
        drop(seats);
        first.into_iter().chain(more).for_each(Waker::wake);
    }
}

impl Wake for Pollers {
    fn wake(self: Arc<Self>) {
        self.wake_others(None);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_others(None);
    }
}
