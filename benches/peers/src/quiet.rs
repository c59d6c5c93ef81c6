//! Whether others used the machine during a run: then its figures say little, and it is done again.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::measure::median;

const PROBES: usize = 40;
/// A sync that takes so many times the shortest that was seen is a disturbed one.
const SLOW: f64 = 2.5;
/// The part of all processors that others may use.
const OTHERS: f64 = 0.12;
/// Processors are counted in hundredths of a second: of a shorter run that says nothing.
const SHORT: f64 = 0.5;

pub struct Watch {
    best_sync: f64,
    busy: f64,
    own: f64,
    since: Instant,
    slow: Option<f64>,
}

impl Watch {
    pub fn new() -> Self {
        Self { best_sync: f64::MAX, busy: 0.0, own: 0.0, since: Instant::now(), slow: None }
    }

    /// Before a run.
    pub fn begin(&mut self, dir: &Path) {
        // What others left unwritten is not to be written at this one's cost.
        rustix::fs::sync();
        self.slow = self.probe(dir);
        (self.busy, self.own, self.since) = (busy(), children(), Instant::now());
    }

    /// After a run: what disturbed it, if anything.
    pub fn end(&mut self, dir: &Path) -> Option<String> {
        let seconds = self.since.elapsed().as_secs_f64();
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let others = ((busy() - self.busy) - (children() - self.own)) / 100.0 / seconds / processors;
        rustix::fs::sync();
        let slow = self.probe(dir).or(self.slow);
        match (slow, seconds > SHORT && others > OTHERS) {
            (Some(ms), _) => Some(format!("a sync took {ms:.2} ms, {:.2} ms at best", self.best_sync)),
            (_, true) => Some(format!("others used {:.0}% of the processors", others * 100.0)),
            _ => None,
        }
    }

    /// Milliseconds of a small write and its sync, when they are many.
    fn probe(&mut self, dir: &Path) -> Option<f64> {
        let path = dir.join("probe");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut times: Vec<f64> = (0..PROBES)
            .map(|_| {
                let start = Instant::now();
                file.write_all(&[1; 4_096]).unwrap();
                file.sync_data().unwrap();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        std::fs::remove_file(path).unwrap();
        let sync = median(&mut times);
        self.best_sync = self.best_sync.min(sync);
        (sync > SLOW * self.best_sync).then_some(sync)
    }
}

/// Hundredths of a second that all processors worked.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<f64> = stat.lines().next().unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
    // user, nice, system, (idle, waiting), interrupts, steal
    fields.iter().enumerate().filter(|(at, _)| ![3, 4].contains(at) && *at < 8).map(|(_, f)| f).sum()
}

/// Hundredths of a second that the children that ended have worked.
fn children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<f64> = after_name.split(' ').map(|f| f.parse().unwrap_or_default()).collect();
    // Fields 16 and 17 of the file; the name is the second.
    fields[14] + fields[15]
}
