//! What can happen next.

use std::fmt;

use super::world::{
    ACK, APPEND, ASK, Append, Connection, HELLO, LEAVE, N, Queue, Running, UNKNOWN, WELCOME, Who, World,
};
use super::wrong::Wrong;
use crate::engine::owner::protocol::{Action, HoldOff, Input, Protocol};
use crate::engine::rank::Rank;

pub(super) struct Setup {
    pub(super) ranks: [Rank; N],
    pub(super) kills: u8,
    pub(super) opens: u8,
    pub(super) closes: u8,
    pub(super) fails: u8,
    pub(super) walks: u8,
    pub(super) errors: u8,
    pub(super) wrong: Option<Wrong>,
}

/// A step for the reader of a counterexample: made into text only for one.
#[derive(Clone, Copy)]
pub(super) enum Note {
    Is(usize, &'static str),
    Does(usize, Action, Input),
    With(usize, &'static str, usize),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(p, what) => write!(f, "{p} {what}"),
            Self::Does(p, action, input) => write!(f, "{p} does {action:?}: {input:?}"),
            Self::With(p, what, other) => write!(f, "{p} {what} {other}"),
        }
    }
}

/// A step: what it is, whether it comes from outside, and where it leads.
pub(super) type Step = (Note, bool, World);

impl Setup {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    pub(super) fn start(&self) -> World {
        World {
            running: [None, None, None],
            lives: [0; N],
            lock: None,
            walk: None,
            record: None,
            socket: None,
            connections: [None; N],
            strays: [None; N],
            disk: 0,
            acknowledged: 0,
            failed: 0,
            given_up: false,
            kills: self.kills,
            opens: self.opens,
            closes: self.closes,
            fails: self.fails,
            walks: self.walks,
            errors: self.errors,
        }
    }

    pub(super) fn steps(&self, world: &World) -> Vec<Step> {
        let mut steps = Vec::new();
        for p in 0..N {
            self.outside(world, p, &mut steps);
            let Some(running) = &world.running[p] else { continue };
            match running.action {
                Some(action) => self.act(world, p, action, &mut steps),
                None => self.events(world, p, &mut steps),
            }
            if running.open {
                self.write(world, p, &mut steps);
            }
        }
        self.walk(world, &mut steps);
        steps
    }

    fn outside(&self, world: &World, p: usize, steps: &mut Vec<Step>) {
        match &world.running[p] {
            None if world.opens > 0 => {
                let mut next = world.clone();
                next.opens -= 1;
                next.lives[p] += 1;
                let hold_off = HoldOff { serve: 1, cli: 1, handed_over: 1 };
                let (machine, action) = Protocol::new(self.ranks[p], false, hold_off);
                next.running[p] = Some(Running {
                    machine,
                    action: Some(action),
                    open: false,
                    failed: false,
                    listening: false,
                    received: 0,
                    found: None,
                    been_in: false,
                    append: if world.acknowledged >> p & 1 == 1 { Append::Answered } else { Append::Due },
                });
                steps.push((Note::Is(p, "opens"), true, next));
            }
            None => {}
            Some(running) => {
                if world.kills > 0 {
                    let mut next = world.clone();
                    next.kills -= 1;
                    next.kill(p);
                    steps.push((Note::Is(p, "is killed"), true, next));
                }
                if world.fails > 0 && running.open && !running.failed {
                    steps.push((Note::Is(p, "has a storage that fails"), true, self.failed(world, p, false)));
                    if running.received != 0 {
                        let next = self.failed(world, p, true);
                        steps.push((Note::Is(p, "has a storage that fails as it has written"), true, next));
                    }
                }
                if world.walks > 0 && running.open && world.walk.is_none() {
                    let mut next = world.clone();
                    next.walks -= 1;
                    next.walk = Some((p as u8, world.lives[p]));
                    steps.push((Note::Is(p, "reads for long"), true, next));
                }
                if world.closes > 0 && running.action.is_none() {
                    let mut next = world.clone();
                    next.closes -= 1;
                    self.tell(&mut next, p, Input::Close);
                    steps.push((Note::Is(p, "closes"), true, next));
                }
            }
        }
    }

    /// The storage fails. What was received may be on the disk or not: it is answered before the owner leaves.
    fn failed(&self, world: &World, p: usize, written: bool) -> World {
        let mut next = world.clone();
        next.fails -= 1;
        let Some(running) = &mut next.running[p] else { return next };
        let received = std::mem::take(&mut running.received);
        running.failed = true;
        let told = running.action.is_none() && !self.is(Wrong::AFailedOwnerStays);
        for c in (0..2 * N).filter(|c| received >> c & 1 == 1) {
            if written {
                next.disk |= 1 << (c % N);
            }
            next.answer(p, c, UNKNOWN);
        }
        if told {
            self.tell(&mut next, p, Input::Failed);
        }
        next
    }

    /// The file cannot be opened, though nobody has it.
    fn opening_fails(&self, world: &World, p: usize, steps: &mut Vec<Step>) {
        let Some(running) = &world.running[p] else { return };
        let mut next = world.clone();
        next.errors -= 1;
        if self.is(Wrong::AnOpeningThatFailsKeepsTheLock) {
            next.lock = Some((p as u8, world.lives[p]));
        }
        let waits = running.been_in && !self.is(Wrong::AnOpeningThatFailsEndsTheStore);
        self.tell(&mut next, p, if waits { Input::Busy } else { Input::Barred });
        steps.push((Note::Is(p, "cannot open the file"), true, next));
    }

    /// What comes of the action that a process is at.
    fn act(&self, world: &World, p: usize, action: Action, steps: &mut Vec<Step>) {
        let me = (p as u8, world.lives[p]);
        let mut next = world.clone();
        let input = match action {
            Action::Find => match world.record {
                Some(who) if world.is_alive(who) || self.is(Wrong::BelieveTheRecord) => {
                    next.running[p].iter_mut().for_each(|running| running.found = Some(who));
                    Input::Here
                }
                _ => Input::Nobody,
            },
            Action::Connect => return self.connect(world, p, steps),
            Action::TryLock => {
                if self.is(Wrong::UnlinkWithoutTheLock) {
                    (next.record, next.socket) = (None, None);
                }
                if self.is(Wrong::BindBeforeTheLock) {
                    next.bind(p, me);
                }
                if self.is(Wrong::RecordBeforeTheLock) {
                    next.record = Some(me);
                }
                if world.errors > 0 && world.lock.is_none() {
                    self.opening_fails(world, p, steps);
                }
                match world.lock {
                    None => {
                        next.lock = Some(me);
                        next.set_open(p, true);
                        Input::Taken
                    }
                    Some(_) if self.is(Wrong::TakeOverByAge) => {
                        next.lock = Some(me);
                        next.set_open(p, true);
                        Input::Taken
                    }
                    Some(_) => Input::Busy,
                }
            }
            Action::Bind => {
                next.bind(p, me);
                Input::Done
            }
            Action::Publish => {
                next.record = Some(me);
                Input::Done
            }
            Action::Own => {
                next.wait(p);
                next.running[p].iter_mut().for_each(|running| running.been_in = true);
                // It watches the storage from here on, and is told at once when that has failed before.
                let has_failed = next.running[p].as_ref().is_some_and(|running| running.failed);
                if has_failed && !self.is(Wrong::AnEarlyFailureIsNotTold) {
                    self.tell(&mut next, p, Input::Failed);
                }
                steps.push((Note::Is(p, "owns"), false, next));
                return;
            }
            Action::BeClient { ask } => {
                next.wait(p);
                next.running[p].iter_mut().for_each(|running| running.been_in = true);
                if let Some(connection) =
                    next.connections[p].as_mut().filter(|_| ask && !self.is(Wrong::NobodyAsks))
                {
                    connection.up.push(ASK);
                }
                steps.push((Note::Is(p, "is a client"), false, next));
                return;
            }
            Action::Pause => Input::Again,
            Action::Drain => {
                let received = world.running[p].as_ref().map_or(0, |r| r.received);
                if self.is(Wrong::AcknowledgeBeforeClosing) {
                    (0..N).filter(|c| received >> c & 1 == 1).for_each(|c| next.acknowledge(p, c));
                    next.running[p].iter_mut().for_each(|running| running.received = 0);
                } else if received != 0 {
                    return;
                }
                if let Some(running) = &mut next.running[p] {
                    running.listening = false;
                }
                for connection in next.connections.iter_mut().flatten().filter(|c| c.owner == me) {
                    if !self.is(Wrong::LeaveWithoutAWord) && !connection.closed {
                        connection.down.push(LEAVE);
                        connection.closed = true;
                    }
                }
                if self.is(Wrong::UnlockBeforeClosing) {
                    next.lock = None;
                }
                Input::Done
            }
            Action::Withdraw => {
                if self.is(Wrong::WithdrawAfterUnlocking) {
                    next.set_open(p, false);
                    next.lock = None;
                } else {
                    (next.record, next.socket) = (None, None);
                }
                Input::Done
            }
            Action::Release => {
                next.set_open(p, false);
                if self.is(Wrong::WithdrawAfterUnlocking) {
                    (next.record, next.socket) = (None, None);
                } else if next.lock == Some(me) && next.walk != Some(me) {
                    next.lock = None;
                }
                Input::Done
            }
            Action::Disconnect => {
                next.hang_up(p);
                Input::Done
            }
            Action::End | Action::GiveUp => {
                let been_in = world.running[p].as_ref().is_some_and(|running| running.been_in);
                next.given_up |= action == Action::GiveUp && been_in;
                next.running[p] = None;
                steps.push((Note::Is(p, "ends"), false, next));
                return;
            }
        };
        self.tell(&mut next, p, input);
        steps.push((Note::Does(p, action, input), false, next));
    }

    fn connect(&self, world: &World, p: usize, steps: &mut Vec<Step>) {
        let Some(connection) = world.connections[p] else {
            let mut next = world.clone();
            let there = world.socket.filter(|who| world.listener(*who));
            let Some(owner) = there else {
                next.running[p].iter_mut().for_each(|running| running.found = None);
                let refused = if self.is(Wrong::BelieveTheRecord) { Input::NoAnswer } else { Input::Refused };
                self.tell(&mut next, p, refused);
                steps.push((Note::Is(p, "is refused"), false, next));
                return;
            };
            let mut up = Queue::default();
            up.push(HELLO);
            let down = Queue::default();
            let meant = next.running[p].as_mut().and_then(|running| running.found.take());
            let connection = Connection { owner, meant, up, down, closed: false, welcomed: false };
            next.connections[p] = Some(connection);
            steps.push((Note::With(p, "connects to", owner.0.into()), false, next));
            return;
        };
        let mut next = world.clone();
        if connection.down.has(WELCOME) && connection.meant != Some(connection.owner) {
            // Another has taken over since the record was read, or the record is wrong.
            next.connections[p] = None;
            self.tell(&mut next, p, Input::NoAnswer);
            steps.push((Note::Is(p, "meant somebody else"), false, next));
        } else if connection.down.has(WELCOME) {
            if let Some(connection) = &mut next.connections[p] {
                connection.down.pop();
                connection.welcomed = true;
            }
            let owner = self.ranks[connection.owner.0 as usize];
            self.tell(&mut next, p, Input::Welcomed { owner });
            steps.push((Note::Is(p, "is welcome"), false, next));
        } else if connection.closed {
            next.connections[p] = None;
            self.tell(&mut next, p, Input::Refused);
            steps.push((Note::Is(p, "is hung up on"), false, next));
        }
        // Whether or not something is under way: its patience is over.
        let mut next = world.clone();
        next.connections[p] = None;
        if self.is(Wrong::TakeOverFromTheSilent) {
            next.lock = None;
            self.tell(&mut next, p, Input::Refused);
        } else {
            self.tell(&mut next, p, Input::NoAnswer);
        }
        steps.push((Note::Is(p, "gets no answer"), false, next));
    }

    /// What happens to one that waits: an owner, or a client.
    fn events(&self, world: &World, p: usize, steps: &mut Vec<Step>) {
        let me = (p as u8, world.lives[p]);
        let Some(running) = &world.running[p] else { return };
        if running.open {
            for c in 0..N {
                self.receive(world, p, me, c, steps);
            }
            if running.append == Append::Due && !running.failed {
                let mut next = world.clone();
                next.disk |= 1 << p;
                next.answered(p);
                steps.push((Note::Is(p, "appends"), false, next));
            }
            return;
        }
        let Some(connection) = world.connections[p] else { return };
        if running.append == Append::Due {
            let mut next = world.clone();
            if let (Some(connection), Some(running)) = (&mut next.connections[p], &mut next.running[p]) {
                connection.up.push(APPEND);
                running.append = Append::Sent;
            }
            steps.push((Note::Is(p, "sends its append"), false, next));
        }
        let mut next = world.clone();
        let message = next.connections[p].as_mut().and_then(|c| c.down.pop());
        match message {
            Some(ACK) => next.answered(p),
            Some(UNKNOWN) => self.unknown(&mut next, p),
            Some(LEAVE) => self.lose(&mut next, p),
            None if connection.closed => self.lose(&mut next, p),
            _ => return,
        }
        steps.push((Note::With(p, "gets message", message.unwrap_or_default() as usize), false, next));
    }

    /// It appends again, and the owner has not said yet that it leaves.
    fn unknown(&self, next: &mut World, p: usize) {
        let Some(running) = next.running[p].as_mut().filter(|r| r.append == Append::Sent) else { return };
        running.append = Append::Due;
        if self.is(Wrong::UnknownMeansFailed) {
            running.append = Append::Answered;
            next.failed |= 1 << p;
        }
    }

    fn lose(&self, next: &mut World, p: usize) {
        next.hang_up(p);
        if let Some(running) = next.running[p].as_mut().filter(|r| r.append == Append::Sent) {
            running.append = Append::Due;
            if self.is(Wrong::LostMeansFailed) {
                running.append = Append::Answered;
                next.failed |= 1 << p;
            }
        }
        if !self.is(Wrong::NobodyTakesOver) {
            self.tell(next, p, Input::Lost);
        } else if let Some(running) = &mut next.running[p] {
            // It looks again and again, and never tries the lock.
            running.action = Some(Action::Pause);
        }
    }

    /// The owner takes one message of a client.
    fn receive(&self, world: &World, p: usize, me: Who, c: usize, steps: &mut Vec<Step>) {
        let mut next = world.clone();
        if world.strays[c] == Some(me) {
            next.strays[c] = None;
            self.take(&mut next, p, c + N);
            steps.push((Note::With(p, "receives a stray of", c), false, next));
            return;
        }
        let Some(connection) = next.connections[c].as_mut().filter(|c| c.owner == me && !c.closed) else {
            return;
        };
        let Some(message) = connection.up.pop() else { return };
        match message {
            HELLO => connection.down.push(WELCOME),
            APPEND => self.take(&mut next, p, c),
            _ => self.tell(&mut next, p, Input::Asked { rank: self.ranks[c] }),
        }
        steps.push((Note::With(p, "receives a message of", c), false, next));
    }

    fn take(&self, next: &mut World, p: usize, c: usize) {
        if let Some(running) = next.running[p].as_mut().filter(|running| !running.failed) {
            running.received |= 1 << c;
        }
        if self.is(Wrong::AcknowledgeBeforeWriting) {
            next.acknowledge(p, c);
        }
    }

    /// Who reads for long stops when the file has been closed, and then the lock goes.
    fn walk(&self, world: &World, steps: &mut Vec<Step>) {
        let Some(who @ (p, _)) = world.walk else { return };
        let is_open = world.is_alive(who) && world.running[p as usize].as_ref().is_some_and(|r| r.open);
        if is_open || self.is(Wrong::AWalkIsNotStopped) {
            return;
        }
        let mut next = world.clone();
        next.walk = None;
        if next.lock == Some(who) {
            next.lock = None;
        }
        steps.push((Note::Is(p.into(), "stops reading"), false, next));
    }

    /// The owner writes one append that it has received.
    fn write(&self, world: &World, p: usize, steps: &mut Vec<Step>) {
        let Some(running) = &world.running[p] else { return };
        for c in (0..2 * N).filter(|c| running.received >> c & 1 == 1) {
            let mut next = world.clone();
            next.disk |= 1 << (c % N);
            if let Some(running) = &mut next.running[p] {
                running.received &= !(1 << c);
            }
            if !self.is(Wrong::AcknowledgeBeforeWriting) {
                next.acknowledge(p, c);
            }
            steps.push((Note::With(p, "writes for", c), false, next));
        }
    }

    fn tell(&self, next: &mut World, p: usize, input: Input) {
        if let Some(running) = &mut next.running[p]
            && let Some(action) = running.machine.on(input)
        {
            running.action = Some(action);
        }
    }

    /// What may never be.
    pub(super) fn broken(&self, world: &World) -> Option<&'static str> {
        let open = || (0..N).filter(|p| world.running[*p].as_ref().is_some_and(|r| r.open));
        if open().count() > 1 {
            return Some("two processes have the file open");
        }
        if open().any(|p| world.lock != Some((p as u8, world.lives[p]))) {
            return Some("a process has the file open without the lock");
        }
        if world.given_up {
            return Some("a store that was open was given up");
        }
        if world.acknowledged & !world.disk != 0 {
            // Received is not written: what is only in a process that is killed is gone.
            return Some("an acknowledged event is not on the disk");
        }
        (world.failed & world.disk != 0).then_some("an event that failed is on the disk")
    }

    /// Everybody who is there is in: one owns, of the highest rank, and the others are its clients.
    pub(super) fn is_settled(&self, world: &World) -> bool {
        let there = || (0..N).filter(|p| world.running[*p].is_some());
        let Some(highest) = there().map(|p| self.ranks[p]).max() else { return true };
        let is_owner = |p: &usize| {
            let owns = |r: &Running| r.machine.is_owner() && r.action.is_none() && !r.failed;
            world.running[*p].as_ref().is_some_and(owns)
        };
        let Some(owner) = there().find(is_owner) else { return false };
        let who = (owner as u8, world.lives[owner]);
        let is_client = |p: usize| {
            let waits = world.running[p].as_ref().is_some_and(|r| r.action.is_none());
            waits && world.connections[p].is_some_and(|c| c.owner == who && c.welcomed && !c.closed)
        };
        self.ranks[owner] == highest && there().all(|p| p == owner || is_client(p))
    }
}
