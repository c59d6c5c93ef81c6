//! The lanes of one handler: one for each session and branch that it has something of.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::lane::{Input, Lane, Numbered, Step, Taken};

#[derive(Debug)]
pub(super) struct Lanes<K, T> {
    lanes: HashMap<K, Lane<T>>,
    held: usize,
    /// Items in all lanes at which nothing more is taken.
    most: usize,
    /// Items in one lane.
    lane_room: usize,
    attempts: u32,
}

/// What became of an item, and whether its lane is held up by an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) taken: Taken,
    pub(super) held: bool,
}

impl<K: Hash + Eq + Clone, T: Numbered> Lanes<K, T> {
    pub(super) fn new(attempts: u32, most: usize, lane_room: usize) -> Self {
        Self { lanes: HashMap::new(), held: 0, most, lane_room, attempts }
    }

    /// Whether the next item may be taken. One more is always kept somewhere, whatever this says.
    pub(super) fn has_room(&self) -> bool {
        self.held < self.most
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Items that are tried or wait to be.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn take(&mut self, key: &K, item: T) -> Put {
        self.put(key, |lane| Some(lane.take(item))).unwrap_or(Put { taken: Taken::Dropped, held: false })
    }

    /// As [`Lane::take_again`].
    pub(super) fn take_again(&mut self, key: &K, item: T) -> Option<Put> {
        self.put(key, |lane| lane.take_again(item))
    }

    fn put(&mut self, key: &K, put: impl FnOnce(&mut Lane<T>) -> Option<Taken>) -> Option<Put> {
        let lane = match self.lanes.entry(key.clone()) {
            Entry::Occupied(lane) => lane.into_mut(),
            Entry::Vacant(free) => free.insert(Lane::new(self.attempts, self.lane_room)),
        };
        let before = lane.len();
        let held = lane.is_held();
        let taken = put(lane)?;
        self.held += lane.len() - before;
        Some(Put { taken, held })
    }

    /// The transition of one lane. A lane that rests is forgotten.
    pub(super) fn next(&mut self, key: &K, input: Input<T>) -> Step<T> {
        let Entry::Occupied(mut entry) = self.lanes.entry(key.clone()) else { return Step::Rest };
        let before = entry.get().len();
        let step = entry.get_mut().next(input);
        self.held = (self.held + entry.get().len()).saturating_sub(before);
        if matches!(step, Step::Rest) {
            entry.remove();
        }
        step
    }

    /// How many items a lane may be given at once when it is refilled.
    pub(super) fn refill(&self) -> usize {
        self.most.saturating_sub(self.held).clamp(1, self.lane_room)
    }

    /// What waits in one lane, what is being tried included.
    pub(super) fn items<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a T> + use<'a, K, T> {
        self.lanes.get(key).into_iter().flat_map(Lane::items)
    }

    /// Lets go of everything that is not being tried.
    pub(super) fn leave(&mut self) -> Vec<T> {
        let left: Vec<T> = self.lanes.values_mut().flat_map(Lane::leave).collect();
        self.held = self.held.saturating_sub(left.len());
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Numbered for u64 {
        fn number(&self) -> Option<u64> {
            Some(*self)
        }
    }

    #[test]
    fn a_lane_that_waits_holds_back_only_itself_and_no_more_than_its_room() {
        let mut lanes: Lanes<&str, u64> = Lanes::new(5, 10, 3);
        lanes.take(&"slow", 1);
        assert!(matches!(lanes.next(&"slow", Input::Begun), Step::Try { .. }));
        assert!(matches!(lanes.next(&"slow", Input::Failed { last: false }), Step::Pause { .. }));
        for n in 2..=1_000 {
            let put = lanes.take(&"slow", n);
            assert!(put.held && put.taken == if n <= 3 { Taken::Queued } else { Taken::Remembered });
        }
        assert!(lanes.has_room());
        assert_eq!(lanes.held(), 3);
        let other = lanes.take(&"other", 1);
        assert_eq!(other, Put { taken: Taken::Begin, held: false });
        assert_eq!(lanes.next(&"other", Input::Begun), Step::Try { item: 1, attempt: 1 });
        assert_eq!(lanes.next(&"other", Input::Succeeded), Step::Rest);
        assert_eq!((lanes.lanes(), lanes.held()), (1, 3));
    }

    #[test]
    fn many_lanes_are_bounded_together() {
        let mut lanes: Lanes<u64, u64> = Lanes::new(5, 4, 3);
        for n in 0..4 {
            assert!(lanes.has_room());
            lanes.take(&n, 1);
        }
        assert!(!lanes.has_room());
        lanes.next(&2, Input::Begun);
        assert_eq!(lanes.next(&2, Input::Succeeded), Step::Rest);
        assert!(lanes.has_room());
        assert_eq!(lanes.leave(), Vec::<u64>::new());
    }
}
