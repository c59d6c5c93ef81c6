//! Events in the chunks of the tables.

use std::sync::Arc;

use redb::ReadTransaction;

use super::definitions::EVENTS;
use super::lookup;
use crate::codec::Chunk;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::pieces::event_of;
use crate::error::{Error, Result};
use crate::event::{Address, Event, EventId, Place};

/// The error for an event that is missing while later ones of its branch are there.
pub(crate) fn hole(place: &Place, sequence: u64) -> Error {
    corrupt(Address::from(place.clone()).at(sequence), "it is missing although later events are there")
}

/// Decodes a chunk and checks that it is the one that its key promises.
pub(crate) fn open_chunk(place: &Place, key: (u64, u64), bytes: &[u8]) -> Result<Chunk> {
    let address = || Address::from(place.clone()).at(key.1);
    let chunk = Chunk::decode(bytes).map_err(|e| corrupt(address(), e.to_string()))?;
    if (chunk.branch(), chunk.last()) == key {
        Ok(chunk)
    } else {
        Err(corrupt(address(), "another chunk lies in its place"))
    }
}

/// The chunk that holds a flushed sequence.
pub(crate) fn flushed_chunk(
    txn: &ReadTransaction,
    branch: u64,
    place: &Place,
    sequence: u64,
) -> Result<Chunk> {
    let table = lookup::open(txn, EVENTS)?;
    let row = lookup::rows(&table, (branch, sequence)..=(branch, u64::MAX))?.next();
    let (key, value) = row.transpose()?.ok_or_else(|| hole(place, sequence))?;
    open_chunk(place, key.value(), value.value())
}

/// One flushed event; if an id is given, it must be that event.
pub(crate) fn flushed_event(
    txn: &ReadTransaction,
    branch: u64,
    place: &Arc<Place>,
    sequence: u64,
    id: Option<EventId>,
) -> Result<Event> {
    let event = event_of(&flushed_chunk(txn, branch, place, sequence)?, place, sequence)?;
    match id {
        Some(id) if event.id() != id => {
            Err(corrupt(format!("event {id}"), "another event lies in its place"))
        }
        _ => Ok(event),
    }
}
