//! A long read of one branch, in pieces.

use std::sync::Arc;

use crate::codec::{Chunk, decode_record};
use crate::error::{Error, Result};
use crate::event::{Address, Event, Place, Position, Sequence, Timestamp};

/// Consecutive events in memory.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Events of a chunk, decoded one by one as they are asked for.
    Packed {
        place: Arc<Place>,
        chunk: Chunk,
        next: u64,
        last: u64,
    },
    Events(std::vec::IntoIter<Event>),
}

impl Iterator for Piece {
    type Item = Result<Event>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed { place, chunk, next, last } => {
                let sequence = *next;
                if sequence > *last {
                    return None;
                }
                *next += 1;
                Some(event_of(chunk, place, sequence))
            }
            Self::Events(events) => events.next().map(Ok),
        }
    }
}

/// Some pieces, and the sequence to continue from; `None` at the end.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pub(crate) list: Vec<Piece>,
    pub(crate) next: Option<u64>,
}

/// One event of a chunk.
#[inline]
pub(crate) fn event_of(chunk: &Chunk, place: &Arc<Place>, sequence: u64) -> Result<Event> {
    let address = || Address::from((**place).clone()).at(sequence);
    let (position, recorded, bytes) =
        chunk.entry(sequence).ok_or_else(|| Error::corrupt(address(), "its chunk does not hold it"))?;
    let record = decode_record(bytes).map_err(|e| Error::corrupt(address(), e.to_string()))?;
    Ok(Event::new(
        place.clone(),
        Sequence::new(sequence),
        Position::new(position),
        Timestamp::from_micros(recorded),
        record,
    ))
}
