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
    let branch = match reader.branch(&look.place) {
        Err(Error::Deleted { .. }) => return Ok((look, Vec::new())),
        branch => branch?,
    };
    let (mut reached, to) = (look.after, look.until);
    let mut found = Vec::new();
    let mut limit = AT_HAND_LANE_EVENTS;
    while reached < to && found.is_empty() {
        let range = Range { from: reached.saturating_add(1), to, limit, reverse: false };
        let page = match reader.page(&branch, range) {
            // What is gone is not delivered.
            Err(Error::Truncated { first, .. }) => {
                reached = to.min(first.get().saturating_sub(1)).max(reached);
                continue;
            }
            Err(Error::Deleted { .. }) => Vec::new(),
            page => page?,
        };
        if page.is_empty() {
            // There may be none that can be read.
            reached = to;
        }
        for event in page {
            // More is not kept, and would be looked at again.
            if found.len() == AT_HAND_LANE_EVENTS {
                break;
            }
            let (sequence, position) = (event.sequence().get(), event.position().get());
            if position > look.scanned {
                // What was looked for is gone, and so is all behind it.
                reached = to;
                break;
            }
            reached = sequence;
            found.extend(wanted(event).map(|item| (sequence, position, item)));
        }
        limit = LOOK_PAGE;
    }
    look.until = reached;
    Ok((look, found))
}

/// The event at this place and position, as it was recorded; `None` when it is gone. Blocks.
pub(crate) fn recorded(
    reader: &Reader,
    place: &Place,
    (sequence, position): (u64, u64),
) -> Result<Option<Event>> {
    let range = Range { from: sequence, to: sequence, limit: 1, reverse: false };
    let found = reader.branch(place).and_then(|branch| Ok((reader.page(&branch, range)?, branch)));
    let (page, branch) = match found {
        Err(error) if error.is_of_what_is_gone() => return Ok(None),
        found => found?,
    };
    // Another branch may have the names of one that was deleted.
    let is_later = branch.attributes.incarnation > 0;
    match page.into_iter().next() {
        Some(event) if event.position().get() == position => Ok(Some(event)),
        _ if is_later => Ok(None),
        Some(event) => Ok(Some(event)),
        None => Err(Error::corrupt(format!("{place}@{sequence}"), "it was delivered, but is missing")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::event::NewEvent;
    use crate::store::Store;

    #[test]
    fn each_event_of_a_backlog_is_looked_at_once() {
        let store = Store::in_memory().unwrap();
        let backlog = 10 * AT_HAND_LANE_EVENTS as u64 + 7;
        store.append("s", (0..backlog).map(|_| NewEvent::new("step.done")).collect::<Vec<_>>()).unwrap();
        let reader = store.handle().reader().unwrap();
        let place = Arc::new(Place::new("s".try_into().unwrap(), "main".try_into().unwrap()));
        for skipped in [0, LOOK_PAGE as u64 + 3] {
            let (looked_at, mut after, mut all) = (Cell::new(0), 0, Vec::new());
            while after < backlog {
                let look = Look { place: place.clone(), after, until: backlog, scanned: u64::MAX };
                let (look, found) = look_for(&reader, look, |event| {
                    looked_at.set(looked_at.get() + 1);
                    Some(event).filter(|event| event.sequence().get() > skipped)
                })
                .unwrap();
                assert!(found.len() <= AT_HAND_LANE_EVENTS);
                all.extend(found.iter().map(|(sequence, ..)| *sequence));
                after = look.until;
            }
            assert_eq!(all, (skipped + 1..=backlog).collect::<Vec<_>>());
            assert_eq!(looked_at.get(), backlog);
        }
    }
}
