//! One client, as the owner keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    pub(super) eased: Notify,
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
    pub(super) fn new(info: ClientInfo, wait: Duration) -> Self {
        Self {
            info,
            outbox: Mutex::default(),
            written: Notify::new(),
            eased: Notify::new(),
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
            // Whoever waits for the client to have nothing under way is told by who writes to it.
            self.0.written.notify_one();
        }
        self.0.eased.notify_one();
    }
}
