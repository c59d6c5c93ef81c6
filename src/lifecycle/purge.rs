//! Removing for good what nobody has any more: the events, and what was kept beside them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::bus::forget_deleted_timers;
use crate::engine::Purged;
use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::limits::{DEFAULT_PAGE, PURGE_BRANCHES};
use crate::project::forget_branches;
use crate::store::{Reader, Store, forget_deleted_current};

pub(super) fn purge(store: &Store) -> Result<Purged> {
    let purged = store.inner().admin()?.purge(&mut |_, _| ControlFlow::Continue(()))?;
    let handle = store.handle();
    let known = Known::read(&store.reader()?)?;
    forget_branches(&handle, &|number| known.is_gone(number))?;
    forget_dead_letters(store)?;
    forget_deleted_timers(&handle)?;
    forget_deleted_current(&handle)?;
    Ok(purged)
}

/// Numbers of branches that somebody has: each that is not deleted, with those that it inherits from.
struct Known {
    numbers: HashSet<u64>,
    /// Nothing is said of branches that began later.
    last: u64,
}

impl Known {
    fn read(reader: &Reader) -> Result<Self> {
        let (mut numbers, mut last) = (HashSet::new(), 0);
        let mut after: Option<SessionId> = None;
        loop {
            let branches = reader.branches_after(after.as_ref(), PURGE_BRANCHES)?;
            let Some((end, _)) = branches.last() else { return Ok(Self { numbers, last }) };
            after = Some(end.place.session.clone());
            for (branch, _) in &branches {
                last = last.max(branch.number);
                numbers.insert(branch.number);
                numbers.extend(branch.lineage.iter().map(|segment| segment.branch));
            }
        }
    }

    fn is_gone(&self, number: u64) -> bool {
        number < self.last && !self.numbers.contains(&number)
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
