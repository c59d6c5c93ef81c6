//! Who is woken by a commit: the followers of its sessions, and those of everything.
//!
//! One channel a session: with one for all, ten thousand idle followers would be woken by every commit.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::event::{Event, SessionId};
use crate::limits::FOLLOW_BUFFER;
use crate::store::{CommitHook, Desk};

/// What a commit brought to one channel. Only a hint: the follower holds it against what it has scanned.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The last position that this channel brought before; `None` for its first frame.
    pub(super) after: Option<u64>,
    pub(super) events: Arc<[Event]>,
}

#[derive(Debug)]
struct Channel {
    sender: Sender<Frame>,
    last: Option<u64>,
}

impl Channel {
    fn new() -> Self {
        Self { sender: broadcast::channel(FOLLOW_BUFFER).0, last: None }
    }

    fn send(&mut self, events: Arc<[Event]>) {
        let last = events.last().map(|e| e.position().get());
        // Nobody listening is no fault: the channel goes with its last follower.
        let _ = self.sender.send(Frame { after: self.last, events });
        self.last = last;
    }
}

#[derive(Debug, Default)]
struct Channels {
    all: Option<Channel>,
    sessions: HashMap<SessionId, Channel>,
    closed: bool,
}

/// The listener of one store.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<Channels>);

/// A place in a channel, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    wakes: Arc<Wakes>,
    session: Option<SessionId>,
    /// `None` when the store was closed before: there is nothing to wait for.
    pub(super) receiver: Option<Receiver<Frame>>,
}

impl Wakes {
    /// The listener of this store, there from the first follower on.
    pub(super) fn of(desk: &Desk) -> Option<Arc<Self>> {
        let hook = desk.hook(|| Arc::new(Self::default()));
        hook.as_any().downcast().ok()
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to one session, or to everything.
    pub(super) fn subscribe(self: &Arc<Self>, session: Option<SessionId>) -> Subscription {
        let mut channels = self.channels();
        let receiver = (!channels.closed).then(|| {
            let channel = match &session {
                None => channels.all.get_or_insert_with(Channel::new),
                Some(session) => channels.sessions.entry(session.clone()).or_insert_with(Channel::new),
            };
            channel.sender.subscribe()
        });
        Subscription { wakes: self.clone(), session, receiver }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        let mut channels = self.wakes.channels();
        let idle = |channel: &Channel| channel.sender.receiver_count() == 0;
        match &self.session {
            None if channels.all.as_ref().is_some_and(idle) => channels.all = None,
            Some(session) if channels.sessions.get(session).is_some_and(idle) => {
                channels.sessions.remove(session);
            }
            _ => {}
        }
    }
}

impl CommitHook for Wakes {
    fn committed(&self, events: &[Event]) {
        let mut channels = self.channels();
        if let Some(all) = &mut channels.all {
            all.send(events.into());
        }
        if channels.sessions.is_empty() {
            return;
        }
        let mut by_session: HashMap<&SessionId, Vec<Event>> = HashMap::new();
        for event in events {
            if channels.sessions.contains_key(event.session()) {
                by_session.entry(event.session()).or_default().push(event.clone());
            }
        }
        for (session, events) in by_session {
            if let Some(channel) = channels.sessions.get_mut(session) {
                channel.send(events.into());
            }
        }
    }

    fn closed(&self) {
        let mut channels = self.channels();
        channels.closed = true;
        channels.all = None;
        channels.sessions.clear();
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
