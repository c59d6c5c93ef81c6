//! The flushed part as it was at some moment, with the tables that reading a branch needs already open. It is shared
//! by all readers until the next commit to the tables: a short read costs its search, not the preparations.
//!
//! A view is a read transaction of redb, and redb reuses no page that a read transaction may still look at. One that is
//! kept while others commit makes the file grow with every commit, so none outlives the commit that replaces what it
//! shows, except in the hands of a reader that is at work.

use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, Mutex};

use redb::{ReadOnlyTable, ReadTransaction};

use super::db::Db;
use super::definitions::{EVENTS, HEADS};
use super::lookup;
use super::sidecar_view::SidecarView;
use crate::codec::HeadRow;
use crate::engine::file::redb_errors::{corrupt, malformed};
use crate::engine::sync::lock;
use crate::error::Result;

type Chunks = ReadOnlyTable<(u64, u64), &'static [u8]>;
type Heads = ReadOnlyTable<u64, &'static [u8]>;

pub(crate) struct View {
    txn: Arc<ReadTransaction>,
    pub(crate) events: Chunks,
    heads: Heads,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl View {
    fn new(txn: Arc<ReadTransaction>) -> Result<Self> {
        let (events, heads) = (lookup::open(&txn, EVENTS)?, lookup::open(&txn, HEADS)?);
        Ok(Self { txn, events, heads })
    }

    /// The records as they stood then.
    pub(crate) fn records(&self) -> SidecarView {
        SidecarView::of(self.txn.clone())
    }

    /// Where the flushed part of a branch ends; `None` when nothing of its own is flushed.
    pub(crate) fn head(&self, branch: u64) -> Result<Option<HeadRow>> {
        head_in(&self.heads, &self.events, branch)
    }
}

/// Where a flushed part of a branch ends, in a transaction of the caller's.
pub(crate) fn flushed_head(txn: &ReadTransaction, branch: u64) -> Result<Option<HeadRow>> {
    head_in(&lookup::open(txn, HEADS)?, &lookup::open(txn, EVENTS)?, branch)
}

fn head_in(heads: &Heads, events: &Chunks, branch: u64) -> Result<Option<HeadRow>> {
    let place = || format!("the head of branch number {branch}");
    if let Some(row) = lookup::get(heads, branch)? {
        return HeadRow::decode(branch, row.value()).map(Some).map_err(malformed(place()));
    }
    // A lost row would make the branch look empty, and be written over.
    match lookup::rows(events, (branch, 0)..=(branch, u64::MAX))?.next().transpose()? {
        None => Ok(None),
        Some(_) => Err(corrupt(place(), "it is missing although the branch has events")),
    }
}

/// The view that readers share.
#[derive(Debug, Default)]
pub(crate) struct SharedView(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// How often the view was forgotten: once for every commit to the tables.
    forgotten: u64,
    view: Option<Arc<View>>,
}

impl SharedView {
    fn get(&self, open: impl FnOnce() -> Result<View>) -> Result<Arc<View>> {
        let forgotten = {
            let kept = lock(&self.0);
            if let Some(view) = &kept.view {
                return Ok(view.clone());
            }
            kept.forgotten
        };
        let view = Arc::new(open()?);
        let mut kept = lock(&self.0);
        // After a commit in between nobody would forget this one, which may be from before it.
        if kept.forgotten == forgotten && kept.view.is_none() {
            kept.view = Some(view.clone());
        }
        Ok(view)
    }

    /// To be called after every commit to the tables, before anybody is told of it.
    pub(crate) fn forget(&self) {
        let view = {
            let mut kept = lock(&self.0);
            kept.forgotten += 1;
            kept.view.take()
        };
        drop(view);
    }
}

/// A view that is taken when it is first needed: a reader of recent events never takes one.
pub(crate) struct LazyView<'a> {
    shared: &'a SharedView,
    db: &'a Db,
    view: OnceCell<Arc<View>>,
}

impl<'a> LazyView<'a> {
    /// For a reader that has looked at the tail before: the view has everything that had left it by then.
    pub(crate) fn new(shared: &'a SharedView, db: &'a Db) -> Self {
        Self { shared, db, view: OnceCell::new() }
    }

    pub(crate) fn get(&self) -> Result<&View> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = self.shared.get(|| View::new(Arc::new(self.db.begin_read()?)))?;
        Ok(self.view.get_or_init(|| view))
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase};

    use super::*;
    use crate::engine::file::redb_errors::MapRedb;

    fn tables() -> Database {
        let db = redb::Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(EVENTS).unwrap();
        txn.open_table(HEADS).unwrap();
        txn.commit().unwrap();
        db
    }

    #[test]
    fn a_view_is_shared_until_a_commit_and_one_that_was_begun_before_it_is_not_kept() {
        let db = tables();
        let shared = SharedView::default();
        let open = || View::new(Arc::new(db.begin_read().map_redb()?));
        let first = shared.get(open).unwrap();
        assert!(Arc::ptr_eq(&first, &shared.get(open).unwrap()));
        shared.forget();
        assert_eq!(Arc::strong_count(&first), 1);
        let second = shared
            .get(|| {
                let view = open();
                shared.forget();
                view
            })
            .unwrap();
        assert_eq!(Arc::strong_count(&second), 1);
        let third = shared.get(open).unwrap();
        assert_eq!(Arc::strong_count(&third), 2);
    }
}
