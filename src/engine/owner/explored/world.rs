//! What there is: three processes, the lock, the files beside the store, connections with messages on their way, and the
//! disk.

use crate::engine::owner::protocol::{Action, Protocol};

pub(super) const N: usize = 3;

/// A process, and which of its lives.
pub(super) type Who = (u8, u8);

/// Messages in order, four bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Queue(u32);

pub(super) const HELLO: u32 = 1;
pub(super) const ASK: u32 = 2;
pub(super) const APPEND: u32 = 3;
pub(super) const WELCOME: u32 = 1;
pub(super) const ACK: u32 = 2;
pub(super) const LEAVE: u32 = 3;
/// The answer to an append that failed with the owner's storage: whether it is on the disk is unknown.
pub(super) const UNKNOWN: u32 = 4;

impl Queue {
    pub(super) fn push(&mut self, message: u32) {
        let len = (32 - self.0.leading_zeros()).div_ceil(4);
        assert!(len < 8, "too many messages wait");
        self.0 |= message << (4 * len);
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        let first = self.0 & 15;
        self.0 >>= 4;
        (first > 0).then_some(first)
    }

    pub(super) fn has(self, message: u32) -> bool {
        (0..8).any(|at| self.0 >> (4 * at) & 15 == message)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    pub(super) owner: Who,
    /// Whom the record named when it was read.
    pub(super) meant: Option<Who>,
    pub(super) up: Queue,
    pub(super) down: Queue,
    /// The owner has closed it, or is gone.
    pub(super) closed: bool,
    pub(super) welcomed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Append {
    #[default]
    Due,
    Sent,
    Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    pub(super) machine: Protocol,
    /// `None` while it waits for events.
    pub(super) action: Option<Action>,
    pub(super) open: bool,
    /// Its storage has failed since it was opened.
    pub(super) failed: bool,
    pub(super) listening: bool,
    /// Appends that were received and not written yet: a bit for each process, and one more for each that has hung up
    /// meanwhile, and gets no answer.
    pub(super) received: u8,
    pub(super) append: Append,
    /// Whom the record named.
    pub(super) found: Option<Who>,
    /// It has been in: what fails from now on is not told to whoever opens the store.
    pub(super) been_in: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) running: [Option<Running>; N],
    pub(super) lives: [u8; N],
    pub(super) lock: Option<Who>,
    /// Somebody who still reads the file, for whom the lock is kept when it has been closed.
    pub(super) walk: Option<Who>,
    pub(super) record: Option<Who>,
    pub(super) socket: Option<Who>,
    pub(super) connections: [Option<Connection>; N],
    /// Appends on their way of processes that were killed, and to whom.
    pub(super) strays: [Option<Who>; N],
    pub(super) disk: u8,
    pub(super) acknowledged: u8,
    pub(super) failed: u8,
    /// A store that was open was given up without having been closed.
    pub(super) given_up: bool,
    pub(super) kills: u8,
    pub(super) opens: u8,
    pub(super) closes: u8,
    pub(super) fails: u8,
    pub(super) walks: u8,
    /// Openings that may fail.
    pub(super) errors: u8,
}

impl World {
    pub(super) fn is_alive(&self, (p, life): Who) -> bool {
        self.running[p as usize].is_some() && self.lives[p as usize] == life
    }

    pub(super) fn listener(&self, who: Who) -> bool {
        self.is_alive(who) && self.running[who.0 as usize].as_ref().is_some_and(|r| r.listening)
    }

    pub(super) fn bind(&mut self, p: usize, me: Who) {
        self.socket = Some(me);
        if let Some(running) = &mut self.running[p] {
            running.listening = true;
        }
    }

    pub(super) fn set_open(&mut self, p: usize, open: bool) {
        if let Some(running) = &mut self.running[p] {
            (running.open, running.failed) = (open, false);
        }
    }

    pub(super) fn wait(&mut self, p: usize) {
        if let Some(running) = &mut self.running[p] {
            running.action = None;
        }
    }

    pub(super) fn acknowledge(&mut self, p: usize, c: usize) {
        self.answer(p, c, ACK);
    }

    pub(super) fn answer(&mut self, p: usize, c: usize, message: u32) {
        let me = (p as u8, self.lives[p]);
        let Some(connection) = self.connections.get_mut(c).and_then(Option::as_mut) else { return };
        if connection.owner == me && !connection.closed {
            connection.down.push(message);
        }
    }

    pub(super) fn answered(&mut self, p: usize) {
        self.acknowledged |= 1 << p;
        if let Some(running) = &mut self.running[p] {
            running.append = Append::Answered;
        }
    }

    /// The client's end of its connection is closed; what it has sent may still arrive.
    pub(super) fn hang_up(&mut self, p: usize) {
        let Some(connection) = self.connections[p].take() else { return };
        if connection.up.has(APPEND) && !connection.closed {
            self.strays[p] = Some(connection.owner);
        }
        let owner = self.running[connection.owner.0 as usize].as_mut();
        if let Some(owner) = owner.filter(|owner| owner.received >> p & 1 == 1) {
            owner.received ^= 1 << p | 1 << (p + N);
        }
    }

    pub(super) fn kill(&mut self, p: usize) {
        let me = (p as u8, self.lives[p]);
        self.hang_up(p);
        self.running[p] = None;
        if self.lock == Some(me) {
            self.lock = None;
        }
        self.walk.take_if(|who| *who == me);
        for connection in self.connections.iter_mut().flatten().filter(|c| c.owner == me) {
            (connection.closed, connection.up) = (true, Queue::default());
        }
        for stray in &mut self.strays {
            stray.take_if(|owner| *owner == me);
        }
    }
}
