//! Explores the schedules of a model, for the explored tests of the state machines. Only for this crate's own tests.

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Schedules of each module's model in a normal test run; `RETOLD_SOAK` explores a hundred times as many.
pub(crate) const FOLLOW_SCHEDULES: usize = 7_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const CONSUMER_SCHEDULES: usize = 7_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const BUS_SCHEDULES: usize = 7_000;
const _: () = assert!(FOLLOW_SCHEDULES + CONSUMER_SCHEDULES + BUS_SCHEDULES >= 20_000);

/// Preemptions in a schedule of the second kind: most bad orders need two or three.
const PREEMPTIONS: usize = 3;
/// A model that takes this many steps is in an endless loop.
const STEPS: usize = 50_000;
const SEED: u64 = 0x7265_746f_6c64;

/// Runs the model in this many schedules: half of them random, half with a few preemptions at random places. Panics
/// in the first that fails, with how to run it again.
pub(crate) fn explore(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let soak = std::env::var_os("RETOLD_SOAK").is_some();
    let each = schedules.div_ceil(2) * if soak { 100 } else { 1 };
    let model = Arc::new(model);
    run(RandomScheduler::new_from_seed(SEED, each), &model);
    run(PctScheduler::new_from_seed(SEED, PREEMPTIONS, each), &model);
}

fn run(scheduler: impl Scheduler + 'static, model: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::Print;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    let model = model.clone();
    Runner::new(scheduler, config).run(move || model());
}

/// Explores a model that is known to be wrong, and returns the failure. Panics if there is none.
pub(crate) fn caught(schedules: usize, model: impl Fn() + Send + Sync + 'static) -> String {
    match crate::panics::caught(|| explore(schedules, model)) {
        Ok(()) => panic!("what is wrong was not found in {schedules} schedules"),
        Err(message) => message,
    }
}

#[test]
fn two_that_take_two_locks_in_two_orders_are_caught() {
    use shuttle::sync::Mutex;
    let text = caught(200, || {
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let theirs = locks.clone();
        let other = shuttle::thread::spawn(move || {
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
