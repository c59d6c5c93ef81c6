//! Random handlers over random appends: every event reaches every handler that takes it, in order per branch, and ends
//! once: as a success or as a dead letter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use retold::bus::{Bus, Message};
use retold::{Event, NewEvent, Owner, Query, Store};

/// How a handler treats an event, by its number.
#[derive(Clone, Copy, Debug)]
enum Whim {
    Fine,
    /// Lets others go first.
    Slow,
    /// Fails so many times before it succeeds.
    Fails(u32),
    Panics(u32),
    /// Never comes to an end when it is called for the first time.
    Hangs,
}

#[derive(Clone, Debug)]
struct Plan {
    pattern: &'static str,
    blocking: bool,
    priority: i32,
    deliveries: u32,
    whims: Vec<Whim>,
}

fn whim() -> impl Strategy<Value = Whim> {
    prop_oneof![
        6 => Just(Whim::Fine),
        3 => Just(Whim::Slow),
        2 => (1..5u32).prop_map(Whim::Fails),
        1 => (1..3u32).prop_map(Whim::Panics),
        1 => Just(Whim::Hangs),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let pattern = prop_oneof![Just("**"), Just("step.*"), Just("tool.**")];
    (pattern, any::<bool>(), -1..2i32, 1..4u32, prop::collection::vec(whim(), 1..6)).prop_map(
        |(pattern, blocking, priority, deliveries, whims)| Plan {
            pattern,
            blocking,
            priority,
            deliveries,
            whims,
        },
    )
}

type Log = Arc<Mutex<Vec<(u64, bool, Message)>>>;

fn whim_of(plan: &Plan, message: &Message) -> Whim {
    let n = message.event().unwrap().position().get() as usize;
    match plan.whims[n % plan.whims.len()] {
        // A thread cannot be stopped.
        Whim::Hangs if plan.blocking => Whim::Slow,
        whim => whim,
    }
}

/// What a call does, and whether it succeeds.
fn call(plan: &Plan, log: &Log, message: &Message) -> (Whim, bool) {
    let whim = whim_of(plan, message);
    let ok = match whim {
        Whim::Fine | Whim::Slow => true,
        Whim::Fails(times) | Whim::Panics(times) => message.deliveries() > times,
        Whim::Hangs => message.deliveries() > 1,
    };
    log.lock().unwrap().push((message.event().unwrap().position().get(), ok, message.clone()));
    (whim, ok)
}

fn subscribe(bus: &Bus, number: usize, plan: &Plan, log: &Log) {
    // Only a call that hangs is to run out of time, however busy the machine is.
    let hangs = !plan.blocking && plan.whims.iter().any(|whim| matches!(whim, Whim::Hangs));
    let asked = bus
        .subscribe(plan.pattern)
        .named(format!("h{number}"))
        .priority(plan.priority)
        .deadline(Duration::from_millis(if hangs { 2_000 } else { 60_000 }))
        .max_deliveries(plan.deliveries)
        .backoff(Duration::from_millis(1), Duration::from_millis(3));
    let (blocking, plan, log) = (plan.blocking, plan.clone(), log.clone());
    let subscribed = match blocking {
        true => asked.run_blocking(move |message| {
            let (whim, ok) = call(&plan, &log, &message);
            if matches!(whim, Whim::Slow) {
                std::thread::yield_now();
            }
            if matches!(whim, Whim::Panics(_)) && !ok {
                std::panic::panic_any("as planned");
            }
            if ok { Ok(()) } else { Err("as planned") }
        }),
        false => asked.run(move |message: Message| {
            let (plan, log) = (plan.clone(), log.clone());
            async move {
                let (whim, ok) = call(&plan, &log, &message);
                match whim {
                    Whim::Slow => tokio::task::yield_now().await,
                    Whim::Panics(_) if !ok => std::panic::panic_any("as planned"),
                    Whim::Hangs if !ok => std::future::pending().await,
                    _ => {}
                }
                if ok { Ok(()) } else { Err("as planned") }
            }
        }),
    };
    subscribed.unwrap();
}

/// Calls for one event come together, counted from 1, the last one alone may succeed; events come in the order of their
/// sequences; what did not succeed is a dead letter, and nothing else is.
fn check(store: &Store, number: usize, plan: &Plan, log: &Log, events: &[Event]) {
    let log = log.lock().unwrap();
    let pattern: retold::Pattern = plan.pattern.parse().unwrap();
    let due: Vec<&Event> = events.iter().filter(|e| pattern.matches(e.kind())).collect();
    let mut by_branch: BTreeMap<String, Vec<(u64, u32, bool)>> = BTreeMap::new();
    for (_, ok, message) in log.iter() {
        let calls = by_branch.entry(message.place().to_string()).or_default();
        calls.push((message.event().unwrap().sequence().get(), message.deliveries(), *ok));
    }
    let mut succeeded = 0;
    let mut lost = Vec::new();
    for (place, calls) in &by_branch {
        let mut sequences = Vec::new();
        for event in calls.chunk_by(|a, b| a.0 == b.0) {
            let deliveries: Vec<u32> = event.iter().map(|c| c.1).collect();
            assert_eq!(deliveries, (1..=deliveries.len() as u32).collect::<Vec<_>>(), "h{number} {place}");
            assert!(
                event[..event.len() - 1].iter().all(|c| !c.2),
                "h{number} {place}: called after a success"
            );
            let (sequence, _, ok) = event[event.len() - 1];
            sequences.push(sequence);
            match ok {
                true => succeeded += 1,
                false => {
                    assert_eq!(deliveries.len() as u32, plan.deliveries, "h{number} {place}@{sequence}");
                    lost.push(format!("{place}@{sequence}"));
                }
            }
        }
        let due: Vec<u64> =
            due.iter().filter(|e| e.place().to_string() == *place).map(|e| e.sequence().get()).collect();
        assert_eq!(sequences, due, "h{number} {place}");
    }
    assert_eq!(succeeded + lost.len(), due.len(), "h{number}");
    let owner = Owner::handler(format!("h{number}")).unwrap();
    let dead_letters = store.dead_letters().list(Some(&owner), None, 10_000).unwrap();
    let mut dead_letters: Vec<String> = dead_letters.iter().map(|l| l.at.to_string()).collect();
    let full = |at: &String| if at.contains('/') { at.clone() } else { at.replacen('@', "/main@", 1) };
    dead_letters = dead_letters.iter().map(full).collect();
    dead_letters.sort();
    lost.sort();
    assert_eq!(dead_letters, lost, "h{number}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if crate::support::soak() { 400 } else { 24 }))]
    #[test]
    fn every_event_reaches_every_handler_in_order_and_succeeds_once_or_is_a_letter(
        plans in prop::collection::vec(plan(), 1..5),
        appends in prop::collection::vec((0..4usize, 0..3usize, 1..6usize), 1..25),
        workers in 1..6usize,
        flushes: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::builder().flush_after(if flushes { 8 } else { 4_096 }, 1 << 20).in_memory().unwrap();
            let bus = Bus::builder().workers(workers).open(&store).unwrap();
            let logs: Vec<Log> = plans.iter().map(|_| Log::default()).collect();
            for (number, (plan, log)) in plans.iter().zip(&logs).enumerate() {
                subscribe(&bus, number, plan, log);
            }
            store.append("s0", NewEvent::new("run.started")).unwrap();
            store.fork("s0", "b").unwrap();
            for (place, kind, count) in &appends {
                let place = ["s0", "s0/b", "s1", "s2"][*place];
                let kind = ["step.done", "tool.invoked", "run.started"][*kind];
                let events: Vec<NewEvent> = (0..*count).map(|_| NewEvent::new(kind)).collect();
                bus.publish_batch(place, events).await.unwrap();
            }
            // Dead letters are written when every call was made; closing would cut retries short.
            let all = async {
                while bus.handlers().iter().any(|h| h.lag > 0 || h.branches > 0) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(300), all).await.expect("every handler comes to rest");
            let closed = bus.close().await.unwrap();
            assert_eq!(closed.unfinished, 0);
            let events: Vec<Event> =
                store.events(Query::all()).unwrap().collect::<retold::Result<_>>().unwrap();
            for (number, (plan, log)) in plans.iter().zip(&logs).enumerate() {
                check(&store, number, plan, log, &events);
            }
        });
    }
}
