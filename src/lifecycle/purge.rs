//! Removing for good what nobody has any more: the events, and what was kept beside them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::bus::forget_deleted_timers;
use crate::engine::Purged;
use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::files;
use crate::limits::{DEFAULT_PAGE, PURGE_BRANCHES};
use crate::project::forget_states;
use crate::store::{Branch, Reader, Store, forget_deleted_current};

pub(super) fn purge(store: &Store) -> Result<Purged> {
    let admin = store.inner().admin()?;
    // A search that looks for what is gone meanwhile takes the first mark, and one that is killed leaves it.
    mark_purged(store);
    let purged = admin.purge(&mut |_, _| ControlFlow::Continue(()));
    mark_purged(store);
    if purged.as_ref().is_err_and(|e| !e.is_damage()) {
        return purged;
    }
    let (handle, reader) = (store.handle(), store.reader()?);
    let states = || {
        let known = Known::of(|take| each_branch(&reader, take))?;
        forget_states(&handle, &|number| known.is_gone(number))
    };
    let letters = || forget_dead_letters(store);
    let timers = || forget_deleted_timers(&handle);
    let current = || forget_deleted_current(&handle);
    // Damage to one of them is in no other's way.
    let rest: [&dyn Fn() -> Result<()>; 4] = [&states, &letters, &timers, &current];
    let mut damage = None;
    for each in rest {
        match each() {
            Err(e) if e.is_damage() => drop(damage.get_or_insert(e)),
            done => done?,
        }
    }
    let purged = purged?;
    damage.map_or(Ok(purged), Err)
}

/// Has the words of what is purged removed from the search index, by the next search.
fn mark_purged(store: &Store) {
    if let Some(path) = store.inner().path()
        && let Err(error) = files::mark_purged(path)
    {
        tracing::warn!(%error, "words of purged events may stay in the search index; delete its folder");
    }
}

/// Numbers of branches that somebody has: each that is not deleted, with those that it inherits from.
struct Known {
    numbers: HashSet<u64>,
    /// Nothing is said of branches that began later.
    last: u64,
}

impl Known {
    /// Branches begin while they are listed, also in sessions that were listed before. So the last that something is said of is
    /// found first.
    fn of(each: impl Fn(&mut dyn FnMut(&Branch)) -> Result<()>) -> Result<Self> {
        let mut last = 0;
        each(&mut |branch| last = last.max(branch.number))?;
        let mut numbers = HashSet::new();
        each(&mut |branch| {
            numbers.insert(branch.number);
            numbers.extend(branch.lineage.iter().map(|segment| segment.branch));
        })?;
        Ok(Self { numbers, last })
    }

    fn is_gone(&self, number: u64) -> bool {
        number <= self.last && !self.numbers.contains(&number)
    }
}

fn each_branch(reader: &Reader, take: &mut dyn FnMut(&Branch)) -> Result<()> {
    let mut after: Option<SessionId> = None;
    loop {
        let branches = reader.branches_after(after.as_ref(), PURGE_BRANCHES)?;
        let Some((end, _)) = branches.last() else { return Ok(()) };
        after = Some(end.place.session.clone());
        branches.iter().for_each(|(branch, _)| take(branch));
    }
}

/// A dead letter is a reference to an event. Without that there is nothing to send again.
fn forget_dead_letters(store: &Store) -> Result<()> {
    let (letters, reader) = (store.dead_letters(), store.reader()?);
    let mut after = None;
    loop {
        let page = letters.list(None, after.as_ref(), DEFAULT_PAGE)?;
        for letter in &page {
            match reader.whose(letter.position) {
                Err(Error::NotFound { .. }) => match letters.discard(&letter.owner, letter.position) {
                    // Somebody else has.
                    Err(Error::NotFound { .. }) => {}
                    discarded => discarded?,
                },
                found => drop(found?),
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::event::NewEvent;

    #[test]
    fn a_branch_that_begins_while_others_are_listed_is_not_gone() {
        let store = Store::in_memory().unwrap();
        let of = |session: &str| -> Vec<Arc<Branch>> {
            store.reader().unwrap().branches_of(&session.try_into().unwrap()).unwrap()
        };
        for session in ["a", "z"] {
            store.append(session, NewEvent::new("x")).unwrap();
        }
        store.fork("z", "gone").unwrap();
        let gone = of("z").iter().map(|branch| branch.number).max().unwrap();
        store.lifecycle().delete("z/gone").unwrap();
        store.fork("z", "old").unwrap();
        let (a, z) = (of("a"), of("z"));
        // After the sessions before it were listed, and before the others are.
        store.fork("a", "new").unwrap();
        let new = of("a").iter().map(|branch| branch.number).max().unwrap();
        store.fork("z", "newer").unwrap();
        let (listings, late) = (Cell::new(0), of("z"));
        let known = Known::of(|take| {
            let is_first = listings.replace(listings.get() + 1) == 0;
            a.iter().chain(if is_first { &z } else { &late }).for_each(|branch| take(branch));
            Ok(())
        })
        .unwrap();
        assert!(known.is_gone(gone) && !known.is_gone(new));
        assert!(of("a").iter().chain(&late).all(|branch| !known.is_gone(branch.number)));
    }
}
