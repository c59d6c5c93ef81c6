//! What the memory engine keeps: plain maps and lists.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::engine::branch::Branch;
use crate::engine::decide::{Facts, Known, Plan};
use crate::engine::get::{End, NamesFound};
use crate::engine::gone_ids::GoneIds;
use crate::engine::life::KeptOf;
use crate::engine::reaper::Reaper;
use crate::engine::sidecar::{SidecarTable, SidecarWrites};
use crate::error::Result;
use crate::event::{BranchName, Event, EventId, Place, SessionId, Timestamp};

/// An event in the global order.
#[derive(Debug)]
pub(super) struct Entry {
    branch: u64,
    sequence: u64,
    recorded: Timestamp,
    /// `None` once it is removed.
    event: Option<Event>,
}

#[derive(Debug)]
pub(super) struct State {
    branches: Vec<Arc<Branch>>,
    /// The last branch that had each name, which may be deleted.
    sessions: BTreeMap<SessionId, BTreeMap<BranchName, Arc<Branch>>>,
    /// The events that each branch owns: where they are in the global order.
    own: HashMap<u64, Vec<usize>>,
    /// Every event in global order.
    order: Vec<Entry>,
    by_id: BTreeMap<EventId, usize>,
    records: BTreeMap<(SidecarTable, Vec<u8>), Vec<u8>>,
    pub(super) payload_bytes: u64,
    reaper: Arc<Reaper>,
}

impl State {
    pub(super) fn new(reaper: Arc<Reaper>) -> Self {
        Self {
            branches: Vec::new(),
            sessions: BTreeMap::new(),
            own: HashMap::new(),
            order: Vec::new(),
            by_id: BTreeMap::new(),
            records: BTreeMap::new(),
            payload_bytes: 0,
            reaper,
        }
    }

    pub(super) fn committed(&self) -> u64 {
        self.order.len() as u64
    }

    /// When the latest event was recorded.
    pub(super) fn recorded(&self) -> Timestamp {
        self.order.last().map_or(Timestamp::from_micros(i64::MIN), |entry| entry.recorded)
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
        for branch in &plan.changes {
            self.change(branch);
        }
        let new = plan.recorded();
        for (branch, event) in &new {
            self.payload_bytes += event.payload().len() as u64;
            self.by_id.insert(event.id(), self.order.len());
            self.own.entry(*branch).or_default().push(self.order.len());
            self.order.push(Entry {
                branch: *branch,
                sequence: event.sequence().get(),
                recorded: event.recorded(),
                event: Some(event.clone()),
            });
        }
        new
    }

    fn change(&mut self, branch: &Arc<Branch>) {
        let place = usize::try_from(branch.number).ok().and_then(|number| number.checked_sub(1));
        if let Some(kept) = place.and_then(|place| self.branches.get_mut(place)) {
            *kept = branch.clone();
        }
        let named = self.sessions.get_mut(&branch.place.session);
        if let Some(named) = named.and_then(|names| names.get_mut(&branch.place.branch))
            && named.number == branch.number
        {
            *named = branch.clone();
        }
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

    /// The last branch that had this name.
    pub(super) fn find(&self, place: &Place) -> Option<&Arc<Branch>> {
        self.sessions.get(&place.session)?.get(&place.branch)
    }

    /// Names of the sessions after this one.
    pub(super) fn sessions_after(&self, after: Option<&SessionId>) -> impl Iterator<Item = &SessionId> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let sessions = self.sessions.range::<SessionId, _>((after, Bound::Unbounded));
        let is_there =
            |names: &BTreeMap<BranchName, Arc<Branch>>| names.values().any(|b| b.deleted().is_none());
        sessions.filter(move |(_, names)| is_there(names)).map(|(session, _)| session)
    }

    /// Up to `limit` names of sessions, or of the branches of one, after this name, out of so many branches.
    pub(super) fn some_names(
        &self,
        of: Option<&SessionId>,
        after: Option<&str>,
        limit: usize,
        rows: usize,
    ) -> NamesFound {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (sessions, branches) = match of.map(SessionId::as_str) {
            Some(of) => ((Bound::Included(of), Bound::Included(of)), (after, Bound::Unbounded)),
            None => ((after, Bound::Unbounded), (Bound::Unbounded, Bound::Unbounded)),
        };
        let (mut found, mut left) = (NamesFound::default(), rows);
        for (session, names) in self.sessions.range::<str, _>(sessions) {
            for (branch, row) in names.range::<str, _>(branches) {
                if found.names.len() == limit {
                    return found;
                }
                if left == 0 {
                    return NamesFound { is_cut: true, ..found };
                }
                left -= 1;
                if row.deleted().is_some() {
                    continue;
                }
                match of {
                    Some(_) => found.names.push(branch.to_string()),
                    None => {
                        found.names.push(session.to_string());
                        break;
                    }
                }
            }
        }
        found
    }

    /// The branches of a session that are not deleted, by name.
    pub(super) fn branches_of(&self, session: &SessionId) -> impl Iterator<Item = &Arc<Branch>> {
        let all = self.sessions.get(session).into_iter().flat_map(BTreeMap::values);
        all.filter(|branch| branch.deleted().is_none())
    }

    pub(super) fn numbered(&self, number: u64) -> Option<&Arc<Branch>> {
        self.branches.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The branch as it is now: whoever asks may have it from before it was changed.
    pub(super) fn as_it_is<'a>(&'a self, branch: &'a Branch) -> &'a Branch {
        self.numbered(branch.number).map_or(branch, |now| now)
    }

    /// The events that a branch owns and shows, of these positions and in their order.
    pub(super) fn own(&self, branch: &Branch, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Event> {
        let own = self.own.get(&branch.number).map(Vec::as_slice).unwrap_or_default();
        let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let first = own.partition_point(|at| at.saturating_add(1) < index(from));
        let end = own.partition_point(|at| at.saturating_add(1) <= index(to));
        let shown = own.get(first..end).unwrap_or_default().iter();
        shown
            .filter_map(|at| self.order.get(*at)?.event.as_ref())
            .filter(|e| branch.shows(e.sequence().get()))
    }

    pub(super) fn end(&self, branch: &Branch) -> End {
        let nothing = End::of_nothing(self.as_it_is(branch));
        let last = self.own.get(&branch.number).and_then(|own| own.last());
        let Some((at, entry)) = last.and_then(|at| Some((*at, self.order.get(*at)?))) else { return nothing };
        End {
            head: entry.sequence,
            position: at as u64 + 1,
            recorded: Some(entry.recorded.micros()),
            ..nothing
        }
    }

    /// The event of a branch's history with this sequence.
    pub(super) fn at(&self, branch: &Branch, sequence: u64) -> Option<&Event> {
        let segment = branch.lineage.iter().find(|s| (s.first..=s.last).contains(&sequence))?;
        let at = self.own.get(&segment.branch)?.get(usize::try_from(sequence - segment.first).ok()?)?;
        self.order.get(*at)?.event.as_ref()
    }

    /// The event at a position, unless it is gone.
    pub(super) fn position(&self, position: u64) -> Option<(&Arc<Branch>, &Event)> {
        self.shown(usize::try_from(position).ok()?.checked_sub(1)?)
    }

    fn shown(&self, at: usize) -> Option<(&Arc<Branch>, &Event)> {
        let entry = self.order.get(at)?;
        let branch = self.numbered(entry.branch).filter(|branch| branch.shows(entry.sequence))?;
        Some((branch, entry.event.as_ref()?))
    }

    pub(super) fn by_id(&self, id: EventId) -> Option<&Event> {
        self.shown(*self.by_id.get(&id)?).map(|(_, event)| event)
    }

    /// Ids of events that are there, from one to another.
    pub(super) fn ids_between(&self, from: EventId, to: EventId, limit: usize) -> Result<Vec<EventId>> {
        let (mut found, mut gone) = (Vec::new(), GoneIds::default());
        // A range that ends before it begins is none.
        for (id, at) in (from <= to).then(|| self.by_id.range(from..=to)).into_iter().flatten() {
            if found.len() == limit {
                break;
            }
            match self.shown(*at) {
                Some(_) => found.push(*id),
                None => gone.count()?,
            }
        }
        Ok(found)
    }

    pub(super) fn branch_count(&self) -> u64 {
        self.branches.iter().filter(|branch| branch.deleted().is_none()).count() as u64
    }

    pub(super) fn session_count(&self) -> u64 {
        let there = self.branches.iter().filter(|branch| branch.deleted().is_none());
        there.filter(|branch| branch.parent.is_none()).count() as u64
    }

    /// Removes what no branch has any more. Answers with how many events, and bytes of them.
    pub(super) fn purge(&mut self) -> (u64, u64) {
        let (mut events, mut bytes) = (0, 0);
        let gone = self.branches.iter().filter(|b| b.deleted().is_some() || b.first() > 1);
        let mut kept = KeptOf::default();
        self.branches.iter().filter(|b| b.deleted().is_none()).for_each(|b| kept.add(b));
        for branch in gone.cloned().collect::<Vec<_>>() {
            let kept = kept.of(branch.number);
            for at in self.own.get(&branch.number).into_iter().flatten() {
                let Some(entry) = self.order.get_mut(*at).filter(|entry| !kept.has(entry.sequence)) else {
                    continue;
                };
                let Some(event) = entry.event.take() else { continue };
                events += 1;
                bytes += event.record().encoded().len() as u64;
                self.payload_bytes = self.payload_bytes.saturating_sub(event.payload().len() as u64);
                if branch.deleted().is_some() && self.by_id.get(&event.id()) == Some(at) {
                    self.by_id.remove(&event.id());
                }
            }
        }
        (events, bytes)
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
        let Some(entry) = self.by_id.get(&id).and_then(|i| self.order.get(*i)) else { return Ok(None) };
        let Some(branch) = self.numbered(entry.branch).cloned() else { return Ok(None) };
        let shown = entry.event.as_ref().filter(|_| branch.shows(entry.sequence));
        let found = shown.map(|event| (event.position().get(), event.record().clone()));
        Ok(Some(Known { branch, sequence: entry.sequence, found }))
    }

    fn branches_of(&self, session: &SessionId) -> Result<Vec<Arc<Branch>>> {
        Ok(Self::branches_of(self, session).cloned().collect())
    }

    fn record(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.row(table, key).cloned())
    }

    fn used(&self, branch: u64) -> i64 {
        self.reaper.last_use(branch)
    }
}
