//! W3, W4, W6, W8: a million events of one session, written in batches and read back.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use super::{Figure, Job, close, count, figure};
use crate::measure::{disk, drop_page_cache, peak_memory};
use crate::peers::{ALONE, Peer, open};
use crate::report::parse;

const EVENTS: u64 = 1_000_000;
const BATCH: u64 = 1_000;

/// What the writer measured beside its rate, for the work that asks for it.
const NOTED: &str = "noted.json";

fn folder(job: &Job) -> PathBuf {
    job.dir.join("bulk")
}

/// Appends batches until the session has so many events.
pub fn write(peer: &dyn Peer, job: &Job, events: u64) {
    let payloads = job.payloads();
    for start in (0..events).step_by(BATCH as usize) {
        peer.append_many(ALONE, payloads.drafts(start..events.min(start + BATCH)));
    }
}

pub fn w3(job: &Job) -> Vec<Figure> {
    let events = job.count(EVENTS);
    let dir = job.empty("bulk");
    let peer = open(&job.peer, &dir);
    let start = Instant::now();
    write(&*peer, job, events);
    let rate = events as f64 / start.elapsed().as_secs_f64();
    let peak = peak_memory() as f64 / 1e6;
    assert_eq!(count(&*peer, ALONE), events, "every event is read back");
    close(peer);
    let disk = disk(&dir);
    let noted = [
        figure("W6", disk.allocated as f64 / events as f64, "B"),
        figure("W6-apparent", disk.apparent as f64 / events as f64, "B"),
        figure("W8", peak, "MB"),
    ];
    let lines: String = noted.iter().map(|f| f.line(&job.peer) + "\n").collect();
    std::fs::write(job.dir.join(NOTED), lines).unwrap();
    vec![figure("W3", rate, "ops/s")]
}

/// The folder of a store that was written by another process, which closed it.
pub fn filled(job: &Job) -> PathBuf {
    if !job.dir.join(NOTED).exists() {
        let status = job.child("run", "W3").stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "the events cannot be written");
    }
    folder(job)
}

fn noted(job: &Job, work: &str) -> Vec<Figure> {
    filled(job);
    let lines = std::fs::read_to_string(job.dir.join(NOTED)).unwrap();
    let figures = lines.lines().filter_map(parse).map(|(_, figure)| figure);
    figures.filter(|figure| figure.work.split('-').next() == Some(work)).collect()
}

pub fn w6(job: &Job) -> Vec<Figure> {
    noted(job, "W6")
}

pub fn w8(job: &Job) -> Vec<Figure> {
    noted(job, "W8")
}

fn pass(peer: &dyn Peer, expected: u64) -> f64 {
    let start = Instant::now();
    let (mut events, mut bytes) = (0u64, 0usize);
    peer.replay(ALONE, &mut |event| {
        events += 1;
        bytes += event.data.len() + event.kind.len() + event.source.len();
        std::hint::black_box((event.id, event.occurred));
    });
    std::hint::black_box(bytes);
    assert!(events >= expected, "every event is read");
    events as f64 / start.elapsed().as_secs_f64()
}

pub fn w4(job: &Job) -> Vec<Figure> {
    let events = job.count(EVENTS);
    let peer = open(&job.peer, &filled(job));
    let mut figures =
        vec![figure("W4", pass(&*peer, events), "ops/s"), figure("W4-second", pass(&*peer, events), "ops/s")];
    close(peer);
    let child = job.child("run", "W4-cold").stderr(Stdio::inherit()).output().unwrap();
    let lines = String::from_utf8_lossy(&child.stdout).into_owned();
    figures.extend(lines.lines().filter_map(parse).map(|(_, figure)| figure));
    figures
}

pub fn w4_cold(job: &Job) -> Vec<Figure> {
    let dir = filled(job);
    drop_page_cache(&dir);
    let peer = open(&job.peer, &dir);
    let rate = pass(&*peer, job.count(EVENTS));
    close(peer);
    vec![figure("W4-cold", rate, "ops/s")]
}
