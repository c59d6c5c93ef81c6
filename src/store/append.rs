//! What an append asks for and what it is answered, and the decision between the two: a pure function of the heads
//! and ids as they stand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::branch::Branch;
use super::marks::Marks;
use crate::codec::encode_record;
use crate::error::{Error, Result};
use crate::event::{
    Address, EventId, Expect, Invalid, MAIN, NewEvent, Place, Position, Record, Sequence, Timestamp,
};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_FORK_DEPTH};
use crate::schema::Guard;

/// When an append is answered, and what a crash may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the storage has synced it: an acknowledged event survives a crash of the process, of the system, and
    /// a power cut.
    #[default]
    Durable,
    /// As soon as it is ordered and readable. It is made durable by the next durable commit, by closing, or within
    /// 100 ms. Until then a crash of the process, of the system or a power cut may take it, and everything after
    /// it: what is lost is always the end of the store, never a hole. Its positions are then given again.
    Relaxed,
}

/// Several appends, to one or more branches of one or more sessions, that are recorded all or not at all.
///
/// ```
/// use retold::{Batch, Expect, NewEvent, Store};
/// let store = Store::in_memory()?;
/// let receipt = store.append_batch(
///     Batch::new()
///         .add("parent", Expect::Any, NewEvent::new("agent.invoked"))?
///         .add("child", Expect::Empty, NewEvent::new("run.started"))?,
/// )?;
/// assert_eq!(receipt.parts().len(), 2);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Batch {
    parts: Vec<(Place, Expect, Vec<NewEvent>)>,
    durability: Option<Durability>,
    marks: Marks,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds events to the end of a branch, on a condition. Parts are recorded in the order in which they were added;
    /// a later part of the same branch expects the head that the earlier one leaves.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that is none, or that names an event.
    pub fn add<A>(mut self, address: A, expect: Expect, events: impl Into<Vec<NewEvent>>) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let place = address.branch_only("events are appended to a branch")?.clone();
        self.parts.push((place, expect, events.into()));
        Ok(self)
    }

    /// Overrides the store's default for this batch.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Writes these marks in the transaction that has the events; also when the append turns out to be a retry,
    /// whose events are there already.
    pub(crate) fn marks(mut self, marks: Marks) -> Self {
        self.marks = marks;
        self
    }
}

/// Where the events of an append are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    parts: Vec<Placed>,
    duplicate: bool,
}

/// Where the events of one part of an append are: without holes, in the order of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// The branch.
    pub place: Place,
    /// Sequence of the first event.
    pub first: Sequence,
    /// Sequence of the last event: the branch's head right after this append.
    pub last: Sequence,
    /// Position of the first event.
    pub first_position: Position,
    /// Position of the last event.
    pub last_position: Position,
}

impl Receipt {
    /// One entry for each part of the batch, in its order.
    #[must_use]
    pub fn parts(&self) -> &[Placed] {
        &self.parts
    }

    /// The events were recorded before: this call was a retry and wrote nothing.
    #[must_use]
    pub fn duplicate(&self) -> bool {
        self.duplicate
    }

    /// Sequence of the first event of the first part.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.parts.first().map_or(Sequence::ZERO, |p| p.first)
    }

    /// Sequence of the last event of the last part.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.parts.last().map_or(Sequence::ZERO, |p| p.last)
    }

    /// Position of the last event of the last part.
    #[must_use]
    pub fn position(&self) -> Position {
        self.parts.last().map_or(Position::ZERO, |p| p.last_position)
    }
}

/// A batch that was checked and encoded by its producer.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) parts: Vec<PreparedPart>,
    pub(super) durability: Durability,
    pub(super) bytes: usize,
    pub(super) marks: Marks,
}

#[derive(Debug)]
pub(super) struct PreparedPart {
    pub(super) place: Place,
    pub(super) expect: Expect,
    pub(super) records: Vec<Record>,
}

impl Batch {
    pub(super) fn prepare(
        self,
        payload_limit: usize,
        default: Durability,
        guard: &Guard,
    ) -> Result<Prepared> {
        let count: usize = self.parts.iter().map(|(_, _, events)| events.len()).sum();
        if count > MAX_BATCH_EVENTS {
            let reason = format!("has {count} events; {MAX_BATCH_EVENTS} are the most in one append");
            return Err(Invalid::new("events", reason).into());
        }
        if count == 0 || self.parts.iter().any(|(_, _, events)| events.is_empty()) {
            return Err(Invalid::new("events", "is empty: an append takes one event or more").into());
        }
        let mut bytes = 0;
        let mut parts = Vec::with_capacity(self.parts.len());
        for (place, expect, events) in self.parts {
            let mut records = Vec::with_capacity(events.len());
            for event in &events {
                let record = encode_record(event, payload_limit)?;
                guard.check(event)?;
                bytes += record.encoded().len();
                records.push(record);
            }
            parts.push(PreparedPart { place, expect, records });
        }
        if bytes > MAX_BATCH_BYTES {
            let what = "this append".to_owned();
            return Err(Error::TooLarge { what, size: bytes as u64, limit: MAX_BATCH_BYTES as u64 });
        }
        if count > 1 {
            let mut seen = HashSet::with_capacity(count);
            let ids = parts.iter().flat_map(|p| &p.records).map(Record::id);
            if let Some(twice) = ids.into_iter().find(|id| !seen.insert(*id)) {
                return Err(Invalid::new("id", format!("{twice} appears twice in one append")).into());
            }
        }
        let bytes = bytes + self.marks.bytes();
        let durability = self.durability.unwrap_or(default);
        Ok(Prepared { parts, durability, bytes, marks: self.marks })
    }
}

/// An event that is recorded already.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) branch: u64,
    pub(super) place: Arc<Place>,
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) record: Record,
}

/// What the decision may ask of the store.
pub(super) trait Facts {
    fn branch(&self, place: &Place) -> Result<Option<Arc<Branch>>>;
    fn head(&self, branch: &Branch) -> Result<u64>;
    fn known(&self, id: EventId) -> Result<Option<Known>>;
}

/// What a group will write, as far as it is decided: the facts of the store with the group's own on top.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) births: Vec<Arc<Branch>>,
    pub(super) events: Vec<Planned>,
    next_position: u64,
    next_branch: u64,
    now: Timestamp,
    by_place: HashMap<Place, Arc<Branch>>,
    heads: HashMap<u64, u64>,
    ids: HashMap<EventId, usize>,
}

#[derive(Debug)]
pub(super) struct Planned {
    pub(super) branch: Arc<Branch>,
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) record: Record,
}

impl Plan {
    pub(super) fn new(next_position: u64, next_branch: u64, now: Timestamp) -> Self {
        Self {
            births: Vec::new(),
            events: Vec::new(),
            next_position,
            next_branch,
            now,
            by_place: HashMap::new(),
            heads: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.births.is_empty() && self.events.is_empty()
    }

    pub(super) fn next_branch(&self) -> u64 {
        self.next_branch
    }

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
                branch: e.branch.number,
                place: e.branch.place.clone(),
                sequence: e.sequence,
                position: e.position,
                record: e.record.clone(),
            })),
            None => facts.known(id),
        }
    }

    /// Takes an append into the plan, or refuses it and leaves the plan as it was.
    pub(super) fn append(&mut self, request: &Prepared, facts: &impl Facts) -> Result<Receipt> {
        if let Some(receipt) = self.retried(request, facts)? {
            return Ok(receipt);
        }
        // Every condition is checked before anything of the plan is touched.
        let mut heads: HashMap<Place, (Option<Arc<Branch>>, u64)> = HashMap::new();
        for part in &request.parts {
            let (branch, head) = match heads.get(&part.place) {
                Some((branch, head)) => (branch.clone(), *head),
                None => match self.branch(&part.place, facts)? {
                    Some(branch) => {
                        let head = self.head(&branch, facts)?;
                        (Some(branch), head)
                    }
                    None if part.place.branch.as_str() == MAIN => (None, 0),
                    None => return Err(Error::not_found("branch", &part.place)),
                },
            };
            if !part.expect.holds(Sequence::new(head)) {
                let (place, expected, actual) = (part.place.clone(), part.expect, Sequence::new(head));
                return Err(Error::Conflict { place, expected, actual });
            }
            heads.insert(part.place.clone(), (branch, head + part.records.len() as u64));
        }
        let mut parts = Vec::with_capacity(request.parts.len());
        for part in &request.parts {
            let branch = match self.branch(&part.place, facts)? {
                Some(branch) => branch,
                None => self.give_birth(part.place.clone(), None, 0),
            };
            let head = self.head(&branch, facts)?;
            let placed = self.place(&branch, head, &part.records);
            parts.push(placed);
        }
        Ok(Receipt { parts, duplicate: false })
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

    /// The first receipt again, when every event is recorded just where this append would have put it.
    fn retried(&self, request: &Prepared, facts: &impl Facts) -> Result<Option<Receipt>> {
        let mut parts = Vec::new();
        let mut fresh = false;
        let mut seen = None;
        for part in &request.parts {
            let mut placed: Option<(u64, Placed)> = None;
            for record in &part.records {
                let Some(known) = self.known(record.id(), facts)? else {
                    fresh = true;
                    continue;
                };
                let taken = || Error::Duplicate {
                    id: record.id(),
                    at: Address::from((*known.place).clone()).at(known.sequence),
                };
                seen.get_or_insert_with(taken);
                if fresh || *known.place != part.place || !known.record.same_content(record) {
                    return Err(taken());
                }
                match &mut placed {
                    None => {
                        let (sequence, position) =
                            (Sequence::new(known.sequence), Position::new(known.position));
                        let new = Placed {
                            place: part.place.clone(),
                            first: sequence,
                            last: sequence,
                            first_position: position,
                            last_position: position,
                        };
                        placed = Some((known.branch, new));
                    }
                    Some((branch, p)) if *branch == known.branch && p.last.next().get() == known.sequence => {
                        p.last = Sequence::new(known.sequence);
                        p.last_position = Position::new(known.position);
                    }
                    Some(_) => return Err(taken()),
                }
            }
            parts.extend(placed.map(|(_, p)| p));
        }
        match (fresh, seen) {
            (false, _) => Ok(Some(Receipt { parts, duplicate: true })),
            (true, None) => Ok(None),
            (true, Some(taken)) => Err(taken),
        }
    }

    /// Takes a fork into the plan: `at` is the last sequence to inherit, the head when it is not said.
    pub(super) fn fork(
        &mut self,
        parent: &Place,
        at: Option<Sequence>,
        place: Place,
        facts: &impl Facts,
    ) -> Result<Arc<Branch>> {
        let branch = match self.branch(parent, facts)? {
            Some(branch) => branch,
            // A session may begin with another branch than main, which is then empty.
            None if parent.branch.as_str() == MAIN && at == Some(Sequence::ZERO) => {
                if place == *parent {
                    return Err(Error::Exists { what: "branch", name: place.to_string() });
                }
                self.give_birth(parent.clone(), None, 0)
            }
            None => return Err(Error::not_found("branch", parent)),
        };
        let head = self.head(&branch, facts)?;
        let at = at.map_or(head, Sequence::get);
        if at > head {
            let address = Address::from(parent.clone()).at(at);
            return Err(Error::not_found("event", format!("{address}: the branch ends at {head}")));
        }
        if self.branch(&place, facts)?.is_some() {
            return Err(Error::Exists { what: "branch", name: place.to_string() });
        }
        if branch.depth >= MAX_FORK_DEPTH {
            let reason =
                format!("would be fork number {MAX_FORK_DEPTH} of a fork; promote one of its ancestors");
            return Err(Invalid::new("branch", reason).into());
        }
        Ok(self.give_birth(place, Some(&branch), at))
    }

    fn give_birth(&mut self, place: Place, parent: Option<&Branch>, fork: u64) -> Arc<Branch> {
        let row = crate::codec::BranchRow {
            place: place.clone(),
            parent: parent.map(|p| p.number),
            fork,
            created: self.now.micros(),
        };
        let branch = Arc::new(Branch::new(self.next_branch, row, parent));
        self.next_branch += 1;
        self.heads.insert(branch.number, fork);
        self.by_place.insert(place, branch.clone());
        self.births.push(branch.clone());
        branch
    }
}
