//! Publishing, emitting, listening, and what is remembered.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use retold::bus::spill::Spill;
use retold::bus::{Answer, Bus, Emitted, Failure, Json, Message, Persistence, Published, WaitFor, handling};
use retold::event::payload::tool::ToolInvoked;
use retold::schema::Upcaster;
use retold::{Error, Event, NewEvent, Query, Store, Upcasts};
use serde_json::json;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::support::{Unsent, reopened};

const SOON: Duration = Duration::from_secs(120);

fn event(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(json!({ "n": n }))
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("in time")
}

fn kinds(store: &Store, session: &str) -> Vec<String> {
    let events: Vec<Event> =
        store.events(Query::branch(session).unwrap()).unwrap().collect::<retold::Result<_>>().unwrap();
    events.iter().map(|e| e.kind().to_owned()).collect()
}

#[tokio::test]
async fn what_a_handler_publishes_has_its_cause_and_the_chain_is_walked_both_ways() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    for (from, to) in [("run.started", "step.started"), ("step.started", "step.done")] {
        let inner = bus.link();
        let asked = bus.subscribe(from).awaited();
        asked
            .run(move |message: Message| {
                let bus = inner.clone();
                async move {
                    assert_eq!(handling().map(|h| h.id()), Some(message.id()));
                    let published = bus.publish("log", NewEvent::new(to)).await?;
                    // A handler would wait for itself, or for one that waits for it.
                    assert!(published.answers.is_empty());
                    Ok::<_, Error>(())
                }
            })
            .unwrap();
    }
    // A thread that may block knows its cause too.
    let inner = bus.link();
    let blocking = bus.subscribe("step.done").awaited();
    blocking
        .run_blocking(move |message| {
            inner.publish_nowait(
                message.place().session.as_str(),
                NewEvent::new("run.completed").correlation("mine"),
            );
        })
        .unwrap();
    let mut done = bus.listen("run.completed").unwrap();
    let root = NewEvent::new("run.started").trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let root_id = root.id();
    soon(bus.publish("run-7", root)).await.unwrap();
    let last = soon(done.next()).await.unwrap().unwrap().into_event().unwrap();
    assert_eq!(last.correlation(), Some("mine"));
    let causes = bus.causes(last.id()).await.unwrap();
    let names: Vec<&str> = causes.iter().map(|e| e.kind()).collect();
    assert_eq!(names, ["step.done", "step.started", "run.started"]);
    assert!(causes[..2].iter().all(|e| e.correlation() == Some(root_id.to_string().as_str())));
    assert!(causes[..2].iter().all(|e| e.trace() == causes[2].trace()));
    store.append("other", event(1)).unwrap();
    let effects = bus.effects(root_id, 100).await.unwrap();
    let names: Vec<&str> = effects.iter().map(|e| e.kind()).collect();
    assert_eq!(names, ["step.started", "step.done", "run.completed"]);
    assert_eq!(bus.effects(root_id, 1).await.unwrap().len(), 1);
    assert_eq!(bus.effects(last.id(), 9).await.unwrap(), []);
    assert!(matches!(bus.causes(retold::EventId::new()).await, Err(Error::NotFound { .. })));
    assert!(handling().is_none());
}

#[tokio::test]
async fn a_circle_of_causes_is_walked_once() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (a, b) = (event(1), event(2));
    let (ida, idb) = (a.id(), b.id());
    store.append("s", [a.causation(idb), b.causation(ida)]).unwrap();
    assert_eq!(bus.causes(ida).await.unwrap().len(), 1);
    assert_eq!(bus.effects(ida, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_falls_between_asking_and_waiting() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let is = |due: u64| move |message: &Message| message.json::<serde_json::Value>().unwrap()["n"] == due;
    let mut listener = bus.listen("step.*").unwrap();
    let mut following = store.follow(retold::Follow::all()).unwrap();
    let cursor = following.next().await.unwrap().unwrap().cursor();
    for i in 1..=5 {
        bus.publish("s", event(i)).await.unwrap();
    }
    let found = soon(listener.first(is(3), SOON)).await.unwrap().unwrap();
    assert_eq!(found.event().unwrap().position().get(), 3);
    assert!(soon(listener.first(is(4), SOON)).await.unwrap().is_some());
    let found = soon(bus.wait_for_after(cursor, "step.*", is(2), SOON)).await.unwrap().unwrap();
    assert_eq!(found.event().unwrap().position().get(), 2);
    let nothing = bus.wait_for("step.*", is(2), Duration::from_millis(20)).await.unwrap();
    assert_eq!(nothing, None);
    let (found, _) = soon(async {
        tokio::join!(bus.wait_for("step.*", is(6), SOON), async { bus.publish_nowait("s", event(6)) })
    })
    .await;
    assert!(found.unwrap().is_some());
    assert!(matches!(bus.listen("[").err(), Some(Error::Invalid(_))));
    let other = Store::in_memory().unwrap();
    let foreign = other.follow(retold::Follow::all()).unwrap().next().await.unwrap().unwrap().cursor();
    let refused = soon(bus.wait_for_after(foreign, "**", |_| true, SOON)).await;
    assert!(matches!(refused, Err(Error::BadCursor { .. })), "{refused:?}");
    let ended = async {
        tokio::join!(bus.wait_for("never.*", |_| true, SOON), async { store.close_async().await.unwrap() })
    };
    assert!(matches!(soon(ended).await.0, Err(Error::Closed { .. })));
}

#[tokio::test(start_paused = true)]
async fn waiting_gives_up_when_its_time_is_over() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let begun = tokio::time::Instant::now();
    let found = bus.wait_for("**", |_| true, Duration::from_secs(7_200)).await.unwrap();
    assert_eq!(found, None);
    assert!(begun.elapsed() >= Duration::from_secs(7_200));
}

#[tokio::test]
async fn ephemeral_events_reach_who_is_there_and_are_nowhere_else() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder()
        .persist("ui.**", Persistence::Ephemeral)
        .unwrap()
        .persist("ui.saved", Persistence::Durable)
        .unwrap()
        .persist("tool.progress", Persistence::Relaxed)
        .unwrap()
        .open(&store)
        .unwrap();
    let asked = bus.subscribe("ui.**").named("ui").awaited().max_deliveries(4);
    asked
        .run(|message: Message| async move {
            match message.meta("fail") {
                Some(_) => Err("no"),
                None => Ok(json!([message.kind(), message.is_ephemeral(), message.session().as_str()])),
            }
        })
        .unwrap();
    let mut all = bus.listen("**").unwrap();
    let mut recorded = bus.listen("**").unwrap().recorded_only();
    let published = soon(bus.publish("s", NewEvent::new("ui.moved"))).await.unwrap();
    assert_eq!(published.receipt, None);
    assert_eq!(published.answer("ui"), Some(&json!(["ui.moved", true, "s"])));
    // It is tried once and leaves no dead letter.
    let failed = soon(bus.publish("s", NewEvent::new("ui.moved").meta("fail", "yes"))).await.unwrap();
    assert_eq!(failed.failed().count(), 1);
    assert_eq!((bus.handlers()[0].calls, store.dead_letters().list(None, None, 10).unwrap().len()), (2, 0));
    let saved = soon(bus.publish("s", NewEvent::new("ui.saved"))).await.unwrap();
    assert_eq!(saved.answer("ui"), Some(&json!(["ui.saved", false, "s"])));
    bus.publish_nowait("s", NewEvent::new("ui.moved"));
    bus.publish("s", NewEvent::new("tool.progress")).await.unwrap();
    assert_eq!(kinds(&store, "s"), ["ui.saved", "tool.progress"]);
    let mut message = Vec::new();
    for _ in 0..5 {
        message.push(soon(all.next()).await.unwrap().unwrap().is_ephemeral());
    }
    assert_eq!(message.iter().filter(|e| **e).count(), 3);
    assert_eq!(soon(recorded.next()).await.unwrap().unwrap().kind(), "ui.saved");
    assert_eq!(bus.stats().ephemeral, 3);
    // What is wrong with an event is said, stored or not.
    assert!(matches!(
        bus.publish("s", NewEvent::new("ui.moved").json_text("{")).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn ephemeral_events_that_nobody_takes_in_time_are_counted() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder().persist("**", Persistence::Ephemeral).unwrap().open(&store).unwrap();
    let gate = Arc::new(Notify::new());
    let wait = gate.clone();
    let slow = bus.on("**", move |_| {
        let wait = wait.clone();
        async move { wait.notified().await }
    });
    let slow = slow.unwrap();
    let mut listener = bus.listen("**").unwrap();
    (0..2_000).for_each(|i| bus.publish_nowait("s", event(i)));
    let mut message = 0;
    while message + listener.missed() < 2_000 {
        assert!(soon(listener.next()).await.unwrap().is_ok());
        message += 1;
    }
    assert!(listener.missed() > 0);
    let stats = slow.stats();
    assert!(stats.ephemeral_dropped > 1_000, "{stats:?}");
    assert_eq!(store.committed().get(), 0);
}

#[tokio::test]
async fn publishing_without_waiting_keeps_the_order_and_never_fails() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    for i in 1..=1_000 {
        bus.publish_nowait("s", event(i));
    }
    bus.publish_nowait("s/no-such-branch", event(0));
    bus.publish_nowait("s@7", event(0));
    bus.publish_nowait("s", NewEvent::new(""));
    bus.publish_nowait("t", event(1));
    bus.flush().await;
    let numbers: Vec<u64> = store
        .events(Query::branch("s").unwrap())
        .unwrap()
        .map(|e| e.unwrap().json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(kinds(&store, "t").len(), 1);
    let stats = bus.stats();
    assert_eq!((stats.published, stats.dropped, stats.nowait_waiting), (1_001, 3, 0));
}

#[tokio::test]
async fn what_the_store_cannot_take_goes_to_the_spill_and_in_again_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path).unwrap();
    let bus = Bus::new(&store).unwrap();
    let emitter = bus.emitter("runner", "s").unwrap();
    assert!(emitter.emit(event(1)).await.is_recorded());
    store.close_async().await.unwrap();
    assert_eq!(emitter.emit(event(2)).await, Emitted::Spilled);
    emitter.emit_nowait(event(3));
    assert_eq!(emitter.emit(event(4)).await, Emitted::Spilled);
    emitter.emit_nowait(event(5));
    assert!(matches!(
        emitter.emit(NewEvent::new("")).await,
        Emitted::Dropped(Error::Invalid(_) | Error::Closed { .. })
    ));
    bus.flush().await;
    assert_eq!(bus.stats().spilled, 4);
    drop((bus, emitter, store));
    let spill = dir.path().join("runs.redb.spill.ndjson");
    assert_eq!(std::fs::read_to_string(&spill).unwrap().lines().count(), 4);
    let store = reopened(&path).await;
    let bus = Bus::new(&store).unwrap();
    let emitter = bus.emitter("runner", "s").unwrap();
    emitter.emit_nowait(event(6));
    bus.flush().await;
    let events: Vec<Event> =
        store.events(Query::branch("s").unwrap()).unwrap().collect::<retold::Result<_>>().unwrap();
    let numbers: Vec<_> =
        events.iter().map(|e| e.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    // While the bus is open, room is reserved in it.
    assert_eq!(std::fs::metadata(&spill).map_or(0, |meta| meta.len()), 0);
    assert!(events.iter().all(|e| e.source() == Some("runner")));
    bus.close().await.unwrap();
    assert!(!spill.exists());
}

#[tokio::test]
async fn what_is_queued_stays_before_what_no_longer_fitted_also_beside_one_that_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let path = dir.path().join("spill.ndjson");
    let bus = Bus::builder().nowait_queue(4).spill(&path).open(&store).unwrap();
    // Nothing is written in between: the fifth finds the queue full.
    bus.publish_nowait("s", event(1));
    bus.publish_nowait("s/nowhere", event(9));
    for n in 2..=4 {
        bus.publish_nowait("s", event(n));
    }
    assert_eq!(bus.stats().spilled, 1);
    bus.close().await.unwrap();
    Spill::at(&path).drain(&store).unwrap();
    let numbers: Vec<u64> = store
        .events(Query::branch("s").unwrap())
        .unwrap()
        .map(|e| e.unwrap().json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test]
async fn an_emitter_without_a_spill_says_what_it_lost() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let emitter = bus.emitter("runner", "s").unwrap();
    bus.close().await.unwrap();
    assert_eq!(emitter.emit(event(1)).await, Emitted::Dropped(Error::Closed { after: None }));
    emitter.emit_nowait(event(2));
    assert_eq!((bus.stats().dropped, store.committed().get()), (2, 0));
}

#[tokio::test]
async fn an_emitter_gives_its_events_what_they_have_in_common() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let emitter =
        bus.emitter("runner", "s").unwrap().actor("agent").correlation("c-1").priority(3).meta("host", "a");
    let invoked = ToolInvoked { tool: Some("grep".into()), ..Default::default() };
    assert!(emitter.emit_payload(&invoked).await.is_recorded());
    store.fork("s", "b").unwrap();
    let other = emitter.to("s/b").unwrap();
    let own = event(2).source("mine").priority(9).meta("host", "b").meta("more", "yes");
    assert!(other.emit(own).await.is_recorded());
    let events = store.read(&Query::branch("s/b").unwrap()).unwrap().events;
    let of = |e: &Event| {
        let [source, actor, correlation] =
            [e.source(), e.actor(), e.correlation()].map(|t| t.unwrap_or_default().to_owned());
        (source, actor, correlation, e.priority(), e.meta("host").map(str::to_owned))
    };
    assert_eq!(events[0].payload_as::<ToolInvoked>().unwrap().tool.as_deref(), Some("grep"));
    let due = |source: &str, priority, host: &str| {
        (source.to_owned(), "agent".to_owned(), "c-1".to_owned(), priority, Some(host.to_owned()))
    };
    assert_eq!(of(&events[0]), due("runner", 3, "a"));
    assert_eq!(of(&events[1]), due("mine", 9, "b"));
    let (tell, mut told) = mpsc::unbounded_channel();
    let subscription = emitter.on("**", move |message: Message| {
        let _ = tell.send(message.kind().to_owned());
        async {}
    });
    let subscription = subscription.unwrap();
    assert!(emitter.clone().emit(event(3)).await.is_recorded());
    assert_eq!(soon(told.recv()).await.unwrap(), "step.done");
    assert!(subscription.is_running());
    drop((emitter, other));
    soon(subscription.gone()).await;
}

#[tokio::test]
async fn the_history_is_bounded_and_counted() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder().history_limit(10).open(&store).unwrap();
    let mut last = bus.listen("run.completed").unwrap();
    for i in 1..=30 {
        let kind = if i % 2 == 0 { "step.done" } else { "tool.invoked" };
        bus.publish("s", NewEvent::new(kind).source(if i % 3 == 0 { "a" } else { "b" })).await.unwrap();
    }
    bus.publish("s", NewEvent::new("run.completed")).await.unwrap();
    soon(last.next()).await.unwrap().unwrap();
    soon(async {
        while bus.stats().history.seen < 31 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let of = |pattern: &str, source: Option<&str>, limit: usize| -> Vec<u64> {
        let found = bus.get_history(pattern, source, limit).unwrap();
        found.iter().map(|h| h.event().unwrap().position().get()).collect()
    };
    assert_eq!(of("**", None, 100), (22..=31).collect::<Vec<_>>());
    assert_eq!(of("step.*", None, 2), [28, 30]);
    assert_eq!(of("**", Some("a"), 100), [24, 27, 30]);
    let counts = bus.stats().history;
    assert_eq!((counts.seen, counts.kept, counts.by_type["step.done"]), (31, 10, 15));
    assert!(matches!(bus.get_history("[", None, 1), Err(Error::Invalid(_))));
    let none = Bus::builder().history_limit(0).open(&store).unwrap();
    none.publish("s", event(1)).await.unwrap();
    assert!(none.get_history("**", None, 5).unwrap().is_empty());
}

#[tokio::test]
async fn the_history_has_what_publish_has_returned() {
    let store = Store::in_memory().unwrap();
    store.append("s", event(0)).unwrap();
    let bus = Bus::builder().history_limit(100).open(&store).unwrap();
    let last = |limit: usize| -> Vec<u64> {
        let found = bus.get_history("**", None, limit).unwrap();
        found.iter().map(|h| h.event().unwrap().position().get()).collect()
    };
    assert!(last(9).is_empty());
    // Nothing else runs on this thread between an answer and the question.
    for i in 2..=50 {
        bus.publish("s", event(i)).await.unwrap();
        assert_eq!(last(1), [i]);
        assert_eq!(bus.stats().history.by_type["step.done"], i - 1);
    }
    // Also behind so many others that only the end of them fits.
    store.append("bulk", (0..3_000).map(event).collect::<Vec<_>>()).unwrap();
    assert!(bus.publish("s", NewEvent::new("run.completed")).await.unwrap().answers.is_empty());
    assert_eq!(last(1_000), (2_952..=3_051).collect::<Vec<_>>());
    bus.publish_nowait("s", event(1));
    bus.flush().await;
    assert_eq!(last(1), [3_052]);
    soon(bus.close()).await.unwrap();
    assert_eq!(last(2), [3_051, 3_052]);
    let counts = bus.stats().history;
    assert_eq!((counts.seen, counts.kept), (3_051, 100));
}

#[tokio::test]
async fn a_handler_is_given_priorities_exactly_at_least_and_at_most() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    type Narrow = fn(retold::Filter) -> retold::Filter;
    let narrowed: [(&str, Narrow); 6] = [
        ("exactly", |f| f.priority_exactly(3)),
        ("none", |f| f.priority_exactly(0)),
        ("least", |f| f.priority_at_least(3)),
        ("most", |f| f.priority_at_most(3)),
        ("between", |f| f.priority_at_least(2).priority_at_most(3)),
        ("last", |f| f.priority_at_least(9).priority_exactly(4).priority_at_most(255)),
    ];
    for (name, narrow) in narrowed {
        bus.subscribe("**").filter(narrow).named(name).awaited().run(|_| async {}).unwrap();
    }
    let mut taken = Vec::new();
    for priority in [0, 2, 3, 4, 255] {
        let published = soon(bus.publish("s", event(1).priority(priority))).await.unwrap();
        taken.push(published.answers.iter().map(|a| a.handler.to_string()).collect::<Vec<_>>().join(" "));
    }
    let due = ["none most", "most between", "exactly least most between", "least last", "least last"];
    assert_eq!(taken, due);
    let at_most = retold::Filter::new().priority_at_most(2);
    assert_eq!(store.events(Query::branch("s").unwrap().filter(at_most)).unwrap().count(), 2);
}

#[tokio::test]
async fn the_bus_fires_the_timers_of_its_store() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let mut listener = bus.listen("run.timed_out").unwrap();
    let far = bus.emit_later("s", NewEvent::new("run.timed_out"), Duration::from_secs(86_400)).await.unwrap();
    bus.emit_later("s", NewEvent::new("run.timed_out"), Duration::ZERO).await.unwrap();
    assert!(soon(listener.next()).await.unwrap().is_ok());
    assert_eq!(store.timers().list(10).unwrap().iter().map(|t| t.id).collect::<Vec<_>>(), [far.id]);
    store.timers().cancel(far.id).unwrap();
}

#[tokio::test]
async fn subscribers_are_counted_by_the_type_they_take() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let counts = || ["tool.invoked", "tool.progress", "run.started"].map(|kind| bus.subscriber_count(kind));
    assert_eq!(counts(), [0, 0, 0]);
    let all = bus.subscribe("**").run(|_| async {}).unwrap();
    bus.subscribe("tool.*").except("tool.progress").or("step.*").run(|_| async {}).unwrap();
    bus.subscribe("run.*").once().named("once").run(|_| async {}).unwrap();
    let listener = bus.listen("tool.progress").unwrap();
    let recorded = bus.listen("tool.**").unwrap().recorded_only();
    assert_eq!(counts(), [3, 3, 2]);
    drop((listener, recorded));
    all.unsubscribe();
    soon(all.gone()).await;
    assert_eq!(counts(), [1, 0, 1]);
    // By every name of the type.
    assert_eq!(bus.subscriber_count("tool_invoked"), bus.subscriber_count("tool.invoked"));
    bus.publish("s", NewEvent::new("run.started")).await.unwrap();
    soon(async {
        while bus.subscriber_count("run.started") > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..2_000 {
        drop(bus.listen("**").unwrap());
    }
    assert_eq!(counts(), [1, 0, 0]);
    bus.close().await.unwrap();
    assert_eq!(counts(), [0, 0, 0]);
}

#[tokio::test]
async fn stats_tell_what_handlers_did() {
    let store = Store::in_memory().unwrap();
    let at_once = Duration::from_millis(1);
    let bus = Bus::builder().max_deliveries(2).backoff(at_once, at_once).open(&store).unwrap();
    let asked = bus.subscribe("step.*").except("step.skipped").named("one").priority(4).awaited();
    asked.run_blocking(|h| if h.meta("bad").is_some() { Err("bad") } else { Ok(()) }).unwrap();
    for i in 1..=4 {
        let event = if i == 2 { event(i).meta("bad", "yes") } else { event(i) };
        soon(bus.publish("s", event)).await.unwrap();
    }
    let stats = bus.stats();
    let one = &stats.handlers[0];
    assert_eq!((one.name.as_str(), one.priority, one.blocking, one.awaited), ("one", 4, true, true));
    assert_eq!(
        (one.patterns.as_slice(), one.except.as_slice()),
        (&["step.*".to_owned()][..], &["step.skipped".to_owned()][..])
    );
    assert_eq!((one.events, one.calls, one.errors, one.dead_letters, one.dead_letters_kept), (4, 5, 2, 1, 1));
    assert!(one.p50.is_some() && one.p99 >= one.p50 && one.running && one.ended.is_none());
    assert!(one.mean.is_some() && one.mean <= one.p99 && one.throughput > 0.0);
    assert_eq!(one.handled, 3);
    assert_eq!(stats.published, 4);
}

#[tokio::test]
async fn publishing_waits_for_the_handlers_that_asked_or_for_all() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let asked = bus.subscribe("step.*").named("asked").awaited();
    asked.run(|_: Message| async { json!("asked") }).unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let other = bus.subscribe("**").named("other");
    other
        .run(move |_: Message| {
            let gate = closed.clone();
            async move { gate.acquire().await.map(|pass| pass.forget()) }
        })
        .unwrap();
    let names = |published: &Published| -> Vec<String> {
        published.answers.iter().map(|a| a.handler.to_string()).collect()
    };
    // The other waits at the gate, and nobody waits for it.
    let published = soon(bus.publish("s", event(1))).await.unwrap();
    assert_eq!(names(&published), ["asked"]);
    let all = bus.waiting_for(WaitFor::All).link();
    let mut publishing = pin!(all.publish("s", event(2)));
    // It goes on until it waits for the other.
    let waits = std::future::poll_fn(|cx| Poll::Ready(publishing.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    gate.add_permits(2);
    let published = soon(publishing).await.unwrap();
    assert_eq!(names(&published), ["asked", "other"]);
    assert!(published.answers.iter().all(|a| a.answer.is_done()));
    soon(bus.close()).await.unwrap();
}

#[tokio::test]
async fn a_publisher_waits_for_whoever_takes_the_event_in_its_newest_shape() {
    let finished = Upcaster::new("step.done", 1).to("step.finished", 1);
    let upcasts = Upcasts::new([finished]).unwrap();
    let store = Store::builder().upcasts(upcasts).in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    for (name, pattern) in [("new", "step.finished"), ("old", "step.done")] {
        let asked = bus.subscribe(pattern).named(name).awaited();
        asked
            .run(|message: Message| async move {
                let event = message.into_event().unwrap();
                json!([event.kind(), event.address().to_string(), event.position().get()])
            })
            .unwrap();
    }
    soon(bus.publish("other", event(1))).await.unwrap();
    let published = soon(bus.publish_batch("s", [event(1), event(2)])).await.unwrap();
    let answers: Vec<_> = published.answers.iter().map(|a| (&*a.handler, a.answer.clone())).collect();
    let answer = |at: &str, position: u64| Answer::Done(json!(["step.finished", at, position]));
    assert_eq!(answers, [("new", answer("s/main@1", 2)), ("new", answer("s/main@2", 3))]);
    bus.close().await.unwrap();
}

#[derive(serde::Serialize)]
struct Hits {
    hits: u32,
}

#[tokio::test]
async fn a_handler_answers_with_whatever_can_be_serialized_and_its_error_keeps_its_causes() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder().max_deliveries(1).open(&store).unwrap();
    let one = |name: &str| bus.subscribe("**").named(name).awaited();
    one("nothing").run(|_| async {}).unwrap();
    one("json").run(|_| async { Json(Hits { hits: 1 }) }).unwrap();
    one("result").run_blocking(|_| Ok::<_, Unsent>(Hits { hits: 2 })).unwrap();
    one("error").run(|_| async { Err::<(), _>(Unsent(std::io::Error::other("no route"))) }).unwrap();
    let boxed = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(Unsent(std::io::Error::other("no host")))?
    };
    one("boxed").run_blocking(move |_| boxed()).unwrap();
    let unwritable = || Json(std::collections::HashMap::from([([1, 2], 3)]));
    one("unwritable").run_blocking(move |_| unwritable()).unwrap();
    let published = soon(bus.publish("s", event(1))).await.unwrap();
    assert_eq!(published.answer("nothing"), Some(&json!(null)));
    assert_eq!(published.answer("json"), Some(&json!({"hits": 1})));
    assert_eq!(published.answer("result"), Some(&json!({"hits": 2})));
    let failed: Vec<String> = published
        .failed()
        .map(|a| match &a.answer {
            Answer::Failed { failure: Failure::Failed(text), deliveries: 1 } => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(failed[..2], ["the mail was not sent: no route", "the mail was not sent: no host"]);
    assert!(failed[2].contains("cannot be written as JSON"), "{failed:?}");
    bus.close().await.unwrap();
    let errors: Vec<String> = dead_letters(&store).into_iter().map(|l| l.error).collect();
    assert!(errors.contains(&"the mail was not sent: no route".to_owned()), "{errors:?}");
}

fn dead_letters(store: &Store) -> Vec<retold::DeadLetter> {
    store.dead_letters().list(None, None, 100).unwrap()
}
