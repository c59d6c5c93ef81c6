//! The tables of a new store.

use crate::codec::Meta;
use crate::engine::file::tables::db::{Db, WriteTxn};
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::error::Result;
use crate::event::{StoreId, Timestamp};

/// Creates them, empty, and gives the store its id.
pub(crate) fn initialise(db: &Db) -> Result<()> {
    let txn = db.begin_write(|txn| {
        txn.set_quick_repair(true);
        Ok(())
    })?;
    create_tables(&txn)?;
    let meta = Meta::new(*StoreId::new().bytes(), Timestamp::now().micros());
    txn.open(META)?.insert(META_KEY, meta.encode().as_slice())?;
    txn.commit()
}

/// Creates every table, so that a reader never meets a missing one.
fn create_tables(txn: &WriteTxn) -> Result<()> {
    txn.open(BRANCHES)?;
    txn.open(LINES)?;
    txn.open(HEADS)?;
    txn.open(EVENTS)?;
    txn.open(ORDER)?;
    txn.open(IDS)?;
    Ok(())
}
