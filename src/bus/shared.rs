//! State shared by all handlers of one bus. It does not keep the store open.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Semaphore;

use super::tickets::Tickets;
use crate::store::StoreHandle;
use crate::sync::task::Runtime;

/// Counters of the bus, besides those of its handlers.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) published: AtomicU64,
    pub(super) ephemeral: AtomicU64,
    pub(super) nowait: AtomicU64,
    pub(super) spilled: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) dead_letters_lost: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) handle: StoreHandle,
    pub(super) runtime: Runtime,
    /// The shared workers, and how many of them one handler may use.
    pub(super) workers: Arc<Semaphore>,
    pub(super) part: usize,
    pub(super) tickets: Tickets,
    pub(super) counts: Counts,
}

impl Shared {
    pub(super) fn new(handle: StoreHandle, runtime: Runtime, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            handle,
            runtime,
            workers: Arc::new(Semaphore::new(workers)),
            part: (workers / 2).max(1),
            tickets: Tickets::default(),
            counts: Counts::default(),
        })
    }
}
