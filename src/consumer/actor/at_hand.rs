use std::collections::HashMap;

use crate::event::Event;
use crate::limits::PAGE_BYTES;

/// The maximum number of kept events, whatever their bytes.
const AT_HAND: usize = 512;

/// Events that were read while scanning and whose turn has come. Those that do not fit are read again.
#[derive(Default)]
pub(super) struct AtHand {
    events: HashMap<u64, Event>,
    bytes: usize,
}

impl AtHand {
    pub(super) fn keep(&mut self, event: Event) {
        let size = size(&event);
        if self.events.len() >= AT_HAND || self.bytes.saturating_add(size) > PAGE_BYTES {
            self.clear();
        }
        if let Some(old) = self.events.insert(event.position().get(), event) {
            self.bytes = self.bytes.saturating_sub(self::size(&old));
        }
        self.bytes = self.bytes.saturating_add(size);
    }

    pub(super) fn take(&mut self, position: u64) -> Option<Event> {
        let event = self.events.remove(&position)?;
        self.bytes = self.bytes.saturating_sub(size(&event));
        Some(event)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn size(event: &Event) -> usize {
    event.record().encoded().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::store::{Query, Store};

    #[test]
    fn what_is_at_hand_is_bounded_by_its_bytes() {
        let store = Store::in_memory().unwrap();
        let large = "x".repeat(PAGE_BYTES / 3);
        (0..5)
            .for_each(|_| drop(store.append("s", NewEvent::new("a.b").data(large.as_str().into())).unwrap()));
        let mut at_hand = AtHand::default();
        for n in 1..=5u64 {
            let event = store.read(&Query::branch("s").unwrap().from(n).limit(1)).unwrap().events.remove(0);
            at_hand.keep(event.clone());
            at_hand.keep(event);
            assert!(at_hand.bytes <= PAGE_BYTES && at_hand.events.len() <= 2);
            assert_eq!(at_hand.bytes, at_hand.events.values().map(size).sum::<usize>());
        }
        assert!(at_hand.take(5).is_some() && at_hand.take(5).is_none() && at_hand.take(1).is_none());
    }
}
