//! The state machine of a handler's queue for one branch: one transition function. No I/O, no clock. The head of the
//! queue is the item being tried; it is removed when it succeeds or is given up. Items that do not fit are remembered
//! by their number and read again when their turn comes, so a waiting queue delays only itself, and its memory is
//! bounded.

use std::collections::VecDeque;

/// An item of a queue: numbered by sequence, or without a number if it was never stored.
pub(super) trait Numbered: Clone {
    fn number(&self) -> Option<u64>;
}

/// What the runner of a queue has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueueStep<T> {
    /// Call the handler: [`Input::Succeeded`] or [`Input::Failed`]. Attempts are counted from 1.
    Try { item: T, attempt: u32 },
    /// Wait before the next attempt: [`Input::Waited`].
    Pause { attempts: u32 },
    /// Give up: write the dead letter, then [`Input::Buried`].
    Bury { item: T, attempts: u32 },
    /// Read numbers after `after` up to `to`, some of them or all: [`Input::Refilled`].
    Refill { after: u64, to: u64 },
    /// Nothing is left; the next [`BranchQueue::take`] starts the queue again.
    Rest,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Input<T> {
    /// The runner has started.
    Begun,
    Succeeded,
    /// `last`: it must not be tried again, whatever the number of attempts.
    Failed {
        last: bool,
    },
    Waited,
    Buried,
    /// The items that were read, and the number up to which everything was scanned.
    Refilled {
        items: Vec<T>,
        scanned: u64,
    },
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The queue was idle: a runner has to be started.
    Begin,
    Queued,
    /// Its number is remembered.
    Remembered,
    /// It has no number, and the queue is full.
    Dropped,
}

#[derive(Clone, Debug)]
pub(super) struct BranchQueue<T> {
    queue: VecDeque<T>,
    /// Failed attempts at the head.
    failed: u32,
    /// Maximum attempts at one item.
    most: u32,
    room: usize,
    /// Items with numbers after the first and up to the second were not kept.
    left: Option<(u64, u64)>,
    running: bool,
}

impl<T: Numbered> BranchQueue<T> {
    /// A queue with this many attempts per item, and this capacity.
    pub(super) fn new(most: u32, room: usize) -> Self {
        Self { queue: VecDeque::new(), failed: 0, most, room: room.max(1), left: None, running: false }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether new items have to wait longer than for the first attempts before them.
    pub(super) fn is_held(&self) -> bool {
        self.failed > 0 || self.left.is_some()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        self.queue.iter()
    }

    /// Adds the next item.
    pub(super) fn take(&mut self, item: T) -> Taken {
        match (item.number(), &mut self.left) {
            (Some(number), Some((_, to))) => {
                *to = number;
                return Taken::Remembered;
            }
            (Some(number), None) if self.queue.len() >= self.room => {
                self.left = Some((number.saturating_sub(1), number));
                return Taken::Remembered;
            }
            (None, left) if left.is_some() || self.queue.len() >= self.room => return Taken::Dropped,
            _ => self.queue.push_back(item),
        }
        self.begin()
    }

    /// Adds a replayed item, ahead of newer items that were not started. `false` if it is already there.
    pub(super) fn take_again(&mut self, item: T) -> Option<Taken> {
        if self.queue.iter().any(|other| other.number() == item.number()) {
            return None;
        }
        let begun = usize::from(self.running && !self.queue.is_empty());
        let newer = self.queue.iter().skip(begun).position(|other| other.number() > item.number());
        self.queue.insert(newer.map_or(self.queue.len(), |at| at + begun), item);
        Some(self.begin())
    }

    fn begin(&mut self) -> Taken {
        if std::mem::replace(&mut self.running, true) { Taken::Queued } else { Taken::Begin }
    }

    /// Drops everything that is not being tried.
    pub(super) fn leave(&mut self) -> Vec<T> {
        self.left = None;
        self.most = 1;
        self.queue.split_off(self.queue.len().min(1)).into()
    }

    /// The transition.
    pub(super) fn next(&mut self, input: Input<T>) -> QueueStep<T> {
        match input {
            Input::Begun | Input::Waited => {}
            Input::Succeeded | Input::Buried => {
                self.queue.pop_front();
                self.failed = 0;
            }
            Input::Failed { last } => {
                self.failed += 1;
                let attempts = self.failed;
                if last || attempts >= self.most {
                    let Some(item) = self.queue.front().cloned() else { return self.rest() };
                    return QueueStep::Bury { item, attempts };
                }
                return QueueStep::Pause { attempts };
            }
            Input::Refilled { items, scanned } => {
                self.queue.extend(items);
                self.left = self.left.filter(|(_, to)| *to > scanned).map(|(_, to)| (scanned, to));
            }
        }
        match (self.queue.front().cloned(), self.left) {
            (Some(item), _) => QueueStep::Try { item, attempt: self.failed + 1 },
            (None, Some((after, to))) => QueueStep::Refill { after, to },
            (None, None) => self.rest(),
        }
    }

    fn rest(&mut self) -> QueueStep<T> {
        self.running = false;
        QueueStep::Rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct N(Option<u64>);

    impl Numbered for N {
        fn number(&self) -> Option<u64> {
            self.0
        }
    }

    #[test]
    fn a_failed_item_is_tried_again_before_the_next_one() {
        let mut branch_queue = BranchQueue::new(2, 4);
        assert_eq!(branch_queue.take(N(Some(1))), Taken::Begin);
        assert_eq!(branch_queue.take(N(Some(2))), Taken::Queued);
        let (one, two) = (N(Some(1)), N(Some(2)));
        assert_eq!(branch_queue.next(Input::Begun), QueueStep::Try { item: one, attempt: 1 });
        assert_eq!(branch_queue.next(Input::Failed { last: false }), QueueStep::Pause { attempts: 1 });
        assert!(branch_queue.is_held());
        assert_eq!(branch_queue.next(Input::Waited), QueueStep::Try { item: one, attempt: 2 });
        assert_eq!(
            branch_queue.next(Input::Failed { last: false }),
            QueueStep::Bury { item: one, attempts: 2 }
        );
        assert_eq!(branch_queue.next(Input::Buried), QueueStep::Try { item: two, attempt: 1 });
        assert_eq!(branch_queue.next(Input::Succeeded), QueueStep::Rest);
        assert_eq!(branch_queue.take(N(Some(3))), Taken::Begin);
    }

    #[test]
    fn what_is_sent_again_goes_before_what_is_newer_but_not_before_what_is_begun() {
        let mut branch_queue = BranchQueue::new(2, 8);
        for n in [5, 7] {
            branch_queue.take(N(Some(n)));
        }
        branch_queue.next(Input::Begun);
        assert_eq!(branch_queue.take_again(N(Some(3))), Some(Taken::Queued));
        assert_eq!(branch_queue.take_again(N(Some(3))), None);
        assert_eq!(branch_queue.next(Input::Succeeded), QueueStep::Try { item: N(Some(3)), attempt: 1 });
        assert_eq!(branch_queue.next(Input::Succeeded), QueueStep::Try { item: N(Some(7)), attempt: 1 });
    }

    #[test]
    fn leaving_keeps_only_what_is_being_tried() {
        let mut branch_queue = BranchQueue::new(9, 2);
        for n in 1..=4 {
            branch_queue.take(N(Some(n)));
        }
        branch_queue.next(Input::Begun);
        assert_eq!(branch_queue.leave(), vec![N(Some(2))]);
        assert!(matches!(branch_queue.next(Input::Failed { last: false }), QueueStep::Bury { .. }));
        assert_eq!(branch_queue.next(Input::Buried), QueueStep::Rest);
    }

    /// Events come, and the runner makes a step, in any order.
    #[derive(Clone, Debug)]
    enum Move {
        Take,
        Unnumbered,
        QueueStep { fails: bool, last: bool, page: usize },
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let step = (any::<bool>(), prop::bool::weighted(0.1), 1..4usize);
        prop::collection::vec(
            prop_oneof![
                3 => Just(Move::Take),
                1 => Just(Move::Unnumbered),
                4 => step.prop_map(|(fails, last, page)| Move::QueueStep { fails, last, page }),
            ],
            0..200,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn every_number_succeeds_or_is_given_up_once_in_order(
            moves in moves(), most in 1..4u32, room in 1..5usize,
        ) {
            let mut branch_queue = BranchQueue::new(most, room);
            let (mut last, mut ended, mut dropped, mut unnumbered) = (0, Vec::new(), 0, (0, 0));
            let mut step: Option<QueueStep<N>> = None;
            let mut trying: Option<(N, u32)> = None;
            let drain = std::iter::repeat_n(Move::QueueStep { fails: true, last: false, page: 2 }, 4_000);
            for now in moves.into_iter().chain(drain) {
                match now {
                    Move::Take | Move::Unnumbered => {
                        let item = match now {
                            Move::Take => { last += 1; N(Some(last)) }
                            _ => { unnumbered.0 += 1; N(None) }
                        };
                        match branch_queue.take(item) {
                            Taken::Begin => {
                                prop_assert!(step.is_none(), "two runners");
                                step = Some(branch_queue.next(Input::Begun));
                            }
                            Taken::Dropped => { prop_assert!(item.0.is_none()); dropped += 1; }
                            Taken::Queued | Taken::Remembered => prop_assert!(step.is_some(), "no runner"),
                        }
                    }
                    Move::QueueStep { fails, last: final_try, page } => {
                        let input = match step.take() {
                            None => continue,
                            Some(QueueStep::Try { item, attempt }) => {
                                let before = trying.replace((item, attempt));
                                if attempt > 1 {
                                    prop_assert_eq!(before, Some((item, attempt - 1)), "others went between");
                                }
                                prop_assert!(attempt <= most);
                                match fails {
                                    true => Input::Failed { last: final_try },
                                    false => { ended.push(item); Input::Succeeded }
                                }
                            }
                            Some(QueueStep::Pause { .. }) => Input::Waited,
                            Some(QueueStep::Bury { item, .. }) => { ended.push(item); Input::Buried }
                            Some(QueueStep::Refill { after, to }) => {
                                let scanned = to.min(after + page as u64);
                                let items = (after + 1..=scanned).map(|n| N(Some(n))).collect();
                                Input::Refilled { items, scanned }
                            }
                            Some(QueueStep::Rest) => unreachable!("rest is not kept"),
                        };
                        step = Some(branch_queue.next(input)).filter(|s| *s != QueueStep::Rest);
                    }
                }
                prop_assert!(branch_queue.len() <= room.max(3));
            }
            prop_assert!(step.is_none(), "the queue did not come to rest");
            let numbers: Vec<u64> = ended.iter().filter_map(|n| n.0).collect();
            prop_assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
            unnumbered.1 = ended.iter().filter(|n| n.0.is_none()).count();
            prop_assert_eq!(unnumbered.0, unnumbered.1 + dropped);
        }
    }
}
