//! The thread of a client's engine: it reads what the owner says, and writes what the socket did not take at once.

use std::io;
use std::time::{Duration, Instant};

use super::calls::Answered;
use super::hello::Lost;
use super::link::Link;
use super::listen::hear_what_is_there;
use crate::engine::on_path::OnPath;
use crate::engine::shared::peer::Reach;
use crate::limits::{REMOTE_PING_MS, SHARED_LAST_WORDS_MS};
use crate::sync::lock;

/// Until the owner is gone, or the last handle is.
pub(super) async fn run(link: &Link) {
    // What the owner has said comes first: whether it is silent or gone is looked at after that.
    let ended = tokio::select! {
        biased;
        ended = link.hear() => ended,
        ended = write_on(link) => ended,
        () = watch_over(link) => Err(io::Error::other("its process has ended")),
        () = keep_up(link) => return,
        () = link.hung_up.notified() => return,
    };
    if let Err(e) = ended {
        tracing::debug!(owner = link.owner.pid, error = %e, "the owner of the store is gone");
    }
    link.lose(Lost::Gone);
}

async fn write_on(link: &Link) -> io::Result<()> {
    loop {
        link.blocked.notified().await;
        let writable = link.stream().writable().await;
        if let Err(e) = writable.and_then(|()| link.write_on()) {
            // It has hung up, but not before it answered: that is read to its end.
            tokio::time::sleep(Duration::from_millis(SHARED_LAST_WORDS_MS)).await;
            return Err(e);
        }
    }
}

/// Says now and then that it lives, and has the owner say the same: what lies between them may be gone, and nobody says so. Never
/// ends.
async fn keep_up(link: &Link) {
    if link.reach == Reach::Local {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(Duration::from_millis(REMOTE_PING_MS)).await;
        link.ping();
    }
}

/// Ends calls that have waited for too long; returns when the process of the owner has ended and nobody has said so, as
/// when a child that it forked still holds its end of the socket.
async fn watch_over(link: &Link) {
    let owner = link.stream().peer();
    let mut calls = 0;
    loop {
        let in_use = {
            let table = lock(&link.table);
            // Between two calls of many nobody waits either. A long sleep could not be told from a process that was stopped.
            table.is_waiting() || std::mem::replace(&mut calls, table.begun()) != table.begun()
        };
        let (begun, moment) = (Instant::now(), look_every(link.wait, in_use));
        tokio::time::sleep(moment).await;
        if begun.elapsed() >= moment + link.wait / 2 {
            // This process was stopped, or had no turn for long: that time is not the owner's.
            lock(&link.table).heard();
        }
        // If it was this process that was stopped, the owner's answers lie in the socket: they are heard first.
        tokio::task::yield_now().await;
        let is_silent = lock(&link.table).silence() >= link.wait;
        if is_silent {
            // The turn to read may be a caller's, which goes on no sooner than this.
            hear_what_is_there(link);
        }
        let (silence, expired) = {
            let mut table = lock(&link.table);
            table.look_again();
            (table.silence(), table.expire(link.wait, |call| link.take_back(call)))
        };
        {
            let _path = OnPath::enter();
            expired.into_iter().for_each(Answered::deliver);
            link.rouse();
        }
        if silence >= link.wait && owner.is_some_and(has_ended) {
            return;
        }
    }
}

/// How often it is looked whether the owner still says something.
fn look_every(wait: Duration, in_use: bool) -> Duration {
    (if in_use { wait / 4 } else { wait }).max(Duration::from_millis(1))
}

fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return false };
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}
