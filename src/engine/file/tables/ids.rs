//! The index of event ids. An id that is not found counts as new only if the index shows no damage where it would
//! lie: a retry must never be recorded twice because of a flipped bit.

use std::sync::Arc;

use redb::ReadTransaction;

use super::chunks::flushed_event;
use super::definitions::IDS;
use super::lookup;
use crate::engine::file::redb_errors::corrupt;
use crate::error::Result;
use crate::event::{Event, EventId, Place};
use crate::limits::NEAR_ID_BITS;

/// Which rows beside a missing id are checked against their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Both.
    All,
    /// Those that a few flipped bits would make of the id: for the writer, which looks up many new ids.
    Near,
}

/// The flushed event with an id, and the number of its branch. `place` gives the name of a branch.
pub(crate) fn find_id(
    txn: &ReadTransaction,
    id: EventId,
    beside: Beside,
    place: impl Fn(u64) -> Result<Arc<Place>>,
) -> Result<Option<(u64, Event)>> {
    let table = lookup::open(txn, IDS)?;
    if let Some((number, sequence)) = lookup::get(&table, id.bytes())?.map(|row| row.value()) {
        let event = flushed_event(txn, number, &place(number)?, sequence, Some(id))?;
        return Ok(Some((number, event)));
    }
    for (key, row) in lookup::neighbours(&table, id.bytes())? {
        let other = EventId::from_bytes(key.value());
        if beside == Beside::All || distance(id, other) <= NEAR_ID_BITS {
            let (number, sequence) = row.value();
            refuse_another(txn, other, number, sequence, &place)?;
        }
    }
    Ok(None)
}

/// An event that can be read must have the id that leads to it. One that cannot be read proves nothing.
fn refuse_another(
    txn: &ReadTransaction,
    id: EventId,
    number: u64,
    sequence: u64,
    place: &impl Fn(u64) -> Result<Arc<Place>>,
) -> Result<()> {
    let found = place(number).and_then(|place| flushed_event(txn, number, &place, sequence, None));
    match found {
        Ok(event) if event.id() != id => {
            Err(corrupt(format!("event {}", event.id()), "id index entry missing or wrong"))
        }
        _ => Ok(()),
    }
}

/// Whether the index has this flushed event.
pub(crate) fn knows(txn: &ReadTransaction, number: u64, event: &Event) -> Result<bool> {
    let table = lookup::open(txn, IDS)?;
    let row = lookup::get(&table, event.id().bytes())?.map(|row| row.value());
    Ok(row == Some((number, event.sequence().get())))
}

/// An upper bound of the flushed ids; `None` when nothing is flushed.
pub(crate) fn largest(
    txn: &ReadTransaction,
    place: impl Fn(u64) -> Result<Arc<Place>>,
) -> Result<Option<EventId>> {
    let table = lookup::open(txn, IDS)?;
    let Some((id, row)) = lookup::rows::<_, _, _, &[u8; 16]>(&table, ..)?.next_back().transpose()? else {
        return Ok(None);
    };
    let (id, (number, sequence)) = (EventId::from_bytes(id.value()), row.value());
    Ok(Some(match refuse_another(txn, id, number, sequence, &place) {
        Ok(()) => id,
        // It may have been larger; with this bound, every id is looked up.
        Err(_) => EventId::from_bytes([u8::MAX; 16]),
    }))
}

/// The number of bits in which two ids differ.
fn distance(a: EventId, b: EventId) -> u32 {
    (u128::from_be_bytes(*a.bytes()) ^ u128::from_be_bytes(*b.bytes())).count_ones()
}
