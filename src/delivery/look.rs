//! Finding what is not at hand.

use super::machine::Look;
use crate::error::{Error, Result};
use crate::event::{Event, Place};
use crate::limits::{AT_HAND_LANE_EVENTS, LOOK_PAGE};
use crate::store::{Range, Reader};

/// What is wanted, each with its sequence and position.
pub(crate) type Found<T> = Vec<(u64, u64, T)>;

/// Reads on in a branch until there is something wanted, or nothing more. Answers with how far it looked. Blocks.
pub(crate) fn look_for<T>(
    reader: &Reader,
    mut look: Look,
    wanted: impl Fn(Event) -> Option<T>,
) -> Result<(Look, Found<T>)> {
    let branch = reader.branch(&look.place)?;
    let (mut reached, to) = (look.after, look.until);
    let mut found = Vec::new();
    let mut limit = 2 * AT_HAND_LANE_EVENTS;
    while reached < to && found.is_empty() {
        let range = Range { from: reached.saturating_add(1), to, limit, reverse: false };
        let page = reader.page(&branch, range)?;
        // There may be none that can be read.
        reached = page.last().map_or(to, |event| event.sequence().get());
        for event in page {
            let (sequence, position) = (event.sequence().get(), event.position().get());
            found.extend(wanted(event).map(|item| (sequence, position, item)));
        }
        limit = LOOK_PAGE;
    }
    look.until = reached;
    Ok((look, found))
}

/// The event at this place, as it was recorded. Blocks.
pub(crate) fn recorded(reader: &Reader, place: &Place, sequence: u64) -> Result<Event> {
    let range = Range { from: sequence, to: sequence, limit: 1, reverse: false };
    let event = reader.page(&*reader.branch(place)?, range)?.into_iter().next();
    event.ok_or_else(|| Error::corrupt(format!("{place}@{sequence}"), "it was delivered, but is missing"))
}
