//! What all connections of an owner share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::roster::Roster;
use crate::engine::port::Engine;
use crate::limits::SHARED_INTAKE_BYTES;

#[derive(Clone, Debug)]
pub(super) struct ServedEngine {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) roster: Arc<Roster>,
    /// Kibibytes of messages of several frames that are taken in at once.
    pub(super) intake: Arc<Semaphore>,
    /// Walks over the whole store, of which there is one at a time.
    pub(super) walks: Arc<Semaphore>,
}

impl ServedEngine {
    pub(super) fn new(engine: Arc<dyn Engine>, roster: Arc<Roster>) -> Self {
        let intake = Arc::new(Semaphore::new(SHARED_INTAKE_BYTES / 1_024));
        Self { engine, roster, intake, walks: Arc::new(Semaphore::new(1)) }
    }
}
