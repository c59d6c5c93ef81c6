//! How an event is known again by who has seen it.

use crate::codec::event_mark;
use crate::engine::LOST_EVENT;
use crate::error::{Error, Result};
use crate::event::Event;

/// What is kept of an event to tell it from another.
pub(crate) fn mark(event: &Event) -> u64 {
    event_mark(event.record().id_bytes())
}

/// That of an event that was looked up; nothing of one that cannot be read.
pub(crate) fn mark_of(found: Result<Option<Event>>) -> Result<Option<u64>> {
    match found {
        Err(Error::Corrupt { .. }) => Ok(None),
        event => Ok(event?.as_ref().map(mark)),
    }
}

/// Whether what was looked up is the event with this mark, or stands for a lost one. `is_within`: whether where nothing was
/// found there can have been something.
pub(crate) fn is_still(
    found: Result<Option<Event>>,
    seen: u64,
    is_within: impl FnOnce() -> Result<bool>,
) -> Result<bool> {
    match found {
        // It may have been removed since. What never was is beyond the end.
        Ok(None) => is_within(),
        Ok(Some(event)) => Ok(mark(&event) == seen || event.kind() == LOST_EVENT),
        // Damage is reported where it is in the way.
        Err(Error::Corrupt { .. }) => Ok(true),
        Err(e) => Err(e),
    }
}
