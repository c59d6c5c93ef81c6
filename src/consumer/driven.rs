//! The work of a consumer. A task of the runtime on which the consumer was opened goes on with it, and whoever waits for it on
//! another: that runtime may have ended, or nobody may run it any more.

use std::collections::HashMap;
use std::future::Future;
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

/// Those who poll the work: what wakes it wakes all of them.
#[derive(Debug, Default)]
struct Pollers {
    wakers: Mutex<HashMap<u64, Waker>>,
    next: AtomicU64,
}

impl Pollers {
    /// All but this one.
    fn wake_others(&self, id: u64) {
        let wakers = lock(&self.wakers);
        let others: Vec<Waker> =
            wakers.iter().filter(|(other, _)| **other != id).map(|(_, w)| w.clone()).collect();
        drop(wakers);
        others.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Pollers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers: Vec<Waker> = lock(&self.wakers).values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

pub(super) struct Driven {
    /// `None` when it has ended.
    work: Mutex<Option<Work>>,
    is_over: watch::Sender<bool>,
    /// When it goes on by itself.
    alarm: Alarm,
    pollers: Arc<Pollers>,
    /// The runtime that has a task for it; `None` if that has ended.
    home: Mutex<Option<Runtime>>,
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
            pollers: Arc::default(),
            home: Mutex::new(None),
        });
        driven.settle(runtime);
        driven
    }

    /// Gives it a task on this runtime, if it has none.
    fn settle(self: &Arc<Self>, runtime: &Runtime) {
        let mut home = lock(&self.home);
        if home.is_none() && !*self.is_over.borrow() {
            *home = Some(runtime.clone());
            drop(home);
            drop(runtime.spawn(Resident(self.poller())));
        }
    }

    fn poller(self: &Arc<Self>) -> Poller {
        let id = self.pollers.next.fetch_add(1, Ordering::Relaxed);
        // It counts from now on, also before it is polled.
        lock(&self.pollers.wakers).insert(id, Waker::noop().clone());
        Poller { driven: self.clone(), id, timer: None }
    }

    /// Resolves when it has ended.
    pub(super) async fn ended(self: &Arc<Self>) {
        let mut is_over = self.is_over.subscribe();
        // The sender lives as long as this.
        let _ = self.until(is_over.wait_for(|is_over| *is_over)).await;
    }

    /// Waits for this, which the work brings about. On another runtime than the one that has a task for it, whoever waits goes on
    /// with it.
    pub(super) async fn until<T>(self: &Arc<Self>, answer: impl Future<Output = T>) -> T {
        let Some(here) = Runtime::current() else { return answer.await };
        let _visit = Visit(self);
        let poller = self.poller();
        self.settle(&here);
        if lock(&self.home).as_ref().is_some_and(|home| home.is(&here)) {
            drop(poller);
            return answer.await;
        }
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = poller => {}
        }
        answer.await
    }

    fn poll(&self) -> Poll<()> {
        let mut work = lock(&self.work);
        let Some(taken) = work.take() else { return Poll::Ready(()) };
        let waker = Waker::from(self.pollers.clone());
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

    /// The runtime of its task has ended. If nobody goes on with it, it has ended too, and lets go of the file.
    fn is_left(&self) {
        let mut work = lock(&self.work);
        *lock(&self.home) = None;
        if lock(&self.pollers.wakers).is_empty() {
            *work = None;
            self.is_over.send_replace(true);
        } else {
            drop(work);
            self.pollers.wake_by_ref();
        }
    }
}

/// Somebody waits for what the work brings about. If its runtime has ended meanwhile, it stays where it was waited for.
struct Visit<'a>(&'a Arc<Driven>);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if lock(&self.0.home).is_some() {
            return;
        }
        match Runtime::current() {
            Some(here) => self.0.settle(&here),
            None => self.0.is_left(),
        }
    }
}

/// The work ends with this.
struct Ends<'a>(&'a Driven);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.send_replace(true);
        self.0.pollers.wake_by_ref();
    }
}

/// Goes on with the work while it is polled, until that has ended.
struct Poller {
    driven: Arc<Driven>,
    id: u64,
    /// For the time at which the work goes on by itself, on the runtime of whoever polls this.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Future for Poller {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Before it is polled: what wakes it from then on wakes this.
        lock(&self.driven.pollers.wakers).insert(self.id, cx.waker().clone());
        loop {
            let before = self.driven.alarm.due();
            if self.driven.poll().is_ready() {
                return Poll::Ready(());
            }
            let due = self.driven.alarm.due();
            if due != before {
                self.driven.pollers.wake_others(self.id);
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
        lock(&self.driven.pollers.wakers).remove(&self.id);
    }
}

/// The task for it. It is dropped when the work has ended, or its runtime.
struct Resident(Poller);

impl Future for Resident {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        lock(&self.0.driven.pollers.wakers).remove(&self.0.id);
        self.0.driven.is_left();
    }
}
