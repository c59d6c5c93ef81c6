//! A change of the tables: the one way in which an open store commits to redb.

use std::ops::Deref;

use redb::{Database, WriteTransaction};

use super::append::Durability;
use super::shared::Shared;
use super::trouble::{Trouble, guarded};
use super::view::SharedView;
use crate::error::Result;

/// A write transaction. After its commit readers no longer share a view of what was there before.
pub(super) struct Change<'a> {
    txn: WriteTransaction,
    view: &'a SharedView,
}

impl Deref for Change<'_> {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        &self.txn
    }
}

impl Change<'_> {
    pub(super) fn commit(self) -> Result<()> {
        let committed = guarded(|| self.txn.commit().told());
        self.view.forget();
        committed
    }
}

impl Shared {
    /// Begins a change of the tables. It can leave what is needed to open the file without repair.
    pub(super) fn begin_tables(
        &self,
        db: &Database,
        durability: Durability,
        fast_recovery: bool,
    ) -> Result<Change<'_>> {
        let mut txn = db.begin_write().told()?;
        txn.set_durability(match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Relaxed => redb::Durability::None,
        })
        .told()?;
        txn.set_two_phase_commit(self.options.two_phase);
        txn.set_quick_repair(fast_recovery);
        Ok(Change { txn, view: &self.view })
    }
}
