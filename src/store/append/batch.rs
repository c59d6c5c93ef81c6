//! Append requests, and their form once checked and encoded by the producer.

use std::collections::HashSet;

use crate::codec::encode_record;
use crate::engine::{Durability, Prepared, PreparedFork, PreparedPart, Records, SidecarWrites, check_forks};
use crate::error::{Error, Result};
use crate::event::{Address, BranchName, Expect, Invalid, NewEvent, Place, Record, Sequence};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use crate::schema::Guard;
use crate::store::append::lease::FencingToken;
use crate::store::append::sidecar_changes::SidecarChanges;

/// Several appends, to one or more branches of one or more sessions, which are recorded atomically.
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
    parts: Vec<Part>,
    forks: Vec<PreparedFork>,
    durability: Option<Durability>,
    records: SidecarWrites,
    fences: Vec<FencingToken>,
}

/// Events for one branch.
#[derive(Clone, Debug)]
struct Part {
    place: Place,
    expect: Expect,
    /// The branch that is meant, where that was looked up.
    branch: Option<u64>,
    events: Vec<NewEvent>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds events to the end of a branch, with a precondition. Parts are recorded in the order in which they were
    /// added; a later part of the same branch sees the head that the earlier one leaves.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid address, or one that names an event.
    pub fn add<A>(mut self, address: A, expect: Expect, events: impl Into<Vec<NewEvent>>) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let place = address.branch_only("events can only be appended to a branch")?.clone();
        self.parts.push(Part { place, expect, branch: None, events: events.into() });
        Ok(self)
    }

    /// [`only`](Self::only) for the branch with this number, if one was found.
    pub(crate) fn only_number(mut self, branch: Option<u64>) -> Self {
        if let Some(part) = self.parts.last_mut() {
            part.branch = branch;
        }
        self
    }

    /// Begins a branch before what is added next: a fork of the address's branch up to the sequence that it names, which may be
    /// one that the batch itself appends. If the branch exists, or its parent ends earlier, nothing of the batch is recorded.
    ///
    /// ```
    /// use retold::{Batch, Expect, NewEvent, Store};
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// let batch = Batch::new().fork("run-7@1", "retry")?;
    /// store.append_batch(batch.add("run-7/retry", Expect::Any, NewEvent::new("tool.invoked"))?)?;
    /// assert_eq!(store.head("run-7/retry")?.get(), 2);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid address or name, and for an address without a sequence.
    pub fn fork<A>(self, address: A, name: &str) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let Some(at) = address.sequence() else {
            return Err(Invalid::new("address", "is to name the last event that the fork inherits").into());
        };
        let place = Place::new(address.session().clone(), BranchName::new(name)?);
        Ok(self.forking(address.place().clone(), at, place))
    }

    /// [`fork`](Self::fork) with names that were checked.
    pub(crate) fn forking(mut self, parent: Place, at: Sequence, place: Place) -> Self {
        self.forks.push(PreparedFork { after: self.parts.len(), parent, at, place });
        self
    }

    /// Overrides the store's default for this batch.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Records the batch only while this token is the latest of its session, which need not be one of those that the batch
    /// appends to: see [`Leases`](crate::Leases).
    pub fn fenced(mut self, token: &FencingToken) -> Self {
        self.fences.push(token.clone());
        self
    }

    /// The tokens that have to be the latest.
    pub(crate) fn fences(&self) -> &[FencingToken] {
        &self.fences
    }

    /// Expects the tokens to be the latest.
    pub(crate) fn guarded(mut self, read: &Records) -> Result<Self> {
        for token in &self.fences {
            token.guard(read, &mut self.records)?;
        }
        Ok(self)
    }

    /// Which of the tokens is not the latest any more: why the batch was refused.
    pub(crate) fn refusal(&self, read: &Records) -> Result<Option<Error>> {
        self.fences.iter().find_map(|token| token.refusal(read).transpose()).transpose()
    }

    /// Writes these sidecar records in the same transaction as the events, even if the append turns out to be a retry
    /// whose events are already recorded.
    pub(crate) fn records(mut self, records: SidecarWrites) -> Self {
        match self.records.is_empty() {
            true => self.records = records,
            false => self.records.extend(records),
        }
        self
    }

    /// Changes records of an application in the same commit, and records the batch only while they are as expected:
    /// [`Sidecar`](crate::store::sidecar::Sidecar).
    ///
    /// # Errors
    /// [`Error::Invalid`] for changes that are too many or too large.
    pub fn sidecar(self, changes: SidecarChanges) -> Result<Self> {
        Ok(self.records(changes.checked()?))
    }
}

impl Batch {
    pub(crate) fn prepare(
        self,
        payload_limit: usize,
        default: Durability,
        guard: &Guard,
    ) -> Result<Prepared> {
        let count: usize = self.parts.iter().map(|part| part.events.len()).sum();
        check_forks(self.forks.len())?;
        if count > MAX_BATCH_EVENTS {
            let reason = format!("has {count} events; the limit of one append is {MAX_BATCH_EVENTS}");
            return Err(Invalid::new("events", reason).into());
        }
        if count == 0 || self.parts.iter().any(|part| part.events.is_empty()) {
            return Err(Invalid::new("events", "is empty: an append needs at least one event").into());
        }
        let mut bytes = 0;
        let mut parts = Vec::with_capacity(self.parts.len());
        for Part { place, expect, branch, events } in self.parts {
            let mut records = Vec::with_capacity(events.len());
            for event in &events {
                let record = encode_record(event, payload_limit)?;
                guard.check(event)?;
                bytes += record.encoded().len();
                records.push(record);
            }
            parts.push(PreparedPart { place, expect, branch, records });
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
        let bytes = bytes + self.records.bytes();
        let durability = self.durability.unwrap_or(default);
        Ok(Prepared { parts, forks: self.forks, durability, bytes, records: self.records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SessionId;
    use crate::limits::MAX_BATCH_FORKS;
    use crate::store::Store;

    #[test]
    fn an_append_forks_so_many_branches_and_no_more() {
        let forking = |forks: usize| {
            let batch = Batch::new().add("s", Expect::Any, NewEvent::new("a.b")).unwrap();
            (0..forks).fold(batch, |batch, n| batch.fork("s@1", &format!("b{n}")).unwrap())
        };
        let store = Store::in_memory().unwrap();
        let refused = store.append_batch(forking(MAX_BATCH_FORKS + 1)).unwrap_err();
        assert!(refused.to_string().contains("the limit of one append is 2000"), "{refused}");
        store.append_batch(forking(MAX_BATCH_FORKS)).unwrap();
        assert_eq!(store.branches(&SessionId::new("s").unwrap()).unwrap().len(), MAX_BATCH_FORKS + 1);
    }
}
