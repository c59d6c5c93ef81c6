//! W5: from the acknowledgement of an append to its delivery to a follower of the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{Figure, Job, figure};
use crate::measure::quantile;

const EVENTS: u64 = 5_000;
const SESSION: u64 = 7;
/// Between two appends, so that the follower waits when the next one comes.
const PAUSE: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(10);

pub fn w5(job: &Job) -> Vec<Figure> {
    let [ack, worst, whole] = latency(job, true);
    let mut figures =
        vec![figure("W5", ack, "µs"), figure("W5-p99", worst, "µs"), figure("W5-whole", whole, "µs")];
    // The others follow in one way only.
    if job.peer == "retold" {
        figures.push(figure("W5-task", latency(job, false)[0], "µs"));
    }
    figures
}

/// From acknowledgement, half and nearly all of them; from the call.
fn latency(job: &Job, in_thread: bool) -> [f64; 3] {
    let (_, peer) = job.fresh();
    let payloads = job.payloads();
    let events = job.count(EVENTS);
    let start = Instant::now();
    let delivered: Arc<Vec<AtomicU64>> = Arc::new((0..events).map(|_| AtomicU64::new(0)).collect());
    let seen = delivered.clone();
    let deliver = Box::new(move |sequence: u64| {
        if let Some(at) = seen.get(sequence as usize - 1) {
            at.store(start.elapsed().as_nanos() as u64, Ordering::Release);
        }
    });
    let (told, tells) = channel::<()>();
    let follows = match in_thread {
        true => peer.clone().follow_in_thread(SESSION, deliver.clone()),
        false => peer.clone().follow(SESSION, deliver.clone()),
    };
    if !follows {
        let (reader, deliver) = (peer.clone(), deliver);
        std::thread::spawn(move || {
            let mut sequence = 0;
            while tells.recv().is_ok() {
                reader.after(SESSION, sequence, &mut |_| {
                    sequence += 1;
                    deliver(sequence);
                });
            }
        });
    }
    std::thread::sleep(Duration::from_millis(50));
    let mut times = Vec::new();
    for n in 0..events {
        let draft = payloads.draft(n);
        let asked = start.elapsed();
        peer.append(SESSION, draft);
        times.push((asked, start.elapsed()));
        if !follows {
            told.send(()).unwrap();
        }
        std::thread::sleep(PAUSE);
    }
    let done = Instant::now();
    while delivered.iter().any(|at| at.load(Ordering::Acquire) == 0) {
        assert!(done.elapsed() < PATIENCE, "every event is delivered");
        std::thread::sleep(Duration::from_millis(1));
    }
    let micros = |to: u64, from: Duration| (to as f64 - from.as_nanos() as f64).max(0.0) / 1e3;
    let arrived = delivered.iter().map(|at| at.load(Ordering::Acquire));
    let mut from_ack = Vec::new();
    let mut from_call = Vec::new();
    for (at, (asked, acknowledged)) in arrived.zip(times) {
        from_ack.push(micros(at, acknowledged));
        from_call.push(micros(at, asked));
    }
    [quantile(&mut from_ack, 0.5), quantile(&mut from_ack, 0.99), quantile(&mut from_call, 0.5)]
}
