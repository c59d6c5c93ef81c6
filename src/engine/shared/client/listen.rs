//! Taking in what the owner says. The engine's thread does, or a caller that waits alone: then it need not wait for that thread
//! to wake up first.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::calls::Answered;
use super::hello::Lost;
use super::link::Link;
use crate::codec::link::SentAnswer;
use crate::engine::on_path::OnPath;
use crate::engine::shared::frame::{Inbox, Incoming};
use crate::engine::shared::message::{Noticed, noticed};
use crate::limits::{SHARED_LISTEN_MS, SHARED_READS_IN_A_ROW};
use crate::panics::caught;
use crate::sync::lock;

/// A caller's turn to read, until it is dropped.
pub(super) struct Listener<'a>(&'a Link);

impl<'a> Listener<'a> {
    /// `None` when another reads, or others wait as well: the thread serves them all.
    pub(super) fn take(link: &'a Link) -> Option<Self> {
        let is_alone = link.process.is_this() && lock(&link.table).is_alone();
        if !is_alone || link.listening.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        link.stream().spares_the_thread();
        // Whatever the thread is just taking in is there afterwards.
        drop(lock(&link.listening.inbox));
        Some(Self(link))
    }

    /// Waits for a moment until there is something, and takes it in. `false` when nothing more is to be had this way.
    pub(super) fn listen(&self) -> bool {
        let link = self.0;
        let mut polled = [PollFd::new(link.stream(), PollFlags::IN)];
        // Not for long: who gives this caller up, as nobody answers, does not wake it.
        let Ok(moment) = Timespec::try_from(Duration::from_millis(SHARED_LISTEN_MS)) else { return false };
        match poll(&mut polled, Some(&moment)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        // Who is told of something may panic, and this caller has nothing to do with it.
        match caught(|| read_once(link)) {
            Ok(Ok(read)) => read != Read::End,
            Ok(Err(_)) | Err(_) => {
                link.stream().hang_up();
                false
            }
        }
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let Self(link) = self;
        let listening = &link.listening;
        let deferred = {
            let _inbox = lock(&listening.inbox);
            listening.taken.store(false, Ordering::Release);
            listening.deferred.swap(false, Ordering::AcqRel)
        };
        if link.stream().wakes_the_thread().is_err() {
            link.stream().hang_up();
            link.lose(Lost::Gone);
            link.hung_up.notify_one();
        }
        if deferred {
            listening.released.notify_one();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Some,
    Nothing,
    /// The engine's thread finds it as well, and sees to it.
    End,
}

/// Reads what is in the socket, whoever's turn it is.
fn read_once(link: &Link) -> io::Result<Read> {
    let mut inbox = lock(&link.listening.inbox);
    match inbox.read(|room| Ok(rustix::io::read(link.stream(), room)?)) {
        Ok(0) => Ok(Read::End),
        Ok(_) => {
            lock(&link.table).heard();
            link.take_in(&mut inbox).map(|()| Read::Some)
        }
        Err(e) if passes(&e) => Ok(Read::Nothing),
        Err(e) => Err(e),
    }
}

/// Takes in what is in the socket already, before the owner is taken for silent.
pub(super) fn hear_what_is_there(link: &Link) {
    loop {
        match read_once(link) {
            Ok(Read::Some) => {}
            Ok(_) => return,
            Err(_) => return link.stream().hang_up(),
        }
    }
}

impl Link {
    /// Everything that is whole.
    fn take_in(&self, inbox: &mut Inbox) -> io::Result<()> {
        // Whoever is woken may close the store, which would wait for what is read here.
        let _path = OnPath::enter();
        loop {
            match inbox.next().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
                Incoming::Message { call: 0, body } => match noticed(&body) {
                    Noticed::Leaving => self.lose(Lost::Leaving),
                    other => self.told.hear(other),
                },
                Incoming::Message { call, body } => {
                    let last = !SentAnswer::is_progress(&body);
                    let answered = self.answer(call, body, last);
                    answered.into_iter().for_each(Answered::deliver);
                }
                Incoming::Begins { .. } => {}
                Incoming::More => {
                    self.rouse();
                    return Ok(());
                }
            }
        }
    }

    /// What the engine's thread does, until the owner is gone.
    pub(super) async fn hear(&self) -> io::Result<()> {
        let mut reads = 0_u64;
        self.take_in(&mut lock(&self.listening.inbox))?;
        loop {
            reads += 1;
            if reads.is_multiple_of(SHARED_READS_IN_A_ROW) {
                // An owner that never pauses leaves turns to what is written.
                tokio::task::yield_now().await;
            }
            self.stream().readable().await?;
            if !self.read_in_turn()? {
                self.listening.released.notified().await;
            }
        }
    }

    /// `false` when a caller reads.
    fn read_in_turn(&self) -> io::Result<bool> {
        let mut inbox = lock(&self.listening.inbox);
        if self.listening.taken.load(Ordering::Acquire) {
            self.listening.deferred.store(true, Ordering::Release);
            return Ok(false);
        }
        match inbox.read(|room| self.stream().try_read(room)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                lock(&self.table).heard();
                self.take_in(&mut inbox)?;
            }
            Err(e) if passes(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(true)
    }
}

fn passes(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
