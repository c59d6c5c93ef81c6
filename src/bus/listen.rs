use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::timeout;

use super::bus::Bus;
use super::message::Message;
use super::route::Route;
use crate::error::{Error, Result};
use crate::follow::{Cursor, Follow, Followed, Following};
use crate::store::Process;

/// Hears events as they go by: recorded ones without a gap and in order, ephemeral ones as long as it keeps up.
///
/// It begins when it is made, so what is published after that is heard, whenever it is asked. It keeps the store's file
/// open until it is dropped.
#[must_use = "a listener hears nothing unless it is asked"]
#[derive(Debug)]
pub struct Listener {
    process: Process,
    following: Following,
    live: Option<Receiver<Message>>,
    route: Route,
    missed: u64,
}

impl Bus {
    /// Listens from now on, to recorded and ephemeral events of the types that the glob matches.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a glob that is none, [`Error::Closed`].
    pub fn listen(&self, pattern: &str) -> Result<Listener> {
        self.listener(pattern, Follow::all().from_end())
    }

    /// Listens from a cursor on: to what was recorded since, then to what comes.
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
        let route = route.resolved_in(self.core().shared.handle.catalogue());
        let live = Some(self.core().subscribers.subscribe());
        let following = self.core().shared.handle.follow(follow.filter(route.filter()))?;
        let process = self.core().shared.handle.process().clone();
        Ok(Listener { process, following, live, route, missed: 0 })
    }

    /// The first event from now on that the glob and the question take; `None` when there is none in time.
    ///
    /// What happens between a call of yours and this one is not heard: where that matters, [`listen`](Self::listen)
    /// first, act, then ask the listener with [`Listener::first`].
    ///
    /// # Errors
    /// As [`listen`](Self::listen); [`Error::Closed`] when the store is closed meanwhile.
    pub async fn wait_for(
        &self,
        pattern: &str,
        takes: impl FnMut(&Message) -> bool,
        time: Duration,
    ) -> Result<Option<Message>> {
        self.listen(pattern)?.first(takes, time).await
    }

    /// [`wait_for`](Self::wait_for) from a cursor on, so that nothing falls between.
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
    /// Lets go of the ephemeral events; in a forked child only of the name.
    fn deaf(&mut self) {
        let live = self.live.take();
        if !self.process.is_this() {
            std::mem::forget(live);
        }
    }

    /// Hears recorded events only.
    pub fn recorded_only(mut self) -> Self {
        self.deaf();
        self
    }

    /// How many ephemeral events went by unheard, because it was not asked often enough.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The next event; `None` when the store is closed and everything was heard.
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
                    Ok(Followed::CaughtUp { .. }) => {}
                    Err(e) => return Some(Err(e)),
                },
            }
        }
    }

    /// The first event that the question takes; `None` when there is none in time. Events before it are heard and
    /// gone.
    ///
    /// # Errors
    /// As [`next`](Self::next); [`Error::Closed`] when the store is closed meanwhile.
    pub async fn first(
        &mut self,
        mut takes: impl FnMut(&Message) -> bool,
        time: Duration,
    ) -> Result<Option<Message>> {
        let search = async {
            loop {
                match self.next().await {
                    Some(Ok(message)) if takes(&message) => return Ok(Some(message)),
                    // One that cannot be read in its newest shape is not the one.
                    Some(Ok(_) | Err(Error::Upcast { .. })) => {}
                    Some(Err(e)) => return Err(e),
                    None => return Err(Error::Closed { after: None }),
                }
            }
        };
        timeout(time, search).await.unwrap_or(Ok(None))
    }
}
