//! A group of jobs becomes one commit: decided, written to the journal, synced, put in the tail, told, and only then
//! answered.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::ReadTransaction;
use tracing::{debug, error};

use super::branch::Branch;
use super::chunks::settled_event;
use super::db::Db;
use super::decide::{Facts, Known, Plan, Planned};
use super::durability::Durability;
use super::ids::{Beside, find_id, knows};
use super::layer::Layer;
use super::marks::write_marks;
use super::ring::Ring;
use super::settle::{ToFlush, settle_into};
use super::settler::Order;
use super::shared::Shared;
use super::sidecar::Marks;
use super::sync::{read, write};
use super::tail::Tail;
use super::trouble::{corrupt, guarded};
use super::view::settled_head;
use super::work::{Done, Job, Work, answer_all};
use crate::codec::{Counts, FrameBuilder};
use crate::error::{Error, Result};
use crate::event::{Event, EventId, Place, Position, Sequence, Timestamp};
use crate::limits::BRANCH_CACHE;

/// What only the holder of the writer's seat touches.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) next_branch: u64,
    ring: Ring,
    /// Settled heads that were asked for lately, as of so many settles.
    heads: RefCell<Remembered<u64>>,
    heads_of: u64,
    /// Branches whose last settled event is known to the index of ids.
    indexed: RefCell<Remembered<()>>,
    /// Since when something is committed that no sync has made durable.
    unsynced: Option<Instant>,
    /// Marks are committed that no sync has made durable.
    unsynced_marks: bool,
    last_group: usize,
    last_commit: Duration,
}

impl Core {
    pub(super) fn new(next_branch: u64, ring: Ring) -> Self {
        Self {
            next_branch,
            ring,
            heads: RefCell::default(),
            heads_of: 0,
            indexed: RefCell::default(),
            unsynced: None,
            unsynced_marks: false,
            last_group: 0,
            last_commit: Duration::ZERO,
        }
    }

    pub(super) fn next_commit(&self) -> u64 {
        self.ring.next()
    }

    pub(super) fn unsynced(&self) -> bool {
        self.unsynced.is_some()
    }

    pub(super) fn last_group(&self) -> usize {
        self.last_group
    }

    pub(super) fn last_commit(&self) -> Duration {
        self.last_commit
    }
}

/// The store as it stands before the group.
struct StoreFacts<'a> {
    shared: &'a Shared,
    db: &'a Db,
    tail: &'a Tail,
    core: &'a Core,
    txn: OnceCell<Arc<ReadTransaction>>,
    /// An id was looked up and not found: whether that can be believed depends on the index.
    looked_up: Cell<bool>,
}

impl StoreFacts<'_> {
    /// The index knows the last event of a branch, which is what a retry after a crash mostly repeats. Looked at once
    /// for each branch: damage comes between two runs.
    fn is_indexed(&self, branch: &Branch, head: u64) -> Result<()> {
        if self.core.indexed.borrow().get(&branch.number).is_some() {
            return Ok(());
        }
        let txn = self.txn()?;
        // An event that cannot be read says nothing of its id.
        if let Ok(event) = settled_event(&txn, branch.number, &branch.place, head, None)
            && !knows(&txn, branch.number, &event)?
        {
            let reason = "id index entry missing or wrong; a retry cannot be told from a new event";
            return Err(corrupt(event.address(), reason));
        }
        self.core.indexed.borrow_mut().keep(branch.number, ());
        Ok(())
    }

    fn txn(&self) -> Result<Arc<ReadTransaction>> {
        if let Some(txn) = self.txn.get() {
            return Ok(txn.clone());
        }
        let txn = Arc::new(self.db.begin_read()?);
        Ok(self.txn.get_or_init(|| txn).clone())
    }
}

impl Facts for StoreFacts<'_> {
    fn branch(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        self.shared.branches.find(place, self.tail, || self.txn())
    }

    fn head(&self, branch: &Branch) -> Result<u64> {
        if let Some(head) = self.tail.head(branch.number) {
            return Ok(head);
        }
        let kept = self.core.heads.borrow().get(&branch.number).copied();
        let head = match (kept, self.tail.born_number(branch.number)) {
            (Some(head), _) => head,
            (None, Some(_)) => branch.fork,
            (None, None) => settled_head(&*self.txn()?, branch.number)?.map_or(branch.fork, |row| row.head),
        };
        if self.looked_up.get() && head > branch.fork {
            self.is_indexed(branch, head)?;
        }
        self.core.heads.borrow_mut().keep(branch.number, head);
        Ok(head)
    }

    fn known(&self, id: EventId) -> Result<Option<Known>> {
        let known = |branch: u64, event: &Event| Known {
            branch,
            place: event.place().clone(),
            sequence: event.sequence().get(),
            position: event.position().get(),
            record: event.record().clone(),
        };
        if let Some(e) = self.tail.by_id(id) {
            return Ok(Some(known(e.branch, &e.event)));
        }
        if self.tail.max_settled_id().is_none_or(|max| id > max) {
            return Ok(None);
        }
        let txn = self.txn()?;
        let place = |number| Ok(self.shared.branches.by_number(number, self.tail, &txn)?.place.clone());
        let found = find_id(&txn, id, Beside::Near, place)?;
        self.looked_up.set(true);
        Ok(found.map(|(number, event)| known(number, &event)))
    }
}

/// What is remembered of branches, by number, until there are too many.
#[derive(Debug)]
struct Remembered<T>(HashMap<u64, T>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Remembered<T> {
    fn get(&self, branch: &u64) -> Option<&T> {
        self.0.get(branch)
    }

    fn keep(&mut self, branch: u64, value: T) {
        if self.0.len() >= BRANCH_CACHE {
            self.0.clear();
        }
        self.0.insert(branch, value);
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// How a group is to be written.
struct Wanted {
    now: Timestamp,
    durable: bool,
    force: bool,
    /// Some of the marks are to be durable.
    marks_last: bool,
}

/// Why a transaction did not go through.
struct Failed {
    error: Error,
    /// It failed in `commit` itself: it may be on the disk all the same.
    in_commit: bool,
}

impl Failed {
    fn in_commit(error: Error) -> Self {
        Self { error, in_commit: true }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, in_commit: false }
    }
}

impl Shared {
    /// Writes a group and answers each of its jobs. An error means that nothing more may be written: its reason.
    #[tracing::instrument(level = "debug", skip_all, fields(jobs = group.len()))]
    pub(super) fn commit(&self, core: &mut Core, group: Vec<Job>) -> Result<(), String> {
        let start = Instant::now();
        let now = Timestamp::now();
        let db = match self.db() {
            Ok(db) => db,
            Err(e) => {
                answer_all(group, |_| Err(e.clone()));
                return Ok(());
            }
        };
        let (plan, answers) = guarded(|| Ok(self.decide(core, &db, &group, now))).unwrap_or_else(|e| {
            (Plan::new(0, core.next_branch, now), group.iter().map(|_| Err(e.clone())).collect())
        });
        let accepted = group.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        // Under a steady load the thread that stands by for this never has the seat.
        let overdue = core.unsynced.is_some_and(|since| since.elapsed() >= self.options.relaxed_sync);
        let durable = overdue || accepted.map(|(job, _)| job.durability()).any(|d| d == Durability::Durable);
        let force = group.iter().any(|job| matches!(job.work, Work::Settle));
        let events = plan.events.len();
        let accepted = group.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let marks: Vec<&Marks> = accepted.clone().filter_map(|(job, _)| job.marks()).collect();
        let marks_last = marks.iter().any(|marks| marks.durability() == Durability::Durable);
        // Marks that came with events are written with them, in one transaction of the tables.
        let bound = !plan.is_empty() && accepted.clone().any(|(job, _)| job.binds_marks_to_events());
        let wanted = Wanted { now, durable, force: force || bound, marks_last };
        let outcome = self.write_plan(core, &db, plan, &marks, wanted);
        core.last_group = group.len();
        core.last_commit = start.elapsed();
        match outcome {
            Ok(settled) => {
                debug!(events, settled, "committed");
                let mut answers = answers.into_iter();
                answer_all(group, |_| answers.next().unwrap_or(Err(Error::Closed { after: None })));
                Ok(())
            }
            Err(Failed { error, in_commit }) => {
                error!(%error, in_commit, "a commit failed; the store takes no more");
                let reason = error.to_string();
                let told = if in_commit { Error::Unknown { reason: reason.clone() } } else { error };
                let mut answers = answers.into_iter();
                answer_all(group, |_| match answers.next() {
                    // What was decided without the group's own writes stands.
                    Some(Err(e @ (Error::Invalid(_) | Error::Corrupt { .. } | Error::NotFound { .. }))) => {
                        Err(e)
                    }
                    // A conflict may have been with a neighbour that is now in doubt.
                    _ => Err(told.clone()),
                });
                Err(reason)
            }
        }
    }

    /// What the thread does when nobody appends: settles the tail, or makes relaxed appends durable.
    pub(super) fn tidy_up(&self, core: &mut Core, settle: bool) -> Result<(), String> {
        let Ok(db) = self.db() else { return Ok(()) };
        let now = Timestamp::now();
        let plan = Plan::new(read(&self.tail).committed() + 1, core.next_branch, now);
        core.last_group = 0;
        let wanted = Wanted { now, durable: true, force: settle, marks_last: true };
        self.write_plan(core, &db, plan, &[], wanted).map(|_| ()).map_err(|f| f.error.to_string())
    }

    fn decide(&self, core: &mut Core, db: &Db, group: &[Job], now: Timestamp) -> (Plan, Vec<Result<Done>>) {
        let tail = read(&self.tail);
        if std::mem::replace(&mut core.heads_of, tail.settles()) != tail.settles() {
            core.heads.borrow_mut().clear();
        }
        let (txn, looked_up) = (OnceCell::new(), Cell::new(false));
        let facts = StoreFacts { shared: self, db, tail: &tail, core, txn, looked_up };
        let mut plan = Plan::new(tail.committed() + 1, core.next_branch, now);
        let answers = group
            .iter()
            .map(|job| match &job.work {
                Work::Append(prepared) => plan.append(prepared, &facts).map(Done::Appended),
                Work::Fork { parent, at, place } => {
                    plan.fork(parent, *at, place.clone(), &facts).map(Done::Forked)
                }
                Work::Marks(_) => Ok(Done::Marked),
                Work::Settle => Ok(Done::Settled),
            })
            .collect();
        (plan, answers)
    }

    /// `Ok(true)` when it settled.
    fn write_plan(
        &self,
        core: &mut Core,
        db: &Db,
        plan: Plan,
        marks: &[&Marks],
        Wanted { now, durable, force, marks_last }: Wanted,
    ) -> Result<bool, Failed> {
        if self.read_only() {
            return Err(Error::ReadOnly { path: self.name.clone() }.into());
        }
        self.note_settled(core)?;
        let frame = if plan.is_empty() { None } else { Some(frame_of(&plan, now)) };
        let too_large = frame.as_ref().is_some_and(|frame| !core.ring.takes(frame.len()));
        let idle = plan.is_empty() && read(&self.tail).is_empty();
        let settle = too_large || (force && !idle);
        // Refusals and retries write nothing, unless what is repeated was relaxed and now has to last.
        if plan.is_empty() && marks.is_empty() && !settle && !(durable && core.unsynced()) {
            return Ok(false);
        }
        let new = events_of(&plan, now);
        if settle {
            self.settle_all(core, db, &plan, &new, marks)?;
        } else {
            if let Some(frame) = &frame {
                self.make_room(core, frame.len())?;
                core.ring.write(frame).map_err(Failed::in_commit)?;
            }
            // What marks say of events never outlives the events.
            if durable || (!marks.is_empty() && core.unsynced()) {
                core.ring.sync().map_err(Failed::in_commit)?;
            }
            // An append does not wait for marks that came before it.
            self.write_marks(core, db, marks, durable && (plan.is_empty() || marks_last))?;
        }
        core.next_branch = plan.next_branch();
        core.unsynced = if durable || settle { None } else { core.unsynced.or_else(|| Some(Instant::now())) };
        self.publish(&plan, &new, settle);
        if !settle {
            self.hand_over(core);
        }
        Ok(settle)
    }

    /// Everything that is not in the tables, and the group, in one transaction.
    fn settle_all(
        &self,
        core: &mut Core,
        db: &Db,
        plan: &Plan,
        new: &[(u64, Event)],
        marks: &[&Marks],
    ) -> Result<(), Failed> {
        self.settler.wait();
        self.note_settled(core)?;
        let journal = core.ring.mark();
        guarded(|| {
            let txn = self.begin_tables(db, Durability::Durable, true)?;
            let tail = read(&self.tail);
            let old = tail.growing().events().iter().map(|e| ToFlush { branch: e.branch, event: &e.event });
            let items: Vec<ToFlush<'_>> =
                old.chain(new.iter().map(|(branch, event)| ToFlush { branch: *branch, event })).collect();
            let births: Vec<&Branch> = tail.births().chain(&plan.births).map(|b| &**b).collect();
            let counts = counted(tail.counts(), plan, new);
            settle_into(&txn, &items, &births, self.meta(&items, plan.next_branch(), counts, journal))?;
            marks.iter().try_for_each(|m| write_marks(&txn, m))?;
            Ok(txn)
        })
        .map_err(Failed::from)
        .and_then(|txn| txn.commit().map_err(Failed::in_commit))?;
        core.ring.release();
        core.unsynced_marks = false;
        Ok(())
    }

    /// Marks alone, in a transaction of their own; also the durable one that relaxed marks still wait for.
    fn write_marks(&self, core: &mut Core, db: &Db, marks: &[&Marks], durable: bool) -> Result<(), Failed> {
        if marks.is_empty() && !(durable && core.unsynced_marks) {
            return Ok(());
        }
        guarded(|| {
            let durability = if durable { Durability::Durable } else { Durability::Relaxed };
            let txn = self.begin_tables(db, durability, durable && self.options.fast_recovery)?;
            marks.iter().try_for_each(|m| write_marks(&txn, m))?;
            Ok(txn)
        })
        .map_err(Failed::from)
        .and_then(|txn| txn.commit().map_err(Failed::in_commit))?;
        core.unsynced_marks = !durable;
        Ok(())
    }

    /// Waits for the settler while the journal has no room, or the tail would hold more than twice its bound.
    fn make_room(&self, core: &mut Core, frame: usize) -> Result<(), Failed> {
        if core.ring.has_room(frame) && !self.is_full(read(&self.tail).growing()) {
            return Ok(());
        }
        self.settler.wait();
        self.note_settled(core)?;
        if !core.ring.has_room(frame) {
            self.hand_over_now(core);
            self.settler.wait();
            self.note_settled(core)?;
        }
        Ok(())
    }

    fn note_settled(&self, core: &mut Core) -> Result<(), Failed> {
        if self.settler.take_note()? {
            core.ring.release();
        }
        Ok(())
    }

    fn is_full(&self, layer: &Layer) -> bool {
        layer.events().len() > self.options.settle_events || layer.bytes() > self.options.settle_bytes
    }

    /// Gives the tail to the settler when it has grown enough, and the layer before is settled.
    fn hand_over(&self, core: &mut Core) {
        let due = core.ring.is_tight() || self.is_full(read(&self.tail).growing());
        if due && self.settler.is_idle() {
            self.hand_over_now(core);
        }
    }

    fn hand_over_now(&self, core: &mut Core) {
        let layer = write(&self.tail).freeze();
        self.settler.give(Order { layer, next_branch: core.next_branch, journal: core.ring.mark() });
    }

    fn publish(&self, plan: &Plan, new: &[(u64, Event)], settled: bool) {
        plan.births.iter().for_each(|b| self.branches.keep(b));
        let old = {
            let mut tail = write(&self.tail);
            if settled {
                let committed = tail.committed() + new.len() as u64;
                let counts = counted(tail.counts(), plan, new);
                let max_id = new.iter().map(|(_, e)| e.id()).max().max(tail.growing().max_id());
                let max_id = max_id.max(tail.max_settled_id());
                tail.clear(committed, max_id, counts)
            } else {
                let layer = tail.growing_mut();
                plan.births.iter().for_each(|b| layer.add_birth(b.clone()));
                new.iter().for_each(|(branch, event)| layer.push(*branch, event.clone()));
                Tail::default()
            }
        };
        // Freed outside the lock: a large tail takes its time.
        drop(old);
        if settled {
            self.recent.forget();
        }
        if let (Some(hook), false) = (self.hook.get(), new.is_empty()) {
            let events: Vec<Event> = new.iter().map(|(_, e)| e.clone()).collect();
            hook.committed(&events);
        }
        if let (Some(behind), false) = (self.behind.get(), new.is_empty()) {
            behind.committed();
        }
    }
}

/// What the store holds once this group is in it.
fn counted(mut counts: Counts, plan: &Plan, new: &[(u64, Event)]) -> Counts {
    plan.births.iter().for_each(|b| counts.add_branch(b.parent.is_some()));
    new.iter().for_each(|(_, event)| counts.add_event(event.payload().len()));
    counts
}

fn events_of(plan: &Plan, now: Timestamp) -> Vec<(u64, Event)> {
    let event = |e: &Planned| {
        let (sequence, position) = (Sequence::new(e.sequence), Position::new(e.position));
        let event = Event::new(e.branch.place.clone(), sequence, position, now, e.record.clone());
        (e.branch.number, event)
    };
    plan.events.iter().map(event).collect()
}

fn frame_of(plan: &Plan, now: Timestamp) -> Vec<u8> {
    let mut frame = FrameBuilder::new();
    plan.births.iter().for_each(|b| frame.birth(b.number, &b.row()));
    for e in &plan.events {
        frame.event(e.branch.number, e.sequence, e.record.encoded().clone());
    }
    let first = plan.events.first().map_or(0, |e| e.position);
    frame.finish(first, now.micros())
}
