//! Events by the time at which they were recorded, which never decreases from one to the next.

use std::ops::Range;

use retold::error::Result;
use retold::event::{Address, Event, Timestamp};
use retold::store::{Query, Store};

/// From when to when, as far as somebody said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recorded {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Recorded {
    pub(super) fn new(since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self { since, until }
    }

    pub(super) fn takes(&self, event: &Event) -> bool {
        self.since.is_none_or(|since| event.recorded() >= since)
            && self.until.is_none_or(|until| event.recorded() < until)
    }

    /// The part of a branch, or of the whole store, that was recorded then. It is looked up, not read.
    pub(super) fn within(&self, store: &Store, of: Option<&Address>, mut query: Query) -> Result<Query> {
        let all = match of {
            // What a branch has lost cannot be asked for.
            Some(address) => {
                let branch = store.branch(Address::from(address.place().clone()))?;
                branch.first.get()..branch.head.get().saturating_add(1)
            }
            None => 1..store.committed().get().saturating_add(1),
        };
        if let Some(since) = self.since {
            query = query.from(first(store, of, all.clone(), since)?);
        }
        if let Some(until) = self.until {
            let end = first(store, of, all.clone(), until)?;
            query = if end > all.start { query.to(end - 1) } else { query.limit(0) };
        }
        Ok(query)
    }
}

/// The first of these sequences, or positions, whose event was recorded at or after a time; else the end.
fn first(store: &Store, of: Option<&Address>, among: Range<u64>, time: Timestamp) -> Result<u64> {
    let Range { start: mut from, end: mut to } = among;
    while from < to {
        let middle = from + (to - from) / 2;
        let query = match of {
            Some(address) => Query::branch(Address::from(address.place().clone()))?,
            None => Query::all(),
        };
        // As it is stored: how it reads does not matter.
        match store.events(query.from(middle).limit(1).raw())?.next().transpose()? {
            Some(event) if event.recorded() < time => {
                let number = if of.is_some() { event.sequence().get() } else { event.position().get() };
                from = number.max(middle).saturating_add(1);
            }
            _ => to = middle,
        }
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::{NewEvent, Sequence};

    #[test]
    fn the_first_event_since_any_time_is_found_as_a_search_would_find_it() {
        let store = Store::in_memory().unwrap();
        for n in 0..20 {
            store.append(["s", "t"][n % 2], NewEvent::new("a")).unwrap();
        }
        store.fork("s@4", "b").unwrap();
        store.append("s/b", vec![NewEvent::new("a"), NewEvent::new("b")]).unwrap();
        store.lifecycle().delete("t").unwrap();
        store.lifecycle().truncate("s", Sequence::new(3)).unwrap();
        for of in [Some("s"), Some("s/b"), None] {
            let address: Option<Address> = of.map(|of| of.parse().unwrap());
            let query = || address.clone().map_or_else(Query::all, |a| Query::branch(a).unwrap());
            let all: Vec<Event> = store.events(query()).unwrap().map(Result::unwrap).collect();
            let times = all.iter().map(Event::recorded);
            for time in times.flat_map(|t| [-1, 0, 1].map(|by| Timestamp::from_micros(t.micros() + by))) {
                for (since, until) in [(Some(time), None), (None, Some(time))] {
                    let recorded = Recorded { since, until };
                    let within = recorded.within(&store, address.as_ref(), query()).unwrap();
                    let found: Vec<Event> = store.events(within).unwrap().map(Result::unwrap).collect();
                    let due: Vec<Event> = all.iter().filter(|event| recorded.takes(event)).cloned().collect();
                    assert_eq!(found, due, "{of:?} {since:?} {until:?}");
                }
            }
        }
    }
}
