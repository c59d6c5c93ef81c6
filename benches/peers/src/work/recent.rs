//! W9: the last 20 events of random sessions, of 10,000 with 20 each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Figure, Job, close, figure};
use crate::event::Dice;
use crate::payload::Payloads;
use crate::peers::{Peer, open};

const SESSIONS: u64 = 10_000;
const ROUNDS: u64 = 4;
const EVENTS_A_ROUND: u64 = 5;
const PRODUCERS: u64 = 16;
const READS: u64 = 40_000;
const LIMIT: Duration = Duration::from_secs(5);

/// Writes all sessions in turns: five events to each, then the next five.
pub fn fill_sessions(peer: &dyn Peer, payloads: &Payloads, sessions: u64) {
    for round in 0..ROUNDS {
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..PRODUCERS {
                scope.spawn(|| {
                    loop {
                        let session = next.fetch_add(1, Ordering::Relaxed);
                        if session >= sessions {
                            return;
                        }
                        let first = (round * sessions + session) * EVENTS_A_ROUND;
                        peer.append_many(session, payloads.drafts(first..first + EVENTS_A_ROUND));
                    }
                });
            }
        });
    }
}

/// Reads per second.
pub fn last_of_random(peer: &dyn Peer, sessions: u64, reads: u64) -> f64 {
    let mut dice = Dice::new(9);
    let read = |dice: &mut Dice| {
        let mut events = 0;
        peer.last(dice.below(sessions), ROUNDS * EVENTS_A_ROUND, &mut |event| {
            events += 1;
            std::hint::black_box(event.data.len());
        });
        assert_eq!(events, ROUNDS * EVENTS_A_ROUND, "every event is read");
    };
    let warm = Instant::now();
    for _ in 0..reads / 4 {
        read(&mut dice);
        if warm.elapsed() > LIMIT / 4 {
            break;
        }
    }
    let start = Instant::now();
    let mut done = 0;
    while done < reads && start.elapsed() < LIMIT {
        read(&mut dice);
        done += 1;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

pub fn w9(job: &Job) -> Vec<Figure> {
    let (dir, peer) = job.fresh();
    let sessions = job.count(SESSIONS);
    fill_sessions(&*peer, &job.payloads(), sessions);
    close(peer);
    let peer = open(&job.peer, &dir);
    let rate = last_of_random(&*peer, sessions, job.count(READS));
    close(peer);
    vec![figure("W9", rate, "ops/s")]
}
