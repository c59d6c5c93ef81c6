//! Explores the schedules of a model: the library's own tasks and threads, on the primitives of `src/sync`. Only for this
//! crate's own tests.

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::sync::{Patient, begin, exploring, injected};

/// Schedules of each model in a normal test run; `RETOLD_SOAK` explores a hundred times as many, and
/// `RETOLD_SCHEDULES` as many as it says.
pub(crate) const FOLLOW_SCHEDULES: usize = 8_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const FOLLOW_FILE_SCHEDULES: usize = 500;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const CONSUMER_SCHEDULES: usize = 2_500;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const BUS_SCHEDULES: usize = 3_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const BUS_END_SCHEDULES: usize = 1_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const QUEUE_SCHEDULES: usize = 3_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const TIMER_SCHEDULES: usize = 6_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const WRITER_SCHEDULES: usize = 500;
const _: () = assert!(
    FOLLOW_SCHEDULES
        + FOLLOW_FILE_SCHEDULES
        + CONSUMER_SCHEDULES
        + BUS_SCHEDULES
        + BUS_END_SCHEDULES
        + QUEUE_SCHEDULES
        + TIMER_SCHEDULES
        + WRITER_SCHEDULES
        >= 20_000
);

/// A fault that is not caught in this many schedules fails the test; most are in the first hundred.
const FAULT_SCHEDULES: usize = 4_000;
/// Preemptions in a schedule of the second kind: most bad orders need two or three.
const PREEMPTIONS: usize = 3;
/// A model that takes this many steps is in an endless loop.
const STEPS: usize = 200_000;
/// Of each task. The memory is touched only as far as it is used.
const STACK: usize = 512 * 1_024;
const SEED: u64 = 0x7265_746f_6c64;

/// Runs the model in this many schedules: half of them random, half with a few preemptions at random places. Panics
/// in the first that fails, with how to run it again.
pub(crate) fn explore(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let soak = std::env::var_os("RETOLD_SOAK").is_some();
    let asked = std::env::var("RETOLD_SCHEDULES").ok().and_then(|count| count.parse().ok());
    let each = asked.unwrap_or(schedules * if soak { 100 } else { 1 }).div_ceil(2);
    let model = Arc::new(model);
    run(RandomScheduler::new_from_seed(SEED, each), &model);
    run(PctScheduler::new_from_seed(SEED, PREEMPTIONS, each), &model);
}

fn run(scheduler: impl Scheduler + 'static, model: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::Print;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.stack_size = STACK;
    let model = model.clone();
    let execution = move || {
        begin();
        model();
    };
    exploring(|| Runner::new(Patient::new(scheduler), config).run(execution));
}

/// Explores a model that is known to be wrong, and returns how it failed. Panics if it did not.
fn caught(schedules: usize, model: impl Fn() + Send + Sync + 'static) -> String {
    match crate::panics::caught(|| explore(schedules, model)) {
        Ok(()) => panic!("what is wrong was not found in {schedules} schedules"),
        Err(message) => message,
    }
}

/// Explores a model with one of the known faults.
fn caught_with(fault: &'static str, schedules: usize, model: impl Fn() + Send + Sync + 'static) -> String {
    injected(fault, || caught(schedules, model))
}

/// A known fault, the model that has to catch it, and what with: one of these.
pub(crate) type Known = (&'static str, fn(), &'static [&'static str]);

/// Every fault is caught, and with what it should be.
pub(crate) fn all_caught(faults: &[Known]) {
    let mut otherwise = Vec::new();
    for (fault, model, with) in faults {
        let text = caught_with(fault, FAULT_SCHEDULES, *model);
        if !with.iter().any(|with| text.contains(with)) {
            otherwise.push(format!("{fault} was caught with: {text}"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use shuttle::rand::{Rng, thread_rng};
    use tokio::sync::Notify;

    use super::*;
    use crate::sync::task::Runtime;
    use crate::sync::time::{Instant, sleep, timeout};
    use crate::sync::{Condvar, Mutex, fault, hurry, no_later_than, point, task_local, thread, vary};

    fn spawned(work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
        thread::Builder::new().spawn(work).unwrap()
    }

    #[test]
    fn two_that_take_two_locks_in_two_orders_are_caught() {
        let text = caught(200, || {
            let locks = Arc::new((Mutex::new(()), Mutex::new(())));
            let theirs = locks.clone();
            let other = spawned(move || {
                let _second = theirs.1.lock();
                let _first = theirs.0.lock();
            });
            let _first = locks.0.lock();
            let _second = locks.1.lock();
            drop((_first, _second));
            other.join().unwrap();
        });
        assert!(text.contains("deadlock"), "{text}");
    }

    /// One that looks before it listens.
    fn notified(late: bool) {
        let (there, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (is_there, tell) = (there.clone(), told.clone());
        let other = spawned(move || {
            is_there.store(true, Ordering::SeqCst);
            point();
            tell.notify_waiters();
        });
        shuttle::future::block_on(async {
            if !there.load(Ordering::SeqCst) {
                point();
                if late {
                    let _ = timeout(Duration::from_secs(1), told.notified()).await;
                } else {
                    told.notified().await;
                }
            }
        });
        other.join().unwrap();
    }

    #[test]
    fn a_lost_wake_up_is_caught_also_when_a_timeout_hides_it() {
        let text = caught(200, || notified(false));
        assert!(text.contains("deadlock"), "{text}");
        explore(200, || notified(true));
        let text = caught(200, || {
            no_later_than(Duration::from_millis(999));
            notified(true);
        });
        assert!(text.contains("deadlock"), "{text}");
    }

    #[test]
    fn a_condition_is_waited_for_until_it_is_told_or_its_time_has_come() {
        explore(400, || {
            let pair = Arc::new((Mutex::new(false), Condvar::new()));
            let theirs = pair.clone();
            let tells = thread_rng().gen_bool(0.5);
            let other = spawned(move || {
                if tells {
                    *theirs.0.lock().unwrap() = true;
                    theirs.1.notify_one();
                }
            });
            let begun = Instant::now();
            let mut told = pair.0.lock().unwrap();
            while !*told && begun.elapsed() < Duration::from_secs(1) {
                told = pair.1.wait_timeout(told, Duration::from_secs(1)).unwrap().0;
            }
            assert_eq!((*told, begun.elapsed() < Duration::from_secs(1)), (tells, tells));
            drop(told);
            other.join().unwrap();
        });
    }

    /// Two that sleep, and what wakes first.
    fn sleepers() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let runtime = Runtime::current().unwrap();
        let tasks: Vec<_> = [2, 1]
            .map(|seconds| {
                let order = order.clone();
                runtime.spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    order.lock().unwrap().push(if fault!(Backwards) { 3 - seconds } else { seconds });
                })
            })
            .into();
        tasks.into_iter().for_each(|task| shuttle::future::block_on(task).unwrap());
        assert_eq!(*order.lock().unwrap(), [1, 2], "in the order of their times");
    }

    #[test]
    fn time_goes_by_when_everybody_waits_for_it_and_a_fault_is_there_when_it_is_injected() {
        explore(200, sleepers);
        let text = caught_with("Backwards", 2, sleepers);
        assert!(text.contains("in the order of their times"), "{text}");
        // A variant ends with its execution.
        let text = caught(2, || {
            vary("Backwards");
            sleepers();
        });
        assert!(text.contains("in the order of their times"), "{text}");
        explore(2, sleepers);
        // In a hurry, the second may sleep when the first has woken.
        let text = caught(2_000, || {
            hurry();
            sleepers();
        });
        assert!(text.contains("in the order of their times"), "{text}");
    }

    #[test]
    fn values_of_a_task_are_not_seen_by_others() {
        task_local! {
            static NAME: u32;
        }
        explore(200, || {
            let runtime = Runtime::current().unwrap();
            let tasks = [1, 2].map(|number| {
                runtime.spawn(NAME.scope(number, async move {
                    for _ in 0..3 {
                        assert_eq!(NAME.try_with(|name| *name).ok(), Some(number));
                        point();
                    }
                }))
            });
            assert!(NAME.try_with(|name| *name).is_err());
            tasks.into_iter().for_each(|task| shuttle::future::block_on(task).unwrap());
        });
    }
}
