//! Everything in turns: a round is every work, a work is every peer, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::options::Options;
use crate::quiet::Watch;
use crate::report::{Results, parse};
use crate::work::{Figure, Job, NAMES};

/// A folder for the stores, on the disk on which this program lies: a temporary folder may be memory.
pub fn folder(options: &Options) -> tempfile::TempDir {
    let beside = std::env::current_exe().unwrap();
    let parent: PathBuf = options.dir.clone().unwrap_or_else(|| beside.parent().unwrap().to_owned());
    std::fs::create_dir_all(&parent).unwrap();
    tempfile::Builder::new().prefix("peers-").tempdir_in(parent).unwrap()
}

pub fn all(options: &Options) {
    let works: Vec<&str> =
        NAMES.into_iter().filter(|name| options.works.iter().any(|work| work == name)).collect();
    let root = folder(options);
    let mut results = Results::default();
    let mut watch = Watch::new();
    for round in 0..options.rounds {
        for work in &works {
            // Who begins changes from round to round.
            let mut peers = options.peers.clone();
            let turns = round % peers.len().max(1);
            peers.rotate_left(turns);
            for peer in &peers {
                eprintln!("round {} of {}: {work} {peer}", round + 1, options.rounds);
                let dir = root.path().join(peer);
                for attempt in 1.. {
                    std::fs::create_dir_all(&dir).unwrap();
                    watch.begin(root.path());
                    let figures = one(options, &dir, work, peer);
                    match watch.end(root.path()) {
                        Some(reason) if attempt <= options.patience => {
                            eprintln!("  again: {reason}");
                            std::thread::sleep(Duration::from_secs(attempt as u64));
                        }
                        disturbed => {
                            disturbed.inspect(|reason| eprintln!("  kept all the same: {reason}"));
                            figures.iter().for_each(|(peer, figure)| results.add(peer, figure));
                            break;
                        }
                    }
                }
            }
        }
        for peer in &options.peers {
            let _ = std::fs::remove_dir_all(root.path().join(peer));
        }
    }
    match options.json {
        true => print!("{}", results.lines()),
        false => print!("{}", results.table(&options.peers)),
    }
}

fn one(options: &Options, dir: &Path, work: &str, peer: &str) -> Vec<(String, Figure)> {
    let job = Job {
        work: work.into(),
        peer: peer.into(),
        dir: dir.to_owned(),
        scale: options.scale,
        mix: options.mix,
    };
    let output = job.child("run", work).stderr(Stdio::inherit()).output().unwrap();
    if !output.status.success() {
        eprintln!("{work} of {peer} failed: {}", output.status);
    }
    let own = dir.join(work);
    if own.exists() {
        std::fs::remove_dir_all(own).unwrap();
    }
    String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect()
}
