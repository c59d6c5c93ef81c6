//! Records of the sidecar tables, as a reader sees them.

use std::sync::Arc;

use super::port::EngineReader;
use super::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::error::{Error, Result};

/// Reads records. Each call reads its own moment, so two records of the same moment take one call.
#[derive(Clone, Debug)]
pub(crate) struct Records(Arc<dyn EngineReader>);

impl Records {
    pub(crate) fn new(engine: Arc<dyn EngineReader>) -> Self {
        Self(engine)
    }

    pub(crate) fn get(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.record(table, key)
    }

    /// Several records of a table as of one moment.
    pub(crate) fn get_all<const N: usize>(
        &self,
        table: SidecarTable,
        keys: [&[u8]; N],
    ) -> Result<[Option<Vec<u8>>; N]> {
        let found = self.0.each_record(table, &keys)?;
        found.try_into().map_err(|_| Error::storage("not every record that was asked for was answered"))
    }

    /// Records in the order of their keys, or in reverse.
    pub(crate) fn rows(&self, table: SidecarTable, range: &SidecarRange<'_>) -> Result<Vec<SidecarRecord>> {
        self.0.rows(table, range)
    }
}
