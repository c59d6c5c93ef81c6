//! Filling a generation of states from the events: beside the one that is read, by session and in parallel where
//! states are of branches or sessions, in global order where they are of keys. What is written can be gone on with.

use std::any::Any;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::apply::Fold;
use super::damage::{Damage, own_events};
use super::fold::Scope;
use super::keys::{self, Built, to_json};
use super::lane::Lane;
use super::read::{Source, Stop};
use super::task::{End, Task, closed};
use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::limits::{
    PROJECT_FLUSH_BYTES, PROJECT_FLUSH_MS, PROJECT_FLUSH_ROWS, PROJECT_PAGE, REBUILD_THREADS,
};
use crate::panics::said;
use crate::store::{Positions, SidecarTable, StoreHandle};

/// Sessions that are listed at once.
const LISTED: usize = 256;
/// Rows that one thread gathers before it writes them: every thread has as many in memory.
const ROWS: usize = PROJECT_FLUSH_ROWS / REBUILD_THREADS;

/// Folds everything up to the target. Events that come meanwhile are for the runner.
pub(super) fn build(desk: &StoreHandle, fold: &Arc<Fold>, next: &Built, task: &Task) -> Result<End> {
    let target = next.target.unwrap_or(0);
    task.total.store(target, Ordering::Relaxed);
    match next.scope {
        Scope::Key => in_order(desk, fold, next, target, task)?,
        Scope::Branch | Scope::Session => by_session(desk, fold, next, target, task)?,
    }
    if task.stopped.load(Ordering::Relaxed) {
        return Err(closed());
    }
    Ok(if task.cancelled.load(Ordering::Relaxed) { End::Cancelled } else { End::Done })
}

/// Sessions, handed out to whoever asks.
struct Sessions {
    page: std::vec::IntoIter<SessionId>,
    last: Option<SessionId>,
    ended: bool,
}

impl Sessions {
    fn next(&mut self, desk: &StoreHandle) -> Result<Option<SessionId>> {
        if let Some(session) = self.page.next() {
            return Ok(Some(session));
        }
        if self.ended {
            return Ok(None);
        }
        let page = desk.reader()?.session_names(self.last.as_ref(), LISTED)?;
        self.ended = page.len() < LISTED;
        self.last = page.last().cloned().or(self.last.take());
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

fn by_session(desk: &StoreHandle, fold: &Arc<Fold>, next: &Built, target: u64, task: &Task) -> Result<()> {
    let sessions = Mutex::new(Sessions { page: Vec::new().into_iter(), last: None, ended: false });
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(REBUILD_THREADS));
    let work = || -> Result<()> {
        let mut worker = Worker::new(desk, fold, next, target, task)?;
        while task.is_wanted() {
            let next = sessions.lock().unwrap_or_else(PoisonError::into_inner).next(desk)?;
            match next {
                Some(session) if fold.scope == Scope::Branch => worker.branches(&session)?,
                Some(session) => worker.session(&session)?,
                None => break,
            }
        }
        worker.write()
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut ended = work();
        for other in others {
            let panicked = |panic: Box<dyn Any + Send>| {
                Err(Error::storage(format!("a thread of the rebuild panicked: {}", said(&*panic))))
            };
            let found = other.join().unwrap_or_else(panicked);
            ended = ended.and(found);
        }
        ended
    })
}

struct Worker<'a> {
    desk: &'a StoreHandle,
    fold: &'a Arc<Fold>,
    next: &'a Built,
    target: u64,
    task: &'a Task,
    lane: Lane,
}

impl<'a> Worker<'a> {
    fn new(
        desk: &'a StoreHandle,
        fold: &'a Arc<Fold>,
        next: &'a Built,
        target: u64,
        task: &'a Task,
    ) -> Result<Self> {
        let lane = Self::lane(desk, fold, next)?;
        Ok(Self { desk, fold, next, target, task, lane })
    }

    fn lane(desk: &StoreHandle, fold: &Arc<Fold>, next: &Built) -> Result<Lane> {
        let mut lane = Lane::new(&desk.reader()?, fold.clone(), next.clone())?;
        lane.reacted = u64::MAX;
        Ok(lane)
    }

    /// Every branch of a session; a parent comes before those that were forked from it.
    fn branches(&mut self, session: &SessionId) -> Result<()> {
        let reader = self.desk.reader()?;
        let mut branches = reader.branches_of(session)?;
        branches.sort_by_key(|branch| branch.number);
        let several = branches.len() > 1;
        for branch in branches {
            // Where an earlier attempt has ended.
            let source = Source::of(&reader, self.fold, self.next.clone())?;
            let done = source.nearest(&branch, u64::MAX)?.own().unwrap_or(branch.fork);
            drop(source);
            self.task.add(done - branch.fork);
            let (task, lane) = (self.task, &mut self.lane);
            let mut gathered = 0;
            let ended = own_events(&reader, &branch, done, self.target, |event| {
                gathered += 1;
                if gathered % PROJECT_PAGE as u64 == 0 {
                    task.add(PROJECT_PAGE as u64);
                    if !task.is_wanted() {
                        return Err(closed());
                    }
                    let (rows, bytes) = lane.waiting();
                    if rows >= ROWS || bytes >= PROJECT_FLUSH_BYTES {
                        self.desk.mark(lane.take(false).relaxed())?;
                    }
                }
                lane.take_branch(&reader, &branch, event)
            })
            .or_else(|e| if task.is_wanted() { Err(e) } else { Ok(None) })?;
            if let Some(damage) = ended {
                lane.park_unreadable(&branch, &damage);
            }
            task.add(gathered % PROJECT_PAGE as u64);
            if !task.is_wanted() {
                return Ok(());
            }
            // What is forked from it begins with its snapshots.
            if several {
                self.write()?;
            }
        }
        self.write_if_full()
    }

    /// All branches of a session as one; its state is written once it is complete.
    fn session(&mut self, session: &SessionId) -> Result<()> {
        let reader = self.desk.reader()?;
        let source = Source::of(&reader, self.fold, self.next.clone())?;
        let (task, lane) = (self.task, &mut self.lane);
        let done = source.stored(session.as_str(), None)?.0.at;
        let mut last = 0;
        let folded = source.each_of(session.as_str(), 0, self.target, |event| {
            task.add(1);
            last = event.position().get();
            if !task.is_wanted() {
                return Err(closed().into());
            }
            // An earlier attempt has it: only counted.
            if event.position().get() <= done {
                return Ok(());
            }
            lane.take_key(&reader, event).map_err(Stop::Error)
        });
        match folded {
            _ if !task.is_wanted() => {
                // Half a session is not kept: nothing says how far it is.
                self.lane = Self::lane(self.desk, self.fold, self.next)?;
                Ok(())
            }
            Err(Stop::Error(e)) if e.is_damage() => {
                if let Some(branch) = reader.branches_of(session)?.first() {
                    let damage = Damage { sequence: None, position: last + 1, error: e };
                    lane.park_unreadable(branch, &damage);
                }
                self.write_if_full()
            }
            Err(stop) => Err(stop.told(self.fold)),
            Ok(()) => self.write_if_full(),
        }
    }

    fn write_if_full(&mut self) -> Result<()> {
        let (rows, bytes) = self.lane.waiting();
        match self.lane.held() >= ROWS || rows >= ROWS || bytes >= PROJECT_FLUSH_BYTES {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Writes what was gathered, and forgets it.
    fn write(&mut self) -> Result<()> {
        let marks = self.lane.take(true);
        self.lane.forget();
        self.desk.mark(marks.relaxed())
    }
}

/// For keys: the whole store in its order, states and position in one transaction.
fn in_order(desk: &StoreHandle, fold: &Arc<Fold>, next: &Built, target: u64, task: &Task) -> Result<()> {
    let mut lane = Worker::lane(desk, fold, next)?;
    task.add(lane.built.position);
    let mut written = Instant::now();
    let write = |lane: &mut Lane| {
        let mut marks = lane.take(true);
        marks.put(SidecarTable::Checkpoints, keys::next(&fold.name), to_json(&lane.built));
        if lane.is_full() {
            lane.cool();
        }
        desk.mark(marks.relaxed())
    };
    let begin = lane.built.position;
    std::thread::scope(|scope| {
        // One page is read while the one before it is folded.
        let (give, pages) = mpsc::sync_channel(1);
        scope.spawn(move || {
            let mut at = begin;
            while at < target {
                let range = Positions { from: at + 1, to: target, limit: PROJECT_PAGE, reverse: false };
                let page = desk.reader().and_then(|reader| reader.page_all(range));
                let last = page.as_ref().ok().and_then(|page| page.last()).map(|e| e.position().get());
                // The last thing that is given is an error, or nothing; nobody takes it when the fold has ended.
                if give.send(page).is_err() {
                    return;
                }
                let Some(last) = last else { return };
                at = last;
            }
        });
        for page in pages {
            let (page, reader) = (page?, desk.reader()?);
            for event in &page {
                lane.follow(&reader, || reader.branch(event.place()), event)?;
            }
            task.add(page.len() as u64);
            let (rows, bytes) = lane.waiting();
            let due = written.elapsed() > Duration::from_millis(PROJECT_FLUSH_MS);
            if due || rows >= PROJECT_FLUSH_ROWS || bytes >= PROJECT_FLUSH_BYTES || lane.is_full() {
                write(&mut lane)?;
                written = Instant::now();
            }
            if !task.is_wanted() {
                break;
            }
        }
        write(&mut lane)
    })
}
