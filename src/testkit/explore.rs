//! Explores the schedules of a model, for the proofs that lie beside the machines. For this crate's own tests.

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Schedules of each room's model in a plain run of the tests; `RETOLD_SOAK` explores a hundred times as many.
pub(crate) const FOLLOW_SCHEDULES: usize = 7_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const CONSUMER_SCHEDULES: usize = 7_000;
/// See [`FOLLOW_SCHEDULES`].
pub(crate) const BUS_SCHEDULES: usize = 7_000;
const _: () = assert!(FOLLOW_SCHEDULES + CONSUMER_SCHEDULES + BUS_SCHEDULES >= 20_000);

/// Preemptions that a schedule of the second sort has: most orders that go wrong need two or three.
const PREEMPTIONS: usize = 3;
/// A model that takes so many steps goes round in circles.
const STEPS: usize = 50_000;
const SEED: u64 = 0x7265_746f_6c64;

/// Runs the model in so many schedules: half of them drawn at random, half with few preemptions at drawn places.
/// Panics in the first one that fails, and tells how it can be run again.
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

/// Explores a model that is known to be wrong, and returns what it was caught with. Panics when it was not.
pub(crate) fn caught(schedules: usize, model: impl Fn() + Send + Sync + 'static) -> String {
    match crate::panics::caught(|| explore(schedules, model)) {
        Ok(()) => panic!("what is wrong was not found in {schedules} schedules"),
        Err(said) => said,
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
