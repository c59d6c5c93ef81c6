//! The work of a consumer. Each runtime on which somebody has waited for it has one task that goes on with it, the one on
//! which it was opened first: any of them may have ended, or nobody may run it any more. So what wakes the work wakes as many
//! tasks as there are runtimes, however many workers wait.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::watch;

use super::alarm::Alarm;
use crate::sync::task::Runtime;
use crate::sync::time::{Instant, Sleep, sleep_until};
use crate::sync::{Mutex, lock};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Those who wait for the work.
#[derive(Debug, Default)]
struct Waiters {
    all: Mutex<HashMap<u64, Waiter>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    /// What wakes the work wakes this one.
    polls: bool,
}

impl Waiters {
    /// It counts from now on, also before it is polled.
    fn enter(&self) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.all).insert(id, Waiter { waker: Waker::noop().clone(), polls: false });
        id
    }

    fn listen(&self, id: u64, waker: &Waker, polls: bool) {
        let mut all = lock(&self.all);
        match all.get_mut(&id) {
            Some(waiter) if waiter.polls == polls && waiter.waker.will_wake(waker) => {}
            _ => drop(all.insert(id, Waiter { waker: waker.clone(), polls })),
        }
    }

    fn leave(&self, id: u64) {
        lock(&self.all).remove(&id);
    }

    fn wake(&self, which: impl Fn(u64, &Waiter) -> bool) {
        let all = lock(&self.all);
        let wakers: Vec<Waker> =
            all.iter().filter(|(id, waiter)| which(**id, waiter)).map(|(_, w)| w.waker.clone()).collect();
        drop(all);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Waiters::wake(self, |_, waiter| waiter.polls);
    }
}

pub(super) struct Driven {
    /// `None` when it has ended.
    work: Mutex<Option<Work>>,
    is_over: watch::Sender<bool>,
    /// When it goes on by itself.
    alarm: Alarm,
    waiters: Arc<Waiters>,
    /// The runtimes that have a task for it.
    homes: Mutex<Vec<Runtime>>,
}

impl std::fmt::Debug for Driven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driven")
    }
}

impl Driven {
    pub(super) fn start(
        runtime: &Runtime,
        alarm: Alarm,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Arc<Self> {
        let driven = Arc::new(Self {
            work: Mutex::new(Some(Box::pin(work))),
            is_over: watch::Sender::new(false),
            alarm,
            waiters: Arc::default(),
            homes: Mutex::default(),
        });
        driven.settle(runtime);
        driven
    }

    fn has_home(&self, runtime: &Runtime) -> bool {
        lock(&self.homes).iter().any(|home| home.is(runtime))
    }

    /// Gives it a task on this runtime, if it has none there.
    fn settle(self: &Arc<Self>, runtime: &Runtime) {
        let mut homes = lock(&self.homes);
        if *self.is_over.borrow() || homes.iter().any(|home| home.is(runtime)) {
            return;
        }
        homes.push(runtime.clone());
        drop(homes);
        let resident = Resident { poller: Poller::of(self), home: runtime.clone() };
        // One that has ended drops it at once.
        drop(runtime.spawn(resident));
    }

    /// Resolves when it has ended.
    pub(super) async fn ended(self: &Arc<Self>) {
        let mut is_over = self.is_over.subscribe();
        // The sender lives as long as this.
        let _ = self.until(is_over.wait_for(|is_over| *is_over)).await;
    }

    /// Waits for this, which the work brings about.
    pub(super) async fn until<T>(self: &Arc<Self>, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        let mut visit = Visit(Poller::of(self));
        poll_fn(|cx| {
            // Before anything is asked for: whatever wakes the work from here on finds somebody.
            let polls = visit.arrive(cx);
            let answered = answer.as_mut().poll(cx);
            if answered.is_pending() && polls {
                // Whatever that brings about wakes this.
                let _ = visit.0.go_on(cx);
            }
            answered
        })
        .await
    }

    fn poll(&self) -> Poll<()> {
        let mut work = lock(&self.work);
        let Some(taken) = work.take() else { return Poll::Ready(()) };
        let waker = Waker::from(self.waiters.clone());
        // Also when it panics: then it is not put back.
        let ends = Ends(self);
        let mut running = taken;
        if running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            std::mem::forget(ends);
            *work = Some(running);
            return Poll::Pending;
        }
        // Before others see that it has ended: it lets go of the file.
        drop(running);
        Poll::Ready(())
    }

    /// The runtime of one of its tasks has ended. If nobody goes on with it, it has ended too, and lets go of the file.
    fn is_left(&self, by: Option<&Runtime>) {
        let mut work = lock(&self.work);
        if let Some(by) = by {
            lock(&self.homes).retain(|home| !home.is(by));
        }
        if lock(&self.waiters.all).is_empty() {
            *work = None;
            self.is_over.send_replace(true);
        } else {
            drop(work);
            Waiters::wake(&self.waiters, |_, _| true);
        }
    }
}

/// Somebody waits for what the work brings about. If all its runtimes have ended meanwhile, it stays where it was waited for.
struct Visit(Poller);

impl Visit {
    /// Says whether it goes on with the work itself: outside a task nobody may run the runtime, and one that has ended has no
    /// task for it.
    fn arrive(&mut self, cx: &mut Context<'_>) -> bool {
        let Poller { driven, id, .. } = &self.0;
        let polls = Runtime::current().is_some_and(|here| {
            driven.settle(&here);
            here.may_stand_still() || !driven.has_home(&here)
        });
        driven.waiters.listen(*id, cx.waker(), polls);
        polls
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Poller { driven, id, .. } = &self.0;
        driven.waiters.leave(*id);
        if !lock(&driven.homes).is_empty() {
            return;
        }
        match Runtime::current() {
            Some(here) => driven.settle(&here),
            None => driven.is_left(None),
        }
    }
}

/// The work ends with this.
struct Ends<'a>(&'a Driven);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.send_replace(true);
        Waiters::wake(&self.0.waiters, |_, _| true);
    }
}

/// Goes on with the work while it is polled, until that has ended.
struct Poller {
    driven: Arc<Driven>,
    id: u64,
    /// For the time at which the work goes on by itself, on the runtime of whoever polls this.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Poller {
    fn of(driven: &Arc<Driven>) -> Self {
        Self { driven: driven.clone(), id: driven.waiters.enter(), timer: None }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let before = self.driven.alarm.due();
            if self.driven.poll().is_ready() {
                return Poll::Ready(());
            }
            let due = self.driven.alarm.due();
            if due != before {
                let id = self.id;
                Waiters::wake(&self.driven.waiters, |other, waiter| waiter.polls && other != id);
            }
            self.timer = self.timer.take().filter(|(at, _)| Some(*at) == due);
            let Some(due) = due else { return Poll::Pending };
            let (_, timer) = self.timer.get_or_insert_with(|| (due, Box::pin(sleep_until(due))));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.driven.waiters.leave(self.id);
    }
}

/// The task for it on a runtime. It is dropped when the work has ended, or the runtime.
struct Resident {
    poller: Poller,
    home: Runtime,
}

impl Future for Resident {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Before the work is polled: what wakes it from then on wakes this.
        self.poller.driven.waiters.listen(self.poller.id, cx.waker(), true);
        self.poller.go_on(cx)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.poller.driven.waiters.leave(self.poller.id);
        self.poller.driven.is_left(Some(&self.home));
    }
}
