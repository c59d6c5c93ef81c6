//! Which events of which branches are lost.

use std::collections::HashMap;

use super::plan::{Branches, PlannedPart};

/// The first and the last of each gap of a branch, in order.
pub(super) struct Gaps(HashMap<u64, Vec<(u64, u64)>>);

impl Gaps {
    pub(super) fn of(branches: &Branches) -> Self {
        let mut gaps: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        for (number, branch) in branches {
            for part in &branch.parts {
                if let PlannedPart::Lost { first, last, .. } = part {
                    gaps.entry(*number).or_default().push((*first, *last));
                }
            }
        }
        Self(gaps)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of_branch(&self, branch: u64) -> &[(u64, u64)] {
        self.0.get(&branch).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn has(&self, branch: u64, sequence: u64) -> bool {
        let gaps = self.of_branch(branch);
        let at = gaps.partition_point(|(_, last)| *last < sequence);
        gaps.get(at).is_some_and(|(first, _)| *first <= sequence)
    }
}
