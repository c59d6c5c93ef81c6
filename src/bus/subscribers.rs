//! Those who listen to ephemeral events without being handlers.

use tokio::sync::broadcast::{self, Receiver};

use super::message::Message;
use crate::limits::EPHEMERAL_EVENTS;

/// Where ephemeral events are told to whoever listens.
#[derive(Debug)]
pub(super) struct Subscribers(broadcast::Sender<Message>);

impl Default for Subscribers {
    fn default() -> Self {
        Self(broadcast::channel(EPHEMERAL_EVENTS).0)
    }
}

impl Subscribers {
    pub(super) fn tell(&self, message: &Message) {
        // Nobody listening is no fault.
        let _ = self.0.send(message.clone());
    }

    pub(super) fn subscribe(&self) -> Receiver<Message> {
        self.0.subscribe()
    }
}
