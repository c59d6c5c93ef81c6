//! The frame: all events of one commit, of every branch, in order. The body of one entry of the journal.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::Malformed;
use super::rows::BranchRow;
use super::run::Run;
use super::seal::{self, SealKind};
use super::wire::{Bounded, put, take, take_bytes};
use crate::limits::MAX_BATCH_EVENTS;

/// Groups are limited by bytes; the largest one holds at most this many events.
const MAX_FRAME_EVENTS: u32 = 1 << 20;
const _: () = assert!(MAX_BATCH_EVENTS <= MAX_FRAME_EVENTS as usize);

/// A branch that the commit created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Its number, by which the tables refer to it.
    pub number: u64,
    /// Everything else about it.
    pub row: BranchRow,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    first_position: u64,
    recorded: i64,
    births: Bounded<(u64, &'a [u8]), MAX_FRAME_EVENTS>,
    runs: Bounded<Run, MAX_FRAME_EVENTS>,
}

/// A decoded frame. The records share one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position of the first event; the others follow without gaps.
    pub first_position: u64,
    /// When the commit was made, in microseconds since the epoch.
    pub recorded: i64,
    /// Branches that the commit created.
    pub births: Vec<Birth>,
    /// Which branches and sequences the records belong to, in order.
    pub runs: Vec<Run>,
    /// The encoded records.
    pub records: Vec<Bytes>,
}

/// Builds the frame of a commit.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    births: Vec<(u64, Vec<u8>)>,
    runs: Vec<Run>,
    records: Vec<Bytes>,
    bytes: usize,
}

impl FrameBuilder {
    /// An empty commit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a branch that this commit creates.
    pub fn birth(&mut self, number: u64, row: &BranchRow) {
        let row = row.encode(number);
        self.bytes += row.len();
        self.births.push((number, row));
    }

    /// Adds the next event in global order.
    pub fn event(&mut self, branch: u64, sequence: u64, record: Bytes) {
        match self.runs.last_mut() {
            Some(run) if run.branch == branch && run.first + u64::from(run.count) == sequence => {
                run.count += 1;
            }
            _ => self.runs.push(Run { branch, first: sequence, count: 1 }),
        }
        self.bytes += record.len() + 5;
        self.records.push(record);
    }

    /// The encoded frame.
    #[must_use]
    pub fn finish(self, first_position: u64, recorded: i64) -> Vec<u8> {
        let mut out = seal::open(self.bytes + self.runs.len() * 12 + 32);
        let births = self.births.iter().map(|(n, row)| (*n, row.as_slice())).collect();
        put(Header { first_position, recorded, births: Bounded(births), runs: Bounded(self.runs) }, &mut out);
        for record in &self.records {
            put(record.len() as u32, &mut out);
            out.extend_from_slice(record);
        }
        seal::close(SealKind::Frame, out)
    }
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`FrameBuilder::finish`] does not write.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut rest = seal::unseal(SealKind::Frame, bytes)?;
        let header: Header<'_> = take(&mut rest)?;
        let total: u64 = header.runs.0.iter().map(|r| u64::from(r.count)).sum();
        // Every record takes up at least its length prefix, so a larger count is wrong.
        if total > rest.len() as u64 {
            return Err(Malformed::new("it counts more events than it holds"));
        }
        let mut records = Vec::with_capacity(total as usize);
        for _ in 0..total {
            let len: u32 = take(&mut rest)?;
            records.push(bytes.slice_ref(take_bytes(&mut rest, len as usize)?));
        }
        if !rest.is_empty() {
            return Err(Malformed::new("bytes are left over"));
        }
        let births = header
            .births
            .0
            .iter()
            .map(|(number, row)| Ok(Birth { number: *number, row: BranchRow::decode(*number, row)? }))
            .collect::<Result<_, Malformed>>()?;
        Ok(Self {
            first_position: header.first_position,
            recorded: header.recorded,
            births,
            runs: header.runs.0,
            records,
        })
    }
}
