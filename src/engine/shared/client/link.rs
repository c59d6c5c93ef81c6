//! The connection to an owner, as its handles and its thread share it.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::calls::{Answered, CallTable, Waiting, wake};
use super::hello::{Lost, OwnerInfo};
use super::line::Line;
use super::listening::Listening;
use super::queue::Caller;
use super::tell::Told;
use crate::engine::on_path::OnPath;
use crate::engine::process::Process;
use crate::engine::shared::frame::{Flight, Flown, Outbox};
use crate::engine::shared::peer::Reach;
use crate::sync::{Condvar, Mutex, lock};

/// Where a message stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// After the commits before it.
    InOrder,
    /// As soon as possible.
    Soon,
}

#[derive(Debug, Default)]
struct Sending {
    outbox: Outbox,
    flight: Flight,
    /// The socket takes nothing, and the thread waits until it does.
    blocked: bool,
    /// Why nothing can be written any more.
    broken: Option<io::ErrorKind>,
}

type OnLost = Box<dyn FnOnce(Lost) + Send>;

pub(super) struct Link {
    pub(super) process: Process,
    pub(super) owner: OwnerInfo,
    pub(super) wait: Duration,
    pub(super) reach: Reach,
    pub(super) told: Told,
    stream: Line,
    sending: Mutex<Sending>,
    pub(super) listening: Listening,
    pub(super) table: Mutex<CallTable>,
    on_lost: Mutex<Vec<OnLost>>,
    /// The engine was closed, and no commit is under way any more.
    settled: Condvar,
    /// The socket took nothing more.
    pub(super) blocked: Notify,
    /// The last handle is gone.
    pub(super) hung_up: Notify,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(
        stream: Line,
        owner: OwnerInfo,
        (wait, reach): (Duration, Reach),
        committed: u64,
    ) -> Self {
        Self {
            process: Process::this(),
            owner,
            wait,
            reach,
            told: Told::new(committed),
            stream,
            sending: Mutex::default(),
            listening: Listening::default(),
            table: Mutex::new(CallTable::new()),
            on_lost: Mutex::default(),
            settled: Condvar::new(),
            blocked: Notify::new(),
            hung_up: Notify::new(),
        }
    }

    pub(super) fn stream(&self) -> &Line {
        &self.stream
    }

    #[cfg(test)]
    pub(super) fn lost(&self) -> Option<Lost> {
        lock(&self.table).lost()
    }

    /// Begins a call at once and sends its message, which `message` makes for its number. `None` when nobody would answer.
    pub(super) fn call(
        &self,
        waiting: impl FnOnce() -> Waiting,
        message: impl FnOnce(u64) -> Vec<u8>,
        turn: Turn,
    ) -> Option<u64> {
        let call = lock(&self.table).begin_at_once(waiting)?;
        if self.send(call, message(call), turn) {
            return Some(call);
        }
        self.forget(call);
        None
    }

    /// Sends the message of a call; `false` when nothing of it will be sent.
    ///
    /// What the socket takes at once is written by the calling thread; the link's own thread does the rest.
    pub(super) fn send(&self, call: u64, message: Vec<u8>, turn: Turn) -> bool {
        let mut sending = lock(&self.sending);
        let taken = match turn {
            Turn::InOrder => sending.outbox.send_in_order(call, message.into()),
            Turn::Soon => sending.outbox.send(call, message.into()),
        };
        if taken && !sending.blocked {
            self.write(&mut sending);
        }
        taken
    }

    /// Forgets a call that nobody waits for any more.
    pub(super) fn forget(&self, call: u64) {
        self.change(|table| table.forget(call));
    }

    /// Gives up waiting for room.
    pub(super) fn leave(&self, caller: &mut Caller) {
        self.change(|table| table.leave(caller));
    }

    /// Takes the answer to a call. Whoever waits for what is over now is not woken yet.
    pub(super) fn answer(&self, call: u64, message: Bytes, last: bool) -> Option<Answered> {
        lock(&self.table).answer(call, message, last)
    }

    /// Wakes whoever waits for what is over now: for room, or for all commits.
    pub(super) fn rouse(&self) {
        self.change(|_| ());
    }

    fn change(&self, change: impl FnOnce(&mut CallTable)) {
        let woken = {
            let mut table = lock(&self.table);
            change(&mut table);
            if table.is_settled() {
                self.settled.notify_all();
            }
            table.woken()
        };
        wake(woken);
    }

    /// No commit begins any more. Waits until none is under way; blocks.
    pub(super) fn settle(&self) {
        self.change(CallTable::close);
        let mut table = lock(&self.table);
        while !table.is_settled() {
            table = self.settled.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what waits, as far as the socket takes it. The thread sees to the rest, and to errors.
    fn write(&self, sending: &mut Sending) {
        sending.blocked = match fly(&self.stream, sending) {
            Ok(Flown::All) => {
                if sending.outbox.is_ended() {
                    // The owner knows that it has heard everything.
                    self.stream.end_writing();
                }
                false
            }
            Ok(Flown::Blocked) => {
                self.blocked.notify_one();
                true
            }
            Err(e) => {
                sending.broken = Some(e.kind());
                sending.outbox.end();
                self.blocked.notify_one();
                true
            }
        };
    }

    /// The socket takes more.
    pub(super) fn write_on(&self) -> io::Result<()> {
        let mut sending = lock(&self.sending);
        if sending.broken.is_none() {
            self.write(&mut sending);
        }
        sending.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Sends what waits and takes nothing more: whoever is about to send something is told that it was not.
    fn end_sending(&self) {
        let mut sending = lock(&self.sending);
        sending.outbox.end();
        if !sending.blocked {
            self.write(&mut sending);
        }
    }

    /// Takes back the message of a call of which nothing was sent.
    pub(super) fn take_back(&self, call: u64) -> bool {
        lock(&self.sending).outbox.take_back(call)
    }

    /// Whether nothing of a call was sent, when nothing more will be.
    fn is_unsent(&self, call: u64) -> bool {
        let mut sending = lock(&self.sending);
        let sending = &mut *sending;
        sending.outbox.take_back(call) || (sending.flight.is_untouched() && sending.outbox.has_boarded(call))
    }

    /// The owner leaves, or is gone: then every call ends.
    pub(super) fn lose(&self, lost: Lost) {
        let _path = OnPath::enter();
        self.end_sending();
        let (first, ended) = {
            let mut table = lock(&self.table);
            let first = table.lose(lost);
            let ended = if lost == Lost::Gone { table.end(|call| self.is_unsent(call)) } else { Vec::new() };
            (first, ended)
        };
        // First this: whoever gets an answer below looks whether the owner is lost.
        if first {
            let told = std::mem::take(&mut *lock(&self.on_lost));
            told.into_iter().for_each(|call| call(lost));
        }
        ended.into_iter().for_each(Answered::deliver);
        self.rouse();
    }

    /// Calls back once the owner leaves or is gone; at once when it already is.
    pub(super) fn on_lost(&self, call: OnLost) {
        // Under one lock with the answer, so that it is neither missed nor called twice.
        let lost = {
            let table = lock(&self.table);
            match table.lost() {
                Some(lost) => lost,
                None => return lock(&self.on_lost).push(call),
            }
        };
        call(lost);
    }
}

fn fly(stream: &Line, sending: &mut Sending) -> io::Result<Flown> {
    loop {
        sending.flight.board(&mut sending.outbox);
        if sending.flight.is_empty() {
            return Ok(Flown::All);
        }
        if sending.flight.fly(|pieces| stream.try_write(pieces))? == Flown::Blocked {
            return Ok(Flown::Blocked);
        }
    }
}

/// What keeps a link up: its thread ends with the last of these.
#[derive(Debug)]
pub(super) struct Connection(pub(super) Arc<Link>);

impl Drop for Connection {
    fn drop(&mut self) {
        match self.0.process.is_this() {
            true => self.0.hung_up.notify_one(),
            false => self.0.process.keep(&self.0),
        }
    }
}
