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
use crate::sync::lock;

/// Until the owner is gone, or the last handle is.
pub(super) async fn run(link: &Link, inbox: &mut Inbox) {
    let ended = tokio::select! {
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
    loop {
        match inbox.next().map_err(bad)? {
            Incoming::Message { call: 0, body } => match noticed(&body) {
                Noticed::Leaving => link.lose(Lost::Leaving),
                other => link.told.hear(other),
            },
            Incoming::Message { call, body } => {
                let last = is_last(&body);
                let answered = lock(&link.table).answer(call, body, last);
                let _path = OnPath::enter();
                answered.into_iter().for_each(Answered::deliver);
            }
            Incoming::Begins { .. } => {}
            Incoming::More => {
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
        link.stream().writable().await?;
        link.write_on()?;
    }
}

/// Ends calls that have waited for too long; returns when the process of the owner has ended and nobody has said so, as
/// when a child that it forked still holds its end of the socket.
async fn watch_over(link: &Link) {
    loop {
        let waiting = lock(&link.table).is_waiting();
        tokio::time::sleep(look_every(link.wait, waiting)).await;
        let (silence, expired) = {
            let mut table = lock(&link.table);
            (table.silence(), table.expire(link.wait, |call| link.take_back(call)))
        };
        {
            let _path = OnPath::enter();
            expired.into_iter().for_each(Answered::deliver);
        }
        if silence >= link.wait && has_ended(link.owner.pid) {
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
