//! Records of the sidecar tables, as a reader sees them.

use std::sync::Arc;

use super::get::{Get, Got};
use super::port::EngineReader;
use super::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::error::{Error, Result};

/// Reads records, each call as of its own moment: whoever needs two of them as of one asks for both in one call.
#[derive(Clone, Debug)]
pub(crate) struct Records(Arc<dyn EngineReader>);

impl Records {
    pub(crate) fn new(engine: Arc<dyn EngineReader>) -> Self {
        Self(engine)
    }

    /// One record.
    pub(crate) fn get(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        record(self.0.read(&Get::Record { table, key })?)
    }

    /// Several records of a table as of one moment.
    pub(crate) fn get_all<const N: usize>(
        &self,
        table: SidecarTable,
        keys: [&[u8]; N],
    ) -> Result<[Option<Vec<u8>>; N]> {
        let got = self.0.read_all(&keys.map(|key| Get::Record { table, key }))?;
        let found: Vec<Option<Vec<u8>>> = got.into_iter().map(record).collect::<Result<_>>()?;
        found.try_into().map_err(|_| Error::storage("not every question was answered"))
    }

    /// Records in the order of their keys, or against it.
    pub(crate) fn rows(&self, table: SidecarTable, range: &SidecarRange<'_>) -> Result<Vec<SidecarRecord>> {
        match self.0.read(&Get::Records { table, range: range.clone() })? {
            Got::Records(rows) => Ok(rows),
            other => Err(Error::storage(format!("a question for records was answered with {other:?}"))),
        }
    }
}

fn record(got: Got) -> Result<Option<Vec<u8>>> {
    match got {
        Got::Record(record) => Ok(record),
        other => Err(Error::storage(format!("a question for a record was answered with {other:?}"))),
    }
}
