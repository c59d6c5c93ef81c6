//! The index of event ids. An id that is not found counts as new only if the index shows no damage where it would
//! lie: a retry must never be recorded twice because of a flipped bit.

use std::ops::Bound;
use std::sync::Arc;

use redb::ReadTransaction;

use super::chunks::flushed_event;
use super::definitions::IDS;
use super::lines::is_there;
use super::lookup;
use crate::engine::file::redb_errors::corrupt;
use crate::error::{Error, Result};
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

/// The branch and the sequence of the flushed event with an id, which may be gone. `place` gives the name of a branch.
pub(crate) fn locate_id(
    txn: &ReadTransaction,
    id: EventId,
    beside: Beside,
    place: impl Fn(u64) -> Result<Arc<Place>>,
) -> Result<Option<(u64, u64)>> {
    let table = lookup::open(txn, IDS)?;
    if let Some(found) = lookup::get(&table, id.bytes())?.map(|row| row.value()) {
        return Ok(Some(found));
    }
    for (key, row) in lookup::neighbours(&table, id.bytes())? {
        let other = EventId::from_bytes(key.value());
        let entry = Entry { id: other, number: row.value().0, sequence: row.value().1 };
        let place = entry.place(txn, &place)?;
        if let Some(place) = place
            && (beside == Beside::All || distance(id, other) <= NEAR_ID_BITS)
        {
            entry.leads_to_its_event(txn, &place)?;
        }
    }
    Ok(None)
}

/// Gives flushed ids from one to another, in their order, to `take`, each with the branch and the sequence of its event, until
/// it answers `false`. `place` gives the name of a branch.
pub(crate) fn flushed_ids(
    txn: &ReadTransaction,
    (from, to): (EventId, EventId),
    mut take: impl FnMut(EventId, u64, u64) -> Result<bool>,
    place: impl Fn(u64) -> Result<Arc<Place>>,
) -> Result<()> {
    let table = lookup::open(txn, IDS)?;
    let mut found = false;
    for row in lookup::rows::<_, _, _, &[u8; 16]>(&table, from.bytes()..=to.bytes())? {
        let (key, row) = row?;
        found = true;
        let (number, sequence) = row.value();
        if !take(EventId::from_bytes(key.value()), number, sequence)? {
            return Ok(());
        }
    }
    // As for one id: that there is none is believed only if the rows beside it are sound.
    if !found {
        let range = (Bound::Included(from.bytes()), Bound::Included(to.bytes()));
        for (key, row) in lookup::around(&table, range, 2)? {
            let (number, sequence) = row.value();
            let entry = Entry { id: EventId::from_bytes(key.value()), number, sequence };
            if let Some(place) = entry.place(txn, &place)? {
                entry.leads_to_its_event(txn, &place)?;
            }
        }
    }
    Ok(())
}

/// A row of the index.
struct Entry {
    id: EventId,
    number: u64,
    sequence: u64,
}

impl Entry {
    /// The branch that it names; `None` for one that is there and cannot be read, which proves nothing. One that does not
    /// exist was made up by a damaged page: with a wrong number of rows, what lies beside them is taken for more.
    fn place(
        &self,
        txn: &ReadTransaction,
        place: &impl Fn(u64) -> Result<Arc<Place>>,
    ) -> Result<Option<Arc<Place>>> {
        match place(self.number) {
            Ok(place) => Ok(Some(place)),
            Err(Error::Corrupt { .. }) if is_there(self.number, txn)? => Ok(None),
            Err(Error::Corrupt { .. } | Error::NotFound { .. }) => {
                Err(self.is_wrong(&format!("it names branch number {}, which does not exist", self.number)))
            }
            Err(e) => Err(e),
        }
    }

    /// `false` for an event that cannot be read, which proves nothing.
    fn leads_to_its_event(&self, txn: &ReadTransaction, place: &Arc<Place>) -> Result<bool> {
        match flushed_event(txn, self.number, place, self.sequence, None) {
            Ok(event) if event.id() == self.id => Ok(true),
            Ok(event) => Err(self.is_wrong(&format!("it leads to event {}", event.id()))),
            Err(_) => Ok(false),
        }
    }

    fn is_wrong(&self, how: &str) -> Error {
        corrupt(format!("event {}", self.id), format!("its id index entry is missing or wrong: {how}"))
    }
}

/// Whether the index has this flushed event.
pub(crate) fn knows(txn: &ReadTransaction, number: u64, event: &Event) -> Result<bool> {
    let table = lookup::open(txn, IDS)?;
    let row = lookup::get(&table, event.id().bytes())?.map(|row| row.value());
    Ok(row == Some((number, event.sequence().get())))
}

/// An upper bound of the flushed ids; `None` when nothing is flushed. Only an entry that leads to its event is one:
/// otherwise every id is looked up.
pub(crate) fn largest(
    txn: &ReadTransaction,
    place: impl Fn(u64) -> Result<Arc<Place>>,
) -> Result<Option<EventId>> {
    let table = lookup::open(txn, IDS)?;
    let Some((id, row)) = lookup::rows::<_, _, _, &[u8; 16]>(&table, ..)?.next_back().transpose()? else {
        return Ok(None);
    };
    let (number, sequence) = row.value();
    let entry = Entry { id: EventId::from_bytes(id.value()), number, sequence };
    let proven = match entry.place(txn, &place) {
        Ok(Some(place)) => entry.leads_to_its_event(txn, &place),
        other => other.map(|_| false),
    };
    Ok(Some(if matches!(proven, Ok(true)) { entry.id } else { EventId::from_bytes([u8::MAX; 16]) }))
}

/// The number of bits in which two ids differ.
fn distance(a: EventId, b: EventId) -> u32 {
    (u128::from_be_bytes(*a.bytes()) ^ u128::from_be_bytes(*b.bytes())).count_ones()
}
