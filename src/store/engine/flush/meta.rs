//! The meta row that a flush writes.

use super::into_tables::ToFlush;
use crate::codec::{Counts, FORMAT, JournalMark, Meta};
use crate::store::engine::contents::Contents;

/// What holds once these items are in the tables.
pub(crate) fn meta_after(
    contents: &Contents,
    items: &[ToFlush<'_>],
    next_branch: u64,
    counts: Counts,
    journal: JournalMark,
) -> Meta {
    let settled = match items.last() {
        Some(item) => item.event.position().get(),
        None => contents.own_tail().flushed(),
    };
    let (store, created) = (*contents.identity.id.bytes(), contents.identity.created.micros());
    Meta { format: FORMAT, store, created, settled, next_branch, journal, counts }
}
