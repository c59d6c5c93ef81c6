//! The thread behind the writer: follows the global order once for all projections, and writes snapshots with
//! checkpoints, in one transaction, now and then.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::apply::Fold;
use super::bell::{Bell, Order, Reply};
use super::read::up_to_damage;
use super::seat::Seat;
use super::status::Status;
use crate::error::{Error, Result};
use crate::event::{Place, Position};
use crate::limits::{
    PROJECT_FLUSH_BYTES, PROJECT_FLUSH_ROWS, PROJECT_IDLE_MS, PROJECT_PAGE, PROJECT_PAUSE_MS, PROJECT_REST,
    PROJECT_REST_MS,
};
use crate::store::{Branch, Committed, Observer, Positions, Reader, SidecarWrites, Store, StoreHandle, lock};

/// What is registered, by name.
pub(super) type Known = HashMap<String, (Arc<Fold>, Arc<Status>)>;

/// What a store holds of its runner.
pub(super) struct Runner {
    pub(super) bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
    pub(super) known: Mutex<Known>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runner")
    }
}

impl Runner {
    /// The runner of this store, if there is one.
    pub(super) fn running(store: &Store) -> Option<Arc<Self>> {
        store.handle().find_observer()
    }

    /// The runner of this store, there from the first projection on.
    pub(super) fn of(store: &Store) -> Result<Arc<Self>> {
        let desk = store.handle();
        let mut started = Ok(());
        let runner = desk.observer(|| {
            let bell = Arc::<Bell>::default();
            let engine = Engine::new(desk.clone(), bell.clone());
            let spawned =
                std::thread::Builder::new().name("retold-project".into()).spawn(move || engine.run());
            let thread = match spawned {
                Ok(thread) => Some(thread),
                Err(e) => {
                    bell.end();
                    started =
                        Err(Error::storage(format!("the thread of the projections cannot be started: {e}")));
                    None
                }
            };
            Self { bell, thread: Mutex::new(thread), known: Mutex::default() }
        })?;
        started?;
        Ok(runner)
    }
}

impl Observer for Runner {
    fn committed(&self, _: &Committed<'_>) {
        self.bell.ring();
    }

    fn closing(&self) {
        self.bell.stop();
        let thread = lock(&self.thread).take();
        // A projection may hold the last handle of the store.
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Ends the bell however the thread ends.
struct Ending(Arc<Bell>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Engine {
    desk: StoreHandle,
    bell: Arc<Bell>,
    seats: Vec<Seat>,
    /// Who waits until everything up to a position is folded and written.
    waiting: Vec<(u64, Reply<()>)>,
    flushed: Instant,
    active: Instant,
    /// What was committed when it looked last.
    seen: u64,
}

impl Engine {
    fn new(desk: StoreHandle, bell: Arc<Bell>) -> Self {
        Self {
            desk,
            bell,
            seats: Vec::new(),
            waiting: Vec::new(),
            seen: 0,
            flushed: Instant::now(),
            active: Instant::now(),
        }
    }

    fn run(mut self) {
        let _ending = Ending(self.bell.clone());
        loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // Reads do not depend on this thread: they go on to be exact.
                    tracing::error!(%error, "the projections stop");
                    self.seats.iter().for_each(|seat| seat.status.fail(error.to_string()));
                    self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
                    break;
                }
            }
        }
        self.seats.drain(..).for_each(Seat::stop);
    }

    /// Some work, or a wait for it. `false` when the store closes.
    fn turn(&mut self) -> Result<bool> {
        while let Some(order) = self.bell.order() {
            self.obey(order)?;
        }
        if self.bell.is_stopped() {
            // One last page, so that a store that was closed at rest has the states of its heads.
            self.step()?;
            self.flush(true)?;
            return Ok(false);
        }
        let begun = Instant::now();
        let moved = self.step()?;
        let rest = (begun.elapsed() * PROJECT_REST).min(Duration::from_millis(PROJECT_REST_MS));
        let seen = std::mem::replace(&mut self.seen, self.desk.committed().get());
        let busy = self.seen > seen && self.waiting.is_empty();
        if moved {
            self.active = Instant::now();
        }
        let behind = self.is_behind();
        self.answer_waiting(behind)?;
        if behind && moved {
            if self.flushed.elapsed() >= self.desk.project_flush() {
                self.flush(false)?;
            }
            if busy {
                // Events gather meanwhile: a thread that runs for each of them would slow down who appends.
                self.bell.pause(rest.max(Duration::from_millis(PROJECT_PAUSE_MS)));
            }
            return Ok(true);
        }
        let dirty = self.seats.iter().any(Seat::is_dirty);
        if !dirty && !moved {
            let (desk, position) = (&self.desk, self.followed());
            self.bell.sleep(|| position.is_some_and(|p| desk.committed().get() > p));
            return Ok(true);
        }
        if dirty && self.active.elapsed() >= Duration::from_millis(PROJECT_IDLE_MS) {
            self.flush(true)?;
        } else if dirty && self.flushed.elapsed() >= self.desk.project_flush() {
            self.flush(false)?;
        }
        self.bell.pause(rest.max(Duration::from_millis(PROJECT_PAUSE_MS)));
        Ok(true)
    }

    /// The lowest position that a following projection has.
    fn followed(&self) -> Option<u64> {
        self.seats.iter().filter_map(Seat::position).min()
    }

    fn is_behind(&self) -> bool {
        self.followed().is_some_and(|p| p < self.desk.committed().get())
    }

    /// One page for each position at which projections stand: those that lag do not hold up the others.
    fn step(&mut self) -> Result<bool> {
        let to = self.desk.committed().get();
        let mut positions: Vec<u64> =
            self.seats.iter().filter_map(Seat::position).filter(|p| *p < to).collect();
        positions.sort_unstable();
        positions.dedup();
        for position in &positions {
            let reader = self.desk.reader()?;
            let from = position + 1;
            let read = up_to_damage(&mut PROJECT_PAGE.clone(), |limit| {
                reader.page_all(Positions { from, to, limit, reverse: false })
            });
            let page = match read {
                Err(error) if error.is_damage() => {
                    self.go_past(&reader, from, &error);
                    continue;
                }
                read => read?,
            };
            let mut branch: Option<(Arc<Place>, Arc<Branch>)> = None;
            for event in &page {
                for seat in &mut self.seats {
                    let Some(lane) = seat.lane.as_mut().filter(|_| !seat.halted) else { continue };
                    if lane.built.position + 1 != event.position().get() {
                        continue;
                    }
                    let find = || match &branch {
                        Some((place, found)) if Arc::ptr_eq(place, event.place()) => Ok(found.clone()),
                        _ => {
                            let found = reader.branch(event.place())?;
                            branch = Some((event.place().clone(), found.clone()));
                            Ok(found)
                        }
                    };
                    match lane.follow(&reader, find, event) {
                        Err(error) if error.is_damage() => {
                            seat.halt(&error);
                            continue;
                        }
                        followed => followed?,
                    }
                    let (rows, bytes) = lane.waiting();
                    if lane.is_full() || rows >= PROJECT_FLUSH_ROWS || bytes >= PROJECT_FLUSH_BYTES {
                        let full = lane.is_full();
                        let marks = seat.take(&self.desk, full)?;
                        self.desk.mark(marks.relaxed())?;
                        if let Some(lane) = seat.lane.as_mut().filter(|_| full) {
                            lane.cool();
                        }
                    }
                }
            }
            self.seats.iter_mut().try_for_each(|seat| seat.show(&self.desk))?;
        }
        Ok(!positions.is_empty())
    }

    /// Those who stand before an event that cannot be read leave out whom it belongs to, or stop.
    fn go_past(&mut self, reader: &Reader, position: u64, error: &Error) {
        let whose = reader.whose(Position::new(position)).ok();
        for seat in self.seats.iter_mut().filter(|seat| seat.position() == Some(position - 1)) {
            let passed = match (&whose, &mut seat.lane) {
                (Some((branch, sequence)), Some(lane)) => lane.go_past(branch, *sequence, position, error),
                _ => false,
            };
            if !passed {
                seat.halt(error);
            }
        }
    }

    /// Writes what was folded, with how far that is.
    fn flush(&mut self, heads: bool) -> Result<()> {
        let mut marks = SidecarWrites::new();
        for seat in &mut self.seats {
            marks.extend(seat.take(&self.desk, heads)?);
        }
        self.flushed = Instant::now();
        self.desk.mark(marks.relaxed())
    }

    fn answer_waiting(&mut self, behind: bool) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let building = self.seats.iter().any(Seat::is_building);
        let at = self.followed().unwrap_or(u64::MAX);
        if building || (behind && self.waiting.iter().all(|(to, _)| *to > at)) {
            return Ok(());
        }
        self.flush(true)?;
        let (answered, waiting) = self.waiting.drain(..).partition(|(to, _)| *to <= at);
        self.waiting = waiting;
        let answered: Vec<(u64, Reply<()>)> = answered;
        answered.into_iter().for_each(|(_, reply)| drop(reply.send(Ok(()))));
        Ok(())
    }

    fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Add(fold, status, reply) => {
                let seat = Seat::new(&self.desk, &self.bell, fold, status);
                let told = seat.map(|seat| self.seats.push(seat));
                let _ = reply.send(told);
            }
            Order::Rebuild(name, reply) => {
                let (desk, bell) = (self.desk.clone(), self.bell.clone());
                let _ = reply.send(self.seat(&name).and_then(|seat| seat.rebuild(&desk, &bell)));
            }
            Order::Retry(name, of, reply) => {
                let desk = self.desk.clone();
                let told = self.seat(&name).and_then(|seat| seat.retry(&desk, of.as_deref()));
                self.flush(true)?;
                let _ = reply.send(told);
            }
            Order::CatchUp(reply) => self.waiting.push((self.desk.committed().get(), reply)),
            Order::Ended(name) => {
                let desk = self.desk.clone();
                let seat = self.seat(&name)?;
                match seat.ended(&desk) {
                    Err(error) if error.is_damage() => seat.halt(&error),
                    ended => ended?,
                }
            }
        }
        Ok(())
    }

    fn seat(&mut self, name: &str) -> Result<&mut Seat> {
        let seat = self.seats.iter_mut().find(|seat| seat.fold.name == name);
        seat.ok_or_else(|| Error::not_found("projection", name))
    }
}
