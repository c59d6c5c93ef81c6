//! One branch: the event whose turn it is, what waits behind it as two numbers, and what of that is at hand.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::codec::{DeliveredRow, LaneRow};
use crate::event::Event;

/// What is delivered. The machine keeps it until its turn comes, and looks at its size only.
pub(crate) trait Item {
    /// Its bytes in memory.
    fn bytes(&self) -> usize;
}

impl Item for Event {
    fn bytes(&self) -> usize {
        self.record().encoded().len()
    }
}

/// The event whose turn it is in a branch, and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) deliveries: u32,
    /// When it was delivered first, in microseconds.
    pub(super) first: i64,
    pub(super) kind: Kind,
    pub(super) turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    /// A replayed dead letter.
    Again,
    /// It is not stored, and has no number.
    Unnumbered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It can be delivered.
    Ready,
    /// It was delivered, and is redelivered when this is due.
    Out { delivery: u64, due: i64 },
    /// Its deadline has passed: it can be redelivered, and until then the late worker can still resolve it.
    Late { delivery: u64, due: i64 },
    /// It failed, and is redelivered when this is due.
    Waiting { due: i64 },
    /// It failed for the last time. Its branch waits until that is recorded.
    GivenUp { delivery: u64 },
}

/// Events of a branch that were scanned and are not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Everything up to this sequence, and its position, is resolved …
    pub(super) after: u64,
    pub(super) after_position: u64,
    /// … and up to this sequence events are waiting.
    pub(super) until: u64,
}

/// An event with its sequence and position, if it has them.
#[derive(Clone, Debug)]
struct AtHand<T> {
    number: Option<(u64, u64)>,
    bytes: usize,
    item: T,
}

/// Of what has no number: how many are at hand, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// How much more may be kept at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Events of one branch, the head among them.
    pub(super) lane: usize,
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// A branch with something unresolved. The head is the first of the rest that is wanted, or a dead letter.
#[derive(Clone, Debug)]
pub(super) struct Lane<T> {
    pub(super) head: Option<Head>,
    pub(super) rest: Option<Rest>,
    /// Replayed dead letters: position to sequence. They come before the rest.
    pub(super) again: BTreeMap<u64, u64>,
    /// What comes next, in order, without a gap.
    at_hand: VecDeque<AtHand<T>>,
    at_hand_bytes: usize,
    unnumbered: Tally,
    /// The first of them is the head.
    head_is_at_hand: bool,
    /// Of the rest there is more than what is at hand.
    has_gap: bool,
    /// Somebody is looking for its next event.
    pub(super) is_looked_for: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            head: None,
            rest: None,
            again: BTreeMap::new(),
            at_hand: VecDeque::new(),
            at_hand_bytes: 0,
            unnumbered: Tally::default(),
            head_is_at_hand: false,
            has_gap: false,
            is_looked_for: false,
        }
    }
}

impl Head {
    pub(super) fn new(sequence: u64, position: u64, kind: Kind) -> Self {
        Self { sequence, position, deliveries: 0, first: 0, kind, turn: Turn::Ready }
    }

    pub(super) fn is_again(&self) -> bool {
        self.kind == Kind::Again
    }

    /// Its stored form; an event that was never delivered is found again by scanning.
    pub(super) fn row(&self) -> Option<DeliveredRow> {
        let (delivery, due) = match self.turn {
            Turn::Ready => (None, i64::MIN),
            Turn::Out { delivery, due } | Turn::Late { delivery, due } => (Some(delivery), due),
            Turn::Waiting { due } => (None, due),
            Turn::GivenUp { delivery } => (Some(delivery), i64::MIN),
        };
        let Self { sequence, position, deliveries, first, .. } = *self;
        let again = self.is_again();
        let row = DeliveredRow { sequence, position, deliveries, first, again, delivery, due };
        (deliveries > 0 && self.kind != Kind::Unnumbered).then_some(row)
    }

    /// From its stored form. Nothing is due later than `latest`, whatever happened to the clock.
    pub(super) fn of(row: DeliveredRow, latest: i64) -> Self {
        let due = row.due.min(latest);
        let turn = match row.delivery {
            Some(delivery) => Turn::Out { delivery, due },
            None => Turn::Waiting { due },
        };
        let DeliveredRow { sequence, position, deliveries, first, again, .. } = row;
        let kind = if again { Kind::Again } else { Kind::Event };
        Self { sequence, position, deliveries, first, kind, turn }
    }
}

impl<T: Item> Lane<T> {
    /// From its stored form: nothing is at hand.
    pub(super) fn load(&mut self, head: Option<Head>, rest: Option<Rest>) {
        (self.head, self.rest, self.has_gap) = (head, rest, rest.is_some());
    }

    /// Who looks for its next event comes back to it.
    pub(super) fn is_empty(&self) -> bool {
        let is_done = self.head.is_none() && self.rest.is_none() && self.again.is_empty();
        is_done && self.at_hand.is_empty() && !self.is_looked_for
    }

    /// Events that are delivered or at hand.
    pub(super) fn held(&self) -> usize {
        self.at_hand.len() + usize::from(self.head.is_some() && !self.head_is_at_hand)
    }

    pub(super) fn unnumbered(&self) -> Tally {
        self.unnumbered
    }

    /// Of what waits behind the head.
    pub(super) fn held_bytes(&self) -> usize {
        let head = self.at_hand.front().filter(|_| self.head_is_at_hand);
        self.at_hand_bytes.saturating_sub(head.map_or(0, |head| head.bytes))
    }

    /// Whether new events have to wait longer than for the first deliveries of those before them.
    pub(super) fn is_held_up(&self) -> bool {
        let failed = |head: &Head| match head.turn {
            Turn::Out { .. } => head.deliveries > 1,
            Turn::Ready | Turn::Late { .. } => head.deliveries > 0,
            Turn::Waiting { .. } | Turn::GivenUp { .. } => true,
        };
        self.has_gap || self.head.as_ref().is_some_and(failed)
    }

    /// What is at hand.
    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        self.at_hand.iter().map(|at_hand| &at_hand.item)
    }

    fn keep(&mut self, number: Option<(u64, u64)>, item: T) {
        let bytes = item.bytes();
        self.at_hand_bytes = self.at_hand_bytes.saturating_add(bytes);
        if number.is_none() {
            let Tally { events, bytes: all } = self.unnumbered;
            self.unnumbered = Tally { events: events + 1, bytes: all.saturating_add(bytes) };
        }
        self.at_hand.push_back(AtHand { number, bytes, item });
    }

    fn pop(&mut self) -> Option<T> {
        let first = self.at_hand.pop_front()?;
        self.at_hand_bytes = self.at_hand_bytes.saturating_sub(first.bytes);
        if first.number.is_none() {
            let Tally { events, bytes } = self.unnumbered;
            self.unnumbered =
                Tally { events: events.saturating_sub(1), bytes: bytes.saturating_sub(first.bytes) };
        }
        self.head_is_at_hand = false;
        Some(first.item)
    }

    fn has_room(&self, room: Room, bytes: usize) -> bool {
        self.held() < room.lane && room.events > 0 && room.bytes >= bytes
    }

    /// A wanted event was scanned. If it is given, it is kept if its turn has come, or if there is room and nothing between it and
    /// what is at hand. Answers with whether it is.
    pub(super) fn scanned(&mut self, sequence: u64, position: u64, item: Option<T>, room: Room) -> bool {
        if self.rest.is_some_and(|rest| sequence <= rest.until) {
            self.begin_again();
        }
        match &mut self.rest {
            Some(rest) => rest.until = rest.until.max(sequence),
            None => {
                let (after, after_position) = (sequence.saturating_sub(1), position.saturating_sub(1));
                self.rest = Some(Rest { after, after_position, until: sequence });
            }
        }
        let is_next = self.held() == 0 && self.again.is_empty();
        match item {
            Some(item) if !self.has_gap && (is_next || self.has_room(room, item.bytes())) => {
                self.keep(Some((sequence, position)), item);
                return true;
            }
            None if !self.has_gap && is_next => {
                self.head = Some(Head::new(sequence, position, Kind::Event));
            }
            _ => self.has_gap = true,
        }
        false
    }

    /// The branch was deleted, and another has its names and counts anew. What waited is gone; what is delivered can still be
    /// resolved.
    fn begin_again(&mut self) {
        (self.rest, self.has_gap) = (None, false);
        let is_delivered = |head: &Head| head.turn != Turn::Ready;
        match &mut self.head {
            Some(head) if head.kind == Kind::Event && is_delivered(head) => head.kind = Kind::Again,
            Some(head) if head.kind == Kind::Event => self.head = None,
            _ => {}
        }
        self.head_is_at_hand &= self.head.as_ref().is_some_and(|head| head.kind == Kind::Unnumbered);
        self.at_hand.retain(|at_hand| at_hand.number.is_none());
        self.at_hand_bytes = self.at_hand.iter().map(|at_hand| at_hand.bytes).sum();
    }

    /// Something without a number comes behind what is at hand. `false` if there is no room for it, or a gap before it.
    pub(super) fn put(&mut self, item: T, room: usize) -> bool {
        let fits = !self.has_gap && self.held() < room;
        if fits {
            self.keep(None, item);
        }
        fits
    }

    /// The wanted events after `after`, in order; up to `until` there are no others.
    pub(super) fn found(&mut self, (after, until): (u64, u64), found: Vec<(u64, u64, T)>, mut room: Room) {
        self.is_looked_for = false;
        if self.head.is_some() || self.rest.is_none_or(|rest| rest.after != after) {
            return;
        }
        let mut reached = until;
        let is_any = !found.is_empty();
        for (sequence, position, item) in found {
            let bytes = item.bytes();
            if self.held() > 0 && !self.has_room(room, bytes) {
                reached = sequence.saturating_sub(1);
                break;
            }
            (room.events, room.bytes) = (room.events.saturating_sub(1), room.bytes.saturating_sub(bytes));
            self.keep(Some((sequence, position)), item);
        }
        // More may have been appended since.
        self.has_gap = self.rest.is_some_and(|rest| rest.until > reached);
        if !is_any {
            self.rest = self.rest.filter(|_| self.has_gap).map(|rest| Rest { after: reached, ..rest });
        }
    }

    /// The head is delivered: it is at hand no more.
    pub(super) fn take(&mut self) -> Option<T> {
        if self.head_is_at_hand { self.pop() } else { None }
    }

    /// The head is to be delivered again.
    pub(super) fn take_back(&mut self, item: T) {
        if let Some(head) = self.head.filter(|_| !self.head_is_at_hand) {
            let bytes = item.bytes();
            self.at_hand_bytes = self.at_hand_bytes.saturating_add(bytes);
            let number = Some((head.sequence, head.position));
            self.at_hand.push_front(AtHand { number, bytes, item });
            self.head_is_at_hand = true;
        }
    }

    /// The head is resolved.
    pub(super) fn resolve(&mut self) {
        let Some(head) = self.head.take() else { return };
        if self.head_is_at_hand {
            self.pop();
        }
        if let (Kind::Event, Some(rest)) = (head.kind, &mut self.rest) {
            (rest.after, rest.after_position) = (head.sequence, head.position);
            let is_over = rest.after >= rest.until;
            // What was wanted when it was scanned need not be wanted when it is looked for.
            self.has_gap |= self.at_hand.iter().all(|at_hand| at_hand.number.is_none());
            if is_over {
                (self.rest, self.has_gap) = (None, false);
            }
        }
    }

    /// A dead letter is replayed. An undelivered head steps back for it.
    pub(super) fn replay(&mut self, sequence: u64, position: u64) {
        // Once it is given up it is a dead letter again, and can be replayed.
        let is_tried = |head: &Head| head.is_again() && !matches!(head.turn, Turn::GivenUp { .. });
        if self.head.is_some_and(|head| head.position == position && is_tried(&head)) {
            return;
        }
        if self.has_yet_to_deliver(sequence) {
            return;
        }
        self.again.insert(position, sequence);
        self.make_way();
    }

    /// Whether its turn is yet to come, or has come: a dead letter of it, from before, is delivered with that.
    fn has_yet_to_deliver(&self, sequence: u64) -> bool {
        let given_up = |head: &Head| {
            let is_it = head.kind == Kind::Event && head.sequence == sequence;
            is_it && matches!(head.turn, Turn::GivenUp { .. })
        };
        let waits = |rest: &Rest| rest.after < sequence && sequence <= rest.until;
        self.rest.as_ref().is_some_and(waits) && !self.head.as_ref().is_some_and(given_up)
    }

    /// A head that was never delivered steps behind the dead letters.
    pub(super) fn make_way(&mut self) {
        if self.again.is_empty() {
            return;
        }
        let steps_back = |head: &mut Head| head.deliveries == 0 && head.turn == Turn::Ready;
        let Some(head) = self.head.take_if(steps_back) else { return };
        match head.kind {
            Kind::Again if self.head_is_at_hand => drop(self.pop()),
            Kind::Again => {}
            _ if self.head_is_at_hand => self.head_is_at_hand = false,
            // What is at hand comes after it: it is all found again.
            _ => {
                self.at_hand.retain(|at_hand| at_hand.number.is_none());
                self.at_hand_bytes = self.at_hand.iter().map(|at_hand| at_hand.bytes).sum();
                self.has_gap = true;
            }
        }
        if head.is_again() {
            self.again.insert(head.position, head.sequence);
        }
    }

    /// Makes a dead letter the head, or what is at hand, if there is no head.
    pub(super) fn advance(&mut self) {
        if self.head.is_some() {
            return;
        }
        if let Some((position, sequence)) = self.again.pop_first() {
            self.head = Some(Head::new(sequence, position, Kind::Again));
        } else if let Some(first) = self.at_hand.front() {
            self.head_is_at_hand = true;
            self.head = Some(match first.number {
                Some((sequence, position)) => Head::new(sequence, position, Kind::Event),
                None => Head::new(0, 0, Kind::Unnumbered),
            });
        }
    }

    /// Drops everything but what is delivered.
    pub(super) fn leave(&mut self) -> Vec<T> {
        self.head = self.head.take_if(|head| matches!(head.turn, Turn::Out { .. } | Turn::GivenUp { .. }));
        (self.rest, self.has_gap, self.head_is_at_hand, self.at_hand_bytes) = (None, false, false, 0);
        self.unnumbered = Tally::default();
        self.again.clear();
        std::mem::take(&mut self.at_hand).into_iter().map(|at_hand| at_hand.item).collect()
    }
}

/// Checks that stored lanes are consistent; otherwise says what is wrong with them.
pub(crate) fn check<'a>(
    scanned: u64,
    next_delivery: u64,
    lanes: impl IntoIterator<Item = &'a LaneRow>,
) -> Result<(), &'static str> {
    let mut deliveries = HashSet::new();
    for lane in lanes {
        if let Some((after, position, until)) = lane.rest
            && (after >= until || position > scanned)
        {
            return Err("it holds a branch with an impossible backlog");
        }
        let Some(head) = lane.head else { continue };
        if head.deliveries == 0 || head.sequence == 0 || (!head.again && head.position > scanned) {
            return Err("it holds an event that it cannot have delivered");
        }
        if let Some(delivery) = head.delivery
            && (delivery == 0 || delivery >= next_delivery || !deliveries.insert(delivery))
        {
            return Err("it holds a delivery that it cannot have started");
        }
    }
    Ok(())
}

/// Everything up to this position is resolved in a lane, except for dead letters.
pub(crate) fn floor(row: &LaneRow) -> u64 {
    match (&row.head, row.rest) {
        (Some(head), _) if !head.again => head.position.saturating_sub(1),
        (_, Some((_, position, _))) => position,
        _ => u64::MAX,
    }
}
