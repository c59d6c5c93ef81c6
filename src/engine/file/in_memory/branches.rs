//! Branches in memory, and how to find those that are not.

use std::sync::Arc;

use redb::ReadTransaction;

use super::tail::Tail;
use crate::cache::Cache;
use crate::engine::branch::Branch;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::definitions::BRANCHES;
use crate::engine::file::tables::lines::{belongs, read_line};
use crate::engine::file::tables::lookup;
use crate::engine::file::tables::opened::Snapshot;
use crate::error::{Error, Result};
use crate::event::Place;
use crate::limits::{BRANCH_CACHE, MAX_FORK_DEPTH};

/// Recently used branches, by number and by name.
#[derive(Debug)]
pub(crate) struct Branches {
    by_place: Cache<Place, Arc<Branch>>,
    by_number: Cache<u64, Arc<Branch>>,
}

impl Branches {
    pub(crate) fn new() -> Self {
        Self { by_place: Cache::new(BRANCH_CACHE), by_number: Cache::new(BRANCH_CACHE) }
    }

    pub(crate) fn cached(&self, place: &Place) -> Option<Arc<Branch>> {
        self.by_place.get(place)
    }

    pub(crate) fn numbered(&self, number: u64) -> Option<Arc<Branch>> {
        self.by_number.get(&number)
    }

    /// The same, or what the tail says of it.
    pub(crate) fn in_memory(&self, number: u64, tail: &Tail) -> Option<Arc<Branch>> {
        self.numbered(number).or_else(|| tail.numbered(number).cloned())
    }

    /// A branch that begins, or has changed.
    pub(crate) fn keep(&self, branch: &Arc<Branch>) {
        self.keep_name(branch);
        self.by_number.insert(branch.number, branch.clone());
    }

    fn keep_name(&self, branch: &Arc<Branch>) {
        // Its names may have gone to a later one.
        if self.by_place.get(&branch.place).is_none_or(|named| named.number <= branch.number) {
            self.by_place.insert((*branch.place).clone(), branch.clone());
        }
    }

    /// The branch with these names: from memory, from the tail, or from the tables.
    pub(crate) fn find(
        &self,
        place: &Place,
        tail: &Tail,
        txn: impl FnOnce() -> Result<Arc<Snapshot>>,
    ) -> Result<Option<Arc<Branch>>> {
        if let Some(branch) = self.cached(place).or_else(|| tail.named(place).cloned()) {
            return Ok(Some(branch));
        }
        let txn = txn()?;
        let names = (place.session.as_str(), place.branch.as_str());
        let table = lookup::open(&txn, BRANCHES)?;
        let Some(number) = lookup::get(&table, names)?.map(|n| n.value()) else {
            for (names, number) in lookup::neighbours(&table, names)? {
                belongs(names.value(), number.value(), &txn)?;
            }
            return Ok(None);
        };
        let branch = self.by_number(number, tail, &txn)?;
        if *branch.place != *place {
            return Err(corrupt(format!("branch {place}"), "its row holds another name"));
        }
        self.keep_name(&branch);
        Ok(Some(branch))
    }

    /// The branch with this number, which something in the store refers to: if it is missing, the store is damaged.
    pub(crate) fn by_number(&self, number: u64, tail: &Tail, txn: &ReadTransaction) -> Result<Arc<Branch>> {
        // Ancestors first, so that neither depth nor a cycle in a damaged table can exhaust the stack.
        let mut missing = Vec::new();
        let mut next = Some(number);
        let mut known: Option<Arc<Branch>> = None;
        while let Some(n) = next {
            known = self.in_memory(n, tail);
            if known.is_some() {
                break;
            }
            let row = read_line(n, txn)?;
            next = row.parent;
            if next.is_some_and(|p| p >= n) || missing.len() > MAX_FORK_DEPTH {
                return Err(corrupt(format!("branch number {n}"), "its ancestors go in a circle"));
            }
            missing.push((n, row));
        }
        for (n, row) in missing.into_iter().rev() {
            let branch = Arc::new(Branch::new(n, row, known.as_deref()));
            self.by_number.insert(n, branch.clone());
            known = Some(branch);
        }
        known.ok_or_else(|| Error::not_found("branch", number))
    }
}
