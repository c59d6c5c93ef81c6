//! A change of the tables: the one way in which an open store commits to redb.

use std::ops::Deref;

use super::db::{Db, WriteTxn};
use super::durability::Durability;
use super::shared::Shared;
use super::trouble::MapRedb;
use super::view::SharedView;
use crate::error::{Error, Result};

/// A write transaction. After its commit readers no longer share a view of what was there before.
pub(super) struct Change<'a> {
    txn: WriteTxn<'a>,
    view: &'a SharedView,
}

impl<'a> Deref for Change<'a> {
    type Target = WriteTxn<'a>;

    fn deref(&self) -> &WriteTxn<'a> {
        &self.txn
    }
}

impl Change<'_> {
    pub(super) fn commit(self) -> Result<()> {
        let committed = self.txn.commit();
        self.view.forget();
        committed
    }
}

impl Shared {
    /// Begins a change of the tables. It can leave what is needed to open the file without repair.
    pub(super) fn begin_tables<'a>(
        &'a self,
        db: &'a Db,
        durability: Durability,
        fast_recovery: bool,
    ) -> Result<Change<'a>> {
        if self.read_only() {
            return Err(Error::ReadOnly { path: self.name.clone() });
        }
        let durability = match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Relaxed => redb::Durability::None,
        };
        let txn = db.begin_write(|txn| {
            txn.set_durability(durability).map_redb()?;
            txn.set_two_phase_commit(self.options.two_phase);
            txn.set_quick_repair(fast_recovery);
            Ok(())
        })?;
        Ok(Change { txn, view: &self.view })
    }
}
