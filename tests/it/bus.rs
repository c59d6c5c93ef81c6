//! Handlers through the public API: who is called, how often, in which order, and what a failure costs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retold::bus::{Answer, Bus, BusBuilder, Failure, Message, Subscription, imported_pattern};
use retold::{Error, NewEvent, Owner, Store};
use serde_json::json;
use tokio::sync::{Barrier, Notify, mpsc};

use crate::support::reopened;

const SOON: Duration = Duration::from_secs(120);

fn event(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(json!({ "n": n }))
}

fn n(message: &Message) -> u64 {
    message.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()
}

/// Three calls, soon after one another.
fn quick() -> BusBuilder {
    Bus::builder().max_deliveries(3).backoff(Duration::from_millis(1), Duration::from_millis(2))
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("in time")
}

/// A handler that tells what it was given.
fn telling(bus: &Bus, pattern: &str) -> (Subscription, mpsc::UnboundedReceiver<Message>) {
    let (tell, told) = mpsc::unbounded_channel();
    let subscribed = bus.on(pattern, move |message: Message| {
        let _ = tell.send(message);
        async {}
    });
    (subscribed.unwrap(), told)
}

fn dead_letters(store: &Store, handler: &str) -> Vec<(u64, u32, String)> {
    let owner = Owner::handler(handler).unwrap();
    let all = store.dead_letters().list(Some(&owner), None, 1_000).unwrap();
    all.into_iter().map(|l| (l.position.get(), l.deliveries, l.error)).collect()
}

#[tokio::test]
async fn a_handler_is_given_what_its_patterns_take_and_its_exclusions_leave() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    bus.subscribe("tool.**")
        .or("run.*")
        .except("tool.progress")
        .filter(|f| f.source("runner"))
        .when(|message| message.meta("skip").is_none())
        .named("mine")
        .run(move |message: Message| {
            let _ = tell.send(message.kind().to_owned());
            async {}
        })
        .unwrap();
    let of = |kind: &'static str| NewEvent::new(kind).source("runner");
    for event in [
        of("tool.invoked"),
        of("tool.progress"),
        of("step.done"),
        NewEvent::new("tool.invoked"),
        of("tool.completed").meta("skip", "yes"),
        of("run.started"),
    ] {
        bus.publish("s", event).await.unwrap();
    }
    assert_eq!(soon(told.recv()).await.unwrap(), "tool.invoked");
    assert_eq!(soon(told.recv()).await.unwrap(), "run.started");
    bus.close().await.unwrap();
    assert!(told.recv().await.is_none(), "nothing else came");
}

#[tokio::test]
async fn bad_input_is_a_typed_error_that_names_the_thing() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let nothing = |_: Message| async {};
    let field = |r: retold::Result<Subscription>| match r {
        Err(Error::Invalid(invalid)) => invalid.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(bus.on("tool.[ab]", nothing)), "pattern");
    assert_eq!(field(bus.on("", nothing)), "pattern");
    assert_eq!(field(bus.subscribe("**").except("a..b").run(nothing)), "pattern");
    assert_eq!(field(bus.subscribe("**").deadline(Duration::ZERO).run(nothing)), "deadline");
    assert_eq!(field(bus.subscribe("**").max_deliveries(0).run(nothing)), "max_deliveries");
    assert_eq!(field(bus.subscribe("**").jitter(1.5).run(nothing)), "jitter");
    assert_eq!(field(bus.subscribe("**").named("a/b").run(nothing)), "handler");
    bus.subscribe("**").named("a").run(nothing).unwrap();
    let again = bus.subscribe("**").named("a").run(nothing);
    assert_eq!(again.unwrap_err().to_string(), "there is already a handler a");
    let beyond = bus.subscribe("**").after_position(7).run(nothing);
    assert!(matches!(beyond, Err(Error::BadCursor { .. })));
    let other = Store::in_memory().unwrap();
    let cursor = other.follow(retold::Follow::all()).unwrap().next().await.unwrap().unwrap().cursor();
    assert!(matches!(bus.subscribe("**").cursor(cursor).run(nothing), Err(Error::BadCursor { .. })));
    assert!(matches!(bus.publish("s@3", event(1)).await, Err(Error::Invalid(_))));
    assert!(matches!(Bus::builder().workers(0).open(&store), Err(Error::Invalid(_))));
    let outside = std::thread::spawn(move || Bus::new(&store)).join().unwrap();
    assert!(matches!(outside, Err(Error::Invalid(invalid)) if invalid.field == "runtime"));
    assert_eq!(imported_pattern("*").unwrap().as_str(), "**");
    bus.close().await.unwrap();
    assert!(matches!(bus.publish("s", event(1)).await, Err(Error::Closed { .. })));
    assert!(matches!(bus.on("**", nothing), Err(Error::Closed { .. })));
}

#[tokio::test]
async fn publishing_brings_back_what_awaited_handlers_answered() {
    let store = Store::in_memory().unwrap();
    let bus = quick().open(&store).unwrap();
    bus.subscribe("**").named("double").awaited().run(|h: Message| async move { json!(n(&h) * 2) }).unwrap();
    bus.subscribe("**").named("fails").awaited().run(|_| async { Err::<(), _>("no such host") }).unwrap();
    bus.subscribe("run.*").named("others").awaited().run(|_| async {}).unwrap();
    bus.subscribe("**").named("alone").run(|_| std::future::pending::<()>()).unwrap();
    let sync = bus.subscribe("**").named("sync").awaited();
    sync.run_blocking(|h| if n(&h) == 2 { panic!("two") } else { Ok::<_, String>(json!("fine")) }).unwrap();
    let published = soon(bus.publish_batch("s", [event(1), event(2)])).await.unwrap();
    assert_eq!(published.receipt.as_ref().unwrap().last().get(), 2);
    let of = |name: &str| -> Vec<Answer> {
        let of = published.answers.iter().filter(|a| &*a.handler == name);
        of.map(|a| a.answer.clone()).collect()
    };
    assert_eq!(of("double"), [Answer::Done(json!(2)), Answer::Done(json!(4))]);
    let failure = Answer::Failed { failure: Failure::Failed("no such host".into()), deliveries: 3 };
    assert_eq!(of("fails"), [failure.clone(), failure]);
    let panicked = Answer::Failed { failure: Failure::Panicked("two".into()), deliveries: 3 };
    assert_eq!(of("sync"), [Answer::Done(json!("fine")), panicked]);
    assert_eq!((of("others").len(), of("alone").len()), (0, 0));
    assert_eq!(published.answer("double"), Some(&json!(2)));
    assert_eq!(published.failed().count(), 3);
    assert_eq!(dead_letters(&store, "fails").len(), 2);
    assert_eq!(dead_letters(&store, "sync"), [(2, 3, "it panicked: two".to_owned())]);
}

#[tokio::test]
async fn publishing_what_is_recorded_already_calls_nobody_again() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let count = move |_: Message| {
        counted.fetch_add(1, SeqCst);
        async {}
    };
    bus.subscribe("**").awaited().run(count).unwrap();
    let event = event(1);
    bus.publish("s", event.clone()).await.unwrap();
    let again = soon(bus.publish("s", event)).await.unwrap();
    assert!(again.receipt.unwrap().duplicate() && again.answers.is_empty());
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test]
async fn a_branch_is_handled_in_order_also_when_its_events_are_tried_again() {
    let store = Store::in_memory().unwrap();
    let bus = quick().open(&store).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        let tell = tell.clone();
        async move {
            tokio::task::yield_now().await;
            if n(&message).is_multiple_of(3) && message.deliveries() == 1 {
                return Err("not now");
            }
            tell.send(message).map_err(|_| "nobody listens")
        }
    };
    bus.subscribe("**").run(handler).unwrap();
    for i in 1..=60 {
        store.append_async(format!("s{}", i % 4), event(i)).await.unwrap();
    }
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 1..=60 {
        let message = soon(told.recv()).await.unwrap();
        seen.entry(message.session().to_string()).or_default().push(n(&message));
    }
    for (session, numbers) in &seen {
        assert_eq!(numbers.len(), 15, "{session}");
        assert!(numbers.is_sorted(), "{session}: {numbers:?}");
    }
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn sessions_are_handled_side_by_side_and_a_branch_is_not() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::builder().workers(8).open(&store).unwrap();
    // Passes when three are there at once: three sessions, one event each.
    let barrier = Arc::new(Barrier::new(3));
    let met = barrier.clone();
    bus.subscribe("**")
        .awaited()
        .run(move |_| {
            let met = met.clone();
            async move {
                met.wait().await;
            }
        })
        .unwrap();
    let all = ["a", "b", "c"].map(|s| bus.publish(s, event(1)));
    let [a, b, c] = all;
    let (a, b, c) = soon(async { tokio::join!(a, b, c) }).await;
    assert!([a, b, c].into_iter().all(|p| p.unwrap().answers[0].answer.is_done()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_never_returns_harms_nobody() {
    let store = Store::in_memory().unwrap();
    let bus =
        Bus::builder().deadline(Duration::from_millis(30)).max_deliveries(1).workers(2).open(&store).unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    bus.subscribe("**").named("async").run(|_| std::future::pending::<()>()).unwrap();
    let stuck = bus.subscribe("**").named("sync").run_blocking(move |_| {
        let _ = released.lock().unwrap().recv();
    });
    let stuck = stuck.unwrap();
    let (_fine, mut told) = telling(&bus, "**");
    for i in 1..=20 {
        soon(bus.publish("s", event(i))).await.unwrap();
    }
    for i in 1..=20 {
        assert_eq!(n(&soon(told.recv()).await.unwrap()), i);
    }
    // Its first event is a dead letter at once; the second waits until the first has really ended.
    soon(async {
        while dead_letters(&store, "sync").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(dead_letters(&store, "sync"), [(1, 1, "it timed out after 30ms".to_owned())]);
    assert_eq!((stuck.stats().stuck, stuck.stats().calls), (1, 1));
    (0..20).for_each(|_| release.send(()).unwrap());
    soon(bus.close()).await.unwrap();
    assert_eq!(stuck.stats().stuck, 0);
    assert_eq!(dead_letters(&store, "async").len(), 20);
}

#[tokio::test]
async fn higher_priorities_are_called_first_and_equal_ones_side_by_side() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let order: Arc<Mutex<Vec<(u64, &str)>>> = Arc::default();
    let told = |name: &'static str| {
        let order = order.clone();
        move |message: Message| {
            let order = order.clone();
            async move {
                // The lower ones have every chance to be faster.
                for _ in 0..20 * (name.len() as u32) {
                    tokio::task::yield_now().await;
                }
                order.lock().unwrap().push((n(&message), name));
            }
        }
    };
    bus.subscribe("**").priority(-1).awaited().run(told("c")).unwrap();
    bus.subscribe("**").priority(5).awaited().run(told("aaaa")).unwrap();
    bus.subscribe("**").priority(1).awaited().run(told("bb")).unwrap();
    for i in 1..=10 {
        soon(bus.publish(format!("s{}", i % 3).as_str(), event(i))).await.unwrap();
    }
    let due: Vec<(u64, &str)> = (1..=10).flat_map(|i| [(i, "aaaa"), (i, "bb"), (i, "c")]).collect();
    assert_eq!(*order.lock().unwrap(), due);
}

#[tokio::test]
async fn nobody_waits_for_one_of_higher_priority_that_tries_again() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    bus.subscribe("**")
        .named("high")
        .priority(9)
        .max_deliveries(2)
        .backoff(Duration::from_secs(3_600), Duration::from_secs(3_600))
        .jitter(0.0)
        .run(|_| async { Err::<(), _>("never") })
        .unwrap();
    bus.subscribe("**").named("low").awaited().run(|_| async {}).unwrap();
    for i in 1..=3 {
        let published = soon(bus.publish("s", event(i))).await.unwrap();
        assert!(published.answers[0].answer.is_done());
    }
    // Closing cuts the rest short: one more call, and then each is a dead letter.
    assert_eq!(soon(bus.close()).await.unwrap().unfinished, 0);
    let numbers: Vec<(u64, u32)> = dead_letters(&store, "high").into_iter().map(|l| (l.0, l.1)).collect();
    assert_eq!(numbers, [(1, 2), (2, 1), (3, 1)]);
}

#[tokio::test]
async fn a_handler_for_once_is_called_for_one_event() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let once = bus.subscribe("**").once().awaited().run(move |message: Message| {
        let _ = tell.send(n(&message));
        async {}
    });
    let once = once.unwrap();
    for i in 1..=3 {
        soon(bus.publish("s", event(i))).await.unwrap();
    }
    soon(once.gone()).await;
    assert_eq!(told.recv().await, Some(1));
    drop(bus);
    drop(once);
    assert_eq!(soon(told.recv()).await, None);
}

#[tokio::test]
async fn unsubscribing_ends_a_handler_and_so_does_its_guard() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let (b, g) = (begun.clone(), go_on.clone());
    let one = bus.subscribe("**").named("one").awaited().run(move |_| {
        let (b, g) = (b.clone(), g.clone());
        async move {
            b.notify_one();
            g.notified().await;
        }
    });
    let one = one.unwrap();
    let guard = bus.subscribe("**").named("two").run(|_| async {}).unwrap().guard();
    assert_eq!(bus.handlers().iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let both = async {
        tokio::join!(bus.publish("s", event(1)), bus.publish("s", event(2)), async {
            begun.notified().await;
            one.unsubscribe();
            go_on.notify_one();
        })
    };
    let (first, second, ()) = soon(both).await;
    let mut answers = [first, second].map(|p| p.unwrap().answers);
    answers.sort_by_key(|a| !a.iter().any(|a| a.answer.is_done()));
    assert_eq!(answers[0][0].answer, Answer::Done(json!(null)));
    assert!(answers[1].iter().all(|a| a.answer == Answer::Gone), "{:?}", answers[1]);
    soon(one.gone()).await;
    let two = (*guard).clone();
    drop(guard);
    soon(two.gone()).await;
    assert!(bus.handlers().is_empty());
}

#[tokio::test]
async fn a_letter_that_is_sent_again_is_handled_by_the_running_bus_and_by_the_next_one() {
    let store = Store::in_memory().unwrap();
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (tell, mut told) = mpsc::unbounded_channel();
    let owner = Owner::handler("mailer").unwrap();
    let subscribe = |bus: &Bus| {
        let (fails, tell) = (fails.clone(), tell.clone());
        let asked = bus.subscribe("**").named("mailer").max_deliveries(1).awaited();
        asked.run(move |message: Message| {
            let failed = fails.load(SeqCst);
            if !failed {
                let _ = tell.send(n(&message));
            }
            async move { if failed { Err("down") } else { Ok(()) } }
        })
    };
    let bus = Bus::new(&store).unwrap();
    subscribe(&bus).unwrap();
    bus.publish_batch("s", (1..=4).map(event).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(dead_letters(&store, "mailer").len(), 4);
    fails.store(false, SeqCst);
    store.dead_letters().replay(&owner, 2).unwrap();
    assert_eq!(soon(told.recv()).await, Some(2));
    bus.close().await.unwrap();
    assert_eq!(dead_letters(&store, "mailer").iter().map(|l| l.0).collect::<Vec<_>>(), [1, 3, 4]);
    store.dead_letters().replay_all(&owner).unwrap();
    let bus = Bus::new(&store).unwrap();
    subscribe(&bus).unwrap();
    for due in [1, 3, 4] {
        assert_eq!(soon(told.recv()).await, Some(due));
    }
    bus.close().await.unwrap();
    assert_eq!(dead_letters(&store, "mailer"), []);
}

#[tokio::test]
async fn a_handler_starts_where_it_is_configured_to() {
    let store = Store::in_memory().unwrap();
    store.append("s", (1..=5).map(event).collect::<Vec<_>>()).unwrap();
    let bus = Bus::new(&store).unwrap();
    let collect = |asked: retold::bus::Subscribe| {
        let (tell, told) = mpsc::unbounded_channel();
        asked
            .run(move |message: Message| {
                let _ = tell.send(n(&message));
                async {}
            })
            .unwrap();
        told
    };
    let mut following = store.follow(retold::Follow::all()).unwrap();
    let mut cursor = None;
    for _ in 0..3 {
        cursor = Some(following.next().await.unwrap().unwrap().cursor());
    }
    let mut from_start = collect(bus.subscribe("**").from_start());
    let mut after_four = collect(bus.subscribe("**").after_position(4));
    let mut after_three = collect(bus.subscribe("**").cursor(cursor.unwrap()));
    let mut from_now = collect(bus.subscribe("**"));
    bus.publish("s", event(6)).await.unwrap();
    for (told, first) in
        [(&mut from_start, 1), (&mut after_four, 5), (&mut after_three, 4), (&mut from_now, 6)]
    {
        for due in first..=6 {
            assert_eq!(soon(told.recv()).await, Some(due));
        }
    }
}

#[tokio::test]
async fn a_full_queue_reads_again_what_did_not_fit() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let gate = Arc::new(Notify::new());
    let (tell, mut told) = mpsc::unbounded_channel();
    let wait = gate.clone();
    let slow = bus.subscribe("step.*").run(move |message: Message| {
        let (wait, tell) = (wait.clone(), tell.clone());
        async move {
            if message.session().as_str() == "slow" && n(&message) == 1 {
                wait.notified().await;
            }
            let _ = tell.send((message.session().to_string(), n(&message)));
        }
    });
    let slow = slow.unwrap();
    for chunk in 0..20 {
        let events: Vec<NewEvent> = (1..=100).map(|i| event(chunk * 100 + i)).collect();
        store.append("slow", events).unwrap();
        store.append("slow", NewEvent::new("run.started")).unwrap();
    }
    store.append("quick", event(1)).unwrap();
    assert_eq!(soon(told.recv()).await, Some(("quick".into(), 1)));
    assert!(slow.stats().queue <= 33, "{:?}", slow.stats());
    store.maintenance().flush().unwrap();
    gate.notify_one();
    for due in 1..=2_000 {
        assert_eq!(soon(told.recv()).await, Some(("slow".into(), due)));
    }
}

#[tokio::test]
async fn the_store_closes_under_a_bus_and_what_was_committed_is_handled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.redb");
    let store = Store::open(&path).unwrap();
    let bus = Bus::new(&store).unwrap();
    let (subscribed, mut told) = telling(&bus, "**");
    (1..=300).for_each(|i| bus.publish_nowait("s", event(i)));
    bus.flush().await;
    soon(store.close_async()).await.unwrap();
    soon(subscribed.gone()).await;
    for due in 1..=300 {
        assert_eq!(n(&told.recv().await.unwrap()), due);
    }
    assert!(matches!(bus.publish("s", event(1)).await, Err(Error::Closed { .. })));
    drop((bus, subscribed));
    // The file is free.
    assert_eq!(reopened(&path).await.committed().get(), 300);
}

#[tokio::test]
async fn dropping_the_bus_ends_its_handlers_and_lets_the_store_go() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let inner = bus.link();
    let subscribed = bus.on("**", move |_| {
        let _inner = &inner;
        async {}
    });
    let subscribed = subscribed.unwrap();
    drop(bus.clone());
    bus.publish("s", event(1)).await.unwrap();
    drop(bus);
    soon(subscribed.gone()).await;
    assert!(!subscribed.stats().running);
    assert_eq!(subscribed.stats().calls, subscribed.stats().events);
}

#[tokio::test]
async fn closing_ends_what_was_recorded_before() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (all, mut told) = telling(&bus, "**");
    let (none, mut others) = telling(&bus, "other.*");
    (1..=500).for_each(|i| bus.publish_nowait(format!("s{}", i % 7), event(i)));
    assert_eq!(soon(bus.close()).await.unwrap().unfinished, 0);
    drop((all, none));
    let mut count = 0;
    while told.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 500);
    assert!(others.recv().await.is_none());
    bus.publish_nowait("s", event(1));
    assert_eq!(bus.stats().published, 500);
}

#[tokio::test]
async fn an_event_between_the_log_and_the_queue_of_a_handler_is_still_behind() {
    let store = Store::in_memory().unwrap();
    let bus = Bus::new(&store).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let looking = bus.clone();
    // Asked when the event has been read and before it is queued.
    let asked = move |_: &Message| {
        let handlers = looking.handlers();
        tell.send((handlers[0].lag, handlers[0].branches)).is_ok()
    };
    let subscribed = bus.subscribe("step.*").when(asked).run(|_: Message| async {}).unwrap();
    store.append("s", event(1)).unwrap();
    assert_eq!(soon(told.recv()).await, Some((1, 0)));
    soon(async {
        while bus.handlers().iter().any(|h| h.lag > 0 || h.branches > 0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(subscribed);
    soon(bus.close()).await.unwrap();
}
