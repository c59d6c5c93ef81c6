//! A subscription for threads: the same driver, whose waker is the thread that waits.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::followed::Followed;
use super::stream::Following;
use crate::error::Result;
use crate::sync::Instant;
use crate::sync::thread::{self, Thread, ThreadId};

/// A running subscription that blocks its thread until there is something: an [`Iterator`], which ends as the
/// [`Following`] that it was made of would. It needs no runtime, and may be moved between threads.
///
/// ```
/// # use retold::{Follow, Followed, NewEvent, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// let writer = {
///     let store = store.clone();
///     std::thread::spawn(move || store.append("run-7", NewEvent::new("run.completed")))
/// };
/// for item in store.follow(Follow::branch("run-7")?)?.blocking() {
///     if item?.event().is_some_and(|event| event.kind() == "run.completed") {
///         break;
///     }
/// }
/// writer.join().unwrap()?;
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a subscription does nothing unless it is asked for items"]
pub struct BlockingFollowing {
    following: Following,
    /// Of the thread that waited last.
    waker: Option<(ThreadId, Waker)>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl Following {
    /// The same subscription for a thread that may block: nothing of it is lost. In a runtime that is for its blocking
    /// threads, never for the ones that run tasks.
    pub fn blocking(self) -> BlockingFollowing {
        BlockingFollowing { following: self, waker: None }
    }
}

impl BlockingFollowing {
    /// The next item, if it comes within this time; `Ready(None)` at the end. What does not come in time is not lost:
    /// the next call delivers it.
    pub fn next_within(&mut self, time: Duration) -> Poll<Option<Result<Followed>>> {
        // A time that no clock reaches is no bound.
        self.wait(Instant::now().checked_add(time))
    }

    fn wait(&mut self, until: Option<Instant>) -> Poll<Option<Result<Followed>>> {
        let current = thread::current();
        let waker = match &self.waker {
            Some((id, waker)) if *id == current.id() => waker.clone(),
            _ => {
                let waker = Waker::from(Arc::new(Unpark(current.clone())));
                self.waker = Some((current.id(), waker.clone()));
                waker
            }
        };
        // A task's budget is not for a thread that has nothing else to do.
        let mut next = pin!(tokio::task::unconstrained(self.following.next()));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(item) = next.as_mut().poll(&mut context) {
                return Poll::Ready(item);
            }
            // A wake-up between the look and this is kept for it.
            match until {
                None => thread::park(),
                Some(until) => match until.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::park_timeout(left),
                    _ => return Poll::Pending,
                },
            }
        }
    }
}

impl Iterator for BlockingFollowing {
    type Item = Result<Followed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.wait(None) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::event::{Expect, NewEvent};
    use crate::follow::Follow;
    use crate::store::Store;

    fn event() -> NewEvent {
        NewEvent::new("a.b")
    }

    fn sequences(items: impl Iterator<Item = Result<Followed>>) -> Vec<u64> {
        items.filter_map(|item| Some(item.unwrap().event()?.sequence().get())).collect()
    }

    #[test]
    fn a_thread_gets_each_event_once_until_the_store_closes() {
        let store = Store::in_memory().unwrap();
        store.append("s", [event(), event()]).unwrap();
        let following = store.follow(Follow::branch("s").unwrap()).unwrap().blocking();
        let writer = std::thread::spawn(move || {
            (0..500).for_each(|_| drop(store.append("s", event()).unwrap()));
            store.close().unwrap();
        });
        assert_eq!(sequences(following), (1..=502).collect::<Vec<_>>());
        writer.join().unwrap();
    }

    #[test]
    fn what_does_not_come_in_time_comes_later_in_another_thread_too() {
        let store = Store::in_memory().unwrap();
        let mut following = store.follow(Follow::all()).unwrap().blocking();
        let caught_up = following.next_within(Duration::MAX);
        assert!(matches!(caught_up, Poll::Ready(Some(Ok(Followed::CaughtUp { .. })))));
        assert!(following.next_within(Duration::from_millis(1)).is_pending());
        let waits = std::thread::spawn(move || following.next().unwrap().unwrap().event().unwrap());
        store.append("s", event()).unwrap();
        assert_eq!(waits.join().unwrap().sequence().get(), 1);
    }

    #[test]
    fn a_sequence_that_is_not_there_yet_is_waited_for_when_asked() {
        let store = Store::in_memory().unwrap();
        store.append("s", event()).unwrap();
        let late = || Follow::branch("s").unwrap().after(3);
        assert!(matches!(store.follow(late()), Err(Error::BadCursor { .. })));
        let following = store.follow(late().wait_for_start()).unwrap().blocking();
        let other = store.follow(Follow::branch("s/b").unwrap().wait_for_start()).unwrap().blocking();
        assert!(matches!(store.follow(Follow::branch("s/b").unwrap()), Err(Error::NotFound { .. })));
        store.append("s", vec![event(); 1]).unwrap();
        (0..3).for_each(|_| drop(store.append("s", event()).unwrap()));
        store.append_if("s/b", Expect::Empty, event()).unwrap();
        store.close().unwrap();
        assert_eq!(sequences(following), [4, 5]);
        assert_eq!(sequences(other), [1]);
    }

    #[test]
    fn a_position_that_is_not_there_yet_is_waited_for_when_asked() {
        let store = Store::in_memory().unwrap();
        for follow in [Follow::all(), Follow::session("s").unwrap()] {
            let committed = store.committed().get();
            let following =
                store.follow(follow.after_position(committed + 2).wait_for_start()).unwrap().blocking();
            (0..4).for_each(|_| drop(store.append("s", event()).unwrap()));
            let items = following.filter_map(|item| item.unwrap().event()).take(2);
            let positions: Vec<u64> = items.map(|event| event.position().get() - committed).collect();
            assert_eq!(positions, [3, 4]);
        }
    }

    #[test]
    fn a_branch_that_is_waited_for_may_begin_with_a_fork() {
        let store = Store::in_memory().unwrap();
        store.append("s", [event(), event(), event()]).unwrap();
        let mut f = store.follow(Follow::branch("s/b").unwrap().wait_for_start()).unwrap().blocking();
        assert!(matches!(
            f.next_within(Duration::from_secs(2)),
            Poll::Ready(Some(Ok(Followed::CaughtUp { .. })))
        ));
        store.fork("s@3", "b").unwrap();
        store.append("s", event()).unwrap();
        let got = f.next_within(Duration::from_secs(3));
        assert!(got.is_ready());
    }

    #[test]
    fn the_cursor_of_one_who_waits_is_resumed_by_one_who_waits() {
        let store = Store::in_memory().unwrap();
        let mut f = store.follow(Follow::branch("s").unwrap().after(3).wait_for_start()).unwrap().blocking();
        let Poll::Ready(Some(Ok(item))) = f.next_within(Duration::from_secs(2)) else { panic!() };
        let cursor = item.cursor();
        (0..5).for_each(|_| drop(store.append("s", event()).unwrap()));
        let again = store.follow(Follow::branch("s").unwrap().cursor(cursor).wait_for_start());
        assert!(again.is_ok());
    }

    #[test]
    fn within_a_runtime_a_thread_that_blocks_gets_everything() {
        let store = Store::in_memory().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let got = runtime.block_on(async {
            let mut f = store.follow(Follow::all()).unwrap().blocking();
            let _ = f.next_within(Duration::from_secs(1));
            let mut got = 0;
            for _ in 0..400 {
                store.append("s", event()).unwrap();
                if f.next_within(Duration::from_millis(500)).is_pending() {
                    break;
                }
                got += 1;
            }
            got
        });
        assert_eq!(got, 400);
    }
}
