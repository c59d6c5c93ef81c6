//! A disk that is full again and again, under one process that goes on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use retold::consumer::ConsumerConfig;
use retold::{Error, Event, Follow, NewEvent, Query, Store};

use crate::support::{on_small_disk, soak};

const ROUNDS: u64 = 20;
/// Where each takes some seconds.
const FEW_ROUNDS: u64 = 3;

fn event(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(serde_json::json!({ "n": n, "text": text(n) }))
}

/// Of letters that do not compress well.
fn text(n: u64) -> String {
    let mut seed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        char::from(b'!' + (seed % 90) as u8)
    };
    (0..3_000).map(|_| next()).collect()
}

fn number(event: &Event) -> u64 {
    event.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()
}

/// Takes all the space that is left.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
}

/// Appends until the disk is full. What is not known to be recorded has its number in neither list, but may be there.
fn append_until_full(store: &Store, next: &mut u64, recorded: &mut Vec<u64>) -> Error {
    loop {
        *next += 1;
        assert!(*next < 1_000_000, "the disk is never full");
        match store.append("run-1", event(*next)) {
            Ok(_) => recorded.push(*next),
            Err(error) => return error,
        }
    }
}

/// The store holds what was acknowledged, in order, each once.
fn holds(store: &Store, recorded: &[u64]) {
    let mut found = BTreeMap::new();
    for event in store.events(Query::branch("run-1").unwrap()).unwrap() {
        let event = event.unwrap();
        let before = found.insert(number(&event), event.sequence());
        assert_eq!(before, None);
    }
    let missing: Vec<_> = recorded.iter().filter(|n| !found.contains_key(n)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(found.values().is_sorted());
}

#[test]
fn with_space_that_was_kept_a_full_disk_is_met_by_appends_and_by_nothing_else() {
    let name = "full_disk::with_space_that_was_kept_a_full_disk_is_met_by_appends_and_by_nothing_else";
    on_small_disk(name, 96, |disk| {
        let (path, ballast) = (disk.join("s.redb"), disk.join("ballast"));
        let store = Store::builder().reserve(24 << 20).flush_after(10_000, 256 << 10).open(&path).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let consumer = runtime.block_on(store.consumers().open("worker", ConsumerConfig::new())).unwrap();
        // The store may notice that the disk is full before the first append of a round.
        store.append("run-1", event(1)).unwrap();
        let (mut next, mut recorded) = (1, vec![1]);
        for round in 0..ROUNDS {
            fill(&ballast);
            let refused = append_until_full(&store, &mut next, &mut recorded);
            assert!(matches!(&refused, Error::Storage { .. }), "{refused:?}");
            assert!(refused.to_string().contains("takes no events while its disk is full"), "{refused}");
            // It was not recorded, and everything that was can be flushed and read.
            store.maintenance().flush().unwrap();
            holds(&store, &recorded);
            assert_eq!(store.head("run-1").unwrap().get(), recorded.len() as u64);
            // A consumer that is at work goes on.
            if round < recorded.len() as u64 {
                let delivery = runtime.block_on(consumer.next()).unwrap();
                assert_eq!(number(delivery.event()), recorded[round as usize]);
                runtime.block_on(delivery.ack()).unwrap();
            }
            fs::remove_file(&ballast).unwrap();
            // At once, and in the same process.
            next += 1;
            store.append("run-1", event(next)).unwrap();
            recorded.push(next);
        }
        runtime.block_on(consumer.close());
        assert!(store.maintenance().verify().unwrap().is_clean());
        store.close().unwrap();
        let left: Vec<_> = fs::read_dir(disk).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["s.redb"]);
        holds(&Store::open(&path).unwrap(), &recorded);
    });
}

#[test]
fn without_it_the_store_goes_on_once_there_is_space_again() {
    let name = "full_disk::without_it_the_store_goes_on_once_there_is_space_again";
    on_small_disk(name, 96, |disk| {
        let (path, ballast) = (disk.join("s.redb"), disk.join("ballast"));
        let store = Store::builder()
            .flush_after(10_000, 256 << 10)
            .wait(Duration::from_secs(60))
            .open(&path)
            .unwrap();
        let mut follow = store.follow(Follow::branch("run-1").unwrap()).unwrap().blocking();
        let (mut next, mut recorded, mut seen) = (0, Vec::new(), 0);
        for _ in 0..if soak() { ROUNDS } else { FEW_ROUNDS } {
            fill(&ballast);
            let refused = append_until_full(&store, &mut next, &mut recorded);
            assert!(!refused.is_refusal(), "{refused:?}");
            fs::remove_file(&ballast).unwrap();
            // What could not be written before the disk was full is not known to be recorded; with its id it lands once.
            next += 1;
            let again = event(next);
            loop {
                match store.append("run-1", again.clone()) {
                    Ok(_) => break,
                    Err(error) => assert!(!error.is_refusal(), "{error:?}"),
                }
            }
            recorded.push(next);
            holds(&store, &recorded);
            let head = store.head("run-1").unwrap().get();
            while seen < head {
                if let Some(event) = follow.next().unwrap().unwrap().event() {
                    assert_eq!(event.sequence().get(), seen + 1);
                    seen += 1;
                }
            }
        }
        drop(follow);
        assert!(store.maintenance().verify().unwrap().is_clean());
        store.close().unwrap();
        holds(&Store::open(&path).unwrap(), &recorded);
    });
}
