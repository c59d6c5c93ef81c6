//! A group of jobs becomes one commit: decided, written to the journal, synced, added to the tail, announced to
//! observers, and only then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, error};

use super::facts::{KnownBranches, StoreFacts};
use super::work::{Done, Job, Work, answer_all};
use crate::codec::{FrameBuilder, StoreCounts};
use crate::engine::clock::Clock;
use crate::engine::decide::Plan;
use crate::engine::durability::Durability;
use crate::engine::file::contents::{Contents, TablesChange};
use crate::engine::file::disk::journal::{JournalFile, Ring};
use crate::engine::file::disk::place::FilePlace;
use crate::engine::file::flush::flusher::{FlushRequest, Flusher};
use crate::engine::file::flush::into_tables::{Flushed, ToFlush, flush_into};
use crate::engine::file::flush::meta::meta_after;
use crate::engine::file::in_memory::layer::Layer;
use crate::engine::file::read::file_reader::FileReader;
use crate::engine::file::record_layer::RecordLayer;
use crate::engine::file::redb_errors::guarded;
use crate::engine::file::tables::db::Db;
use crate::engine::sidecar::SidecarWrites;
use crate::engine::watch::Committed;
use crate::engine::watching::Watching;
use crate::error::{Error, Result};
use crate::event::{Event, Timestamp};
use crate::limits::MAX_FRAME_RECORDS;
use crate::sync::{Instant, fault};

/// Owns everything that is written: the journal's ring, the tail, and the tables. Whoever leads the writer holds it.
#[derive(Debug)]
pub(crate) struct Committer {
    contents: Arc<Contents>,
    ring: Ring,
    /// What the ring is read from.
    journal: JournalFile,
    flusher: Arc<Flusher>,
    watching: Arc<Watching>,
    next_branch: u64,
    known: KnownBranches,
    /// Since when a commit has been waiting for a sync.
    unsynced: Option<Instant>,
    clock: Clock,
    knows_last: bool,
    last_group: usize,
    last_commit: Duration,
}

impl Committer {
    pub(crate) fn new(
        contents: Arc<Contents>,
        (ring, journal): (Ring, JournalFile),
        flusher: Arc<Flusher>,
        watching: Arc<Watching>,
        next_branch: u64,
    ) -> Self {
        Self {
            contents,
            ring,
            journal,
            flusher,
            watching,
            next_branch,
            known: KnownBranches::default(),
            unsynced: None,
            clock: Clock::default(),
            knows_last: false,
            last_group: 0,
            last_commit: Duration::ZERO,
        }
    }

    pub(crate) fn next_commit(&self) -> u64 {
        self.ring.next()
    }

    pub(crate) fn journal(&self) -> &JournalFile {
        &self.journal
    }

    /// Moves into another file, which `make` has made to hold what the tables hold now. Returns the old one.
    pub(crate) fn change_file(
        &mut self,
        db: &Db,
        make: impl FnOnce() -> Result<NewFile>,
    ) -> Result<Db, NotMoved> {
        // What it has flushed is about the ring of the old file.
        self.flush_now().map_err(NotMoved::Failed)?;
        let new = make().map_err(NotMoved::Refused)?;
        self.contents.change_file(db, &new.db, new.place);
        (self.ring, self.journal, self.unsynced) = (new.ring, new.journal, None);
        match new.named {
            Ok(()) => Ok(new.db),
            Err(error) => {
                // After a power cut its name may lead to the old file: nothing may be recorded in the new one.
                self.watching.fail();
                Err(NotMoved::Failed(error.to_string()))
            }
        }
    }

    /// Moves everything into the tables, and waits for that.
    pub(crate) fn flush_now(&mut self) -> Result<(), String> {
        self.tidy_up(true)?;
        self.flusher.wait();
        self.note_flushed().map_err(|failed| failed.error.to_string())
    }

    pub(crate) fn watching(&self) -> &Watching {
        &self.watching
    }

    pub(crate) fn unsynced(&self) -> bool {
        self.unsynced.is_some()
    }

    /// Whether nothing outside the journal says yet that its last commit was acknowledged.
    pub(crate) fn is_unnoted(&self) -> bool {
        self.ring.is_unnoted()
    }

    /// Says it.
    pub(crate) fn note_last_commit(&mut self) -> Result<(), String> {
        self.ring.note_last_commit().map_err(|e| e.to_string())
    }

    pub(crate) fn last_group(&self) -> usize {
        self.last_group
    }

    pub(crate) fn last_commit(&self) -> Duration {
        self.last_commit
    }

    /// Blocks until nothing is being flushed.
    pub(crate) fn wait_for_flush(&self) {
        self.flusher.wait();
    }

    /// Writes a group and answers each of its jobs. An error is the reason why nothing more may be written.
    pub(crate) fn commit(&mut self, mut group: Vec<Job>) -> Result<(), String> {
        let _span = tracing::debug_span!("commit", jobs = group.len()).entered();
        let start = Instant::now();
        if let Err(lost) = self.contents.in_place() {
            // What was acknowledged before still moves into the tables.
            group = refused(group, &lost, |job| matches!(job.work, Work::Commit(_)));
        }
        if let Err(full) = self.contents.has_space(self.flusher.is_busy()) {
            // What consumers and timers have done fits into what is there.
            group = refused(group, &full, Job::is_append);
        }
        if group.is_empty() {
            return Ok(());
        }
        let db = match self.contents.db() {
            Ok(db) => db,
            Err(e) => {
                answer_all(group, |_| Err(e.clone()));
                return Ok(());
            }
        };
        let now = self.now(&db);
        let (plan, answers) = guarded(|| Ok(self.decide(&db, &group, now))).unwrap_or_else(|e| {
            (Plan::new(0, self.next_branch, now), group.iter().map(|_| Err(e.clone())).collect())
        });
        let accepted = group.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        // Under a steady load the standby thread, which does this otherwise, never leads.
        let overdue =
            self.unsynced.is_some_and(|since| since.elapsed() >= self.contents.options.relaxed_sync);
        let durable = overdue || accepted.map(|(job, _)| job.durability()).any(|d| d == Durability::Durable);
        let force = group.iter().any(|job| matches!(job.work, Work::Flush));
        let events = plan.events.len();
        let accepted = group.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        // What a commit only expects of records was decided.
        let changed = |records: &&SidecarWrites| records.changes();
        let records: Vec<&SidecarWrites> =
            accepted.filter_map(|(job, _)| job.records()).filter(changed).collect();
        let wanted = Wanted { now, durable, force };
        let outcome = self.write_plan(&db, plan, &records, wanted);
        self.last_group = group.len();
        self.last_commit = start.elapsed();
        match outcome {
            Ok(flushed) => {
                debug!(events, flushed, "committed");
                let mut answers = answers.into_iter();
                answer_all(group, |_| answers.next().unwrap_or(Err(Error::Closed { after: None })));
                Ok(())
            }
            Err(Failed { error, in_commit }) => {
                error!(%error, in_commit, "a commit failed; the store accepts no more writes");
                // First this: whoever gets an answer may ask at once where to go with the next commit.
                self.watching.fail();
                let reason = error.to_string();
                let shared = if in_commit { Error::Unknown { reason: reason.clone() } } else { error };
                let mut answers = answers.into_iter();
                answer_all(group, |_| match answers.next() {
                    // Answers that do not depend on what the group wrote stand.
                    Some(Err(e @ (Error::Invalid(_) | Error::Corrupt { .. } | Error::NotFound { .. }))) => {
                        Err(e)
                    }
                    // It may have conflicted with a neighbour whose outcome is now unknown.
                    _ => Err(shared.clone()),
                });
                Err(reason)
            }
        }
    }

    /// The time to record at, not before that of the last event. That event is looked up once.
    fn now(&mut self, db: &Arc<Db>) -> Timestamp {
        if !self.knows_last {
            let reader = FileReader { contents: self.contents.clone(), db: db.clone() };
            // An unreadable event says nothing about its time.
            let last = guarded(|| reader.last_recorded());
            self.knows_last = last.as_ref().err().is_none_or(Error::is_damage);
            if let Ok(Some(recorded)) = last {
                self.clock.next(recorded);
            }
        }
        self.clock.next(Timestamp::now())
    }

    /// What the thread does when nobody appends: flushes the tail, or makes relaxed appends durable.
    pub(crate) fn tidy_up(&mut self, flush: bool) -> Result<(), String> {
        let Ok(db) = self.contents.db() else { return Ok(()) };
        let now = Timestamp::now();
        let plan = Plan::new(self.contents.own_tail().committed() + 1, self.next_branch, now);
        self.last_group = 0;
        let wanted = Wanted { now, durable: true, force: flush };
        self.write_plan(&db, plan, &[], wanted).map(|_| ()).map_err(|f| f.error.to_string())
    }

    fn decide(&mut self, db: &Db, group: &[Job], now: Timestamp) -> (Plan, Vec<Result<Done>>) {
        let tail = self.contents.own_tail();
        self.known.as_of(tail.flushes());
        let facts = StoreFacts::new(&self.contents, db, &tail, &self.known);
        let mut plan = Plan::new(tail.committed() + 1, self.next_branch, now);
        let records = group.iter().filter_map(Job::records);
        // One alone finds the records of the store as they stand.
        if records.clone().nth(1).is_some() {
            plan = plan.looks_at(records);
        }
        let answers = group
            .iter()
            .map(|job| match &job.work {
                Work::Commit(commit) => plan.take(commit, &facts).map(Done::Committed),
                Work::Flush => Ok(Done::Flushed),
            })
            .collect();
        (plan, answers)
    }

    /// `Ok(true)` if it flushed.
    fn write_plan(
        &mut self,
        db: &Db,
        plan: Plan,
        records: &[&SidecarWrites],
        Wanted { now, durable, force }: Wanted,
    ) -> Result<bool, Failed> {
        self.contents.writable()?;
        self.note_flushed()?;
        let is_nothing = plan.is_empty() && records.is_empty();
        let frame = if is_nothing { None } else { Some(frame_of(&plan, records, now)) };
        let rows: usize = records.iter().map(|records| records.len()).sum();
        let too_large =
            rows > MAX_FRAME_RECORDS || frame.as_ref().is_some_and(|frame| !self.ring.takes(frame.len()));
        let idle = is_nothing && self.contents.own_tail().is_empty();
        let flush = too_large || (force && !idle);
        // Refusals and retries write nothing, unless a relaxed append is retried as a durable one.
        if is_nothing && !flush && !(durable && self.unsynced()) {
            return Ok(false);
        }
        let new = plan.recorded();
        if plan.changes_branches() {
            self.contents.changes();
        }
        if flush {
            self.flush_all(db, &plan, &new, records)?;
        } else {
            if let Some(frame) = &frame {
                self.make_room(frame.len())?;
                self.ring.write(frame).map_err(Failed::in_commit)?;
            }
            if durable && !fault!(AnswersBeforeSync) {
                self.ring.sync().map_err(Failed::in_commit)?;
            }
        }
        self.next_branch = plan.next_branch();
        self.unsynced = if durable || flush { None } else { self.unsynced.or_else(|| Some(Instant::now())) };
        fault!(ToldBeforeReadable, {
            self.watching.committed(&Committed::new(&plan.births, &new, records));
            (0..8).for_each(|_| crate::sync::point());
        });
        if !flush {
            self.publish(&plan, &new, records);
        }
        if !is_nothing && !fault!(ToldBeforeReadable) {
            let commit = Committed::new(&plan.births, &new, records);
            self.watching.committed(&commit.with_changes(&plan.changes));
        }
        if !flush {
            self.hand_over();
        }
        Ok(flush)
    }

    /// Writes everything that is not in the tables yet, and the group, in one transaction.
    fn flush_all(
        &mut self,
        db: &Db,
        plan: &Plan,
        new: &[(u64, Event)],
        records: &[&SidecarWrites],
    ) -> Result<(), Failed> {
        self.flusher.wait();
        self.note_flushed()?;
        let journal = self.ring.mark();
        let mut own = RecordLayer::default();
        put_all(&mut own, records);
        let txn = guarded(|| {
            let txn = self.contents.change_tables(db, true)?;
            let tail = self.contents.own_tail();
            let mut flushed = Flushed::default();
            flushed.add(tail.growing());
            flushed.items.extend(new.iter().map(|(branch, event)| ToFlush { branch: *branch, event }));
            flushed.births.extend(plan.births.iter().map(|b| &**b));
            flushed.changes.extend(plan.changes.iter().map(|b| &**b));
            flushed.records.push(&own);
            let counts = counted(tail.counts(), plan, new);
            let meta = meta_after(&txn, &flushed, tail.flushed(), plan.next_branch(), counts, journal)?;
            flush_into(&txn, &flushed, meta)?;
            Ok(txn)
        })?;
        let is_nothing = new.is_empty() && own.is_empty() && plan.is_empty();
        let mut txn = Some(txn);
        let mut commit = || txn.take().map_or(Ok(()), TablesChange::commit).map_err(Failed::in_commit);
        if is_nothing {
            // What the tables have then, the tail has too.
            commit()?;
        }
        let old = {
            // Held over a commit that has something of its own: a reader sees all of it in the tables, or nothing.
            let mut tail = self.contents.own_tail_mut();
            commit()?;
            let committed = tail.committed() + new.len() as u64;
            let counts = counted(tail.counts(), plan, new);
            let max_id = new.iter().map(|(_, e)| e.id()).max().max(tail.growing().max_id());
            let max_id = max_id.max(tail.max_flushed_id());
            let old = tail.clear(committed, max_id, counts);
            plan.changes.iter().for_each(|b| self.contents.branches.keep(b));
            old
        };
        plan.births.iter().for_each(|b| self.contents.branches.keep(b));
        // Freed outside the lock, because a large tail takes time.
        drop(old);
        self.contents.recent.forget();
        self.ring.release();
        Ok(())
    }

    /// Waits for the flusher while the journal has no room, or the tail would exceed twice its bound.
    fn make_room(&mut self, frame: usize) -> Result<(), Failed> {
        if self.ring.has_room(frame) && !self.is_full(self.contents.own_tail().growing()) {
            return Ok(());
        }
        self.flusher.wait();
        self.note_flushed()?;
        if !self.ring.has_room(frame) {
            self.hand_over_now();
            self.flusher.wait();
            self.note_flushed()?;
        }
        Ok(())
    }

    fn note_flushed(&mut self) -> Result<(), Failed> {
        if self.flusher.take_note()? {
            self.ring.release();
        }
        Ok(())
    }

    fn is_full(&self, layer: &Layer) -> bool {
        layer.events().len().max(layer.records().count()) > self.contents.options.flush_events
            || layer.bytes() > self.contents.options.flush_bytes
    }

    /// Hands the tail to the flusher if it has grown enough and the previous layer is flushed.
    fn hand_over(&mut self) {
        let due = self.ring.is_tight() || self.is_full(self.contents.own_tail().growing());
        if due && self.flusher.is_idle() {
            self.hand_over_now();
        }
    }

    fn hand_over_now(&mut self) {
        let layer = self.contents.own_tail_mut().freeze();
        self.flusher.give(FlushRequest { layer, next_branch: self.next_branch, journal: self.ring.mark() });
    }

    fn publish(&self, plan: &Plan, new: &[(u64, Event)], records: &[&SidecarWrites]) {
        let mut tail = self.contents.own_tail_mut();
        let layer = tail.growing_mut();
        plan.births.iter().for_each(|b| layer.add_birth(b.clone()));
        plan.changes.iter().for_each(|b| layer.add_change(b.clone(), b.deleted().is_some()));
        // While the tail is held, nobody is about to keep what was there before.
        plan.births.iter().chain(&plan.changes).for_each(|b| self.contents.branches.keep(b));
        new.iter().for_each(|(branch, event)| layer.push(*branch, event.clone()));
        put_all(layer.records_mut(), records);
    }
}

/// Answers some jobs of a group with an error, and leaves the others.
fn refused(group: Vec<Job>, error: &Error, which: impl Fn(&Job) -> bool) -> Vec<Job> {
    let (refused, rest) = group.into_iter().partition(which);
    answer_all(refused, |_| Err(error.clone()));
    rest
}

/// How a group is to be written.
struct Wanted {
    now: Timestamp,
    durable: bool,
    force: bool,
}

/// A file that takes the place of the store's.
pub(crate) struct NewFile {
    pub(crate) db: Db,
    pub(crate) ring: Ring,
    pub(crate) journal: JournalFile,
    pub(crate) place: FilePlace,
    /// Whether its name is known to be on the disk.
    pub(crate) named: Result<()>,
}

/// Why a store did not move into another file.
pub(crate) enum NotMoved {
    /// Nothing has changed.
    Refused(Error),
    /// Nothing more may be written.
    Failed(String),
}

/// Why a transaction failed.
struct Failed {
    error: Error,
    /// It failed while committing, so it may be on disk all the same.
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

/// Counts of the store once this group is in it.
fn counted(mut counts: StoreCounts, plan: &Plan, new: &[(u64, Event)]) -> StoreCounts {
    plan.births.iter().for_each(|b| counts.add_branch(b.parent.is_some()));
    let gone = plan.births.iter().chain(&plan.changes).filter(|b| b.deleted().is_some());
    gone.for_each(|b| counts.remove_branch(b.parent.is_some()));
    new.iter().for_each(|(_, event)| counts.add_event(event.payload().len()));
    counts
}

/// What a group makes of records.
fn put_all(layer: &mut RecordLayer, records: &[&SidecarWrites]) {
    for (table, key, value) in records.iter().flat_map(|records| records.rows()) {
        layer.put(table, Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
    }
}

fn frame_of(plan: &Plan, records: &[&SidecarWrites], now: Timestamp) -> Vec<u8> {
    let mut frame = FrameBuilder::new();
    for (table, key, value) in records.iter().flat_map(|records| records.rows()) {
        frame.beside(table.number(), key, value);
    }
    plan.births.iter().for_each(|b| frame.birth(b.number, &b.row()));
    // One that began in this group counts as changed too: a release that does not know what becomes of branches stops there.
    let changed = plan.births.iter().filter(|b| !b.attributes.is_empty()).chain(&plan.changes);
    changed.for_each(|b| frame.change(b.number, &b.row()));
    for e in &plan.events {
        frame.event(e.branch.number, e.sequence, e.record.encoded().clone());
    }
    let first = plan.events.first().map_or(0, |e| e.position);
    frame.finish(first, now.micros())
}
