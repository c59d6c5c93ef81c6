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
    let mut limit = AT_HAND_LANE_EVENTS;
    while reached < to && found.is_empty() {
        let range = Range { from: reached.saturating_add(1), to, limit, reverse: false };
        let page = reader.page(&branch, range)?;
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
            reached = sequence;
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
                let look = Look { place: place.clone(), after, until: backlog };
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
