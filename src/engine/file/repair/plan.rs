//! What the new store will hold: its branches, where the events of each come from, and which are lost. A lost event leaves a
//! gap in its branch and one in the global order; both are closed by an event that says so, so that every other event keeps
//! its address and its position.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use super::salvage::{FoundEvents, Salvaged, Source};
use crate::codec::{Attributes, BranchRow};
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
    /// What was found before a gap, and nobody sees.
    pub(super) dropped: Vec<FoundEvents>,
}

impl PlannedBranch {
    /// The first of its events, and the sequence after the last; both are the greatest when it has none.
    pub(super) fn extent(&self) -> (u64, u64) {
        let first = self.parts.first().map_or(u64::MAX, |part| *part.range().start());
        (first, self.parts.last().map_or(u64::MAX, |part| *part.range().end() + 1))
    }

    /// Its own old sequences come after this one.
    fn base(&self) -> u64 {
        self.row.fork.max(self.row.attributes.truncated).max(self.shift)
    }

    /// Its last old sequence.
    pub(super) fn end(&self) -> u64 {
        self.parts.last().map_or_else(|| self.base(), |part| *part.range().end())
    }
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

impl PlannedPart {
    /// Its old sequences.
    pub(super) fn range(&self) -> RangeInclusive<u64> {
        match self {
            Self::Found(events) => events.first..=events.last,
            Self::Lost { first, last, .. } => *first..=*last,
        }
    }
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
    let taken = taken_sessions(found);
    for number in numbers.into_iter().filter(|number| *number > 0) {
        let line = found.lines.get(&number);
        let is_rooted = |row: &BranchRow| match row.parent {
            None => true,
            Some(parent) => parent < number && planned.get(&parent).is_some_and(|parent| parent.shift == 0),
        };
        let known = line.filter(|row| is_rooted(row)).cloned();
        // A row that says where its branch begins is not contradicted, though what it begins at is lost.
        let row = known.or_else(|| {
            line.is_none().then_some(())?;
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
            Some(row) => PlannedBranch { row, shift: 0, parts: Vec::new(), dropped: Vec::new() },
            None => match orphan(number, found, extents.get(&number), &taken, &mut changed) {
                Some(branch) => branch,
                None => continue,
            },
        };
        planned.insert(number, planned_branch);
    }
    let ends = ends(&planned, found, extents);
    let needed = needed(&planned, &ends);
    for (number, branch) in &mut planned {
        let own = found.events.get(number).map(Vec::as_slice).unwrap_or_default();
        let needed = needed.get(number).copied();
        let first = own.iter().map(|events| events.first).chain(needed.map(|(first, _)| first)).min();
        let last = own.iter().map(|events| events.last).chain(needed.map(|(_, last)| last)).max();
        let first = first.unwrap_or_default().max(branch.row.fork.max(branch.shift) + 1);
        let parts = covered(own, first, last.unwrap_or_default());
        (branch.parts, branch.dropped) = trimmed(parts, needed.unwrap_or((u64::MAX, 0)));
    }
    (planned, changed)
}

/// The own events of each branch that somebody sees: the branch itself, or one that inherits them. What is missing of these is
/// lost; of others it may have been removed.
fn needed(planned: &Branches, ends: &HashMap<u64, u64>) -> HashMap<u64, (u64, u64)> {
    let mut needed: HashMap<u64, (u64, u64)> = HashMap::new();
    for (number, branch) in planned.iter().filter(|(_, branch)| branch.row.attributes.deleted.is_none()) {
        let first = branch.row.attributes.truncated + 1;
        let (mut next, mut upto) = (Some(*number), ends.get(number).copied().unwrap_or_default());
        while let Some((number, branch)) = next.and_then(|number| Some((number, planned.get(&number)?))) {
            let from = first.max(branch.row.fork.max(branch.shift) + 1);
            if from <= upto {
                let known = needed.entry(number).or_insert((from, upto));
                *known = (known.0.min(from), known.1.max(upto));
            }
            (next, upto) = (branch.row.parent, upto.min(branch.row.fork));
        }
    }
    needed
}

/// Without gaps that nobody sees, and without what is cut off by them.
fn trimmed(
    parts: Vec<PlannedPart>,
    (first_needed, last_needed): (u64, u64),
) -> (Vec<PlannedPart>, Vec<FoundEvents>) {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let mut is_cut_off = false;
    for part in parts {
        match part {
            PlannedPart::Found(events) if is_cut_off => dropped.push(events),
            PlannedPart::Found(_) => kept.push(part),
            PlannedPart::Lost { first, last, positions } => {
                if first < first_needed {
                    dropped.extend(kept.drain(..).filter_map(|part| match part {
                        PlannedPart::Found(events) => Some(events),
                        PlannedPart::Lost { .. } => None,
                    }));
                }
                is_cut_off |= last > last_needed && last >= first_needed;
                let (first, last) = (first.max(first_needed), last.min(last_needed));
                if first <= last {
                    kept.push(PlannedPart::Lost { first, last, positions });
                }
            }
        }
    }
    (kept, dropped)
}

/// The row of a branch whose own is lost, if only one is possible.
fn guessed(number: u64, found: &Salvaged, extent: Option<&Extent>, planned: &Branches) -> Option<BranchRow> {
    let place = found.names.get(&number)?.clone();
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
    taken: &HashSet<SessionId>,
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
            let why = match line {
                Some(_) => "what it was forked from is lost, and it had no event of its own",
                None => "nothing is left of it but its number",
            };
            let why = why.into();
            changed.push(ChangedBranch { was, now: None, why });
            return None;
        }
        (Some(own), Some(extent)) => own.min(extent.first),
        (Some(own), None) => own,
    };
    let place = free_place(&format!("lost-{number}"), taken)?;
    let shift = first.checked_sub(1)?;
    let why = format!("what it was forked from is not known; its sequence {first} is now 1");
    changed.push(ChangedBranch { was, now: Some(place.clone()), why });
    let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
    Some(PlannedBranch { row, shift, parts: Vec::new(), dropped: Vec::new() })
}

/// The sessions that are known.
pub(super) fn taken_sessions(found: &Salvaged) -> HashSet<SessionId> {
    let places = found.lines.values().map(|row| &row.place).chain(found.names.values());
    places.map(|place| place.session.clone()).collect()
}

/// The main branch of a session of which nobody has heard.
pub(super) fn free_place(session: &str, taken: &HashSet<SessionId>) -> Option<Place> {
    let names = (0..u32::MAX).map(|n| match n {
        0 => session.to_owned(),
        n => format!("{session}-{n}"),
    });
    let session =
        names.filter_map(|name| SessionId::new(&*name).ok()).find(|session| !taken.contains(session))?;
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
        reaches(*number, branch.row.attributes.truncated);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::salvage::Source;
    use super::*;
    use crate::engine::file::tables::pages::Pages;

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

    #[test]
    fn what_nobody_sees_may_be_missing() {
        let own = [events(3, 5), events(8, 9), events(12, 12)];
        let found = |needed| {
            let (parts, dropped) = trimmed(covered(&own, 3, 14), needed);
            (shown(&parts), dropped.iter().map(|events| events.first).collect::<Vec<_>>())
        };
        let (five, nine) = ((3, 5, true), (8, 9, true));
        let lost = |first, last| (first, last, false);
        assert_eq!(
            found((4, 14)),
            (vec![five, lost(6, 7), nine, lost(10, 11), (12, 12, true), lost(13, 14)], vec![])
        );
        assert_eq!(found((7, 9)), (vec![lost(7, 7), nine], vec![3, 12]));
        assert_eq!(found((9, 10)), (vec![nine, lost(10, 10)], vec![3, 12]));
        // Nobody sees anything: what is left at the end is as good as any.
        assert_eq!(found((u64::MAX, 0)), (vec![], vec![3, 8, 12]));
        assert_eq!(trimmed(covered(&own[..1], 3, 5), (u64::MAX, 0)).0.len(), 1);
    }

    #[test]
    fn a_branch_whose_parent_is_lost_is_not_given_another_against_its_own_row() {
        let backend = Arc::new(redb::backends::InMemoryBackend::new());
        let mut found = Salvaged::of(&mut Pages::new(backend, 0, 0), None);
        let row = |name: &str, parent: Option<u64>, fork| {
            let place = Place::new(SessionId::new("s").unwrap(), BranchName::new(name).unwrap());
            BranchRow { place, parent, fork, created: 1, attributes: Attributes::default() }
        };
        found.lines = [(1, row(MAIN, None, 0)), (3, row("third", Some(2), 3))].into();
        found.events = [(1, vec![events(1, 5)]), (3, vec![events(4, 6)])].into();
        let extents = HashMap::from([(1, Extent { first: 1, last: 5 }), (3, Extent { first: 4, last: 6 })]);
        let (planned, changed) = branches(&found, &extents, true);
        let third = &planned[&3];
        assert_eq!(
            (third.row.place.to_string(), third.row.parent, third.shift),
            ("lost-3/main".into(), None, 3)
        );
        assert_eq!(changed.len(), 1);
        // With only its name left, there is one branch that it can have come from.
        let name = found.lines.remove(&3).unwrap().place;
        found.names = [(3, name)].into();
        let (planned, _) = branches(&found, &extents, true);
        assert_eq!((planned[&3].row.parent, planned[&3].row.fork, planned[&3].shift), (Some(1), 3, 0));
    }
}
