//! W12: what ten thousand followers of quiet sessions cost the appends of a busy one.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Figure, Job, figure};
use crate::peers::{POLLS, Peer};

const FOLLOWERS: u64 = 10_000;
const APPENDS: u64 = 2_000;
const LIMIT: Duration = Duration::from_secs(5);
const BUSY: u64 = 0;
const FIRST_QUIET: u64 = 1;

/// Microseconds for one append, and how many there were.
fn busy(peer: &dyn Peer, job: &Job) -> (f64, u64) {
    let payloads = job.payloads();
    let start = Instant::now();
    let mut done = 0;
    while done < job.count(APPENDS) && start.elapsed() < LIMIT {
        peer.append(BUSY, payloads.draft(done));
        done += 1;
    }
    (start.elapsed().as_secs_f64() * 1e6 / done as f64, done)
}

pub fn w12(job: &Job) -> Vec<Figure> {
    let (_, peer) = job.fresh();
    let followers = job.count(FOLLOWERS);
    // A peer whose follower is a thread of its own has no such number of them.
    if job.peer == "umadb" || !peer.clone().follow(FIRST_QUIET, Box::new(|_| {})) {
        return Vec::new();
    }
    let (alone, _) = busy(&*peer, job);
    for session in 1..followers {
        peer.clone().follow(FIRST_QUIET + session, Box::new(|_| {}));
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = POLLS.load(Ordering::Relaxed);
    let (crowded, appends) = busy(&*peer, job);
    std::thread::sleep(Duration::from_millis(200));
    let polls = POLLS.load(Ordering::Relaxed) - before;
    vec![
        figure("W12", crowded, "µs"),
        figure("W12-alone", alone, "µs"),
        figure("W12-wakes", polls as f64 / appends as f64, "/append"),
    ]
}
