//! One projection at the runner: the generation that it keeps up, and the one that is being built. Or neither, while
//! another handle of the store does that: then nothing is written here, and reads fold what they need.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::apply::Fold;
use super::branch_fold::BranchFold;
use super::build_writer::BuildWriter;
use super::building::Building;
use super::claim::{Claim, Patience};
use super::generations::Generations;
use super::keys::{self, Built, Key, ParkedRow, to_json};
use super::lease::{Lease, fenced};
use super::raise::Raise;
use super::row::Row;
use super::signal::{Retried, RunnerSignal};
use super::status::Status;
use super::sweep::{forget_leases, sweep};
use super::task::{End, Task, closed};
use super::tenure::{Tenure, Wake};
use crate::error::{Error, Result};
use crate::event::{Address, Timestamp};
use crate::limits::PROJECT_ATTEMPTS;
use crate::store::{Reader, SidecarTable, SidecarWrites, StoreHandle};
use crate::sync::Instant;

/// After so many writes in a row that were refused for damage, and not for what others have done, it stops.
const DAMAGED_WRITES: u32 = 3;

pub(super) struct ProjectionState {
    handle: StoreHandle,
    signal: Arc<RunnerSignal>,
    pub(super) fold: Arc<Fold>,
    pub(super) status: Arc<Status>,
    pub(super) tenure: Tenure,
    /// `None` until this code has states.
    pub(super) branch_fold: Option<BranchFold>,
    /// The row of that generation, as it was read or written last.
    current: Row,
    /// The one that is being written.
    writing: Option<Vec<u8>>,
    /// How often in a row it could not be written for damage.
    damaged_writes: u32,
    /// It stands before something that it cannot go past.
    pub(super) halted: bool,
    building: Option<Building>,
    /// A rebuild that was interrupted: whoever waits for it waits on, when it is gone on with.
    interrupted: Option<(u32, Arc<Task>)>,
}

impl ProjectionState {
    /// Takes up where the store says that this projection was; begins a rebuild when what is there was made by
    /// other code.
    pub(super) fn new(
        handle: &StoreHandle,
        signal: &Arc<RunnerSignal>,
        fold: Arc<Fold>,
        status: Arc<Status>,
    ) -> Result<Self> {
        let mut new = Self {
            handle: handle.clone(),
            signal: signal.clone(),
            tenure: Tenure::new(handle.clone(), fold.clone()),
            fold,
            status,
            branch_fold: None,
            current: Row::Absent,
            writing: None,
            damaged_writes: 0,
            halted: false,
            building: None,
            interrupted: None,
        };
        match new.look(Patience::Left) {
            Ok(()) => Ok(new),
            Err(error) => {
                new.stop();
                Err(error)
            }
        }
    }

    /// Looks whether it may write, and begins to where the stored rows say. Also where it did: then something was not as it
    /// had written it.
    pub(super) fn look(&mut self, patience: Patience) -> Result<()> {
        self.let_go();
        let looked = self.look_often(patience);
        match &looked {
            // It is looked again.
            Err(error) if error.is_passing() => {}
            looked => self.end_interrupted(looked.clone()),
        }
        looked
    }

    fn look_often(&mut self, patience: Patience) -> Result<()> {
        for _ in 0..PROJECT_ATTEMPTS {
            match self.look_once(patience) {
                Err(Error::RecordChanged { .. }) => self.let_go(),
                looked => return looked,
            }
        }
        self.look_later()
    }

    /// One that is not gone on with has ended: nobody knew how, or others build.
    fn end_interrupted(&mut self, looked: Result<()>) {
        let Some((generation, task)) = self.interrupted.take() else { return };
        let current = self.branch_fold.as_ref().map(|branch_fold| branch_fold.built.generation);
        task.end(match looked {
            Err(error) => Err(error),
            Ok(()) if current == Some(generation) => Ok(End::Done),
            Ok(()) if task.cancelled.load(Ordering::Relaxed) => Ok(End::Cancelled),
            Ok(()) => Err(self.tenure.lost()),
        });
    }

    fn look_later(&mut self) -> Result<()> {
        self.status.hold(false);
        self.tenure.wait(Wake::At(Instant::now() + self.handle.lease_span() / 2), None)
    }

    /// [`look`](Self::look) for one who is told of an error. It has let go of what it had, so it stops, or looks another time.
    pub(super) fn look_for_caller(&mut self) -> Result<()> {
        let Err(error) = self.look(Patience::None) else { return Ok(()) };
        if error.is_damage() {
            self.halt(&error);
        } else {
            self.look_later()?;
        }
        Err(error)
    }

    /// [`look`](Self::look), when something was not as it had written it.
    pub(super) fn look_if_lost(&mut self, done: Result<()>) -> Result<()> {
        let done = match done {
            Err(Error::RecordChanged { .. }) => self.look(Patience::Left),
            done => done,
        };
        self.halt_if_damaged(done)
    }

    /// Damage stops one projection, and no other.
    pub(super) fn halt_if_damaged(&mut self, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if error.is_damage() => {
                self.halt(&error);
                Ok(())
            }
            done => done,
        }
    }

    /// Somebody waits for what is to be written: one that has had nothing to write may not have noticed that others do, and
    /// one that waits for others may do what they leave undone.
    pub(super) fn confirm(&mut self) -> Result<()> {
        let records = self.handle.reader()?.records();
        let has_current = || -> Result<bool> {
            Ok(self.branch_fold.is_none()
                || Generations::read(&records, &self.fold.name)?.current == self.current)
        };
        match self.tenure.is_held(&records)? && has_current()? {
            true => Ok(()),
            false => self.look(Patience::Over),
        }
    }

    /// What was taken may not be written, and nobody can tell by whose fault. Where nothing was lost, it is folded again; but
    /// not for ever, when it is for damage that it cannot be written.
    pub(super) fn start_over(&mut self, damage: Option<&Error>) -> Result<()> {
        let reader = self.handle.reader()?;
        let generations = Generations::read(&reader.records(), &self.fold.name)?;
        let is_held = self.tenure.is_held(&reader.records())?;
        match (generations.built().0, &mut self.branch_fold) {
            (Some(current), Some(branch_fold)) if is_held && generations.current == self.current => {
                let reacted = branch_fold.reacted;
                *branch_fold = BranchFold::new(&reader, self.fold.clone(), current)?;
                branch_fold.reacted = reacted;
                self.writing = None;
                self.damaged_writes = if damage.is_some() { self.damaged_writes + 1 } else { 0 };
                if let Some(error) = damage.filter(|_| self.damaged_writes >= DAMAGED_WRITES) {
                    self.halt(error);
                }
                Ok(())
            }
            _ => {
                let looked = self.look(Patience::Left);
                self.halt_if_damaged(looked)
            }
        }
    }

    fn look_once(&mut self, patience: Patience) -> Result<()> {
        // Before it reads: what is changed after that wakes the runner.
        self.signal.watch(true);
        let reader = self.handle.reader()?;
        let looked = self.tenure.look(&reader.records(), patience)?;
        self.status.hold(looked.is_some());
        let Some((claim, generations)) = looked else {
            self.status.position.store(0, Ordering::Relaxed);
            return Ok(());
        };
        let lease = self.tenure.held()?;
        self.begin_to(claim, &lease, generations, &reader)?;
        self.show()
    }

    /// What a claim says, as long as the rows are as they were read.
    fn begin_to(
        &mut self,
        claim: Claim,
        lease: &Arc<Lease>,
        mut generations: Generations,
        reader: &Reader,
    ) -> Result<()> {
        let (current, next) = generations.built();
        if let Claim::Follow { abandon: true, .. } | Claim::Begin { abandon: true } = claim {
            self.abandon(lease, &mut generations)?;
        }
        // What was given up, or made by code that is gone, goes first.
        sweep(&self.handle, lease, &self.fold.name)?;
        self.current = generations.current.clone();
        match (claim, current, next) {
            (Claim::Follow { resume, .. }, Some(current), next) => {
                self.branch_fold = Some(BranchFold::new(reader, self.fold.clone(), current)?);
                if let (true, Some(next)) = (resume, next) {
                    self.build(lease, next, &generations.next)?;
                }
            }
            (Claim::Resume, _, Some(next)) => drop(self.build(lease, next, &generations.next)?),
            (_, current, _) => {
                let number = generations.unused_number(&reader.records(), &self.fold.name)?;
                let committed = self.handle.committed().get();
                match current {
                    // What reacts has not reacted to anything yet, so it follows from the first event.
                    None if self.fold.reacts || committed == 0 => {
                        self.start(lease, &generations, number, reader)?;
                    }
                    // Events after it were not reacted to: they are for the runner.
                    Some(old) if self.fold.reacts => {
                        self.build(lease, self.generation(number, Some(old.position)), &generations.next)?;
                    }
                    _ => {
                        self.build(lease, self.generation(number, Some(committed)), &generations.next)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn generation(&self, number: u32, target: Option<u64>) -> Built {
        let (version, shape, scope) = (self.fold.version, self.fold.shape, self.fold.scope);
        Built { generation: number, version, shape, scope, position: 0, target }
    }

    /// The first generation there is, followed from the first event.
    fn start(
        &mut self,
        lease: &Lease,
        generations: &Generations,
        number: u32,
        reader: &Reader,
    ) -> Result<()> {
        let current = self.generation(number, None);
        let row = to_json(&current);
        let mut records = SidecarWrites::new();
        records.put(SidecarTable::Checkpoints, keys::current(&self.fold.name), row.clone());
        generations.expected_by(&mut records, &self.fold.name);
        lease.write(&self.handle, records, Timestamp::now())?;
        self.current = Row::Read(row);
        self.branch_fold = Some(BranchFold::new(reader, self.fold.clone(), current)?);
        Ok(())
    }

    /// A rebuild that nobody goes on with is one no more. It is not read while it is swept.
    fn abandon(&self, lease: &Lease, generations: &mut Generations) -> Result<()> {
        let key = keys::next(&self.fold.name);
        let mut records = SidecarWrites::new();
        generations.next.expected_by(&mut records, key.clone());
        records.remove(SidecarTable::Checkpoints, key);
        lease.write(&self.handle, records, Timestamp::now())?;
        generations.next = Row::Absent;
        Ok(())
    }

    fn build(&mut self, lease: &Arc<Lease>, next: Built, row: &Row) -> Result<Arc<Task>> {
        let interrupted = self.interrupted.as_ref().filter(|(generation, _)| *generation == next.generation);
        let task = interrupted.map_or_else(Task::new, |(_, task)| task.clone());
        let generation = next.generation;
        let building =
            Building::begin(&self.handle, &self.signal, &self.fold, lease, next, row, task.clone())?;
        self.interrupted.take_if(|interrupted| interrupted.0 == generation);
        self.status.set_task(Some(task.clone()));
        self.building = Some(building);
        Ok(task)
    }

    /// Drops what it has in memory, and stops what goes on.
    fn let_go(&mut self) {
        self.branch_fold = None;
        self.writing = None;
        self.go_on();
        if let Some(building) = self.building.take() {
            building.task.stopped.store(true, Ordering::Relaxed);
            let (task, next, _) = building.join();
            self.status.set_task(None);
            self.interrupted = Some((next.generation, task));
        }
    }

    /// What it has followed; `None` while it cannot follow.
    pub(super) fn position(&self) -> Option<u64> {
        self.branch_fold.as_ref().filter(|_| !self.halted).map(|branch_fold| branch_fold.built.position)
    }

    /// Up to where the states are stored, or will be at once; `None` when nobody stores them.
    pub(super) fn reached(&self) -> Option<u64> {
        if self.tenure.is_waiting() { self.tenure.reached() } else { self.position() }
    }

    /// Follows no further. Answers do not depend on it.
    pub(super) fn halt(&mut self, error: &Error) {
        tracing::error!(%error, projection = self.fold.name, "the projection stops");
        self.halted = true;
        self.status.fail(error.to_string());
    }

    fn go_on(&mut self) {
        self.halted = false;
        self.status.go_on();
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.branch_fold.as_ref().is_some_and(BranchFold::is_dirty)
    }

    pub(super) fn is_building(&self) -> bool {
        self.building.is_some()
    }

    /// When the lease is to be renewed, while there is work that may take longer than it lasts.
    pub(super) fn renewal(&self) -> Option<Timestamp> {
        self.tenure.lease().filter(|_| self.is_building() || self.is_dirty()).map(|lease| lease.due_at())
    }

    pub(super) fn renew(&self) -> Result<()> {
        match self.tenure.lease().filter(|_| self.is_building() || self.is_dirty()) {
            Some(lease) => lease.renew(&self.handle, Timestamp::now()),
            None => Ok(()),
        }
    }

    /// Tells others how far it is, and raises what it has to raise.
    pub(super) fn show(&mut self) -> Result<()> {
        let (Some(branch_fold), Some(lease)) = (&mut self.branch_fold, self.tenure.lease()) else {
            return Ok(());
        };
        for raise in std::mem::take(&mut branch_fold.raises) {
            let mut guard = SidecarWrites::new();
            lease.guard(&mut guard);
            self.current.expected_by(&mut guard, keys::current(&self.fold.name));
            raise_one(&self.handle, &self.fold.name, raise, guard)?;
        }
        self.status.position.store(branch_fold.built.position, Ordering::Relaxed);
        self.status.parked.store(branch_fold.parked().count(), Ordering::Relaxed);
        Ok(())
    }

    /// What is to be written. What was raised comes before the position that says so.
    pub(super) fn take(&mut self, heads: bool) -> Result<SidecarWrites> {
        self.show()?;
        let mut records = SidecarWrites::new();
        let branch_fold = self.branch_fold.as_mut().filter(|branch_fold| branch_fold.is_dirty());
        if let (Some(branch_fold), Some(lease)) = (branch_fold, self.tenure.lease()) {
            records.extend(branch_fold.take(heads));
            let (key, row) = (keys::current(&self.fold.name), to_json(&branch_fold.built));
            self.current.expected_by(&mut records, key.clone());
            records.put(SidecarTable::Checkpoints, key, row.clone());
            lease.guard_and_renew(&mut records, Timestamp::now());
            self.writing = Some(row);
        }
        Ok(records)
    }

    /// Whether something that was [taken](Self::take) is not known to be written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// What was taken is written.
    pub(super) fn written(&mut self) {
        self.damaged_writes = 0;
        if let Some(row) = self.writing.take() {
            self.current = Row::Read(row);
        }
    }

    /// Writes what was folded, by itself.
    pub(super) fn write(&mut self, heads: bool) -> Result<()> {
        let records = self.take(heads)?;
        fenced(self.handle.write_records(records.relaxed()))?;
        self.written();
        Ok(())
    }

    /// Begins a rebuild on demand.
    ///
    /// # Errors
    /// [`Error::Locked`] while another keeps the states up, or builds others.
    pub(super) fn rebuild(&mut self) -> Result<Arc<Task>> {
        let lease = self.tenure.held()?;
        if let Some(building) = &self.building {
            return Ok(building.task.clone());
        }
        let records = self.handle.reader()?.records();
        let mut generations = Generations::read(&records, &self.fold.name)?;
        self.tenure.check_next(&records, &generations)?;
        self.abandon(&lease, &mut generations)?;
        sweep(&self.handle, &lease, &self.fold.name)?;
        let target = self.position().unwrap_or_else(|| self.handle.committed().get());
        let number = generations.unused_number(&records, &self.fold.name)?;
        self.build(&lease, self.generation(number, Some(target)), &generations.next)
    }

    /// A rebuild has ended: the new states are read from here on, or what there is of them goes.
    pub(super) fn ended(&mut self) -> Result<()> {
        // Another one that began since has not.
        let Some(building) = self.building.take_if(|building| building.has_ended()) else { return Ok(()) };
        let writer = building.writer();
        let (task, next, mut end) = building.join();
        self.status.set_task(None);
        let settled = match &end {
            Ok(End::Done) => self.replace(&writer, &next),
            Ok(End::Cancelled) => self.give_up(&writer),
            Err(Error::RecordChanged { .. }) => Err(self.tenure.lost()),
            Err(error) if error.is_passing() => Err(error.clone()),
            Err(error) => {
                tracing::error!(%error, projection = self.fold.name, "the rebuild stops");
                self.status.fail(error.to_string());
                Ok(())
            }
        };
        match &settled {
            // It is looked how far it is when the store is back.
            Err(error) if error.is_passing() => {
                self.interrupted = Some((next.generation, task));
                return settled;
            }
            Err(error) => end = Err(error.clone()),
            Ok(()) => {}
        }
        task.end(end);
        settled
    }

    /// The generation that was built is read from here on.
    fn replace(&mut self, writer: &BuildWriter, next: &Built) -> Result<()> {
        let lease = self.tenure.held()?;
        let current = Built { position: next.target.unwrap_or(0), target: None, ..next.clone() };
        let row = to_json(&current);
        let mut attempts = 0;
        let replaced = loop {
            let generations = Generations::read(&self.handle.reader()?.records(), &self.fold.name)?;
            let mut records = SidecarWrites::new();
            let key = keys::current(&self.fold.name);
            generations.current.expected_by(&mut records, key.clone());
            records.put(SidecarTable::Checkpoints, key, row.clone());
            writer.remove_row(&mut records);
            match lease.write(&self.handle, records, Timestamp::now()) {
                // Who keeps up the old generation moves its row, until this one takes its place.
                Err(Error::RecordChanged { .. }) if attempts < PROJECT_ATTEMPTS => attempts += 1,
                written => break written.map(|()| generations.built().0)?,
            }
        };
        let reacted = self.position().max(replaced.map(|old| old.position)).unwrap_or(0);
        self.current = Row::Read(row);
        // What is not written yet is of the old one.
        self.branch_fold = None;
        sweep(&self.handle, &lease, &self.fold.name)?;
        forget_leases(&self.handle, &lease, &self.fold)?;
        let mut branch_fold = BranchFold::new(&self.handle.reader()?, self.fold.clone(), current)?;
        branch_fold.reacted = reacted;
        self.branch_fold = Some(branch_fold);
        self.go_on();
        self.show()
    }

    /// What was built goes.
    fn give_up(&mut self, writer: &BuildWriter) -> Result<()> {
        let lease = self.tenure.held()?;
        let mut records = SidecarWrites::new();
        writer.remove_row(&mut records);
        lease.write(&self.handle, records, Timestamp::now())?;
        sweep(&self.handle, &lease, &self.fold.name)
    }

    /// Folds what is parked again: all, or one branch, session or key.
    ///
    /// # Errors
    /// [`Error::Locked`] while another keeps the states up.
    pub(super) fn retry(&mut self, of: Option<&str>) -> Result<Retried> {
        self.tenure.held()?;
        self.go_on();
        // Loads what is stored, so that has to be all there is.
        self.write(true)?;
        let Some(branch_fold) = &mut self.branch_fold else { return Ok(Retried::default()) };
        let reader = self.handle.reader()?;
        // A branch may be named by its address, `main` left out.
        let place = |text: &str| text.parse::<Address>().ok().map(|a| a.place().clone());
        let is_branch = branch_fold.built.scope == super::fold::Scope::Branch;
        let same = |row: &ParkedRow, of: &str| row.of == of || (is_branch && place(&row.of) == place(of));
        let wanted = |row: &ParkedRow| of.is_none_or(|of| same(row, of));
        let parked: Vec<(Key, ParkedRow)> = branch_fold
            .parked()
            .filter(|(_, row)| wanted(row))
            .map(|(k, row)| (k.clone(), row.clone()))
            .collect();
        if let (Some(of), true) = (of, parked.is_empty()) {
            return Err(Error::not_found("parked key", format!("{of} of {}", self.fold.name)));
        }
        let mut retried = Retried::default();
        for (key, row) in parked {
            match branch_fold.retry(&reader, &key, &row)? {
                true => retried.mended += 1,
                false => retried.parked += 1,
            }
        }
        self.show()?;
        Ok(retried)
    }

    /// The store closes: a rebuild is left as it is, to be gone on with by whoever comes next.
    pub(super) fn stop(mut self) {
        if let Some(building) = self.building.take() {
            building.task.stopped.store(true, Ordering::Relaxed);
            let (task, _, _) = building.join();
            self.status.set_task(None);
            task.end(Err(closed()));
        }
        if let Some((_, task)) = self.interrupted.take() {
            task.end(Err(closed()));
        }
        self.status.hold(false);
        if let Err(error) = self.tenure.release() {
            tracing::debug!(%error, projection = self.fold.name, "the lease runs out by itself");
        }
    }
}

/// Appends what was raised while the guard holds.
fn raise_one(handle: &StoreHandle, projection: &str, raise: Raise, guard: SidecarWrites) -> Result<()> {
    let (place, id) = (raise.place.to_string(), raise.event.id());
    if raise.is_in_vain(handle)? {
        tracing::warn!(projection, place, %id, "an event could not be raised: its branch is gone");
        return Ok(());
    }
    match raise.batch().and_then(|batch| handle.append(batch.records(guard))) {
        Ok(_) => Ok(()),
        // Raised before, by a rule that said it otherwise then.
        Err(Error::Duplicate { .. }) => Ok(()),
        Err(
            error @ (Error::NotFound { .. }
            | Error::BranchClosed { .. }
            | Error::Deleted { .. }
            | Error::Truncated { .. }
            | Error::Invalid(_)
            | Error::TooLarge { .. }),
        ) => {
            tracing::warn!(%error, projection, place, %id, "an event could not be raised");
            Ok(())
        }
        Err(e) => Err(e),
    }
}
