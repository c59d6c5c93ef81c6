//! The meta row that a flush writes.

use super::into_tables::ToFlush;
use crate::codec::{FORMAT, JournalMark, Meta, StoreCounts};
use crate::engine::file::contents::Contents;

/// The meta row that is true once these items are in the tables.
pub(crate) fn meta_after(
    contents: &Contents,
    items: &[ToFlush<'_>],
    next_branch: u64,
    counts: StoreCounts,
    journal: JournalMark,
) -> Meta {
    let flushed = match items.last() {
        Some(item) => item.event.position().get(),
        None => contents.own_tail().flushed(),
    };
    let (store, created) = (*contents.identity.id.bytes(), contents.identity.created.micros());
    Meta { format: FORMAT, store, created, flushed, next_branch, journal, counts }
}
