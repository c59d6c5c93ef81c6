//! What all connections of an owner share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::client::Client;
use super::roster::Roster;
use crate::codec::link::SentAnswer;
use crate::engine::port::Engine;
use crate::engine::shared::message::failed;
use crate::error::Error;
use crate::event::EventId;
use crate::limits::{SHARED_INTAKE_BYTES, SHARED_READS};

#[derive(Clone, Debug)]
pub(super) struct ServedEngine {
    pub(super) engine: Arc<dyn Engine>,
    /// Which opening of the storage its clients were told of.
    opening: EventId,
    pub(super) roster: Arc<Roster>,
    /// Kibibytes of messages of several frames that are taken in at once.
    pub(super) intake: Arc<Semaphore>,
    /// Walks over the whole store, of which there is one at a time.
    pub(super) walks: Arc<Semaphore>,
    /// Threads that read at once.
    pub(super) reads: Arc<Semaphore>,
}

impl ServedEngine {
    pub(super) fn new(engine: Arc<dyn Engine>, opening: EventId, roster: Arc<Roster>) -> Self {
        let intake = Arc::new(Semaphore::new(SHARED_INTAKE_BYTES / 1_024));
        let (walks, reads) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(SHARED_READS)));
        Self { engine, opening, roster, intake, walks, reads }
    }

    /// Whether the storage is in other hands than those that clients were told of: they have to begin anew.
    pub(super) fn has_changed_hands(&self) -> bool {
        self.engine.opening() != self.opening
    }

    /// Whether a call that had to wait is still to be carried out. Its client is told that the owner leaves.
    pub(super) fn is_wanted(&self, client: &Client, call: u64) -> bool {
        let leaving = self.roster.is_leaving();
        if leaving {
            client.answer(call, SentAnswer::Leaving.message(call, 8));
        }
        !leaving && client.is_there()
    }

    /// An error as the answer to a commit. One that was not written, for the storage had failed, is for the next owner to
    /// write; but for an append that the failure itself has hit, `outlives` tells.
    pub(super) fn refused(&self, call: u64, error: &Error, outlives: bool) -> Vec<u8> {
        match error {
            Error::Closed { .. } => {
                self.roster.leaves();
                SentAnswer::Leaving.message(call, 8)
            }
            Error::Storage { .. } if outlives && self.roster.is_leaving() => {
                SentAnswer::Leaving.message(call, 8)
            }
            error => failed(call, error),
        }
    }

    /// An error as the answer to anything else: what an owner that leaves could not do, the next one can.
    pub(super) fn failed(&self, call: u64, error: &Error) -> Vec<u8> {
        let passes = matches!(error, Error::Closed { .. } | Error::Storage { .. } | Error::Unknown { .. });
        match passes && self.roster.is_leaving() {
            true => SentAnswer::Leaving.message(call, 8),
            false => failed(call, error),
        }
    }
}
