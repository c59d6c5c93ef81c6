//! What the bus costs: from acknowledged to delivered, and events a second through one and through eight handlers.
//!
//! `cargo bench --bench bus` runs it; `-- --quick` is a short form whose figures mean nothing. Everything is synced
//! before it is acknowledged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a program for people")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use retold::{Bus, Message, NewEvent, Store};
use tokio::sync::Notify;
use tokio::sync::mpsc;

const SESSIONS: u64 = 64;
const BATCH: u64 = 500;

fn event(n: u64) -> NewEvent {
    NewEvent::new("tool.completed")
        .source("bench")
        .json_text(format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(200)))
}

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store.redb")).unwrap();
    (dir, store)
}

/// Microseconds between the answer of an append and the call of a handler, at their median and 99th of 100.
async fn latency(count: u64) -> (f64, f64) {
    let (_dir, store) = open();
    let bus = Bus::builder().history_limit(0).open(&store).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    bus.on("**", move |_: Message| {
        let _ = tell.send(Instant::now());
        async {}
    })
    .unwrap();
    let mut times = Vec::new();
    for n in 0..count {
        // On a thread of its own, as a producer is.
        let appending = store.clone();
        let acknowledged = tokio::task::spawn_blocking(move || {
            appending.append(format!("s{}", n % SESSIONS), event(n)).unwrap();
            Instant::now()
        });
        let acknowledged = acknowledged.await.unwrap();
        let delivered = told.recv().await.unwrap();
        times.push(delivered.saturating_duration_since(acknowledged).as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Events a second through so many handlers: of what was recorded before, so that the append costs nothing.
async fn throughput(count: u64, handlers: u64) -> f64 {
    let (_dir, store) = open();
    for batch in 0..count / BATCH {
        let session = format!("s{}", batch % SESSIONS);
        store.append(session, (0..BATCH).map(|n| event(batch * BATCH + n)).collect::<Vec<_>>()).unwrap();
    }
    let count = store.committed().get();
    let bus = Bus::builder().history_limit(0).open(&store).unwrap();
    let left = Arc::new(AtomicU64::new(count * handlers));
    let done = Arc::new(Notify::new());
    let begun = Instant::now();
    for _ in 0..handlers {
        let (left, done) = (left.clone(), done.clone());
        let asked = bus.subscribe("**").from_start();
        asked
            .run(move |_: Message| {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    done.notify_one();
                }
                async {}
            })
            .unwrap();
    }
    done.notified().await;
    count as f64 / begun.elapsed().as_secs_f64()
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (singles, bulk) = if quick { (50, 2_000) } else { (4_000, 200_000) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (p50, p99) = runtime.block_on(latency(singles));
    println!("acknowledged to delivered, µs: p50 {p50:.0}, p99 {p99:.0}");
    for handlers in [1, 8] {
        let rate = runtime.block_on(throughput(bulk, handlers));
        println!(
            "events a second through {handlers} handler(s): {rate:.0} ({:.0} calls a second)",
            rate * handlers as f64
        );
    }
    runtime.shutdown_timeout(Duration::from_secs(5));
}
