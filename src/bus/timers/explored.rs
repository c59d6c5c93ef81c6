//! Timers in thousands of schedules: made and cancelled on two handles of one engine, while one of them fires, or both.
//! Each known way to get it wrong is injected, and has to be caught.

use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};

use super::timer::{Due, Timer};
use crate::error::Error;
use crate::event::{Event, EventId, NewEvent, Timestamp};
use crate::store::{Query, Store};
use crate::sync::task::Runtime;
use crate::sync::time::{sleep, wall_clock};
use crate::testkit::{TIMER_SCHEDULES, all_caught, explore};

const MAKERS: usize = 2;
const EACH: usize = 3;
const LONGEST_MS: u64 = 20;
/// What looking takes: two looks are a millisecond apart.
const SLACK: Duration = Duration::from_millis(2);

/// What became of a timer for whoever made it.
struct Made {
    timer: Timer,
    cancelled: bool,
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

/// Makes timers, and cancels some of them at a time when they may be due.
async fn makes(stores: [Store; 2]) -> Vec<Made> {
    let mut made = Vec::new();
    for _ in 0..EACH {
        let store = &stores[thread_rng().gen_range(0..2)];
        let after = Duration::from_millis(thread_rng().gen_range(0..=LONGEST_MS));
        let due = match thread_rng().gen_bool(0.5) {
            true => Due::After(after),
            false => Due::At(Timestamp::from_micros(wall_clock() + micros(after) + 1)),
        };
        let timer = store.timers().schedule_async("s", NewEvent::new("timer.due"), due).await;
        let timer = match timer {
            // Its time has come before it was made.
            Err(Error::Invalid(_)) => continue,
            timer => timer.unwrap(),
        };
        let mut cancelled = false;
        if thread_rng().gen_bool(0.5) {
            let early = thread_rng().gen_bool(0.5);
            sleep(if early { after / 2 } else { after }).await;
            let store = &stores[thread_rng().gen_range(0..2)];
            cancelled = match store.timers().cancel_async(timer.id).await {
                Ok(()) => true,
                Err(Error::NotFound { .. }) => false,
                Err(error) => panic!("{error}"),
            };
        }
        made.push(Made { timer, cancelled });
    }
    made
}

fn life() {
    let one = Store::in_memory().unwrap();
    let stores = [one.clone(), one.beside()];
    let both = thread_rng().gen_bool(0.5);
    let running = [Some(stores[0].timers().run().unwrap()), both.then(|| stores[1].timers().run().unwrap())];
    let runtime = Runtime::current().unwrap();
    let makers: Vec<_> = (0..MAKERS).map(|_| runtime.spawn(makes(stores.clone()))).collect();
    let made: Vec<Made> = makers.into_iter().flat_map(|maker| block_on(maker).unwrap()).collect();
    block_on(sleep(Duration::from_millis(LONGEST_MS) + SLACK));
    assert!(one.timers().list(100).unwrap().is_empty(), "a timer has not fired");
    let events = one.events(Query::branch("s").unwrap()).unwrap();
    // The branch is not there when everything was cancelled.
    let events = events.filter(|event| !matches!(event, Err(Error::NotFound { .. })));
    let events: Vec<Event> = events.map(Result::unwrap).collect();
    for Made { timer, cancelled } in &made {
        let of = |id: EventId| events.iter().filter(move |event| event.id() == id);
        let times = of(timer.id).count();
        assert_eq!(times, usize::from(!cancelled), "a timer fired {times} times, cancelled: {cancelled}");
        for event in of(timer.id) {
            let late = event.recorded().micros() - timer.due.micros();
            assert!(late >= 0, "a timer fired {} us before its time", -late);
            assert!(late <= micros(SLACK), "a timer fired {late} us after its time");
        }
    }
    assert_eq!(events.len(), made.iter().filter(|made| !made.cancelled).count());
    drop(running);
    stores[1].close().unwrap();
    one.close().unwrap();
}

#[test]
fn a_timer_fires_once_in_time_or_was_cancelled_whatever_others_do() {
    explore(TIMER_SCHEDULES, life);
}

/// The known wrong ways, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    all_caught(&[
        ("FiresEarly", life, &["before its time"]),
        ("SleepsThrough", life, &["has not fired", "after its time"]),
        ("DeafToOthers", life, &["has not fired", "after its time"]),
        ("CancelsBlindly", life, &["fired 1 times, cancelled: true"]),
        ("FiresApart", life, &["fired 1 times, cancelled: true"]),
    ]);
}
