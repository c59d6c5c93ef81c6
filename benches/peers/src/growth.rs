//! What appending, opening and reading cost in stores of different sizes.

use std::process::Stdio;

use crate::driver::folder;
use crate::options::Options;
use crate::peers::{ALONE, open};
use crate::plot::{Line, plot};
use crate::report::parse;
use crate::work::{Job, figure, fill_sessions, last_of_random, scattered, shared, single};

const SIZES: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// Events of one session.
const EACH: u64 = 20;
const SINGLE: u64 = 4_000;
const SHARED: u64 = 60_000;
const READS: u64 = 20_000;
const OPENINGS: usize = 5;

const WORK: [(&str, &str); 5] = [
    ("W1", "single append, 1 producer (µs)"),
    ("W2", "append, 64 producers (µs)"),
    ("W10", "append, 64 producers, scattered (µs)"),
    ("W7", "open (µs)"),
    ("W9", "last 20 of a random session (µs)"),
];

/// Fills a store of every size, each in a process of its own, measures it in another, and draws the plot.
pub fn growth(options: &Options) {
    let root = folder(options);
    let sizes = &SIZES[..if options.ten_million { 4 } else { 3 }];
    let mut lines: Vec<Line> = WORK.iter().map(|(_, name)| Line { name, points: Vec::new() }).collect();
    for size in sizes {
        let events = ((*size as f64 * options.scale) as u64).max(EACH);
        let dir = root.path().join(size.to_string());
        let job = Job { work: events.to_string(), dir, ..options.job() };
        std::fs::create_dir_all(&job.dir).unwrap();
        for step in ["fill", "measure"] {
            let output = job.child("grown", &format!("{step},{events}")).stderr(Stdio::inherit()).output();
            for (_, figure) in String::from_utf8_lossy(&output.unwrap().stdout).lines().filter_map(parse) {
                println!("{events} events: {} {:.1} {}", figure.work, figure.value, figure.unit);
                if let Some(at) = WORK.iter().position(|(work, _)| *work == figure.work) {
                    lines[at].points.push((events as f64, figure.value));
                }
            }
        }
        std::fs::remove_dir_all(&job.dir).unwrap();
    }
    std::fs::write(&options.out, plot("Cost against the size of the store", "events", "µs", &lines)).unwrap();
}

/// The child: `--work fill,EVENTS` or `--work measure,EVENTS`.
pub fn grown(options: &Options) {
    let job = options.job();
    let payloads = job.payloads();
    let events: u64 = options.works.last().and_then(|n| n.parse().ok()).unwrap_or_default();
    let sessions = (events / EACH).max(1);
    if job.work == "fill" {
        let peer = open(&job.peer, &job.dir);
        fill_sessions(&*peer, &payloads, sessions);
        peer.append(ALONE, payloads.draft(0));
        peer.close();
        return;
    }
    let tell = |work: &str, micros: f64| println!("{}", figure(work, micros, "µs").line(&job.peer));
    let mut openings: Vec<f64> = (0..OPENINGS)
        .map(|_| {
            let start = std::time::Instant::now();
            let peer = open(&job.peer, &job.dir);
            peer.last(ALONE, 1, &mut |_| {});
            let took = start.elapsed().as_secs_f64() * 1e6;
            peer.close();
            took
        })
        .collect();
    tell("W7", crate::measure::median(&mut openings));
    let peer = open(&job.peer, &job.dir);
    tell("W9", 1e6 / last_of_random(&*peer, sessions, READS));
    tell("W1", 1e6 / single(&*peer, &payloads, SINGLE));
    tell("W2", 1e6 / shared(&*peer, &payloads, SHARED).rate);
    tell("W10", 1e6 / scattered(&*peer, &payloads, SHARED, sessions).rate);
    peer.close();
}
