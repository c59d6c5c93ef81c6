//! What readers see of an open store: the tables, with the tail in memory on top.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::options::Options;
use crate::engine::branch::Branch;
use crate::engine::file::disk::ballast::Ballast;
use crate::engine::file::disk::place::FilePlace;
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::in_memory::recent::Recent;
use crate::engine::file::in_memory::tail::Tail;
use crate::engine::file::tables::changed::ChangedKeys;
use crate::engine::file::tables::db::{Db, WriteTxn};
use crate::engine::file::tables::opened::Snapshot;
use crate::engine::file::tables::view::SharedView;
use crate::engine::identity::Identity;
use crate::engine::process::Process;
use crate::engine::reaper::Reaper;
use crate::error::{Error, Result};
use crate::event::Position;
use crate::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, fault};
use crate::sync::{lock, read, write};

/// What has become of a branch.
pub(crate) enum Changed {
    Not,
    To(Arc<Branch>),
    /// Memory does not have it.
    Unknown,
}

/// The tables on disk, the tail, and caches of both.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) process: Process,
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    /// What the file has in common with those that continue it; `None` in an earlier format.
    pub(crate) line: Option<u64>,
    place: RwLock<FilePlace>,
    /// Space that is kept for flushes, where that is wanted.
    ballast: Option<Mutex<Ballast>>,
    /// `None` once the store is closed.
    db: RwLock<Option<Arc<Db>>>,
    tail: RwLock<Tail>,
    /// Whether attributes of a branch have ever changed: then one that somebody has may be of the past.
    changed: AtomicBool,
    /// Held by whoever needs the store to stay in its file.
    staying: Mutex<()>,
    /// Held by the one that changes the tables: redb would wait by itself, where nobody sees it.
    changing: Mutex<()>,
    pub(crate) branches: Branches,
    pub(crate) reaper: Arc<Reaper>,
    pub(crate) view: SharedView,
    pub(crate) recent: Recent,
}

impl Contents {
    /// `changed` says whether attributes of a branch have changed in what is flushed.
    pub(crate) fn new(
        (identity, line, place): (Identity, Option<u64>, FilePlace),
        options: Options,
        db: Db,
        (tail, branches): (Tail, Branches),
        changed: bool,
    ) -> Self {
        let kept = options.reserve.filter(|_| !identity.read_only);
        let ballast = kept.zip(identity.path.as_deref()).map(|(bytes, path)| Ballast::beside(path, bytes));
        Self {
            changed: AtomicBool::new(changed || tail.has_changes()),
            process: Process::this(),
            line,
            place: RwLock::new(place),
            ballast: ballast.map(Mutex::new),
            identity,
            options,
            db: RwLock::new(Some(Arc::new(db))),
            tail: RwLock::new(tail),
            staying: Mutex::default(),
            changing: Mutex::default(),
            branches,
            reaper: Reaper::new(),
            view: SharedView::default(),
            recent: Recent::default(),
        }
    }

    pub(crate) fn db(&self) -> Result<Arc<Db>> {
        self.process.check()?;
        read(&self.db).clone().ok_or(Error::Closed { after: None })
    }

    /// Refused in another process, where its lock may never be released.
    pub(crate) fn tail(&self) -> Result<RwLockReadGuard<'_, Tail>> {
        self.process.check()?;
        Ok(self.own_tail())
    }

    /// For the store's own threads, which exist in no other process.
    pub(crate) fn own_tail(&self) -> RwLockReadGuard<'_, Tail> {
        read(&self.tail)
    }

    pub(crate) fn own_tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        write(&self.tail)
    }

    /// Whether attributes of a branch have ever changed.
    pub(crate) fn has_changes(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }

    /// Says that they do, before anybody can read of it.
    pub(crate) fn changes(&self) {
        self.changed.store(true, Ordering::SeqCst);
    }

    /// What memory says of a branch that somebody has from before.
    pub(crate) fn changed_in_memory(&self, number: u64, tail: &Tail) -> Changed {
        if !self.has_changes() {
            return Changed::Not;
        }
        self.branches.in_memory(number, tail).map_or(Changed::Unknown, Changed::To)
    }

    /// The last committed position; zero in another process, where the tail may be locked forever.
    pub(crate) fn committed(&self) -> Position {
        self.tail().map_or(Position::ZERO, |tail| Position::new(tail.committed()))
    }

    pub(crate) fn read_only(&self) -> bool {
        self.identity.read_only
    }

    pub(crate) fn writable(&self) -> Result<()> {
        self.identity.writable()
    }

    /// Whether what is recorded will be found where the store was opened.
    ///
    /// # Errors
    /// The file was deleted, renamed or replaced.
    pub(crate) fn in_place(&self) -> Result<()> {
        match read(&self.place).still_holds() {
            true => Ok(()),
            false => Err(Error::storage(format!(
                "{} was deleted, renamed or replaced while it was open; nothing was recorded: put the file back under its name, or open the store under its new one",
                self.identity.name
            ))),
        }
    }

    /// Whether the space that is kept for flushes is there. During a flush it is not asked for again.
    ///
    /// # Errors
    /// The disk does not have it.
    pub(crate) fn has_space(&self, is_flushing: bool) -> Result<()> {
        let Some(ballast) = &self.ballast else { return Ok(()) };
        let mut ballast = lock(ballast);
        let held = match is_flushing {
            true if ballast.is_held() => Ok(()),
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => ballast.hold(),
        };
        held.map_err(|e| {
            let kept = self.options.reserve.unwrap_or_default();
            Error::storage(format!(
                "{} takes no events while its disk is full: {kept} bytes are to be kept for what was recorded already, and cannot be had ({e}); free space",
                self.identity.name
            ))
        })
    }

    /// Begins a change of the tables. An open store commits to redb only through this. With `fast_recovery` the
    /// commit includes what redb needs to open the file without a repair.
    pub(crate) fn change_tables(&self, db: &Db, fast_recovery: bool) -> Result<TablesChange<'_>> {
        self.writable()?;
        let turn = lock(&self.changing);
        if let Some(ballast) = &self.ballast {
            lock(ballast).make_room();
        }
        let txn = db.begin_write(|txn| {
            txn.set_two_phase_commit(self.options.two_phase);
            txn.set_quick_repair(fast_recovery);
            Ok(())
        })?;
        Ok(TablesChange { txn, view: &self.view, _turn: turn })
    }

    /// Looks at the tables at a moment when nobody is changing them, and at what has changed since the last such moment.
    pub(crate) fn moment(&self, db: &Db) -> Result<(ChangedKeys, Snapshot)> {
        let _turn = lock(&self.changing);
        Ok((db.changed_rows(), db.begin_read()?))
    }

    /// Until it is dropped, the store does not move into another file.
    pub(crate) fn stays(&self) -> MutexGuard<'_, ()> {
        lock(&self.staying)
    }

    /// Does something while nobody is changing the tables.
    pub(crate) fn while_nobody_changes<T>(&self, what: impl FnOnce() -> T) -> T {
        let _turn = lock(&self.changing);
        what()
    }

    /// From here on the store is in another file, which holds what the tables hold now. Nothing is in the tail.
    pub(crate) fn change_file(&self, db: &Db, new: &Db, place: FilePlace) {
        {
            let _tail = self.own_tail_mut();
            db.swap(new);
            *write(&self.place) = place;
        }
        self.view.forget();
    }

    /// Releases the file, as soon as no reader holds it.
    pub(crate) fn close(&self) -> Option<Arc<Db>> {
        let db = write(&self.db).take();
        self.view.forget();
        self.recent.forget();
        if let Some(ballast) = &self.ballast {
            lock(ballast).release();
        }
        db
    }
}

/// A write transaction. Its commit drops the shared view of the state before.
pub(crate) struct TablesChange<'a> {
    txn: WriteTxn,
    view: &'a SharedView,
    _turn: MutexGuard<'a, ()>,
}

impl Deref for TablesChange<'_> {
    type Target = WriteTxn;

    fn deref(&self) -> &WriteTxn {
        &self.txn
    }
}

impl TablesChange<'_> {
    pub(crate) fn commit(self) -> Result<()> {
        self.commit_and(|| ())
    }

    /// Commits, and does what has to be done before the next change.
    pub(crate) fn commit_and(self, then: impl FnOnce()) -> Result<()> {
        let committed = self.txn.commit();
        if !fault!(KeepsView) {
            self.view.forget();
        }
        if committed.is_ok() {
            then();
        }
        committed
    }
}
