//! What every new file that is made row by row has alike: the chunks of its events, its records, and how many rows there are.

use std::collections::BTreeSet;

use redb::TableHandle;

use super::flush::into_tables::{Packing, chunk_rows};
use super::moment::StoredEvent;
use super::tables::db::WriteTxn;
use super::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, ORDER};
use super::tables::sidecar_view::table_of;
use crate::codec::{ChunkBuilder, Meta, encode_sidecar_row};
use crate::engine::sidecar::SidecarTable;
use crate::error::Result;
use crate::limits::MAX_CHUNK_EVENTS;

/// Events of a branch come in their order, and branches one after the other; records in any.
#[derive(Default)]
pub(super) struct Filling {
    chunks: Vec<((u64, u64), Vec<u8>)>,
    records: Vec<(SidecarTable, Vec<u8>, Vec<u8>)>,
    /// Tables that have a record: each is made with its first row.
    sidecars: BTreeSet<SidecarTable>,
    bytes: usize,
    /// The chunk that is being built, and its branch.
    building: Option<(u64, ChunkBuilder)>,
    packing: Packing,
}

impl Filling {
    /// Adds a chunk as it is, with this last sequence.
    pub(super) fn chunk(&mut self, branch: u64, last: u64, row: Vec<u8>) {
        self.end_chunk();
        self.bytes += row.len();
        self.chunks.push(((branch, last), row));
    }

    pub(super) fn event(&mut self, branch: u64, sequence: u64, event: StoredEvent) {
        let (position, recorded, record) = event;
        if self.building.as_ref().is_some_and(|(of, chunk)| {
            let size = chunk.size() + record.len();
            *of != branch || self.packing.is_full(size) || chunk.count() >= MAX_CHUNK_EVENTS
        }) {
            self.end_chunk();
        }
        let (_, chunk) = self.building.get_or_insert_with(|| (branch, ChunkBuilder::new(branch, sequence)));
        chunk.push(position, recorded, record);
    }

    pub(super) fn record(&mut self, table: SidecarTable, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.sidecars.insert(table);
        self.records.push((table, key.to_vec(), encode_sidecar_row(table.number(), key, value)));
    }

    /// Nothing is added to the chunk that is being built.
    pub(super) fn end_chunk(&mut self) {
        if let Some((branch, chunk)) = self.building.take() {
            for (last, row) in chunk_rows(&mut self.packing, chunk) {
                self.bytes += row.len();
                self.chunks.push(((branch, last), row));
            }
        }
    }

    /// Rows that wait to be written.
    pub(super) fn rows(&self) -> usize {
        self.chunks.len() + self.records.len()
    }

    /// Bytes of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn write(&mut self, txn: &WriteTxn) -> Result<()> {
        let mut table = txn.open(EVENTS)?;
        for (key, row) in self.chunks.drain(..) {
            table.insert(key, row.as_slice())?;
        }
        drop(table);
        for (sidecar, key, row) in self.records.drain(..) {
            txn.open(table_of(sidecar))?.insert(key.as_slice(), row.as_slice())?;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Counts the rows of every table.
    pub(super) fn count(&self, txn: &WriteTxn, meta: &mut Meta) -> Result<()> {
        meta.set_rows_of(BRANCHES.name(), txn.open(BRANCHES)?.len()?);
        meta.set_rows_of(LINES.name(), txn.open(LINES)?.len()?);
        meta.set_rows_of(HEADS.name(), txn.open(HEADS)?.len()?);
        meta.set_rows_of(EVENTS.name(), txn.open(EVENTS)?.len()?);
        meta.set_rows_of(ORDER.name(), txn.open(ORDER)?.len()?);
        meta.set_rows_of(IDS.name(), txn.open(IDS)?.len()?);
        for sidecar in &self.sidecars {
            meta.set_rows_of(sidecar.name(), txn.open(table_of(*sidecar))?.len()?);
        }
        Ok(())
    }
}
