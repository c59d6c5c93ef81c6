//! What is known of a branch, and the list of segments through which it is read.

use std::sync::Arc;

use redb::ReadTransaction;

use super::lookup;
use super::tables::{BRANCHES, LINES};
use super::tail::Tail;
use super::trouble::corrupt;
use crate::cache::Cache;
use crate::codec::BranchRow;
use crate::error::{Error, Result};
use crate::event::{Place, Sequence};
use crate::limits::{BRANCH_CACHE, MAX_FORK_DEPTH};

/// A branch: its names, its number, and where its history comes from. Nothing here ever changes; the head is asked
/// for separately.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) number: u64,
    pub(crate) place: Arc<Place>,
    pub(crate) parent: Option<u64>,
    /// The last inherited sequence.
    pub(crate) fork: u64,
    pub(crate) created: i64,
    /// How many ancestors it has; those that a reader steps over, as they add no event, count too.
    pub(crate) depth: usize,
    /// Oldest ancestor first, itself last; without holes.
    pub(crate) lineage: Box<[Segment]>,
}

/// The sequences `first..=last` of a reader's history are the own events of one branch.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) branch: u64,
    pub(crate) place: Arc<Place>,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Branch {
    /// Nested forks are clamped: what a child does not inherit, no grandchild does.
    pub(super) fn new(number: u64, row: BranchRow, parent: Option<&Branch>) -> Self {
        let place = Arc::new(row.place);
        let inherited = parent.map(|p| &*p.lineage).unwrap_or_default().iter();
        let mut lineage: Vec<Segment> = inherited
            .map(|s| Segment { last: s.last.min(row.fork), ..s.clone() })
            .filter(|s| s.first <= s.last)
            .collect();
        lineage.push(Segment {
            branch: number,
            place: place.clone(),
            first: row.fork.saturating_add(1),
            last: u64::MAX,
        });
        let depth = parent.map_or(0, |p| p.depth + 1);
        let (parent, fork, created) = (row.parent, row.fork, row.created);
        Self { number, place, parent, fork, created, depth, lineage: lineage.into() }
    }

    pub(super) fn row(&self) -> BranchRow {
        BranchRow {
            place: (*self.place).clone(),
            parent: self.parent,
            fork: self.fork,
            created: self.created,
        }
    }

    /// The last sequence up to which two branches are the same events, at most at these heads.
    pub(super) fn common(a: (&Branch, Sequence), b: (&Branch, Sequence)) -> Sequence {
        let mut common = 0;
        for (x, y) in a.0.lineage.iter().zip(&b.0.lineage) {
            if x.branch != y.branch {
                break;
            }
            common = x.last.min(y.last);
            if x.last != y.last {
                break;
            }
        }
        Sequence::new(common.min(a.1.get()).min(b.1.get()))
    }
}

/// Branches that were asked for lately, by number and by name.
#[derive(Debug)]
pub(super) struct Branches {
    by_place: Cache<Place, Arc<Branch>>,
    by_number: Cache<u64, Arc<Branch>>,
}

impl Branches {
    pub(super) fn new() -> Self {
        Self { by_place: Cache::new(BRANCH_CACHE), by_number: Cache::new(BRANCH_CACHE) }
    }

    pub(super) fn cached(&self, place: &Place) -> Option<Arc<Branch>> {
        self.by_place.get(place)
    }

    pub(super) fn numbered(&self, number: u64) -> Option<Arc<Branch>> {
        self.by_number.get(&number)
    }

    pub(super) fn keep(&self, branch: &Arc<Branch>) {
        self.by_place.insert((*branch.place).clone(), branch.clone());
        self.by_number.insert(branch.number, branch.clone());
    }

    /// The branch with these names: from memory, from the tail, or from the tables.
    pub(super) fn find(
        &self,
        place: &Place,
        tail: &Tail,
        txn: impl FnOnce() -> Result<Arc<ReadTransaction>>,
    ) -> Result<Option<Arc<Branch>>> {
        if let Some(branch) = self.cached(place).or_else(|| tail.born(place).cloned()) {
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
        Ok(Some(branch))
    }

    /// The branch with this number, which something in the store refers to.
    pub(super) fn by_number(&self, number: u64, tail: &Tail, txn: &ReadTransaction) -> Result<Arc<Branch>> {
        // Ancestors first, so that neither depth nor a circle in a damaged table can exhaust the stack.
        let mut missing = Vec::new();
        let mut next = Some(number);
        let mut known: Option<Arc<Branch>> = None;
        while let Some(n) = next {
            known = self.by_number.get(&n).or_else(|| tail.born_number(n).cloned());
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
            self.keep(&branch);
            known = Some(branch);
        }
        known.ok_or_else(|| Error::not_found("branch", number))
    }
}

/// Whether names lead to the number that has them. A row that cannot be read proves nothing: its own reader is told.
pub(super) fn belongs(names: (&str, &str), number: u64, txn: &ReadTransaction) -> Result<()> {
    match read_line(number, txn) {
        Ok(row) if (row.place.session.as_str(), row.place.branch.as_str()) != names => {
            Err(corrupt(format!("branch {}", row.place), "its name in the index is damaged"))
        }
        _ => Ok(()),
    }
}

fn read_line(number: u64, txn: &ReadTransaction) -> Result<BranchRow> {
    let table = lookup::open(txn, LINES)?;
    let row = lookup::get(&table, number)?;
    let row =
        row.ok_or_else(|| corrupt(format!("branch number {number}"), "it is referred to and missing"))?;
    BranchRow::decode(number, row.value())
        .map_err(|e| corrupt(format!("branch number {number}"), e.to_string()))
}
