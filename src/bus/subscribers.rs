//! Listeners: they are counted, and get ephemeral events through one channel.

use std::sync::{Arc, Weak};

use tokio::sync::broadcast::{self, Receiver};

use super::message::Message;
use super::route::Route;
use crate::limits::EPHEMERAL_EVENTS;
use crate::sync::{Mutex, lock};

/// The channel of ephemeral events, and what its listeners take.
#[derive(Debug)]
pub(super) struct Subscribers {
    channel: broadcast::Sender<Message>,
    /// A route lives as long as its listener.
    routes: Mutex<Vec<Weak<Route>>>,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self { channel: broadcast::channel(EPHEMERAL_EVENTS).0, routes: Mutex::default() }
    }
}

impl Subscribers {
    pub(super) fn tell(&self, message: &Message) {
        // No listener is fine.
        let _ = self.channel.send(message.clone());
    }

    pub(super) fn subscribe(&self, route: &Arc<Route>) -> Receiver<Message> {
        let mut routes = lock(&self.routes);
        if routes.len() == routes.capacity() {
            routes.retain(|route| route.strong_count() > 0);
        }
        routes.push(Arc::downgrade(route));
        self.channel.subscribe()
    }

    /// How many listeners can get events of this type.
    pub(super) fn listening(&self, kind: &str) -> usize {
        let routes = lock(&self.routes);
        routes.iter().filter_map(Weak::upgrade).filter(|route| route.may_take(kind)).count()
    }
}
