//! W7: opening a million events again, until the last of them is read: after closing, after a kill while idle, after a
//! kill while writing. What was acknowledged has to be there.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::bulk::filled;
use super::{Figure, Job, close, figure};
use crate::peers::{ALONE, open};

const IDLE_APPENDS: u64 = 200;
const IDLE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_millis(700);
const ACKNOWLEDGED: &str = "acknowledged";

/// Milliseconds to open and to read the last event.
pub fn reopen(peer: &str, dir: &Path, at_least: u64) -> f64 {
    let start = Instant::now();
    let peer = open(peer, dir);
    let mut read = 0;
    peer.last(ALONE, 1, &mut |_| read += 1);
    let took = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(read, 1, "the last event is read");
    assert!(peer.head(ALONE) >= at_least, "what was acknowledged is there");
    close(peer);
    took
}

pub fn w7(job: &Job) -> Vec<Figure> {
    let dir = filled(job);
    let closed = reopen(&job.peer, &dir, job.count(1_000_000));
    vec![
        figure("W7", closed, "ms"),
        figure("W7-idle", after_kill(job, &dir, "idle", IDLE), "ms"),
        figure("W7-busy", after_kill(job, &dir, "busy", BUSY), "ms"),
    ]
}

fn after_kill(job: &Job, dir: &Path, how: &str, wait: Duration) -> f64 {
    let mut child = job.child("crash", how).stdout(Stdio::piped()).spawn().unwrap();
    let ready = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let before = ready.filter_map(|line| line.strip_prefix("ready ")?.parse::<u64>().ok()).next();
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged = std::fs::read(job.dir.join(ACKNOWLEDGED)).unwrap();
    let acknowledged = u64::from_le_bytes(acknowledged.try_into().unwrap());
    reopen(&job.peer, dir, before.unwrap() + acknowledged)
}

/// The child: writes, notes what was acknowledged where a kill leaves it, and waits for its end.
pub fn crash(job: &Job) {
    let peer = open(&job.peer, &filled(job));
    let payloads = job.payloads();
    let acknowledged = std::fs::File::create(job.dir.join(ACKNOWLEDGED)).unwrap();
    let before = peer.head(ALONE);
    let mut n = 0;
    let mut append = || {
        peer.append(ALONE, payloads.draft(n));
        n += 1;
        acknowledged.write_all_at(&n.to_le_bytes(), 0).unwrap();
    };
    if job.work == "idle" {
        (0..IDLE_APPENDS).for_each(|_| append());
        println!("ready {before}");
        loop {
            std::thread::park();
        }
    }
    append();
    println!("ready {before}");
    loop {
        append();
    }
}
