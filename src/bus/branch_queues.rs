//! The queues of one handler: one for each branch with pending events.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::branch_queue::{BranchQueue, Input, Numbered, QueueStep, Taken};

#[derive(Debug)]
pub(super) struct BranchQueues<K, T> {
    branch_queues: HashMap<K, BranchQueue<T>>,
    held: usize,
    /// Items in all queues at which nothing more is taken.
    most: usize,
    /// Items in one queue.
    queue_capacity: usize,
    attempts: u32,
}

/// What happened to an item, and whether its queue is held up by an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) taken: Taken,
    pub(super) held: bool,
}

impl<K: Hash + Eq + Clone, T: Numbered> BranchQueues<K, T> {
    pub(super) fn new(attempts: u32, most: usize, queue_capacity: usize) -> Self {
        Self { branch_queues: HashMap::new(), held: 0, most, queue_capacity, attempts }
    }

    /// Whether the next item may be taken. One more is always kept somewhere, whatever this says.
    pub(super) fn has_room(&self) -> bool {
        self.held < self.most
    }

    pub(super) fn is_empty(&self) -> bool {
        self.branch_queues.is_empty()
    }

    /// Items that are being tried or waiting.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn branch_queues(&self) -> usize {
        self.branch_queues.len()
    }

    pub(super) fn take(&mut self, key: &K, item: T) -> Put {
        self.put(key, |branch_queue| Some(branch_queue.take(item)))
            .unwrap_or(Put { taken: Taken::Dropped, held: false })
    }

    /// As [`BranchQueue::take_again`].
    pub(super) fn take_again(&mut self, key: &K, item: T) -> Option<Put> {
        self.put(key, |branch_queue| branch_queue.take_again(item))
    }

    fn put(&mut self, key: &K, put: impl FnOnce(&mut BranchQueue<T>) -> Option<Taken>) -> Option<Put> {
        let branch_queue = match self.branch_queues.entry(key.clone()) {
            Entry::Occupied(branch_queue) => branch_queue.into_mut(),
            Entry::Vacant(free) => free.insert(BranchQueue::new(self.attempts, self.queue_capacity)),
        };
        let before = branch_queue.len();
        let held = branch_queue.is_held();
        let taken = put(branch_queue)?;
        self.held += branch_queue.len() - before;
        Some(Put { taken, held })
    }

    /// The transition of one queue. An idle queue is removed.
    pub(super) fn next(&mut self, key: &K, input: Input<T>) -> QueueStep<T> {
        let Entry::Occupied(mut entry) = self.branch_queues.entry(key.clone()) else {
            return QueueStep::Rest;
        };
        let before = entry.get().len();
        let step = entry.get_mut().next(input);
        self.held = (self.held + entry.get().len()).saturating_sub(before);
        if matches!(step, QueueStep::Rest) {
            entry.remove();
        }
        step
    }

    /// How many items a queue may get when it is refilled.
    pub(super) fn refill(&self) -> usize {
        self.most.saturating_sub(self.held).clamp(1, self.queue_capacity)
    }

    /// The items in one queue, including the one being tried.
    pub(super) fn items<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a T> + use<'a, K, T> {
        self.branch_queues.get(key).into_iter().flat_map(BranchQueue::items)
    }

    /// Drops everything that is not being tried.
    pub(super) fn leave(&mut self) -> Vec<T> {
        let left: Vec<T> = self.branch_queues.values_mut().flat_map(BranchQueue::leave).collect();
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
    fn a_queue_that_waits_holds_back_only_itself_and_no_more_than_its_capacity() {
        let mut branch_queues: BranchQueues<&str, u64> = BranchQueues::new(5, 10, 3);
        branch_queues.take(&"slow", 1);
        assert!(matches!(branch_queues.next(&"slow", Input::Begun), QueueStep::Try { .. }));
        assert!(matches!(
            branch_queues.next(&"slow", Input::Failed { last: false }),
            QueueStep::Pause { .. }
        ));
        for n in 2..=1_000 {
            let put = branch_queues.take(&"slow", n);
            assert!(put.held && put.taken == if n <= 3 { Taken::Queued } else { Taken::Remembered });
        }
        assert!(branch_queues.has_room());
        assert_eq!(branch_queues.held(), 3);
        let other = branch_queues.take(&"other", 1);
        assert_eq!(other, Put { taken: Taken::Begin, held: false });
        assert_eq!(branch_queues.next(&"other", Input::Begun), QueueStep::Try { item: 1, attempt: 1 });
        assert_eq!(branch_queues.next(&"other", Input::Succeeded), QueueStep::Rest);
        assert_eq!((branch_queues.branch_queues(), branch_queues.held()), (1, 3));
    }

    #[test]
    fn many_lanes_are_bounded_together() {
        let mut branch_queues: BranchQueues<u64, u64> = BranchQueues::new(5, 4, 3);
        for n in 0..4 {
            assert!(branch_queues.has_room());
            branch_queues.take(&n, 1);
        }
        assert!(!branch_queues.has_room());
        branch_queues.next(&2, Input::Begun);
        assert_eq!(branch_queues.next(&2, Input::Succeeded), QueueStep::Rest);
        assert!(branch_queues.has_room());
        assert_eq!(branch_queues.leave(), Vec::<u64>::new());
    }
}
