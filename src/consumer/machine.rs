//! The state machine of a consumer: what it delivers next, and the state of each delivery, over plain numbers. No I/O, no clock, no channel.
//!
//! A branch is a lane. Everything up to `scanned` is resolved, except what lanes hold; a lane has at most one event
//! in flight, and those behind it wait, as two numbers. So the state grows with the number of lanes, not with their
//! backlog.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::lane::{Head, Lane, Rest, Turn};
use crate::codec::LaneRow;
use crate::event::Place;
use crate::limits::MAX_CONSUMER_LANES;
use crate::sync::fault;

/// The settings of the machine. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) deadline: i64,
    pub(super) max_deliveries: u32,
    pub(super) max_in_flight: usize,
    pub(super) backoff: i64,
    pub(super) max_backoff: i64,
    /// The maximum delay.
    pub(super) longest: i64,
}

/// An event to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) place: Place,
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) deliveries: u32,
    pub(super) delivery: u64,
    /// It is a replayed dead letter.
    pub(super) again: bool,
}

/// A resolved event: acknowledged, or about to become a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) place: Place,
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) deliveries: u32,
    pub(super) first: i64,
    /// It already was a dead letter.
    pub(super) again: bool,
}

/// Where to look for the next event of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) place: Place,
    pub(super) after: u64,
    pub(super) until: u64,
}

/// Why a delivery cannot be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// It was resolved, or the event was redelivered since.
    Over,
    /// There was no such delivery.
    Never,
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    rules: Rules,
    scanned: u64,
    next_delivery: u64,
    lanes: HashMap<Place, Lane>,
    /// Heads that can be delivered, oldest first.
    ready: BTreeSet<(u64, Place)>,
    /// Heads that are in flight or wait, by when that ends.
    due: BTreeSet<(i64, Place)>,
    out: BTreeMap<u64, Place>,
    /// Deliveries whose deadline has passed, and whose event was not redelivered yet.
    late: BTreeMap<u64, Place>,
    /// Lanes whose next event is not known, those furthest behind first.
    hungry: BTreeSet<(u64, Place)>,
    /// Lanes that may differ from what is stored.
    changed: HashSet<Place>,
}

impl Machine {
    /// A new one that starts after a position.
    pub(super) fn new(rules: Rules, scanned: u64) -> Self {
        Self {
            rules,
            scanned,
            next_delivery: 1,
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            out: BTreeMap::new(),
            late: BTreeMap::new(),
            hungry: BTreeSet::new(),
            changed: HashSet::new(),
        }
    }

    /// Restored from its stored form.
    pub(super) fn load(rules: Rules, scanned: u64, next_delivery: u64, lanes: &[LaneRow], now: i64) -> Self {
        let mut machine = Self::new(rules, scanned);
        machine.next_delivery = if fault!(NumbersAgain) { 1 } else { next_delivery };
        for row in lanes {
            let latest = |out: bool| now.saturating_add(if out { rules.deadline } else { rules.longest });
            let head = row.head.filter(|_| !fault!(ForgetsDeliveries));
            let head = head.map(|head| Head::of(head, latest(head.delivery.is_some())));
            let rest = row.rest.map(|(after, after_position, until)| Rest { after, after_position, until });
            machine.change(&row.place, |lane| (lane.head, lane.rest) = (head, rest));
        }
        machine
    }

    /// The stored form of a lane; `None` for one of which nothing is stored.
    fn row(&self, place: &Place) -> Option<LaneRow> {
        fault!(HighestAck, { return None });
        let lane = self.lanes.get(place)?;
        let rest = lane.rest.map(|rest| (rest.after, rest.after_position, rest.until));
        let head = lane.head.and_then(|head| head.row());
        (rest.is_some() || head.is_some()).then(|| LaneRow { place: place.clone(), rest, head })
    }

    /// What is stored of this branch is to be compared with what is here.
    pub(super) fn mark(&mut self, place: &Place) {
        self.changed.insert(place.clone());
    }

    /// The stored form of the lanes that may have changed since this was called last.
    pub(super) fn take_changes(&mut self) -> Vec<(Place, Option<LaneRow>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|place| (place.clone(), self.row(&place))).collect()
    }

    /// The stored form of all lanes.
    #[cfg(test)]
    pub(super) fn rows(&self) -> Vec<LaneRow> {
        let mut rows: Vec<LaneRow> = self.lanes.keys().filter_map(|place| self.row(place)).collect();
        rows.sort_unstable_by(|a, b| a.place.cmp(&b.place));
        rows
    }

    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    pub(super) fn next_delivery(&self) -> u64 {
        self.next_delivery
    }

    /// Changes a lane and its index entries.
    fn change<T>(&mut self, place: &Place, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lane = self.lanes.remove(place).unwrap_or_default();
        if !self.changed.contains(place) {
            self.changed.insert(place.clone());
        }
        self.index(place, &lane, false);
        let changed = change(&mut lane);
        lane.advance();
        self.index(place, &lane, true);
        if !lane.is_empty() {
            self.lanes.insert(place.clone(), lane);
        }
        changed
    }

    fn index(&mut self, place: &Place, lane: &Lane, add: bool) {
        fn put<K: Ord>(set: &mut BTreeSet<K>, key: K, add: bool) {
            if add {
                set.insert(key);
            } else {
                set.remove(&key);
            }
        }
        fn name(map: &mut BTreeMap<u64, Place>, delivery: u64, place: &Place, add: bool) {
            if add {
                map.insert(delivery, place.clone());
            } else {
                map.remove(&delivery);
            }
        }
        match (&lane.head, &lane.rest) {
            (None, None) => {}
            (None, Some(rest)) => put(&mut self.hungry, (rest.after_position, place.clone()), add),
            (Some(head), _) => match head.turn {
                Turn::Ready => put(&mut self.ready, (head.position, place.clone()), add),
                Turn::Waiting { due } => put(&mut self.due, (due, place.clone()), add),
                Turn::Out { delivery, due } => {
                    put(&mut self.due, (due, place.clone()), add);
                    name(&mut self.out, delivery, place, add);
                }
                Turn::Late { delivery, .. } => {
                    put(&mut self.ready, (head.position, place.clone()), add);
                    name(&mut self.late, delivery, place, add);
                }
            },
        }
    }

    /// Where to look for an event to deliver, when this many are requested.
    pub(super) fn look(&self, asked: usize) -> Option<Look> {
        let (_, place) = self.hungry.first().filter(|_| self.is_short_of(asked))?;
        let rest = self.lanes.get(place)?.rest?;
        Some(Look { place: place.clone(), after: rest.after, until: rest.until })
    }

    /// Whether to scan on along the global order, when this many are requested. Lanes are checked first.
    pub(super) fn wants_more(&self, asked: usize) -> bool {
        self.is_short_of(asked) && self.hungry.is_empty() && self.lanes.len() < MAX_CONSUMER_LANES
    }

    fn is_short_of(&self, asked: usize) -> bool {
        self.ready.len() < asked.min(self.room())
    }

    fn room(&self) -> usize {
        self.rules.max_in_flight.saturating_sub(self.out.len())
    }

    /// The next event of the global order; one that was scanned before is ignored. Returns whether its turn has come.
    pub(super) fn scan(&mut self, place: &Place, sequence: u64, position: u64, wanted: bool) -> bool {
        if position <= self.scanned {
            return false;
        }
        self.scanned = position;
        wanted
            && self.change(place, |lane| {
                lane.scanned(sequence, position);
                lane.head.is_some_and(|head| head.position == position)
            })
    }

    /// The result of a lookup; `None` if nothing matches up to there.
    pub(super) fn found(&mut self, look: &Look, event: Option<(u64, u64)>) {
        self.change(&look.place, |lane| {
            let asked = lane.rest.filter(|rest| lane.head.is_none() && rest.after == look.after);
            match (asked, event) {
                (None, _) => {}
                (Some(_), Some((sequence, position))) => {
                    lane.head = Some(Head::new(sequence, position, false));
                }
                // More may have been appended since.
                (Some(rest), None) if rest.until > look.until => {
                    lane.rest = Some(Rest { after: look.until, ..rest });
                }
                (Some(_), None) => lane.rest = None,
            }
        });
    }

    /// A dead letter is replayed, ahead of the rest of its branch.
    pub(super) fn replay(&mut self, place: &Place, sequence: u64, position: u64) {
        self.change(place, |lane| lane.replay(sequence, position));
    }

    /// Delivers the oldest event that can be delivered.
    pub(super) fn take(&mut self, now: i64) -> Option<Taken> {
        // Waiting ones count too: everything delivered and unresolved has to be stored.
        if self.room() == 0 || self.due.len() >= MAX_CONSUMER_LANES {
            return None;
        }
        let (_, place) = self.ready.first().cloned()?;
        let delivery = self.next_delivery;
        let due = now.saturating_add(self.rules.deadline);
        let taken = self.change(&place, |lane| {
            let head = lane.head.as_mut()?;
            if head.deliveries == 0 {
                head.first = now;
            }
            head.deliveries = head.deliveries.saturating_add(1);
            head.turn = Turn::Out { delivery, due };
            let Head { sequence, position, deliveries, again, .. } = *head;
            Some(Taken { place: place.clone(), sequence, position, deliveries, delivery, again })
        });
        self.next_delivery = self.next_delivery.saturating_add(u64::from(taken.is_some()));
        taken
    }

    fn place_of(&self, delivery: u64) -> Result<Place, Stale> {
        let stale = if delivery < self.next_delivery && delivery > 0 { Stale::Over } else { Stale::Never };
        self.out.get(&delivery).or_else(|| self.late.get(&delivery)).cloned().ok_or(stale)
    }

    /// The position of a delivery that can be resolved.
    pub(super) fn is_out(&self, delivery: u64) -> Result<u64, Stale> {
        let place = self.place_of(delivery)?;
        let head = self.lanes.get(&place).and_then(|lane| lane.head);
        head.map(|head| head.position).ok_or(Stale::Over)
    }

    fn resolve(&mut self, place: &Place) -> Option<Resolved> {
        self.change(place, |lane| {
            let Head { sequence, position, deliveries, first, again, .. } = lane.head?;
            lane.resolve();
            Some(Resolved { place: place.clone(), sequence, position, deliveries, first, again })
        })
    }

    /// The event was handled or given up: its lane continues.
    pub(super) fn resolved(&mut self, delivery: u64) -> Result<Resolved, Stale> {
        let place = self.place_of(delivery)?;
        self.resolve(&place).ok_or(Stale::Over)
    }

    /// It failed: it is redelivered after the delay, or after the backoff. `Some` if that was its last delivery.
    pub(super) fn nack(
        &mut self,
        delivery: u64,
        now: i64,
        delay: Option<i64>,
    ) -> Result<Option<Resolved>, Stale> {
        let place = self.place_of(delivery)?;
        Ok(self.failed(&place, now, delay))
    }

    fn failed(&mut self, place: &Place, now: i64, delay: Option<i64>) -> Option<Resolved> {
        let rules = self.rules;
        let deliveries = self.lanes.get(place).and_then(|lane| lane.head).map_or(0, |head| head.deliveries);
        if deliveries >= rules.max_deliveries {
            return self.resolve(place);
        }
        let delay = delay.unwrap_or_else(|| rules.backoff_after(deliveries)).clamp(0, rules.longest);
        let turn = if delay == 0 { Turn::Ready } else { Turn::Waiting { due: now.saturating_add(delay) } };
        self.change(place, |lane| {
            if let Some(head) = &mut lane.head {
                head.turn = turn;
            }
        });
        None
    }

    /// The deadline starts over.
    pub(super) fn touch(&mut self, delivery: u64, now: i64) -> Result<(), Stale> {
        let place = self.place_of(delivery)?;
        let due = now.saturating_add(self.rules.deadline);
        self.change(&place, |lane| {
            if let Some(head) = &mut lane.head {
                head.turn = Turn::Out { delivery, due };
            }
        });
        Ok(())
    }

    /// It was never received: as if it had not been delivered.
    pub(super) fn give_back(&mut self, delivery: u64) {
        let Ok(place) = self.place_of(delivery) else { return };
        self.change(&place, |lane| {
            if let Some(head) = &mut lane.head {
                head.deliveries = head.deliveries.saturating_sub(1);
                head.turn = Turn::Ready;
            }
            lane.make_way();
        });
    }

    /// Handles what is due. An overdue delivery can still be resolved until its event is redelivered. Returns those
    /// that were delivered for the last time.
    pub(super) fn expire(&mut self, now: i64) -> Vec<Resolved> {
        let mut dead = Vec::new();
        fault!(ForgetsDeadlines, { return dead });
        while let Some((_, place)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            let max = self.rules.max_deliveries;
            let is_last = self.change(&place, |lane| {
                let Some(head) = &mut lane.head else { return false };
                head.turn = match head.turn {
                    Turn::Out { .. } if head.deliveries >= max => return true,
                    Turn::Out { delivery, due } => Turn::Late { delivery, due },
                    _ => Turn::Ready,
                };
                false
            });
            if is_last {
                dead.extend(self.resolve(&place));
            }
        }
        dead
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.due.first().filter(|_| !fault!(ForgetsDeadlines)).map(|(due, _)| *due)
    }
}

impl Rules {
    fn backoff_after(&self, deliveries: u32) -> i64 {
        let doubled = 1_i64.checked_shl(deliveries.saturating_sub(1)).filter(|n| *n > 0).unwrap_or(i64::MAX);
        self.backoff.saturating_mul(doubled).min(self.max_backoff)
    }
}
