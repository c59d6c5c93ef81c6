//! The peers, one file each, behind one trait.

mod aios;
mod fjall;
mod lago;
mod plain_file;
mod redb;
mod retold;
mod sqlite;
mod umadb;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::{Draft, Envelope};

/// What is done with each event that is read.
pub type Take<'a> = &'a mut dyn FnMut(Envelope<'_>);
/// What is done with the sequence of each event that is delivered.
pub type Deliver = Box<dyn FnMut(u64) + Send>;

/// One store. An append returns when it is durable (but for aios, which does not sync).
pub trait Peer: Send + Sync {
    fn append(&self, session: u64, draft: Draft);
    /// One batch: all or nothing where the peer can.
    fn append_many(&self, session: u64, drafts: Vec<Draft>);
    /// The last sequence of a session; 0 when there is none.
    fn head(&self, session: u64) -> u64;
    /// All of a session, oldest first.
    fn replay(&self, session: u64, take: Take<'_>);
    /// The last so many events of a session, in either order.
    fn last(&self, session: u64, count: u64, take: Take<'_>);
    /// What comes after a sequence.
    fn after(&self, session: u64, sequence: u64, take: Take<'_>);

    /// Follows a session on a task or thread of the peer's own, if the peer offers that.
    fn follow(self: Arc<Self>, _session: u64, _deliver: Deliver) -> bool {
        false
    }

    /// The same on a thread that blocks, where the peer offers that too.
    fn follow_in_thread(self: Arc<Self>, session: u64, deliver: Deliver) -> bool {
        self.follow(session, deliver)
    }

    /// Begins a branch at a sequence, if the peer offers that.
    fn fork(&self, _session: u64, _at: u64, _name: u64) -> bool {
        false
    }

    fn replay_fork(&self, _session: u64, _name: u64, _take: Take<'_>) {}

    /// What it reads are views into a buffer of its own: to keep an event is to copy it.
    fn gives_views(&self) -> bool {
        true
    }

    fn close(&self) {}
}

/// The session of the long replay, which has its store to itself.
pub const ALONE: u64 = 1_000_000;

/// Every peer, in the order of the table.
pub const NAMES: [&str; 10] = [
    "retold",
    "redb-own",
    "redb-group",
    "sqlite-own",
    "sqlite-group",
    "fjall-group",
    "umadb",
    "lago",
    "aios",
    "file",
];

/// Opens a store of this peer in a folder that exists, making it when it is not there.
pub fn open(name: &str, dir: &Path) -> Arc<dyn Peer> {
    match name {
        "retold" => Arc::new(retold::Retold::open(dir)),
        "redb-own" => Arc::new(redb::Own::open(dir)),
        "redb-group" => Arc::new(redb::Grouped::open(dir)),
        "sqlite-own" => Arc::new(sqlite::Own::open(dir)),
        "sqlite-group" => Arc::new(sqlite::Grouped::open(dir)),
        "fjall-group" => Arc::new(fjall::Grouped::open(dir)),
        "umadb" => Arc::new(umadb::Uma::open(dir)),
        "lago" => Arc::new(lago::Lago::open(dir)),
        "aios" => Arc::new(aios::Aios::open(dir)),
        "file" => Arc::new(plain_file::Grouped::open(dir)),
        other => panic!("no peer is called {other}; there are {}", NAMES.join(" ")),
    }
}

/// How often the tasks of followers were polled.
pub static POLLS: AtomicU64 = AtomicU64::new(0);

/// Counts the polls of a future.
async fn counted<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        POLLS.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}
