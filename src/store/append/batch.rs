//! What an append asks for, and its form once it was checked and encoded by its producer.

use std::collections::HashSet;

use crate::codec::encode_record;
use crate::engine::{Durability, Prepared, PreparedPart, SidecarWrites};
use crate::error::{Error, Result};
use crate::event::{Address, Expect, Invalid, NewEvent, Place, Record};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use crate::schema::Guard;

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
    records: SidecarWrites,
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

    /// Writes these sidecar records in the transaction that has the events; also when the append turns out to be a retry,
    /// whose events are there already.
    pub(crate) fn records(mut self, records: SidecarWrites) -> Self {
        self.records = records;
        self
    }
}

impl Batch {
    pub(crate) fn prepare(
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
        let bytes = bytes + self.records.bytes();
        let durability = self.durability.unwrap_or(default);
        Ok(Prepared { parts, durability, bytes, records: self.records })
    }
}
