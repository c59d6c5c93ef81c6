//! Parts of the file that cannot be read, and a walk that ends before one.

use super::read::up_to_damage;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::limits::PROJECT_PAGE;
use crate::store::{Branch, Range, Reader};

/// What cannot be read, and ends a walk.
pub(super) struct Damage {
    /// The event, where it is known.
    pub(super) sequence: Option<u64>,
    /// Its position, or one that is not after it.
    pub(super) position: u64,
    pub(super) error: Error,
}

/// Own events of a branch after a sequence, up to a position or to one that cannot be read.
pub(super) fn own_events(
    reader: &Reader,
    branch: &Branch,
    after: u64,
    position: u64,
    mut take: impl FnMut(&Event) -> Result<()>,
) -> Result<Option<Damage>> {
    let mut from = (after.max(branch.fork) + 1).max(branch.first());
    let (mut last, mut most) = (0, PROJECT_PAGE);
    loop {
        let read = up_to_damage(&mut most, |limit| {
            reader.page(branch, Range { from, to: u64::MAX, limit, reverse: false })
        });
        let page = match read {
            Err(error) if error.is_damage() => {
                return Ok(Some(Damage { sequence: Some(from), position: last + 1, error }));
            }
            // Removed meanwhile.
            Err(Error::Deleted { .. }) => return Ok(None),
            Err(Error::Truncated { first, .. }) => {
                from = first.get();
                continue;
            }
            read => read?,
        };
        if page.is_empty() {
            return Ok(None);
        }
        for event in &page {
            if event.position().get() > position {
                return Ok(None);
            }
            take(event)?;
            last = event.position().get();
            from = event.sequence().get() + 1;
        }
    }
}
