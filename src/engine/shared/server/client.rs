//! One client, as the owner keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::writing::{Writing, Written};
use crate::engine::shared::frame::Outbox;
use crate::engine::shared::peer::{ClientInfo, Reach};
use crate::engine::shared::socket::Socket;
use crate::limits::{SHARED_BEAT_MS, SHARED_CLIENT_BYTES, SHARED_CLIENT_READS, SHARED_OWN_BYTES};
use crate::sync::{Mutex, lock};

#[derive(Debug)]
pub(super) struct Client {
    info: ClientInfo,
    pub(super) reach: Reach,
    pub(super) stream: Arc<Socket>,
    writing: Writing,
    /// There is something to write, or to look at, for the client's task.
    pub(super) written: Notify,
    /// There is room again, or a call was answered.
    eased: Notify,
    /// It has nothing under way any more, or says nothing more.
    settled: Arc<Notify>,
    /// It has heard that the owner leaves, and all that it had asked for was read.
    said_all: AtomicBool,
    /// The first of several calls began.
    pub(super) busy: Notify,
    /// Calls that wait for their answer.
    calls: AtomicUsize,
    /// Those of them that walk over the whole store.
    walks: Mutex<Vec<u64>>,
    /// Bytes of appends that wait for their answer.
    pub(super) bytes: Arc<Semaphore>,
    pub(super) reads: Arc<Semaphore>,
    /// How often it has to hear that its owner lives while it waits.
    pub(super) beat: Duration,
}

impl Client {
    pub(super) fn new(
        (info, reach): (ClientInfo, Reach),
        stream: Arc<Socket>,
        wait: Duration,
        settled: Arc<Notify>,
    ) -> Self {
        Self {
            info,
            reach,
            stream,
            writing: Writing::held(),
            written: Notify::new(),
            eased: Notify::new(),
            settled,
            said_all: AtomicBool::new(false),
            busy: Notify::new(),
            calls: AtomicUsize::new(0),
            walks: Mutex::default(),
            // A client begins a commit while it has less under way than it may, so what is read after it waits for none.
            bytes: Arc::new(Semaphore::new(2 * SHARED_CLIENT_BYTES)),
            reads: Arc::new(Semaphore::new(SHARED_CLIENT_READS)),
            beat: (wait / 4).max(Duration::from_millis(SHARED_BEAT_MS)),
        }
    }

    pub(super) fn info(&self) -> ClientInfo {
        ClientInfo { queued: self.look(|outbox| outbox.bytes()) as u64, ..self.info.clone() }
    }

    /// Changes what is to be sent, and has it sent.
    pub(super) fn post<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let changed = self.writing.look(change);
        self.written.notify_one();
        changed
    }

    /// Writes what there is, on the client's own task. `Blocked` until it [goes on](Self::goes_on).
    pub(super) fn write(&self) -> std::io::Result<Written> {
        self.writing.write(&self.stream)
    }

    /// The same on any other thread, unless there is much. The client's task sees to whatever has to be waited for.
    pub(super) fn write_here(&self) {
        match self.writing.write_at_most(&self.stream, SHARED_OWN_BYTES) {
            Ok(Written::Elsewhere) => {}
            Ok(Written::All) if !self.look(|outbox| outbox.is_ended()) => self.eases(),
            _ => self.written.notify_one(),
        }
    }

    /// The socket takes more.
    pub(super) fn goes_on(&self) {
        self.writing.goes_on();
    }

    /// Whether somebody has to write to it now.
    pub(super) fn has_mail(&self) -> bool {
        !self.look(|outbox| outbox.is_empty())
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Outbox) -> T) -> T {
        self.writing.look(look)
    }

    /// Answers a call.
    pub(super) fn answer(&self, call: u64, message: Vec<u8>) {
        self.post(|outbox| outbox.send(call, Bytes::from(message)));
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    /// Whether it has read enough of what it was told to be told more. True of one that is gone.
    pub(super) fn has_room(&self) -> bool {
        self.look(|outbox| outbox.is_ended() || !outbox.is_full())
    }

    /// Waits until this is so, after an answer or when there is room.
    pub(super) async fn eased_until(&self, is: impl Fn(&Self) -> bool) {
        loop {
            // Before looking, so that what happens in between is not missed.
            let eased = self.eased.notified();
            if is(self) {
                return;
            }
            eased.await;
        }
    }

    /// There may be room again.
    pub(super) fn eases(&self) {
        self.eased.notify_waiters();
    }

    /// Whether it is still there to be answered.
    pub(super) fn is_there(&self) -> bool {
        !self.look(|outbox| outbox.is_ended())
    }

    /// A call begins a walk over the whole store.
    pub(super) fn walks(&self, call: u64) {
        lock(&self.walks).push(call);
    }

    /// The walk is over, or nobody waits for it any more.
    pub(super) fn walks_no_more(&self, call: u64) {
        lock(&self.walks).retain(|walk| *walk != call);
    }

    pub(super) fn is_walking(&self, call: u64) -> bool {
        lock(&self.walks).contains(&call)
    }

    /// It is told nothing more.
    pub(super) fn end(&self) {
        self.post(|outbox| outbox.end());
        self.eases();
    }

    /// It says nothing more, but hears its answers.
    pub(super) fn says_no_more(&self) {
        self.said_all.store(true, Ordering::Release);
        self.settled.notify_one();
    }

    pub(super) fn has_said_all(&self) -> bool {
        self.said_all.load(Ordering::Acquire)
    }

    /// A call that waits for its answer until this is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Called {
        if self.calls.fetch_add(1, Ordering::AcqRel) == 0 {
            self.busy.notify_one();
        }
        Called(self.clone())
    }
}

/// One call that is under way.
#[derive(Debug)]
pub(super) struct Called(Arc<Client>);

impl Drop for Called {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.settled.notify_one();
        }
        self.0.eases();
    }
}
