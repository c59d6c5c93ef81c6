//! The tail: everything that is in the journal and not flushed yet, decoded. It has at most two layers: the one that
//! grows, and one under it that is being flushed and no longer changes.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::layer::{Layer, TailEvent};
use crate::codec::StoreCounts;
use crate::engine::branch::Branch;
use crate::engine::file::record_layer::Changes;
use crate::engine::sidecar::SidecarTable;
use crate::event::{Event, EventId, Place};

/// Its positions are dense: `flushed + 1 ..= committed`.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    flushing: Option<Arc<Layer>>,
    growing: Layer,
    /// No flushed event has a larger id.
    max_flushed_id: Option<EventId>,
    /// Counts of what the tables hold.
    flushed_counts: StoreCounts,
    /// How often events left the tail.
    flushes: u64,
}

/// What a reader needs from the tail, copied under one lock.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// The branch's first sequence in the tail, if it has any: everything before is flushed.
    pub(crate) first: Option<u64>,
    pub(crate) events: Vec<Event>,
}

impl Tail {
    pub(crate) fn new(flushed: u64, flushed_counts: StoreCounts) -> Self {
        Self { growing: Layer::new(flushed), flushed_counts, ..Self::default() }
    }

    /// Notes that no flushed event has a larger id.
    pub(crate) fn with_max_flushed_id(self, max_flushed_id: Option<EventId>) -> Self {
        Self { max_flushed_id, ..self }
    }

    /// So much was removed from the tables.
    pub(crate) fn removed(&mut self, counts: StoreCounts) {
        self.flushed_counts = self.flushed_counts.minus(counts);
    }

    pub(crate) fn flushed_counts(&self) -> StoreCounts {
        self.flushed_counts
    }

    /// Counts of the tables and the tail together.
    pub(crate) fn counts(&self) -> StoreCounts {
        self.layers().fold(self.flushed_counts, |counts, layer| layer.added_to(counts))
    }

    /// Its layers, oldest first.
    pub(crate) fn layers(&self) -> impl DoubleEndedIterator<Item = &Layer> {
        self.flushing.as_deref().into_iter().chain([&self.growing])
    }

    /// The layer that takes new events.
    pub(crate) fn growing(&self) -> &Layer {
        &self.growing
    }

    pub(crate) fn growing_mut(&mut self) -> &mut Layer {
        &mut self.growing
    }

    /// The last flushed position.
    pub(crate) fn flushed(&self) -> u64 {
        self.flushing.as_deref().unwrap_or(&self.growing).base()
    }

    /// The last committed position.
    pub(crate) fn committed(&self) -> u64 {
        self.growing.last()
    }

    pub(crate) fn len(&self) -> usize {
        self.layers().map(|l| l.events().len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers().all(Layer::is_empty)
    }

    pub(crate) fn max_flushed_id(&self) -> Option<EventId> {
        self.max_flushed_id
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.flushes
    }

    pub(crate) fn births(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.layers().flat_map(Layer::births)
    }

    /// Branches of before whose attributes have changed; some more than once, as they are now last.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.layers().flat_map(Layer::changes)
    }

    /// The branch with these names, if it is not as the tables have it.
    pub(crate) fn named(&self, place: &Place) -> Option<&Arc<Branch>> {
        self.layers().rev().find_map(|l| l.named(place))
    }

    /// The branch with this number, if the tables do not have it.
    pub(crate) fn born(&self, number: u64) -> Option<&Arc<Branch>> {
        self.layers().find_map(|l| l.born(number))
    }

    /// The branch with this number, if it is not as the tables have it.
    pub(crate) fn numbered(&self, number: u64) -> Option<&Arc<Branch>> {
        self.layers().rev().find_map(|l| l.numbered(number))
    }

    /// Whether any branch has changed.
    pub(crate) fn has_changes(&self) -> bool {
        // One that began in the tail is there as it is now.
        let has_changed = |branch: &Arc<Branch>| !branch.attributes.is_empty();
        self.layers().any(|l| l.changes().next().is_some() || l.births().any(has_changed))
    }

    /// The branch's last sequence, if the tail has any event of it.
    pub(crate) fn head(&self, branch: u64) -> Option<u64> {
        self.layers().rev().find_map(|l| Some(l.part(branch)?.last()))
    }

    /// The branch's last event, if the tail has any.
    pub(crate) fn last_event(&self, branch: u64) -> Option<&Event> {
        self.layers().rev().find_map(|l| l.last_event(branch))
    }

    /// What has become of a record, if the tail knows; `None` within for one that was removed.
    pub(crate) fn record(&self, table: SidecarTable, key: &[u8]) -> Option<Option<&Bytes>> {
        self.layers().rev().find_map(|l| l.records().get(table, key))
    }

    /// What has become of the records of a table between two keys.
    pub(crate) fn records_between(
        &self,
        table: SidecarTable,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Changes {
        let changed = self.layers().flat_map(|l| l.records().between(table, range));
        changed.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn by_id(&self, id: EventId) -> Option<&TailEvent> {
        self.layers().rev().find_map(|l| l.by_id(id))
    }

    /// Ids of events from one to another, in any order, each with the branch and the sequence of its event.
    pub(crate) fn ids_between(&self, from: EventId, to: EventId) -> Vec<(EventId, u64, u64)> {
        let events = self.layers().flat_map(|l| l.ids_between(from, to));
        events.map(|e| (e.event.id(), e.branch, e.event.sequence().get())).collect()
    }

    /// Up to `limit` events of a branch with sequences in `from..=to`, from either end.
    pub(crate) fn slice(&self, branch: u64, from: u64, to: u64, limit: usize, reverse: bool) -> Slice {
        let Some(first) = self.layers().find_map(|l| Some(l.part(branch)?.first)) else {
            return Slice::default();
        };
        let found = self.layers().flat_map(|l| l.between(branch, from, to));
        let events = if reverse {
            found.rev().take(limit).cloned().collect()
        } else {
            // A forward reader reads the flushed part first, which uses up some of the limit.
            let before = usize::try_from(first.saturating_sub(from)).unwrap_or(usize::MAX);
            found.take(limit.saturating_sub(before)).cloned().collect()
        };
        Slice { first: Some(first), events }
    }

    /// Events with positions in `from..=to`, except the flushed ones.
    pub(crate) fn positions(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &TailEvent> {
        self.layers().flat_map(move |l| l.positions(from, to))
    }

    /// Takes what has grown, to be flushed; a new layer grows on top.
    pub(crate) fn freeze(&mut self) -> Arc<Layer> {
        debug_assert!(self.flushing.is_none(), "one layer is flushed at a time");
        let next = Layer::new(self.growing.last());
        let layer = Arc::new(std::mem::replace(&mut self.growing, next));
        self.flushing = Some(layer.clone());
        layer
    }

    /// Removes the frozen layer, which is in the tables now.
    pub(crate) fn thaw(&mut self) -> Option<Arc<Layer>> {
        let layer = self.flushing.take()?;
        self.max_flushed_id = self.max_flushed_id.max(layer.max_id());
        self.flushed_counts = layer.added_to(self.flushed_counts);
        self.flushes += 1;
        Some(layer)
    }

    /// Removes everything, which is in the tables up to this position. Returns what to drop outside of any lock.
    pub(crate) fn clear(
        &mut self,
        flushed: u64,
        max_flushed_id: Option<EventId>,
        flushed_counts: StoreCounts,
    ) -> Self {
        let next = Self::new(flushed, flushed_counts).with_max_flushed_id(max_flushed_id);
        let next = Self { flushes: self.flushes + 1, ..next };
        std::mem::replace(self, next)
    }
}
