//! One layer of the tail: consecutive events of the journal, decoded, by branch and in global order, and the records that
//! were written beside them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::codec::StoreCounts;
use crate::engine::branch::Branch;
use crate::engine::file::record_layer::RecordLayer;
use crate::event::{Event, EventId, Place};

/// An event with the number of its branch.
#[derive(Clone, Debug)]
pub(crate) struct TailEvent {
    pub(crate) branch: u64,
    pub(crate) event: Event,
}

/// One branch's events in a layer: consecutive sequences from `first`.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) first: u64,
    /// Indexes into [`Layer::events`].
    places: Vec<u32>,
}

impl Part {
    pub(crate) fn last(&self) -> u64 {
        self.first + self.places.len() as u64 - 1
    }
}

/// Its positions are dense: `base + 1 ..= last`.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    base: u64,
    events: Vec<TailEvent>,
    bytes: usize,
    counts: StoreCounts,
    /// Counts of what was deleted.
    gone: StoreCounts,
    parts: HashMap<u64, Part>,
    ids: HashMap<EventId, u32>,
    births: BTreeMap<u64, Arc<Branch>>,
    /// Branches of before this layer whose attributes have changed, as they are now.
    changes: BTreeMap<u64, Arc<Branch>>,
    by_place: HashMap<Place, Arc<Branch>>,
    records: RecordLayer,
}

impl Layer {
    pub(crate) fn new(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// The position before its first event.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Its last position.
    pub(crate) fn last(&self) -> u64 {
        self.base + self.events.len() as u64
    }

    /// Bytes of its events and records.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.records.bytes()
    }

    pub(crate) fn records(&self) -> &RecordLayer {
        &self.records
    }

    pub(crate) fn records_mut(&mut self) -> &mut RecordLayer {
        &mut self.records
    }

    /// These counts, and those of this layer.
    pub(crate) fn added_to(&self, counts: StoreCounts) -> StoreCounts {
        counts.plus(self.counts).minus(self.gone)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.births.is_empty() && self.changes.is_empty() && self.records.is_empty()
    }

    pub(crate) fn events(&self) -> &[TailEvent] {
        &self.events
    }

    pub(crate) fn births(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.births.values()
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.changes.values()
    }

    /// The branch with these names, if it began or changed in this layer.
    pub(crate) fn named(&self, place: &Place) -> Option<&Arc<Branch>> {
        self.by_place.get(place)
    }

    /// The branch with this number, if it began in this layer.
    pub(crate) fn born(&self, number: u64) -> Option<&Arc<Branch>> {
        self.births.get(&number)
    }

    /// The branch with this number, if it began or changed in this layer.
    pub(crate) fn numbered(&self, number: u64) -> Option<&Arc<Branch>> {
        self.births.get(&number).or_else(|| self.changes.get(&number))
    }

    pub(crate) fn add_birth(&mut self, branch: Arc<Branch>) {
        self.counts.add_branch(branch.parent.is_some());
        if branch.deleted().is_some() {
            self.gone.add_branch(branch.parent.is_some());
        }
        self.name(&branch);
        self.births.insert(branch.number, branch);
    }

    /// Adds a branch whose attributes have changed.
    /// `deletes` says that it was not deleted before, and is now.
    pub(crate) fn add_change(&mut self, branch: Arc<Branch>, deletes: bool) {
        if deletes {
            self.gone.add_branch(branch.parent.is_some());
        }
        self.name(&branch);
        match self.births.get_mut(&branch.number) {
            Some(birth) => *birth = branch,
            None => drop(self.changes.insert(branch.number, branch)),
        }
    }

    /// Its names lead to it, unless a later branch has them.
    fn name(&mut self, branch: &Arc<Branch>) {
        let named = self.by_place.entry((*branch.place).clone()).or_insert_with(|| branch.clone());
        if named.number <= branch.number {
            *named = branch.clone();
        }
    }

    /// Adds the next event in global order.
    pub(crate) fn push(&mut self, branch: u64, event: Event) {
        debug_assert_eq!(event.position().get(), self.last() + 1, "positions are dense");
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

    pub(crate) fn part(&self, branch: u64) -> Option<&Part> {
        self.parts.get(&branch)
    }

    /// The branch's last event in this layer.
    pub(crate) fn last_event(&self, branch: u64) -> Option<&Event> {
        self.event_at(*self.parts.get(&branch)?.places.last()?).map(|e| &e.event)
    }

    pub(crate) fn by_id(&self, id: EventId) -> Option<&TailEvent> {
        self.event_at(*self.ids.get(&id)?)
    }

    /// The events with ids from one to another, in any order.
    pub(crate) fn ids_between(&self, from: EventId, to: EventId) -> impl Iterator<Item = &TailEvent> {
        let within = self.ids.iter().filter(move |(id, _)| from <= **id && **id <= to);
        within.filter_map(|(_, place)| self.event_at(*place))
    }

    pub(crate) fn max_id(&self) -> Option<EventId> {
        self.ids.keys().max().copied()
    }

    fn event_at(&self, place: u32) -> Option<&TailEvent> {
        self.events.get(place as usize)
    }

    /// The branch's events with sequences in `from..=to`.
    pub(crate) fn between(&self, branch: u64, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Event> {
        let places = self.parts.get(&branch).map_or(&[][..], |part| {
            let index = |sequence: u64| {
                usize::try_from(sequence.saturating_sub(part.first))
                    .unwrap_or(usize::MAX)
                    .min(part.places.len())
            };
            part.places.get(index(from)..index(to.saturating_add(1))).unwrap_or_default()
        });
        places.iter().filter_map(|place| self.event_at(*place)).map(|e| &e.event)
    }

    /// Events with positions in `from..=to`.
    pub(crate) fn positions(&self, from: u64, to: u64) -> &[TailEvent] {
        let index = |position: u64| {
            usize::try_from(position.saturating_sub(self.base + 1))
                .unwrap_or(usize::MAX)
                .min(self.events.len())
        };
        self.events.get(index(from)..index(to.saturating_add(1))).unwrap_or_default()
    }
}
