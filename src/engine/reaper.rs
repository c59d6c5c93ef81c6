//! Deletes branches that are due to go. It is told of every commit, and knows when each branch was read that goes unless it is
//! used. A thread of its own, which begins with the first such branch, waits for the next that is due.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tracing::warn;

use super::branch::Branch;
use super::commit::Commit;
use super::expiry::{due, is_stale};
use super::get::{Get, Got};
use super::life::{BranchChange, Change};
use super::port::Engine;
use super::watch::{Committed, Watcher};
use crate::codec::{Attributes, IdleRow};
use crate::error::{Error, Result};
use crate::event::{Event, Place};
use crate::limits::{REAPED_BRANCHES, REAPER_AGAIN_MS, REAPER_LOOKS, REAPER_LOOKS_MS};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::time::{micros, wall_clock};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// A branch that goes by itself.
#[derive(Debug)]
struct Armed {
    place: Arc<Place>,
    /// As its row has them.
    expires: Option<i64>,
    idle: Option<IdleRow>,
    /// When it was used last.
    used: i64,
    /// When it is looked at next.
    looked_at: i64,
    /// How often it was due, and stayed.
    tries: u32,
}

impl Armed {
    /// When it goes, unless it is used until then.
    fn due(&self) -> i64 {
        let idle = self.idle.map(|row| IdleRow { used: row.used.max(self.used), ..row });
        due(&Attributes { expires: self.expires, idle, ..Attributes::default() }).unwrap_or(i64::MAX)
    }
}

/// Each branch by its number.
#[derive(Debug, Default)]
struct Waiting {
    armed: HashMap<u64, Armed>,
    named: HashMap<Arc<Place>, u64>,
    /// When each is looked at next.
    queue: BTreeSet<(i64, u64)>,
    /// Those whose last use is to be written.
    stale: BTreeSet<u64>,
    /// When that is done next.
    writes_at: i64,
    /// How many go unless they are used.
    idle: usize,
    engine: Option<Weak<dyn Engine>>,
    thread: Option<JoinHandle<()>>,
    ended: bool,
}

impl Waiting {
    /// Takes note of a branch as it is now.
    fn arm(&mut self, branch: &Branch) {
        let number = branch.number;
        let before = self.armed.remove(&number);
        if let Some(before) = &before {
            self.queue.remove(&(before.looked_at, number));
            self.idle -= usize::from(before.idle.is_some());
        }
        self.stale.remove(&number);
        let (place, attributes) = (branch.place.clone(), &branch.attributes);
        let Some(looked_at) = due(attributes) else {
            if self.named.get(&place) == Some(&number) {
                self.named.remove(&place);
            }
            return;
        };
        let used = before.map_or(i64::MIN, |before| before.used);
        let (expires, idle) = (attributes.expires, attributes.idle);
        self.idle += usize::from(idle.is_some());
        self.named.insert(place.clone(), number);
        self.queue.insert((looked_at, number));
        self.armed.insert(number, Armed { place, expires, idle, used, looked_at, tries: 0 });
    }

    /// Notes that it was used. Whether that is to be written.
    fn used(&mut self, number: u64, now: i64) -> bool {
        let Some(armed) = self.armed.get_mut(&number) else { return false };
        armed.used = armed.used.max(now);
        let used = armed.used;
        armed.idle.is_some_and(|row| is_stale(row, used)) && self.stale.insert(number)
    }

    /// What is to be done now, a part of it at a time.
    fn take(&mut self, now: i64) -> Vec<BranchChange> {
        let mut taken = Vec::new();
        for _ in 0..REAPER_LOOKS {
            let Some((at, number)) = self.queue.first().copied() else { break };
            if at > now || taken.len() >= REAPED_BRANCHES {
                break;
            }
            self.queue.pop_first();
            let Some(armed) = self.armed.get_mut(&number) else { continue };
            let due = armed.due();
            let is_due = due <= now;
            // If it is there after that, it is tried again, less and less often.
            armed.looked_at = if is_due { now.saturating_add(pause(armed.tries)) } else { due };
            armed.tries = if is_due { armed.tries.saturating_add(1) } else { 0 };
            self.queue.insert((armed.looked_at, number));
            if is_due {
                self.stale.remove(&number);
                taken.extend(self.change(number));
            }
        }
        if now >= self.writes_at && !self.stale.is_empty() {
            while taken.len() < REAPED_BRANCHES
                && let Some(number) = self.stale.pop_first()
            {
                taken.extend(self.change(number));
            }
            if self.stale.is_empty() {
                self.writes_at = now.saturating_add(pause(0));
            }
        }
        taken
    }

    fn change(&self, number: u64) -> Option<BranchChange> {
        let armed = self.armed.get(&number)?;
        let (place, number) = ((*armed.place).clone(), Some(number));
        Some(BranchChange { place, number, head: None, what: Change::Lapse })
    }

    /// Uses that are not written.
    fn unwritten(&self) -> Vec<BranchChange> {
        let is_unwritten = |armed: &Armed| armed.idle.is_some_and(|row| armed.used > row.used);
        let unwritten = self.armed.iter().filter(|(_, armed)| is_unwritten(armed));
        unwritten.filter_map(|(number, _)| self.change(*number)).collect()
    }

    /// When there is something to do next.
    fn next(&self) -> Option<i64> {
        let writes_at = (!self.stale.is_empty()).then_some(self.writes_at);
        self.queue.first().map(|(at, _)| *at).into_iter().chain(writes_at).min()
    }
}

/// Microseconds until something is tried again that failed so often before.
fn pause(tries: u32) -> i64 {
    let first = Duration::from_millis(REAPER_AGAIN_MS);
    micros(first.saturating_mul(1 << tries.min(16)).min(Duration::from_millis(REAPER_LOOKS_MS)))
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reaper {
    me: Weak<Self>,
    /// Whether there is a branch that goes by itself.
    is_armed: AtomicBool,
    /// Whether there is one that goes unless it is used.
    notes_use: AtomicBool,
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

impl Reaper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            is_armed: AtomicBool::new(false),
            notes_use: AtomicBool::new(false),
            waiting: Mutex::default(),
            woken: Condvar::new(),
        })
    }

    /// Takes these branches of an engine that was just opened, and deletes those that have been due meanwhile. Before that it is
    /// told of commits.
    pub(crate) fn begin(&self, engine: &Arc<dyn Engine>, found: &[Arc<Branch>]) {
        {
            let mut waiting = lock(&self.waiting);
            waiting.engine = Some(Arc::downgrade(engine));
            found.iter().for_each(|branch| waiting.arm(branch));
            self.note_armed(&waiting);
        }
        loop {
            let due = lock(&self.waiting).take(wall_clock());
            if due.is_empty() || reap(engine, due).is_break() {
                break;
            }
        }
        self.start(&mut lock(&self.waiting));
    }

    /// Ends it. Waits for its thread, which may be at a commit. Answers with the uses that are left to write.
    pub(crate) fn end(&self) -> Vec<BranchChange> {
        let thread = {
            let mut waiting = lock(&self.waiting);
            waiting.ended = true;
            waiting.thread.take()
        };
        self.woken.notify_all();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
        lock(&self.waiting).unwritten()
    }

    /// Somebody has read this.
    pub(crate) fn note(&self, get: &Get<'_>, got: &Result<Got>) {
        if !self.notes_use.load(Ordering::Relaxed) {
            return;
        }
        let now = wall_clock();
        let is_stale = match (get, got) {
            (Get::Events { branch, .. } | Get::Pieces { branch, .. }, _) => {
                lock(&self.waiting).used(branch.number, now)
            }
            (Get::OfSession { .. }, Ok(Got::Events(events))) => {
                let mut waiting = lock(&self.waiting);
                let runs = events.chunk_by(|a, b| a.place() == b.place());
                let places = runs.filter_map(|run| run.first()).map(Event::place);
                places.fold(false, |any, place| {
                    let number = waiting.named.get(place).copied();
                    number.is_some_and(|number| waiting.used(number, now)) || any
                })
            }
            _ => return,
        };
        if is_stale {
            self.woken.notify_all();
        }
    }

    /// When a branch was used last, as far as its row does not say.
    pub(crate) fn last_use(&self, number: u64) -> i64 {
        lock(&self.waiting).armed.get(&number).map_or(i64::MIN, |armed| armed.used)
    }

    fn note_armed(&self, waiting: &Waiting) {
        self.is_armed.store(!waiting.armed.is_empty(), Ordering::Relaxed);
        self.notes_use.store(waiting.idle > 0, Ordering::Relaxed);
    }

    /// Begins the thread, if there is something to wait for.
    fn start(&self, waiting: &mut MutexGuard<'_, Waiting>) {
        if waiting.ended || waiting.armed.is_empty() || waiting.thread.is_some() {
            return;
        }
        let engine = waiting.engine.as_ref().and_then(Weak::upgrade);
        let Some((me, engine)) = self.me.upgrade().zip(engine) else { return };
        let spawned = thread::Builder::new().name("retold-reaper".into()).spawn(move || me.run(&engine));
        match spawned {
            Ok(thread) => waiting.thread = Some(thread),
            // The next commit of such a branch tries it again.
            Err(e) => warn!(error = %e, "the thread retold-reaper cannot be started"),
        }
    }

    fn run(&self, engine: &Arc<dyn Engine>) {
        while let Some(due) = self.next() {
            if reap(engine, due).is_break() {
                return;
            }
        }
    }

    /// Waits for what is to be done; `None` at the end.
    fn next(&self) -> Option<Vec<BranchChange>> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.ended {
                return None;
            }
            let now = wall_clock();
            let due = waiting.take(now);
            if !due.is_empty() {
                return Some(due);
            }
            // A machine may sleep, and its clock be set.
            let longest = Duration::from_millis(REAPER_LOOKS_MS);
            let left = waiting.next().map(|at| Duration::from_micros(at.saturating_sub(now).unsigned_abs()));
            let pause = left.map_or(longest, |left| left.min(longest));
            let woken = self.woken.wait_timeout(waiting, pause);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Deletes these, as far as they are due. Breaks at the end of the engine.
fn reap(engine: &Arc<dyn Engine>, due: Vec<BranchChange>) -> ControlFlow<()> {
    let failed = match engine.commit(Commit::Change(due.clone())) {
        Ok(_) => return ControlFlow::Continue(()),
        Err(Error::Closed { .. }) => return ControlFlow::Break(()),
        Err(e) => e,
    };
    if due.len() > 1 && failed.is_damage() {
        // What is damaged keeps no other.
        return due.into_iter().try_for_each(|one| reap(engine, vec![one]));
    }
    warn!(error = %failed, "what has expired could not be deleted; it is tried again");
    ControlFlow::Continue(())
}

impl Watcher for Reaper {
    fn committed(&self, commit: &Committed<'_>) {
        let is_armed = self.is_armed.load(Ordering::Relaxed);
        let notes_use = self.notes_use.load(Ordering::Relaxed);
        let branches = commit.births().iter().chain(commit.changes());
        let mut branches = branches.filter(|branch| is_armed || branch.attributes.may_expire());
        let first = branches.next();
        if first.is_none() && !notes_use {
            return;
        }
        let mut waiting = lock(&self.waiting);
        let before = waiting.next();
        first.into_iter().chain(branches).for_each(|branch| waiting.arm(branch));
        let mut is_stale = false;
        if waiting.idle > 0 {
            let now = wall_clock();
            commit.own().for_each(|number| is_stale |= waiting.used(number, now));
        }
        self.note_armed(&waiting);
        self.start(&mut waiting);
        let is_sooner = waiting.next() != before;
        drop(waiting);
        if is_stale || is_sooner {
            self.woken.notify_all();
        }
    }

    fn closed(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::BranchRow;
    use crate::event::{BranchName, SessionId};

    fn branch(number: u64, attributes: Attributes) -> Branch {
        let place = Place::new(SessionId::new("s").unwrap(), BranchName::new(format!("b{number}")).unwrap());
        let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes };
        Branch::new(number, row, None)
    }

    fn idle(number: u64, after: u64, used: i64) -> Branch {
        branch(number, Attributes { idle: Some(IdleRow { after, used }), ..Attributes::default() })
    }

    fn at(number: u64, expires: i64) -> Branch {
        branch(number, Attributes { expires: Some(expires), ..Attributes::default() })
    }

    fn taken(waiting: &mut Waiting, now: i64) -> Vec<u64> {
        let number = |change: BranchChange| (change.what == Change::Lapse).then_some(change.number).flatten();
        waiting.take(now).into_iter().map(|change| number(change).unwrap()).collect()
    }

    #[test]
    fn each_is_taken_when_it_is_due_and_again_if_it_stays() {
        let mut waiting = Waiting::default();
        [at(1, 100), idle(2, 50, 100), at(3, 101)].iter().for_each(|branch| waiting.arm(branch));
        assert!(taken(&mut waiting, 99).is_empty());
        assert_eq!(taken(&mut waiting, 100), [1]);
        assert_eq!(taken(&mut waiting, 150), [3, 2]);
        // Less and less often.
        assert_eq!(waiting.next(), Some(100 + pause(0)));
        assert_eq!(taken(&mut waiting, 100 + pause(0)), [1]);
        assert_eq!(waiting.armed[&1].looked_at, 100 + pause(0) + pause(1));
        assert!(pause(0) < pause(1) && pause(40) == pause(50));
        // Gone, or staying for good.
        waiting.arm(&branch(1, Attributes { deleted: Some(1), ..at(1, 100).attributes.clone() }));
        waiting.arm(&branch(3, Attributes::default()));
        assert_eq!(taken(&mut waiting, 1 << 40), [2]);
        waiting.arm(&branch(2, Attributes::default()));
        assert_eq!((waiting.next(), waiting.idle, waiting.named.len()), (None, 0, 0));
    }

    #[test]
    fn what_is_used_is_due_later_and_its_use_is_written_now_and_then() {
        let mut waiting = Waiting::default();
        waiting.arm(&idle(1, 80, 100));
        waiting.arm(&idle(2, 80, 100));
        assert!(!waiting.used(1, 110) && !waiting.used(7, 110) && waiting.unwritten().len() == 1);
        assert!(waiting.used(1, 120) && !waiting.used(1, 121));
        assert_eq!((taken(&mut waiting, 121), waiting.armed[&1].used), (vec![1], 121));
        assert!(taken(&mut waiting, 121).is_empty());
        // It was written.
        waiting.arm(&idle(1, 80, 121));
        assert!(!waiting.used(1, 125));
        assert_eq!(taken(&mut waiting, 180), [2]);
        waiting.arm(&branch(2, Attributes::default()));
        assert_eq!((taken(&mut waiting, 204), waiting.next()), (vec![], Some(205)));
        assert_eq!(taken(&mut waiting, 205), [1]);
        // Uses of a while are written at once.
        let second = pause(0);
        waiting.arm(&branch(1, Attributes::default()));
        waiting.arm(&idle(3, 80_000_000, 0));
        waiting.arm(&idle(4, 80_000_000, 0));
        let now = 20 * second;
        assert!(waiting.used(3, now));
        assert_eq!(taken(&mut waiting, now), [3]);
        assert!(waiting.used(4, now + 1));
        assert_eq!((taken(&mut waiting, now + 1), waiting.next()), (vec![], Some(now + second)));
        assert_eq!(taken(&mut waiting, now + second), [4]);
    }

    #[test]
    fn whoever_has_the_name_is_used_by_a_read_of_the_session() {
        let (mut waiting, mut later) = (Waiting::default(), at(2, 100));
        waiting.arm(&at(1, 100));
        later.place = at(1, 100).place.clone();
        waiting.arm(&later);
        waiting.arm(&branch(1, Attributes { deleted: Some(1), ..Attributes::default() }));
        assert_eq!(waiting.named.get(&later.place), Some(&2));
    }

    #[test]
    fn many_are_taken_in_parts() {
        let mut waiting = Waiting::default();
        let many = REAPED_BRANCHES as u64 + 1;
        (1..=many).for_each(|number| waiting.arm(&at(number, 1)));
        assert_eq!(taken(&mut waiting, 1).len(), REAPED_BRANCHES);
        assert_eq!(taken(&mut waiting, 1), [many]);
    }
}
