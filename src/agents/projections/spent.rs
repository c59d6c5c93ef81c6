//! What a session has used over all its branches: every event that a branch shows, its own or inherited, counts once.
//!
//! Whoever owns events, its own are counted from where it was forked to the last one that any branch shows. So what a deleted
//! branch used counts while a fork has it. Events that were promoted are copies of others: they count once, in the branch
//! that they were copied to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::resource::{Resource, Used};
use crate::error::{Error, Result};
use crate::event::{Address, EventId, Place};
use crate::limits::{DEFAULT_PAGE, SPENT_EVENTS};
use crate::project::{Projected, Projection};
use crate::store::{Branch, End, Range, Reader, promoted_id};

#[cfg(test)]
thread_local! {
    /// Events that were folded here on this thread.
    pub(super) static FOLDED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    /// States that were read from the projection.
    pub(super) static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Events that one branch owns, which may be deleted, and others show.
#[derive(Debug)]
struct Owned {
    place: Arc<Place>,
    first: u64,
    last: u64,
    /// The owner of the event before the first.
    before: Option<u64>,
    /// Whether nothing of them was truncated where they are read.
    is_whole: bool,
    /// A branch that shows them.
    via: Arc<Branch>,
    /// The first that is not a copy elsewhere.
    from: u64,
}

impl Owned {
    fn has(&self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }
}

#[derive(Debug, Default)]
struct States {
    /// The state after an event of an owner; `None` if it cannot be read any more.
    found: HashMap<(u64, u64), Option<Used>>,
    /// Whether the projection had no snapshot near a state: then each is folded from the one before.
    lack_snapshots: bool,
}

pub(super) struct Spending<'b> {
    pub(super) reader: &'b Reader,
    pub(super) resource: &'b Projected<Used>,
    pub(super) fold: &'b Resource,
}

impl Spending<'_> {
    /// Over these branches of a session.
    pub(super) fn of(&self, branches: &[(Arc<Branch>, End)]) -> Result<Used> {
        let mut owners = owners(branches);
        self.leave_copies_out(branches, &mut owners)?;
        let mut wanted: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (number, owned) in &owners {
            wanted.entry(*number).or_default().extend([owned.last, owned.from - 1]);
            if let Some(before) = owned.before {
                wanted.entry(before).or_default().insert(owned.first - 1);
            }
        }
        let (mut states, mut spent) = (States::default(), Used::default());
        // A branch has a higher number than the one that it was forked from.
        for (number, owned) in &owners {
            let at = wanted.get(number).into_iter().flatten().copied();
            let at: Vec<u64> = at.filter(|at| owned.has(*at)).collect();
            let base = match owned.before {
                Some(before) => match states.found.get(&(before, owned.first - 1)).cloned().flatten() {
                    Some(base) => Some(base),
                    None => self.read(owned, owned.first - 1, &mut states)?,
                },
                None => Some(Used::default()),
            };
            self.find(*number, owned, base.as_ref(), &at, &mut states)?;
            let state = |at: u64| match at >= owned.first {
                true => states.found.get(&(*number, at)).cloned().flatten(),
                false => base.clone(),
            };
            if owned.from <= owned.last
                && let (Some(all), Some(before)) = (state(owned.last), state(owned.from - 1))
            {
                spent.add_own(&all, &before);
            }
        }
        Ok(spent)
    }

    /// As the projection has it.
    fn read(&self, owned: &Owned, at: u64, states: &mut States) -> Result<Option<Used>> {
        #[cfg(test)]
        READ.set(READ.get() + 1);
        match self.resource.read(Address::from(&owned.via.place).at(at)) {
            Err(e) if is_unreadable(&e) => Ok(None),
            found => {
                let found = found?;
                states.lack_snapshots |= found.folded > 2 * SPENT_EVENTS;
                Ok(Some(found.state))
            }
        }
    }

    /// The states after these events of an owner, in ascending order. Goes on from where the branch was forked, without what is
    /// inherited, and from each to the next; where the next is far, the projection has snapshots.
    fn find(
        &self,
        number: u64,
        owned: &Owned,
        base: Option<&Used>,
        wanted: &[u64],
        states: &mut States,
    ) -> Result<()> {
        let mut known = base.filter(|_| owned.is_whole).map(|base| (owned.first - 1, base.clone()));
        let mut left = wanted;
        while let Some((next, others)) = left.split_first() {
            if let Some((after, used)) = known.take() {
                let (near, far) = left.split_at(within_reach(after, left, states.lack_snapshots));
                if !near.is_empty() {
                    known = self.folded(number, owned, (after, used), near, states)?;
                    if known.is_some() {
                        left = far;
                        continue;
                    }
                }
            }
            // Some were folded before one that could not be.
            if !states.found.contains_key(&(number, *next)) {
                let state = self.read(owned, *next, states)?;
                known = state.clone().map(|used| (*next, used));
                states.found.insert((number, *next), state);
            }
            left = others;
        }
        Ok(())
    }

    /// Goes on from the state after an event to the last of these, and returns that state. `None` if that is not possible.
    fn folded(
        &self,
        number: u64,
        owned: &Owned,
        (after, mut used): (u64, Used),
        wanted: &[u64],
        states: &mut States,
    ) -> Result<Option<(u64, Used)>> {
        let last = wanted.last().copied().unwrap_or(after);
        let mut next = after + 1;
        while next <= last {
            let range = Range { from: next, to: last, limit: DEFAULT_PAGE, reverse: false };
            let page = match self.reader.page(&owned.via, range) {
                Err(e) if is_unreadable(&e) || e.is_damage() => return Ok(None),
                page => page?,
            };
            if page.is_empty() {
                return Ok(None);
            }
            for event in page {
                let sequence = event.sequence().get();
                let event = match self.reader.shaped(event) {
                    Err(Error::Upcast { .. }) => return Ok(None),
                    event => event?,
                };
                #[cfg(test)]
                FOLDED.set(FOLDED.get() + 1);
                if self.fold.apply(&mut used, &event).is_err() {
                    return Ok(None);
                }
                next = sequence + 1;
                if wanted.binary_search(&sequence).is_ok() {
                    states.found.insert((number, sequence), Some(used.clone()));
                }
            }
        }
        Ok(Some((last, used)))
    }

    /// What was promoted to a branch that still shows it is not counted where it came from.
    fn leave_copies_out(
        &self,
        branches: &[(Arc<Branch>, End)],
        owners: &mut BTreeMap<u64, Owned>,
    ) -> Result<()> {
        let mut rows: Rows =
            branches.iter().map(|(branch, _)| (branch.number, Some(branch.clone()))).collect();
        let mut copied = Vec::new();
        for (number, owned) in &*owners {
            copied.push((*number, self.after_copies(*number, owned, owners, &mut rows)?));
        }
        for (number, from) in copied {
            if let Some(owned) = owners.get_mut(&number) {
                owned.from = from;
            }
        }
        Ok(())
    }

    /// The first event of an owner of which no other has a copy. What was promoted to a branch may have been promoted on to
    /// that one's parent, and the branch between them may be deleted since.
    fn after_copies(
        &self,
        number: u64,
        owned: &Owned,
        owners: &BTreeMap<u64, Owned>,
        rows: &mut Rows,
    ) -> Result<u64> {
        let (mut from, mut path) = (owned.first, Vec::new());
        let mut at = (number, owned.place.clone());
        loop {
            let Some(branch) = self.row(at.0, &at.1, rows)? else {
                // Another has its names now. It was forked from an older one.
                let Some((parent, target)) = self.older_copy(at.0, owned, owners, &mut path)? else {
                    return Ok(from);
                };
                from = from.max(self.copies_end(owned, target, &path)?);
                at = (parent, target.place.clone());
                continue;
            };
            let (Some(parent), Some(name)) = (branch.parent, branch.parent_name.clone()) else {
                return Ok(from);
            };
            let place = Arc::new(Place::new(owned.place.session.clone(), name));
            path.push(place.clone());
            match owners.get(&parent).filter(|target| target.has(owned.first)) {
                Some(target) => match self.is_copy(owned, target, &path, owned.first)? {
                    Some(true) => from = from.max(self.copies_end(owned, target, &path)?),
                    Some(false) => return Ok(from),
                    None => {}
                },
                // It shows all that was ever promoted to it.
                None if self.row(parent, &place, rows)?.is_some_and(|row| row.deleted().is_none()) => {
                    return Ok(from);
                }
                None => {}
            }
            at = (parent, place);
        }
    }

    /// The owner with a lower number that has a copy of the first event, promoted by this path and then to it.
    fn older_copy<'o>(
        &self,
        number: u64,
        owned: &Owned,
        owners: &'o BTreeMap<u64, Owned>,
        path: &mut Vec<Arc<Place>>,
    ) -> Result<Option<(u64, &'o Owned)>> {
        for (older, target) in owners.range(..number).rev().filter(|(_, target)| target.has(owned.first)) {
            path.push(target.place.clone());
            if self.is_copy(owned, target, path, owned.first)? == Some(true) {
                return Ok(Some((*older, target)));
            }
            path.pop();
        }
        Ok(None)
    }

    /// Where the copies end of which the first is one: they follow each other.
    fn copies_end(&self, owned: &Owned, target: &Owned, path: &[Arc<Place>]) -> Result<u64> {
        let (mut copies, mut others) = (owned.first + 1, owned.last.min(target.last) + 1);
        while copies < others {
            let middle = copies + (others - copies) / 2;
            match self.is_copy(owned, target, path, middle)? {
                Some(true) => copies = middle + 1,
                _ => others = middle,
            }
        }
        Ok(copies)
    }

    /// The branch that had this number, if its names lead to it still.
    fn row(&self, number: u64, place: &Place, rows: &mut Rows) -> Result<Option<Arc<Branch>>> {
        if let Some(known) = rows.get(&number) {
            return Ok(known.clone());
        }
        let named = self.reader.last_named(place)?.filter(|branch| branch.number == number);
        rows.insert(number, named.clone());
        Ok(named)
    }

    /// Whether the target has a copy of this event, promoted from branch to branch on this path; `None` if one of the two
    /// cannot be read.
    fn is_copy(&self, owned: &Owned, target: &Owned, path: &[Arc<Place>], at: u64) -> Result<Option<bool>> {
        let (Some(original), Some(copy)) = (self.id(owned, at)?, self.id(target, at)?) else {
            return Ok(None);
        };
        Ok(Some(copy == path.iter().fold(original, |id, place| promoted_id(id, place))))
    }

    fn id(&self, owned: &Owned, at: u64) -> Result<Option<EventId>> {
        match self.reader.page(&owned.via, Range { from: at, to: at, limit: 1, reverse: false }) {
            Err(e) if is_unreadable(&e) || e.is_damage() => Ok(None),
            page => Ok(page?.first().map(|event| event.id())),
        }
    }
}

/// Branches by number; `None` for one that is not found by its names any more.
type Rows = HashMap<u64, Option<Arc<Branch>>>;

/// How many of these can be folded from the one before, the first from this sequence.
fn within_reach(mut after: u64, wanted: &[u64], is_unlimited: bool) -> usize {
    let mut is_near = |at: u64| {
        let distance = at - after;
        after = at;
        is_unlimited || distance <= SPENT_EVENTS
    };
    wanted.iter().take_while(|at| is_near(**at)).count()
}

/// Who owns what these branches show, by number.
fn owners(branches: &[(Arc<Branch>, End)]) -> BTreeMap<u64, Owned> {
    let mut owners: BTreeMap<u64, Owned> = BTreeMap::new();
    for (branch, end) in branches {
        let mut before = None;
        for segment in &branch.lineage {
            let last = segment.last.min(end.head);
            if segment.first > last {
                continue;
            }
            let is_own = segment.branch == branch.number;
            let owned = || Owned {
                place: segment.place.clone(),
                first: segment.first,
                last,
                before,
                is_whole: branch.first() <= segment.first,
                via: branch.clone(),
                from: segment.first,
            };
            let known = owners.entry(segment.branch).or_insert_with(owned);
            if last > known.last || last == known.last && is_own {
                *known = owned();
            }
            before = Some(segment.branch);
        }
    }
    owners
}

/// Whether it is gone, or cannot be folded: nothing is better than a wrong sum.
fn is_unreadable(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. } | Error::Deleted { .. } | Error::Truncated { .. } | Error::Parked { .. }
    )
}
