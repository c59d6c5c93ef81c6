//! Calls that wait for room, in the order in which they came.
//!
//! Nothing belongs to a call before it has begun: one that is woken and never looks again keeps nothing from the others. So all
//! are woken whenever there may be room, the oldest first. Who comes while others wait lets them look first.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

/// What a call takes of the room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Its place among the calls.
    Call,
    /// So many bytes as well.
    Commit(usize),
}

/// A call that wants to begin.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) load: Load,
    /// When it was made: the wait for its answer includes that for room.
    pub(super) since: Instant,
    /// Among those who wait for room.
    pub(super) place: Option<u64>,
}

impl Caller {
    pub(super) fn new(load: Load) -> Self {
        Self { load, since: Instant::now(), place: None }
    }
}

#[derive(Debug, Default)]
pub(super) struct CallQueue {
    next: u64,
    waiting: BTreeMap<u64, Waits>,
    /// How often there may have been more room than before.
    round: u64,
    /// The round of which those who wait have been told.
    told: u64,
}

#[derive(Debug)]
struct Waits {
    since: Instant,
    /// The round in which it came.
    came: u64,
    late: bool,
    waker: Option<Waker>,
}

impl CallQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those who wait have to look again.
    pub(super) fn changed(&mut self) {
        self.round += 1;
    }

    /// Whether others have to be let look first.
    pub(super) fn is_turn_of(&self, caller: &Caller) -> bool {
        match caller.place.and_then(|place| self.waiting.get(&place)) {
            Some(waits) => waits.came < self.round,
            None => self.waiting.is_empty(),
        }
    }

    /// Whether the owner was silent for so long that this one gives up.
    pub(super) fn is_late(&self, caller: &Caller) -> bool {
        caller.place.and_then(|place| self.waiting.get(&place)).is_some_and(|waits| waits.late)
    }

    /// It waits, and is woken by this.
    pub(super) fn wait(&mut self, caller: &mut Caller, waker: &Waker) {
        let next = &mut self.next;
        let place = *caller.place.get_or_insert_with(|| {
            *next += 1;
            *next
        });
        let (since, came) = (caller.since, self.round);
        let waits = self.waiting.entry(place).or_insert(Waits { since, came, late: false, waker: None });
        match &mut waits.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// It waits no more.
    pub(super) fn leave(&mut self, caller: &mut Caller) {
        if let Some(place) = caller.place.take() {
            self.waiting.remove(&place);
        }
    }

    /// Those who have waited for so long give up.
    pub(super) fn expire(&mut self, wait: Duration) {
        for waits in self.waiting.values_mut().filter(|waits| waits.since.elapsed() >= wait) {
            waits.late = true;
            self.round += 1;
        }
    }

    /// Those to be woken since this was asked last.
    pub(super) fn woken(&mut self) -> Vec<Waker> {
        if std::mem::replace(&mut self.told, self.round) == self.round {
            return Vec::new();
        }
        self.waiting.values_mut().filter_map(|waits| waits.waker.take()).collect()
    }
}
