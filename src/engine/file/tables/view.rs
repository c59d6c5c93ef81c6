//! The flushed part at one moment, with the tables already open that reading a branch needs. All readers share it
//! until the next commit to the tables, so that a short read costs no more than its search.
//!
//! A view is a read transaction, and redb does not reuse pages that one may still read. A view that is kept while
//! others commit makes the file grow with every commit, so none outlives the commit that replaces it, except in a
//! reader that is still at work.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction};

use super::db::Db;
use super::definitions::{EVENTS, HEADS};
use super::lookup;
use super::opened::Snapshot;
use super::sidecar_view::SidecarView;
use crate::codec::HeadRow;
use crate::engine::file::redb_errors::{corrupt, malformed};
use crate::error::Result;
use crate::sync::Mutex;
use crate::sync::lock;

type Chunks = ReadOnlyTable<(u64, u64), &'static [u8]>;
type Heads = ReadOnlyTable<u64, &'static [u8]>;

pub(crate) struct View {
    pub(crate) events: Chunks,
    heads: Heads,
    // Dropped last: it keeps the file open.
    txn: Arc<Snapshot>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl View {
    fn new(txn: Arc<Snapshot>) -> Result<Self> {
        let (events, heads) = (lookup::open(&txn, EVENTS)?, lookup::open(&txn, HEADS)?);
        Ok(Self { txn, events, heads })
    }

    /// The records as they were at that moment.
    pub(crate) fn records(&self) -> SidecarView {
        SidecarView::of(self.txn.clone())
    }

    /// Where the flushed part of a branch ends; `None` when no event that it owns is flushed.
    pub(crate) fn head(&self, branch: u64) -> Result<Option<HeadRow>> {
        head_in(&self.heads, &self.events, branch)
    }
}

/// Where the flushed part of a branch ends, in a transaction of the caller's.
pub(crate) fn flushed_head(txn: &ReadTransaction, branch: u64) -> Result<Option<HeadRow>> {
    head_in(&lookup::open(txn, HEADS)?, &lookup::open(txn, EVENTS)?, branch)
}

fn head_in(heads: &Heads, events: &Chunks, branch: u64) -> Result<Option<HeadRow>> {
    let place = || format!("the head of branch number {branch}");
    if let Some(row) = lookup::get(heads, branch)? {
        return HeadRow::decode(branch, row.value()).map(Some).map_err(malformed(place()));
    }
    // A lost row would make the branch look empty, and let it be overwritten.
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
    /// How often the view was dropped: once for every commit to the tables.
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
        // It may be from before a commit that happened in between, and nobody would drop it.
        if kept.forgotten == forgotten && kept.view.is_none() {
            kept.view = Some(view.clone());
        }
        Ok(view)
    }

    /// Must be called after every commit to the tables, before anybody is notified of it.
    pub(crate) fn forget(&self) {
        let view = {
            let mut kept = lock(&self.0);
            kept.forgotten += 1;
            kept.view.take()
        };
        drop(view);
    }
}

/// A view that is taken on first use: readers of recent events never take one.
pub(crate) struct LazyView<'a> {
    shared: &'a SharedView,
    db: &'a Db,
    view: OnceCell<Arc<View>>,
}

impl<'a> LazyView<'a> {
    /// For a reader that has already checked the tail: the view has everything that had left the tail by then.
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

    use super::*;

    fn tables() -> Db {
        let db = redb::Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let db = Db::new(db, Arc::new(InMemoryBackend::new()), 0, false);
        let txn = db.begin_write(|_| Ok(())).unwrap();
        txn.open(EVENTS).unwrap();
        txn.open(HEADS).unwrap();
        txn.commit().unwrap();
        db
    }

    #[test]
    fn a_view_is_shared_until_a_commit_and_one_that_was_begun_before_it_is_not_kept() {
        let db = tables();
        let shared = SharedView::default();
        let open = || View::new(Arc::new(db.begin_read()?));
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
