//! Who owns a store's file: the protocol of one process, as a state machine without I/O and without a clock.
//!
//! The file lock decides, and nothing else does. Its holder opens the file, and only the holder binds the socket, writes
//! the owner record, or removes either of them. Everybody else finds the holder by the record and becomes its client. The
//! driver does one [`Action`] at a time and answers it with an [`Input`]; `explored.rs` does the same for three processes
//! in every order.

use crate::engine::rank::Rank;
use crate::limits::{HOLD_OFF_CLI, HOLD_OFF_HANDED_OVER, HOLD_OFF_SERVE};

/// Rounds of looking for a new owner before one tries to become it, so that those of higher rank come first. Only that:
/// should one of lower rank be faster all the same, it hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HoldOff {
    /// When a server has lost the owner; an application tries at once.
    pub(crate) serve: u8,
    /// When a command has.
    pub(crate) cli: u8,
    /// When one has handed over.
    pub(crate) handed_over: u8,
}

impl Default for HoldOff {
    fn default() -> Self {
        Self { serve: HOLD_OFF_SERVE, cli: HOLD_OFF_CLI, handed_over: HOLD_OFF_HANDED_OVER }
    }
}

impl HoldOff {
    fn of(self, rank: Rank) -> u8 {
        match rank {
            Rank::Application => 0,
            Rank::Serve => self.serve,
            Rank::Cli => self.cli,
        }
    }
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Read the owner record, and see whether its process lives: [`Input::Nobody`], [`Input::Here`],
    /// [`Input::Barred`], or [`Input::NoAnswer`] when it is barred and nobody waits for that to be said.
    Find,
    /// Connect to the process of the record: [`Input::Welcomed`], [`Input::Refused`] or [`Input::NoAnswer`].
    Connect,
    /// Lock and open the file: [`Input::Taken`], [`Input::Busy`] or [`Input::Barred`].
    TryLock,
    /// Remove what an earlier owner left, and bind the socket: [`Input::Done`], also when that is impossible.
    Bind,
    /// Write the owner record: [`Input::Done`], also when that is impossible.
    Publish,
    /// Own the store. Serve clients until an [`Input::Asked`], [`Input::Failed`] or [`Input::Close`] comes.
    Own,
    /// Be a client until [`Input::Lost`] or [`Input::Close`] comes. With `ask`, ask the owner to hand over.
    BeClient { ask: bool },
    /// Wait a little, then [`Input::Again`]; or [`Input::Late`] when the time to open the store has run out.
    Pause,
    /// Accept nothing more, answer what was accepted, and send the clients away: [`Input::Done`].
    Drain,
    /// Remove the record and the socket, still holding the lock: [`Input::Done`].
    Withdraw,
    /// Close the file, and unlock it: [`Input::Done`].
    Release,
    /// Leave the owner: [`Input::Done`].
    Disconnect,
    /// Nothing more.
    End,
    /// Fail with the last obstacle.
    GiveUp,
}

/// What came of an action, or what happens to an owner or a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    Done,
    Nobody,
    Here,
    /// It cannot be shared with this process, and waiting does not help.
    Barred,
    Welcomed {
        owner: Rank,
    },
    Refused,
    NoAnswer,
    Taken,
    Busy,
    Again,
    Late,
    /// A client of this rank asks for the store.
    Asked {
        rank: Rank,
    },
    /// The owner's storage has failed, and takes nothing until it is opened again.
    Failed,
    Lost,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Finding { hold_off: u8 },
    Connecting { hold_off: u8 },
    Locking,
    Pausing { hold_off: u8 },
    Binding,
    Publishing,
    Owning,
    Draining { then: Then },
    Withdrawing { then: Then },
    Releasing { then: Then },
    Client,
    Disconnecting,
    Ended,
}

/// After the file was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Then {
    End,
    HandOver,
}

/// One process and one store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Protocol {
    rank: Rank,
    exclusive: bool,
    hold_off: HoldOff,
    state: State,
    /// Closing was asked for while something else was under way.
    closing: bool,
}

impl Protocol {
    /// The machine, and its first action.
    pub(crate) fn new(rank: Rank, exclusive: bool, hold_off: HoldOff) -> (Self, Action) {
        let state = State::Finding { hold_off: 0 };
        (Self { rank, exclusive, hold_off, state, closing: false }, Action::Find)
    }

    /// Takes what came of the last action, or an event while it owns the store or is a client. `None` when there is
    /// nothing else to do than what is done already.
    pub(crate) fn on(&mut self, input: Input) -> Option<Action> {
        if input == Input::Close {
            self.closing = true;
        }
        let (state, action) = self.next(input)?;
        self.state = state;
        Some(action)
    }

    /// Whether the file is open here, and clients are served.
    #[cfg(test)]
    pub(crate) fn is_owner(&self) -> bool {
        matches!(self.state, State::Owning)
    }

    fn next(&self, input: Input) -> Option<(State, Action)> {
        use Input as I;
        use State as S;
        Some(match (self.state, input) {
            // It is nobody's client: it has the file alone, or not at all.
            (S::Finding { hold_off }, I::Here) if self.exclusive => self.try_lock_or_pause(hold_off),
            (S::Finding { hold_off }, I::Here) => (S::Connecting { hold_off }, Action::Connect),
            (S::Finding { hold_off } | S::Connecting { hold_off }, I::Nobody | I::Refused) => {
                self.try_lock_or_pause(hold_off)
            }
            // It may be stopped, but it has the lock: nobody takes over from the living.
            (S::Finding { hold_off } | S::Connecting { hold_off }, I::NoAnswer) => {
                (S::Pausing { hold_off }, Action::Pause)
            }
            (S::Connecting { .. }, I::Welcomed { owner }) => {
                (S::Client, Action::BeClient { ask: self.rank > owner })
            }
            (S::Finding { .. } | S::Connecting { .. } | S::Locking, I::Barred) => (S::Ended, Action::GiveUp),
            (S::Locking, I::Busy) => (S::Pausing { hold_off: 0 }, Action::Pause),
            (S::Locking, I::Taken) if self.exclusive => (S::Publishing, Action::Publish),
            (S::Locking, I::Taken) => (S::Binding, Action::Bind),
            (S::Pausing { .. }, I::Late) => (S::Ended, Action::GiveUp),
            (S::Pausing { .. }, I::Again | I::Close) if self.closing => (S::Ended, Action::End),
            (S::Pausing { hold_off }, I::Again) => {
                (S::Finding { hold_off: hold_off.saturating_sub(1) }, Action::Find)
            }
            (S::Binding, I::Done) => (S::Publishing, Action::Publish),
            // Closing was asked for while the store was taken.
            (S::Publishing, I::Done) if self.closing => (S::Draining { then: Then::End }, Action::Drain),
            (S::Publishing, I::Done) => (S::Owning, Action::Own),
            (S::Owning, I::Close) => (S::Draining { then: Then::End }, Action::Drain),
            (S::Owning, I::Asked { rank }) if rank > self.rank && !self.exclusive => {
                (S::Draining { then: Then::HandOver }, Action::Drain)
            }
            // Whoever comes next opens the file anew, and that may be this process.
            (S::Owning, I::Failed) => (S::Draining { then: Then::HandOver }, Action::Drain),
            (S::Draining { then }, I::Done) => (S::Withdrawing { then }, Action::Withdraw),
            (S::Withdrawing { then }, I::Done) => (S::Releasing { then }, Action::Release),
            (S::Releasing { then: Then::HandOver }, I::Done) if !self.closing => {
                (S::Finding { hold_off: self.hold_off.handed_over }, Action::Find)
            }
            (S::Releasing { .. }, I::Done) => (S::Ended, Action::End),
            (S::Client, I::Lost) if self.closing => (S::Ended, Action::End),
            (S::Client, I::Lost) => (S::Finding { hold_off: self.hold_off.of(self.rank) }, Action::Find),
            (S::Client, I::Close) => (S::Disconnecting, Action::Disconnect),
            (S::Disconnecting, I::Done) => (S::Ended, Action::End),
            _ => return None,
        })
    }

    fn try_lock_or_pause(&self, hold_off: u8) -> (State, Action) {
        if self.closing {
            (State::Ended, Action::End)
        } else if hold_off == 0 {
            (State::Locking, Action::TryLock)
        } else {
            (State::Pausing { hold_off }, Action::Pause)
        }
    }
}
