//! The work, each in a process of its own.

mod appends;
mod bulk;
mod followers;
mod fork;
mod latency;
mod recent;
mod reopen;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::payload::{Mix, Payloads};
use crate::peers::{Peer, open};

pub use appends::{scattered, shared, single};
pub use recent::{fill_sessions, last_of_random};
pub use reopen::crash;

/// The work in the order in which it is done: what writes a million events comes before what reads them, and what
/// adds to them after that.
pub const NAMES: [&str; 12] = ["W1", "W2", "W10", "W5", "W3", "W8", "W6", "W4", "W7", "W9", "W11", "W12"];

/// One work on one peer.
#[derive(Clone)]
pub struct Job {
    pub work: String,
    pub peer: String,
    /// What work of the same peer may share: the store with the million events.
    pub dir: PathBuf,
    pub scale: f64,
    pub mix: Mix,
}

pub struct Figure {
    pub work: String,
    pub value: f64,
    pub unit: String,
}

pub fn figure(work: &str, value: f64, unit: &str) -> Figure {
    Figure { work: work.into(), value, unit: unit.into() }
}

impl Job {
    /// A number of things to do, made smaller by the scale.
    pub fn count(&self, full: u64) -> u64 {
        ((full as f64 * self.scale) as u64).max(1)
    }

    pub fn payloads(&self) -> Payloads {
        Payloads::new(self.mix)
    }

    /// A store in an empty folder of its own.
    fn fresh(&self) -> (PathBuf, Arc<dyn Peer>) {
        let dir = self.empty(&self.work);
        let peer = open(&self.peer, &dir);
        (dir, peer)
    }

    fn empty(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// This program, to do other work on the same peer and folder.
    pub fn child(&self, command: &str, work: &str) -> Command {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([command, "--work", work, "--peer", &self.peer, "--dir"]).arg(&self.dir);
        child.args(["--scale", &self.scale.to_string(), "--payload", self.mix.name()]);
        child
    }
}

/// Does one work and says what it measured. Panics where a peer does not give back what it acknowledged.
pub fn run(job: &Job) -> Vec<Figure> {
    match job.work.as_str() {
        "W1" => appends::w1(job),
        "W2" => appends::w2(job),
        "W3" => bulk::w3(job),
        "W4" => bulk::w4(job),
        "W4-cold" => bulk::w4_cold(job),
        "W5" => latency::w5(job),
        "W6" => bulk::w6(job),
        "W7" => reopen::w7(job),
        "W8" => bulk::w8(job),
        "W9" => recent::w9(job),
        "W10" => appends::w10(job),
        "W11" => fork::w11(job),
        "W12" => followers::w12(job),
        other => panic!("no work is called {other}; there are W1 to W12"),
    }
}

fn close(peer: Arc<dyn Peer>) {
    peer.close();
    drop(peer);
}

fn count(peer: &dyn Peer, session: u64) -> u64 {
    let mut count = 0;
    peer.replay(session, &mut |event| {
        assert!(!event.data.is_empty());
        count += 1;
    });
    count
}
