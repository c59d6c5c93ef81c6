use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::bus::Bus;
use super::message::Message;
use super::route::Route;
use crate::error::{Error, Result};
use crate::follow::{Cursor, Follow, Followed, Following};
use crate::store::Process;
use crate::sync::time::timeout;

/// Receives events as they are published: recorded ones in order and without a gap, ephemeral ones as long as it keeps
/// up. It starts when it is created, so it receives everything published after that, whenever it is polled. It keeps
/// the store's file open until it is dropped.
#[must_use = "a listener does nothing unless it is polled"]
#[derive(Debug)]
pub struct Listener {
    process: Process,
    following: Following,
    live: Option<Receiver<Message>>,
    route: Arc<Route>,
    missed: u64,
}

impl Bus {
    /// Listens from now on to recorded and ephemeral events whose type matches the glob.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid glob, [`Error::Closed`].
    pub fn listen(&self, pattern: &str) -> Result<Listener> {
        self.listener(pattern, Follow::all().from_end())
    }

    /// Listens from a cursor: to what was recorded since, then to new events.
    ///
    /// # Errors
    /// As [`listen`](Self::listen), and [`Error::BadCursor`] for a cursor of another store or beyond its end.
    pub fn listen_after(&self, pattern: &str, cursor: Cursor) -> Result<Listener> {
        self.listener(pattern, Follow::all().cursor(cursor))
    }

    fn listener(&self, pattern: &str, follow: Follow) -> Result<Listener> {
        self.core().open()?;
        let mut route = Route::default();
        route.pattern(pattern)?;
        let route = Arc::new(route.resolved_in(self.core().shared.handle.catalogue()));
        let live = Some(self.core().subscribers.subscribe(&route));
        let following = self.core().shared.handle.follow(follow.filter(route.filter()))?;
        let process = self.core().shared.handle.process().clone();
        Ok(Listener { process, following, live, route, missed: 0 })
    }

    /// The first event from now on that matches the glob and the predicate; `None` on timeout.
    ///
    /// Events between an action of yours and this call are missed: if that matters, call [`listen`](Self::listen)
    /// first, then act, then call [`Listener::first`].
    ///
    /// # Errors
    /// As [`listen`](Self::listen); [`Error::Closed`] if the store is closed in the meantime.
    pub async fn wait_for(
        &self,
        pattern: &str,
        takes: impl FnMut(&Message) -> bool,
        time: Duration,
    ) -> Result<Option<Message>> {
        self.listen(pattern)?.first(takes, time).await
    }

    /// [`wait_for`](Self::wait_for) from a cursor, so that nothing is missed.
    ///
    /// # Errors
    /// As [`listen_after`](Self::listen_after) and [`wait_for`](Self::wait_for).
    pub async fn wait_for_after(
        &self,
        cursor: Cursor,
        pattern: &str,
        takes: impl FnMut(&Message) -> bool,
        time: Duration,
    ) -> Result<Option<Message>> {
        self.listen_after(pattern, cursor)?.first(takes, time).await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.deaf();
    }
}

impl Listener {
    /// Drops the ephemeral events; does nothing more in a forked child.
    fn deaf(&mut self) {
        let live = self.live.take();
        if !self.process.is_this() {
            std::mem::forget(live);
        }
    }

    /// Receives recorded events only.
    pub fn recorded_only(mut self) -> Self {
        self.deaf();
        self
    }

    /// How many ephemeral events were missed because it was not polled often enough.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The next event; `None` when the store is closed and everything was received.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    /// As [`Following::next`].
    pub async fn next(&mut self) -> Option<Result<Message>> {
        if !self.process.is_this() {
            self.deaf();
        }
        loop {
            let Self { following, live, route, missed, .. } = self;
            let ephemeral = async {
                match live {
                    Some(live) => live.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                told = ephemeral => match told {
                    Ok(message) if route.takes(&message) => return Some(Ok(message)),
                    Ok(_) => {}
                    Err(RecvError::Lagged(n)) => *missed += n,
                    Err(RecvError::Closed) => self.live = None,
                },
                item = following.next() => match item? {
                    Ok(Followed::Event { event, .. }) => return Some(Ok(Message::recorded(event))),
                    Ok(Followed::CaughtUp { .. } | Followed::Gap { .. }) => {}
                    Err(e) => return Some(Err(e)),
                },
            }
        }
    }

    /// The first event that matches the predicate; `None` on timeout. Events before it are consumed.
    ///
    /// # Errors
    /// As [`next`](Self::next); [`Error::Closed`] if the store is closed in the meantime.
    pub async fn first(
        &mut self,
        mut takes: impl FnMut(&Message) -> bool,
        time: Duration,
    ) -> Result<Option<Message>> {
        let search = async {
            loop {
                match self.next().await {
                    Some(Ok(message)) if takes(&message) => return Ok(Some(message)),
                    // One that cannot be upcast cannot match.
                    Some(Ok(_) | Err(Error::Upcast { .. })) => {}
                    Some(Err(e)) => return Err(e),
                    None => return Err(Error::Closed { after: None }),
                }
            }
        };
        timeout(time, search).await.unwrap_or(Ok(None))
    }
}
