//! A group of jobs becomes one transaction: decided, written, committed, put in the tail, told, and only then
//! answered.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{ReadTransaction, WriteTransaction};
use tracing::{debug, error};

use super::append::{Durability, Facts, Known, Plan};
use super::branch::Branch;
use super::read::{settled_event, settled_head};
use super::settle::{Item, settle_into};
use super::shared::{Db, Shared};
use super::sync::{read, write};
use super::tables::{IDS, JOURNAL};
use super::tail::Tail;
use super::trouble::{Trouble, guarded};
use super::writer::{Done, Job, Work, answer_all};
use crate::codec::{Counts, FrameBuilder};
use crate::error::{Error, Result};
use crate::event::{Event, EventId, Place, Position, Sequence, Timestamp};
use crate::limits::{BRANCH_CACHE, DIRECT_RUN_EVENTS};

/// What only the holder of the writer's seat touches.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) next_branch: u64,
    /// Number of the next row of the journal.
    pub(super) next_commit: u64,
    /// No settled event has a larger id.
    pub(super) max_id: Option<EventId>,
    /// Settled heads that were asked for lately.
    heads: RefCell<HashMap<u64, u64>>,
    /// Since when something is committed that no sync has made durable.
    unsynced: Option<Instant>,
    last_group: usize,
    last_commit: Duration,
}

impl Core {
    pub(super) fn new(next_branch: u64, next_commit: u64, max_id: Option<EventId>) -> Self {
        Self {
            next_branch,
            next_commit,
            max_id,
            heads: RefCell::default(),
            unsynced: None,
            last_group: 0,
            last_commit: Duration::ZERO,
        }
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
}

impl StoreFacts<'_> {
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
        if let Some(head) = self.core.heads.borrow().get(&branch.number) {
            return Ok(*head);
        }
        let head = match self.tail.born_number(branch.number) {
            Some(_) => branch.fork,
            None => settled_head(&*self.txn()?, branch.number)?.map_or(branch.fork, |row| row.head),
        };
        self.core.keep_head(branch.number, head);
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
        if self.core.max_id.is_none_or(|max| id > max) {
            return Ok(None);
        }
        let txn = self.txn()?;
        let Some((number, sequence)) =
            txn.open_table(IDS).told()?.get(id.bytes()).told()?.map(|row| row.value())
        else {
            return Ok(None);
        };
        let branch = self.shared.branches.by_number(number, self.tail, &txn)?;
        let event = settled_event(&txn, number, &branch.place, sequence, Some(id))?;
        Ok(Some(known(number, &event)))
    }
}

impl Core {
    fn keep_head(&self, branch: u64, head: u64) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() >= BRANCH_CACHE {
            heads.clear();
        }
        heads.insert(branch, head);
    }
}

/// Why a transaction did not go through.
struct Failed {
    error: Error,
    /// It failed in `commit` itself: it may be on the disk all the same.
    in_commit: bool,
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
        let outcome = self.write_plan(core, &db, plan, now, durable, force);
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
        self.write_plan(core, &db, plan, now, true, settle).map(|_| ()).map_err(|f| f.error.to_string())
    }

    fn decide(&self, core: &Core, db: &Db, group: &[Job], now: Timestamp) -> (Plan, Vec<Result<Done>>) {
        let tail = read(&self.tail);
        let facts = StoreFacts { shared: self, db, tail: &tail, core, txn: OnceCell::new() };
        let mut plan = Plan::new(tail.committed() + 1, core.next_branch, now);
        let answers = group
            .iter()
            .map(|job| match &job.work {
                Work::Append(prepared) => plan.append(prepared, &facts).map(Done::Appended),
                Work::Fork { parent, at, place } => {
                    plan.fork(parent, *at, place.clone(), &facts).map(Done::Forked)
                }
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
        now: Timestamp,
        durable: bool,
        force: bool,
    ) -> Result<bool, Failed> {
        let Db::Writable(Some(db)) = db else {
            return Err(Error::ReadOnly { path: self.name.clone() }.into());
        };
        let settle = {
            let tail = read(&self.tail);
            let idle = plan.is_empty() && tail.is_empty();
            !idle && (force || self.is_time_to_settle(&tail, &plan))
        };
        // Refusals and retries write nothing, unless what is repeated was relaxed and now has to last.
        if plan.is_empty() && !settle && !(durable && core.unsynced()) {
            return Ok(false);
        }
        let durable = durable || settle;
        let new: Vec<(u64, Event)> = plan
            .events
            .iter()
            .map(|e| {
                let (sequence, position) = (Sequence::new(e.sequence), Position::new(e.position));
                let event = Event::new(e.branch.place.clone(), sequence, position, now, e.record.clone());
                (e.branch.number, event)
            })
            .collect();
        let mut max_id = core.max_id;
        guarded(|| {
            let mut txn = db.begin_write().told()?;
            let level = if durable { redb::Durability::Immediate } else { redb::Durability::None };
            txn.set_durability(level).told()?;
            txn.set_two_phase_commit(self.options.two_phase);
            txn.set_quick_repair(durable && (settle || self.options.fast_recovery));
            if settle {
                max_id = self.write_settle(core, &txn, &plan, &new)?;
            } else if !plan.is_empty() {
                write_journal(core.next_commit, &txn, &plan, now)?;
            }
            Ok(txn)
        })
        .map_err(Failed::from)
        .and_then(|txn| guarded(|| txn.commit().told()).map_err(|error| Failed { error, in_commit: true }))?;

        core.next_branch = plan.next_branch();
        core.unsynced = if durable { None } else { core.unsynced.or_else(|| Some(Instant::now())) };
        core.max_id = max_id;
        if settle {
            core.next_commit = 1;
            core.heads.borrow_mut().clear();
        } else if !plan.is_empty() {
            core.next_commit += 1;
        }
        self.publish(&plan, &new, settle);
        Ok(settle)
    }

    fn is_time_to_settle(&self, tail: &Tail, plan: &Plan) -> bool {
        let bytes: usize = plan.events.iter().map(|e| e.record.encoded().len()).sum();
        if tail.len() + plan.events.len() > self.options.settle_events
            || tail.bytes() + bytes > self.options.settle_bytes
        {
            return true;
        }
        // A long run goes to chunks at once, unless it would drag along a tail that is large beside it.
        let mut run = (0, 0usize);
        let long = plan.events.iter().any(|e| {
            run = if run.0 == e.branch.number { (run.0, run.1 + 1) } else { (e.branch.number, 1) };
            run.1 >= DIRECT_RUN_EVENTS
        });
        long && bytes >= tail.bytes() / 4
    }

    /// Everything in the tail and the group, into the tables. Answers the largest settled id.
    fn write_settle(
        &self,
        core: &Core,
        txn: &WriteTransaction,
        plan: &Plan,
        new: &[(u64, Event)],
    ) -> Result<Option<EventId>> {
        let tail = read(&self.tail);
        let old = tail.events().iter().map(|e| Item { branch: e.branch, event: &e.event });
        let items: Vec<Item<'_>> =
            old.chain(new.iter().map(|(branch, event)| Item { branch: *branch, event })).collect();
        let births: Vec<&Branch> = tail.births().chain(&plan.births).map(|b| &**b).collect();
        let counts = counted(tail.counts(), plan, new);
        settle_into(txn, self, &items, &births, (plan.next_branch(), counts))?;
        Ok(items.iter().map(|i| i.event.id()).max().max(core.max_id))
    }

    fn publish(&self, plan: &Plan, new: &[(u64, Event)], settled: bool) {
        plan.births.iter().for_each(|b| self.branches.keep(b));
        let old = {
            let mut tail = write(&self.tail);
            if settled {
                let committed = tail.committed() + new.len() as u64;
                let counts = counted(tail.counts(), plan, new);
                std::mem::replace(&mut *tail, Tail::new(committed, counts))
            } else {
                plan.births.iter().for_each(|b| tail.add_birth(b.clone()));
                new.iter().for_each(|(branch, event)| tail.push(*branch, event.clone()));
                Tail::default()
            }
        };
        // Freed outside the lock: a large tail takes its time.
        drop(old);
        if let (Some(hook), false) = (self.hook.get(), new.is_empty()) {
            let events: Vec<Event> = new.iter().map(|(_, e)| e.clone()).collect();
            hook.committed(&events);
        }
    }
}

/// What the store holds once this group is in it.
fn counted(mut counts: Counts, plan: &Plan, new: &[(u64, Event)]) -> Counts {
    plan.births.iter().for_each(|b| counts.add_branch(b.parent.is_some()));
    new.iter().for_each(|(_, event)| counts.add_event(event.payload().len()));
    counts
}

fn write_journal(commit: u64, txn: &WriteTransaction, plan: &Plan, now: Timestamp) -> Result<()> {
    let mut frame = FrameBuilder::new();
    plan.births.iter().for_each(|b| frame.birth(b.number, &b.row()));
    for e in &plan.events {
        frame.event(e.branch.number, e.sequence, e.record.encoded().clone());
    }
    let first = plan.events.first().map_or(0, |e| e.position);
    let row = frame.finish(first, now.micros());
    txn.open_table(JOURNAL).told()?.insert(commit, row.as_slice()).told()?;
    Ok(())
}
