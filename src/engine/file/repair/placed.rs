//! Where the events of the new store are in the global order: those that were found as they were, and a position that is free
//! for each that was lost.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use super::plan::{Branches, PlannedBranch, PlannedPart};
use crate::codec::Run;
use crate::error::{Error, Result};

/// Consecutive events with consecutive positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedRun {
    pub(super) position: u64,
    pub(super) run: Run,
    /// When the first and the last of them were recorded.
    pub(super) recorded: (i64, i64),
}

impl PlacedRun {
    /// Positions whose events are not in the new store, and were not lost.
    pub(super) fn removed(position: u64, count: u32) -> Self {
        Self { position, run: Run::removed(count), recorded: (0, 0) }
    }

    pub(super) fn end(self) -> u64 {
        self.position.saturating_add(self.run.count.into())
    }
}

/// The run before a position, or with it.
fn run_before(placed: &[PlacedRun], position: u64) -> Option<&PlacedRun> {
    placed.get(placed.partition_point(|run| run.position <= position).checked_sub(1)?)
}

pub(super) fn position_is_taken(placed: &[PlacedRun], position: u64) -> bool {
    run_before(placed, position).is_some_and(|run| position < run.end())
}

/// When a lost event was recorded, as far as is known: times never decrease along the global order. Where there was time between
/// the events around it, it is in a commit of its own, so that what comes before it can be restored without it.
pub(super) fn recorded_at(placed: &[PlacedRun], position: u64) -> Option<i64> {
    let next = placed.get(placed.partition_point(|run| run.position <= position));
    let next = next.map(|run| run.recorded.0);
    match run_before(placed, position).map(|run| run.recorded.1.saturating_add(1)) {
        Some(after) => Some(next.map_or(after, |next| after.min(next))),
        None => next,
    }
}

/// Consecutive sequences of a branch that have no position yet, which has to lie between two.
struct Open {
    branch: u64,
    next: u64,
    last: u64,
    after: u64,
    before: u64,
}

/// Gives every lost event a position. `placed` are those of the events that were found or removed, sorted; `hints`
/// those of lost ones. Answers the last position, and those that belong to no event that is known.
pub(super) fn place_lost(
    branches: &mut Branches,
    placed: &[PlacedRun],
    hints: &HashMap<(u64, u64), u64>,
) -> Result<(u64, Vec<u64>)> {
    let mut total =
        placed.iter().map(|run| run.end() - 1).chain(hints.values().copied()).max().unwrap_or_default();
    let mut open = open_gaps(branches, placed, hints);
    open.sort_by_key(|gap| Reverse(gap.after));
    let hinted: HashSet<u64> = hints.values().copied().collect();
    let mut found: HashMap<(u64, u64), u64> = hints.clone();
    let mut waiting: BinaryHeap<Reverse<(u64, u64, u64, u64)>> = BinaryHeap::new();
    let mut unknown = Vec::new();
    for position in missing(placed, total).filter(|position| !hinted.contains(position)) {
        while open.last().is_some_and(|gap| gap.after < position) {
            waiting.extend(open.pop().map(|gap| Reverse((gap.before, gap.branch, gap.next, gap.last))));
        }
        match waiting.pop() {
            Some(Reverse((before, branch, next, last))) if position < before => {
                found.insert((branch, next), position);
                if next < last {
                    waiting.push(Reverse((before, branch, next + 1, last)));
                }
            }
            Some(stuck) => {
                waiting.push(stuck);
                unknown.push(position);
            }
            None => unknown.push(position),
        }
    }
    for (event, position) in inherited(branches, &found).zip(total + 1..).collect::<Vec<_>>() {
        found.insert(event, position);
        total = position;
    }
    for (number, branch) in branches.iter_mut() {
        put_positions(*number, branch, &found)?;
    }
    Ok((total, unknown))
}

/// Lost events at the end of a branch from which others were forked, and which have no position: they are there.
fn inherited<'a>(
    branches: &'a Branches,
    found: &'a HashMap<(u64, u64), u64>,
) -> impl Iterator<Item = (u64, u64)> + 'a {
    let mut forks: HashMap<u64, u64> = HashMap::new();
    for row in branches.values().map(|branch| &branch.row) {
        let Some(parent) = row.parent else { continue };
        let fork = forks.entry(parent).or_default();
        *fork = row.fork.max(*fork);
    }
    branches.iter().flat_map(move |(number, branch)| {
        let fork = forks.get(number).copied().unwrap_or_default();
        let lost = match branch.parts.last() {
            Some(PlannedPart::Lost { first, last, .. }) => *first..(*last).min(fork) + 1,
            _ => 0..0,
        };
        lost.map(|sequence| (*number, sequence)).filter(|event| !found.contains_key(event))
    })
}

fn put_positions(number: u64, branch: &mut PlannedBranch, found: &HashMap<(u64, u64), u64>) -> Result<()> {
    let parts = branch.parts.len();
    for (at, part) in branch.parts.iter_mut().enumerate() {
        let PlannedPart::Lost { first, last, positions } = part else { continue };
        positions.extend((*first..=*last).map_while(|sequence| found.get(&(number, sequence))));
        if positions.len() as u64 <= *last - *first && at + 1 < parts {
            let place = &branch.row.place;
            let reason = format!("{first} to {last} are missing, and nothing says where they were recorded");
            return Err(Error::corrupt(place, reason));
        }
    }
    Ok(())
}

/// The positions up to the last that no event has.
fn missing(placed: &[PlacedRun], total: u64) -> impl Iterator<Item = u64> {
    let mut next = 1;
    let mut gaps = Vec::new();
    for run in placed {
        if run.position > next {
            gaps.push(next..run.position);
        }
        next = next.max(run.end());
    }
    gaps.push(next..total + 1);
    gaps.into_iter().flatten()
}

fn open_gaps(branches: &Branches, placed: &[PlacedRun], hints: &HashMap<(u64, u64), u64>) -> Vec<Open> {
    let mut known: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    let lossy = |number: &u64| {
        let parts = branches.get(number).map(|branch| branch.parts.as_slice()).unwrap_or_default();
        parts.iter().any(|part| matches!(part, PlannedPart::Lost { .. }))
    };
    for run in placed.iter().filter(|run| lossy(&run.run.branch)) {
        let count = u64::from(run.run.count);
        known.insert((run.run.branch, run.run.first), (run.position, count));
    }
    known.extend(hints.iter().map(|(event, position)| (*event, (*position, 1))));
    let mut open = Vec::new();
    for (number, branch) in branches {
        for part in &branch.parts {
            let PlannedPart::Lost { first, last, .. } = part else { continue };
            let mut next = *first;
            while next <= *last {
                let before = known.range((*number, next)..=(*number, u64::MAX)).next();
                let (end, upper) = before.map_or((*last, u64::MAX), |((_, sequence), (position, _))| {
                    ((*sequence - 1).min(*last), *position)
                });
                if end >= next {
                    let after = known.range((*number, 0)..(*number, next)).next_back();
                    let after = after.map_or(0, |(_, (position, count))| position + count - 1);
                    open.push(Open { branch: *number, next, last: end, after, before: upper });
                }
                next = end + 2;
            }
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::super::salvage::{FoundEvents, Source};
    use super::*;
    use crate::codec::{Attributes, BranchRow};
    use crate::event::{BranchName, MAIN, Place, SessionId};

    fn events(first: u64, last: u64) -> FoundEvents {
        FoundEvents { first, last, source: Source::Chunk { at: first, len: last } }
    }

    fn branch(parts: Vec<PlannedPart>) -> PlannedBranch {
        let place = Place::new(SessionId::new("s").unwrap(), BranchName::new(MAIN).unwrap());
        let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
        PlannedBranch { row, shift: 0, parts, dropped: Vec::new() }
    }

    fn lost(first: u64, last: u64) -> PlannedPart {
        PlannedPart::Lost { first, last, positions: Vec::new() }
    }

    fn run(position: u64, branch: u64, first: u64, count: u32) -> PlacedRun {
        PlacedRun {
            position,
            run: Run { branch, first, count },
            recorded: (position as i64, position as i64),
        }
    }

    #[test]
    fn lost_events_get_the_positions_that_nothing_else_has_in_the_order_of_their_branch() {
        // Branch 1 has lost 2 and 3, branch 2 has lost 1, and the end of it.
        let mut branches = Branches::from([
            (1, branch(vec![PlannedPart::Found(events(1, 1)), lost(2, 3), PlannedPart::Found(events(4, 4))])),
            (2, branch(vec![lost(1, 1), PlannedPart::Found(events(2, 2)), lost(3, 3)])),
        ]);
        let placed = [run(2, 1, 1, 1), run(3, 2, 2, 1), run(6, 1, 4, 1)];
        let hints = HashMap::from([((2, 3), 8)]);
        let (total, unknown) = place_lost(&mut branches, &placed, &hints).unwrap();
        assert_eq!((total, unknown), (8, vec![7]));
        let found: Vec<Vec<u64>> = branches
            .values()
            .flat_map(|branch| &branch.parts)
            .filter_map(|part| match part {
                PlannedPart::Lost { positions, .. } => Some(positions.clone()),
                PlannedPart::Found(_) => None,
            })
            .collect();
        assert_eq!(found, [vec![4, 5], vec![1], vec![8]]);
    }

    #[test]
    fn a_gap_that_nothing_can_close_is_an_error() {
        let mut branches = Branches::from([(1, branch(vec![lost(1, 1), PlannedPart::Found(events(2, 2))]))]);
        assert!(place_lost(&mut branches, &[run(1, 1, 2, 1)], &HashMap::new()).is_err());
    }

    #[test]
    fn what_a_fork_inherits_from_a_lost_end_gets_a_position_behind_all_others() {
        let child = PlannedBranch {
            row: BranchRow { parent: Some(1), fork: 3, ..branch(Vec::new()).row },
            shift: 0,
            parts: Vec::new(),
            dropped: Vec::new(),
        };
        let parent = branch(vec![PlannedPart::Found(events(1, 1)), lost(2, 3)]);
        let mut branches = Branches::from([(1, parent), (2, child)]);
        let (total, unknown) = place_lost(&mut branches, &[run(1, 1, 1, 1)], &HashMap::new()).unwrap();
        assert_eq!((total, unknown), (3, vec![]));
        let PlannedPart::Lost { positions, .. } = &branches[&1].parts[1] else { panic!() };
        assert_eq!(*positions, [2, 3]);
    }

    #[test]
    fn a_lost_event_was_recorded_right_after_the_one_before_it() {
        let placed = [run(3, 1, 1, 2), run(7, 1, 3, 1)];
        let due = [(1, 3), (5, 4), (6, 4), (8, 8)];
        for (position, recorded) in due {
            assert_eq!(recorded_at(&placed, position), Some(recorded));
        }
        assert_eq!(recorded_at(&[], 1), None);
        assert!(position_is_taken(&placed, 4) && !position_is_taken(&placed, 5));
    }
}
