//! The explorer's clock: a number that jumps to the next timer. A task of its own does that, and the scheduler runs it
//! when no other can run; or, if the model [hurries](hurry), now and then before that.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use super::faults::vary_nothing;
use super::runtimes;
use super::streams::everybodys_turn;
use super::switch::unblock;

/// What is done when it is time.
#[derive(Debug)]
pub(super) enum Alarm {
    /// A timer of this runtime: one that has ended has none.
    Wake(usize, Waker),
    Unblock(TaskId),
}

impl Alarm {
    fn ring(self) {
        match self {
            Self::Wake(runtime, waker) if !runtimes::has_ended(runtime) => waker.wake(),
            Self::Wake(..) => {}
            Self::Unblock(task) => unblock(task),
        }
    }
}

/// Named by its time, and a number.
type Name = (Duration, u64);

/// An alarm, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alarmed(Name);

#[derive(Default)]
struct InVain(Option<Box<dyn Fn() -> String>>);

impl std::fmt::Debug for InVain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InVain")
    }
}

/// What is waited for is watched until this is dropped.
#[must_use]
pub(crate) struct Watched(());

impl Drop for Watched {
    fn drop(&mut self) {
        CLOCK.with_borrow_mut(|clock| (clock.latest, clock.in_vain) = (None, InVain(None)));
    }
}

#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    alarms: BTreeMap<Name, Alarm>,
    next: u64,
    task: Option<Waker>,
    latest: Option<Duration>,
    /// What to say when only a timer that is later goes on, or nothing.
    in_vain: InVain,
    /// No other task can run.
    is_alone: bool,
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
    runtimes::begin();
    drop(shuttle::future::spawn(poll_fn(|context| {
        let (due, is_watched) = CLOCK.with_borrow_mut(|clock| {
            clock.task = Some(context.waker().clone());
            (clock.jump(), clock.in_vain.0.is_some())
        });
        if due.is_some() || is_watched {
            due.into_iter().flatten().for_each(Alarm::ring);
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

/// [`no_later_than`], which says what was waited for in vain, also when nothing goes on at all.
pub(crate) fn in_vain(time: Duration, what: impl Fn() -> String + 'static) -> Watched {
    let task = CLOCK.with_borrow_mut(|clock| {
        (clock.latest, clock.in_vain) = (Some(time), InVain(Some(Box::new(what))));
        clock.task.clone()
    });
    task.into_iter().for_each(Waker::wake);
    Watched(())
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
        let next = self.alarms.keys().next().map(|(next, _)| *next);
        if let (Some(latest), Some(what), true) = (self.latest, &self.in_vain.0, self.is_alone) {
            assert!(next.is_some_and(|next| next <= latest), "{}", what());
        }
        let next = next?;
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
        CLOCK.with_borrow_mut(|clock| clock.is_alone = others.is_empty());
        if others.is_empty() || hurries && self.now_and_then(50) {
            return Some(clock);
        }
        self.inner.next_task(&others, current, yields)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}
