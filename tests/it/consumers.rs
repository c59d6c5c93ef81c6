//! Durable consumers and dead letters through the public API.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use retold::testkit::{Cut, Disk};
use retold::{
    Batch, Consumer, ConsumerConfig, Cursor, Delivery, Durability, Error, Expect, Follow, Invalid, NewEvent,
    Owner, Query, Store, Timestamp, Token,
};

use crate::support::{Unsent, reopened, soak};

fn config() -> ConsumerConfig {
    ConsumerConfig::new()
}

fn filled(sessions: &[&str], each: usize) -> Store {
    let store = Store::in_memory().unwrap();
    fill(&store, sessions, each);
    store
}

fn fill(store: &Store, sessions: &[&str], each: usize) {
    for n in 0..each {
        for session in sessions {
            store.append(*session, NewEvent::new("step.done").data(n.into())).unwrap();
        }
    }
}

fn owner(name: &str) -> Owner {
    Owner::consumer(name).unwrap()
}

fn at(delivery: &Delivery) -> String {
    delivery.event().address().to_string()
}

/// Acknowledges everything that there is, and says what it was.
async fn drain(consumer: &Consumer) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(delivery) = consumer.try_next().await.unwrap() {
        seen.push(at(&delivery));
        delivery.ack().await.unwrap();
    }
    seen
}

#[tokio::test]
async fn a_consumer_since_a_time_to_come_waits_for_it_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("since.redb");
    let store = Store::open(&path).unwrap();
    let hour = Timestamp::from_micros(Timestamp::now().micros() + 3_600_000_000);
    let soon = Timestamp::from_micros(Timestamp::now().micros() + 20_000);
    store.consumers().open("late", config().since(hour)).await.unwrap();
    store.consumers().open("soon", config().since(soon)).await.unwrap();
    fill(&store, &["a"], 2);
    let late = store.consumers().open("late", config().since(hour)).await.unwrap();
    assert_eq!(drain(&late).await, [""; 0]);
    // Until the time has come, however long an append takes.
    let mut last = Timestamp::default();
    while last < soon {
        let placed = store.append("a", NewEvent::new("step.done")).unwrap();
        last = store
            .events(Query::branch("a").unwrap().from(placed.last()))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .recorded();
    }
    fill(&store, &["a"], 1);
    store.close_async().await.unwrap();
    let store = reopened(&path).await;
    let events: Vec<_> = store.events(Query::branch("a").unwrap()).unwrap().map(Result::unwrap).collect();
    let wanted: Vec<String> =
        events.iter().filter(|e| e.recorded() >= soon).map(|e| e.address().to_string()).collect();
    assert!(wanted.len() >= 2);
    let (late, soon) = (
        store.consumers().open_existing("late").await.unwrap(),
        store.consumers().open_existing("soon").await.unwrap(),
    );
    assert_eq!(drain(&soon).await, wanted);
    assert_eq!(drain(&late).await, [""; 0]);
    // Begun anew without a time, it waits for nothing.
    store.consumers().reset("late", config().from_start()).await.unwrap();
    let late = store.consumers().open_existing("late").await.unwrap();
    assert_eq!(drain(&late).await.len(), events.len());
    store.consumers().reset("late", config().since(hour)).await.unwrap();
    fill(&store, &["a"], 1);
    let late = store.consumers().open_existing("late").await.unwrap();
    assert_eq!(drain(&late).await, [""; 0]);
    store.close_async().await.unwrap();
}

#[tokio::test]
async fn a_branch_waits_for_its_event_and_other_sessions_go_on() {
    let store = filled(&["a", "b"], 3);
    let consumer = store.consumers().open("c", config()).await.unwrap();
    let first = consumer.next().await.unwrap();
    assert_eq!((at(&first), first.deliveries()), ("a/main@1".into(), 1));
    assert_eq!(drain(&consumer.clone()).await, ["b/main@1", "b/main@2", "b/main@3"]);
    let info = store.consumers().info("c").unwrap();
    assert_eq!((info.ack_floor.get(), info.acknowledged, info.outstanding.len()), (0, 3, 1));
    assert_eq!(info.outstanding[0].token, Some(first.token()));
    first.ack().await.unwrap();
    assert_eq!(drain(&consumer).await, ["a/main@2", "a/main@3"]);
    assert_eq!(store.consumers().info("c").unwrap().ack_floor.get(), 6);
    assert!(matches!(first.ack().await, Err(Error::NotDelivered { .. })));
}

#[tokio::test]
async fn what_is_appended_later_wakes_a_worker_that_waits() {
    let store = Store::in_memory().unwrap();
    let consumer = store.consumers().open("c", config()).await.unwrap();
    let worker = tokio::spawn(async move { at(&consumer.next().await.unwrap()) });
    tokio::task::yield_now().await;
    store.append_async("s", NewEvent::new("a.b")).await.unwrap();
    assert_eq!(worker.await.unwrap(), "s/main@1");
}

#[tokio::test]
async fn a_consumer_takes_what_its_settings_say() {
    let store = Store::in_memory().unwrap();
    for (session, kind, priority) in [
        ("a", "tool.invoked", 5),
        ("b", "tool.invoked", 5),
        ("a", "tool.output", 5),
        ("a", "run.started", 5),
        ("a", "tool.x", 4),
    ] {
        store.append(session, NewEvent::new(kind).priority(priority)).unwrap();
    }
    let tools = config().pattern("tool.**".parse().unwrap()).except("tool.output".parse().unwrap());
    let tools = tools.priority_at_least(5);
    let all = store.consumers().open("all", tools.clone()).await.unwrap();
    assert_eq!(drain(&all).await, ["a/main@1", "b/main@1"]);
    assert_eq!(store.consumers().info("all").unwrap().ack_floor.get(), 2);
    let one = store.consumers().open("one", tools.session("a").unwrap()).await.unwrap();
    assert_eq!(drain(&one).await, ["a/main@1"]);
    // What is passed over is written with the next thing, or at the end.
    all.close().await;
    assert_eq!(store.consumers().info("all").unwrap().lag, 0);
}

#[tokio::test]
async fn what_a_waiting_consumer_passes_over_is_written_after_a_while() {
    let store = filled(&["s"], 3);
    let consumer = store.consumers().open("c", config().pattern("other".parse().unwrap())).await.unwrap();
    while store.consumers().info("c").unwrap().lag > 0 {
        let asked = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await;
        assert!(asked.is_err());
    }
}

#[tokio::test]
async fn a_new_consumer_starts_where_it_is_configured_to_and_an_old_one_where_it_was() {
    let store = filled(&["s"], 4);
    let mut following = store.follow(Follow::all()).unwrap();
    let mut cursor = following.next().await.unwrap().unwrap().cursor();
    for (name, begin, expected) in [
        ("start", config(), &["s/main@1", "s/main@2", "s/main@3", "s/main@4"][..]),
        ("after", config().after_position(2), &["s/main@3", "s/main@4"]),
        ("cursor", config().cursor(cursor), &["s/main@2", "s/main@3", "s/main@4"]),
        ("end", config().from_end(), &[]),
    ] {
        let consumer = store.consumers().open(name, begin).await.unwrap();
        assert_eq!(drain(&consumer).await, expected, "{name}");
    }
    fill(&store, &["s"], 1);
    // The beginning is for a new one only.
    for name in ["start", "end"] {
        let consumer = store.consumers().open(name, config()).await.unwrap();
        assert_eq!(drain(&consumer).await, ["s/main@5"], "{name}");
    }
    let beyond = store.consumers().open("x", config().after_position(6)).await;
    assert!(matches!(beyond, Err(Error::BadCursor { .. })), "{beyond:?}");
    let other = filled(&["s"], 1);
    cursor = other.follow(Follow::all()).unwrap().next().await.unwrap().unwrap().cursor();
    let foreign: Cursor = cursor.to_string().parse().unwrap();
    let foreign = store.consumers().open("x", config().cursor(foreign)).await;
    assert!(matches!(foreign, Err(Error::BadCursor { .. })), "{foreign:?}");
    assert!(matches!(store.consumers().info("x"), Err(Error::NotFound { what: "consumer", .. })));
}

#[tokio::test]
async fn other_settings_are_refused_by_name() {
    let store = Store::in_memory().unwrap();
    let tools = || config().pattern("tool.*".parse().unwrap());
    let open = store.consumers().open("c", tools()).await.unwrap();
    store.consumers().open("c", tools().from_end()).await.unwrap();
    for (other, setting) in [
        (tools().max_deliveries(7), "max_deliveries"),
        (config(), "pattern"),
        (tools().except("a".parse().unwrap()), "except"),
        (tools().session("s").unwrap(), "session"),
        (tools().deadline(Duration::from_secs(1)), "deadline"),
        (tools().backoff(Duration::ZERO, Duration::from_secs(60)), "backoff"),
    ] {
        match store.consumers().open("c", other).await {
            Err(Error::Differs { setting: s, .. }) => assert_eq!(s, setting),
            other => panic!("{setting}: {other:?}"),
        }
    }
    let text = store.consumers().open("c", tools().max_in_flight(9)).await.unwrap_err().to_string();
    assert!(text.starts_with("consumer c already exists with max_in_flight 256, not 9"), "{text}");
    drop(open);
    assert!(matches!(store.consumers().open_existing("none").await, Err(Error::NotFound { .. })));
    for (field, bad) in [
        ("deadline", config().deadline(Duration::ZERO)),
        ("deadline", config().deadline(Duration::MAX)),
        ("max_deliveries", config().max_deliveries(0)),
        ("max_in_flight", config().max_in_flight(1_025)),
        ("max_dead_letters", config().max_dead_letters(0)),
        ("backoff", config().backoff(Duration::from_secs(2), Duration::from_secs(1))),
        ("pattern", (0..65).fold(config(), |c, _| c.pattern("a".parse().unwrap()))),
    ] {
        match store.consumers().open("bad", bad).await {
            Err(Error::Invalid(Invalid { field: f, .. })) => assert_eq!(f, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    for name in ["", "a/b", "..", "a\n"] {
        assert!(matches!(store.consumers().open(name, config()).await, Err(Error::Invalid(_))), "{name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_comes_again_after_its_deadline_and_at_last_becomes_a_letter() {
    let store = filled(&["s"], 2);
    let begun = tokio::time::Instant::now();
    let consumer = store.consumers().open("c", config().max_deliveries(3)).await.unwrap();
    let lost = consumer.next().await.unwrap();
    assert!(consumer.try_next().await.unwrap().is_none());
    let late = consumer.next().await.unwrap();
    assert_eq!((at(&late), late.deliveries()), ("s/main@1".into(), 2));
    assert!(begun.elapsed() >= Duration::from_secs(30) && begun.elapsed() < Duration::from_secs(31));
    let refused = lost.ack().await.unwrap_err();
    assert!(matches!(&refused, Error::NotDelivered { .. }), "{refused}");
    // More time for the second.
    tokio::time::advance(Duration::from_secs(20)).await;
    late.touch().await.unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    late.nack(Duration::from_secs(5)).await.unwrap();
    let begun = tokio::time::Instant::now();
    let third = consumer.next().await.unwrap();
    assert_eq!((at(&third), third.deliveries()), ("s/main@1".into(), 3));
    assert!(begun.elapsed() >= Duration::from_secs(5) && begun.elapsed() < Duration::from_secs(6));
    third.nack(None).await.unwrap();
    let next = consumer.next().await.unwrap();
    assert_eq!(at(&next), "s/main@2");
    let dead_letters = store.dead_letters().list(None, None, 9).unwrap();
    assert_eq!((dead_letters.len(), dead_letters[0].at.to_string()), (1, "s/main@1".into()));
    assert_eq!((dead_letters[0].deliveries, dead_letters[0].kind.as_str()), (3, "step.done"));
    assert!(dead_letters[0].error.contains("3 deliveries"), "{}", dead_letters[0].error);
    assert!(dead_letters[0].last.micros() - dead_letters[0].first.micros() >= 75_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_late_acknowledgement_counts_while_nobody_else_has_the_event() {
    let store = filled(&["s"], 3);
    let consumer = store.consumers().open("c", config().max_deliveries(2)).await.unwrap();
    for n in 1..=2 {
        let slow = consumer.next().await.unwrap();
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!((at(&slow), slow.deliveries()), (format!("s/main@{n}"), 1));
        match n {
            1 => slow.ack().await.unwrap(),
            _ => {
                drop(slow.ack_with(Batch::new().add("out", Expect::Any, NewEvent::new("a.b")).unwrap()).await)
            }
        }
    }
    let third = consumer.next().await.unwrap();
    assert_eq!(at(&third), "s/main@3");
    tokio::time::sleep(Duration::from_secs(31)).await;
    let again = consumer.next().await.unwrap();
    assert_eq!((at(&again), again.deliveries()), ("s/main@3".into(), 2));
    assert!(matches!(third.ack().await, Err(Error::NotDelivered { .. })));
    assert_eq!(store.consumers().info("c").unwrap().acknowledged, 2);
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Nothing that blocks comes to its end while this lives: the only thread for it waits.
fn nothing_blocking_ends() -> std::sync::mpsc::Sender<()> {
    let (ends, waits) = std::sync::mpsc::channel::<()>();
    drop(tokio::task::spawn_blocking(move || waits.recv()));
    ends
}

/// On one thread: the task that ends has not run between two calls here.
#[test]
fn who_stops_waiting_for_an_open_or_a_removal_leaves_no_second_task() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.max_blocking_threads(1).enable_all().build().unwrap().block_on(async {
        let store = filled(&["s"], 2);
        let consumer = store.consumers().open("c", config()).await.unwrap();
        consumer.next().await.unwrap().ack().await.unwrap();
        let held = nothing_blocking_ends();
        drop(consumer);
        for _ in 0..2 {
            assert!(
                poll_once(store.consumers().open_existing("c")).is_pending(),
                "it did not wait for the task that ends"
            );
        }
        drop(held);
        let consumer = store.consumers().open_existing("c").await.unwrap();
        let second = consumer.next().await.unwrap();
        let held = nothing_blocking_ends();
        assert!(poll_once(store.consumers().remove("c")).is_pending());
        assert!(
            poll_once(store.consumers().open_existing("c")).is_pending(),
            "it did not wait for the task that ends"
        );
        drop(held);
        let anew = store.consumers().open_existing("c").await.unwrap();
        assert!(matches!(consumer.next().await, Err(Error::NotFound { .. })));
        assert_eq!(anew.try_next().await.unwrap().map(|d| at(&d)), None);
        anew.ack(&second.token()).await.unwrap();
        assert_eq!(store.consumers().info("c").unwrap().acknowledged, 2);
        assert_eq!(store.consumers().remove("c").await, Ok(0));
    });
}

/// On one thread, two workers whose calls never leave the task without one.
#[tokio::test]
async fn a_letter_that_was_sent_again_comes_while_others_never_stop_calling() {
    let store = filled(&["a", "b", "c"], 1);
    let consumer = store.consumers().open("c", config()).await.unwrap();
    let touched = consumer.next().await.unwrap();
    let refused = consumer.next().await.unwrap();
    consumer.next().await.unwrap().park("later").await.unwrap();
    let waiting = tokio::spawn({
        let consumer = consumer.clone();
        async move { at(&consumer.next().await.unwrap()) }
    });
    tokio::task::yield_now().await;
    let mut sent = false;
    let touching = async {
        for n in 0..500 {
            touched.touch().await.unwrap();
            if n == 20 {
                store.dead_letters().replay_all(&owner("c")).unwrap();
                sent = true;
            }
            if waiting.is_finished() {
                return true;
            }
        }
        false
    };
    let refusing = async {
        loop {
            let batch = Batch::new().add("out", Expect::Head(7.into()), NewEvent::new("a.b")).unwrap();
            assert!(matches!(refused.ack_with(batch).await, Err(Error::Conflict { .. })));
        }
    };
    let came = tokio::select! {
        came = touching => came,
        () = refusing => false,
    };
    assert!(came, "the dead letter did not come");
    assert_eq!(waiting.await.unwrap(), "c/main@1");
    assert!(sent);
}

#[tokio::test]
async fn a_reset_keeps_replayed_dead_letters() {
    let store = filled(&["s"], 2);
    let consumer = store.consumers().open("c", config()).await.unwrap();
    consumer.next().await.unwrap().park("first").await.unwrap();
    consumer.next().await.unwrap().park("second").await.unwrap();
    store.dead_letters().replay_all(&owner("c")).unwrap();
    let out = consumer.next().await.unwrap();
    assert_eq!(at(&out), "s/main@1");
    store.consumers().reset("c", config().from_end()).await.unwrap();
    assert!(matches!(out.ack().await, Err(Error::NotDelivered { .. })));
    assert_eq!(drain(&consumer).await, ["s/main@1", "s/main@2"]);
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_each_time() {
    let store = filled(&["s"], 1);
    let settings = config().backoff(Duration::from_secs(1), Duration::from_secs(3)).max_deliveries(4);
    let consumer = store.consumers().open("c", settings).await.unwrap();
    let mut delivery = consumer.next().await.unwrap();
    for expected in [1, 2, 3] {
        delivery.nack(None).await.unwrap();
        let begun = tokio::time::Instant::now();
        delivery = consumer.next().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), expected);
    }
    assert_eq!(delivery.deliveries(), 4);
    delivery.nack(None).await.unwrap();
    assert!(consumer.try_next().await.unwrap().is_none());
    assert_eq!(store.consumers().info("c").unwrap().dead_letters, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_asking_leaves_its_event_to_the_next_and_counts_nothing() {
    let store = Store::in_memory().unwrap();
    let consumer = store.consumers().open("c", config()).await.unwrap();
    for n in 0..20u64 {
        let asked = tokio::time::timeout(Duration::from_micros(n * 50), consumer.next());
        let (asked, appended) = tokio::join!(asked, store.append_async("s", NewEvent::new("step.done")));
        appended.unwrap();
        let delivery = match asked {
            Ok(delivery) => delivery.unwrap(),
            Err(_) => consumer.next().await.unwrap(),
        };
        assert_eq!((delivery.event().sequence().get(), delivery.deliveries()), (n + 1, 1));
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_given_back_is_delivered_again_and_counts_as_never_delivered() {
    let store = filled(&["s"], 2);
    let consumer = store.consumers().open("c", config().max_deliveries(2)).await.unwrap();
    let token = consumer.next().await.unwrap().token();
    consumer.nack(&token, Duration::ZERO).await.unwrap();
    // More often than it may be delivered, and each time the last.
    for _ in 0..5 {
        let delivery = consumer.next().await.unwrap();
        assert_eq!((at(&delivery), delivery.deliveries()), ("s/main@1".into(), 2));
        consumer.give_back(&delivery.token()).await.unwrap();
        let again = consumer.give_back(&delivery.token()).await;
        assert!(matches!(again, Err(Error::NotDelivered { .. })), "{again:?}");
        assert!(matches!(delivery.ack().await, Err(Error::NotDelivered { .. })));
    }
    assert_eq!(store.consumers().info("c").unwrap().dead_letters, 0);
    assert_eq!(drain(&consumer).await, ["s/main@1", "s/main@2"]);
}

#[tokio::test]
async fn what_is_given_back_goes_to_a_worker_that_waits_and_stays_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("back.redb");
    let store = Store::open(&path).unwrap();
    fill(&store, &["s"], 1);
    let consumer = store.consumers().open("c", config().max_deliveries(1)).await.unwrap();
    let token = consumer.next().await.unwrap().token();
    let waiting = consumer.clone();
    let (delivery, given_back) = tokio::join!(waiting.next(), consumer.give_back(&token));
    given_back.unwrap();
    let token = delivery.unwrap().token();
    consumer.give_back(&token).await.unwrap();
    drop(waiting);
    consumer.close().await;
    store.close().unwrap();
    let store = reopened(&path).await;
    let consumer = store.consumers().open_existing("c").await.unwrap();
    let delivery = consumer.try_next().await.unwrap().unwrap();
    assert_eq!(delivery.deliveries(), 1);
    delivery.ack().await.unwrap();
    store.close_async().await.unwrap();
}

#[tokio::test]
async fn a_token_resolves_from_elsewhere_and_a_wrong_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.redb");
    let store = Store::open(&path).unwrap();
    fill(&store, &["a", "b", "c"], 1);
    let consumer = store.consumers().open("c", config()).await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(consumer.next().await.unwrap().token().to_string());
    }
    consumer.close().await;
    store.close().unwrap();

    let store = reopened(&path).await;
    let consumer = store.consumers().open_existing("c").await.unwrap();
    // They are still out.
    assert!(consumer.try_next().await.unwrap().is_none());
    let tokens: Vec<Token> = tokens.iter().map(|t| t.parse().unwrap()).collect();
    consumer.ack(&tokens[0]).await.unwrap();
    consumer.park(&tokens[1], "no such host").await.unwrap();
    consumer.nack(&tokens[2], Duration::ZERO).await.unwrap();
    assert_eq!(store.dead_letters().get(&owner("c"), 2).unwrap().error, "no such host");
    let again = consumer.next().await.unwrap();
    assert_eq!((at(&again), again.deliveries()), ("c/main@1".into(), 2));
    for token in &tokens {
        let refused = consumer.ack(token).await.unwrap_err();
        assert!(refused.to_string().contains("already resolved"), "{refused}");
    }
    // Another consumer's, another store's, one of the same name that was made anew, and none at all.
    let other = store.consumers().open("other", config()).await.unwrap();
    let foreign = other.next().await.unwrap().token();
    assert!(consumer.ack(&foreign).await.unwrap_err().to_string().contains("another consumer"));
    let elsewhere = filled(&["s"], 1);
    let far = elsewhere.consumers().open("c", config()).await.unwrap().next().await.unwrap().token();
    assert!(consumer.nack(&far, None).await.unwrap_err().to_string().contains("belongs to store"));
    store.consumers().remove("other").await.unwrap();
    let anew = store.consumers().open("other", config()).await.unwrap();
    assert!(matches!(anew.touch(&foreign).await, Err(Error::NotDelivered { .. })));
    for text in ["", "x", "AAAA", &tokens[0].to_string()[1..]] {
        assert_eq!(text.parse::<Token>().unwrap_err().field, "token");
    }
    assert!(matches!(again.nack(Duration::MAX).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn an_append_and_its_acknowledgement_are_one() {
    let store = filled(&["in"], 2);
    let consumer = store.consumers().open("c", config().session("in").unwrap()).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    let result = |expect| Batch::new().add("out", expect, NewEvent::new("mail.sent")).unwrap();
    let refused = delivery.ack_with(result(Expect::Head(7.into()))).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert!(consumer.try_next().await.unwrap().is_none());
    assert_eq!(store.consumers().info("c").unwrap().acknowledged, 0);
    let receipt = delivery.ack_with(result(Expect::Empty)).await.unwrap();
    assert_eq!((receipt.last().get(), store.head("out").unwrap().get()), (1, 1));
    let stale = delivery.ack_with(result(Expect::Any)).await;
    assert!(matches!(stale, Err(Error::NotDelivered { .. })));
    assert_eq!(store.head("out").unwrap().get(), 1);
    assert_eq!(drain(&consumer).await, ["in/main@2"]);
    assert_eq!(store.consumers().info("c").unwrap().acknowledged, 2);
}

#[tokio::test]
async fn a_dead_letter_says_why_its_event_was_rejected_with_every_cause() {
    let unsent = || Unsent(std::io::Error::other("no route"));
    let store = filled(&["s"], 4);
    let asked = config().max_deliveries(2).backoff(Duration::ZERO, Duration::ZERO);
    let consumer = store.consumers().open("c", asked).await.unwrap();
    consumer.next().await.unwrap().fail("first").await.unwrap();
    let again = consumer.next().await.unwrap();
    assert_eq!(again.deliveries(), 2);
    again.fail(unsent()).await.unwrap();
    consumer.next().await.unwrap().fail("first").await.unwrap();
    let again = consumer.next().await.unwrap();
    consumer.fail(&again.token(), "a text").await.unwrap();
    consumer.next().await.unwrap().park(unsent()).await.unwrap();
    for _ in 0..2 {
        consumer.next().await.unwrap().nack(None).await.unwrap();
    }
    let all = store.dead_letters().list(Some(&owner("c")), None, 9).unwrap();
    let errors: Vec<&str> = all.iter().map(|l| l.error.as_str()).collect();
    let unsent = "the mail was not sent: no route";
    assert_eq!(errors, [unsent, "a text", unsent, "was refused after 2 deliveries"]);
}

#[tokio::test]
async fn replayed_dead_letters_come_in_order_before_undelivered_events() {
    let store = filled(&["s"], 6);
    let consumer = store.consumers().open("c", config()).await.unwrap();
    for _ in 0..3 {
        consumer.next().await.unwrap().park("not now").await.unwrap();
    }
    let fourth = consumer.next().await.unwrap();
    assert_eq!(store.dead_letters().replay_all(&owner("c")), Ok(3));
    store.dead_letters().discard(&owner("c"), 2).unwrap();
    assert!(consumer.try_next().await.unwrap().is_none());
    fourth.ack().await.unwrap();
    let first = consumer.next().await.unwrap();
    assert_eq!((at(&first), first.deliveries()), ("s/main@1".into(), 1));
    assert!(store.dead_letters().get(&owner("c"), 1).unwrap().again);
    first.ack().await.unwrap();
    assert!(matches!(store.dead_letters().get(&owner("c"), 1), Err(Error::NotFound { .. })));
    let third = consumer.next().await.unwrap();
    assert_eq!(at(&third), "s/main@3");
    third.park("still not").await.unwrap();
    assert_eq!(store.dead_letters().get(&owner("c"), 3).unwrap().error, "still not");
    assert_eq!(drain(&consumer).await, ["s/main@5", "s/main@6"]);
    assert_eq!(store.dead_letters().list(Some(&owner("c")), None, 9).unwrap().len(), 1);
    // A dead letter that is thrown away while it is tried again stays away.
    store.dead_letters().replay(&owner("c"), 3).unwrap();
    let third = consumer.next().await.unwrap();
    store.dead_letters().discard(&owner("c"), 3).unwrap();
    third.park("too late").await.unwrap();
    assert_eq!(store.dead_letters().list(None, None, 9).unwrap(), []);
}

#[tokio::test]
async fn a_letter_that_was_sent_again_survives_the_end_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("again.redb");
    let store = Store::open(&path).unwrap();
    fill(&store, &["s"], 2);
    let consumer = store.consumers().open("c", config().max_dead_letters(1)).await.unwrap();
    consumer.next().await.unwrap().park("first").await.unwrap();
    consumer.next().await.unwrap().park("second").await.unwrap();
    consumer.close().await;
    store.dead_letters().replay_all(&owner("c")).unwrap();
    store.close().unwrap();
    let store = reopened(&path).await;
    let consumer = store.consumers().open_existing("c").await.unwrap();
    // The first was pushed out by the second.
    assert_eq!(drain(&consumer).await, ["s/main@2"]);
    assert_eq!(store.consumers().info("c").unwrap().dead_letters, 0);
}

#[tokio::test]
async fn a_reset_begins_anew_and_a_removal_ends_its_workers() {
    let store = filled(&["s"], 3);
    let consumer = store.consumers().open("c", config().max_deliveries(9)).await.unwrap();
    consumer.next().await.unwrap().park("later").await.unwrap();
    let second = consumer.next().await.unwrap();
    store.consumers().reset("c", config().after_position(0)).await.unwrap();
    assert!(matches!(second.ack().await, Err(Error::NotDelivered { .. })));
    assert_eq!(drain(&consumer).await, ["s/main@1", "s/main@2", "s/main@3"]);
    // Its dead letter was handled with the event.
    assert_eq!(store.dead_letters().list(None, None, 9).unwrap(), []);
    store.consumers().reset("c", config().from_end()).await.unwrap();
    assert_eq!(drain(&consumer).await, [""; 0]);
    assert!(matches!(
        store.consumers().reset("c", config().after_position(9)).await,
        Err(Error::BadCursor { .. })
    ));
    fill(&store, &["s"], 1);
    consumer.next().await.unwrap().park("x").await.unwrap();
    let waiting = tokio::spawn({
        let consumer = consumer.clone();
        async move { consumer.next().await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert_eq!(store.consumers().remove("c").await, Ok(1));
    assert!(matches!(waiting.await.unwrap(), Err(Error::NotFound { .. })));
    assert!(matches!(consumer.next().await, Err(Error::NotFound { what: "consumer", .. })));
    assert!(
        store.consumers().list().unwrap().is_empty()
            && store.dead_letters().list(None, None, 9).unwrap().is_empty()
    );
    assert!(matches!(store.consumers().remove("c").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_consumer_does_not_keep_the_store_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("open.redb");
    let store = Store::open(&path).unwrap();
    fill(&store, &["s"], 1);
    let consumer = store.consumers().open("c", config()).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    let waiting = tokio::spawn({
        let consumer = consumer.clone();
        async move { consumer.next().await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(store);
    assert_eq!(waiting.await.unwrap(), Err(Error::Closed { after: None }));
    assert!(matches!(delivery.ack().await, Err(Error::Closed { .. })));
    let store = Store::builder().open(&path).unwrap();
    assert_eq!(store.consumers().info("c").unwrap().outstanding.len(), 1);
    let read_only = {
        store.close().unwrap();
        Store::builder().read_only().open(&path).unwrap()
    };
    assert!(matches!(read_only.consumers().open_existing("c").await, Err(Error::ReadOnly { .. })));
    assert_eq!(read_only.consumers().list().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_keep_the_order_of_every_session() {
    let sessions: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = sessions.iter().map(String::as_str).collect();
    let store = filled(&names, 10);
    let consumer = store.consumers().open("c", config().max_in_flight(7)).await.unwrap();
    let workers: Vec<_> = (0..16u64)
        .map(|n| {
            let consumer = consumer.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while let Ok(delivery) = consumer.next().await {
                    if (delivery.event().position().get() + n).is_multiple_of(5) && delivery.deliveries() < 3
                    {
                        delivery.nack(Duration::from_micros(n)).await.unwrap();
                        continue;
                    }
                    seen.push((delivery.event().place().to_string(), delivery.event().sequence().get()));
                    delivery.ack().await.unwrap();
                    if consumer.name().is_empty() {
                        break;
                    }
                }
                seen
            })
        })
        .collect();
    let mut resolved = 0;
    while resolved < 200 {
        tokio::task::yield_now().await;
        resolved = store.consumers().info("c").unwrap().acknowledged;
    }
    assert_eq!(store.consumers().info("c").unwrap().ack_floor.get(), 200);
    store.close().unwrap();
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for worker in workers {
        let seen = worker.await.unwrap();
        // One worker alone sees a session in order.
        let mut own: BTreeMap<&str, u64> = BTreeMap::new();
        for (place, sequence) in &seen {
            assert!(own.insert(place, *sequence).is_none_or(|before| before < *sequence));
        }
        seen.into_iter().for_each(|(place, sequence)| all.entry(place).or_default().push(sequence));
    }
    assert_eq!(all.len(), 20);
    for (place, mut sequences) in all {
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=10).collect::<Vec<_>>(), "{place}");
    }
}

/// The power fails at every moment: what is recorded of a consumer never goes beyond the events that are there, not
/// even when they were appended relaxed; what was acknowledged stays so.
#[tokio::test]
async fn a_consumer_never_knows_of_events_that_a_power_cut_takes() {
    let disk = Disk::new();
    let store = Store::builder().with_backend(disk.backend()).unwrap();
    let consumer = store.consumers().open("c", config()).await.unwrap();
    let mut acknowledged = Vec::new();
    for n in 0..20u64 {
        let batch = Batch::new().add(format!("s{}", n % 3), Expect::Any, NewEvent::new("step.done")).unwrap();
        store.append_batch_async(batch.durability(Durability::Relaxed)).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        match n % 4 {
            0 => delivery.park("no").await.unwrap(),
            1 => {
                let batch = Batch::new().add("out", Expect::Any, NewEvent::new("run.noted")).unwrap();
                delivery.ack_with(batch).await.unwrap();
                // Its own result comes too.
                consumer.next().await.unwrap().ack().await.unwrap();
            }
            _ => delivery.ack().await.unwrap(),
        }
        acknowledged.push((disk.operations(), store.consumers().info("c").unwrap().ack_floor.get()));
    }
    drop(store);
    let step = if soak() { 1 } else { 5 };
    for operations in (0..disk.operations()).step_by(step) {
        for cut in [Cut::Nothing, Cut::Some { seed: operations as u64 }] {
            let after = Disk::from_bytes(disk.moment(operations).cut(&cut));
            let Ok(store) = Store::builder().with_backend(after.backend()) else { continue };
            let told =
                acknowledged.iter().rfind(|(at, _)| *at <= operations).map_or(0, |(_, resolved)| *resolved);
            let Ok(info) = store.consumers().info("c") else {
                assert_eq!(told, 0, "the consumer is gone at {operations}");
                continue;
            };
            assert!(info.ack_floor <= store.committed(), "{info:?} at {operations}");
            assert!(info.ack_floor.get() >= told, "{info:?} at {operations}, and {told} was acknowledged");
            for dead_letter in store.dead_letters().list(None, None, 100).unwrap() {
                assert_eq!(store.get(dead_letter.id).unwrap().address(), dead_letter.at);
            }
            let consumer = store.consumers().open_existing("c").await.unwrap();
            drain(&consumer).await;
        }
    }
}
