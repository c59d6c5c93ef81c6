//! Dead letters that are replayed while their event comes anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use retold::{Bus, ConsumerConfig, Message, NewEvent, Owner, Store};
use tokio::sync::{Notify, mpsc};

fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(serde_json::json!({ "n": n }))
}

fn number(message: &Message) -> u64 {
    message.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time")
}

async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Three events of one session and one of another; the second and the last are dead letters of the handler `h`.
async fn failed() -> (Store, Owner) {
    let store = Store::in_memory().unwrap();
    store.append("s", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
    store.append("t", numbered(4)).unwrap();
    let bus = Bus::new(&store).unwrap();
    let handler = bus.subscribe("**").named("h").from_start().max_deliveries(1);
    let handler =
        handler
            .run(|message: Message| async move {
                if number(&message).is_multiple_of(2) { Err("no") } else { Ok(()) }
            })
            .unwrap();
    until(|| handler.stats().calls == 4).await;
    soon(bus.close()).await.unwrap();
    assert_eq!(handler.stats().dead_letters, 2);
    (store, Owner::handler("h").unwrap())
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_while_its_event_waits_is_handled_once() {
    let (store, owner) = failed().await;
    let bus = Bus::new(&store).unwrap();
    let (gate, has_failed) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (tell, mut told) = mpsc::unbounded_channel();
    let (wait, failed) = (gate.clone(), has_failed.clone());
    let handler = bus.subscribe("**").named("h").from_start().max_deliveries(1);
    let handler = handler
        .run(move |message: Message| {
            let (wait, tell, failed) = (wait.clone(), tell.clone(), failed.clone());
            async move {
                if number(&message) == 1 {
                    wait.notified().await;
                }
                tell.send(number(&message)).unwrap();
                if number(&message) == 4 && !failed.swap(true, Ordering::SeqCst) { Err("no") } else { Ok(()) }
            }
        })
        .unwrap();
    assert_eq!(soon(told.recv()).await, Some(4));
    until(|| handler.stats().dead_letters == 1 && handler.stats().queue == 3).await;
    assert_eq!(store.dead_letters().replay_all(&owner).unwrap(), 2);
    // They are taken in this order: of the other session, whose branch is free, it is delivered now.
    assert_eq!(soon(told.recv()).await, Some(4));
    gate.notify_one();
    soon(bus.close()).await.unwrap();
    let mut rest = Vec::new();
    while let Ok(number) = told.try_recv() {
        rest.push(number);
    }
    assert_eq!(rest, [1, 2, 3]);
    assert!(store.dead_letters().list(Some(&owner), None, 9).unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_letter_that_was_replayed_before_its_handler_begins_further_back_is_handled_once() {
    let (store, owner) = failed().await;
    assert_eq!(store.dead_letters().replay_all(&owner).unwrap(), 2);
    let bus = Bus::new(&store).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = bus.subscribe("**").named("h").from_start();
    let handler = handler
        .run(move |message: Message| {
            tell.send(number(&message)).unwrap();
            async {}
        })
        .unwrap();
    until(|| handler.stats().handled >= 4 && handler.stats().lag == 0).await;
    soon(bus.close()).await.unwrap();
    let mut all = Vec::new();
    while let Ok(number) = told.try_recv() {
        all.push(number);
    }
    let of_one: Vec<u64> = all.iter().copied().filter(|number| *number < 4).collect();
    assert_eq!((of_one, all.len()), (vec![1, 2, 3], 4));
    assert!(store.dead_letters().list(Some(&owner), None, 9).unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_after_its_consumer_was_reset_is_delivered_once() {
    let store = Store::in_memory().unwrap();
    store.append("s", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
    let owner = Owner::consumer("c").unwrap();
    let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
    for n in 1..=3 {
        let delivery = soon(consumer.next()).await.unwrap();
        assert_eq!(delivery.event().sequence().get(), n);
        if n == 2 { delivery.park("no").await.unwrap() } else { delivery.ack().await.unwrap() }
    }
    store.consumers().reset("c", ConsumerConfig::new()).await.unwrap();
    let first = soon(consumer.next()).await.unwrap();
    // The second waits behind it, or is yet to be scanned.
    assert_eq!(store.dead_letters().replay_all(&owner).unwrap(), 1);
    first.ack().await.unwrap();
    for n in 2..=3 {
        let delivery = soon(consumer.next()).await.unwrap();
        assert_eq!(delivery.event().sequence().get(), n);
        delivery.ack().await.unwrap();
    }
    assert!(consumer.try_next().await.unwrap().is_none());
    assert!(store.dead_letters().list(Some(&owner), None, 9).unwrap().is_empty());
    consumer.close().await;
}
