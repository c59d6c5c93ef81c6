//! What the new store will hold: its branches, where the events of each come from, and which are lost. A lost event leaves a
//! gap in its branch and one in the global order; both are closed by an event that says so, so that every other event keeps
//! its address and its position.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::salvage::{FoundEvents, Salvaged, Source};
use crate::codec::{Attributes, BranchRow, Run};
use crate::error::{Error, Result};
use crate::event::{BranchName, MAIN, Place, SessionId};

/// What the global order says of the events that a branch owns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// A branch of the new store.
pub(super) struct PlannedBranch {
    pub(super) row: BranchRow,
    /// Its sequences were larger by this.
    pub(super) shift: u64,
    /// By their old sequences, without gaps.
    pub(super) parts: Vec<PlannedPart>,
}

pub(super) enum PlannedPart {
    Found(FoundEvents),
    /// From this sequence on, with the position of each as far as it has one.
    Lost {
        first: u64,
        last: u64,
        positions: Vec<u64>,
    },
}

/// A branch that is not as it was.
pub(super) struct ChangedBranch {
    pub(super) was: String,
    pub(super) now: Option<Place>,
    pub(super) why: String,
}

pub(super) type Branches = BTreeMap<u64, PlannedBranch>;

/// Gives every branch a row, and puts together what there is of its events. `extents` are those of the global order; if that
/// `is_whole`, there is no event that it does not name.
pub(super) fn branches(
    found: &Salvaged,
    extents: &HashMap<u64, Extent>,
    is_whole: bool,
) -> (Branches, Vec<ChangedBranch>) {
    let mut numbers: Vec<u64> = found.lines.keys().chain(found.names.keys()).copied().collect();
    numbers.extend(found.events.keys().chain(extents.keys()));
    numbers.sort_unstable();
    numbers.dedup();
    let mut planned = Branches::new();
    let mut changed = Vec::new();
    for number in numbers.into_iter().filter(|number| *number > 0) {
        let line = found.lines.get(&number);
        let is_rooted = |row: &BranchRow| match row.parent {
            None => true,
            Some(parent) => parent < number && planned.get(&parent).is_some_and(|parent| parent.shift == 0),
        };
        let known = line.filter(|row| is_rooted(row)).cloned();
        let row = known.or_else(|| {
            let row = guessed(number, found, extents.get(&number).filter(|_| is_whole), &planned)?;
            let why = "what it was forked from was found by its events; its attributes are lost";
            changed.push(ChangedBranch {
                was: row.place.to_string(),
                now: Some(row.place.clone()),
                why: why.into(),
            });
            Some(row)
        });
        let planned_branch = match row {
            Some(row) => PlannedBranch { row, shift: 0, parts: Vec::new() },
            None => match orphan(number, found, extents.get(&number), &mut changed) {
                Some(branch) => branch,
                None => continue,
            },
        };
        planned.insert(number, planned_branch);
    }
    let ends = ends(&planned, found, extents);
    for (number, branch) in &mut planned {
        let base = branch.row.fork.max(branch.row.attributes.truncated).max(branch.shift);
        let end = ends.get(number).copied().unwrap_or(base);
        let own = found.events.get(number).map(Vec::as_slice).unwrap_or_default();
        branch.parts = covered(own, base + 1, end);
    }
    (planned, changed)
}

/// The row of a branch whose own is lost, if only one is possible.
fn guessed(number: u64, found: &Salvaged, extent: Option<&Extent>, planned: &Branches) -> Option<BranchRow> {
    let place = found.names.get(&number).or_else(|| found.lines.get(&number).map(|row| &row.place))?.clone();
    let row = |parent, fork| BranchRow {
        place: place.clone(),
        parent,
        fork,
        created: 0,
        attributes: Attributes::default(),
    };
    if place.branch.as_str() == MAIN {
        return Some(row(None, 0));
    }
    let fork = extent?.first.checked_sub(1)?;
    let reaches = |other: u64| {
        let end = found.heads.get(&other).map_or(0, |head| head.head);
        let own = found.events.get(&other).into_iter().flatten().map(|events| events.last).max();
        end.max(own.unwrap_or_default()) >= fork
    };
    let mut parents = planned.iter().filter(|(other, branch)| {
        branch.shift == 0 && branch.row.place.session == place.session && reaches(**other)
    });
    match (parents.next(), parents.next()) {
        (Some((parent, _)), None) => Some(row(Some(*parent), fork)),
        _ => None,
    }
}

/// A branch of which nobody knows where its first event belongs: its events get a session of their own.
fn orphan(
    number: u64,
    found: &Salvaged,
    extent: Option<&Extent>,
    changed: &mut Vec<ChangedBranch>,
) -> Option<PlannedBranch> {
    let line = found.lines.get(&number).map(|row| &row.place);
    let was = line.or_else(|| found.names.get(&number)).map_or_else(
        || format!("branch number {number}"),
        |place| format!("branch number {number}, {place}"),
    );
    let own = found.events.get(&number).into_iter().flatten().map(|events| events.first).min();
    let first = match (own, extent) {
        (None, _) => {
            let why = "nothing is left of it but its number".into();
            changed.push(ChangedBranch { was, now: None, why });
            return None;
        }
        (Some(own), Some(extent)) => own.min(extent.first),
        (Some(own), None) => own,
    };
    let place = free_place(&format!("lost-{number}"), found)?;
    let shift = first.checked_sub(1)?;
    let why = format!("what it was forked from is not known; its sequence {first} is now 1");
    changed.push(ChangedBranch { was, now: Some(place.clone()), why });
    let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
    Some(PlannedBranch { row, shift, parts: Vec::new() })
}

/// The main branch of a session of which nobody has heard.
pub(super) fn free_place(session: &str, found: &Salvaged) -> Option<Place> {
    let taken = |session: &SessionId| {
        let places = found.lines.values().map(|row| &row.place).chain(found.names.values());
        places.into_iter().any(|place| place.session == *session)
    };
    let names = (0..u32::MAX).map(|n| match n {
        0 => session.to_owned(),
        n => format!("{session}-{n}"),
    });
    let session = names.filter_map(|name| SessionId::new(&*name).ok()).find(|session| !taken(session))?;
    Some(Place::new(session, BranchName::new(MAIN).ok()?))
}

/// The last sequence that each branch is known to have had.
fn ends(planned: &Branches, found: &Salvaged, extents: &HashMap<u64, Extent>) -> HashMap<u64, u64> {
    let mut ends: HashMap<u64, u64> = HashMap::new();
    let mut reaches = |number: u64, end: u64| {
        let known = ends.entry(number).or_default();
        *known = end.max(*known);
    };
    for (number, branch) in planned {
        reaches(*number, found.heads.get(number).map_or(0, |head| head.head));
        reaches(*number, extents.get(number).map_or(0, |extent| extent.last));
        let own = found.events.get(number).into_iter().flatten();
        own.for_each(|events| reaches(*number, events.last));
        if let Some(parent) = branch.row.parent {
            reaches(parent, branch.row.fork);
        }
    }
    ends
}

/// What there is from one sequence to another, each event once, and gaps where there is nothing.
fn covered(own: &[FoundEvents], first: u64, end: u64) -> Vec<PlannedPart> {
    let mut own: Vec<&FoundEvents> = own.iter().collect();
    own.sort_by_key(|events| (events.first, matches!(events.source, Source::Commit { .. })));
    let mut own = own.into_iter().peekable();
    let mut parts = Vec::new();
    let mut next = first;
    let mut best: Option<&FoundEvents> = None;
    while next <= end {
        while let Some(events) = own.next_if(|events| events.first <= next) {
            if best.is_none_or(|best| best.last < events.last) {
                best = Some(events);
            }
        }
        match best.filter(|best| best.last >= next) {
            Some(best) => {
                let part = FoundEvents { first: next, last: best.last.min(end), source: best.source.clone() };
                next = part.last + 1;
                parts.push(PlannedPart::Found(part));
            }
            None => {
                let last = own.peek().map_or(end, |events| end.min(events.first - 1));
                parts.push(PlannedPart::Lost { first: next, last, positions: Vec::new() });
                next = last + 1;
            }
        }
    }
    parts
}

/// Consecutive events with consecutive positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedRun {
    pub(super) position: u64,
    pub(super) run: Run,
}

impl PlacedRun {
    fn end(self) -> u64 {
        self.position.saturating_add(self.run.count.into())
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

/// Gives every lost event a position. `placed` are those of the events that were found, sorted; `hints` those of lost ones.
/// Answers the last position, and those that belong to no event that is known.
pub(super) fn place_lost(
    branches: &mut Branches,
    placed: &[PlacedRun],
    hints: &HashMap<(u64, u64), u64>,
) -> Result<(u64, Vec<u64>)> {
    let total =
        placed.iter().map(|run| run.end() - 1).chain(hints.values().copied()).max().unwrap_or_default();
    let mut open = open_gaps(branches, placed, hints);
    open.sort_by_key(|gap| Reverse(gap.after));
    let hinted: std::collections::HashSet<u64> = hints.values().copied().collect();
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
    for (number, branch) in branches.iter_mut() {
        put_positions(*number, branch, &found)?;
    }
    Ok((total, unknown))
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
    use super::*;

    fn events(first: u64, last: u64) -> FoundEvents {
        FoundEvents { first, last, source: Source::Chunk { at: first, len: last } }
    }

    fn shown(parts: &[PlannedPart]) -> Vec<(u64, u64, bool)> {
        let shown = parts.iter().map(|part| match part {
            PlannedPart::Found(events) => (events.first, events.last, true),
            PlannedPart::Lost { first, last, .. } => (*first, *last, false),
        });
        shown.collect()
    }

    #[test]
    fn each_event_is_taken_once_and_what_is_nowhere_is_a_gap() {
        let own = [events(4, 9), events(1, 3), events(2, 5), events(13, 20), events(9, 9)];
        let due = [(1, 3, true), (4, 9, true), (10, 12, false), (13, 20, true), (21, 22, false)];
        assert_eq!(shown(&covered(&own, 1, 22)), due);
        assert_eq!(shown(&covered(&[], 5, 4)), []);
        assert_eq!(shown(&covered(&[], 5, 7)), [(5, 7, false)]);
    }

    fn branch(parts: Vec<PlannedPart>) -> PlannedBranch {
        let place = Place::new(SessionId::new("s").unwrap(), BranchName::new(MAIN).unwrap());
        let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
        PlannedBranch { row, shift: 0, parts }
    }

    fn lost(first: u64, last: u64) -> PlannedPart {
        PlannedPart::Lost { first, last, positions: Vec::new() }
    }

    fn run(position: u64, branch: u64, first: u64, count: u32) -> PlacedRun {
        PlacedRun { position, run: Run { branch, first, count } }
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
}
