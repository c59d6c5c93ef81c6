//! What the memory engine keeps: plain maps and lists.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::engine::branch::Branch;
use crate::engine::decide::{Facts, Known, Plan};
use crate::engine::get::End;
use crate::engine::sidecar::{SidecarTable, SidecarWrites};
use crate::error::Result;
use crate::event::{BranchName, Event, EventId, Place, SessionId, Timestamp};

#[derive(Debug, Default)]
pub(super) struct State {
    branches: Vec<Arc<Branch>>,
    sessions: BTreeMap<SessionId, BTreeMap<BranchName, Arc<Branch>>>,
    /// The events that each branch owns.
    own: HashMap<u64, Vec<Event>>,
    /// Every event in global order, with the number of its branch.
    order: Vec<(u64, Event)>,
    by_id: HashMap<EventId, usize>,
    records: BTreeMap<(SidecarTable, Vec<u8>), Vec<u8>>,
    pub(super) payload_bytes: u64,
}

impl State {
    pub(super) fn committed(&self) -> u64 {
        self.order.len() as u64
    }

    /// When the latest event was recorded.
    pub(super) fn recorded(&self) -> Timestamp {
        self.order.last().map_or(Timestamp::from_micros(i64::MIN), |(_, event)| event.recorded())
    }

    pub(super) fn next_branch(&self) -> u64 {
        self.branches.len() as u64 + 1
    }

    /// Applies a plan and returns its events.
    pub(super) fn apply(&mut self, plan: &Plan) -> Vec<(u64, Event)> {
        for branch in &plan.births {
            self.branches.push(branch.clone());
            let (session, name) = (branch.place.session.clone(), branch.place.branch.clone());
            self.sessions.entry(session).or_default().insert(name, branch.clone());
        }
        let new = plan.recorded();
        for (branch, event) in &new {
            self.payload_bytes += event.payload().len() as u64;
            self.by_id.insert(event.id(), self.order.len());
            self.own.entry(*branch).or_default().push(event.clone());
            self.order.push((*branch, event.clone()));
        }
        new
    }

    pub(super) fn write(&mut self, records: &SidecarWrites) {
        for (table, key, value) in records.rows() {
            match value {
                Some(value) => drop(self.records.insert((table, key.to_vec()), value.to_vec())),
                None => drop(self.records.remove(&(table, key.to_vec()))),
            }
        }
    }

    pub(super) fn row(&self, table: SidecarTable, key: &[u8]) -> Option<&Vec<u8>> {
        self.records.get(&(table, key.to_vec()))
    }

    /// Records of a table from a key on.
    pub(super) fn records_from(
        &self,
        table: SidecarTable,
        from: Bound<&[u8]>,
    ) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        let from = from.map(|key| (table, key.to_vec()));
        let rows = self.records.range((from, Bound::Unbounded));
        rows.take_while(move |((of, _), _)| *of == table).map(|((_, key), value)| (key, value))
    }

    pub(super) fn find(&self, place: &Place) -> Option<&Arc<Branch>> {
        self.sessions.get(&place.session)?.get(&place.branch)
    }

    /// Names of the sessions after this one.
    pub(super) fn sessions_after(&self, after: Option<&SessionId>) -> impl Iterator<Item = &SessionId> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.sessions.range::<SessionId, _>((after, Bound::Unbounded)).map(|(session, _)| session)
    }

    /// The branches of a session, by name.
    pub(super) fn branches_of(&self, session: &SessionId) -> impl Iterator<Item = &Arc<Branch>> {
        self.sessions.get(session).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn numbered(&self, number: u64) -> Option<&Arc<Branch>> {
        self.branches.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(super) fn own(&self, number: u64) -> &[Event] {
        self.own.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn end(&self, branch: &Branch) -> End {
        self.own(branch.number).last().map_or(End::of_nothing(branch), End::at)
    }

    /// The event of a branch's history with this sequence.
    pub(super) fn at(&self, branch: &Branch, sequence: u64) -> Option<&Event> {
        let segment = branch.lineage.iter().find(|s| (s.first..=s.last).contains(&sequence))?;
        self.own(segment.branch).get(usize::try_from(sequence - segment.first).ok()?)
    }

    pub(super) fn position(&self, position: u64) -> Option<&(u64, Event)> {
        self.order.get(usize::try_from(position).ok()?.checked_sub(1)?)
    }

    pub(super) fn by_id(&self, id: EventId) -> Option<&(u64, Event)> {
        self.by_id.get(&id).and_then(|i| self.order.get(*i))
    }

    pub(super) fn branch_count(&self) -> u64 {
        self.branches.len() as u64
    }

    pub(super) fn session_count(&self) -> u64 {
        self.sessions.len() as u64
    }
}

impl Facts for State {
    fn branch(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        Ok(self.find(place).cloned())
    }

    fn head(&self, branch: &Branch) -> Result<u64> {
        Ok(self.end(branch).head)
    }

    fn known(&self, id: EventId) -> Result<Option<Known>> {
        Ok(self.by_id(id).map(|(branch, event)| Known {
            branch: *branch,
            place: event.place().clone(),
            sequence: event.sequence().get(),
            position: event.position().get(),
            record: event.record().clone(),
        }))
    }

    fn record(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.row(table, key).cloned())
    }
}
