//! Names of handlers and their dead letters, and what ends with what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use retold::bus::{Bus, Message, imported_pattern};
use retold::{ConsumerConfig, Error, NewEvent, Owner, Pattern, Store};
use tokio::sync::mpsc;

use crate::support::reopened;

const SOON: Duration = Duration::from_secs(120);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("in time")
}

fn bus(store: &Store) -> Bus {
    Bus::builder().max_deliveries(1).open(store).unwrap()
}

/// The owners of all dead letters, with whether they wait for a replay.
fn dead_letters(store: &Store) -> Vec<(String, bool)> {
    let all = store.dead_letters().list(None, None, 100).unwrap();
    all.into_iter().map(|l| (l.owner.name().to_owned(), l.again)).collect()
}

#[tokio::test]
async fn dead_letters_of_an_unnamed_handler_never_go_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("names.redb");
    let store = Store::open(&path).unwrap();
    let first = bus(&store);
    let failing = first.subscribe("mail.*").awaited().run(|_| async { Err::<(), _>("down") }).unwrap();
    let name = failing.name().to_owned();
    assert_eq!(soon(first.publish("s", NewEvent::new("mail.requested"))).await.unwrap().failed().count(), 1);
    assert_eq!(dead_letters(&store), [(name.clone(), false)]);
    soon(first.close()).await.unwrap();
    soon(store.close_async()).await.unwrap();
    drop((first, failing, store));

    let store = reopened(&path).await;
    let second = bus(&store);
    let (tell, mut told) = mpsc::unbounded_channel();
    let asked = second.subscribe("**").awaited();
    let other = asked.run(move |message: Message| {
        let _ = tell.send(message.kind().to_owned());
        async {}
    });
    let other = other.unwrap();
    assert_ne!(other.name(), name);
    assert_eq!(store.dead_letters().replay_all(&Owner::handler(&name).unwrap()).unwrap(), 1);
    soon(second.publish("s", NewEvent::new("step.done"))).await.unwrap();
    soon(second.close()).await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("step.done"));
    drop((other, second));
    assert_eq!(told.recv().await, None);
    assert_eq!(dead_letters(&store), [(name, true)]);
}

#[tokio::test]
async fn a_replayed_dead_letter_goes_to_a_handler_only_if_its_route_takes_the_event() {
    let store = Store::in_memory().unwrap();
    let mailer = Owner::handler("mailer").unwrap();
    let first = bus(&store);
    let asked = first.subscribe("mail.*").named("mailer").awaited();
    asked.run(|_| async { Err::<(), _>("down") }).unwrap();
    soon(first.publish("s", NewEvent::new("mail.requested"))).await.unwrap();
    soon(first.close()).await.unwrap();
    store.dead_letters().replay_all(&mailer).unwrap();

    let subscribe = |bus: &Bus, pattern: &str| {
        let (tell, told) = mpsc::unbounded_channel();
        let asked = bus.subscribe(pattern).named("mailer").awaited();
        asked
            .run(move |message: Message| {
                let _ = tell.send(message.kind().to_owned());
                async {}
            })
            .unwrap();
        told
    };
    // The same name, and another purpose.
    let second = bus(&store);
    let mut told = subscribe(&second, "step.*");
    soon(second.publish("s", NewEvent::new("step.done"))).await.unwrap();
    soon(second.close()).await.unwrap();
    drop(second);
    assert_eq!(told.recv().await.as_deref(), Some("step.done"));
    assert_eq!(told.recv().await, None);
    assert_eq!(dead_letters(&store), [("mailer".to_owned(), true)]);

    let third = bus(&store);
    let mut told = subscribe(&third, "mail.**");
    assert_eq!(soon(told.recv()).await.as_deref(), Some("mail.requested"));
    soon(third.close()).await.unwrap();
    assert_eq!(dead_letters(&store), []);
}

#[tokio::test]
async fn two_buses_on_one_store_have_no_name_and_no_dead_letters_in_common() {
    let store = Store::in_memory().unwrap();
    let (one, other) = (bus(&store), bus(&store));
    let handles = Arc::new(AtomicBool::new(false));
    let mine = one.subscribe("a.*").named("mine").awaited().run(|_| async { Err::<(), _>("no") }).unwrap();
    let taken = other.subscribe("a.*").named("mine").run(|_| async {});
    assert!(matches!(taken, Err(Error::Exists { what: "handler", .. })), "{taken:?}");
    // One that fails and one that succeeds, both without a name, leave the dead letter of the first.
    let fails = one.subscribe("b.*").awaited().run(|_| async { Err::<(), _>("no") }).unwrap();
    let done = handles.clone();
    let succeeds = other.subscribe("b.*").awaited().run(move |_| {
        done.store(true, SeqCst);
        async {}
    });
    let succeeds = succeeds.unwrap();
    assert_ne!(fails.name(), succeeds.name());
    assert_eq!(soon(one.publish("s", NewEvent::new("b.c"))).await.unwrap().failed().count(), 1);
    soon(other.close()).await.unwrap();
    assert!(handles.load(SeqCst));
    assert_eq!(dead_letters(&store), [(fails.name().to_owned(), false)]);
    // The name is free when its handler is gone.
    mine.unsubscribe();
    soon(mine.gone()).await;
    let third = bus(&store);
    third.subscribe("a.*").named("mine").run(|_| async {}).unwrap();
    soon(one.close()).await.unwrap();
    third.subscribe("a.*").named("yours").run(|_| async {}).unwrap();
}

#[tokio::test]
async fn a_handler_that_emits_through_its_emitter_ends_with_it() {
    let store = Store::in_memory().unwrap();
    let bus = bus(&store);
    let emitter = bus.emitter("runner", "s").unwrap().actor("agent");
    let inner = emitter.clone();
    let asked = emitter.on("step.started", move |_: Message| {
        let emitter = inner.clone();
        async move { assert!(emitter.emit(NewEvent::new("step.done")).await.is_recorded()) }
    });
    let subscription = asked.unwrap();
    let mut done = bus.listen("step.done").unwrap();
    assert!(emitter.emit(NewEvent::new("step.started")).await.is_recorded());
    let event = soon(done.next()).await.unwrap().unwrap();
    assert_eq!((event.source(), event.actor()), (Some("runner"), Some("agent")));
    drop(emitter);
    soon(subscription.gone()).await;
    assert!(bus.handlers().is_empty());
}

#[tokio::test]
async fn an_emitter_whose_source_no_event_can_have_is_refused_when_it_is_made() {
    let store = Store::in_memory().unwrap();
    let bus = bus(&store);
    let too_long = "x".repeat(retold::limits::MAX_TEXT_BYTES + 1);
    for source in ["line\nbreak", "nul\0", &too_long] {
        match bus.emitter(source, "s") {
            Err(Error::Invalid(invalid)) => assert_eq!(invalid.field, "source"),
            other => panic!("{source:?}: {other:?}"),
        }
    }
    let emitter = bus.emitter("runner 7 / ü", "s").unwrap();
    assert!(emitter.emit(NewEvent::new("step.done")).await.is_recorded());
}

#[tokio::test]
async fn globs_of_other_systems_take_what_they_take_there() {
    let store = Store::in_memory().unwrap();
    let bus = bus(&store);
    let (tell, mut told) = mpsc::unbounded_channel();
    for (name, pattern) in [
        ("all", imported_pattern("*").unwrap()),
        ("ours", imported_pattern("build.*").unwrap()),
        ("theirs", Pattern::fnmatch("build.*").unwrap()),
    ] {
        let tell = tell.clone();
        let asked = bus.subscribe(pattern.as_str()).named(name).awaited();
        asked
            .run(move |message: Message| {
                let _ = tell.send(format!("{name} {}", message.kind()));
                async {}
            })
            .unwrap();
    }
    let mut taken = Vec::new();
    for kind in ["run", "build.done", "build.step.done"] {
        let published = soon(bus.publish("s", NewEvent::new(kind))).await.unwrap();
        for _ in published.answers {
            taken.push(soon(told.recv()).await.unwrap());
        }
    }
    taken.sort_unstable();
    let due = [
        "all build.done",
        "all build.step.done",
        "all run",
        "ours build.done",
        "theirs build.done",
        "theirs build.step.done",
    ];
    assert_eq!(taken, due);
    // A consumer keeps it as it was given.
    let config = || ConsumerConfig::new().pattern(Pattern::fnmatch("build.*").unwrap());
    drop(store.consumers().open("theirs", config()).await.unwrap());
    let consumer = store.consumers().open("theirs", config()).await.unwrap();
    for due in ["build.done", "build.step.done"] {
        let delivery = soon(consumer.next()).await.unwrap();
        assert_eq!(delivery.event().kind(), due);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
#[deny(unused_must_use)]
async fn what_became_of_an_emitted_event_need_not_be_looked_at() {
    let store = Store::in_memory().unwrap();
    let bus = bus(&store);
    let emitter = bus.emitter("runner", "s").unwrap();
    emitter.emit(NewEvent::new("step.done")).await;
    emitter.emit(NewEvent::new("not a type")).await;
    assert_eq!((store.head("s").unwrap().get(), bus.stats().dropped), (1, 1));
}
