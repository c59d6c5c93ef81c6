//! The branches of a session as lines: those that can be read, and deleted ones as far as a fork still reads them.

use std::collections::BTreeMap;

use retold::error::Result;
use retold::event::{Address, BranchName, Event, Place, Sequence, SessionId};
use retold::store::{BranchInfo, Query, Store};

use super::walk::{Line, Part};
use crate::branches::marks;

/// The lines of a session. The first ones are its branches, in the order of their listing with `main` first.
pub(super) struct Forest {
    pub(super) session: SessionId,
    pub(super) lines: Vec<Line>,
    pub(super) names: Vec<Name>,
}

/// What a line is called.
pub(super) struct Name {
    pub(super) branch: BranchName,
    /// What is special about it: `current`, `closed`, `deleted`.
    pub(super) marks: Vec<String>,
    pub(super) is_deleted: bool,
}

impl Forest {
    pub(super) fn of(store: &Store, session: SessionId) -> Result<Self> {
        let mut branches = store.branches(&session)?;
        let current = store.current(&session)?;
        branches.sort_by_key(|branch| branch.place.branch != BranchName::main());
        let mut forest = Self { session, lines: Vec::new(), names: Vec::new() };
        for (at, branch) in branches.iter().enumerate() {
            forest.lines.push(own(branch, at));
            let name = branch.place.branch.clone();
            // What it was forked from is drawn, or is not there.
            let mut marks = marks(branch, &current);
            marks.retain(|mark| mark != "parent deleted");
            forest.names.push(Name { branch: name, marks, is_deleted: false });
        }
        forest.hang(store, &branches)?;
        forest.share(&branches);
        forest.age();
        Ok(forest)
    }

    /// The address of a line's event, as somebody can read it.
    pub(super) fn address(&self, part: &Part, sequence: u64) -> Option<Address> {
        let branch = self.names.get(part.via)?.branch.clone();
        Some(Address::new(self.session.clone(), branch).at(Sequence::new(sequence)))
    }

    /// The address of the event before one of a line, unless that was removed.
    pub(super) fn parent(&self, line: usize, sequence: u64) -> Option<Address> {
        let of = self.lines.get(line)?;
        let (line, before) = if sequence > of.base + 1 { (line, sequence - 1) } else { of.below? };
        self.address(self.lines.get(line)?.part(before)?, before)
    }

    /// The line whose own event an address names.
    pub(super) fn find(&self, address: &Address) -> Option<(usize, u64)> {
        let sequence = address.sequence()?.get();
        let is_it = |name: &Name| !name.is_deleted && name.branch == *address.branch();
        let (line, sequence) = self.owner((self.names.iter().position(is_it)?, sequence))?;
        self.lines.get(line)?.part(sequence).map(|_| (line, sequence))
    }

    /// The line that an event is an own one of, which a line has or inherits.
    fn owner(&self, (mut line, sequence): (usize, u64)) -> Option<(usize, u64)> {
        while sequence <= self.lines.get(line)?.base {
            line = self.lines.get(line)?.below?.0;
        }
        Some((line, sequence)).filter(|_| sequence > 0)
    }

    /// Finds what each branch was forked from.
    fn hang(&mut self, store: &Store, branches: &[BranchInfo]) -> Result<()> {
        let deleted = self.deleted(store, branches)?;
        let mut is_hung = vec![false; branches.len()];
        let named: BTreeMap<&BranchName, usize> =
            branches.iter().enumerate().map(|(at, branch)| (&branch.place.branch, at)).collect();
        for at in 0..branches.len() {
            // Those that it was forked from come first: an explicit stack, so that depth costs only memory.
            let mut open = vec![at];
            while let Some(at) = open.pop() {
                let Some(branch) = branches.get(at).filter(|_| is_hung.get(at) == Some(&false)) else {
                    continue;
                };
                let parent = branch.parent.as_ref().filter(|_| !branch.parent_deleted);
                let parent = parent.and_then(|(name, fork)| Some((*named.get(name)?, fork.get())));
                if let Some((parent, _)) = parent.filter(|(parent, _)| is_hung.get(*parent) == Some(&false)) {
                    open.extend([at, parent]);
                    continue;
                }
                let own = parent.and_then(|parent| self.owner(parent));
                // What a deleted branch left can be several lines. The branch knows which it reads.
                let below =
                    own.filter(|(line, _)| *line < branches.len()).or_else(|| deleted.get(&at).copied());
                if let Some(line) = self.lines.get_mut(at) {
                    // What the branch cannot read any more, its forks know.
                    line.below = below.or(line.below);
                }
                if let Some(hung) = is_hung.get_mut(at) {
                    *hung = true;
                }
            }
        }
        Ok(())
    }

    /// The events of deleted branches that others still inherit become lines. Where those others were forked: the line, and the
    /// sequence there.
    fn deleted(&mut self, store: &Store, branches: &[BranchInfo]) -> Result<BTreeMap<usize, (usize, u64)>> {
        let mut below = BTreeMap::new();
        if !branches.iter().any(|branch| branch.parent_deleted) {
            return Ok(below);
        }
        // Whoever reads most of a line comes first: what others read of it then overlaps, or never does.
        let mut order: Vec<usize> = (0..branches.len()).collect();
        order.sort_by_key(|at| branches.get(*at).map(|branch| branch.first));
        for at in order {
            let Some(branch) = branches.get(at) else { continue };
            if let Some(fork) = self.inherited(store, branches, at, branch)? {
                below.insert(at, fork);
            }
        }
        Ok(below)
    }

    /// What a branch inherits, added to the lines that it comes from. The last of them, if that can be seen.
    fn inherited(
        &mut self,
        store: &Store,
        branches: &[BranchInfo],
        at: usize,
        branch: &BranchInfo,
    ) -> Result<Option<(usize, u64)>> {
        let fork = branch.parent.as_ref().map_or(0, |(_, fork)| fork.get());
        let mut segments = store.ancestry(Address::from(branch.place.clone()))?;
        segments.retain(|(_, first)| first.get() <= fork);
        let mut below = None;
        for (i, (name, first)) in segments.iter().enumerate() {
            let last = segments.get(i + 1).map_or(fork, |(_, next)| next.get().saturating_sub(1));
            let from = first.get().max(branch.first.get());
            if last < from {
                // It cannot be seen.
                continue;
            }
            let mut found = None;
            for (line, known) in self.names.iter().enumerate() {
                let begins_there = self.lines.get(line).is_some_and(|l| l.base + 1 == first.get());
                if known.branch == *name
                    && begins_there
                    && self.is_same(store, branches, line, (&branch.place, from, last))?
                {
                    found = Some(line);
                    break;
                }
            }
            let line = found.unwrap_or_else(|| {
                self.lines.push(Line { base: first.get().saturating_sub(1), below, ..Line::default() });
                self.names.push(Name {
                    branch: name.clone(),
                    marks: vec!["deleted".to_owned()],
                    is_deleted: true,
                });
                self.lines.len() - 1
            });
            if let Some(line) = self.lines.get_mut(line) {
                line.below = line.below.or(below);
                line.cover(from, last, at);
            }
            below = Some((line, last));
        }
        Ok(below)
    }

    /// Whether a line of the right name is the one that a branch inherits these events from: a later branch may have the name of a
    /// deleted one.
    fn is_same(
        &self,
        store: &Store,
        branches: &[BranchInfo],
        line: usize,
        (place, from, last): (&Place, u64, u64),
    ) -> Result<bool> {
        let Some(of) = self.lines.get(line) else { return Ok(false) };
        if let Some(branch) = branches.get(line) {
            let event = if last <= of.head { at_sequence(store, place, last)? } else { None };
            // One that began later is another.
            return Ok(event.is_some_and(|event| branch.created <= event.recorded()));
        }
        let shared = last.min(of.head);
        let Some(via) = of.part(shared).filter(|_| shared >= from).and_then(|part| branches.get(part.via))
        else {
            return Ok(false);
        };
        let (one, other) = (at_sequence(store, place, shared)?, at_sequence(store, &via.place, shared)?);
        Ok(one.zip(other).is_some_and(|(one, other)| one.position() == other.position()))
    }

    /// Events that were removed from a branch, and that a fork of it still reads, are events of the branch.
    fn share(&mut self, branches: &[BranchInfo]) {
        for (at, branch) in branches.iter().enumerate() {
            let mut below = self.lines.get(at).and_then(|line| line.below);
            while let Some((number, last)) = below {
                let Some(line) = self.lines.get_mut(number) else { break };
                if number < branches.len() {
                    line.cover(branch.first.get(), last, at);
                }
                // What a branch that reads as far back itself is forked from is shared in its own turn.
                let reads_as_much = branches.get(number).is_some_and(|parent| parent.first <= branch.first);
                below = line.below.filter(|_| !reads_as_much);
            }
        }
    }

    /// A line is as new as the newest of its forks.
    fn age(&mut self) {
        for at in 0..self.lines.len() {
            let newest = self.lines.get(at).map_or(0, |line| line.newest);
            let mut below = self.lines.get(at).and_then(|line| line.below);
            while let Some(line) = below.and_then(|(line, _)| self.lines.get_mut(line)) {
                if line.newest >= newest {
                    // Those below are as new as this one, or will be in its turn.
                    break;
                }
                line.newest = newest;
                below = line.below;
            }
        }
    }
}

/// A branch with its own events.
fn own(branch: &BranchInfo, at: usize) -> Line {
    let base = branch.parent.as_ref().map_or(0, |(_, fork)| fork.get());
    let newest = branch.last.unwrap_or(branch.created).micros();
    let mut line = Line { base, head: branch.head.get(), newest, ..Line::default() };
    line.cover(branch.first.get(), branch.head.get(), at);
    line
}

fn at_sequence(store: &Store, place: &Place, sequence: u64) -> Result<Option<Event>> {
    let query = Query::branch(Address::from(place.clone()))?.from(sequence).to(sequence).limit(1).raw();
    store.events(query)?.next().transpose()
}
