//! The work of a consumer. Each runtime on which somebody has waited for it has one task that goes on with it, the one on
//! which it was opened first: any of them may have ended, or nobody may run it any more. So what wakes the work wakes as many
//! tasks as there are runtimes, however many workers wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

use super::alarm::Alarm;
use super::waiters::{Pollers, Seats};
use crate::sync::task::Runtime;
use crate::sync::time::{Instant, Sleep, sleep_until};
use crate::sync::{Mutex, lock};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who is there. One lock, so that the last task that leaves sees who comes, or is seen to have left.
#[derive(Debug, Default)]
struct House {
    /// The runtimes that have a task for the work.
    homes: Vec<Runtime>,
    /// Those who wait for what it brings about.
    guests: Seats,
    is_over: bool,
}

impl House {
    fn has_home(&self, runtime: &Runtime) -> bool {
        self.homes.iter().any(|home| home.is(runtime))
    }
}

/// What became of the work.
enum Went {
    /// It goes on by itself at this time, if it does.
    On(Option<Instant>),
    Over,
}

pub(super) struct Driven {
    /// `None` when it has ended.
    work: Mutex<Option<Work>>,
    /// Wakes the pollers.
    waker: Waker,
    pollers: Arc<Pollers>,
    house: Mutex<House>,
    is_over: watch::Sender<bool>,
    /// When it goes on by itself.
    alarm: Alarm,
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
        let pollers = Arc::<Pollers>::default();
        let driven = Arc::new(Self {
            work: Mutex::new(Some(Box::pin(work))),
            waker: Waker::from(pollers.clone()),
            pollers,
            house: Mutex::default(),
            is_over: watch::Sender::new(false),
            alarm,
        });
        driven.settle(runtime);
        driven
    }

    /// Gives it a task on this runtime, if it has none there. Says whether it has one now.
    fn settle(self: &Arc<Self>, runtime: &Runtime) -> bool {
        let mut house = lock(&self.house);
        let has_home = house.has_home(runtime);
        if has_home || house.is_over {
            return has_home;
        }
        house.homes.push(runtime.clone());
        drop(house);
        let resident = Resident { poller: Poller::of(self), home: runtime.clone() };
        // One that has ended drops it at once.
        drop(runtime.spawn(resident));
        lock(&self.house).has_home(runtime)
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
        let mut visit = Visit { driven: self, seat: None, poller: None };
        poll_fn(|cx| {
            // Before anything is asked for: the last task that leaves sees that somebody is there.
            let is_first = visit.seat.is_none();
            if is_first {
                visit.arrive(cx);
            }
            let answered = answer.as_mut().poll(cx);
            if answered.is_pending() {
                if !is_first {
                    visit.arrive(cx);
                }
                if let Some(poller) = &mut visit.poller {
                    // Whatever that brings about wakes this.
                    let _ = poller.go_on(cx);
                }
            }
            answered
        })
        .await
    }

    /// Polls it. `passed`: it is that late by now.
    fn go_on(&self, by: Option<usize>, passed: Option<Instant>) -> Went {
        let mut work = lock(&self.work);
        let Some(taken) = work.take() else { return Went::Over };
        let before = self.alarm.due();
        // Also when it panics: then it is not put back.
        let ends = Ends(self);
        let mut running = taken;
        if running.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            // Before others see that it has ended: it lets go of the file.
            drop(running);
            return Went::Over;
        }
        std::mem::forget(ends);
        *work = Some(running);
        let due = self.alarm.after(passed);
        drop(work);
        // They have timers that are earlier than what was due before.
        if due.is_some_and(|due| before.is_none_or(|before| due < before)) {
            self.pollers.wake_others(by);
        }
        Went::On(due)
    }

    /// The runtime of one of its tasks has ended. If nobody goes on with it, it has ended too, and lets go of the file.
    fn is_left(&self, by: Option<&Runtime>) {
        let mut work = lock(&self.work);
        let mut house = lock(&self.house);
        if let Some(by) = by {
            house.homes.retain(|home| !home.is(by));
        }
        if house.homes.is_empty() && house.guests.is_empty() {
            house.is_over = true;
            drop(house);
            *work = None;
            self.is_over.send_replace(true);
        } else {
            let guests = house.guests.all();
            drop((house, work));
            guests.into_iter().for_each(Waker::wake);
            self.pollers.wake_others(None);
        }
    }
}

/// Somebody waits for what the work brings about. If all its runtimes have ended meanwhile, it stays where it was waited for.
struct Visit<'a> {
    driven: &'a Arc<Driven>,
    seat: Option<usize>,
    /// One who goes on with the work: outside a task nobody may run the runtime, and one that has ended has no task for it.
    poller: Option<Poller>,
}

impl Visit<'_> {
    fn arrive(&mut self, cx: &Context<'_>) {
        let here = Runtime::current();
        let mut house = lock(&self.driven.house);
        house.guests.sit(&mut self.seat, cx.waker());
        let has_home = here.as_ref().is_some_and(|here| house.has_home(here));
        drop(house);
        let polls = here.is_some_and(|here| {
            let has_home = has_home || self.driven.settle(&here);
            here.may_stand_still() || !has_home
        });
        match polls {
            true => self.poller.get_or_insert_with(|| Poller::of(self.driven)).listen(cx),
            false => self.poller = None,
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut house = lock(&self.driven.house);
        house.guests.leave(&mut self.seat);
        let has_homes = !house.homes.is_empty();
        drop(house);
        if has_homes {
            return;
        }
        match Runtime::current() {
            Some(here) => drop(self.driven.settle(&here)),
            None => self.driven.is_left(None),
        }
    }
}

/// The work ends with this.
struct Ends<'a>(&'a Driven);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let mut house = lock(&self.0.house);
        house.is_over = true;
        let guests = house.guests.all();
        drop(house);
        self.0.is_over.send_replace(true);
        guests.into_iter().for_each(Waker::wake);
        self.0.pollers.wake_others(None);
    }
}

/// Goes on with the work while it is polled, until that has ended.
struct Poller {
    driven: Arc<Driven>,
    seat: Option<usize>,
    /// On the runtime of whoever polls this, for the time at which the work goes on by itself. It may be early: each turn of
    /// the work has its own time, and a timer that is set anew with each costs more than one that is in vain now and then.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Poller {
    fn of(driven: &Arc<Driven>) -> Self {
        Self { driven: driven.clone(), seat: None, timer: None }
    }

    /// What wakes the work from here on wakes this.
    fn listen(&mut self, cx: &Context<'_>) {
        self.driven.pollers.sit(&mut self.seat, cx.waker());
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut passed = None;
        loop {
            let Went::On(due) = self.driven.go_on(self.seat, passed) else { return Poll::Ready(()) };
            let timer = self.timer.take();
            self.timer = match due {
                Some(due) if timer.as_ref().is_none_or(|(at, _)| due < *at) => {
                    Some((due, Box::pin(sleep_until(due))))
                }
                _ => timer,
            };
            let Some((_, timer)) = &mut self.timer else { return Poll::Pending };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            passed = Some(Instant::now());
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.driven.pollers.leave(&mut self.seat);
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
        self.poller.listen(cx);
        self.poller.go_on(cx)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.poller.driven.pollers.leave(&mut self.poller.seat);
        self.poller.driven.is_left(Some(&self.home));
    }
}
