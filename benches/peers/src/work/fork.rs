//! W11: a branch at the middle of 100,000 events, and reading it. A peer without branches copies.

use std::time::Instant;

use super::{Figure, Job, close, figure};
use crate::event::Draft;
use crate::measure::median;
use crate::peers::Peer;

const EVENTS: u64 = 100_000;
const BATCH: usize = 1_000;
const FORKS: u64 = 20;
const PASSES: u64 = 5;
const SESSION: u64 = 1;
const COPY: u64 = 2;

fn copy(peer: &dyn Peer, at: u64) {
    let mut drafts = Vec::new();
    peer.replay(SESSION, &mut |event| {
        if (drafts.len() as u64) < at {
            drafts.push(Draft { data: String::from_utf8_lossy(event.data).into_owned() });
        }
    });
    // The payloads of lago and aios are trees of values, of which only a text was shown.
    for draft in &mut drafts {
        if !draft.data.starts_with('{') {
            draft.data = format!("{{\"text\":\"{}\"}}", draft.data);
        }
    }
    let mut drafts = drafts.into_iter().peekable();
    while drafts.peek().is_some() {
        peer.append_many(COPY, drafts.by_ref().take(BATCH).collect());
    }
}

fn read(peer: &dyn Peer, forked: bool, name: u64) -> u64 {
    let mut events = 0;
    let mut take = |event: crate::event::Envelope<'_>| {
        std::hint::black_box(event.data.len());
        events += 1;
    };
    match forked {
        true => peer.replay_fork(SESSION, name, &mut take),
        false => peer.replay(COPY, &mut take),
    }
    events
}

pub fn w11(job: &Job) -> Vec<Figure> {
    let (_, peer) = job.fresh();
    let events = job.count(EVENTS);
    let payloads = job.payloads();
    for start in (0..events).step_by(BATCH) {
        peer.append_many(SESSION, payloads.drafts(start..events.min(start + BATCH as u64)));
    }
    let middle = events / 2;
    let mut times = Vec::new();
    let mut forked = false;
    for name in 0..FORKS {
        let start = Instant::now();
        forked = peer.fork(SESSION, middle, name);
        if !forked {
            copy(&*peer, middle);
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if !forked {
            break;
        }
    }
    let mut rates = Vec::new();
    for pass in 0..PASSES {
        let start = Instant::now();
        assert_eq!(read(&*peer, forked, pass), middle, "the branch has what it inherits");
        rates.push(middle as f64 / start.elapsed().as_secs_f64());
    }
    close(peer);
    vec![figure("W11", median(&mut times), "ms"), figure("W11-read", median(&mut rates), "ops/s")]
}
