//! Figures of the shared engine beside the engine of its owner, in one run: not a test of anything, but a measure.
//! `cargo test --release --test it shared_figures -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use retold::{Builder, Follow, NewEvent, Store};

use crate::shared_process::Owned;

fn event(n: u64) -> NewEvent {
    let text = "x".repeat(220);
    NewEvent::new("tool.completed").source("bench").data(serde_json::json!({ "n": n, "text": text }))
}

/// Appends per second of so many producers.
fn appends(store: &Store, producers: u64, each: u64) -> f64 {
    let start = Instant::now();
    std::thread::scope(|threads| {
        for producer in 0..producers {
            threads.spawn(move || {
                let name = format!("p{producer}");
                (0..each).for_each(|n| drop(store.append(&name, event(n)).unwrap()));
            });
        }
    });
    (producers * each) as f64 / start.elapsed().as_secs_f64()
}

/// Microseconds from the call of an append to its delivery to a follower, in the middle and at the 99th of a hundred.
fn delivery(writer: &Store, reader: &Store, events: u64) -> (f64, f64) {
    let delivered = Arc::new(AtomicU64::new(0));
    let seen = delivered.clone();
    let mut following = reader.follow(Follow::session("d").unwrap()).unwrap().blocking();
    let start = Instant::now();
    let follower = std::thread::spawn(move || {
        let mut at = Vec::new();
        while (at.len() as u64) < events {
            if following.next().unwrap().unwrap().event().is_some() {
                at.push(start.elapsed());
                seen.store(at.len() as u64, Ordering::Release);
            }
        }
        at
    });
    let mut begun = Vec::new();
    for n in 0..events {
        begun.push(start.elapsed());
        writer.append("d", event(n)).unwrap();
        while delivered.load(Ordering::Acquire) <= n {
            std::thread::yield_now();
        }
    }
    let mut all: Vec<f64> = follower
        .join()
        .unwrap()
        .into_iter()
        .zip(begun)
        .map(|(delivered, begun)| (delivered - begun).as_secs_f64() * 1e6)
        .collect();
    all.sort_by(f64::total_cmp);
    (all[all.len() / 2], all[all.len() * 99 / 100])
}

#[test]
#[ignore = "it measures, and takes a minute"]
fn appends_and_deliveries_beside_those_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let wait = Duration::from_secs(60);
    let (mut one, mut many, mut middle, mut rare) = (vec![], vec![], vec![], vec![]);
    for round in 0..5 {
        let own = Store::open(folder.path().join(format!("own{round}.redb"))).unwrap();
        let owned = Owned::begin(folder.path().join(format!("other{round}.redb")), 0);
        let client = owned.client(Builder::new(), wait).unwrap();
        let beside = owned.client(Builder::new(), wait).unwrap();
        one.push((appends(&own, 1, 2_000), appends(&client, 1, 2_000)));
        many.push((appends(&own, 64, 200), appends(&client, 64, 200)));
        let (a, b) = (delivery(&own, &own, 1_000), delivery(&client, &beside, 1_000));
        middle.push((a.0, b.0));
        rare.push((a.1, b.1));
    }
    let shown = |what: &str, mut figures: Vec<(f64, f64)>| {
        figures.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (own, shared) = figures[figures.len() / 2];
        println!("{what:<44}{own:>12.1}{shared:>12.1}{:>8.2}", shared / own);
    };
    println!("{:<44}{:>12}{:>12}{:>8}", "", "in-process", "shared", "ratio");
    shown("appends/s, 1 producer", one);
    shown("appends/s, 64 producers", many);
    shown("append to delivery, p50 µs", middle);
    shown("append to delivery, p99 µs", rare);
}
