//! The background thread: follows the global order once for all projections, and periodically writes snapshots with
//! checkpoints in one transaction.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::apply::Fold;
use super::claim::Patience;
use super::lease::fenced;
use super::projection_state::ProjectionState;
use super::read::up_to_damage;
use super::signal::{Command, Reply, Retried, RunnerSignal};
use super::status::Status;
use super::tenure::Wake;
use crate::error::{Error, Result};
use crate::event::{Place, Position, Timestamp};
use crate::limits::{
    FOLLOW_AGAIN_MS, PROJECT_FLUSH_BYTES, PROJECT_FLUSH_ROWS, PROJECT_IDLE_MS, PROJECT_PAGE,
    PROJECT_PAUSE_MS, PROJECT_REST, PROJECT_REST_MS,
};
use crate::store::{
    Branch, Committed, Observer, Range, Reader, SidecarTable, SidecarTables, SidecarWrites, Store,
    StoreHandle,
};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Instant, Mutex, lock};

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
            let spawned = thread::Builder::new().name("retold-project".into()).spawn(move || runner.run());
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

    fn changed_beside(&self, tables: SidecarTables) {
        if tables.has(SidecarTable::Checkpoints) {
            self.signal.changed();
        }
    }

    fn closing(&self) {
        self.signal.stop();
        let thread = lock(&self.thread).take();
        // A projection may hold the last handle of the store.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
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
    /// It could not read or write, so it does not know what is written.
    interrupted: bool,
}

impl RunnerLoop {
    fn new(handle: StoreHandle, signal: Arc<RunnerSignal>) -> Self {
        Self {
            handle,
            signal,
            projection_states: Vec::new(),
            waiting: Vec::new(),
            seen: 0,
            interrupted: false,
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
                Err(error) if error.is_passing() && !self.signal.is_stopped() => self.interrupted(&error),
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

    /// The store cannot be had at the moment. What was folded and may not be written is folded again, from what is.
    fn interrupted(&mut self, error: &Error) {
        if !self.interrupted {
            tracing::warn!(%error, "the projections wait for the store");
        }
        self.interrupted = true;
        self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        self.signal.pause(Duration::from_millis(FOLLOW_AGAIN_MS));
    }

    /// Takes up where the store says that each of them was.
    fn go_on(&mut self) -> Result<()> {
        for projection_state in &mut self.projection_states {
            let looked = projection_state.look(Patience::Left);
            projection_state.halt_if_damaged(looked)?;
        }
        self.interrupted = false;
        Ok(())
    }

    /// Some work, or a wait for it. `false` when the store closes.
    fn turn(&mut self) -> Result<bool> {
        if self.interrupted {
            self.go_on()?;
        }
        while let Some(order) = self.signal.order() {
            self.obey(order)?;
        }
        if self.signal.is_stopped() {
            // One last page, so that an idle store has the states of its heads when it is closed.
            self.step()?;
            self.flush(true)?;
            return Ok(false);
        }
        self.look_around()?;
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
            let handle = &self.handle;
            let news = self.news_after().map(|position| move || handle.committed().get() > position);
            self.signal.sleep(news, self.next_look());
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

    /// Those that wait for others look whether they still have to, and those that are at work say so.
    fn look_around(&mut self) -> Result<()> {
        let changed = self.signal.take_changed();
        let patience = if self.waiting.is_empty() { Patience::Left } else { Patience::Over };
        for projection_state in &mut self.projection_states {
            if changed {
                projection_state.tenure.look_soon();
            }
            if projection_state.tenure.is_due() {
                let looked = projection_state.look(patience);
                projection_state.halt_if_damaged(looked)?;
            }
            let renewed = projection_state.renew();
            projection_state.look_if_lost(renewed)?;
        }
        if !self.projection_states.iter().any(|state| state.tenure.is_waiting()) {
            self.signal.watch(false);
        }
        Ok(())
    }

    /// After what time one of them has to look again, or to renew its lease, though nothing happens.
    fn next_look(&self) -> Option<Duration> {
        let (now, clock) = (Instant::now(), Timestamp::now());
        let looks = self.projection_states.iter().filter_map(|state| match state.tenure.wake()? {
            Wake::At(time) => Some(time.saturating_duration_since(now)),
            Wake::Beyond(_) => None,
        });
        let renewals = self
            .projection_states
            .iter()
            .filter_map(ProjectionState::renewal)
            .map(|due| Duration::from_micros(u64::try_from(due.micros() - clock.micros()).unwrap_or(0)));
        looks.chain(renewals).min()
    }

    /// After which position a commit is news.
    fn news_after(&self) -> Option<u64> {
        let waited_for = self.projection_states.iter().filter_map(|state| match state.tenure.wake()? {
            Wake::Beyond(position) => Some(position),
            Wake::At(_) => None,
        });
        self.projection_states.iter().filter_map(ProjectionState::position).chain(waited_for).min()
    }

    /// Up to where the states of all of them are folded, here or elsewhere.
    fn reached(&self) -> Option<u64> {
        self.projection_states.iter().filter_map(ProjectionState::reached).min()
    }

    fn is_behind(&self) -> bool {
        self.reached().is_some_and(|p| p < self.handle.committed().get())
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
                    self.go_past(&reader, from, &error)?;
                    continue;
                }
                read => read?,
            };
            let mut branch: Option<(Arc<Place>, Arc<Branch>)> = None;
            // Between two events of a page everything is gone.
            let mut reached = *position;
            for event in &page {
                let before = std::mem::replace(&mut reached, event.position().get());
                for projection_state in &mut self.projection_states {
                    let Some(branch_fold) =
                        projection_state.branch_fold.as_mut().filter(|_| !projection_state.halted)
                    else {
                        continue;
                    };
                    if !(before..reached).contains(&branch_fold.built.position) {
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
                        let written = projection_state.write(full);
                        projection_state.look_if_lost(written)?;
                        if let Some(branch_fold) = projection_state.branch_fold.as_mut().filter(|_| full) {
                            branch_fold.cool();
                        }
                    }
                }
            }
            if page.is_empty() {
                // Up to there nothing is left.
                let at = |state: &&mut ProjectionState| {
                    state.position().is_some_and(|at| (*position..to).contains(&at))
                };
                for state in self.projection_states.iter_mut().filter(at) {
                    state.branch_fold.iter_mut().for_each(|branch_fold| branch_fold.pass(to));
                }
            }
            for projection_state in &mut self.projection_states {
                let shown = projection_state.show();
                projection_state.look_if_lost(shown)?;
            }
        }
        Ok(!positions.is_empty())
    }

    /// Those who stand before an event that cannot be read leave out whom it belongs to, or stop.
    fn go_past(&mut self, reader: &Reader, position: u64, error: &Error) -> Result<()> {
        let whose = reader.whose(Position::new(position)).ok();
        for projection_state in self
            .projection_states
            .iter_mut()
            .filter(|projection_state| projection_state.position() == Some(position - 1))
        {
            let passed = match (&whose, &mut projection_state.branch_fold) {
                (Some((branch, sequence)), Some(branch_fold)) => {
                    branch_fold.go_past(reader, (branch, *sequence), position, error)?
                }
                _ => false,
            };
            if !passed {
                projection_state.halt(error);
            }
        }
        Ok(())
    }

    /// Writes what was folded, with how far that is. `false` when something of it was not written.
    fn flush(&mut self, heads: bool) -> Result<bool> {
        let (mut records, mut all) = (SidecarWrites::new(), true);
        for projection_state in &mut self.projection_states {
            match projection_state.take(heads) {
                Ok(taken) => records.extend(taken),
                taken => {
                    all = false;
                    projection_state.look_if_lost(taken.map(drop))?;
                }
            }
        }
        self.flushed = Instant::now();
        let written = self.handle.write_records(records.relaxed());
        let damage = written.as_ref().err().filter(|error| error.is_damage()).cloned();
        let written = fenced(written);
        for projection_state in self.projection_states.iter_mut().filter(|state| state.is_writing()) {
            match &written {
                Ok(()) => projection_state.written(),
                Err(Error::RecordChanged { .. }) => projection_state.start_over(damage.as_ref())?,
                Err(error) => return Err(error.clone()),
            }
        }
        match written {
            Err(Error::RecordChanged { .. }) => Ok(false),
            written => written.map(|()| all),
        }
    }

    fn answer_waiting(&mut self, behind: bool) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let building = self.projection_states.iter().any(ProjectionState::is_building);
        let at = self.reached().unwrap_or(u64::MAX);
        if building || (behind && self.waiting.iter().all(|(to, _)| *to > at)) {
            return Ok(());
        }
        if !self.flush(true)? {
            // What was folded up to there was dropped.
            return Ok(());
        }
        let (answered, waiting) = self.waiting.drain(..).partition(|(to, _)| *to <= at);
        self.waiting = waiting;
        let answered: Vec<(u64, Reply<()>)> = answered;
        answered.into_iter().for_each(|(_, reply)| drop(reply.send(Ok(()))));
        Ok(())
    }

    fn retry(&mut self, name: &str, of: Option<&str>) -> Result<Retried> {
        let mut told = self.held(name, |projection_state| projection_state.retry(of));
        if !self.flush(true)? && told.is_ok() {
            // What it has done was dropped.
            told = self.held(name, |projection_state| projection_state.retry(of));
            self.flush(true)?;
        }
        told
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
                let _ = reply.send(self.held(&name, ProjectionState::rebuild));
            }
            Command::Retry(name, of, reply) => {
                let told = self.retry(&name, of.as_deref());
                let failed = told.as_ref().err().filter(|error| error.is_passing()).cloned();
                let _ = reply.send(told);
                return failed.map_or(Ok(()), Err);
            }
            Command::CatchUp(reply) => {
                self.waiting.push((self.handle.committed().get(), reply));
                self.projection_states.iter_mut().try_for_each(ProjectionState::confirm)?;
            }
            Command::Ended(name) => {
                let projection_state = self.projection_state(&name)?;
                let ended = projection_state.ended();
                projection_state.look_if_lost(ended)?;
            }
        }
        Ok(())
    }

    /// Does what only the holder of a projection's lease can do, if it can be had.
    fn held<T>(&mut self, name: &str, mut act: impl FnMut(&mut ProjectionState) -> Result<T>) -> Result<T> {
        let projection_state = self.projection_state(name)?;
        if projection_state.tenure.is_waiting() {
            projection_state.look_for_caller()?;
        }
        match act(projection_state) {
            // It was lost without a word.
            Err(Error::RecordChanged { .. }) => {
                projection_state.look_for_caller()?;
                act(projection_state)
            }
            acted => acted,
        }
    }

    fn projection_state(&mut self, name: &str) -> Result<&mut ProjectionState> {
        let projection_state =
            self.projection_states.iter_mut().find(|projection_state| projection_state.fold.name == name);
        projection_state.ok_or_else(|| Error::not_found("projection", name))
    }
}
