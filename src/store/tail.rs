//! The tail: every event that is in the journal and not yet settled, decoded, by branch and in global order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::branch::Branch;
use crate::codec::Counts;
use crate::event::{Event, EventId, Place};

/// An event with the number of its branch.
#[derive(Clone, Debug)]
pub(super) struct TailEvent {
    pub(super) branch: u64,
    pub(super) event: Event,
}

/// What one branch has in the tail: consecutive sequences from `first`.
#[derive(Debug)]
struct Part {
    first: u64,
    /// Places in [`Tail::events`].
    places: Vec<u32>,
}

/// Positions in it are dense: `settled + 1 ..= committed`.
#[derive(Debug, Default)]
pub(super) struct Tail {
    settled: u64,
    /// Of the tables and of what is here.
    counts: Counts,
    events: Vec<TailEvent>,
    bytes: usize,
    parts: HashMap<u64, Part>,
    ids: HashMap<EventId, u32>,
    births: BTreeMap<Place, Arc<Branch>>,
    by_number: HashMap<u64, Arc<Branch>>,
}

/// A copy of what a reader wants from the tail, taken under one lock.
#[derive(Debug, Default)]
pub(super) struct Slice {
    /// The branch's first sequence in the tail, if it has one: everything before is settled.
    pub(super) first: Option<u64>,
    pub(super) events: Vec<Event>,
}

impl Tail {
    pub(super) fn new(settled: u64, counts: Counts) -> Self {
        Self { settled, counts, ..Self::default() }
    }

    /// What the tables hold together with what is here.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The last position that the tables have.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// The last position that is committed.
    pub(super) fn committed(&self) -> u64 {
        self.settled + self.events.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.births.is_empty()
    }

    pub(super) fn events(&self) -> &[TailEvent] {
        &self.events
    }

    pub(super) fn births(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.births.values()
    }

    pub(super) fn born(&self, place: &Place) -> Option<&Arc<Branch>> {
        self.births.get(place)
    }

    pub(super) fn born_number(&self, number: u64) -> Option<&Arc<Branch>> {
        self.by_number.get(&number)
    }

    pub(super) fn add_birth(&mut self, branch: Arc<Branch>) {
        self.counts.add_branch(branch.parent.is_some());
        self.by_number.insert(branch.number, branch.clone());
        self.births.insert((*branch.place).clone(), branch);
    }

    /// Takes the next event in global order.
    pub(super) fn push(&mut self, branch: u64, event: Event) {
        debug_assert_eq!(event.position().get(), self.committed() + 1, "positions are dense");
        let place = self.events.len() as u32;
        let sequence = event.sequence().get();
        let part = self.parts.entry(branch).or_insert_with(|| Part { first: sequence, places: Vec::new() });
        debug_assert_eq!(part.first + part.places.len() as u64, sequence, "sequences are dense");
        part.places.push(place);
        self.ids.insert(event.id(), place);
        self.bytes += event.record().encoded().len();
        self.counts.add_event(event.payload().len());
        self.events.push(TailEvent { branch, event });
    }

    /// The branch's last sequence, when the tail has any event of it.
    pub(super) fn head(&self, branch: u64) -> Option<u64> {
        self.parts.get(&branch).map(|p| p.first + p.places.len() as u64 - 1)
    }

    /// The branch's last event, when the tail has any.
    pub(super) fn last_event(&self, branch: u64) -> Option<&Event> {
        self.event_at(*self.parts.get(&branch)?.places.last()?).map(|e| &e.event)
    }

    pub(super) fn by_id(&self, id: EventId) -> Option<&TailEvent> {
        self.event_at(*self.ids.get(&id)?)
    }

    fn event_at(&self, place: u32) -> Option<&TailEvent> {
        self.events.get(place as usize)
    }

    /// Up to `limit` events of a branch with sequences in `from..=to`, from the near end or the far one.
    pub(super) fn slice(&self, branch: u64, from: u64, to: u64, limit: usize, reverse: bool) -> Slice {
        let Some(part) = self.parts.get(&branch) else { return Slice::default() };
        let index = |sequence: u64| {
            usize::try_from(sequence.saturating_sub(part.first)).unwrap_or(usize::MAX).min(part.places.len())
        };
        let (start, end) = (index(from), index(to.saturating_add(1)));
        let places = part.places.get(start..end).unwrap_or_default();
        let pick = |p: &u32| self.event_at(*p).map(|e| e.event.clone());
        let events = if reverse {
            places.iter().rev().take(limit).filter_map(pick).collect()
        } else {
            // What a forward reader can reach: it reads the settled part first.
            let before = usize::try_from(part.first.saturating_sub(from)).unwrap_or(usize::MAX);
            places.iter().take(limit.saturating_sub(before)).filter_map(pick).collect()
        };
        Slice { first: Some(part.first), events }
    }

    /// Events with positions in `from..=to`; the settled ones among them are not here.
    pub(super) fn positions(&self, from: u64, to: u64) -> &[TailEvent] {
        let index = |position: u64| {
            usize::try_from(position.saturating_sub(self.settled + 1))
                .unwrap_or(usize::MAX)
                .min(self.events.len())
        };
        self.events.get(index(from)..index(to.saturating_add(1))).unwrap_or_default()
    }
}
