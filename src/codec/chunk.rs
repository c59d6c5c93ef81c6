//! The chunk: consecutive events of one branch, settled. One row of `events`.
//!
//! Positions, times and lengths stand together before the records, so that a reader can step to the event that it
//! wants without decoding those before it.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::Malformed;
use super::seal::{self, Sort};
use super::wire::{put, take, take_bytes};
use crate::limits::MAX_CHUNK_EVENTS;

/// How the body is stored. Others may follow; a reader refuses what it does not know.
const PLAIN: u8 = 0;

#[derive(Encode, BorrowDecode)]
struct Header {
    packing: u8,
    branch: u64,
    first: u64,
    count: u32,
}

/// Differences to the event before it.
#[derive(Encode, BorrowDecode)]
struct Entry {
    position: u64,
    recorded: i64,
    len: u32,
}

/// Collects a chunk, event by event.
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

    /// Adds the next event. Positions increase.
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

    /// How many events it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// Bytes that it would take, closely.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes + self.entries.len() + 40
    }

    /// Sequence of its last event; that of the one before its first when it is empty.
    #[must_use]
    pub fn last(&self) -> u64 {
        (self.first + self.records.len() as u64).saturating_sub(1)
    }

    /// The chunk's bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = seal::open(self.size());
        let count = self.records.len() as u32;
        put(Header { packing: PLAIN, branch: self.branch, first: self.first, count }, &mut out);
        out.extend_from_slice(&self.entries);
        for record in &self.records {
            out.extend_from_slice(record);
        }
        seal::close(Sort::Chunk, out)
    }
}

/// A chunk whose checksum and table of entries are right; its records are decoded by whoever wants them.
#[derive(Clone, Debug)]
pub struct Chunk {
    branch: u64,
    first: u64,
    entries: Vec<(u64, i64, Bytes)>,
}

impl Chunk {
    /// Reads a chunk. The records share its buffer.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`ChunkBuilder::finish`] does not write.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut rest = seal::unseal(Sort::Chunk, bytes)?;
        let header: Header = take(&mut rest)?;
        if header.packing != PLAIN {
            return Err(Malformed::new("its packing is unknown"));
        }
        let count = header.count as usize;
        let ends = header.first.checked_add(u64::from(header.count)).is_some();
        if count == 0 || count > MAX_CHUNK_EVENTS || header.first == 0 || !ends {
            return Err(Malformed::new("its event count or first sequence is impossible"));
        }
        let mut table = Vec::with_capacity(count);
        let (mut position, mut recorded) = (0u64, 0i64);
        for _ in 0..count {
            let entry: Entry = take(&mut rest)?;
            position = position
                .checked_add(entry.position)
                .filter(|_| entry.position > 0)
                .ok_or(Malformed::new("its positions do not increase"))?;
            recorded = recorded.wrapping_add(entry.recorded);
            table.push((position, recorded, entry.len));
        }
        let mut entries = Vec::with_capacity(count);
        for (position, recorded, len) in table {
            let record = bytes.slice_ref(take_bytes(&mut rest, len as usize)?);
            entries.push((position, recorded, record));
        }
        if !rest.is_empty() {
            return Err(Malformed::new("bytes are left over"));
        }
        Ok(Self { branch: header.branch, first: header.first, entries })
    }

    /// Number of the branch.
    #[must_use]
    pub fn branch(&self) -> u64 {
        self.branch
    }

    /// Sequence of its first event.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Sequence of its last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// Position, time recorded (µs) and record of every event, in order.
    #[must_use]
    pub fn entries(&self) -> &[(u64, i64, Bytes)] {
        &self.entries
    }

    /// Position, time recorded (µs) and record of the event with this sequence.
    #[must_use]
    pub fn entry(&self, sequence: u64) -> Option<&(u64, i64, Bytes)> {
        self.entries.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_whose_sequences_have_no_end_is_refused() {
        for (first, refused) in [(u64::MAX, true), (u64::MAX - 1, false)] {
            let mut chunk = ChunkBuilder::new(1, first);
            chunk.push(1, 0, Bytes::from_static(b"x"));
            let read = Chunk::decode(&chunk.finish().into());
            assert_eq!(read.map(|c| c.last()).ok(), (!refused).then_some(first));
        }
    }
}
