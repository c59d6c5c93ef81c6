//! The record: an event as its producer wrote it, encoded once and copied from then on.

use std::cmp::Ordering;

#[cfg(test)]
use bincode::BorrowDecode;
use bincode::Encode;
use bytes::Bytes;

use super::Malformed;
use super::wire::{Bounded, put};
use crate::event::{FieldSpan, ID_START, Invalid, Metadata, NewEvent, Record, RecordParts, Timestamp};
use crate::limits::{MAX_METADATA_ENTRIES, MAX_RECORD_BYTES};

/// The first byte of every record. A later layout uses another number.
const LAYOUT: u8 = 1;

#[derive(Encode)]
#[cfg_attr(test, derive(BorrowDecode))]
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

/// Validates an event and encodes it. A payload larger than `limit` bytes is refused like any other invalid field.
///
/// # Errors
/// [`Invalid`] naming the field.
pub fn encode_record(event: &NewEvent, limit: usize) -> Result<Record, Invalid> {
    event.check()?;
    let size = event.payload.len();
    if size > limit {
        return Err(Invalid::new("data", format!("has {size} bytes; the limit of this store is {limit}")));
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

/// Reads an encoded record. The record keeps the bytes; only metadata, if any, is copied.
///
/// A replay does this a million times a second, so the fields are walked by hand rather than by a derived decoder; a
/// test compares the two.
///
/// # Errors
/// [`Malformed`] for anything that [`encode_record`] does not write.
#[inline]
pub fn decode_record(bytes: Bytes) -> Result<Record, Malformed> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Malformed::new("it is longer than any record"));
    }
    let mut walk = Walk { bytes: &bytes, at: 0 };
    if walk.byte()? != LAYOUT {
        return Err(Malformed::new("its layout is unknown"));
    }
    debug_assert_eq!(walk.at, ID_START, "where a record looks for its id");
    walk.skip(size_of::<[u8; 16]>())?;
    let kind = walk.text()?;
    let version = u32::try_from(walk.number()?).map_err(|_| Malformed::new("its version is too large"))?;
    let occurred = walk.number()?;
    let priority = walk.byte()?;
    let causation = match walk.byte()? {
        0 => 0,
        1 => walk.skip(size_of::<[u8; 16]>())?.start,
        _ => return Err(Malformed::new("it has neither a cause nor none")),
    };
    let (source, actor, correlation, trace) = (walk.text()?, walk.text()?, walk.text()?, walk.text()?);
    let metadata = walk.metadata()?;
    let content_type = walk.text()?;
    let len = walk.number()?;
    let rest = bytes.len() - walk.at;
    match (rest as u64).cmp(&len) {
        Ordering::Less => return Err(Malformed::new("it ends early")),
        Ordering::Greater => return Err(Malformed::new("bytes are left over")),
        Ordering::Equal => {}
    }
    let parts = RecordParts {
        // Zigzag: the sign is the lowest bit.
        occurred: Timestamp::from_micros((occurred >> 1) as i64 ^ -((occurred & 1) as i64)),
        version,
        payload: walk.at as u32,
        kind,
        source,
        actor,
        correlation,
        trace,
        content_type,
        causation,
        priority,
        metadata,
    };
    Ok(Record::new(bytes, parts))
}

/// Walks the fields of a record as bincode's standard configuration writes them.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(ENDS_EARLY)?;
        self.at += 1;
        Ok(byte)
    }

    /// A number up to 250 is one byte; a larger one follows a byte that gives its width.
    #[inline]
    fn number(&mut self) -> Result<u64, Malformed> {
        let (number, least) = match self.byte()? {
            small @ ..=250 => return Ok(small.into()),
            251 => (u16::from_le_bytes(self.array()?).into(), 251),
            252 => (u32::from_le_bytes(self.array()?).into(), 1 << 16),
            253 => (u64::from_le_bytes(self.array()?), 1 << 32),
            _ => return Err(Malformed::new("a number in it is too large")),
        };
        if number < least { Err(Malformed::new("a number in it is written too long")) } else { Ok(number) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = *self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(ENDS_EARLY)?;
        self.at += N;
        Ok(array)
    }

    /// Skips a field, which must lie before the payload.
    #[inline]
    fn skip(&mut self, len: usize) -> Result<FieldSpan, Malformed> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len()).ok_or(ENDS_EARLY)?;
        let narrow = |n: usize| u16::try_from(n).map_err(|_| Malformed::new("its envelope is too long"));
        let span = FieldSpan { start: narrow(self.at)?, len: narrow(len)? };
        self.at = end;
        Ok(span)
    }

    #[inline]
    fn text(&mut self) -> Result<FieldSpan, Malformed> {
        let len = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let start = self.at;
        let span = self.skip(len)?;
        match self.bytes.get(start..self.at).map(str::from_utf8) {
            Some(Ok(_)) => Ok(span),
            _ => Err(Malformed::new("a text in it is not UTF-8")),
        }
    }

    fn metadata(&mut self) -> Result<Option<Metadata>, Malformed> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count == 0 {
            return Ok(None);
        }
        if count > MAX_METADATA_ENTRIES {
            return Err(Malformed::new("it has too much metadata"));
        }
        let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(count);
        for _ in 0..count {
            let (key, value) = (self.owned_text()?, self.owned_text()?);
            if pairs.last().is_some_and(|(before, _)| *before >= key) {
                return Err(Malformed::new("its metadata is not sorted"));
            }
            pairs.push((key, value));
        }
        Ok(Some(pairs.into()))
    }

    fn owned_text(&mut self) -> Result<Box<str>, Malformed> {
        let start = self.at;
        let span = self.text()?;
        let end = self.at;
        debug_assert!(end - start >= usize::from(span.len));
        let text = self.bytes.get(end - usize::from(span.len)..end).map(str::from_utf8);
        Ok(text.and_then(Result::ok).unwrap_or_default().into())
    }
}

const ENDS_EARLY: Malformed = Malformed::new("it ends early");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::wire::take_all;
    use crate::event::EventId;

    /// The derived decoder, which the walk is compared with.
    fn derived(bytes: &[u8]) -> Option<Wire<'_>> {
        let wire: Wire<'_> = take_all(bytes).ok()?;
        let sorted = wire.metadata.0.is_sorted_by(|a, b| a.0 < b.0);
        (wire.layout == LAYOUT && sorted).then_some(wire)
    }

    fn same(wire: &Wire<'_>, record: &Record) -> bool {
        let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
        *record.id().bytes() == wire.id
            && record.kind() == wire.kind
            && (record.version(), record.priority()) == (wire.version, wire.priority)
            && record.occurred().micros() == wire.occurred
            && record.causation().map(|id| *id.bytes()) == wire.causation
            && text(record.source()) == wire.source
            && text(record.actor()) == wire.actor
            && text(record.correlation()) == wire.correlation
            && text(record.trace()) == wire.trace
            && record.metadata().eq(wire.metadata.0.iter().copied())
            && (record.is_json() || record.content_type() == wire.content_type)
            && record.payload() == wire.payload
    }

    fn event() -> impl Strategy<Value = NewEvent> {
        let texts = prop::array::uniform5("[ -~äöü日本]{0,300}");
        let pairs = prop::collection::btree_map("[a-zä]{1,9}", "[ -~]{0,300}", 0..6);
        let payload = prop::collection::vec(any::<u8>(), 0..600);
        let causation = prop::option::of(any::<[u8; 16]>());
        let numbers = (any::<u32>(), any::<i64>(), any::<u8>());
        (any::<[u8; 16]>(), texts, pairs, payload, causation, numbers).prop_map(
            |(
                id,
                [source, actor, correlation, trace, content_type],
                metadata,
                payload,
                causation,
                numbers,
            )| {
                let mut event = NewEvent::new("a.b").with_id(EventId::from_bytes(id));
                (event.version, event.priority) = (numbers.0, numbers.2);
                // Only years that can be printed.
                event.occurred = Timestamp::from_micros(numbers.1 % 60_000_000_000_000_000);
                event.causation = causation.map(EventId::from_bytes);
                (event.source, event.actor) = (source.into(), actor.into());
                (event.correlation, event.trace) = (correlation.into(), trace.into());
                event.content_type = content_type.into();
                (event.metadata, event.payload) = (metadata, payload.into());
                event
            },
        )
    }

    proptest! {
        #[test]
        fn the_walk_reads_what_derives_from_the_layout(event in event(), damage in prop::option::of((any::<u16>(), any::<u8>()))) {
            let Ok(record) = encode_record(&event, 1 << 20) else { return Ok(()) };
            let mut bytes = record.encoded().to_vec();
            if let Some((at, with)) = damage {
                let at = usize::from(at) % bytes.len();
                bytes[at] = with;
            }
            match (decode_record(bytes.clone().into()), derived(&bytes)) {
                (Ok(record), Some(wire)) => prop_assert!(same(&wire, &record)),
                (Ok(record), None) => prop_assert!(false, "only the walk reads {record:?}"),
                // The walk refuses numbers that are longer than they need to be.
                (Err(e), Some(_)) => prop_assert!(damage.is_some(), "the walk refuses it: {e}"),
                (Err(_), None) => {}
            }
        }
    }
}
