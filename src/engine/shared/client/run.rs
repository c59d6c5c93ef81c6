//! The thread of a client's engine: it reads what the owner says, and writes what the socket did not take at once.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::calls::Answered;
use super::hello::Lost;
use super::link::Link;
use crate::codec::link::SentAnswer;
use crate::engine::on_path::OnPath;
use crate::engine::shared::frame::{Inbox, Incoming, receive};
use crate::engine::shared::message::{Noticed, noticed};
use crate::limits::{SHARED_LAST_WORDS_MS, SHARED_READS_IN_A_ROW};
use crate::sync::lock;

/// Until the owner is gone, or the last handle is.
pub(super) async fn run(link: &Link, inbox: &mut Inbox) {
    // What the owner has said comes first: whether it is silent or gone is looked at after that.
    let ended = tokio::select! {
        biased;
        ended = hear(link, inbox) => ended,
        ended = write_on(link) => ended,
        () = watch_over(link) => Err(io::Error::other("its process has ended")),
        () = link.hung_up.notified() => return,
    };
    if let Err(e) = ended {
        tracing::debug!(owner = link.owner.pid, error = %e, "the owner of the store is gone");
    }
    link.lose(Lost::Gone);
}

async fn hear(link: &Link, inbox: &mut Inbox) -> io::Result<()> {
    let bad = |e| io::Error::new(io::ErrorKind::InvalidData, e);
    let mut reads = 0_u64;
    loop {
        match inbox.next().map_err(bad)? {
            Incoming::Message { call: 0, body } => match noticed(&body) {
                Noticed::Leaving => link.lose(Lost::Leaving),
                other => link.told.hear(other),
            },
            Incoming::Message { call, body } => {
                let last = is_last(&body);
                let answered = link.answer(call, body, last);
                let _path = OnPath::enter();
                answered.into_iter().for_each(Answered::deliver);
            }
            Incoming::Begins { .. } => {}
            Incoming::More => {
                link.rouse();
                reads += 1;
                if reads.is_multiple_of(SHARED_READS_IN_A_ROW) {
                    // An owner that never pauses leaves turns to what is written.
                    tokio::task::yield_now().await;
                }
                receive(link.stream(), inbox).await?;
                lock(&link.table).heard();
            }
        }
    }
}

/// Whether nothing follows an answer.
fn is_last(body: &Bytes) -> bool {
    !SentAnswer::is_progress(body)
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

/// Ends calls that have waited for too long; returns when the process of the owner has ended and nobody has said so, as
/// when a child that it forked still holds its end of the socket.
async fn watch_over(link: &Link) {
    let owner = link.stream().peer();
    loop {
        let waiting = lock(&link.table).is_waiting();
        tokio::time::sleep(look_every(link.wait, waiting)).await;
        // If it was this process that was stopped, the owner's answers lie in the socket: they are heard first.
        tokio::task::yield_now().await;
        let (silence, expired) = {
            let mut table = lock(&link.table);
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
fn look_every(wait: Duration, waiting: bool) -> Duration {
    (if waiting { wait / 4 } else { wait }).max(Duration::from_millis(1))
}

fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return false };
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}
