//! Waking followers on a commit: those of its sessions, and those of everything. There is one channel per session: with
//! a single one, every commit would wake ten thousand idle followers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::sync::watch;

use crate::error::Result;
use crate::event::{Event, SessionId};
use crate::limits::{FOLLOW_BUFFER, FOLLOW_FRAME_BYTES};
use crate::store::{Branch, Committed, Observer, Store, StoreHandle};
use crate::sync::{Mutex, MutexGuard};

/// What a commit sends to one channel. Only a hint: the follower compares it with what it has scanned.
#[derive(Clone, Debug)]
pub(super) struct WakeFrame {
    /// The last position sent on this channel before; `None` for its first frame.
    pub(super) after: Option<u64>,
    /// `None` if it is too large to be held for followers that are not polled: they read the store.
    pub(super) events: Option<Arc<[Event]>>,
}

/// Whether a commit is small enough to be held for followers that have not seen it yet.
fn is_small(events: &[Event]) -> bool {
    let each = |event: &Event| event.record().encoded().len() + size_of::<Event>();
    events.len() <= FOLLOW_FRAME_BYTES / size_of::<Event>()
        && events.iter().map(each).sum::<usize>() <= FOLLOW_FRAME_BYTES
}

#[derive(Debug)]
struct Channel {
    sender: Sender<WakeFrame>,
    last: Option<u64>,
}

impl Channel {
    fn new() -> Self {
        Self { sender: broadcast::channel(FOLLOW_BUFFER).0, last: None }
    }

    /// Has its followers look at the store.
    fn wake(&self) {
        let _ = self.sender.send(WakeFrame { after: self.last, events: None });
    }

    fn send(&mut self, events: &[Event]) {
        let frame = WakeFrame { after: self.last, events: is_small(events).then(|| events.into()) };
        // No listener is fine: the channel goes with its last follower.
        let _ = self.sender.send(frame);
        self.last = events.last().map(|e| e.position().get());
    }
}

#[derive(Debug, Default)]
struct Channels {
    all: Option<Channel>,
    sessions: HashMap<SessionId, Channel>,
    /// The position of the last event that was told of.
    told: Option<u64>,
    closed: bool,
    /// Signals closing to those who do not wait for events.
    end: watch::Sender<bool>,
}

/// The wake-ups of one store.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<Channels>);

/// A subscription to a channel, released when it is dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    wakes: Arc<Wakes>,
    session: Option<SessionId>,
    /// `None` if the store is already closed: there is nothing to wait for.
    pub(super) receiver: Option<Receiver<WakeFrame>>,
}

impl Wakes {
    /// The wake-ups of this store, created for the first follower.
    pub(super) fn of(handle: &StoreHandle) -> Result<Arc<Self>> {
        handle.observer(Self::default)
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Becomes `true` when the store closes.
    fn end(&self) -> watch::Receiver<bool> {
        self.channels().end.subscribe()
    }

    /// Subscribes to one session, or to everything.
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

#[cfg(test)]
impl Subscription {
    /// Subscribes again, with what was sent meanwhile lost.
    pub(super) fn renew(&mut self) {
        *self = self.wakes.subscribe(self.session.clone());
    }
}

/// Becomes `true` when the store closes.
pub(crate) fn end_of(store: &Store) -> Result<watch::Receiver<bool>> {
    Wakes::of(&store.handle()).map(|wakes| wakes.end())
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        let mut channels = self.wakes.channels();
        let idle = |channel: &Channel| channel.sender.receiver_count() == 0;
        match &self.session {
            None if channels.all.as_ref().is_some_and(idle) => channels.all = None,
            Some(session) if channels.sessions.get(session).is_some_and(idle) => {
                let sessions = &mut channels.sessions;
                sessions.remove(session);
                if sessions.len() < sessions.capacity() / 8 {
                    sessions.shrink_to(sessions.len() * 2);
                }
            }
            _ => {}
        }
    }
}

impl Wakes {
    /// Has the followers of a branch look at the store.
    fn wake(&self, branch: &Branch) {
        if let Some(channel) = self.channels().sessions.get(&branch.place.session) {
            channel.wake();
        }
    }

    /// Sends the events of one commit, in global order, to the subscribers.
    pub(super) fn send(&self, events: &[Event]) {
        let mut channels = self.channels();
        channels.tell(events);
        if let Some(all) = &mut channels.all {
            all.send(events);
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
                channel.send(&events);
            }
        }
    }
}

impl Channels {
    /// Notes what is told of. When commits were left out, what a channel carries is not all there is of its session: its
    /// followers look at the store, and take further events only if they have read everything before them.
    fn tell(&mut self, events: &[Event]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let before = first.position().get().saturating_sub(1);
        if self.told.replace(last.position().get()).is_some_and(|told| told != before) {
            for channel in self.sessions.values_mut() {
                channel.wake();
                channel.last = channel.last.map(|_| before);
            }
        }
    }

    fn wake_all(&self) {
        self.all.iter().chain(self.sessions.values()).for_each(Channel::wake);
    }
}

impl Observer for Wakes {
    fn committed(&self, commit: &Committed<'_>) {
        if commit.is_unseen() {
            return self.channels().wake_all();
        }
        // Before the events: who follows a branch that is deleted must not take them for its own.
        commit.changes().iter().for_each(|branch| self.wake(branch));
        if !commit.events().is_empty() {
            self.send(commit.events());
        }
        // Who waits for a branch looks again: it may have inherited events.
        commit.births().iter().filter(|branch| branch.fork > 0).for_each(|branch| self.wake(branch));
    }

    fn closed(&self) {
        let mut channels = self.channels();
        channels.closed = true;
        channels.end.send_replace(true);
        channels.all = None;
        channels.sessions.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(n: usize) -> Option<SessionId> {
        Some(format!("s{n}").parse().unwrap())
    }

    #[test]
    fn a_channel_goes_with_its_last_follower() {
        let wakes = Arc::new(Wakes::default());
        let (one, two, all) =
            (wakes.subscribe(session(0)), wakes.subscribe(session(0)), wakes.subscribe(None));
        drop(one);
        assert_eq!(wakes.channels().sessions.len(), 1);
        drop((two, all));
        let channels = wakes.channels();
        assert!(channels.sessions.is_empty() && channels.all.is_none());
    }

    #[test]
    fn ten_thousand_that_are_gone_leave_nothing() {
        let wakes = Arc::new(Wakes::default());
        let followers: Vec<_> = (0..10_000).map(|n| wakes.subscribe(session(n))).collect();
        assert_eq!(wakes.channels().sessions.len(), 10_000);
        drop(followers);
        let channels = wakes.channels();
        assert_eq!((channels.sessions.len(), channels.sessions.capacity()), (0, 0));
    }

    #[test]
    fn who_comes_after_the_end_waits_for_nothing() {
        let wakes = Arc::new(Wakes::default());
        let before = wakes.subscribe(session(0));
        wakes.closed();
        assert!(wakes.subscribe(session(1)).receiver.is_none());
        drop(before);
        assert!(wakes.channels().sessions.is_empty());
    }
}
