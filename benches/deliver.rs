//! From the acknowledgement of an append to its delivery: one follower, the same beside ten thousand idle ones, and the
//! bare hand-over of a channel between the same two threads.
//!
//! `cargo bench --bench deliver` runs it; `-- --quick` is a short form for CI, whose figures mean nothing. Every append
//! is synced. Each figure is the median of several rounds, taken in turns.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a program for people")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use retold::{Follow, Followed, NewEvent, Store};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

struct Size {
    appends: u64,
    idle: u64,
    rounds: usize,
}

fn event(n: u64) -> NewEvent {
    NewEvent::new("tool.completed").source("bench").json_text(n.to_string())
}

/// Microseconds from each acknowledgement to its delivery: median, 99th of a hundred, and how many in a hundred came
/// before the acknowledgement. Those count as none.
#[derive(Clone, Copy, Default)]
struct Delay {
    p50: f64,
    p99: f64,
    before: f64,
}

impl Delay {
    fn of(acknowledged: &[Instant], delivered: &[Instant]) -> Self {
        let micros = |(a, d): (&Instant, &Instant)| d.saturating_duration_since(*a).as_secs_f64() * 1e6;
        let mut all: Vec<f64> = acknowledged.iter().zip(delivered).map(micros).collect();
        let before = acknowledged.iter().zip(delivered).filter(|(a, d)| d <= a).count();
        all.sort_by(f64::total_cmp);
        let at = |part: f64| all.get(((all.len() - 1) as f64 * part) as usize).copied().unwrap_or_default();
        Self { p50: at(0.5), p99: at(0.99), before: before as f64 * 100.0 / all.len() as f64 }
    }
}

/// The same appends; what is told to the other thread is told by a channel.
fn channel(size: &Size) -> Delay {
    let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(folder.path().join("s.redb")).unwrap();
    let (tell, mut told) = mpsc::unbounded_channel::<u64>();
    let receiver = runtime.spawn(async move {
        let mut at = Vec::new();
        while told.recv().await.is_some() {
            at.push(Instant::now());
        }
        at
    });
    let mut acknowledged = Vec::new();
    for n in 0..size.appends {
        store.append("s", event(n)).unwrap();
        acknowledged.push(Instant::now());
        tell.send(n).unwrap();
    }
    drop(tell);
    let delivered = runtime.block_on(receiver).unwrap();
    store.close().unwrap();
    Delay::of(&acknowledged, &delivered)
}

fn follow(size: &Size, idle: u64) -> Delay {
    let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(folder.path().join("s.redb")).unwrap();
    let waiting = Arc::new(AtomicU64::new(0));
    let wait = |following: retold::Result<retold::Following>| {
        let (mut following, waiting) = (following.unwrap(), waiting.clone());
        runtime.spawn(async move {
            let mut at = Vec::new();
            while let Some(item) = following.next().await {
                match item.unwrap() {
                    Followed::Event { .. } => at.push(Instant::now()),
                    _ => drop(waiting.fetch_add(1, Ordering::SeqCst)),
                }
            }
            at
        })
    };
    let idlers: Vec<_> =
        (0..idle).map(|n| wait(store.follow(Follow::session(format!("idle-{n}")).unwrap()))).collect();
    let follower = wait(store.follow(Follow::branch("s").unwrap()));
    while waiting.load(Ordering::SeqCst) <= idle {
        std::thread::yield_now();
    }
    let mut acknowledged = Vec::new();
    for n in 0..size.appends {
        store.append("s", event(n)).unwrap();
        acknowledged.push(Instant::now());
    }
    store.close().unwrap();
    let delivered = runtime.block_on(follower).unwrap();
    for idler in idlers {
        assert!(runtime.block_on(idler).unwrap().is_empty());
    }
    assert_eq!(delivered.len(), acknowledged.len());
    Delay::of(&acknowledged, &delivered)
}

fn median<T: Copy + Default>(rounds: &[T], by: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(by).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let quick = std::env::args().any(|a| a == "--quick" || a == "--test");
    let size = match quick {
        true => Size { appends: 50, idle: 100, rounds: 1 },
        false => Size { appends: 10_000, idle: 10_000, rounds: 5 },
    };
    let mut delays: [Vec<Delay>; 3] = Default::default();
    for _ in 0..size.rounds {
        delays[0].push(channel(&size));
        delays[1].push(follow(&size, 0));
        delays[2].push(follow(&size, size.idle));
    }
    println!(
        "{:<46}{:>9}{:>9}{:>9}{:>12}",
        "acknowledged to delivered", "p50 µs", "p99 µs", "ratio", "before ack"
    );
    let base = median(&delays[0], |d| d.p50);
    let idle = format!("follow, beside {} idle followers", size.idle);
    for (name, rounds) in ["a channel alone", "follow", &idle].into_iter().zip(&delays) {
        let (p50, p99) = (median(rounds, |d| d.p50), median(rounds, |d| d.p99));
        let (ratio, before) = (p50 / base, median(rounds, |d| d.before));
        println!("{name:<46}{p50:>9.1}{p99:>9.1}{ratio:>8.2}x{before:>10.0} %");
    }
}
