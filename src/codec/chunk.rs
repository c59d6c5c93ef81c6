//! A chunk: consecutive flushed events of one branch. One row of the `events` table.
//!
//! Positions, times and lengths come before the records, so that a reader can skip to the event it wants without
//! decoding those before it.

use std::cmp::Ordering;

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::Malformed;
use super::link::SentChunk;
use super::lz4::unpack;
use super::seal::{self, SealKind};
use super::wire::{Bounded, put, take};
use crate::limits::{CHUNK_BODY_BYTES, MAX_CHUNK_EVENTS, MAX_RECORD_BYTES};

/// The body is stored uncompressed.
const PLAIN: u8 = 0;
/// The body's length, then the body as one LZ4 block. More kinds may follow; a reader refuses those it does not know.
const LZ4: u8 = 1;
/// The largest body: one record of the largest size, or many small ones, and the table of entries.
const MAX_BODY_BYTES: usize = MAX_RECORD_BYTES + CHUNK_BODY_BYTES + 32 * MAX_CHUNK_EVENTS;
/// Smaller bodies are not worth compressing.
const WORTH_PACKING: usize = 256;

#[derive(Encode, BorrowDecode)]
struct Header {
    packing: u8,
    branch: u64,
    first: u64,
    count: u32,
}

/// Differences from the previous event.
#[derive(Encode, BorrowDecode)]
struct Entry {
    position: u64,
    recorded: i64,
    len: u32,
}

impl Entry {
    /// Takes one from the front. A reader of a single event decodes all entries, so their usual form is read by hand;
    /// anything else is left to bincode.
    fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        let mut ahead = *rest;
        let mut read = || {
            let (position, recorded) = (short(&mut ahead)?, short(&mut ahead)?);
            // Zigzag: the sign is the lowest bit.
            let recorded = i64::from(recorded >> 1) ^ -i64::from(recorded & 1);
            Some(Self { position: position.into(), recorded, len: short(&mut ahead)? })
        };
        match read() {
            Some(entry) => {
                *rest = ahead;
                Ok(entry)
            }
            None => take(rest),
        }
    }
}

/// A number of up to 32 bits as bincode writes it; `None` for any other.
fn short(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = match *bytes {
        [small @ ..=250, rest @ ..] => (u32::from(*small), rest),
        [251, a, b, rest @ ..] => (u16::from_le_bytes([*a, *b]).into(), rest),
        [252, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    };
    *bytes = rest;
    Some(number)
}

/// Builds a chunk event by event.
#[derive(Debug)]
pub struct ChunkBuilder {
    branch: u64,
    first: u64,
    entries: Vec<u8>,
    records: Vec<Bytes>,
    bytes: usize,
    position: u64,
    recorded: i64,
}

impl ChunkBuilder {
    /// An empty chunk of a branch, whose first event will have this sequence.
    #[must_use]
    pub fn new(branch: u64, first: u64) -> Self {
        Self { branch, first, entries: Vec::new(), records: Vec::new(), bytes: 0, position: 0, recorded: 0 }
    }

    /// Adds the next event. Its position must be larger than the last one's.
    pub fn push(&mut self, position: u64, recorded: i64, record: Bytes) {
        debug_assert!(position > self.position, "positions increase in a branch");
        let entry = Entry {
            position: position.wrapping_sub(self.position),
            recorded: recorded.wrapping_sub(self.recorded),
            len: record.len() as u32,
        };
        put(entry, &mut self.entries);
        (self.position, self.recorded) = (position, recorded);
        self.bytes += record.len();
        self.records.push(record);
    }

    /// The number of events.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// Approximate size in bytes before compression.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes + self.entries.len() + 40
    }

    /// Sequence of the last event; `first - 1` when it is empty.
    #[must_use]
    pub fn last(&self) -> u64 {
        (self.first + self.records.len() as u64).saturating_sub(1)
    }

    /// The encoded chunk.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let count = self.records.len() as u32;
        let header = |packing| Header { packing, branch: self.branch, first: self.first, count };
        let mut body = Vec::with_capacity(self.size());
        body.extend_from_slice(&self.entries);
        for record in &self.records {
            body.extend_from_slice(record);
        }
        let packed = if body.len() < WORTH_PACKING { None } else { Some(lz4_flex::block::compress(&body)) };
        let mut out = seal::open(packed.as_ref().unwrap_or(&body).len() + 40);
        match packed.filter(|packed| packed.len() < body.len() - body.len() / 16) {
            Some(packed) => {
                put(header(LZ4), &mut out);
                put(body.len() as u32, &mut out);
                out.extend_from_slice(&packed);
            }
            None => {
                put(header(PLAIN), &mut out);
                out.extend_from_slice(&body);
            }
        }
        seal::close(SealKind::Chunk, out)
    }

    /// Splits it in half, for a chunk that turned out larger than a row should be.
    #[must_use]
    pub fn split(self) -> (Self, Self) {
        let middle = self.records.len().div_ceil(2);
        let mut halves =
            (Self::new(self.branch, self.first), Self::new(self.branch, self.first + middle as u64));
        let (mut entries, mut position, mut recorded) = (self.entries.as_slice(), 0u64, 0i64);
        for (i, record) in self.records.into_iter().enumerate() {
            let Ok(entry) = take::<Entry>(&mut entries) else { break };
            position = position.wrapping_add(entry.position);
            recorded = recorded.wrapping_add(entry.recorded);
            let half = if i < middle { &mut halves.0 } else { &mut halves.1 };
            half.push(position, recorded, record);
        }
        halves
    }
}

/// A chunk whose checksum and table of entries have been checked; records are decoded on demand.
#[derive(Clone, Debug)]
pub struct Chunk {
    branch: u64,
    first: u64,
    body: Bytes,
    table: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    position: u64,
    recorded: i64,
    start: u32,
    end: u32,
}

impl Chunk {
    /// Reads a chunk. The records share one buffer.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`ChunkBuilder::finish`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = seal::unseal(SealKind::Chunk, bytes)?;
        let header: Header = take(&mut rest)?;
        let body = match header.packing {
            PLAIN => Bytes::copy_from_slice(rest),
            LZ4 => unpack(rest, MAX_BODY_BYTES)?,
            _ => return Err(Malformed::new("its packing is unknown")),
        };
        let count = header.count as usize;
        if count == 0 || count > MAX_CHUNK_EVENTS || header.first == 0 {
            return Err(Malformed::new("its event count or first sequence is impossible"));
        }
        if header.first.checked_add(u64::from(header.count)).is_none() {
            return Err(Malformed::new("its sequences pass the last number"));
        }
        let mut rest = &*body;
        let mut table = Vec::with_capacity(count);
        let (mut position, mut recorded, mut end) = (0u64, 0i64, 0u32);
        for _ in 0..count {
            let entry = Entry::take(&mut rest)?;
            position = position
                .checked_add(entry.position)
                .filter(|_| entry.position > 0)
                .ok_or(Malformed::new("its positions do not increase"))?;
            recorded = recorded.wrapping_add(entry.recorded);
            let start = end;
            end = end.checked_add(entry.len).ok_or(Malformed::new("a length in it passes the limit"))?;
            table.push(Slot { position, recorded, start, end });
        }
        match rest.len().cmp(&(end as usize)) {
            Ordering::Less => Err(Malformed::new("it ends early")),
            Ordering::Greater => Err(Malformed::new("bytes are left over")),
            Ordering::Equal => {
                let body = body.slice_ref(rest);
                Ok(Self { branch: header.branch, first: header.first, body, table })
            }
        }
    }

    /// Number of the branch.
    #[must_use]
    pub fn branch(&self) -> u64 {
        self.branch
    }

    /// Sequence of the first event.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Sequence of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first + self.table.len() as u64 - 1
    }

    /// The number of events.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// Size of the uncompressed body in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Position, recorded time (µs) and record of every event, in order.
    pub fn entries(&self) -> impl Iterator<Item = (u64, i64, Bytes)> {
        self.table.iter().map(|slot| self.at(slot))
    }

    /// Position, recorded time (µs) and record of the event with this sequence.
    #[must_use]
    #[inline]
    pub fn entry(&self, sequence: u64) -> Option<(u64, i64, Bytes)> {
        let slot = self.table.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)?;
        Some(self.at(slot))
    }

    /// The part of it from one sequence to another, which shares its bytes.
    #[must_use]
    pub fn part(&self, from: u64, to: u64) -> Self {
        let index =
            |sequence: u64| usize::try_from(sequence.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let table = self.table.get(index(from)..index(to.saturating_add(1)).min(self.table.len()));
        let (first, table) = (from.max(self.first), table.unwrap_or_default().to_vec());
        Self { branch: self.branch, first, body: self.body.clone(), table }
    }

    /// It as it is sent to another process.
    #[must_use]
    pub fn sent(&self) -> SentChunk<'_> {
        let table = self.table.iter().map(|slot| (slot.position, slot.recorded, slot.end - slot.start));
        let body = match (self.table.first(), self.table.last()) {
            (Some(first), Some(last)) => self.body.get(first.start as usize..last.end as usize),
            _ => None,
        };
        let table = Bounded(table.collect());
        SentChunk { branch: self.branch, first: self.first, table, body: body.unwrap_or_default() }
    }

    /// The chunk that was sent; `body` is the memory that holds its records.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`sent`](Self::sent) does not give.
    pub fn from_sent(sent: &SentChunk<'_>, body: Bytes) -> Result<Self, Malformed> {
        let mut table = Vec::with_capacity(sent.table.0.len());
        let (mut before, mut end) = (0, 0u32);
        for (position, recorded, len) in &sent.table.0 {
            if *position <= before {
                return Err(Malformed::new("its positions do not increase"));
            }
            let start = end;
            end = end.checked_add(*len).ok_or(Malformed::new("a length in it passes the limit"))?;
            table.push(Slot { position: *position, recorded: *recorded, start, end });
            before = *position;
        }
        let fits = sent.first > 0 && sent.first.checked_add(table.len() as u64).is_some();
        if table.is_empty() || !fits || end as usize != body.len() {
            return Err(Malformed::new("its table does not fit its body"));
        }
        Ok(Self { branch: sent.branch, first: sent.first, body, table })
    }

    #[inline]
    fn at(&self, slot: &Slot) -> (u64, i64, Bytes) {
        (slot.position, slot.recorded, self.body.slice(slot.start as usize..slot.end as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(bytes: &[u8]) {
        let (mut by_hand, mut by_encoder) = (bytes, bytes);
        let plain = |e: Entry| (e.position, e.recorded, e.len);
        let (a, b) = (Entry::take(&mut by_hand), take::<Entry>(&mut by_encoder));
        match (a, b) {
            (Ok(a), Ok(b)) => assert_eq!((plain(a), by_hand), (plain(b), by_encoder)),
            (a, b) => assert_eq!(a.is_err(), b.is_err(), "{bytes:?}"),
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_read_by_hand_as_the_encoder_reads_it(
            position: u64, recorded: i64, len: u32, narrow in 0..60u32, cut in 0..30usize,
        ) {
            let entry = Entry { position: position >> narrow, recorded: recorded >> narrow, len: len >> (narrow / 2) };
            let mut bytes = Vec::new();
            put(entry, &mut bytes);
            both(&bytes);
            both(bytes.get(..cut).unwrap_or(&bytes));
        }

        #[test]
        fn so_it_is_of_any_bytes(bytes in prop::collection::vec(prop_oneof![0..=255u8, 248..=255u8], 0..24)) {
            both(&bytes);
        }
    }
}
