//! Calls of workers to the task of a consumer, and what they get back.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::store::{Batch, Process, Receipt};
use crate::sync::{Mutex, lock};

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// One delivery, as its token names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) delivery: u64,
    pub(super) position: u64,
}

#[derive(Debug)]
pub(super) enum How {
    Ack,
    /// Redeliver after this many microseconds, or after the backoff.
    Nack {
        delay: Option<i64>,
        reason: Option<String>,
    },
    Touch,
    /// It was never received.
    GiveBack,
    Park(String),
}

pub(super) enum Call {
    /// The next event; `None` if there is none now and the worker does not wait.
    Next {
        patient: bool,
        reply: Reply<Option<Offer>>,
    },
    Resolve {
        named: Named,
        how: How,
        reply: Reply<()>,
    },
    AckWith {
        named: Named,
        batch: Box<Batch>,
        reply: Reply<Receipt>,
    },
    /// Starts over, after this position.
    Reset {
        begin: u64,
        /// It skips everything recorded before this, in microseconds.
        since: Option<i64>,
        reply: Reply<()>,
    },
    /// Ends: the consumer was removed, or is closed.
    End,
}

/// Answers it with this.
pub(super) fn refuse(call: Call, error: &Error) {
    match call {
        Call::Next { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::Resolve { reply, .. } | Call::Reset { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::AckWith { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::End => {}
    }
}

/// Deliveries that were never received.
#[derive(Debug)]
pub(super) struct Returned {
    process: Process,
    deliveries: Mutex<Vec<u64>>,
    wake: Notify,
}

impl Returned {
    pub(super) fn new(process: Process) -> Self {
        Self { process, deliveries: Mutex::default(), wake: Notify::new() }
    }

    pub(super) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *lock(&self.deliveries))
    }

    pub(super) async fn rung(&self) {
        self.wake.notified().await;
    }
}

/// A delivery on its way to a worker. If the worker has gone, it is returned.
pub(super) struct Offer {
    pub(super) event: Option<Event>,
    pub(super) deliveries: u32,
    pub(super) named: Named,
    pub(super) returned: Arc<Returned>,
}

impl Offer {
    /// It was never recorded: there is nothing to be returned.
    pub(super) fn withdraw(mut self) {
        self.event = None;
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if self.event.is_some() && self.returned.process.is_this() {
            let mut deliveries = lock(&self.returned.deliveries);
            deliveries.push(self.named.delivery);
            drop(deliveries);
            self.returned.wake.notify_one();
        }
    }
}
