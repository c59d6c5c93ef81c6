//! Handlers and publishers that do what they should not, and what that may cost the others.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retold::bus::{Answer, Bus, Emitted, Message, Persistence, Subscription};
use retold::{Event, NewEvent, Query, Store};
use serde_json::json;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::support::reopened;

const SOON: Duration = Duration::from_secs(120);
const LONG: Duration = Duration::from_secs(3_600);

fn event(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(json!({ "n": n }))
}

fn numbers(store: &Store, session: &str) -> Vec<u64> {
    let events: Vec<Event> =
        store.events(Query::branch(session).unwrap()).unwrap().collect::<retold::Result<_>>().unwrap();
    events.iter().map(|e| e.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()).collect()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("in time")
}

async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::task::yield_now().await;
    }
}

/// A handler that says when it is called, and then waits for a permit.
fn gated(asked: retold::bus::Subscribe) -> (Subscription, mpsc::UnboundedReceiver<Message>, Arc<Semaphore>) {
    let (tell, told) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let inner = gate.clone();
    let subscribed = asked.run(move |message: Message| {
        let gate = inner.clone();
        let _ = tell.send(message);
        async move { gate.acquire_owned().await.unwrap().forget() }
    });
    (subscribed.unwrap(), told, gate)
}

#[tokio::test]
async fn limits_without_an_end_are_taken_as_such() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder().await_limit(Duration::MAX).drain_limit(Duration::MAX).open(&store).unwrap();
    bus.subscribe("**").awaited().run(|_| async {}).unwrap();
    let published = soon(bus.publish("s", event(1))).await.unwrap();
    assert!(published.answers[0].answer.is_done());
    assert_eq!(soon(bus.close()).await.unwrap().unfinished, 0);
}

#[tokio::test]
async fn a_handler_for_once_is_tried_as_often_as_any() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let quick = (Duration::from_millis(1), Duration::from_millis(2));
    let once = bus.subscribe("**").once().awaited().max_deliveries(3).backoff(quick.0, quick.1);
    let once = once.run(|message: Message| async move {
        match message.deliveries() {
            3 => Ok(json!("third")),
            _ => Err("not yet"),
        }
    });
    let once = once.unwrap();
    let published = soon(bus.publish("s", event(1))).await.unwrap();
    assert_eq!(published.answers[0].answer, Answer::Done(json!("third")));
    soon(once.gone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_cannot_be_stopped_are_bounded_over_all_branches() {
    let store = Store::in_memory().unwrap();
    let bus =
        Bus::builder().deadline(Duration::from_millis(20)).max_deliveries(1).workers(2).open(&store).unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let called = Arc::new(AtomicU64::new(0));
    let count = called.clone();
    let stuck = bus.subscribe("**").named("stuck").run_blocking(move |_| {
        count.fetch_add(1, SeqCst);
        // Until the other end is dropped.
        let _ = released.lock().unwrap().recv();
    });
    let stuck = stuck.unwrap();
    bus.subscribe("**").named("low").priority(-1).deadline(LONG).awaited().run(|_| async {}).unwrap();
    for i in 0..60 {
        let published = soon(bus.publish(format!("s{i}").as_str(), event(i))).await.unwrap();
        assert!(published.answers[0].answer.is_done(), "a lower one waits for its time at the most");
    }
    soon(until(|| stuck.stats().stuck >= 8)).await;
    // Eight, and those that were running beside the eighth: its own worker and its part of the shared ones.
    let more = tokio::time::timeout(Duration::from_millis(300), until(|| called.load(SeqCst) > 9)).await;
    assert!(more.is_err(), "{} calls were begun", called.load(SeqCst));
    drop(release);
    soon(bus.close()).await.unwrap();
    assert_eq!((called.load(SeqCst), stuck.stats().stuck), (60, 0));
}

#[tokio::test]
async fn nobody_waits_for_what_a_handler_that_leaves_will_not_try() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let high = bus.subscribe("**").named("high").priority(9).deadline(LONG);
    let (high, mut called, gate) = gated(high);
    bus.subscribe("run.*").named("low").awaited().run(|_| async {}).unwrap();
    bus.publish("s", event(1)).await.unwrap();
    soon(called.recv()).await.unwrap();
    let run = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish("s", NewEvent::new("run.started")).await }
    });
    soon(until(|| high.stats().queue == 2)).await;
    high.unsubscribe();
    let published = soon(run).await.unwrap().unwrap();
    assert!(published.answers[0].answer.is_done());
    gate.add_permits(9);
    soon(high.gone()).await;
}

#[tokio::test]
async fn one_that_leaves_does_not_wait_for_its_turn() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (_high, mut called, gate) = gated(bus.subscribe("**").named("high").priority(9).deadline(LONG));
    let low = bus.subscribe("**").named("low").run(|_| async {}).unwrap();
    bus.publish("s", event(1)).await.unwrap();
    soon(called.recv()).await.unwrap();
    soon(until(|| low.stats().queue == 1)).await;
    low.unsubscribe();
    soon(low.gone()).await;
    assert_eq!(low.stats().calls, 0);
    gate.add_permits(9);
}

#[tokio::test]
async fn a_retry_of_a_publisher_does_not_take_the_answers_of_the_first() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (_one, mut called, gate) = gated(bus.subscribe("**").awaited());
    let same = event(1);
    let first = tokio::spawn({
        let (bus, same) = (bus.clone(), same.clone());
        async move { bus.publish("s", same).await }
    });
    soon(called.recv()).await.unwrap();
    let again = soon(bus.publish("s", same)).await.unwrap();
    assert!(again.receipt.unwrap().duplicate() && again.answers.is_empty());
    gate.add_permits(1);
    assert!(soon(first).await.unwrap().unwrap().answers[0].answer.is_done());
}

#[tokio::test]
async fn an_ephemeral_event_never_goes_to_the_spill() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("runs.redb")).unwrap();
    let builder = Bus::builder().persist("ui.**", Persistence::Ephemeral).unwrap();
    let bus = builder.open(&store).unwrap();
    let emitter = bus.emitter("runner", "s").unwrap();
    bus.close().await.unwrap();
    assert_eq!(emitter.emit(event(1)).await, Emitted::Spilled);
    assert!(matches!(
        emitter.emit(NewEvent::new("ui.moved")).await,
        Emitted::Ephemeral | Emitted::Dropped(_)
    ));
    let spill = std::fs::read_to_string(dir.path().join("runs.redb.spill.ndjson")).unwrap();
    assert!(spill.contains("step.done") && !spill.contains("ui.moved"), "{spill}");
}

#[tokio::test]
async fn a_spill_that_is_none_costs_no_event_while_the_store_can_write() {
    let dir = tempfile::tempdir().unwrap();
    let spill = dir.path().join("runs.redb.spill.ndjson");
    std::fs::create_dir(&spill).unwrap();
    std::fs::write(spill.join("x"), "x").unwrap();
    let store = Store::open(dir.path().join("runs.redb")).unwrap();
    let bus = Bus::new(&store).unwrap();
    let emitter = bus.emitter("runner", "s").unwrap();
    bus.flush().await;
    for n in 1..=3 {
        emitter.emit_nowait(event(n));
        bus.flush().await;
    }
    assert!(emitter.emit(event(4)).await.is_recorded());
    assert_eq!((numbers(&store, "s"), bus.stats().dropped), (vec![1, 2, 3, 4], 0));
    bus.close().await.unwrap();
}

#[tokio::test]
async fn what_was_spilled_before_goes_in_before_anything_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path).unwrap();
    let spill = retold::bus::spill::Spill::beside(&store).unwrap();
    for n in 1..=300 {
        spill.put("s", &event(n)).unwrap();
    }
    let bus = Bus::new(&store).unwrap();
    let emitter = bus.emitter("runner", "s").unwrap();
    let _ = emitter.emit(event(301)).await;
    emitter.emit_nowait(event(302));
    bus.flush().await;
    soon(until(|| spill.is_empty())).await;
    bus.flush().await;
    soon(bus.close()).await.unwrap();
    assert_eq!(numbers(&store, "s"), (1..=302).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_bus_that_is_dropped_has_the_same_limit_as_one_that_is_closed() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder().drain_limit(Duration::from_millis(20)).open(&store).unwrap();
    let (one, mut called, gate) = gated(bus.subscribe("**").deadline(LONG));
    for n in 1..=3 {
        bus.publish("s", event(n)).await.unwrap();
    }
    soon(called.recv()).await.unwrap();
    soon(until(|| one.stats().queue == 3)).await;
    drop(bus);
    soon(until(|| one.stats().queue == 1)).await;
    gate.add_permits(9);
    soon(one.gone()).await;
    assert_eq!(one.stats().calls, 1);
}

#[tokio::test]
async fn ten_thousand_subscriptions_leave_nothing_behind() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    bus.publish("s", event(0)).await.unwrap();
    let (value, before) = (Arc::new(()), tasks());
    for _ in 0..100 {
        let guards: Vec<_> = (0..100)
            .map(|_| {
                let value = value.clone();
                let run = move |_: Message| {
                    let _value = value.clone();
                    async {}
                };
                bus.on("**", run).unwrap().guard()
            })
            .collect();
        let all: Vec<Subscription> = guards.iter().map(|guard| (**guard).clone()).collect();
        drop(guards);
        for one in all {
            soon(one.gone()).await;
        }
    }
    soon(until(|| tasks() <= before && Arc::strong_count(&value) == 1)).await;
    assert!(bus.handlers().is_empty());
    soon(bus.close()).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_unsubscribes_itself_ends_with_its_call() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let own: Arc<Mutex<Option<Subscription>>> = Arc::default();
    let (inner, ready) = (own.clone(), Arc::new(Notify::new()));
    let wait = ready.clone();
    let one = bus.subscribe("**").awaited().run(move |_| {
        let (own, ready) = (inner.clone(), wait.clone());
        async move {
            ready.notified().await;
            // The last hold of it goes inside its own call.
            drop(own.lock().unwrap().take().unwrap().guard());
            json!("done")
        }
    });
    *own.lock().unwrap() = Some(one.unwrap());
    ready.notify_one();
    let published = soon(bus.publish("s", event(1))).await.unwrap();
    assert_eq!(published.answers[0].answer, Answer::Done(json!("done")));
    soon(until(|| bus.handlers().is_empty())).await;
    assert!(soon(bus.publish("s", event(2))).await.unwrap().answers.is_empty());
}

#[tokio::test]
async fn a_handler_that_drops_the_last_bus_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path).unwrap();
    let bus = Bus::new(&store).unwrap();
    let held = Arc::new(Mutex::new(Some((bus.clone(), store.clone()))));
    let inner = held.clone();
    let one = bus.on("**", move |_| {
        let inner = inner.clone();
        async move { drop(inner.lock().unwrap().take()) }
    });
    let one = one.unwrap();
    bus.publish_nowait("s", event(1));
    bus.publish_nowait("s", event(2));
    drop((bus, store));
    soon(one.gone()).await;
    assert_eq!(one.stats().calls, 2);
    drop((one, held));
    assert_eq!(numbers(&reopened(&path).await, "s"), [1, 2]);
}
