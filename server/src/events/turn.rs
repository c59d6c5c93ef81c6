//! Turns at reading what was recorded: streams that have not caught up read at the cost of all others, so not too many do at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// The turn of one stream.
pub(super) struct Turn {
    all: Arc<Semaphore>,
    waiting: Option<Waiting>,
    has: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// One of so many as there are permits.
    pub(super) fn new(all: Arc<Semaphore>) -> Self {
        Self { all, waiting: None, has: None }
    }

    /// Ready when it may read. Whoever is not polled again after this was pending has to [rest](Self::rest).
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has.is_none() && self.waiting.is_none() {
            self.has = self.all.clone().try_acquire_owned().ok();
        }
        if self.has.is_none() {
            let all = &self.all;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(all.clone().acquire_owned()));
            // It is never closed.
            self.has = ready!(waiting.as_mut().poll(cx)).ok();
            self.waiting = None;
        }
        Poll::Ready(())
    }

    /// Leaves it to others until the next poll.
    pub(super) fn rest(&mut self) {
        (self.waiting, self.has) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn has_turn(turn: &mut Turn) -> bool {
        std::future::poll_fn(|cx| turn.poll(cx)).now_or_never().is_some()
    }

    #[test]
    fn so_many_have_their_turn_and_whoever_rests_is_not_waited_for() {
        let all = Arc::new(Semaphore::new(1));
        let [mut one, mut other, mut third] = [(); 3].map(|()| Turn::new(all.clone()));
        assert!(has_turn(&mut one) && has_turn(&mut one));
        assert!(!has_turn(&mut other) && !has_turn(&mut third));
        other.rest();
        one.rest();
        assert!(has_turn(&mut third), "the one that rests is the first in the queue");
        assert!(!has_turn(&mut one) && !has_turn(&mut other));
        drop(third);
        assert!(has_turn(&mut one));
    }
}
