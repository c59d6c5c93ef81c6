//! Deciding appends and forks: a pure function of what is asked of [`Facts`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::commit::{Commit, Outcome, Prepared, PreparedPart};
use super::expiry::Moment;
use super::life::{BranchChange, Change, changed as changed_by};
use super::receipt::{Placed, Receipt};
use super::sidecar::{ExpectedRecord, SidecarTable, SidecarWrites};
use crate::engine::branch::Branch;
use crate::error::{Error, Result};
use crate::event::{
    Address, BranchName, Event, EventId, Expect, Invalid, MAIN, Place, Position, Record, Sequence, SessionId,
    Timestamp,
};
use crate::limits::MAX_FORK_DEPTH;

/// An event that is already recorded.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The branch that owns it, which may be deleted.
    pub(crate) branch: Arc<Branch>,
    pub(crate) sequence: u64,
    /// Its position and its record; `None` for one that its branch does not show any more.
    pub(crate) found: Option<(u64, Record)>,
}

/// What a decision may ask about the store.
pub(crate) trait Facts {
    /// The branch that had these names last, which may be deleted.
    fn branch(&self, place: &Place) -> Result<Option<Arc<Branch>>>;
    fn head(&self, branch: &Branch) -> Result<u64>;
    fn known(&self, id: EventId) -> Result<Option<Known>>;
    /// The branches of a session that are not deleted.
    fn branches_of(&self, session: &SessionId) -> Result<Vec<Arc<Branch>>>;
    fn record(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// When a branch was used last that expires, in microseconds since the epoch, as far as its row does not say.
    fn used(&self, branch: u64) -> i64;
}

fn main_of(place: &Place) -> Place {
    Place::new(place.session.clone(), BranchName::main())
}

fn closed(place: &Place, at: i64) -> Error {
    Error::BranchClosed { place: place.clone(), at: Timestamp::from_micros(at) }
}

/// What a group will write so far: its own changes on top of the store's facts.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) births: Vec<Arc<Branch>>,
    /// Branches of before whose attributes change, as they are then. One that is deleted is deleted by this.
    pub(crate) changes: Vec<Arc<Branch>>,
    /// Where each is among the changes, by number.
    changed: HashMap<u64, usize>,
    /// Sequences of each branch that it or others show, of the sessions that were looked at.
    inherited: RefCell<HashMap<SessionId, Inherited>>,
    pub(crate) events: Vec<Planned>,
    next_position: u64,
    next_branch: u64,
    now: Timestamp,
    by_place: HashMap<Place, Arc<Branch>>,
    heads: HashMap<u64, u64>,
    ids: HashMap<EventId, usize>,
    /// What commits of the group look at that expect records.
    records: ChangedRecords,
}

/// By number of the branch that owns them: sequences from one to another.
type Inherited = HashMap<u64, HashSet<(u64, u64)>>;

/// By table and key: what earlier commits of the group have made of a record, if they have changed it; `None` within for a
/// removed one.
type ChangedRecords = HashMap<SidecarTable, HashMap<Vec<u8>, Option<Option<Vec<u8>>>>>;

/// Whether the records that a commit expects are as expected.
enum Expectation {
    Met,
    /// Not met, but all the values that the commit writes are there already: it was applied before.
    Written,
    Changed(Error),
}

fn missing(place: &Place) -> Error {
    match place.branch.as_str() == MAIN {
        true => Error::not_found("session", &place.session),
        false => Error::not_found("branch", place),
    }
}

fn changed(table: SidecarTable, key: &[u8]) -> Error {
    Error::RecordChanged { record: format!("record {} of {}", key.escape_ascii(), table.name()) }
}

#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) branch: Arc<Branch>,
    pub(crate) sequence: u64,
    pub(crate) position: u64,
    pub(crate) record: Record,
}

impl Plan {
    pub(crate) fn new(next_position: u64, next_branch: u64, now: Timestamp) -> Self {
        Self {
            births: Vec::new(),
            changes: Vec::new(),
            changed: HashMap::new(),
            inherited: RefCell::default(),
            events: Vec::new(),
            next_position,
            next_branch,
            now,
            by_place: HashMap::new(),
            heads: HashMap::new(),
            ids: HashMap::new(),
            records: HashMap::new(),
        }
    }

    /// For a group of several commits: what those of them look at that expect records is remembered as the group changes it.
    pub(crate) fn looks_at<'r>(mut self, group: impl Iterator<Item = &'r SidecarWrites>) -> Self {
        for records in group.filter(|records| !records.expected().is_empty()) {
            let expected =
                records.expected().iter().map(|expected| (expected.table, expected.key.as_slice()));
            for (table, key) in expected.chain(records.rows().map(|(table, key, _)| (table, key))) {
                self.records.entry(table).or_default().insert(key.to_vec(), None);
            }
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.births.is_empty() && self.changes.is_empty() && self.events.is_empty()
    }

    /// Whether branches are not as they were before, or as they begin.
    pub(crate) fn changes_branches(&self) -> bool {
        !self.changes.is_empty() || self.births.iter().any(|branch| !branch.attributes.is_empty())
    }

    pub(crate) fn next_branch(&self) -> u64 {
        self.next_branch
    }

    /// The events as they are recorded, in global order, each with the number of its branch.
    pub(crate) fn recorded(&self) -> Vec<(u64, Event)> {
        let event = |e: &Planned| {
            let (sequence, position) = (Sequence::new(e.sequence), Position::new(e.position));
            let event = Event::new(e.branch.place.clone(), sequence, position, self.now, e.record.clone());
            (e.branch.number, event)
        };
        self.events.iter().map(event).collect()
    }

    /// The branch that had these names last, which may be deleted.
    fn branch(&self, place: &Place, facts: &impl Facts) -> Result<Option<Arc<Branch>>> {
        match self.by_place.get(place) {
            Some(branch) => Ok(Some(branch.clone())),
            None => facts.branch(place),
        }
    }

    fn head(&self, branch: &Branch, facts: &impl Facts) -> Result<u64> {
        match self.heads.get(&branch.number) {
            Some(head) => Ok(*head),
            None => facts.head(branch),
        }
    }

    fn known(&self, id: EventId, facts: &impl Facts) -> Result<Option<Known>> {
        match self.ids.get(&id).and_then(|i| self.events.get(*i)) {
            Some(e) => Ok(Some(Known {
                branch: e.branch.clone(),
                sequence: e.sequence,
                found: Some((e.position, e.record.clone())),
            })),
            None => facts.known(id),
        }
        .map(|known| known.map(|known| self.as_it_is(known)))
    }

    /// The branch as an earlier commit of the group has made it; `None` when it has not.
    fn made(&self, number: u64) -> Option<&Arc<Branch>> {
        match self.changed.get(&number) {
            Some(at) => self.changes.get(*at),
            None => self.births.get(self.birth(number)?),
        }
    }

    /// Where a branch is among those that begin: their numbers follow each other.
    fn birth(&self, number: u64) -> Option<usize> {
        let first = self.births.first()?.number;
        usize::try_from(number.checked_sub(first)?).ok().filter(|at| *at < self.births.len())
    }

    /// What an earlier commit of the group has made of its branch.
    fn as_it_is(&self, known: Known) -> Known {
        match self.made(known.branch.number) {
            Some(branch) => Known {
                found: known.found.filter(|_| branch.shows(known.sequence)),
                branch: branch.clone(),
                ..known
            },
            None => known,
        }
    }

    /// Whether a fork still has this event of a deleted branch.
    fn is_inherited(&self, known: &Known, facts: &impl Facts) -> Result<bool> {
        let session = &known.branch.place.session;
        let mut sessions = self.inherited.borrow_mut();
        if !sessions.contains_key(session) {
            let mut inherited = Inherited::new();
            let others = facts.branches_of(session)?;
            let others = others.iter().map(|branch| self.made(branch.number).unwrap_or(branch));
            let begun = self.births.iter().filter(|branch| branch.place.session == *session);
            for branch in others.chain(begun).filter(|branch| branch.deleted().is_none()) {
                for (owner, first, last) in branch.shown() {
                    inherited.entry(owner).or_default().insert((first, last));
                }
            }
            sessions.insert(session.clone(), inherited);
        }
        let shown = sessions.get(session).and_then(|inherited| inherited.get(&known.branch.number));
        let covers = |(first, last): &(u64, u64)| (*first..=*last).contains(&known.sequence);
        Ok(shown.is_some_and(|shown| shown.iter().any(covers)))
    }

    /// Adds a commit to the plan, or refuses it and leaves the plan unchanged.
    pub(crate) fn take(&mut self, commit: &Commit, facts: &impl Facts) -> Result<Outcome> {
        let outcome = self.decided(commit, facts)?;
        if let Some(records) = commit.records().filter(|_| !self.records.is_empty()) {
            for (table, key, value) in records.rows() {
                if let Some(seen) = self.records.get_mut(&table).and_then(|seen| seen.get_mut(key)) {
                    *seen = Some(value.map(<[u8]>::to_vec));
                }
            }
        }
        Ok(outcome)
    }

    fn decided(&mut self, commit: &Commit, facts: &impl Facts) -> Result<Outcome> {
        match commit {
            Commit::Append(prepared) => match prepared.records.expected() {
                [] => self.append(prepared, facts),
                [first, ..] => self.append_while(prepared, first, facts),
            }
            .map(Outcome::Appended),
            Commit::Fork { parent, at, place } => {
                self.fork(parent, *at, place.clone(), facts).map(Outcome::Forked)
            }
            Commit::Records(records) => match self.expected(records, facts)? {
                Expectation::Met | Expectation::Written => Ok(Outcome::Written),
                Expectation::Changed(error) => Err(error),
            },
            Commit::Change(changes) => self.change(changes, facts).map(Outcome::Changed),
        }
    }

    fn record(&self, table: SidecarTable, key: &[u8], facts: &impl Facts) -> Result<Option<Vec<u8>>> {
        match self.records.get(&table).and_then(|seen| seen.get(key)) {
            Some(Some(value)) => Ok(value.clone()),
            _ => facts.record(table, key),
        }
    }

    fn expected(&self, records: &SidecarWrites, facts: &impl Facts) -> Result<Expectation> {
        let mut all_met = true;
        for expected in records.expected() {
            let found = self.record(expected.table, &expected.key, facts)?;
            if found == expected.value {
                continue;
            }
            all_met = false;
            // Only a value that this commit writes is evidence that this commit wrote it.
            let own =
                records.rows().find(|(table, key, _)| (*table, *key) == (expected.table, &expected.key));
            if found.is_none() || own.is_none_or(|(_, _, value)| value != found.as_deref()) {
                return Ok(Expectation::Changed(changed(expected.table, &expected.key)));
            }
        }
        if all_met {
            return Ok(Expectation::Met);
        }
        for (table, key, value) in records.rows() {
            if self.record(table, key, facts)?.as_deref() != value {
                return Ok(Expectation::Changed(changed(table, key)));
            }
        }
        Ok(Expectation::Written)
    }

    /// Adds an append that expects records; `first` is the one to name when they have changed.
    fn append_while(
        &mut self,
        request: &Prepared,
        first: &ExpectedRecord,
        facts: &impl Facts,
    ) -> Result<Receipt> {
        let expectation = self.expected(&request.records, facts)?;
        match (self.retried(request, facts)?, expectation) {
            (None, Expectation::Met) => self.append_new(request, facts),
            (Some(receipt), Expectation::Written) => Ok(receipt),
            // It changes no record, so nothing of it can have been undone.
            (Some(receipt), Expectation::Met) if !request.records.changes() => Ok(receipt),
            // The same of one that only had to be met when it was recorded.
            (Some(receipt), Expectation::Changed(_)) if !request.records.changes() => Ok(receipt),
            (_, Expectation::Changed(error)) => Err(error),
            // A retry must not undo what others wrote since, and an append of other events is no retry.
            (Some(_), Expectation::Met) | (None, Expectation::Written) => {
                Err(changed(first.table, &first.key))
            }
        }
    }

    /// Adds an append to the plan, or refuses it and leaves the plan unchanged.
    pub(crate) fn append(&mut self, request: &Prepared, facts: &impl Facts) -> Result<Receipt> {
        match self.retried(request, facts)? {
            Some(receipt) => Ok(receipt),
            None => self.append_new(request, facts),
        }
    }

    fn append_new(&mut self, request: &Prepared, facts: &impl Facts) -> Result<Receipt> {
        let parts = match request.forks.is_empty() {
            true => self.append_parts(&request.parts, facts)?,
            false => {
                let before = self.clone();
                self.append_forking(request, facts).inspect_err(|_| *self = before)?
            }
        };
        Ok(Receipt::new(parts, false).recorded_at(self.now))
    }

    /// Forks and parts one after another: each sees what those before it did. When one is refused, the plan has those
    /// before it.
    fn append_forking(&mut self, request: &Prepared, facts: &impl Facts) -> Result<Vec<Placed>> {
        let mut placed = Vec::with_capacity(request.parts.len());
        let mut forks = request.forks.iter().peekable();
        for (n, part) in request.parts.iter().enumerate() {
            while let Some(fork) = forks.next_if(|fork| fork.after <= n) {
                self.fork(&fork.parent, Some(fork.at), fork.place.clone(), facts)?;
            }
            placed.extend(self.append_parts(std::slice::from_ref(part), facts)?);
        }
        for fork in forks {
            self.fork(&fork.parent, Some(fork.at), fork.place.clone(), facts)?;
        }
        Ok(placed)
    }

    /// Adds all parts, or none.
    fn append_parts(&mut self, request: &[PreparedPart], facts: &impl Facts) -> Result<Vec<Placed>> {
        // All checks come before any change to the plan.
        let mut heads: HashMap<&Place, (Option<Arc<Branch>>, u64)> = HashMap::new();
        let mut due = Vec::with_capacity(request.len());
        for part in request {
            if let Some(meant) = part.branch {
                self.still_has(&part.place, meant, facts)?;
            }
            let (mut main, mut before) = (None, None);
            let (branch, head) = match heads.get(&part.place) {
                Some((branch, head)) => (branch.clone(), *head),
                None => match self.branch(&part.place, facts)? {
                    Some(branch) if branch.deleted().is_none() => {
                        let head = self.head(&branch, facts)?;
                        (Some(branch), head)
                    }
                    gone if part.place.branch.as_str() == MAIN => {
                        before = gone;
                        (None, 0)
                    }
                    gone if part.expect.is_of_a_new_branch() => {
                        main = self.branch(&main_of(&part.place), facts)?;
                        before = gone;
                        (None, 0)
                    }
                    Some(gone) => return Err(gone.gone(gone.deleted().unwrap_or_default())),
                    None => return Err(Error::not_found("branch", &part.place)),
                },
            };
            if let Some(at) = branch.as_ref().and_then(|branch| branch.attributes.closed) {
                return Err(closed(&part.place, at));
            }
            if !part.expect.holds(Sequence::new(head)) {
                let (place, expected, actual) = (part.place.clone(), part.expect, Sequence::new(head));
                return Err(Error::Conflict { place, expected, actual });
            }
            heads.insert(&part.place, (branch.clone(), head + part.records.len() as u64));
            due.push((branch, (before, main), head));
        }
        let mut parts = Vec::with_capacity(request.len());
        for (part, (branch, (before, main), head)) in request.iter().zip(due) {
            // An earlier part may have created it.
            let branch = match branch.or_else(|| self.begun(&part.place)) {
                Some(branch) => branch,
                None => self.begin(&part.place, before, main),
            };
            parts.push(self.place(&branch, head, &part.records));
        }
        Ok(parts)
    }

    /// Whether the branch that is meant has these names still.
    fn still_has(&self, place: &Place, meant: u64, facts: &impl Facts) -> Result<()> {
        match self.branch(place, facts)? {
            Some(branch) if branch.number == meant => branch.is_there(),
            // It was deleted by the time that this one began.
            Some(another) => Err(another.gone(another.created)),
            None => Err(missing(place)),
        }
    }

    fn place(&mut self, branch: &Arc<Branch>, head: u64, records: &[Record]) -> Placed {
        let first_position = self.next_position;
        for (i, record) in records.iter().enumerate() {
            self.ids.insert(record.id(), self.events.len());
            self.events.push(Planned {
                branch: branch.clone(),
                sequence: head + 1 + i as u64,
                position: self.next_position,
                record: record.clone(),
            });
            self.next_position += 1;
        }
        let last = head + records.len() as u64;
        self.heads.insert(branch.number, last);
        Placed {
            place: (*branch.place).clone(),
            first: Sequence::new(head + 1),
            last: Sequence::new(last),
            first_position: Position::new(first_position),
            last_position: Position::new(self.next_position - 1),
        }
    }

    /// The original receipt, if every event is recorded exactly where this append would put it.
    fn retried(&self, request: &Prepared, facts: &impl Facts) -> Result<Option<Receipt>> {
        let mut parts = Vec::new();
        let mut fresh = false;
        let mut seen = None;
        for part in &request.parts {
            let mut placed: Option<(u64, Placed)> = None;
            for record in &part.records {
                let known = self.known(record.id(), facts)?;
                let Some(known) = known else {
                    fresh = true;
                    continue;
                };
                // The ids of a deleted branch are free again, but not while a fork has its events.
                if known.branch.deleted().is_some() && !self.is_inherited(&known, facts)? {
                    fresh = true;
                    continue;
                }
                let place = &*known.branch.place;
                let taken = || Error::Duplicate {
                    id: record.id(),
                    at: Address::from(place.clone()).at(known.sequence),
                };
                seen.get_or_insert_with(taken);
                let found = known.found.as_ref().filter(|(_, found)| found.same_content(record));
                let Some((position, _)) = found.filter(|_| !fresh && *place == part.place) else {
                    return Err(taken());
                };
                match &mut placed {
                    None => {
                        let (sequence, position) = (Sequence::new(known.sequence), Position::new(*position));
                        let new = Placed {
                            place: part.place.clone(),
                            first: sequence,
                            last: sequence,
                            first_position: position,
                            last_position: position,
                        };
                        placed = Some((known.branch.number, new));
                    }
                    Some((branch, p))
                        if *branch == known.branch.number && p.last.next().get() == known.sequence =>
                    {
                        p.last = Sequence::new(known.sequence);
                        p.last_position = Position::new(*position);
                    }
                    Some(_) => return Err(taken()),
                }
            }
            parts.extend(placed.map(|(_, p)| p));
        }
        match (fresh, seen) {
            (false, _) => Ok(Some(Receipt::new(parts, true))),
            (true, None) => Ok(None),
            (true, Some(taken)) => Err(taken),
        }
    }

    /// Adds a fork to the plan: `at` is the last sequence to inherit, by default the head.
    pub(crate) fn fork(
        &mut self,
        parent: &Place,
        at: Option<Sequence>,
        place: Place,
        facts: &impl Facts,
    ) -> Result<Arc<Branch>> {
        if place.session != parent.session {
            return Err(
                Invalid::new("branch", format!("is to be forked within session {}", parent.session)).into()
            );
        }
        let before = self.branch(&place, facts)?;
        let is_taken = before.as_ref().is_some_and(|branch| branch.deleted().is_none());
        let branch = match self.branch(parent, facts)? {
            Some(branch) if branch.deleted().is_none() => branch,
            // A session may start with a branch other than main; main is then empty.
            gone if parent.branch.as_str() == MAIN && at == Some(Sequence::ZERO) => {
                if place == *parent || is_taken {
                    return Err(Error::Exists { what: "branch", name: place.to_string() });
                }
                self.create_branch(parent.clone(), gone, None, 0)
            }
            Some(gone) => return Err(gone.gone(gone.deleted().unwrap_or_default())),
            None => return Err(Error::not_found("branch", parent)),
        };
        let head = self.head(&branch, facts)?;
        let at = at.map_or(head, Sequence::get);
        if at > head {
            let address = Address::from(parent.clone()).at(at);
            return Err(Error::not_found("event", format!("{address}: the branch ends at {head}")));
        }
        // What its parent does not have any more, nobody inherits.
        if at > 0 {
            branch.holds_from(at.saturating_add(1))?;
        }
        if is_taken {
            return Err(Error::Exists { what: "branch", name: place.to_string() });
        }
        if branch.depth >= MAX_FORK_DEPTH {
            let reason =
                format!("would be fork number {MAX_FORK_DEPTH} of a fork; promote one of its ancestors");
            return Err(Invalid::new("branch", reason).into());
        }
        Ok(self.create_branch(place, before, Some(&branch), at))
    }

    /// Adds changes of branches to the plan, all or none.
    fn change(&mut self, changes: &[BranchChange], facts: &impl Facts) -> Result<Vec<Arc<Branch>>> {
        let mut after: Vec<(Arc<Branch>, bool)> = Vec::with_capacity(changes.len());
        let mut last: HashMap<&Place, Arc<Branch>> = HashMap::new();
        for BranchChange { place, number, head: expected, what } in changes {
            let found = match last.get(place) {
                Some(branch) => Some(branch.clone()),
                None => self.branch(place, facts)?,
            };
            let is_another = |branch: &Branch| number.is_some_and(|number| number != branch.number);
            let is_gone = |branch: &Arc<Branch>| is_another(branch) || branch.deleted().is_some();
            if *what == Change::Lapse && found.as_ref().is_none_or(is_gone) {
                continue;
            }
            let branch = found.ok_or_else(|| missing(place))?;
            if is_another(&branch) {
                // Another has the name since then, so it was deleted by the time that one began.
                return Err(branch.gone(branch.created));
            }
            branch.is_there()?;
            let head = || self.head(&branch, facts);
            if let Some(expected) = *expected
                && let head = head()?
                && expected != head
            {
                let (expected, actual) = (Expect::Head(Sequence::new(expected)), Sequence::new(head));
                return Err(Error::Conflict { place: place.clone(), expected, actual });
            }
            let moment = self.moment(&branch, facts);
            let (branch, is_changed) = match changed_by(&branch, head, *what, &moment)? {
                Some(attributes) => (Arc::new(branch.with(attributes)), true),
                None => (branch, false),
            };
            last.insert(place, branch.clone());
            after.push((branch, is_changed));
        }
        after.iter().filter(|(_, is_changed)| *is_changed).for_each(|(branch, _)| self.put(branch));
        Ok(after.into_iter().map(|(branch, _)| branch).collect())
    }

    /// What is appended to it in this group uses it now.
    fn moment(&self, branch: &Branch, facts: &impl Facts) -> Moment {
        let wall = Timestamp::now();
        let is_used =
            branch.attributes.idle.is_some() && self.events.iter().any(|e| e.branch.number == branch.number);
        let used = if is_used { wall.micros() } else { facts.used(branch.number) };
        Moment { now: self.now, wall, used }
    }

    /// A branch with other attributes than before.
    fn put(&mut self, branch: &Arc<Branch>) {
        self.by_place.insert((*branch.place).clone(), branch.clone());
        self.inherited.get_mut().remove(&branch.place.session);
        let birth = self.birth(branch.number).and_then(|at| self.births.get_mut(at));
        let known = self.changed.get(&branch.number);
        if let Some(known) = birth.or_else(|| self.changes.get_mut(*known?)) {
            *known = branch.clone();
        } else {
            self.changed.insert(branch.number, self.changes.len());
            self.changes.push(branch.clone());
        }
    }

    /// A branch that this group has made or looked at, unless it is deleted.
    fn begun(&self, place: &Place) -> Option<Arc<Branch>> {
        self.by_place.get(place).filter(|branch| branch.deleted().is_none()).cloned()
    }

    /// A branch that begins with its first append, as if it had been forked from an empty `main`. `before` had its name, and
    /// `main` is the last that had the name of the session's main branch, if there was one.
    fn begin(
        &mut self,
        place: &Place,
        before: Option<Arc<Branch>>,
        main: Option<Arc<Branch>>,
    ) -> Arc<Branch> {
        if place.branch.as_str() == MAIN {
            return self.create_branch(place.clone(), before, None, 0);
        }
        let name = main_of(place);
        let is_there = main.as_ref().is_some_and(|main| main.deleted().is_none());
        let main = match self.begun(&name).or_else(|| main.clone().filter(|_| is_there)) {
            Some(main) => main,
            None => self.create_branch(name, main, None, 0),
        };
        self.create_branch(place.clone(), before, Some(&main), 0)
    }

    /// `before` had its name, and is deleted.
    fn create_branch(
        &mut self,
        place: Place,
        before: Option<Arc<Branch>>,
        parent: Option<&Branch>,
        fork: u64,
    ) -> Arc<Branch> {
        let row = crate::codec::BranchRow {
            place: place.clone(),
            parent: parent.map(|p| p.number),
            fork,
            created: self.now.micros(),
            attributes: crate::codec::Attributes {
                incarnation: before.map_or(0, |before| before.attributes.incarnation.saturating_add(1)),
                truncated: parent.map_or(0, |parent| parent.attributes.truncated.min(fork)),
                ..crate::codec::Attributes::default()
            },
        };
        let branch = Arc::new(Branch::new(self.next_branch, row, parent));
        self.next_branch += 1;
        self.heads.insert(branch.number, fork);
        self.inherited.get_mut().remove(&place.session);
        self.by_place.insert(place, branch.clone());
        self.births.push(branch.clone());
        branch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Attributes, BranchRow, encode_record};
    use crate::engine::commit::PreparedFork;
    use crate::engine::durability::Durability;
    use crate::event::NewEvent;

    struct Fake(Arc<Branch>);

    impl Facts for Fake {
        fn branch(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
            match place.to_string().as_str() {
                "s" | "s/main" => Ok(Some(self.0.clone())),
                "t" | "t/main" => Err(Error::corrupt("t", "its line is damaged")),
                _ => Ok(None),
            }
        }
        fn head(&self, _: &Branch) -> Result<u64> {
            Ok(0)
        }
        fn known(&self, _: EventId) -> Result<Option<Known>> {
            Ok(None)
        }
        fn branches_of(&self, _: &SessionId) -> Result<Vec<Arc<Branch>>> {
            Ok(Vec::new())
        }
        fn record(&self, _: SidecarTable, _: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn used(&self, _: u64) -> i64 {
            i64::MIN
        }
    }

    #[test]
    fn forks_begin_with_what_is_appended_to_them_or_not_at_all() {
        let place = |a: &str| a.parse::<Address>().unwrap().place().clone();
        let part = |a: &str, head: u64, count: usize| PreparedPart {
            place: place(a),
            expect: Expect::Head(Sequence::new(head)),
            branch: None,
            records: (0..count).map(|_| encode_record(&NewEvent::new("a.b"), 1000).unwrap()).collect(),
        };
        let fork = |after, parent: &str, at: u64, name: &str| PreparedFork {
            after,
            parent: place(parent),
            at: Sequence::new(at),
            place: place(name),
        };
        let request = |forks| Prepared {
            parts: vec![part("u", 0, 3), part("u/a", 2, 1), part("u/b", 3, 1)],
            forks,
            durability: Durability::Durable,
            bytes: 0,
            records: SidecarWrites::new(),
        };
        let row = |a: &str| BranchRow {
            place: place(a),
            parent: None,
            fork: 0,
            created: 0,
            attributes: Attributes::default(),
        };
        let facts = Fake(Arc::new(Branch::new(1, row("s"), None)));
        let mut plan = Plan::new(1, 2, Timestamp::from_micros(0));
        let receipt = plan
            .append(
                &request(vec![fork(1, "u", 2, "u/a"), fork(2, "u/a", 3, "u/b"), fork(3, "u", 0, "u/c")]),
                &facts,
            )
            .unwrap();
        let ends: Vec<u64> = receipt.parts().iter().map(|part| part.last.get()).collect();
        assert_eq!((ends, plan.births.len(), plan.events.len()), (vec![3, 3, 4], 4, 5));
        // The last fork is of what its parent does not have; another has a name that is taken by then.
        for bad in [fork(3, "u", 4, "u/c"), fork(3, "u", 1, "u/a")] {
            let mut plan = Plan::new(1, 2, Timestamp::from_micros(0));
            let forks = vec![fork(1, "u", 2, "u/a"), fork(2, "u/a", 3, "u/b"), bad];
            let refused = plan.append(&request(forks), &facts);
            assert!(refused.is_err() && plan.is_empty() && plan.next_branch() == 2, "{refused:?}");
        }
    }

    #[test]
    fn an_append_that_is_refused_late_leaves_nothing_in_the_plan() {
        let place = |a: &str| a.parse::<Address>().unwrap().place().clone();
        let row = BranchRow {
            place: place("s"),
            parent: None,
            fork: 0,
            created: 0,
            attributes: Attributes::default(),
        };
        let facts = Fake(Arc::new(Branch::new(1, row, None)));
        let part = |a: &str, expect| PreparedPart {
            place: place(a),
            expect,
            branch: None,
            records: vec![encode_record(&NewEvent::new("a.b"), 1000).unwrap()],
        };
        let request = Prepared {
            parts: vec![part("s", Expect::Any), part("t/new", Expect::Empty)],
            forks: Vec::new(),
            durability: Durability::Durable,
            bytes: 0,
            records: SidecarWrites::new(),
        };
        let mut plan = Plan::new(1, 2, Timestamp::from_micros(0));
        let refused = plan.append(&request, &facts);
        assert!(refused.is_err() && plan.is_empty());
    }
}
