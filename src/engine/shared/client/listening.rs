//! What has come in from the owner and was not taken in yet, and who reads.

use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;

use crate::engine::shared::frame::Inbox;
use crate::sync::{Mutex, lock};

/// What has come in, and whose turn it is to read more.
#[derive(Debug, Default)]
pub(super) struct Listening {
    pub(super) inbox: Mutex<Inbox>,
    /// A caller reads. Looked at with the inbox locked, so that the thread takes nothing while the caller waits for it.
    pub(super) taken: AtomicBool,
    /// The thread waits for the caller's end. Changed with the inbox locked.
    pub(super) deferred: AtomicBool,
    pub(super) released: Notify,
}

impl Listening {
    /// What came with the greeting.
    pub(super) fn begin(&self, inbox: Inbox) {
        *lock(&self.inbox) = inbox;
    }
}
