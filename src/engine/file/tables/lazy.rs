//! A read transaction that begins on first use.

use std::cell::OnceCell;
use std::sync::Arc;

use super::db::Db;
use super::opened::Snapshot;
use crate::error::Result;

/// Readers of recent events never begin one.
#[derive(Debug)]
pub(crate) struct Lazy<'a> {
    db: &'a Db,
    txn: OnceCell<Arc<Snapshot>>,
}

impl<'a> Lazy<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db, txn: OnceCell::new() }
    }

    pub(crate) fn get(&self) -> Result<Arc<Snapshot>> {
        if let Some(txn) = self.txn.get() {
            return Ok(txn.clone());
        }
        let txn = Arc::new(self.db.begin_read()?);
        Ok(self.txn.get_or_init(|| txn).clone())
    }
}
