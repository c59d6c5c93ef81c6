//! One projection at the runner: the generation that it keeps up, and the one that is being built.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::apply::Fold;
use super::branch_fold::BranchFold;
use super::build::build;
use super::keys::{self, Built, Key, ParkedRow, put_current, to_json};
use super::raise::Raise;
use super::read::generations;
use super::signal::{Command, Retried, RunnerSignal};
use super::status::Status;
use super::task::{End, Task, closed};
use crate::error::{Error, Result};
use crate::event::Address;
use crate::limits::PROJECT_FLUSH_ROWS;
use crate::panics::said;
use crate::store::{SidecarRange, SidecarTable, SidecarWrites, StoreHandle, lock};

/// A rebuild that goes on.
struct Building {
    task: Arc<Task>,
    next: Built,
    thread: JoinHandle<()>,
    end: Arc<std::sync::Mutex<Option<Result<End>>>>,
}

pub(super) struct ProjectionState {
    pub(super) fold: Arc<Fold>,
    pub(super) status: Arc<Status>,
    /// `None` until this code has states.
    pub(super) branch_fold: Option<BranchFold>,
    /// It stands before something that it cannot go past.
    pub(super) halted: bool,
    building: Option<Building>,
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
        let reader = handle.reader()?;
        let (current, next) = generations(&reader.records(), &fold.name)?;
        let next = next.filter(|next| fold.made(next));
        let mut projection_state = Self { fold, status, branch_fold: None, halted: false, building: None };
        // What was given up, or made by code that is gone, goes first: its numbers are given again.
        let kept: Vec<u32> = current.iter().chain(&next).map(|built| built.generation).collect();
        projection_state.sweep(handle, &kept)?;
        match (current, next) {
            (Some(current), next) if projection_state.fold.made(&current) => {
                projection_state.branch_fold =
                    Some(BranchFold::new(&reader, projection_state.fold.clone(), current)?);
                if let Some(next) = next {
                    projection_state.begin(handle, signal, next)?;
                }
            }
            (_, Some(next)) => drop(projection_state.begin(handle, signal, next)?),
            (None, None) if projection_state.fold.reacts || handle.committed().get() == 0 => {
                // What reacts has not reacted to anything yet, so it follows from the first event.
                let current = projection_state.generation(0, 0, None);
                let mut records = SidecarWrites::new();
                put_current(&mut records, &current, &projection_state.fold.name);
                handle.write_records(records)?;
                projection_state.branch_fold =
                    Some(BranchFold::new(&reader, projection_state.fold.clone(), current)?);
            }
            (current, None) => {
                let target = match &current {
                    // Events after it were not reacted to: they are for the runner.
                    Some(old) if projection_state.fold.reacts => old.position,
                    _ => handle.committed().get(),
                };
                let next = projection_state.generation(current.map_or(0, |c| c.generation), 0, Some(target));
                projection_state.begin(handle, signal, next)?;
            }
        }
        projection_state.show(handle)?;
        Ok(projection_state)
    }

    fn generation(&self, after: u32, position: u64, target: Option<u64>) -> Built {
        let (version, shape, scope) = (self.fold.version, self.fold.shape, self.fold.scope);
        Built { generation: after + 1, version, shape, scope, position, target }
    }

    /// What it has followed; `None` while it cannot follow.
    pub(super) fn position(&self) -> Option<u64> {
        self.branch_fold.as_ref().filter(|_| !self.halted).map(|branch_fold| branch_fold.built.position)
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

    /// Tells others how far it is, and raises what it has to raise.
    pub(super) fn show(&mut self, handle: &StoreHandle) -> Result<()> {
        if let Some(branch_fold) = &mut self.branch_fold {
            let raises = std::mem::take(&mut branch_fold.raises);
            let name = &self.fold.name;
            raises.into_iter().try_for_each(|raise| raise_one(handle, name, raise))?;
            self.status.position.store(branch_fold.built.position, Ordering::Relaxed);
            self.status.parked.store(branch_fold.parked().count(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is to be written. What was raised comes before the position that says so.
    pub(super) fn take(&mut self, handle: &StoreHandle, heads: bool) -> Result<SidecarWrites> {
        self.show(handle)?;
        let Some(branch_fold) = self.branch_fold.as_mut().filter(|branch_fold| branch_fold.is_dirty()) else {
            return Ok(SidecarWrites::new());
        };
        let mut records = branch_fold.take(heads);
        put_current(&mut records, &branch_fold.built, &self.fold.name);
        Ok(records)
    }

    /// Begins a rebuild on demand.
    pub(super) fn rebuild(&mut self, handle: &StoreHandle, signal: &Arc<RunnerSignal>) -> Result<Arc<Task>> {
        if let Some(building) = &self.building {
            return Ok(building.task.clone());
        }
        let (current, _) = generations(&handle.reader()?.records(), &self.fold.name)?;
        let kept = current.as_ref().map_or(0, |c| c.generation);
        // One that failed is not read any more while it is swept.
        let mut records = SidecarWrites::new();
        records.remove(SidecarTable::Checkpoints, keys::next(&self.fold.name));
        handle.write_records(records)?;
        self.sweep(handle, &[kept])?;
        let target = self.position().unwrap_or_else(|| handle.committed().get());
        let next = self.generation(kept, 0, Some(target));
        self.begin(handle, signal, next)
    }

    fn begin(&mut self, handle: &StoreHandle, signal: &Arc<RunnerSignal>, next: Built) -> Result<Arc<Task>> {
        let mut records = SidecarWrites::new();
        records.put(SidecarTable::Checkpoints, keys::next(&self.fold.name), to_json(&next));
        handle.write_records(records)?;
        let task = Task::new(next.target.unwrap_or(0));
        let end = Arc::default();
        let thread = {
            let (handle, signal, fold, next) =
                (handle.clone(), signal.clone(), self.fold.clone(), next.clone());
            let (task, end) = (task.clone(), Arc::clone(&end));
            let named = std::thread::Builder::new().name("retold-rebuild".into());
            let spawned = named.spawn(move || {
                *lock(&end) = Some(build(&handle, &fold, &next, &task));
                // A runner that is gone has stopped this, and does not wait.
                let _ = signal.give(Command::Ended(fold.name.clone()));
            });
            spawned.map_err(|e| Error::storage(format!("a thread for the rebuild cannot be started: {e}")))?
        };
        self.status.set_task(Some(task.clone()));
        self.building = Some(Building { task: task.clone(), next, thread, end });
        Ok(task)
    }

    /// A rebuild has ended: the new states are read from here on, or what there is of them goes.
    pub(super) fn ended(&mut self, handle: &StoreHandle) -> Result<()> {
        let Some(building) = self.building.take() else { return Ok(()) };
        let joined = building.thread.join();
        let end = lock(&building.end).take();
        let end = end.unwrap_or_else(|| {
            let said = joined.err().map(|panic| said(&*panic)).unwrap_or_default();
            Err(Error::storage(format!("the rebuild panicked: {said}")))
        });
        self.status.set_task(None);
        let name = self.fold.name.clone();
        match &end {
            Ok(End::Done) => {
                let current =
                    Built { position: building.next.target.unwrap_or(0), target: None, ..building.next };
                let mut records = SidecarWrites::new();
                put_current(&mut records, &current, &name);
                records.remove(SidecarTable::Checkpoints, keys::next(&name));
                handle.write_records(records)?;
                self.sweep(handle, &[current.generation])?;
                let reacted = self.position().unwrap_or(0);
                let mut branch_fold = BranchFold::new(&handle.reader()?, self.fold.clone(), current)?;
                branch_fold.reacted = reacted;
                self.branch_fold = Some(branch_fold);
                self.go_on();
                self.show(handle)?;
            }
            Ok(End::Cancelled) => {
                let mut records = SidecarWrites::new();
                records.remove(SidecarTable::Checkpoints, keys::next(&name));
                handle.write_records(records)?;
                let (current, _) = generations(&handle.reader()?.records(), &name)?;
                self.sweep(handle, &[current.map_or(0, |c| c.generation)])?;
            }
            Err(error) => {
                tracing::error!(%error, projection = name, "the rebuild stops");
                self.status.fail(error.to_string());
            }
        }
        building.task.end(end);
        Ok(())
    }

    /// Folds what is parked again: all, or one branch, session or key.
    pub(super) fn retry(&mut self, handle: &StoreHandle, of: Option<&str>) -> Result<Retried> {
        self.go_on();
        let Some(branch_fold) = &mut self.branch_fold else { return Ok(Retried::default()) };
        // Loads what is stored, so that has to be all there is.
        let mut records = branch_fold.take(true);
        put_current(&mut records, &branch_fold.built, &self.fold.name);
        handle.write_records(records.relaxed())?;
        let reader = handle.reader()?;
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
        self.show(handle)?;
        Ok(retried)
    }

    /// Removes every state and parking of generations that are not kept.
    fn sweep(&self, handle: &StoreHandle, kept: &[u32]) -> Result<()> {
        let name = &self.fold.name;
        for (table, prefix) in
            [(SidecarTable::Snapshots, keys::states(name)), (SidecarTable::Checkpoints, keys::parkings(name))]
        {
            let name_len = prefix.len() - 1;
            let mut after: Option<Vec<u8>> = None;
            loop {
                let view = handle.reader()?.records();
                let rows = SidecarRange {
                    after: after.as_deref(),
                    ..SidecarRange::under(&prefix, PROJECT_FLUSH_ROWS)
                };
                let found = view.rows(table, &rows)?;
                let mut records = SidecarWrites::new();
                let mut skip = None;
                for row in &found {
                    match keys::generation_at(name_len, &row.key) {
                        Some(generation) if kept.contains(&generation) => {
                            // Over all of it at once.
                            let end = [&prefix[..], &generation.to_be_bytes(), &[u8::MAX; 256]].concat();
                            skip = Some(end);
                            break;
                        }
                        _ => records.remove(table, row.key.clone()),
                    }
                }
                handle.write_records(records.relaxed())?;
                match (skip, found.last()) {
                    (Some(end), _) => after = Some(end),
                    (None, Some(last)) => after = Some(last.key.clone()),
                    (None, None) => break,
                }
            }
        }
        Ok(())
    }

    /// The store closes: a rebuild is left as it is, to be gone on with.
    pub(super) fn stop(self) {
        if let Some(building) = self.building {
            building.task.stopped.store(true, Ordering::Relaxed);
            let _ = building.thread.join();
            self.status.set_task(None);
            building.task.end(Err(closed()));
        }
    }
}

fn raise_one(handle: &StoreHandle, projection: &str, raise: Raise) -> Result<()> {
    let (place, id) = (raise.place.to_string(), raise.event.id());
    match raise.batch().and_then(|batch| handle.append(batch)) {
        Ok(_) => Ok(()),
        // Raised before, by a rule that said it otherwise then.
        Err(Error::Duplicate { .. }) => Ok(()),
        Err(error @ (Error::NotFound { .. } | Error::Invalid(_) | Error::TooLarge { .. })) => {
            tracing::warn!(%error, projection, place, %id, "an event could not be raised");
            Ok(())
        }
        Err(e) => Err(e),
    }
}
