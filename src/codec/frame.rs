//! The frame: all that one commit changes. Its events of every branch, in order, the branches that it creates or changes, and
//! the records that it writes beside them. The body of one entry of the journal.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::Malformed;
use super::extras::{Extras, ExtrasWire};
use super::rows::BranchRow;
use super::run::Run;
use super::seal::{self, Layout, SealKind};
use super::sidecar::SidecarChange;
use super::wire::{Bounded, put, take, take_bytes};
use crate::limits::{MAX_BATCH_EVENTS, MAX_FRAME_RECORDS};

/// Groups are limited by bytes; the largest one holds at most this many events.
const MAX_FRAME_EVENTS: u32 = 1 << 20;
const _: () = assert!(MAX_BATCH_EVENTS <= MAX_FRAME_EVENTS as usize);

/// A branch that the commit creates or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Its number, by which the tables refer to it.
    pub number: u64,
    /// Everything else about it.
    pub row: BranchRow,
}

/// A record that the commit writes beside the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    /// The number of its table.
    pub table: u8,
    /// Its key.
    pub key: Bytes,
    /// Its value; `None` for one that is removed.
    pub value: Option<Bytes>,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    first_position: u64,
    recorded: i64,
    births: Bounded<(u64, &'a [u8]), MAX_FRAME_EVENTS>,
    runs: Bounded<Run, MAX_FRAME_EVENTS>,
}

/// What the third format has added, between the header and the events.
#[derive(Encode, BorrowDecode)]
struct Additions<'a> {
    changes: Bounded<(u64, &'a [u8]), MAX_FRAME_EVENTS>,
    records: Bounded<SidecarChange<'a>, { MAX_FRAME_RECORDS as u32 }>,
    others: ExtrasWire<'a>,
}

/// A decoded frame. All its parts share one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position of the first event; the others follow without gaps.
    pub first_position: u64,
    /// When the commit was made, in microseconds since the epoch.
    pub recorded: i64,
    /// Branches that the commit created.
    pub births: Vec<Birth>,
    /// Branches of which it changes attributes.
    pub changes: Vec<Birth>,
    /// Which branches and sequences the events belong to, in order.
    pub runs: Vec<Run>,
    /// The encoded records of the events.
    pub events: Vec<Bytes>,
    /// What it writes beside them.
    pub beside: Vec<FrameRecord>,
}

/// Builds the frame of a commit.
#[derive(Debug, Default)]
pub struct FrameBuilder<'a> {
    births: Vec<(u64, Vec<u8>)>,
    changes: Vec<(u64, Vec<u8>)>,
    runs: Vec<Run>,
    events: Vec<Bytes>,
    beside: Vec<SidecarChange<'a>>,
    bytes: usize,
}

impl<'a> FrameBuilder<'a> {
    /// An empty commit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a branch that this commit creates.
    pub fn birth(&mut self, number: u64, row: &BranchRow) {
        let row = row.encode(number);
        self.bytes += row.len() + 12;
        self.births.push((number, row));
    }

    /// Adds a branch of which this commit changes attributes.
    pub fn change(&mut self, number: u64, row: &BranchRow) {
        let row = row.encode(number);
        self.bytes += row.len() + 12;
        self.changes.push((number, row));
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
        self.events.push(record);
    }

    /// Adds a record that this commit writes beside the events, or removes.
    pub fn beside(&mut self, table: u8, key: &'a [u8], value: Option<&'a [u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len) + 12;
        self.beside.push((table, key, value));
    }

    /// The encoded frame.
    #[must_use]
    pub fn finish(self, first_position: u64, recorded: i64) -> Vec<u8> {
        let mut out = seal::open(self.bytes + self.runs.len() * 12 + 32);
        let births = rows(&self.births);
        put(Header { first_position, recorded, births, runs: Bounded(self.runs) }, &mut out);
        let changes = rows(&self.changes);
        put(Additions { changes, records: Bounded(self.beside), others: Bounded(Vec::new()) }, &mut out);
        for event in &self.events {
            put(event.len() as u32, &mut out);
            out.extend_from_slice(event);
        }
        seal::close_as(Layout::Second, SealKind::Frame, 0, out)
    }
}

fn rows(rows: &[(u64, Vec<u8>)]) -> Bounded<(u64, &[u8]), MAX_FRAME_EVENTS> {
    Bounded(rows.iter().map(|(number, row)| (*number, row.as_slice())).collect())
}

fn branches(rows: Bounded<(u64, &[u8]), MAX_FRAME_EVENTS>) -> Result<Vec<Birth>, Malformed> {
    let rows = rows.0.into_iter();
    rows.map(|(number, row)| Ok(Birth { number, row: BranchRow::decode(number, row)? })).collect()
}

impl Frame {
    /// Reads a frame, of this format or an earlier one.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`FrameBuilder::finish`] does not write, in this release or an earlier.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let (layout, mut rest) = seal::unseal_any(SealKind::Frame, 0, bytes)?;
        let header: Header<'_> = take(&mut rest)?;
        let additions: Additions<'_> = match layout {
            Layout::First => Additions {
                changes: Bounded(Vec::new()),
                records: Bounded(Vec::new()),
                others: Bounded(Vec::new()),
            },
            Layout::Second => take(&mut rest)?,
        };
        if !Extras::read(additions.others)?.is_empty() {
            return Err(Malformed::new("it holds a change that this release does not know"));
        }
        let total: u64 = header.runs.0.iter().map(|r| u64::from(r.count)).sum();
        // Every event takes up at least its length prefix, so a larger count is wrong.
        if total > rest.len() as u64 {
            return Err(Malformed::new("it counts more events than it holds"));
        }
        let mut events = Vec::with_capacity(total as usize);
        for _ in 0..total {
            let len: u32 = take(&mut rest)?;
            events.push(bytes.slice_ref(take_bytes(&mut rest, len as usize)?));
        }
        if !rest.is_empty() {
            return Err(Malformed::new("bytes are left over"));
        }
        let beside = additions.records.0.into_iter().map(|(table, key, value)| FrameRecord {
            table,
            key: bytes.slice_ref(key),
            value: value.map(|value| bytes.slice_ref(value)),
        });
        Ok(Self {
            first_position: header.first_position,
            recorded: header.recorded,
            births: branches(header.births)?,
            changes: branches(additions.changes)?,
            runs: header.runs.0,
            events,
            beside: beside.collect(),
        })
    }
}
