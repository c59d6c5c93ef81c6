//! Calls that wait for room, in the order in which they came.
//!
//! As many are woken as there is room for, the oldest first: to wake all of thousands for each answer would take longer than the
//! calls. Nothing belongs to a call before it has begun, so one that is woken and never looks again keeps nothing from others for
//! longer than until the next answer, or the next [look](CallQueue::changed) of the link's thread. Who comes while others wait
//! lets them look first, but a read does not wait for bytes, which it does not want.

use std::collections::{BTreeMap, BTreeSet};
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

/// What is there for those who wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Places among the calls.
    pub(super) places: usize,
    /// Bytes of commits; one that is larger than what is left has to wait no longer than others.
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn has(self, load: Load) -> bool {
        self.places > 0 && (load == Load::Call || self.bytes > 0)
    }

    fn without(self, load: Load) -> Self {
        let bytes = match load {
            Load::Call => 0,
            Load::Commit(bytes) => bytes,
        };
        Self { places: self.places - 1, bytes: self.bytes.saturating_sub(bytes) }
    }
}

#[derive(Debug, Default)]
pub(super) struct CallQueue {
    next: u64,
    waiting: BTreeMap<u64, Waits>,
    /// Those of them that have not been woken since they looked.
    calls: BTreeSet<u64>,
    commits: BTreeSet<u64>,
    /// How many of them are commits.
    waiting_commits: usize,
    /// How often there may have been more room than before.
    round: u64,
    /// The round of which those who wait have been told.
    told: u64,
    /// All have to look, whether there is room or not.
    all: bool,
}

#[derive(Debug)]
struct Waits {
    load: Load,
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

    /// There may be more room than before.
    pub(super) fn changed(&mut self) {
        self.round += 1;
    }

    /// Everybody has to look again: something else than the room has changed.
    pub(super) fn changed_for_all(&mut self) {
        self.round += 1;
        self.all = true;
    }

    /// Whether no other has to be let look first.
    pub(super) fn is_turn_of(&self, caller: &Caller, room: Room) -> bool {
        match caller.place.and_then(|place| self.waiting.get(&place)) {
            Some(waits) => waits.came < self.round,
            None => match caller.load {
                Load::Commit(_) => self.waiting.is_empty(),
                // Commits that want bytes want no place yet.
                Load::Call => {
                    self.waiting.len() == self.waiting_commits
                        && (self.waiting_commits == 0 || room.bytes == 0)
                }
            },
        }
    }

    /// Whether the owner was silent for so long that this one gives up.
    pub(super) fn is_late(&self, caller: &Caller) -> bool {
        caller.place.and_then(|place| self.waiting.get(&place)).is_some_and(|waits| waits.late)
    }

    /// It waits, and is woken by this.
    pub(super) fn wait(&mut self, caller: &mut Caller, waker: &Waker) {
        let is_new = caller.place.is_none();
        let next = &mut self.next;
        let place = *caller.place.get_or_insert_with(|| {
            *next += 1;
            *next
        });
        let (load, since, came) = (caller.load, caller.since, self.round);
        let waits =
            self.waiting.entry(place).or_insert(Waits { load, since, came, late: false, waker: None });
        match &mut waits.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        self.waiting_commits += usize::from(is_new && load != Load::Call);
        self.unwoken(load).insert(place);
    }

    fn unwoken(&mut self, load: Load) -> &mut BTreeSet<u64> {
        match load {
            Load::Call => &mut self.calls,
            Load::Commit(_) => &mut self.commits,
        }
    }

    /// It waits no more. What it was woken for is for the next.
    pub(super) fn leave(&mut self, caller: &mut Caller) {
        let Some(place) = caller.place.take() else { return };
        if let Some(waits) = self.waiting.remove(&place) {
            self.waiting_commits -= usize::from(waits.load != Load::Call);
            if !self.unwoken(waits.load).remove(&place) {
                self.changed();
            }
        }
    }

    /// Those who have waited for so long give up.
    pub(super) fn expire(&mut self, wait: Duration) {
        let late: Vec<&mut Waits> =
            self.waiting.values_mut().filter(|waits| waits.since.elapsed() >= wait).collect();
        if !late.is_empty() {
            late.into_iter().for_each(|waits| waits.late = true);
            self.changed_for_all();
        }
    }

    /// Those to be woken since this was asked last.
    pub(super) fn woken(&mut self, mut room: Room) -> Vec<Waker> {
        if std::mem::replace(&mut self.told, self.round) == self.round {
            return Vec::new();
        }
        if std::mem::take(&mut self.all) {
            (self.calls, self.commits) = Default::default();
            return self.waiting.values_mut().filter_map(|waits| waits.waker.take()).collect();
        }
        let mut woken = Vec::new();
        while let Some((load, place)) = self.next_for(room) {
            self.unwoken(load).remove(&place);
            room = room.without(load);
            woken.extend(self.waiting.get_mut(&place).and_then(|waits| waits.waker.take()));
        }
        woken
    }

    /// The oldest for which there is room.
    fn next_for(&self, room: Room) -> Option<(Load, u64)> {
        let first = |of: &BTreeSet<u64>| {
            let place = *of.first()?;
            let load = self.waiting.get(&place)?.load;
            room.has(load).then_some((load, place))
        };
        let (call, commit) = (first(&self.calls), first(&self.commits));
        match (call, commit) {
            (Some(call), Some(commit)) if commit.1 < call.1 => Some(commit),
            (call, commit) => call.or(commit),
        }
    }
}
