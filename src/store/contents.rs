//! What readers see of an open store: the tables, and the tail in memory on top of them.

use std::ops::Deref;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::branches::Branches;
use super::db::{Db, WriteTxn};
use super::durability::Durability;
use super::identity::Identity;
use super::options::Options;
use super::process::Process;
use super::recent::Recent;
use super::settle::ToFlush;
use super::sync::{read, write};
use super::tail::Tail;
use super::trouble::MapRedb;
use super::view::SharedView;
use crate::codec::{Counts, FORMAT, JournalMark, Meta};
use crate::error::{Error, Result};
use crate::event::Position;

/// The tables as they are on the disk, the tail, and what is kept in memory of both.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) process: Process,
    pub(super) identity: Identity,
    pub(super) options: Options,
    /// `None` once the store is closed.
    db: RwLock<Option<Arc<Db>>>,
    tail: RwLock<Tail>,
    pub(super) branches: Branches,
    pub(super) view: SharedView,
    pub(super) recent: Recent,
}

impl Contents {
    pub(super) fn new(identity: Identity, options: Options, db: Db, tail: Tail, branches: Branches) -> Self {
        Self {
            process: Process::this(),
            identity,
            options,
            db: RwLock::new(Some(Arc::new(db))),
            tail: RwLock::new(tail),
            branches,
            view: SharedView::default(),
            recent: Recent::default(),
        }
    }

    pub(super) fn db(&self) -> Result<Arc<Db>> {
        self.process.check()?;
        read(&self.db).clone().ok_or(Error::Closed { after: None })
    }

    /// The recent events.
    pub(super) fn tail(&self) -> Result<RwLockReadGuard<'_, Tail>> {
        self.process.check()?;
        Ok(self.own_tail())
    }

    /// The same for threads of the store, which are in no other process.
    pub(super) fn own_tail(&self) -> RwLockReadGuard<'_, Tail> {
        read(&self.tail)
    }

    pub(super) fn own_tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        write(&self.tail)
    }

    /// The last position that is committed; zero in another process, where the tail may be locked for ever.
    pub(super) fn committed(&self) -> Position {
        self.tail().map_or(Position::ZERO, |tail| Position::new(tail.committed()))
    }

    pub(super) fn read_only(&self) -> bool {
        self.options.read_only
    }

    /// Refuses where the store is only read.
    pub(super) fn writable(&self) -> Result<()> {
        match self.read_only() {
            true => Err(Error::ReadOnly { path: self.identity.name.clone() }),
            false => Ok(()),
        }
    }

    /// The meta row once these items are flushed.
    pub(super) fn meta(
        &self,
        items: &[ToFlush<'_>],
        next_branch: u64,
        counts: Counts,
        journal: JournalMark,
    ) -> Meta {
        let settled = match items.last() {
            Some(item) => item.event.position().get(),
            None => self.own_tail().settled(),
        };
        let (store, created) = (*self.identity.id.bytes(), self.identity.created.micros());
        Meta { format: FORMAT, store, created, settled, next_branch, journal, counts }
    }

    /// Begins a change of the tables: the one way in which an open store commits to redb. It can leave what is needed to
    /// open the file without repair.
    pub(super) fn change_tables<'a>(
        &'a self,
        db: &'a Db,
        durability: Durability,
        fast_recovery: bool,
    ) -> Result<TablesChange<'a>> {
        self.writable()?;
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
        Ok(TablesChange { txn, view: &self.view })
    }

    /// Lets go of the file, as far as no reader holds it.
    pub(super) fn close(&self) -> Option<Arc<Db>> {
        let db = write(&self.db).take();
        self.view.forget();
        self.recent.forget();
        db
    }
}

/// A write transaction. After its commit readers no longer share a view of what was there before.
pub(super) struct TablesChange<'a> {
    txn: WriteTxn<'a>,
    view: &'a SharedView,
}

impl<'a> Deref for TablesChange<'a> {
    type Target = WriteTxn<'a>;

    fn deref(&self) -> &WriteTxn<'a> {
        &self.txn
    }
}

impl TablesChange<'_> {
    pub(super) fn commit(self) -> Result<()> {
        let committed = self.txn.commit();
        self.view.forget();
        committed
    }
}
