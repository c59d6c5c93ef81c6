//! The explorer's clock: a number that jumps to the next timer. A task of its own does that, and the scheduler runs it
//! when no other can run; or, if the model [hurries](hurry), now and then before that.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use super::faults::vary_nothing;
use super::streams::everybodys_turn;
use super::switch::unblock;

/// What is done when it is time.
#[derive(Debug)]
pub(super) enum Alarm {
    Wake(Waker),
    Unblock(TaskId),
}

impl Alarm {
    fn ring(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Unblock(task) => unblock(task),
        }
    }
}

/// Named by its time, and a number.
type Name = (Duration, u64);

/// An alarm, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alarmed(Name);

#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    alarms: BTreeMap<Name, Alarm>,
    next: u64,
    task: Option<Waker>,
    latest: Option<Duration>,
    hurries: bool,
}

std::thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
}

/// The clock's task: the first that an execution spawns.
fn clock_task() -> TaskId {
    TaskId::from(1)
}

/// Sets the clock to zero. To be called first in an execution.
pub(crate) fn begin() {
    CLOCK.set(Clock::default());
    vary_nothing();
    everybodys_turn();
    drop(shuttle::future::spawn(poll_fn(|context| {
        let due = CLOCK.with_borrow_mut(|clock| {
            clock.task = Some(context.waker().clone());
            clock.jump()
        });
        if let Some(due) = due {
            due.into_iter().for_each(Alarm::ring);
            context.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    })));
}

/// Lets timers be due before every task waits for one.
pub(crate) fn hurry() {
    CLOCK.with_borrow_mut(|clock| clock.hurries = true);
}

/// No timer of the model is to be needed: if nothing but one that is later than this goes on, a wake-up was lost.
pub(crate) fn no_later_than(time: Duration) {
    CLOCK.with_borrow_mut(|clock| clock.latest = Some(time));
}

pub(super) fn now() -> Duration {
    CLOCK.with_borrow(|clock| clock.now)
}

pub(super) fn alarm(at: Duration, alarm: Alarm) -> Alarmed {
    let (name, task) = CLOCK.with_borrow_mut(|clock| {
        clock.next += 1;
        let name = (at, clock.next);
        clock.alarms.insert(name, alarm);
        (name, clock.task.clone())
    });
    if let Some(task) = task {
        task.wake();
    }
    Alarmed(name)
}

/// Time goes by for one that waits by looking again and again.
pub(super) fn tick() {
    let due = CLOCK.with_borrow_mut(|clock| {
        clock.now += Duration::from_micros(1);
        clock.due()
    });
    due.into_iter().for_each(Alarm::ring);
}

impl Drop for Alarmed {
    fn drop(&mut self) {
        CLOCK.with_borrow_mut(|clock| drop(clock.alarms.remove(&self.0)));
    }
}

impl Clock {
    fn due(&mut self) -> Vec<Alarm> {
        let later = self.alarms.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.alarms, later).into_values().collect()
    }

    fn jump(&mut self) -> Option<Vec<Alarm>> {
        let next = self.alarms.keys().next()?.0;
        if let Some(latest) = self.latest {
            assert!(next <= latest, "deadlock, but for a timeout after {next:?}");
        }
        self.now = self.now.max(next);
        Some(self.due())
    }
}

/// Runs the clock's task only when no other can run.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    inner: S,
    seed: u64,
}

impl<S> Patient<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, seed: 1 }
    }

    /// One of so many.
    fn now_and_then(&mut self, of: u64) -> bool {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33).is_multiple_of(of)
    }
}

impl<S: Scheduler> Scheduler for Patient<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.inner.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let clock = clock_task();
        let others: Vec<&Task> = runnable.iter().filter(|task| task.id() != clock).copied().collect();
        let can_tick = others.len() < runnable.len();
        let hurries = can_tick && CLOCK.with_borrow(|clock| clock.hurries);
        if others.is_empty() || hurries && self.now_and_then(50) {
            return Some(clock);
        }
        self.inner.next_task(&others, current, yields)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}
