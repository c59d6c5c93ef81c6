//! Listeners of ephemeral events that are not handlers.

use tokio::sync::broadcast::{self, Receiver};

use super::message::Message;
use crate::limits::EPHEMERAL_EVENTS;

/// The channel of ephemeral events.
#[derive(Debug)]
pub(super) struct Subscribers(broadcast::Sender<Message>);

impl Default for Subscribers {
    fn default() -> Self {
        Self(broadcast::channel(EPHEMERAL_EVENTS).0)
    }
}

impl Subscribers {
    pub(super) fn tell(&self, message: &Message) {
        // No listener is fine.
        let _ = self.0.send(message.clone());
    }

    pub(super) fn subscribe(&self) -> Receiver<Message> {
        self.0.subscribe()
    }
}
