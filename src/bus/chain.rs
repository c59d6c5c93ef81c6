//! The causes and the effects of an event.

use std::collections::HashSet;

use super::bus::Bus;
use crate::error::{Error, Result};
use crate::event::{Event, EventId};
use crate::limits::{DEFAULT_PAGE, MAX_CHAIN};
use crate::store::{Range, StoreHandle, unblocked};

impl Bus {
    /// The causes of an event: its cause, the cause of that, and so on, nearest first; at most 10,000. The chain ends
    /// at an event without a cause, or whose cause is not in this store. Each is found by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an event that is not recorded; those of reading.
    pub async fn causes(&self, id: EventId) -> Result<Vec<Event>> {
        let handle = self.core().shared.handle.clone();
        handle.process().check()?;
        unblocked(move || causes(&handle, id)).await
    }

    /// The effects of an event, direct and indirect, in global order; at most `limit`, and never more than 10,000.
    /// There is no index of causes: everything recorded after the event is read once, at the speed of a replay.
    ///
    /// # Errors
    /// As [`causes`](Self::causes).
    pub async fn effects(&self, id: EventId, limit: usize) -> Result<Vec<Event>> {
        let handle = self.core().shared.handle.clone();
        handle.process().check()?;
        unblocked(move || effects(&handle, id, limit.min(MAX_CHAIN))).await
    }
}

fn causes(handle: &StoreHandle, id: EventId) -> Result<Vec<Event>> {
    let reader = handle.reader()?;
    let mut seen = HashSet::from([id]);
    let mut next = reader.by_id(id)?.causation();
    let mut found = Vec::new();
    while let Some(cause) = next
        && found.len() < MAX_CHAIN
        // Events with hand-made ids can form a cycle.
        && seen.insert(cause)
    {
        let event = match reader.by_id(cause) {
            Ok(event) => reader.shaped(event)?,
            Err(Error::NotFound { .. }) => break,
            Err(e) => return Err(e),
        };
        next = event.causation();
        found.push(event);
    }
    Ok(found)
}

fn effects(handle: &StoreHandle, id: EventId, limit: usize) -> Result<Vec<Event>> {
    let reader = handle.reader()?;
    let mut from = reader.by_id(id)?.position().get() + 1;
    let to = reader.committed().get();
    let mut known = HashSet::from([id]);
    let mut found = Vec::new();
    while from <= to && found.len() < limit {
        let page = reader.page_all(Range { from, to, limit: DEFAULT_PAGE, reverse: false })?;
        let Some(last) = page.last() else { break };
        from = last.position().get() + 1;
        for event in page {
            if event.causation().is_some_and(|cause| known.contains(&cause)) && found.len() < limit {
                known.insert(event.id());
                found.push(reader.shaped(event)?);
            }
        }
    }
    Ok(found)
}
