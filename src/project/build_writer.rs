//! What a rebuild writes with.

use std::sync::Arc;

use super::keys::{Built, to_json};
use super::lease::Lease;
use super::row::Row;
use crate::error::Result;
use crate::event::Timestamp;
use crate::store::{SidecarTable, SidecarWrites, StoreHandle};
use crate::sync::{Mutex, lock};

/// What a rebuild writes with: only while its lease is held, and its generation is the one that is being built.
#[derive(Debug)]
pub(super) struct BuildWriter {
    pub(super) handle: StoreHandle,
    lease: Arc<Lease>,
    key: Vec<u8>,
    /// The row of the generation.
    row: Mutex<Vec<u8>>,
}

impl BuildWriter {
    /// With the row of the generation as it was written.
    pub(super) fn new(handle: StoreHandle, lease: Arc<Lease>, key: Vec<u8>, row: Vec<u8>) -> Self {
        Self { handle, lease, key, row: Mutex::new(row) }
    }

    /// Writes states, relaxed: what is lost is built again.
    ///
    /// # Errors
    /// [`Error::RecordChanged`](crate::Error::RecordChanged) when the lease was lost, or the generation given up.
    pub(super) fn write(&self, mut records: SidecarWrites) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.expected_by(&mut records);
        self.lease.write(&self.handle, records.relaxed(), Timestamp::now())
    }

    /// The same with how far the generation is. For a rebuild that has one thread.
    pub(super) fn write_up_to(&self, mut records: SidecarWrites, built: &Built) -> Result<()> {
        let row = to_json(built);
        records.put(SidecarTable::Checkpoints, self.key.clone(), row.clone());
        self.write(records)?;
        *lock(&self.row) = row;
        Ok(())
    }

    fn expected_by(&self, records: &mut SidecarWrites) {
        Row::Read(lock(&self.row).clone()).expected_by(records, self.key.clone());
    }

    /// Removes the row: the generation takes the other's place, or is given up.
    pub(super) fn remove_row(&self, records: &mut SidecarWrites) {
        self.expected_by(records);
        records.remove(SidecarTable::Checkpoints, self.key.clone());
    }
}
