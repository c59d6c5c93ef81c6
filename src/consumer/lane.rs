//! One branch of a consumer: the event whose turn it is, and what waits behind it.

use std::collections::{BTreeMap, HashSet};

use crate::codec::{DeliveredRow, LaneRow};

/// The event whose turn it is in a branch, and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) deliveries: u32,
    /// When it was delivered first, in microseconds.
    pub(super) first: i64,
    /// It is a replayed dead letter.
    pub(super) again: bool,
    pub(super) turn: Turn,
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

/// A branch with something unresolved. The head is the first of the rest that is wanted, or a dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) head: Option<Head>,
    pub(super) rest: Option<Rest>,
    /// Replayed dead letters: position to sequence. They come before the rest.
    pub(super) again: BTreeMap<u64, u64>,
}

impl Head {
    pub(super) fn new(sequence: u64, position: u64, again: bool) -> Self {
        Self { sequence, position, deliveries: 0, first: 0, again, turn: Turn::Ready }
    }

    /// Its stored form; an event that was never delivered is found again by scanning.
    pub(super) fn row(&self) -> Option<DeliveredRow> {
        let (delivery, due) = match self.turn {
            Turn::Ready => (None, i64::MIN),
            Turn::Out { delivery, due } | Turn::Late { delivery, due } => (Some(delivery), due),
            Turn::Waiting { due } => (None, due),
        };
        let Self { sequence, position, deliveries, first, again, .. } = *self;
        let row = DeliveredRow { sequence, position, deliveries, first, again, delivery, due };
        (deliveries > 0).then_some(row)
    }

    /// From its stored form. Nothing is due later than `latest`, whatever happened to the clock.
    pub(super) fn of(row: DeliveredRow, latest: i64) -> Self {
        let due = row.due.min(latest);
        let turn = match row.delivery {
            Some(delivery) => Turn::Out { delivery, due },
            None => Turn::Waiting { due },
        };
        let DeliveredRow { sequence, position, deliveries, first, again, .. } = row;
        Self { sequence, position, deliveries, first, again, turn }
    }
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none() && self.rest.is_none() && self.again.is_empty()
    }

    /// The consumer scanned a matching event.
    pub(super) fn scanned(&mut self, sequence: u64, position: u64) {
        match &mut self.rest {
            Some(rest) => rest.until = rest.until.max(sequence),
            None => {
                let (after, after_position) = (sequence.saturating_sub(1), position.saturating_sub(1));
                self.rest = Some(Rest { after, after_position, until: sequence });
                if self.head.is_none() && self.again.is_empty() {
                    self.head = Some(Head::new(sequence, position, false));
                }
            }
        }
    }

    /// The head is resolved.
    pub(super) fn resolve(&mut self) {
        let Some(head) = self.head.take().filter(|head| !head.again) else { return };
        if let Some(rest) = &mut self.rest {
            (rest.after, rest.after_position) = (head.sequence, head.position);
            if rest.after >= rest.until {
                self.rest = None;
            }
        }
    }

    /// A dead letter is replayed. An undelivered head steps back for it.
    pub(super) fn replay(&mut self, sequence: u64, position: u64) {
        if self.head.is_some_and(|head| head.again && head.position == position) {
            return;
        }
        self.again.insert(position, sequence);
        self.make_way();
    }

    /// A head that was never delivered steps behind the dead letters.
    pub(super) fn make_way(&mut self) {
        if !self.again.is_empty()
            && let Some(head) = self.head.take_if(|head| head.deliveries == 0 && head.turn == Turn::Ready)
            && head.again
        {
            self.again.insert(head.position, head.sequence);
        }
    }

    /// Makes a dead letter the head if there is no head.
    pub(super) fn advance(&mut self) {
        if self.head.is_none()
            && let Some((position, sequence)) = self.again.pop_first()
        {
            self.head = Some(Head::new(sequence, position, true));
        }
    }
}

/// Checks that stored lanes are consistent; otherwise says what is wrong with them.
pub(super) fn check<'a>(
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
pub(super) fn floor(row: &LaneRow) -> u64 {
    match (&row.head, row.rest) {
        (Some(head), _) if !head.again => head.position.saturating_sub(1),
        (_, Some((_, position, _))) => position,
        _ => u64::MAX,
    }
}
