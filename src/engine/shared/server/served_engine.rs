//! What all connections of an owner share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::client::Client;
use super::roster::Roster;
use crate::codec::link::SentAnswer;
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

    /// Whether a call that had to wait is still to be carried out. Its client is told that the owner leaves.
    pub(super) fn is_wanted(&self, client: &Client, call: u64) -> bool {
        let leaving = self.roster.is_leaving();
        if leaving {
            client.answer(call, SentAnswer::Leaving.message(call, 8));
        }
        !leaving && client.is_there()
    }
}
