//! W1, W2, W10: single appends, each acknowledged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Figure, Job, close, count, figure};
use crate::event::Dice;
use crate::measure::quantile;
use crate::payload::Payloads;
use crate::peers::Peer;

const PRODUCERS: u64 = 64;
const SCATTERED: u64 = 10_000;
/// Slow peers do fewer.
const SINGLE_LIMIT: Duration = Duration::from_secs(5);
const SHARED_LIMIT: Duration = Duration::from_secs(8);

/// Appends per second of one producer.
pub fn single(peer: &dyn Peer, payloads: &Payloads, total: u64) -> f64 {
    let start = Instant::now();
    let mut done = 0;
    while done < total && start.elapsed() < SINGLE_LIMIT {
        peer.append(0, payloads.draft(done));
        done += 1;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

pub struct Shared {
    pub rate: f64,
    /// Of every append, µs.
    latencies: Vec<f64>,
    /// How many went to each session.
    appended: HashMap<u64, u64>,
}

/// 64 producers, each with a session of its own.
pub fn shared(peer: &dyn Peer, payloads: &Payloads, total: u64) -> Shared {
    produce(peer, payloads, total, |producer, _| 1 + producer)
}

/// 64 producers, each append to a random one of many sessions.
pub fn scattered(peer: &dyn Peer, payloads: &Payloads, total: u64, sessions: u64) -> Shared {
    produce(peer, payloads, total, |_, dice| dice.below(sessions))
}

fn produce(
    peer: &dyn Peer,
    payloads: &Payloads,
    total: u64,
    pick: impl Fn(u64, &mut Dice) -> u64 + Sync,
) -> Shared {
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let produce = |producer: u64| {
        let mut dice = Dice::new(producer + 1_000);
        let mut done = Vec::with_capacity((total / PRODUCERS * 2) as usize);
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= total || start.elapsed() > SHARED_LIMIT {
                return done;
            }
            let session = pick(producer, &mut dice);
            let draft = payloads.draft(n);
            let asked = Instant::now();
            peer.append(session, draft);
            done.push((session as u32, asked.elapsed().as_secs_f32()));
        }
    };
    let done: Vec<(u32, f32)> = std::thread::scope(|scope| {
        let produce = &produce;
        let threads: Vec<_> = (0..PRODUCERS).map(|p| scope.spawn(move || produce(p))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let rate = done.len() as f64 / start.elapsed().as_secs_f64();
    let mut appended = HashMap::new();
    done.iter().for_each(|(session, _)| *appended.entry(u64::from(*session)).or_default() += 1);
    Shared { rate, latencies: done.iter().map(|(_, s)| f64::from(*s) * 1e6).collect(), appended }
}

pub fn w1(job: &Job) -> Vec<Figure> {
    let (_, peer) = job.fresh();
    let rate = single(&*peer, &job.payloads(), job.count(20_000));
    close(peer);
    vec![figure("W1", rate, "ops/s")]
}

pub fn w2(job: &Job) -> Vec<Figure> {
    let (_, peer) = job.fresh();
    let run = shared(&*peer, &job.payloads(), job.count(400_000));
    for (session, appended) in &run.appended {
        assert_eq!(count(&*peer, *session), *appended, "every event is read back");
    }
    close(peer);
    latencies("W2", run)
}

pub fn w10(job: &Job) -> Vec<Figure> {
    let (_, peer) = job.fresh();
    let run = scattered(&*peer, &job.payloads(), job.count(200_000), SCATTERED);
    for (session, appended) in run.appended.iter().take(100) {
        assert_eq!(count(&*peer, *session), *appended, "every event is read back");
    }
    close(peer);
    latencies("W10", run)
}

fn latencies(work: &str, mut run: Shared) -> Vec<Figure> {
    vec![
        figure(work, run.rate, "ops/s"),
        figure(&format!("{work}-p99"), quantile(&mut run.latencies, 0.99), "µs"),
        figure(&format!("{work}-max"), quantile(&mut run.latencies, 1.0), "µs"),
    ]
}
