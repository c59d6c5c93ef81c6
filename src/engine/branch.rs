//! A branch, and the segments through which it is read.

use std::sync::Arc;

use crate::codec::{Attributes, BranchRow};
use crate::event::{BranchName, Place, Sequence};

/// A branch: its names, its number, and where its history comes from. Only its attributes change, and then there is another
/// of these; the head is kept elsewhere.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) number: u64,
    pub(crate) place: Arc<Place>,
    pub(crate) parent: Option<u64>,
    pub(crate) parent_name: Option<BranchName>,
    /// The last inherited sequence.
    pub(crate) fork: u64,
    pub(crate) created: i64,
    pub(crate) attributes: Attributes,
    /// How many ancestors it has, including those without events of their own.
    pub(crate) depth: usize,
    /// Oldest ancestor first, the branch itself last; without gaps.
    pub(crate) lineage: Box<[Segment]>,
}

/// The sequences `first..=last` of a history: events that one branch owns.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) branch: u64,
    pub(crate) place: Arc<Place>,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Branch {
    /// Nested forks are clamped: a grandchild cannot inherit what its parent does not.
    pub(crate) fn new(number: u64, row: BranchRow, parent: Option<&Branch>) -> Self {
        let place = Arc::new(row.place.clone());
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
        let parent_name = parent.map(|p| p.place.branch.clone());
        let BranchRow { parent, fork, created, attributes, .. } = row;
        Self { number, place, parent, parent_name, fork, created, attributes, depth, lineage: lineage.into() }
    }

    /// The same branch with other attributes.
    pub(crate) fn with(&self, attributes: Attributes) -> Self {
        Self {
            number: self.number,
            place: self.place.clone(),
            parent: self.parent,
            parent_name: self.parent_name.clone(),
            fork: self.fork,
            created: self.created,
            attributes,
            depth: self.depth,
            lineage: self.lineage.clone(),
        }
    }

    pub(crate) fn row(&self) -> BranchRow {
        BranchRow {
            place: (*self.place).clone(),
            parent: self.parent,
            fork: self.fork,
            created: self.created,
            attributes: self.attributes.clone(),
        }
    }

    /// The last sequence up to which two branches share their events, each read up to the head given.
    pub(crate) fn common(a: (&Branch, Sequence), b: (&Branch, Sequence)) -> Sequence {
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
