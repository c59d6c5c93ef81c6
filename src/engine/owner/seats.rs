//! Where the calls of a store go: to the engine that it has now, or, while there is none, into waiting for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::engine::port::Engine;
use crate::error::{Error, Result};
use crate::event::Position;
use crate::sync::{Condvar, Mutex, RwLock, lock, read, write};

/// An engine that calls go to, and the how manieth it is.
#[derive(Clone, Debug)]
pub(crate) struct Seated {
    pub(crate) epoch: u64,
    pub(crate) engine: Arc<dyn Engine>,
    /// It is in another process: a call that is lost with it has to be made again.
    pub(crate) remote: bool,
}

#[derive(Debug)]
pub(crate) enum Seat {
    Taken(Seated),
    /// One engine has gone and the next is looked for.
    Moving,
    /// None was found for so long that calls fail; it is still looked for.
    Away(Error),
    Closed,
}

#[derive(Debug)]
pub(crate) struct Seats {
    seat: RwLock<Seat>,
    /// Calls of commits that are in the engine.
    inside: AtomicUsize,
    /// Reads that were begun, in all.
    reads: AtomicU64,
    /// The epoch of the engine that was left last, and the last position that it committed.
    left: Mutex<(u64, u64)>,
    turn: Mutex<()>,
    turned: Condvar,
    told: Notify,
    /// Calls that wait for an engine.
    waiting: AtomicUsize,
    /// How often whoever looks for one was called.
    calls: (Mutex<u64>, Condvar),
}

impl Default for Seats {
    fn default() -> Self {
        Self {
            seat: RwLock::new(Seat::Moving),
            inside: AtomicUsize::new(0),
            reads: AtomicU64::new(0),
            left: Mutex::default(),
            turn: Mutex::default(),
            turned: Condvar::new(),
            told: Notify::new(),
            waiting: AtomicUsize::new(0),
            calls: Default::default(),
        }
    }
}

/// A call in an engine: as long as it lives, the engine is not closed to hand over the store.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) seated: Seated,
    seats: &'a Seats,
}

impl Inside<'_> {
    /// The seat is no longer its engine's.
    pub(crate) fn is_over(&self) -> bool {
        self.seats.now().is_none_or(|now| now.epoch != self.seated.epoch)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let is_left = !matches!(*read(&self.seats.seat), Seat::Taken(_));
        if is_left && lock(&self.seats.left).0 == self.seated.epoch {
            // What this call has committed is known to whoever asks before there is another engine.
            self.seats.note(&self.seated);
        }
        if self.seats.inside.fetch_sub(1, Ordering::AcqRel) == 1
            && !matches!(*read(&self.seats.seat), Seat::Taken(_))
        {
            self.seats.tell();
        }
    }
}

/// A call that waits, for as long as it lives.
#[derive(Debug)]
struct Waiting<'a>(&'a Seats);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seats {
    /// The engine, if there is one at the moment.
    pub(crate) fn now(&self) -> Option<Seated> {
        match &*read(&self.seat) {
            Seat::Taken(seated) => Some(seated.clone()),
            Seat::Moving | Seat::Away(_) | Seat::Closed => None,
        }
    }

    /// The last position that is known to be committed: the engine that there is says it, as another file than before may have
    /// been put in its place.
    pub(crate) fn committed(&self) -> Position {
        match self.now() {
            Some(seated) => seated.engine.committed(),
            None => Position::new(lock(&self.left).1),
        }
    }

    /// Keeps what an engine has committed for as long as there is none.
    fn note(&self, seated: &Seated) {
        let committed = seated.engine.committed().get();
        let mut left = lock(&self.left);
        *left = match left.0 == seated.epoch {
            true => (seated.epoch, left.1.max(committed)),
            false => (seated.epoch, committed),
        };
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*read(&self.seat), Seat::Closed)
    }

    /// The engine, and another one than that of the epoch `past`; `None` while there is none.
    pub(crate) fn enter(&self, past: Option<u64>) -> Result<Option<Inside<'_>>> {
        match &*read(&self.seat) {
            Seat::Taken(seated) if past == Some(seated.epoch) => Ok(None),
            Seat::Taken(seated) => {
                self.inside.fetch_add(1, Ordering::AcqRel);
                Ok(Some(Inside { seated: seated.clone(), seats: self }))
            }
            Seat::Moving => Ok(None),
            Seat::Away(error) => Err(error.clone()),
            Seat::Closed => Err(Error::Closed { after: None }),
        }
    }

    /// An engine, and another one than that of the epoch `past`. Blocks until there is one.
    pub(crate) fn wait(&self, past: Option<u64>) -> Result<Inside<'_>> {
        loop {
            if let Some(inside) = self.enter(past)? {
                return Ok(inside);
            }
            let _waiting = self.waits();
            let turn = lock(&self.turn);
            // Whoever changes the seat takes this lock before telling of it.
            if let Some(inside) = self.enter(past)? {
                return Ok(inside);
            }
            drop(self.turned.wait(turn));
        }
    }

    /// [`wait`](Self::wait) for tasks.
    pub(crate) async fn wait_async(&self, past: Option<u64>) -> Result<Inside<'_>> {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            told.as_mut().enable();
            if let Some(inside) = self.enter(past)? {
                return Ok(inside);
            }
            let _waiting = self.waits();
            told.await;
        }
    }

    /// A read begins.
    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inside.load(Ordering::Acquire) == 0
    }

    fn waits(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.call();
        Waiting(self)
    }

    /// Calls whoever looks for an engine: there is something to do.
    pub(crate) fn call(&self) {
        *lock(&self.calls.0) += 1;
        self.calls.1.notify_all();
    }

    /// Waits until an engine is wanted, or there is something else to do, for so long at the most. Whether one is wanted.
    pub(crate) fn wanted_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut calls = lock(&self.calls.0);
        let before = *calls;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wanted = self.waiting.load(Ordering::Acquire) > 0;
            if wanted || left.is_zero() || *calls != before {
                return wanted;
            }
            calls = match self.calls.1.wait_timeout(calls, left) {
                Ok((calls, _)) => calls,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    pub(crate) fn set(&self, seat: Seat) {
        self.note_now();
        *write(&self.seat) = seat;
        self.tell();
    }

    /// Keeps what is committed before an engine is left. What calls that are inside commit later, they note themselves.
    fn note_now(&self) {
        if let Some(seated) = self.now() {
            self.note(&seated);
        }
    }

    /// No more calls for the engine of this epoch; `false` if it is gone already.
    pub(crate) fn leave(&self, epoch: u64) -> bool {
        self.note_now();
        let mut seat = write(&self.seat);
        let is_it = matches!(&*seat, Seat::Taken(seated) if seated.epoch == epoch);
        if is_it {
            *seat = Seat::Moving;
        }
        drop(seat);
        self.tell();
        is_it
    }

    fn tell(&self) {
        drop(lock(&self.turn));
        self.turned.notify_all();
        self.told.notify_waiters();
    }

    /// Waits until no call is in the engine any more, once the seat is not taken; at most so long.
    pub(crate) fn emptied(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut turn = lock(&self.turn);
        while self.inside.load(Ordering::Acquire) > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            turn = match self.turned.wait_timeout(turn, left) {
                Ok((turn, _)) => turn,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::open;

    fn taken(epoch: u64) -> Seat {
        Seat::Taken(Seated { epoch, engine: open(false), remote: false })
    }

    #[test]
    fn calls_wait_for_the_next_engine_and_are_told_when_there_is_none() {
        let seats = Seats::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| seats.wait(Some(1)).map(|inside| inside.seated.epoch));
            seats.set(taken(1));
            seats.set(Seat::Moving);
            seats.set(taken(2));
            assert_eq!(waits.join().unwrap().unwrap(), 2);
        });
        seats.set(Seat::Away(Error::storage("gone")));
        assert_eq!(seats.wait(None).unwrap_err(), Error::storage("gone"));
        seats.set(Seat::Closed);
        assert_eq!(seats.wait(None).unwrap_err(), Error::Closed { after: None });
    }

    #[test]
    fn an_engine_is_left_when_the_calls_in_it_have_ended() {
        let seats = Seats::default();
        seats.set(taken(1));
        let inside = seats.wait(None).unwrap();
        assert!(!seats.leave(2) && seats.leave(1) && !seats.leave(1));
        assert!(!seats.emptied(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let emptied = scope.spawn(|| seats.emptied(Duration::from_secs(600)));
            drop(inside);
            assert!(emptied.join().unwrap());
        });
    }

    #[tokio::test]
    async fn a_task_waits_for_the_next_engine() {
        let seats = Arc::new(Seats::default());
        let waits = tokio::spawn({
            let seats = seats.clone();
            async move { seats.wait_async(None).await.map(|inside| inside.seated.epoch) }
        });
        tokio::task::yield_now().await;
        seats.set(taken(3));
        assert_eq!(waits.await.unwrap().unwrap(), 3);
    }
}
