//! Writing the file of an incremental backup, row by row.

use std::path::Path;

use crate::codec::{BackupLabel, BranchRow, Chunk, FORMAT, Features, HeadRow, Meta, Run, encode_order};
use crate::engine::file::filling::Filling;
use crate::engine::file::moment::StoredEvent;
use crate::engine::file::open::create::create_part;
use crate::engine::file::options::Options;
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::engine::sidecar::SidecarTable;
use crate::error::Result;

/// Rows, and bytes of them, in one transaction.
const ROWS: usize = 50_000;
const BYTES: usize = 8 * 1_024 * 1_024;
/// Nothing is ever written to its journal.
const JOURNAL_BYTES: u64 = 4_096;

/// Creates the file. Says how many bytes it has.
pub(super) fn create(
    to: &Path,
    options: &Options,
    fill: impl FnOnce(&mut PartWriter<'_>) -> Result<()>,
) -> Result<u64> {
    let options =
        Options { read_only: false, sync: true, journal_bytes: Some(JOURNAL_BYTES), ..options.clone() };
    create_part(to, &options, |db| {
        fill(&mut PartWriter::new(db))?;
        // What one transaction has left free the next has not always used.
        db.pack()
    })
}

/// Events of a branch come in their order, and branches one after the other; everything else in any.
pub(super) struct PartWriter<'d> {
    db: &'d Db,
    lines: Vec<(u64, Vec<u8>)>,
    heads: Vec<(u64, Vec<u8>)>,
    removed: Vec<(u64, u32)>,
    ids: Vec<([u8; 16], (u64, u64))>,
    filling: Filling,
}

impl<'d> PartWriter<'d> {
    fn new(db: &'d Db) -> Self {
        Self {
            db,
            lines: Vec::new(),
            heads: Vec::new(),
            removed: Vec::new(),
            ids: Vec::new(),
            filling: Filling::default(),
        }
    }

    pub(super) fn line(&mut self, number: u64, row: &BranchRow) -> Result<()> {
        self.lines.push((number, row.encode(number)));
        self.when_full()
    }

    pub(super) fn head(&mut self, number: u64, head: HeadRow) -> Result<()> {
        self.heads.push((number, head.encode(number)));
        self.when_full()
    }

    /// Adds a chunk as it is.
    pub(super) fn chunk(&mut self, chunk: &Chunk, row: &[u8]) -> Result<()> {
        self.filling.chunk(chunk.branch(), chunk.last(), row.to_vec());
        self.when_full()
    }

    pub(super) fn event(&mut self, branch: u64, sequence: u64, event: StoredEvent) -> Result<()> {
        self.filling.event(branch, sequence, event);
        self.when_full()
    }

    /// Positions of which the events were removed.
    pub(super) fn removed(&mut self, mut position: u64, mut count: u64) -> Result<()> {
        while count > 0 {
            let part = u32::try_from(count).unwrap_or(u32::MAX);
            self.removed.push((position, part));
            (position, count) = (position + u64::from(part), count - u64::from(part));
        }
        self.when_full()
    }

    /// The id of an event that was truncated, which stays known.
    pub(super) fn id(&mut self, id: [u8; 16], branch: u64, sequence: u64) -> Result<()> {
        self.ids.push((id, (branch, sequence)));
        self.when_full()
    }

    pub(super) fn record(&mut self, table: SidecarTable, key: &[u8], value: &[u8]) -> Result<()> {
        self.filling.record(table, key, value);
        self.when_full()
    }

    fn when_full(&mut self) -> Result<()> {
        let small = self.lines.len() + self.heads.len() + self.removed.len() + self.ids.len();
        let rows = small + self.filling.rows();
        if rows < ROWS && self.filling.bytes() < BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<()> {
        let txn = self.db.begin_write(|_| Ok(()))?;
        let mut table = txn.open(LINES)?;
        for (number, row) in self.lines.drain(..) {
            table.insert(number, row.as_slice())?;
        }
        drop(table);
        let mut table = txn.open(HEADS)?;
        for (number, row) in self.heads.drain(..) {
            table.insert(number, row.as_slice())?;
        }
        drop(table);
        let mut table = txn.open(ORDER)?;
        for (position, count) in self.removed.drain(..) {
            table.insert(position, encode_order(position, &[Run::removed(count)]).as_slice())?;
        }
        drop(table);
        let mut table = txn.open(IDS)?;
        for (id, place) in self.ids.drain(..) {
            table.insert(id, place)?;
        }
        drop(table);
        self.filling.write(&txn)?;
        txn.commit()
    }

    /// Writes the rest, and the meta row: that of the store, but for the rows of this file.
    pub(super) fn finish(&mut self, meta: Meta, label: &BackupLabel) -> Result<()> {
        self.filling.end_chunk();
        self.write()?;
        let mut meta =
            Meta { format: FORMAT, journal: Meta::new([0; 16], 0).journal, tables: Vec::new(), ..meta };
        meta.features.incompatible |= Features::INCREMENT;
        let txn = self.db.begin_write(|txn| {
            txn.set_quick_repair(true);
            Ok(())
        })?;
        self.filling.count(&txn, &mut meta)?;
        label.stick(&mut meta);
        txn.open(META)?.insert(META_KEY, meta.encode().as_slice())?;
        txn.commit()
    }
}
