//! Deliveries that are acknowledged per second, through one worker and through eight, beside appends alone.
//!
//! `cargo bench --bench consumer` runs it; `-- --quick` is a short form whose figures mean nothing. Every delivery is
//! counted on the disk before it is handed out, and every acknowledgement is on the disk when its call returns.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a program for people")]

use std::time::Instant;

use retold::{Batch, ConsumerConfig, Expect, NewEvent, Store};

const SESSIONS: u64 = 64;

fn fill(store: &Store, events: u64) {
    for n in 0..events / SESSIONS {
        let mut batch = Batch::new();
        for session in 0..SESSIONS {
            let event = NewEvent::new("job.requested").source("bench").json_text(format!("{{\"n\":{n}}}"));
            batch = batch.add(format!("s{session}"), Expect::Any, event).unwrap();
        }
        store.append_batch(batch).unwrap();
    }
}

#[derive(Clone, Copy)]
enum How {
    /// `next`, then `ack`.
    Ack,
    /// The acknowledgement of one together with the call for the next.
    AckAndNext,
    /// With a result that is appended in the same transaction.
    AckWith,
}

async fn worker(consumer: retold::Consumer, how: How, mut left: u64) {
    let mut next = consumer.next().await.unwrap();
    loop {
        left -= 1;
        let delivery = next;
        match how {
            How::AckAndNext if left > 0 => {
                let (acked, following) = tokio::join!(delivery.ack(), consumer.next());
                acked.unwrap();
                next = following.unwrap();
                continue;
            }
            How::Ack | How::AckAndNext => delivery.ack().await.unwrap(),
            How::AckWith => {
                let batch = Batch::new().add("results", Expect::Any, NewEvent::new("job.done")).unwrap();
                delivery.ack_with(batch).await.unwrap();
            }
        }
        if left == 0 {
            return;
        }
        next = consumer.next().await.unwrap();
    }
}

fn rate(how: How, workers: u64, events: u64) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("bench.redb")).unwrap();
    fill(&store, events);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ConsumerConfig::new().pattern("job.requested".parse().unwrap());
    let consumer = runtime.block_on(store.consumers().open("bench", config)).unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> =
            (0..workers).map(|_| tokio::spawn(worker(consumer.clone(), how, events / workers))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(store.consumers().info("bench").unwrap().acknowledged, events);
    runtime.block_on(consumer.close());
    store.close().unwrap();
    events as f64 / seconds
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let (events, rounds) = if quick { (128, 1) } else { (4_096, 5) };
    println!("acknowledged deliveries per second, {SESSIONS} sessions; median of {rounds}");
    for (name, how) in [
        ("next, ack", How::Ack),
        ("ack and next together", How::AckAndNext),
        ("next, ack_with one event", How::AckWith),
    ] {
        for workers in [1, 8, 64] {
            let mut rates: Vec<f64> = (0..rounds).map(|_| rate(how, workers, events)).collect();
            rates.sort_by(f64::total_cmp);
            println!("{name:<26} {workers:>3} workers  {:>8.0}", rates[rounds / 2]);
        }
    }
}
