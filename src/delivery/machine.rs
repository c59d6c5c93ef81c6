//! The state machine of delivery: what is delivered next, and the state of each delivery, over plain numbers. No I/O, no clock, no channel.
//!
//! A branch is a lane. Everything up to `scanned` is resolved, except what lanes hold; a lane has at most one event
//! in flight, and those behind it wait, as two numbers. So the state grows with the number of lanes, not with their
//! backlog. Events that were read are kept at hand until their turn comes, as far as there is room; others are looked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::index::{Index, Marks};
use super::lane::{Head, Item, Lane, Rest, Room, Tally, Turn};
use super::rules::{Delay, Rules};
use crate::codec::LaneRow;
use crate::event::Place;
use crate::limits::{
    AT_HAND_BYTES, AT_HAND_EVENTS, AT_HAND_LANE_EVENTS, EPHEMERAL_BYTES, EPHEMERAL_LANES_EVENTS,
    MAX_CONSUMER_LANES,
};
use crate::sync::fault;

/// An event to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) place: Arc<Place>,
    pub(crate) sequence: u64,
    pub(crate) position: u64,
    pub(crate) deliveries: u32,
    pub(crate) delivery: u64,
    /// It is a replayed dead letter.
    pub(crate) again: bool,
}

/// A resolved event: acknowledged, or about to become a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) place: Arc<Place>,
    pub(crate) sequence: u64,
    pub(crate) position: u64,
    pub(crate) deliveries: u32,
    pub(crate) first: i64,
    /// It already was a dead letter.
    pub(crate) again: bool,
}

/// Where to look for the next event of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) place: Arc<Place>,
    pub(crate) after: u64,
    pub(crate) until: u64,
    /// Everything up to this position was scanned: a later event there is one of another branch, which has the names now.
    pub(crate) scanned: u64,
}

/// Why a delivery cannot be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was resolved, or the event was redelivered since.
    Over,
    /// There was no such delivery.
    Never,
}

/// Whether an event is to be delivered.
#[derive(Debug)]
pub(crate) enum Wanted<T> {
    No,
    /// If it is not given, it is read when its turn comes.
    Yes(Option<T>),
}

/// A branch as it was before a delivery in it was resolved.
#[derive(Debug)]
pub(crate) struct Before<T>(Arc<Place>, Lane<T>);

/// What became of a scanned event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Nobody had anything to do for its branch, and now somebody has.
    pub(crate) begins: bool,
    /// It is at hand.
    pub(crate) is_kept: bool,
    /// It waits for longer than the first deliveries of those before it.
    pub(crate) is_held_up: bool,
}

/// What somebody who is free has to do.
#[derive(Debug)]
pub(crate) enum Next<T> {
    Deliver(Taken, Option<T>),
    /// Read it, then tell what was [`found`](Machine::found).
    Look(Look),
    Nothing,
}

/// What a failed delivery leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The event is delivered again when this is due.
    Again { due: i64 },
    /// It was the last delivery. The branch waits until it is [`resolved`](Machine::resolved).
    Last(Resolved),
}

#[derive(Clone, Debug)]
pub(crate) struct Machine<T> {
    rules: Rules,
    scanned: u64,
    next_delivery: u64,
    lanes: HashMap<Arc<Place>, Lane<T>>,
    index: Index,
    /// Events that are delivered or at hand, and the bytes of the latter.
    held: usize,
    held_bytes: usize,
    unnumbered: Tally,
    /// Lanes that may differ from what is stored; `None` when nothing is.
    changed: Option<HashSet<Arc<Place>>>,
}

impl<T: Item> Machine<T> {
    /// One whose progress is in memory only.
    pub(crate) fn new(rules: Rules, scanned: u64) -> Self {
        Self {
            rules,
            scanned,
            next_delivery: 1,
            lanes: HashMap::new(),
            index: Index::default(),
            held: 0,
            held_bytes: 0,
            unnumbered: Tally::default(),
            changed: None,
        }
    }

    /// One whose progress is stored, restored from there.
    pub(crate) fn load(rules: Rules, scanned: u64, next_delivery: u64, lanes: &[LaneRow], now: i64) -> Self {
        let mut machine = Self::new(rules, scanned);
        machine.next_delivery = if fault!(NumbersAgain) { 1 } else { next_delivery };
        for row in lanes {
            let latest = |out: bool| now.saturating_add(if out { rules.deadline } else { rules.longest });
            let head = row.head.filter(|_| !fault!(ForgetsDeliveries));
            let head = head.map(|head| Head::of(head, latest(head.delivery.is_some())));
            let rest = row.rest.map(|(after, after_position, until)| Rest { after, after_position, until });
            machine.change(&Arc::new(row.place.clone()), |lane| lane.load(head, rest));
        }
        let changed = machine.lanes.keys().cloned().collect();
        Self { changed: Some(changed), ..machine }
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
    pub(crate) fn mark(&mut self, place: &Place) {
        if let Some(changed) = &mut self.changed {
            changed.insert(Arc::new(place.clone()));
        }
    }

    /// The stored form of the lanes that may have changed since this was called last.
    pub(crate) fn take_changes(&mut self) -> Vec<(Place, Option<LaneRow>)> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        changed.into_iter().map(|place| ((*place).clone(), self.row(&place))).collect()
    }

    /// The stored form of all lanes.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> Vec<LaneRow> {
        let mut rows: Vec<LaneRow> = self.lanes.keys().filter_map(|place| self.row(place)).collect();
        rows.sort_unstable_by(|a, b| a.place.cmp(&b.place));
        rows
    }

    pub(crate) fn scanned(&self) -> u64 {
        self.scanned
    }

    pub(crate) fn next_delivery(&self) -> u64 {
        self.next_delivery
    }

    /// Branches with something unresolved.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Events that are delivered or at hand.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// What is at hand of a branch.
    pub(crate) fn at_hand<'a>(&'a self, place: &Place) -> impl Iterator<Item = &'a T> + use<'a, T> {
        self.lanes.get(place).into_iter().flat_map(Lane::items)
    }

    /// Changes a lane and its index entries.
    fn change<R>(&mut self, place: &Arc<Place>, change: impl FnOnce(&mut Lane<T>) -> R) -> R {
        self.change_with(place, change).0
    }

    /// Also says whether nobody had anything to do for it before, and somebody has now.
    fn change_with<R>(&mut self, place: &Arc<Place>, change: impl FnOnce(&mut Lane<T>) -> R) -> (R, bool) {
        let lane = self.lanes.entry(place.clone()).or_default();
        let (from, held, bytes, tally) = (Marks::of(lane), lane.held(), lane.held_bytes(), lane.unnumbered());
        let changed = change(lane);
        lane.advance();
        let to = Marks::of(lane);
        self.held = (self.held + lane.held()).saturating_sub(held);
        self.held_bytes = (self.held_bytes + lane.held_bytes()).saturating_sub(bytes);
        let Tally { events: more, bytes: heavier } = lane.unnumbered();
        self.unnumbered.events = (self.unnumbered.events + more).saturating_sub(tally.events);
        self.unnumbered.bytes = (self.unnumbered.bytes + heavier).saturating_sub(tally.bytes);
        if lane.is_empty() {
            self.lanes.remove(place);
        }
        self.index.changes(place, from, to);
        if let Some(stored) = &mut self.changed
            && !stored.contains(place)
        {
            stored.insert(place.clone());
        }
        (changed, to.wants_somebody() && !from.wants_somebody())
    }

    fn at_hand_room(&self) -> Room {
        Room {
            lane: if fault!(SmallQueues) { 1 } else { AT_HAND_LANE_EVENTS },
            events: AT_HAND_EVENTS.saturating_sub(self.held),
            bytes: AT_HAND_BYTES.saturating_sub(self.held_bytes),
        }
    }

    /// Whether the next event would be kept at hand, were its branch idle.
    pub(crate) fn has_room(&self) -> bool {
        self.held < if fault!(SmallQueues) { 2 } else { AT_HAND_EVENTS }
    }

    /// Where to look for an event to deliver, when this many are requested.
    pub(crate) fn look(&mut self, asked: usize) -> Option<Look> {
        let (_, place) = self.index.hungry.first().filter(|_| self.is_short_of(asked)).cloned()?;
        let rest = self.lanes.get(&place)?.rest?;
        self.change(&place, |lane| lane.is_looked_for = true);
        Some(Look { place, after: rest.after, until: rest.until, scanned: self.scanned })
    }

    /// Whether to scan on along the global order, when this many are requested. Lanes are checked first.
    pub(crate) fn wants_more(&self, asked: usize) -> bool {
        self.is_short_of(asked) && self.index.hungry.is_empty() && self.lanes.len() < MAX_CONSUMER_LANES
    }

    fn is_short_of(&self, asked: usize) -> bool {
        self.index.ready.len() < asked.min(self.room())
    }

    fn room(&self) -> usize {
        self.rules.max_in_flight.saturating_sub(self.index.out.len())
    }

    /// The next event of the global order, at hand or not, if it is wanted; one that was scanned before is ignored.
    pub(crate) fn scan(
        &mut self,
        place: &Arc<Place>,
        sequence: u64,
        position: u64,
        wanted: Wanted<T>,
    ) -> Scanned {
        let skipped = Scanned { begins: false, is_kept: false, is_held_up: false };
        if position <= self.scanned {
            return skipped;
        }
        self.scanned = position;
        let item = match wanted {
            Wanted::No => return skipped,
            Wanted::Yes(item) => item,
        };
        let room = self.at_hand_room();
        let ((is_kept, is_held_up), begins) = self.change_with(place, |lane| {
            let is_held_up = lane.is_held_up();
            (lane.scanned(sequence, position, item, room), is_held_up)
        });
        Scanned { begins, is_kept, is_held_up }
    }

    /// What was not scanned up to this position is gone.
    pub(crate) fn pass(&mut self, position: u64) {
        self.scanned = self.scanned.max(position);
    }

    /// Something that is not stored comes behind what is at hand of its branch. `None` if there is no room for it there, or
    /// for more of its sort, else whether nobody had anything to do for its branch.
    pub(crate) fn put(&mut self, place: &Arc<Place>, item: T) -> Option<bool> {
        let Tally { events, bytes } = self.unnumbered;
        let is_full =
            events >= EPHEMERAL_LANES_EVENTS || bytes.saturating_add(item.bytes()) > EPHEMERAL_BYTES;
        // One fits in any case.
        if is_full && events > 0 {
            return None;
        }
        let (is_kept, begins) = self.change_with(place, |lane| lane.put(item, AT_HAND_LANE_EVENTS));
        is_kept.then_some(begins)
    }

    /// The result of a look: the wanted events, in order. Up to the end of the look there are no others.
    pub(crate) fn found(&mut self, look: &Look, found: Vec<(u64, u64, T)>) {
        let room = self.at_hand_room();
        self.change(&look.place, |lane| lane.found((look.after, look.until), found, room));
    }

    /// A dead letter is replayed, ahead of the rest of its branch. Says whether nobody had anything to do for its branch, and
    /// somebody has now.
    pub(crate) fn replay(&mut self, place: &Arc<Place>, sequence: u64, position: u64) -> bool {
        self.change_with(place, |lane| lane.replay(sequence, position)).1
    }

    /// What somebody who is free has to do, where everything is delivered at once that can be.
    pub(crate) fn next(&mut self, now: i64) -> Next<T> {
        if let Some((taken, item)) = self.take(now) {
            return Next::Deliver(taken, item);
        }
        self.look(usize::MAX).map_or(Next::Nothing, Next::Look)
    }

    /// Delivers the oldest event that can be delivered, and hands it out if it is at hand.
    pub(crate) fn take(&mut self, now: i64) -> Option<(Taken, Option<T>)> {
        // Waiting ones count too: everything delivered and unresolved has to be stored.
        if self.room() == 0 || self.index.due.len() >= self.rules.max_open {
            return None;
        }
        let (_, place) = self.index.ready.first().cloned()?;
        let delivery = self.next_delivery;
        let due = now.saturating_add(self.rules.deadline);
        let taken = self.change(&place, |lane| {
            let item = lane.take();
            let head = lane.head.as_mut()?;
            if head.deliveries == 0 {
                head.first = now;
            }
            head.deliveries = head.deliveries.saturating_add(1);
            head.turn = Turn::Out { delivery, due };
            let (again, Head { sequence, position, deliveries, .. }) = (head.is_again(), *head);
            let place = place.clone();
            Some((Taken { place, sequence, position, deliveries, delivery, again }, item))
        });
        self.next_delivery = self.next_delivery.saturating_add(u64::from(taken.is_some()));
        taken
    }

    fn place_of(&self, delivery: u64) -> Result<Arc<Place>, Stale> {
        let stale = if delivery < self.next_delivery && delivery > 0 { Stale::Over } else { Stale::Never };
        self.index.out.get(&delivery).or_else(|| self.index.late.get(&delivery)).cloned().ok_or(stale)
    }

    /// The position of a delivery that can be resolved.
    pub(crate) fn is_out(&self, delivery: u64) -> Result<u64, Stale> {
        let place = self.place_of(delivery)?;
        let head = self.lanes.get(&place).and_then(|lane| lane.head);
        head.map(|head| head.position).ok_or(Stale::Over)
    }

    fn resolve(&mut self, place: &Arc<Place>) -> Option<Resolved> {
        self.change(place, |lane| {
            let resolved = lane.head.map(|head| of_head(place, &head));
            lane.resolve();
            resolved
        })
    }

    /// The event was handled or given up: its lane continues.
    pub(crate) fn resolved(&mut self, delivery: u64) -> Result<Resolved, Stale> {
        let place = self.place_of(delivery)?;
        self.resolve(&place).ok_or(Stale::Over)
    }

    /// The branch of a delivery, to be [`restored`](Self::restore) if what resolves it is not written.
    pub(crate) fn before(&self, delivery: u64) -> Result<Before<T>, Stale>
    where
        T: Clone,
    {
        let place = self.place_of(delivery)?;
        let lane = self.lanes.get(&place).cloned().ok_or(Stale::Over)?;
        Ok(Before(place, lane))
    }

    /// Nothing was resolved, nor anything changed in the branch since.
    pub(crate) fn restore(&mut self, Before(place, before): Before<T>) {
        self.change(&place, |lane| *lane = before);
    }

    /// It failed: it is redelivered after the delay, unless that was its last delivery. Who has the event at hand may give it
    /// back.
    pub(crate) fn fail(
        &mut self,
        delivery: u64,
        now: i64,
        delay: Delay,
        item: Option<T>,
    ) -> Result<Failed, Stale> {
        let (place, rules) = (self.place_of(delivery)?, self.rules);
        let failed = self.change(&place, |lane| {
            let head = lane.head.as_mut()?;
            if head.deliveries >= rules.max_deliveries {
                head.turn = Turn::GivenUp { delivery };
                return Some(Failed::Last(of_head(&place, head)));
            }
            let delay = rules.delay(delay, head.deliveries);
            let due = now.saturating_add(delay);
            head.turn = if delay == 0 { Turn::Ready } else { Turn::Waiting { due } };
            if let Some(item) = item {
                lane.take_back(item);
            }
            Some(Failed::Again { due })
        });
        failed.ok_or(Stale::Over)
    }

    /// It failed, and is not delivered again, whatever deliveries are left. Its branch waits until it is resolved.
    pub(crate) fn give_up(&mut self, delivery: u64) -> Result<Resolved, Stale> {
        let place = self.place_of(delivery)?;
        let given_up = self.change(&place, |lane| {
            let head = lane.head.as_mut()?;
            head.turn = Turn::GivenUp { delivery };
            Some(of_head(&place, head))
        });
        given_up.ok_or(Stale::Over)
    }

    /// The deadline starts over.
    pub(crate) fn touch(&mut self, delivery: u64, now: i64) -> Result<(), Stale> {
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
    pub(crate) fn give_back(&mut self, delivery: u64) -> Result<(), Stale> {
        let place = self.place_of(delivery)?;
        self.change(&place, |lane| {
            if let Some(head) = &mut lane.head {
                head.deliveries = head.deliveries.saturating_sub(1);
                head.turn = Turn::Ready;
            }
            lane.make_way();
        });
        Ok(())
    }

    /// Handles what is due. An overdue delivery can still be resolved until its event is redelivered. Returns those
    /// that were delivered for the last time.
    pub(crate) fn expire(&mut self, now: i64) -> Vec<Resolved> {
        let mut dead = Vec::new();
        fault!(ForgetsDeadlines, { return dead });
        while let Some((_, place)) = self.index.due.first().filter(|(due, _)| *due <= now).cloned() {
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
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.index.due.first().filter(|_| !fault!(ForgetsDeadlines)).map(|(due, _)| *due)
    }

    /// Drops everything that is not being delivered, and hands out what was at hand.
    pub(crate) fn leave(&mut self) -> Vec<T> {
        let places: Vec<Arc<Place>> = self.lanes.keys().cloned().collect();
        places.iter().flat_map(|place| self.change(place, Lane::leave)).collect()
    }
}

fn of_head(place: &Arc<Place>, head: &Head) -> Resolved {
    let (again, Head { sequence, position, deliveries, first, .. }) = (head.is_again(), *head);
    Resolved { place: place.clone(), sequence, position, deliveries, first, again }
}
