//! The background thread: follows the global order once for all projections, and periodically writes snapshots with
//! checkpoints in one transaction.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::apply::Fold;
use super::projection_state::ProjectionState;
use super::read::up_to_damage;
use super::signal::{Command, Reply, RunnerSignal};
use super::status::Status;
use crate::error::{Error, Result};
use crate::event::{Place, Position};
use crate::limits::{
    PROJECT_FLUSH_BYTES, PROJECT_FLUSH_ROWS, PROJECT_IDLE_MS, PROJECT_PAGE, PROJECT_PAUSE_MS, PROJECT_REST,
    PROJECT_REST_MS,
};
use crate::store::{Branch, Committed, Observer, Range, Reader, SidecarWrites, Store, StoreHandle, lock};

/// What is registered, by name.
pub(super) type Known = HashMap<String, (Arc<Fold>, Arc<Status>)>;

/// What a store holds of its runner.
pub(super) struct Runner {
    pub(super) signal: Arc<RunnerSignal>,
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
        let handle = store.handle();
        let mut started = Ok(());
        let runner = handle.observer(|| {
            let signal = Arc::<RunnerSignal>::default();
            let runner = RunnerLoop::new(handle.clone(), signal.clone());
            let spawned =
                std::thread::Builder::new().name("retold-project".into()).spawn(move || runner.run());
            let thread = match spawned {
                Ok(thread) => Some(thread),
                Err(e) => {
                    signal.end();
                    started =
                        Err(Error::storage(format!("the thread of the projections cannot be started: {e}")));
                    None
                }
            };
            Self { signal, thread: Mutex::new(thread), known: Mutex::default() }
        })?;
        started?;
        Ok(runner)
    }
}

impl Observer for Runner {
    fn committed(&self, _: &Committed<'_>) {
        self.signal.ring();
    }

    fn closing(&self) {
        self.signal.stop();
        let thread = lock(&self.thread).take();
        // A projection may hold the last handle of the store.
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Closes the signal however the thread ends.
struct Ending(Arc<RunnerSignal>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct RunnerLoop {
    handle: StoreHandle,
    signal: Arc<RunnerSignal>,
    projection_states: Vec<ProjectionState>,
    /// Who waits until everything up to a position is folded and written.
    waiting: Vec<(u64, Reply<()>)>,
    flushed: Instant,
    active: Instant,
    /// What was committed when it looked last.
    seen: u64,
}

impl RunnerLoop {
    fn new(handle: StoreHandle, signal: Arc<RunnerSignal>) -> Self {
        Self {
            handle,
            signal,
            projection_states: Vec::new(),
            waiting: Vec::new(),
            seen: 0,
            flushed: Instant::now(),
            active: Instant::now(),
        }
    }

    fn run(mut self) {
        let _ending = Ending(self.signal.clone());
        loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // Reads do not depend on this thread: they go on to be exact.
                    tracing::error!(%error, "the projections stop");
                    self.projection_states
                        .iter()
                        .for_each(|projection_state| projection_state.status.fail(error.to_string()));
                    self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
                    break;
                }
            }
        }
        self.projection_states.drain(..).for_each(ProjectionState::stop);
    }

    /// Some work, or a wait for it. `false` when the store closes.
    fn turn(&mut self) -> Result<bool> {
        while let Some(order) = self.signal.order() {
            self.obey(order)?;
        }
        if self.signal.is_stopped() {
            // One last page, so that an idle store has the states of its heads when it is closed.
            self.step()?;
            self.flush(true)?;
            return Ok(false);
        }
        let begun = Instant::now();
        let moved = self.step()?;
        let rest = (begun.elapsed() * PROJECT_REST).min(Duration::from_millis(PROJECT_REST_MS));
        let seen = std::mem::replace(&mut self.seen, self.handle.committed().get());
        let busy = self.seen > seen && self.waiting.is_empty();
        if moved {
            self.active = Instant::now();
        }
        let behind = self.is_behind();
        self.answer_waiting(behind)?;
        if behind && moved {
            if self.flushed.elapsed() >= self.handle.project_flush() {
                self.flush(false)?;
            }
            if busy {
                // Events gather meanwhile: a thread that runs for each of them would slow down who appends.
                self.signal.pause(rest.max(Duration::from_millis(PROJECT_PAUSE_MS)));
            }
            return Ok(true);
        }
        let dirty = self.projection_states.iter().any(ProjectionState::is_dirty);
        if !dirty && !moved {
            let (handle, position) = (&self.handle, self.followed());
            self.signal.sleep(|| position.is_some_and(|p| handle.committed().get() > p));
            return Ok(true);
        }
        if dirty && self.active.elapsed() >= Duration::from_millis(PROJECT_IDLE_MS) {
            self.flush(true)?;
        } else if dirty && self.flushed.elapsed() >= self.handle.project_flush() {
            self.flush(false)?;
        }
        self.signal.pause(rest.max(Duration::from_millis(PROJECT_PAUSE_MS)));
        Ok(true)
    }

    /// The lowest position that a following projection has.
    fn followed(&self) -> Option<u64> {
        self.projection_states.iter().filter_map(ProjectionState::position).min()
    }

    fn is_behind(&self) -> bool {
        self.followed().is_some_and(|p| p < self.handle.committed().get())
    }

    /// One page for each position at which projections stand: those that lag do not hold up the others.
    fn step(&mut self) -> Result<bool> {
        let to = self.handle.committed().get();
        let mut positions: Vec<u64> =
            self.projection_states.iter().filter_map(ProjectionState::position).filter(|p| *p < to).collect();
        positions.sort_unstable();
        positions.dedup();
        for position in &positions {
            let reader = self.handle.reader()?;
            let from = position + 1;
            let read = up_to_damage(&mut PROJECT_PAGE.clone(), |limit| {
                reader.page_all(Range { from, to, limit, reverse: false })
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
                for projection_state in &mut self.projection_states {
                    let Some(branch_fold) =
                        projection_state.branch_fold.as_mut().filter(|_| !projection_state.halted)
                    else {
                        continue;
                    };
                    if branch_fold.built.position + 1 != event.position().get() {
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
                    match branch_fold.follow(&reader, find, event) {
                        Err(error) if error.is_damage() => {
                            projection_state.halt(&error);
                            continue;
                        }
                        followed => followed?,
                    }
                    let (rows, bytes) = branch_fold.waiting();
                    if branch_fold.is_full() || rows >= PROJECT_FLUSH_ROWS || bytes >= PROJECT_FLUSH_BYTES {
                        let full = branch_fold.is_full();
                        let records = projection_state.take(&self.handle, full)?;
                        self.handle.write_records(records.relaxed())?;
                        if let Some(branch_fold) = projection_state.branch_fold.as_mut().filter(|_| full) {
                            branch_fold.cool();
                        }
                    }
                }
            }
            self.projection_states
                .iter_mut()
                .try_for_each(|projection_state| projection_state.show(&self.handle))?;
        }
        Ok(!positions.is_empty())
    }

    /// Those who stand before an event that cannot be read leave out whom it belongs to, or stop.
    fn go_past(&mut self, reader: &Reader, position: u64, error: &Error) {
        let whose = reader.whose(Position::new(position)).ok();
        for projection_state in self
            .projection_states
            .iter_mut()
            .filter(|projection_state| projection_state.position() == Some(position - 1))
        {
            let passed = match (&whose, &mut projection_state.branch_fold) {
                (Some((branch, sequence)), Some(branch_fold)) => {
                    branch_fold.go_past(branch, *sequence, position, error)
                }
                _ => false,
            };
            if !passed {
                projection_state.halt(error);
            }
        }
    }

    /// Writes what was folded, with how far that is.
    fn flush(&mut self, heads: bool) -> Result<()> {
        let mut records = SidecarWrites::new();
        for projection_state in &mut self.projection_states {
            records.extend(projection_state.take(&self.handle, heads)?);
        }
        self.flushed = Instant::now();
        self.handle.write_records(records.relaxed())
    }

    fn answer_waiting(&mut self, behind: bool) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let building = self.projection_states.iter().any(ProjectionState::is_building);
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

    fn obey(&mut self, order: Command) -> Result<()> {
        match order {
            Command::Add(fold, status, reply) => {
                let projection_state = ProjectionState::new(&self.handle, &self.signal, fold, status);
                let told =
                    projection_state.map(|projection_state| self.projection_states.push(projection_state));
                let _ = reply.send(told);
            }
            Command::Rebuild(name, reply) => {
                let (handle, signal) = (self.handle.clone(), self.signal.clone());
                let _ = reply.send(
                    self.projection_state(&name)
                        .and_then(|projection_state| projection_state.rebuild(&handle, &signal)),
                );
            }
            Command::Retry(name, of, reply) => {
                let handle = self.handle.clone();
                let told = self
                    .projection_state(&name)
                    .and_then(|projection_state| projection_state.retry(&handle, of.as_deref()));
                self.flush(true)?;
                let _ = reply.send(told);
            }
            Command::CatchUp(reply) => self.waiting.push((self.handle.committed().get(), reply)),
            Command::Ended(name) => {
                let handle = self.handle.clone();
                let projection_state = self.projection_state(&name)?;
                match projection_state.ended(&handle) {
                    Err(error) if error.is_damage() => projection_state.halt(&error),
                    ended => ended?,
                }
            }
        }
        Ok(())
    }

    fn projection_state(&mut self, name: &str) -> Result<&mut ProjectionState> {
        let projection_state =
            self.projection_states.iter_mut().find(|projection_state| projection_state.fold.name == name);
        projection_state.ok_or_else(|| Error::not_found("projection", name))
    }
}
