//! The meta row that a flush writes.

use super::into_tables::Flushed;
use crate::codec::{FORMAT, JournalMark, Meta, StoreCounts};
use crate::engine::file::redb_errors::{corrupt, malformed};
use crate::engine::file::tables::db::WriteTxn;
use crate::engine::file::tables::definitions::{META, META_KEY};
use crate::error::Result;

/// The meta row that is true once all this is in the tables. What this release does not know of the row before stays in it.
pub(crate) fn meta_after(
    txn: &WriteTxn,
    flushed: &Flushed<'_>,
    flushed_before: u64,
    next_branch: u64,
    counts: StoreCounts,
    journal: JournalMark,
) -> Result<Meta> {
    let before = txn.open(META)?.get(META_KEY, Meta::decode)?;
    let before =
        before.ok_or_else(|| corrupt("the meta row", "it is missing"))?.map_err(malformed("the meta row"))?;
    let flushed = match flushed.items.last() {
        Some(item) => item.event.position().get(),
        None => flushed_before,
    };
    Ok(Meta { format: FORMAT, flushed, next_branch, journal, counts, ..before })
}
