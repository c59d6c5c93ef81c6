//! The one writer. All writes go through its queue; whoever leads commits the queue group by group.
//!
//! When nobody else is waiting there is no hand-over: the caller takes the lead and commits on its own thread. Jobs
//! that arrive meanwhile go to a standby thread, which also leads for futures, which never lead themselves, and does
//! what is due at a certain time. Threads that wait for the same group are woken by one system call.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use super::commit::{Committer, NewFile, NotMoved};
use super::slot::{Gate, Pending, Slot};
use super::work::{Done, Job, Work, answer_all};
use crate::engine::file::contents::Contents;
use crate::engine::file::disk::journal::JournalFile;
use crate::engine::file::tables::db::Db;
use crate::engine::on_path::OnPath;
use crate::error::{Error, Result};
use crate::limits::{MAX_BATCH_BYTES, MAX_GROUP_APPENDS, QUEUE_APPENDS, QUEUE_BYTES};
use crate::sync::lock;
use crate::sync::{Condvar, Instant, Mutex, MutexGuard, fault, thread};

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Whether somebody leads.
    led: bool,
    /// The lead was handed to the standby thread.
    handed: bool,
    /// Nothing more is accepted, except from the caller that closes.
    closed: bool,
    /// The thread has to end.
    dismissed: bool,
    /// Where threads wait whose jobs are still queued.
    gate: Arc<Gate>,
    /// The storage error after which nothing more is written.
    failed: Option<String>,
    /// Producers that wait for room. Notifying nobody would still cost a system call.
    crowd: usize,
    /// The thread waits without a timeout, so the leader has to wake it when it is done.
    asleep: bool,
    /// When the tail is to be flushed, when relaxed appends are to be synced, and when the last commit is to be noted outside
    /// the journal.
    flush_at: Option<Instant>,
    sync_at: Option<Instant>,
    note_at: Option<Instant>,
}

/// What remains to be done when nobody appends.
struct Duties {
    unflushed: bool,
    unsynced: bool,
    unnoted: bool,
}

#[derive(Debug)]
pub(crate) struct Writer {
    queue: Mutex<Queue>,
    thread: Condvar,
    /// Room in the queue, for blocked producers and for futures.
    room: Condvar,
    room_async: Notify,
    contents: Arc<Contents>,
    committer: Mutex<Committer>,
}

impl Writer {
    pub(crate) fn new(contents: Arc<Contents>, committer: Committer) -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            thread: Condvar::new(),
            room: Condvar::new(),
            room_async: Notify::new(),
            contents,
            committer: Mutex::new(committer),
        }
    }

    /// Queues the work and waits for its answer, leading when nobody else does.
    pub(crate) fn write(&self, work: Work) -> Result<Done> {
        self.contents.process.check()?;
        let slot = Slot::new();
        let mut job = Job { work, slot: slot.clone(), gate: None };
        let mut queue = lock(&self.queue);
        while !queue.has_room(&job) {
            queue.refuse()?;
            queue.crowd += 1;
            queue = self.room.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.crowd -= 1;
        }
        let gate = queue.gate.clone();
        job.gate = Some(gate.clone());
        queue.push(job)?;
        self.lead_or_wait(queue, &slot, &gate)
    }

    fn lead_or_wait(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        slot: &Slot<Result<Done>>,
        gate: &Gate,
    ) -> Result<Done> {
        let lead = !std::mem::replace(&mut queue.led, true);
        drop(queue);
        if lead {
            self.lead(slot);
        }
        gate.wait(slot)
    }

    /// The same for a future. Once queued, dropping the future changes nothing.
    pub(crate) async fn write_async(&self, work: Work) -> Result<Done> {
        let slot = Slot::new();
        let mut job = Some(Job { work, slot: slot.clone(), gate: None });
        while let Some(next) = job.take() {
            self.contents.process.check()?;
            // Registered before looking, so that room made in between is not missed.
            let room = self.room_async.notified();
            match self.try_queue(next)? {
                None => break,
                Some(refused) => job = Some(refused),
            }
            room.await;
        }
        let mut answer = Pending(slot);
        // It may be polled in a forked child, where nobody will answer.
        std::future::poll_fn(|cx| match self.contents.process.check() {
            Ok(()) => Pin::new(&mut answer).poll(cx),
            Err(e) => Poll::Ready(Err(e)),
        })
        .await
    }

    fn try_queue(&self, job: Job) -> Result<Option<Job>> {
        let mut queue = lock(&self.queue);
        if !queue.has_room(&job) {
            queue.refuse()?;
            return Ok(Some(job));
        }
        queue.push(job)?;
        if !std::mem::replace(&mut queue.led, true) {
            queue.handed = true;
            if !fault!(WakesNobody) {
                self.thread.notify_one();
            }
        }
        Ok(None)
    }

    /// Commits group after group until the leader's own answer is there and somebody else can take over.
    fn lead(&self, own: &Slot<Result<Done>>) {
        loop {
            self.lead_one_group();
            let answered = own.is_answered();
            let duties = self.duties();
            let mut queue = lock(&self.queue);
            if queue.jobs.is_empty() {
                queue.led = false;
                self.note_duties(&mut queue, duties);
                return;
            }
            if answered {
                queue.handed = true;
                self.thread.notify_one();
                return;
            }
        }
    }

    fn lead_one_group(&self) {
        let _path = OnPath::enter();
        let mut committer = lock(&self.committer);
        self.gather(&committer);
        let (group, failed, crowd) = {
            let mut queue = lock(&self.queue);
            (queue.take_group(), queue.failed.clone(), queue.crowd)
        };
        if crowd > 0 {
            self.room.notify_all();
        }
        self.room_async.notify_waiters();
        if group.is_empty() {
            return;
        }
        if let Some(after) = failed {
            answer_all(group, |_| Err(Error::Closed { after: Some(after.clone()) }));
        } else if let Err(reason) = committer.commit(group) {
            self.fail(&committer, reason);
        }
        committer.watching().answered();
    }

    /// Takes the lead, if nobody has it, before there is anything to commit.
    pub(crate) fn take_lead(&self) -> bool {
        !std::mem::replace(&mut lock(&self.queue).led, true)
    }

    /// Commits one group, with the lead that was taken. What came meanwhile is the thread's.
    pub(crate) fn lead_one(&self) {
        let answered = Slot::new();
        answered.answer(Ok(Done::Flushed));
        self.lead(&answered);
    }

    /// Leaves the lead that was taken to the thread.
    pub(crate) fn pass_lead(&self) {
        lock(&self.queue).handed = true;
        self.thread.notify_one();
    }

    /// Nothing more is written.
    fn fail(&self, committer: &Committer, reason: String) {
        lock(&self.queue).failed.get_or_insert(reason);
        committer.watching().fail();
    }

    /// Producers that were just answered come back within microseconds. A leader that starts before them would commit
    /// alone and make them wait for a second sync, so it gives them a moment, in proportion to a commit.
    fn gather(&self, committer: &Committer) {
        let expected = committer.last_group();
        if expected < 2 {
            return;
        }
        let patience = committer.last_commit() / 4;
        let start = Instant::now();
        while lock(&self.queue).jobs.len() < expected && start.elapsed() < patience {
            thread::yield_now();
        }
    }

    /// What remains to be done after the last commits.
    fn duties(&self) -> Duties {
        // One lock at a time: the holder of the committer may wait for the flusher, and the flusher for the tail.
        let unflushed = !self.contents.own_tail().is_empty();
        let committer = lock(&self.committer);
        Duties { unflushed, unsynced: committer.unsynced(), unnoted: committer.is_unnoted() }
    }

    /// Sets the deadlines of the thread.
    fn note_duties(&self, queue: &mut Queue, Duties { unflushed, unsynced, unnoted }: Duties) {
        let now = Instant::now();
        let wakes = |wanted: bool, at: &mut Option<Instant>, after: Duration| match (wanted, *at) {
            (false, _) => *at = None,
            (true, None) => *at = Some(now + after),
            (true, Some(_)) => {}
        };
        let set = |queue: &Queue| [queue.flush_at, queue.sync_at, queue.note_at].map(|at| at.is_some());
        let before = set(queue);
        // Idle time counts from the last append.
        (queue.flush_at, queue.note_at) = (None, None);
        wakes(unflushed, &mut queue.flush_at, self.contents.options.idle_flush);
        wakes(unsynced, &mut queue.sync_at, self.contents.options.relaxed_sync);
        wakes(unnoted, &mut queue.note_at, self.contents.options.note);
        let after = set(queue);
        if before != after || queue.asleep {
            self.thread.notify_one();
        }
    }

    /// The thread's loop: leads for futures, flushes when idle, syncs relaxed appends, and ends when the store
    /// closes.
    pub(crate) fn stand_by(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if std::mem::take(&mut queue.handed) {
                drop(queue);
                let never = Slot::new();
                self.lead(&never);
                queue = lock(&self.queue);
                continue;
            }
            if queue.dismissed && queue.jobs.is_empty() {
                return;
            }
            let now = Instant::now();
            let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let (flush, sync, note) = (due(queue.flush_at), due(queue.sync_at), due(queue.note_at));
            if !queue.led && (flush || sync || note) {
                (queue.flush_at, queue.sync_at, queue.note_at) = (None, None, None);
                queue.led = true;
                let failed = queue.failed.is_some();
                drop(queue);
                if !failed {
                    let mut committer = lock(&self.committer);
                    let tidied = if flush || sync { committer.tidy_up(flush) } else { Ok(()) };
                    if let Err(reason) = tidied.and_then(|()| committer.note_last_commit()) {
                        self.fail(&committer, reason);
                    }
                }
                let never = Slot::new();
                self.lead(&never);
                queue = lock(&self.queue);
                continue;
            }
            let until = [queue.flush_at, queue.sync_at, queue.note_at].into_iter().flatten().min();
            let unpoisoned = std::sync::PoisonError::into_inner;
            queue = match until {
                // A leader at work sets new deadlines when it is done.
                Some(until) if !queue.led => {
                    let wait = until.saturating_duration_since(now);
                    match self.thread.wait_timeout(queue, wait) {
                        Ok((queue, _)) => queue,
                        Err(e) => e.into_inner().0,
                    }
                }
                _ => {
                    queue.asleep = true;
                    let mut queue = self.thread.wait(queue).unwrap_or_else(unpoisoned);
                    queue.asleep = false;
                    queue
                }
            };
        }
    }

    /// Calls `look` between two commits, with the number of the next commit and nothing being flushed.
    pub(crate) fn while_nothing_is_written<T>(&self, look: impl FnOnce(u64, &JournalFile) -> T) -> T {
        let committer = lock(&self.committer);
        committer.wait_for_flush();
        look(committer.next_commit(), committer.journal())
    }

    /// Calls `look` between two commits, while everything is in the tables.
    ///
    /// # Errors
    /// The store takes nothing any more, or could not be flushed.
    pub(crate) fn between_commits_flushed<T>(&self, look: impl FnOnce() -> T) -> Result<T> {
        let mut committer = lock(&self.committer);
        lock(&self.queue).refuse()?;
        if let Err(reason) = committer.flush_now() {
            self.fail(&committer, reason.clone());
            return Err(Error::storage(reason));
        }
        Ok(look())
    }

    /// Moves the store into another file between two commits; `make` makes it while nothing is written. Returns the old one.
    ///
    /// # Errors
    /// Those of `make`, and then nothing has changed; that the store takes nothing any more.
    pub(crate) fn change_file(&self, db: &Db, make: impl FnOnce() -> Result<NewFile>) -> Result<Db> {
        let mut committer = lock(&self.committer);
        lock(&self.queue).refuse()?;
        match committer.change_file(db, make) {
            Ok(old) => Ok(old),
            Err(NotMoved::Refused(error)) => Err(error),
            Err(NotMoved::Failed(reason)) => {
                self.fail(&committer, reason.clone());
                Err(Error::storage(reason))
            }
        }
    }

    /// What the journal is read from.
    pub(crate) fn journal_file(&self) -> JournalFile {
        lock(&self.committer).journal().clone()
    }

    /// Accepts nothing more; what is queued is still written. `false` if it was closed before.
    pub(crate) fn stop_taking(&self) -> bool {
        let mut queue = lock(&self.queue);
        let first = !std::mem::replace(&mut queue.closed, true);
        // Whoever is woken may look at once, on this thread.
        drop(queue);
        self.thread.notify_one();
        self.room.notify_all();
        self.room_async.notify_waiters();
        first
    }

    /// Ends the thread, after the last job is answered.
    pub(crate) fn dismiss_thread(&self) {
        lock(&self.queue).dismissed = true;
        self.thread.notify_all();
    }

    /// Flushes everything, after [`stop_taking`](Self::stop_taking). Waits for the lead.
    pub(crate) fn flush_last(&self) -> Result<()> {
        let slot = Slot::new();
        let mut queue = lock(&self.queue);
        let gate = queue.gate.clone();
        queue.jobs.push_back(Job { work: Work::Flush, slot: slot.clone(), gate: Some(gate.clone()) });
        self.lead_or_wait(queue, &slot, &gate).map(|_| ())
    }
}

impl Queue {
    fn refuse(&self) -> Result<()> {
        match (&self.failed, self.closed) {
            (Some(after), _) => Err(Error::Closed { after: Some(after.clone()) }),
            (None, true) => Err(Error::Closed { after: None }),
            (None, false) => Ok(()),
        }
    }

    /// A job that exceeds the bound by itself is taken when nothing else waits.
    fn has_room(&self, job: &Job) -> bool {
        self.jobs.is_empty() || (self.jobs.len() < QUEUE_APPENDS && self.bytes + job.bytes() <= QUEUE_BYTES)
    }

    fn push(&mut self, job: Job) -> Result<()> {
        self.refuse()?;
        self.bytes += job.bytes();
        self.jobs.push_back(job);
        Ok(())
    }

    fn take_group(&mut self) -> Vec<Job> {
        let mut group = Vec::with_capacity(self.jobs.len().min(MAX_GROUP_APPENDS));
        // Later arrivals wait for another group.
        self.gate = Arc::default();
        let mut bytes = 0;
        while let Some(job) = self.jobs.front() {
            bytes += job.bytes();
            let full = group.len() >= MAX_GROUP_APPENDS || bytes > QUEUE_BYTES.min(MAX_BATCH_BYTES);
            if full && !group.is_empty() {
                break;
            }
            if let Some(job) = self.jobs.pop_front() {
                self.bytes -= job.bytes();
                group.push(job);
            }
        }
        group
    }
}
