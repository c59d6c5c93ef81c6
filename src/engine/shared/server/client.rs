//! One client, as the owner keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use crate::engine::shared::frame::Outbox;
use crate::engine::shared::peer::ClientInfo;
use crate::limits::{SHARED_BEAT_MS, SHARED_CLIENT_BYTES, SHARED_CLIENT_READS};
use crate::sync::{Mutex, lock};

#[derive(Debug)]
pub(super) struct Client {
    info: ClientInfo,
    outbox: Mutex<Outbox>,
    /// There is something to write.
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
    /// Bytes of appends that wait for their answer.
    pub(super) bytes: Arc<Semaphore>,
    pub(super) reads: Arc<Semaphore>,
    /// How often it has to hear that its owner lives while it waits.
    pub(super) beat: Duration,
}

impl Client {
    pub(super) fn new(info: ClientInfo, wait: Duration, settled: Arc<Notify>) -> Self {
        Self {
            info,
            outbox: Mutex::default(),
            written: Notify::new(),
            eased: Notify::new(),
            settled,
            said_all: AtomicBool::new(false),
            busy: Notify::new(),
            calls: AtomicUsize::new(0),
            bytes: Arc::new(Semaphore::new(SHARED_CLIENT_BYTES)),
            reads: Arc::new(Semaphore::new(SHARED_CLIENT_READS)),
            beat: (wait / 4).max(Duration::from_millis(SHARED_BEAT_MS)),
        }
    }

    pub(super) fn info(&self) -> ClientInfo {
        ClientInfo { queued: lock(&self.outbox).bytes() as u64, ..self.info.clone() }
    }

    /// Changes what is to be sent, and has it sent.
    pub(super) fn post<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let changed = change(&mut lock(&self.outbox));
        self.written.notify_one();
        changed
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Outbox) -> T) -> T {
        look(&mut lock(&self.outbox))
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
