//! The store through its public API.

use crate::support::on_memory;
use retold::{Batch, Error, Expect, NewEvent, Query, Store};
use serde_json::json;

fn event(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(json!({ "n": n }))
}

fn numbers(store: &Store, address: &str) -> Vec<u64> {
    let events = store.events(Query::branch(address).unwrap()).unwrap();
    events.map(|e| e.unwrap().json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()).collect()
}

#[test]
fn what_was_appended_is_read_in_order_before_and_after_a_flush_and_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.redb");
    let store = Store::open(&path).unwrap();
    for n in 1..=5 {
        let receipt = store.append("s", event(n)).unwrap();
        assert_eq!((receipt.first().get(), receipt.position().get()), (n, n));
    }
    assert_eq!(numbers(&store, "s"), [1, 2, 3, 4, 5]);
    store.maintenance().flush().unwrap();
    assert_eq!(numbers(&store, "s"), [1, 2, 3, 4, 5]);
    store.append("s", [event(6), event(7)]).unwrap();
    assert_eq!(numbers(&store, "s@6"), [1, 2, 3, 4, 5, 6]);
    store.close().unwrap();
    assert!(matches!(store.append("s", event(8)), Err(Error::Closed { .. })));
    let store = Store::open(&path).unwrap();
    assert_eq!(numbers(&store, "s"), [1, 2, 3, 4, 5, 6, 7]);
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn a_refused_append_names_both_heads_and_writes_nothing() {
    let store = on_memory(Store::builder());
    store.append("s", [event(1), event(2), event(3)]).unwrap();
    let e = store.append_if("s", Expect::Head(5.into()), event(4)).unwrap_err();
    assert_eq!(e.to_string(), "s/main is at sequence 3, not at head 5; nothing was written");
    let batch = Batch::new().add("t", Expect::Empty, event(1)).unwrap();
    let batch = batch.add("s", Expect::Empty, event(4)).unwrap();
    assert!(matches!(store.append_batch(batch), Err(Error::Conflict { .. })));
    assert!(matches!(store.head("t"), Err(Error::NotFound { .. })));
    assert_eq!(store.committed().get(), 3);
}

#[test]
fn a_retry_is_answered_with_the_first_receipt_for_ever() {
    let store = on_memory(Store::builder());
    let events = vec![event(1), event(2)];
    let first = store.append_if("s", Expect::Empty, events.clone()).unwrap();
    for flushed in [false, true] {
        if flushed {
            store.maintenance().flush().unwrap();
        }
        let again = store.append_if("s", Expect::Empty, events.clone()).unwrap();
        assert!(again.duplicate());
        assert_eq!(again.parts(), first.parts());
        let other = event(9).with_id(events[0].id());
        assert!(matches!(store.append("s", other), Err(Error::Duplicate { .. })));
        let more = [events[1].clone(), event(3)];
        assert!(matches!(store.append("s", more), Err(Error::Duplicate { .. })));
    }
    assert_eq!(store.head("s").unwrap().get(), 2);
}

#[test]
fn a_fork_shares_its_past_and_goes_its_own_way() {
    let store = on_memory(Store::builder());
    store.append("s", [event(1), event(2), event(3)]).unwrap();
    store.fork("s@2", "a").unwrap();
    store.append("s/a", event(30)).unwrap();
    store.fork("s/a@3", "b").unwrap();
    store.append("s/b", event(40)).unwrap();
    store.append("s", event(4)).unwrap();
    for flushed in [false, true] {
        if flushed {
            store.maintenance().flush().unwrap();
        }
        assert_eq!(numbers(&store, "s"), [1, 2, 3, 4]);
        assert_eq!(numbers(&store, "s/a"), [1, 2, 30]);
        assert_eq!(numbers(&store, "s/b"), [1, 2, 30, 40]);
        let diff = store.diff("s", "s/b").unwrap();
        assert_eq!((diff.common.get(), diff.pairs.count()), (2, 2));
    }
    let receipt = store.promote("s/b").unwrap();
    assert_eq!(numbers(&store, "s/a"), [1, 2, 30, 40]);
    assert!(store.promote("s/b").unwrap().duplicate());
    assert_eq!(receipt.last().get(), 4);
    assert!(matches!(store.promote("s/a"), Err(Error::Conflict { .. })));
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn the_global_order_is_dense_over_journal_and_tables() {
    let store = on_memory(Store::builder());
    for n in 0..50 {
        store.append(format!("s{}", n % 7), event(n)).unwrap();
        if n % 20 == 19 {
            store.maintenance().flush().unwrap();
        }
    }
    store.append("bulk", (0..100).map(event).collect::<Vec<_>>()).unwrap();
    let all: Vec<u64> = store.events(Query::all()).unwrap().map(|e| e.unwrap().position().get()).collect();
    assert_eq!(all, (1..=150).collect::<Vec<_>>());
    let back: Vec<u64> = store
        .events(Query::all().reverse().from(10u64).to(140u64))
        .unwrap()
        .map(|e| e.unwrap().position().get())
        .collect();
    assert_eq!(back, (10..=140).rev().collect::<Vec<_>>());
    assert_eq!(store.sessions(None, 100).unwrap().len(), 8);
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn closing_while_producers_are_at_work_ends_and_loses_nothing_acknowledged() {
    for round in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let store = Store::builder().sync(false).open(&path).unwrap();
        let acknowledged: u64 = std::thread::scope(|scope| {
            let producers: Vec<_> = (0..4)
                .map(|p| {
                    let store = store.clone();
                    scope.spawn(move || {
                        let mut count = 0;
                        while store.append(format!("s{p}"), event(count)).is_ok() {
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            while store.committed().get() < round {
                std::thread::yield_now();
            }
            store.close().unwrap();
            producers.into_iter().map(|p| p.join().unwrap()).sum()
        });
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.committed().get(), acknowledged);
        assert!(store.maintenance().verify().unwrap().is_clean());
    }
}

#[test]
fn a_page_of_large_payloads_ends_early_and_says_where_to_go_on() {
    let store = on_memory(Store::builder());
    let large = |n: u64| event(n).bytes("application/octet-stream", vec![n as u8; 3 << 20]);
    for n in 1..=6 {
        store.append("s", large(n)).unwrap();
    }
    let page = store.read(&Query::branch("s").unwrap()).unwrap();
    assert_eq!(page.events.len(), 3);
    let rest = store.events(page.next.unwrap()).unwrap();
    assert_eq!(rest.map(|e| e.unwrap().payload()[0]).collect::<Vec<_>>(), [4, 5, 6]);
}
