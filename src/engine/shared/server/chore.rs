//! A future that whoever wakes it goes on with: a commit is answered by the thread that has made it, and no other has to wake up
//! for that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use crate::sync::{Mutex, lock};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// It never blocks, and wakes nobody who does.
pub(super) struct Chore {
    work: Mutex<Option<Work>>,
    /// Wakes since it was looked at last; whoever is looking looks again.
    woken: AtomicUsize,
}

impl Chore {
    /// Begins it on this thread.
    pub(super) fn begin(work: impl Future<Output = ()> + Send + 'static) {
        let chore = Self { work: Mutex::new(Some(Box::pin(work))), woken: AtomicUsize::new(0) };
        Arc::new(chore).wake();
    }
}

impl Wake for Chore {
    fn wake(self: Arc<Self>) {
        if self.woken.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            let seen = self.woken.load(Ordering::Acquire);
            let mut work = lock(&self.work);
            let is_over = work.as_mut().is_none_or(|work| work.as_mut().poll(&mut cx).is_ready());
            // Dropped without the lock.
            let over = if is_over { work.take() } else { None };
            drop(work);
            drop(over);
            if self.woken.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Poll;

    use super::*;

    #[test]
    fn a_chore_goes_on_where_it_is_woken_and_also_when_that_is_while_it_is_looked_at() {
        let (wakers, done) = (Arc::new(Mutex::new(Vec::<Waker>::new())), Arc::new(AtomicBool::new(false)));
        let (mut looks, (given, is_done)) = (0, (wakers.clone(), done.clone()));
        Chore::begin(async move {
            std::future::poll_fn(|cx| {
                looks += 1;
                match looks {
                    // It is woken before this look is over.
                    1 => cx.waker().wake_by_ref(),
                    2 => lock(&given).push(cx.waker().clone()),
                    _ => return Poll::Ready(()),
                }
                Poll::Pending
            })
            .await;
            is_done.store(true, Ordering::Release);
        });
        assert!(!done.load(Ordering::Acquire));
        let waker = lock(&wakers).pop().unwrap();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        assert!(done.load(Ordering::Acquire));
    }
}
