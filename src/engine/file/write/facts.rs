//! What a decision asks about the store.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::branch::Branch;
use crate::engine::decide::{Facts, Known};
use crate::engine::file::contents::Contents;
use crate::engine::file::in_memory::tail::Tail;
use crate::engine::file::read::list::{born_of, places_of};
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::chunks::flushed_event;
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::ids::{Beside, knows, locate_id};
use crate::engine::file::tables::lazy::Lazy;
use crate::engine::file::tables::sidecar_view::SidecarView;
use crate::engine::file::tables::view::flushed_head;
use crate::engine::sidecar::SidecarTable;
use crate::error::Result;
use crate::event::{Event, EventId, Place, SessionId};
use crate::limits::BRANCH_CACHE;

/// The store as it stands before the group.
pub(crate) struct StoreFacts<'a> {
    contents: &'a Contents,
    tail: &'a Tail,
    known: &'a KnownBranches,
    txn: Lazy<'a>,
    /// An id was looked up and not found, which can be believed only if the index is intact.
    looked_up: Cell<bool>,
}

impl<'a> StoreFacts<'a> {
    pub(crate) fn new(contents: &'a Contents, db: &'a Db, tail: &'a Tail, known: &'a KnownBranches) -> Self {
        Self { contents, tail, known, txn: Lazy::new(db), looked_up: Cell::new(false) }
    }

    fn numbered(&self, number: u64) -> Result<Arc<Branch>> {
        match self.contents.branches.in_memory(number, self.tail) {
            Some(branch) => Ok(branch),
            None => self.contents.branches.by_number(number, self.tail, &*self.txn.get()?),
        }
    }

    /// Checks that the index has the last event of a branch, which a retry after a crash usually repeats. Once per
    /// branch is enough: damage happens between two runs.
    fn is_indexed(&self, branch: &Branch, head: u64) -> Result<()> {
        if self.known.indexed.borrow().get(&branch.number).is_some() {
            return Ok(());
        }
        let txn = self.txn.get()?;
        // An unreadable event says nothing about its id.
        if let Ok(event) = flushed_event(&txn, branch.number, &branch.place, head, None)
            && !knows(&txn, branch.number, &event)?
        {
            let reason = "its id index entry is missing or wrong; a retry cannot be told from a new event";
            return Err(corrupt(event.address(), reason));
        }
        self.known.indexed.borrow_mut().keep(branch.number, ());
        Ok(())
    }
}

impl Facts for StoreFacts<'_> {
    fn branch(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        self.contents.branches.find(place, self.tail, || self.txn.get())
    }

    fn head(&self, branch: &Branch) -> Result<u64> {
        if let Some(head) = self.tail.head(branch.number) {
            return Ok(head);
        }
        let kept = self.known.heads.borrow().get(&branch.number).copied();
        let head = match (kept, self.tail.born(branch.number)) {
            (Some(head), _) => head,
            (None, Some(_)) => branch.fork,
            (None, None) => {
                flushed_head(&*self.txn.get()?, branch.number)?.map_or(branch.fork, |row| row.head)
            }
        };
        if self.looked_up.get() && head > branch.fork {
            self.is_indexed(branch, head)?;
        }
        self.known.heads.borrow_mut().keep(branch.number, head);
        Ok(head)
    }

    fn known(&self, id: EventId) -> Result<Option<Known>> {
        let found = |event: &Event| (event.position().get(), event.record().clone());
        if let Some(e) = self.tail.by_id(id) {
            let branch = self.numbered(e.branch)?;
            let sequence = e.event.sequence().get();
            let found = branch.shows(sequence).then(|| found(&e.event));
            return Ok(Some(Known { branch, sequence, found }));
        }
        if self.tail.max_flushed_id().is_none_or(|max| id > max) {
            return Ok(None);
        }
        let txn = self.txn.get()?;
        let place = |number| Ok(self.numbered(number)?.place.clone());
        let at = locate_id(&txn, id, Beside::Near, place)?;
        self.looked_up.set(true);
        let Some((number, sequence)) = at else { return Ok(None) };
        let branch = self.numbered(number)?;
        let found = match branch.shows(sequence) {
            true => Some(found(&flushed_event(&txn, number, &branch.place, sequence, Some(id))?)),
            // It may be removed by now.
            false => None,
        };
        Ok(Some(Known { branch, sequence, found }))
    }

    fn branches_of(&self, session: &SessionId) -> Result<Vec<Arc<Branch>>> {
        let names = places_of(session, born_of(session, self.tail), &*self.txn.get()?)?;
        let mut branches = Vec::with_capacity(names.len());
        for name in &names {
            branches.extend(self.branch(name)?.filter(|branch| branch.deleted().is_none()));
        }
        Ok(branches)
    }

    fn record(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.tail.record(table, key) {
            Some(value) => Ok(value.map(|value| value.to_vec())),
            None => SidecarView::of(self.txn.get()?).get(table, key),
        }
    }

    fn used(&self, branch: u64) -> i64 {
        self.contents.reaper.last_use(branch)
    }
}

/// What is remembered by branch number, until it is too much.
#[derive(Debug)]
struct Remembered<T>(HashMap<u64, T>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Remembered<T> {
    fn get(&self, branch: &u64) -> Option<&T> {
        self.0.get(branch)
    }

    fn keep(&mut self, branch: u64, value: T) {
        if self.0.len() >= BRANCH_CACHE {
            self.0.clear();
        }
        self.0.insert(branch, value);
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// What the writer remembers about branches.
#[derive(Debug, Default)]
pub(crate) struct KnownBranches {
    /// Recently used flushed heads, as of `heads_of` flushes.
    heads: RefCell<Remembered<u64>>,
    heads_of: u64,
    /// Branches whose last flushed event was found in the index of ids.
    indexed: RefCell<Remembered<()>>,
}

impl KnownBranches {
    /// Forgets heads that a flush may have changed.
    pub(crate) fn as_of(&mut self, flushes: u64) {
        if std::mem::replace(&mut self.heads_of, flushes) != flushes {
            self.heads.borrow_mut().clear();
        }
    }
}
