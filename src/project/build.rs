//! Filling a generation of states from the events: beside the one that is read, by session and in parallel where
//! states are of branches or sessions, in global order where they are of keys. What is written can be gone on with.

use std::any::Any;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::apply::Fold;
use super::branch_fold::BranchFold;
use super::build_writer::BuildWriter;
use super::damage::{Damage, own_events};
use super::fold::Scope;
use super::keys::Built;
use super::read::{Source, Stop};
use super::session_key::key_of;
use super::task::{End, Task, closed};
use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::limits::{
    PROJECT_FLUSH_BYTES, PROJECT_FLUSH_MS, PROJECT_FLUSH_ROWS, PROJECT_PAGE, REBUILD_THREADS,
};
use crate::panics::said;
use crate::store::{Range, StoreHandle};
use crate::sync::{Instant, Mutex, mpsc, thread};

/// Sessions that are listed at once.
const LISTED: usize = 256;
/// Rows that one thread gathers before it writes them: every thread has as many in memory.
const ROWS: usize = PROJECT_FLUSH_ROWS / REBUILD_THREADS;

/// Folds everything up to the target. Events that come meanwhile are for the runner.
pub(super) fn build(writer: &BuildWriter, fold: &Arc<Fold>, next: &Built, task: &Task) -> Result<End> {
    let target = next.target.unwrap_or(0);
    match next.scope {
        Scope::Key => in_order(writer, fold, next, target, task)?,
        Scope::Branch | Scope::Session => by_session(writer, fold, next, target, task)?,
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
    fn next(&mut self, handle: &StoreHandle) -> Result<Option<SessionId>> {
        if let Some(session) = self.page.next() {
            return Ok(Some(session));
        }
        if self.ended {
            return Ok(None);
        }
        let page = handle.reader()?.session_names(self.last.as_ref(), LISTED)?;
        self.ended = page.len() < LISTED;
        self.last = page.last().cloned().or(self.last.take());
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

fn by_session(writer: &BuildWriter, fold: &Arc<Fold>, next: &Built, target: u64, task: &Task) -> Result<()> {
    let sessions = Mutex::new(Sessions { page: Vec::new().into_iter(), last: None, ended: false });
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(REBUILD_THREADS));
    let work = || -> Result<()> {
        let mut worker = Worker::new(writer, fold, next, target, task)?;
        while task.is_wanted() {
            let next = sessions.lock().unwrap_or_else(PoisonError::into_inner).next(&writer.handle)?;
            match next {
                Some(session) if fold.scope == Scope::Branch => worker.branches(&session)?,
                Some(session) => worker.session(&session)?,
                None => break,
            }
        }
        worker.write()
    };
    thread::scope(|scope| {
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
    writer: &'a BuildWriter,
    fold: &'a Arc<Fold>,
    next: &'a Built,
    target: u64,
    task: &'a Task,
    branch_fold: BranchFold,
}

impl<'a> Worker<'a> {
    fn new(
        writer: &'a BuildWriter,
        fold: &'a Arc<Fold>,
        next: &'a Built,
        target: u64,
        task: &'a Task,
    ) -> Result<Self> {
        let branch_fold = Self::branch_fold(&writer.handle, fold, next)?;
        Ok(Self { writer, fold, next, target, task, branch_fold })
    }

    fn branch_fold(handle: &StoreHandle, fold: &Arc<Fold>, next: &Built) -> Result<BranchFold> {
        let mut branch_fold = BranchFold::new(&handle.reader()?, fold.clone(), next.clone())?;
        branch_fold.reacted = u64::MAX;
        Ok(branch_fold)
    }

    /// Every branch of a session; a parent comes before those that were forked from it.
    fn branches(&mut self, session: &SessionId) -> Result<()> {
        let reader = self.writer.handle.reader()?;
        let mut branches = reader.branches_of(session)?;
        branches.sort_by_key(|branch| branch.number);
        let several = branches.len() > 1;
        for branch in branches {
            // Where an earlier attempt has ended.
            let source = Source::of(&reader, self.fold, self.next.clone())?;
            let done = source.nearest(&branch, u64::MAX)?.own().unwrap_or(branch.fork);
            drop(source);
            self.task.add(done - branch.fork);
            let (task, branch_fold) = (self.task, &mut self.branch_fold);
            let mut gathered = 0;
            let ended = own_events(&reader, &branch, done, self.target, |event| {
                gathered += 1;
                if gathered % PROJECT_PAGE as u64 == 0 {
                    task.add(PROJECT_PAGE as u64);
                    if !task.is_wanted() {
                        return Err(closed());
                    }
                    let (rows, bytes) = branch_fold.waiting();
                    if rows >= ROWS || bytes >= PROJECT_FLUSH_BYTES {
                        self.writer.write(branch_fold.take(false))?;
                    }
                }
                branch_fold.take_branch(&reader, &branch, event)
            })
            .or_else(|e| if task.is_wanted() { Err(e) } else { Ok(None) })?;
            if let Some(damage) = ended {
                branch_fold.park_unreadable(&reader, &branch, &damage)?;
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
        let reader = self.writer.handle.reader()?;
        let source = Source::of(&reader, self.fold, self.next.clone())?;
        let (task, branch_fold) = (self.task, &mut self.branch_fold);
        let key = key_of(&reader, session)?;
        let done = source.stored(&key, None)?.0.at;
        let mut last = 0;
        let folded = source.each_of(&key, 0, self.target, |event| {
            task.add(1);
            last = event.position().get();
            if !task.is_wanted() {
                return Err(closed().into());
            }
            // An earlier attempt has it: only counted.
            if event.position().get() <= done {
                return Ok(());
            }
            branch_fold.take_key(&reader, event).map_err(Stop::Error)
        });
        match folded {
            _ if !task.is_wanted() => {
                // Half a session is not kept: nothing says how far it is.
                self.branch_fold = Self::branch_fold(&self.writer.handle, self.fold, self.next)?;
                Ok(())
            }
            Err(Stop::Error(e)) if e.is_damage() => {
                if let Some(branch) = reader.branches_of(session)?.first() {
                    let damage = Damage { sequence: None, position: last + 1, error: e };
                    branch_fold.park_unreadable(&reader, branch, &damage)?;
                }
                self.write_if_full()
            }
            Err(stop) => Err(stop.told(self.fold)),
            Ok(()) => self.write_if_full(),
        }
    }

    fn write_if_full(&mut self) -> Result<()> {
        let (rows, bytes) = self.branch_fold.waiting();
        match self.branch_fold.held() >= ROWS || rows >= ROWS || bytes >= PROJECT_FLUSH_BYTES {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Writes what was gathered, and forgets it.
    fn write(&mut self) -> Result<()> {
        let records = self.branch_fold.take(true);
        self.branch_fold.forget();
        self.writer.write(records)
    }
}

/// For keys: the whole store in its order, states and position in one transaction.
fn in_order(writer: &BuildWriter, fold: &Arc<Fold>, next: &Built, target: u64, task: &Task) -> Result<()> {
    let handle = &writer.handle;
    let mut branch_fold = Worker::branch_fold(handle, fold, next)?;
    task.add(branch_fold.built.position);
    let mut written = Instant::now();
    let write = |branch_fold: &mut BranchFold| {
        let records = branch_fold.take(true);
        let built = branch_fold.built.clone();
        if branch_fold.is_full() {
            branch_fold.cool();
        }
        writer.write_up_to(records, &built)
    };
    let begin = branch_fold.built.position;
    thread::scope(|scope| {
        // One page is read while the one before it is folded.
        let (give, pages) = mpsc::sync_channel(1);
        scope.spawn(move || {
            let mut at = begin;
            while at < target {
                let range = Range { from: at + 1, to: target, limit: PROJECT_PAGE, reverse: false };
                let page = handle.reader().and_then(|reader| reader.page_all(range));
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
            let (page, reader) = (page?, handle.reader()?);
            for event in &page {
                branch_fold.follow(&reader, || reader.branch(event.place()), event)?;
            }
            task.add(page.len() as u64);
            let (rows, bytes) = branch_fold.waiting();
            let due = written.elapsed() > Duration::from_millis(PROJECT_FLUSH_MS);
            if due || rows >= PROJECT_FLUSH_ROWS || bytes >= PROJECT_FLUSH_BYTES || branch_fold.is_full() {
                write(&mut branch_fold)?;
                written = Instant::now();
            }
            if !task.is_wanted() {
                break;
            }
        }
        write(&mut branch_fold)
    })
}
