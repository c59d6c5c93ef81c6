//! The calls of a client that wait for their answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedRwLockReadGuard, mpsc, oneshot};

use super::hello::Lost;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The owner is gone. Whether anything of the call had been sent.
    Lost { sent: bool },
    /// The owner has said nothing for so long. Whether anything of the call had been sent.
    Silent { sent: bool },
}

/// Held by every commit until it is answered, whether somebody still waits for that or not.
pub(super) type UnderWay = OwnedRwLockReadGuard<()>;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Waiting {
    One(oneshot::Sender<Result<Bytes, Unanswered>>),
    Commit(oneshot::Sender<Result<Bytes, Unanswered>>, UnderWay),
    /// For progress, then the answer.
    Several(mpsc::UnboundedSender<Result<Bytes, Unanswered>>),
}

/// An answer on its way. It wakes whoever waits, who may do anything: no lock is held meanwhile.
#[derive(Debug)]
#[must_use = "somebody waits for it"]
pub(super) struct Answered(Waiting, Result<Bytes, Unanswered>);

impl Answered {
    pub(super) fn deliver(self) {
        let Self(waiting, answer) = self;
        // Whoever waited may have gone.
        match waiting {
            Waiting::One(waits) => drop(waits.send(answer)),
            Waiting::Commit(waits, _under_way) => drop(waits.send(answer)),
            Waiting::Several(waits) => drop(waits.send(answer)),
        }
    }
}

#[derive(Debug)]
struct Call {
    waiting: Waiting,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct CallTable {
    next: u64,
    calls: HashMap<u64, Call>,
    lost: Option<Lost>,
    heard: Instant,
}

impl CallTable {
    pub(super) fn new() -> Self {
        Self { next: 1, calls: HashMap::new(), lost: None, heard: Instant::now() }
    }

    pub(super) fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// The number of a new call; `None` when nobody would answer it.
    pub(super) fn begin(&mut self, waiting: impl FnOnce() -> Waiting) -> Option<u64> {
        if self.lost.is_some() {
            return None;
        }
        let call = self.next;
        self.next += 1;
        self.calls.insert(call, Call { waiting: waiting(), since: Instant::now() });
        Some(call)
    }

    /// The owner has said something.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Whether any call waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.calls.is_empty()
    }

    /// How long the owner has said nothing.
    pub(super) fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Takes the answer to a call; nobody minds one that is not waited for any more.
    pub(super) fn answer(&mut self, call: u64, message: Bytes, last: bool) -> Option<Answered> {
        match self.calls.get(&call).map(|call| &call.waiting) {
            Some(Waiting::Several(waits)) if !last => {
                Some(Answered(Waiting::Several(waits.clone()), Ok(message)))
            }
            _ => self.calls.remove(&call).map(|call| Answered(call.waiting, Ok(message))),
        }
    }

    /// Forgets a call that nobody waits for any more.
    pub(super) fn forget(&mut self, call: u64) {
        self.calls.remove(&call);
    }

    /// The owner is leaving or gone. The first word of it counts, but for one: who leaves is gone in the end.
    pub(super) fn lose(&mut self, lost: Lost) -> bool {
        let first = self.lost.is_none();
        self.lost.get_or_insert(lost);
        first
    }

    /// Ends all calls; `unsent` takes one back of which nothing was sent.
    pub(super) fn end(&mut self, mut unsent: impl FnMut(u64) -> bool) -> Vec<Answered> {
        let ended = self
            .calls
            .drain()
            .map(|(number, call)| Answered(call.waiting, Err(Unanswered::Lost { sent: !unsent(number) })));
        ended.collect()
    }

    /// Ends the calls that have waited for so long, while the owner said nothing.
    pub(super) fn expire(&mut self, wait: Duration, mut unsent: impl FnMut(u64) -> bool) -> Vec<Answered> {
        if self.heard.elapsed() < wait {
            return Vec::new();
        }
        let over = self.calls.extract_if(|_, call| call.since.elapsed() >= wait);
        let over = over
            .map(|(number, call)| Answered(call.waiting, Err(Unanswered::Silent { sent: !unsent(number) })));
        over.collect()
    }
}
