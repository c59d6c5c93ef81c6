//! All events of a range, whatever is damaged among them.

use crate::error::{Error, Result};
use crate::event::{Event, Position};
use crate::limits::DEFAULT_PAGE;
use crate::store::{Range, Reader};

/// What is found on the way.
pub(super) enum Met {
    /// An event in its newest shape.
    Event(Box<Event>),
    /// One that cannot be read, or not be brought to its newest shape.
    Unread(u64),
}

/// The last position that may be looked at now: everything that was committed before is not beyond.
pub(super) fn head(reader: &Reader) -> Result<u64> {
    let committed = reader.committed().get();
    let newest = Range { from: committed.max(1), to: u64::MAX, limit: 1, reverse: true };
    // What others have committed need not be told yet.
    match reader.page_all(newest) {
        Ok(page) => Ok(page.first().map_or(committed, |event| event.position().get().max(committed))),
        Err(e) if e.is_damage() => Ok(committed),
        Err(e) => Err(e),
    }
}

/// Everything from one position to another, in order. What was removed is left out.
///
/// # Errors
/// What is not damage to the store, and what `take` says.
pub(super) fn each<E: From<Error>>(
    reader: &Reader,
    from: u64,
    to: u64,
    mut take: impl FnMut(Met) -> Result<(), E>,
) -> Result<(), E> {
    // How far is read at once; less beside damage.
    let (mut at, mut span) = (from.max(1), u64::MAX);
    while at <= to {
        let end = at.saturating_add(span - 1).min(to);
        match reader.page_all(Range { from: at, to: end, limit: DEFAULT_PAGE, reverse: false }) {
            Ok(page) => {
                // Without another event, that part is done.
                let mut next = if page.is_empty() { end.saturating_add(1) } else { at };
                for event in page {
                    let position = event.position().get();
                    next = position.saturating_add(1);
                    match reader.shaped(event) {
                        Ok(event) => take(Met::Event(Box::new(event)))?,
                        Err(Error::Upcast { .. }) => take(Met::Unread(position))?,
                        Err(e) => return Err(e.into()),
                    }
                }
                if next == u64::MAX {
                    return Ok(());
                }
                at = next;
                span = span.saturating_mul(2);
            }
            Err(e) if e.is_damage() && at == end => {
                take(Met::Unread(at))?;
                at += 1;
            }
            Err(e) if e.is_damage() => span = ((end - at) / 2 + 1).min(DEFAULT_PAGE as u64),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The event at a position in its newest shape, if there is one.
pub(super) fn at(reader: &Reader, position: u64) -> Result<Option<Event>> {
    let here = Range { from: position, to: position, limit: 1, reverse: false };
    match reader.page_all(here)?.pop() {
        Some(event) => reader.shaped(event).map(Some),
        None => Ok(None),
    }
}

/// Whether something is at a position.
pub(super) fn is_there(reader: &Reader, position: u64) -> Result<bool> {
    let here = Range { from: position, to: position, limit: 1, reverse: false };
    match reader.page_all(here) {
        Ok(page) => Ok(!page.is_empty()),
        Err(e) if e.is_damage() => Ok(reader.whose(Position::new(position)).is_ok()),
        Err(e) => Err(e),
    }
}
