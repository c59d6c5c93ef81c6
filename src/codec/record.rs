//! The record: what an event says of itself, encoded once by its producer and copied from there on.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::Malformed;
use super::wire::{Bounded, put, take_all};
use crate::event::{EventId, Invalid, NewEvent, Record, RecordParts, Span, Timestamp};
use crate::limits::{MAX_METADATA_ENTRIES, MAX_RECORD_BYTES};

/// The first byte of every record. A later layout takes another number.
const LAYOUT: u8 = 1;

#[derive(Encode, BorrowDecode)]
struct Wire<'a> {
    layout: u8,
    id: [u8; 16],
    kind: &'a str,
    version: u32,
    occurred: i64,
    priority: u8,
    causation: Option<[u8; 16]>,
    source: &'a str,
    actor: &'a str,
    correlation: &'a str,
    trace: &'a str,
    metadata: Bounded<(&'a str, &'a str), { MAX_METADATA_ENTRIES as u32 }>,
    content_type: &'a str,
    payload: &'a [u8],
}

/// Checks an event and encodes it. A payload larger than `limit` bytes is refused by name, like every other fault.
///
/// # Errors
/// [`Invalid`] naming the field.
pub fn encode_record(event: &NewEvent, limit: usize) -> Result<Record, Invalid> {
    event.check()?;
    let size = event.payload.len();
    if size > limit {
        return Err(Invalid::new("data", format!("has {size} bytes; {limit} are the most in this store")));
    }
    let wire = Wire {
        layout: LAYOUT,
        id: *event.id.bytes(),
        kind: &event.kind,
        version: event.version,
        occurred: event.occurred.micros(),
        priority: event.priority,
        causation: event.causation.map(|id| *id.bytes()),
        source: &event.source,
        actor: &event.actor,
        correlation: &event.correlation,
        trace: &event.trace,
        metadata: Bounded(event.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()),
        content_type: &event.content_type,
        payload: &event.payload,
    };
    let mut bytes = Vec::with_capacity(size + 128);
    put(wire, &mut bytes);
    decode_record(bytes.into()).map_err(|e| Invalid::new("event", format!("cannot be read back: {e}")))
}

/// Reads an encoded record. The record keeps the bytes; nothing is copied but metadata, where there is any.
///
/// # Errors
/// [`Malformed`] for anything that [`encode_record`] does not write.
pub fn decode_record(bytes: Bytes) -> Result<Record, Malformed> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Malformed::new("it is longer than any record"));
    }
    let wire: Wire<'_> = take_all(&bytes)?;
    if wire.layout != LAYOUT {
        return Err(Malformed::new("its layout is unknown"));
    }
    if !wire.metadata.0.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Malformed::new("its metadata is not sorted"));
    }
    let span = |part: &[u8]| Span {
        // Offsets from the buffer's start; both stay below MAX_RECORD_BYTES, which fits 32 bits.
        start: (part.as_ptr().addr() - bytes.as_ptr().addr()) as u32,
        len: part.len() as u32,
    };
    let parts = RecordParts {
        id: EventId::from_bytes(wire.id),
        occurred: Timestamp::from_micros(wire.occurred),
        version: wire.version,
        priority: wire.priority,
        causation: wire.causation.map(EventId::from_bytes),
        kind: span(wire.kind.as_bytes()),
        source: span(wire.source.as_bytes()),
        actor: span(wire.actor.as_bytes()),
        correlation: span(wire.correlation.as_bytes()),
        trace: span(wire.trace.as_bytes()),
        content_type: span(wire.content_type.as_bytes()),
        payload: span(wire.payload),
        metadata: match &*wire.metadata.0 {
            [] => None,
            pairs => Some(pairs.iter().map(|(k, v)| (Box::from(*k), Box::from(*v))).collect()),
        },
    };
    Ok(Record::new(bytes, parts))
}
