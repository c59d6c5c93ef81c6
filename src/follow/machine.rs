//! What a follower does next, as one transition function over numbers. No I/O, no clock, no channel.
//!
//! `scanned` is the last sequence (of one branch) or position (of more than one) that was looked at. The order of the
//! steps is what makes the subscription whole: the wake-up was subscribed to before the first [`Step::Note`].

/// How numbers of consecutive events relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Every number is the one before it plus one: sequences of a branch, positions of the whole store.
    Dense,
    /// Numbers increase: positions of one session.
    Increasing,
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the store how far it is: [`Input::Noted`].
    Note,
    /// Read a page of numbers after `after`, up to `to`: [`Machine::take`] each, then [`Input::PageEnded`].
    Read { after: u64, to: u64 },
    /// Tell the reader, once, that everything up to the last note was delivered: [`Input::Told`].
    TellCaughtUp,
    /// Wait for a commit or the end: [`Input::Woken`], [`Input::Closed`], or [`Machine::continues`] and
    /// [`Machine::take`] for what a commit brought.
    Wait,
    /// Nothing will follow.
    End,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The store is committed up to this number.
    Noted(u64),
    PageEnded {
        empty: bool,
    },
    Told,
    /// There may be something new, and the channel does not say all of it.
    Woken,
    /// No commit will follow.
    Closed,
}

/// A number that does not continue what was scanned: the store broke its promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfOrder {
    pub(super) scanned: u64,
    pub(super) found: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    order: Order,
    scanned: u64,
    target: u64,
    told: bool,
    closed: bool,
}

impl Machine {
    pub(super) fn new(order: Order, scanned: u64) -> Self {
        Self { order, scanned, target: scanned, told: false, closed: false }
    }

    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// The transition.
    pub(super) fn next(&mut self, input: Input) -> Result<Step, OutOfOrder> {
        match input {
            Input::Noted(n) => {
                self.target = self.target.max(n);
                Ok(self.read_or_rest())
            }
            Input::PageEnded { empty: false } => {
                // Past the target too: a page may bring what was committed since.
                Ok(if self.scanned < self.target { self.read_or_rest() } else { Step::Note })
            }
            Input::PageEnded { empty: true } => match self.order {
                // What was committed has to be there.
                Order::Dense => Err(OutOfOrder { scanned: self.scanned, found: self.target }),
                // The other sessions' events up to the target are none of ours.
                Order::Increasing => {
                    self.scanned = self.scanned.max(self.target);
                    Ok(Step::Note)
                }
            },
            Input::Told => Ok(self.rest()),
            Input::Woken => Ok(Step::Note),
            Input::Closed => {
                self.closed = true;
                Ok(Step::Note)
            }
        }
    }

    fn read_or_rest(&mut self) -> Step {
        if self.scanned < self.target {
            return Step::Read { after: self.scanned, to: self.target };
        }
        if std::mem::replace(&mut self.told, true) { self.rest() } else { Step::TellCaughtUp }
    }

    fn rest(&self) -> Step {
        if self.closed { Step::End } else { Step::Wait }
    }

    /// Moves over the event with this number. `false` for one that was scanned before.
    pub(super) fn take(&mut self, number: u64) -> Result<bool, OutOfOrder> {
        if number <= self.scanned {
            return Ok(false);
        }
        if self.order == Order::Dense && number != self.scanned + 1 {
            return Err(OutOfOrder { scanned: self.scanned, found: number });
        }
        self.scanned = number;
        Ok(true)
    }

    /// Whether what a commit brought can be taken as it is: `first` is its first number of ours, `after` the last
    /// number that the same channel brought before it.
    pub(super) fn continues(&self, first: u64, after: Option<u64>) -> bool {
        match self.order {
            Order::Dense => first <= self.scanned + 1,
            Order::Increasing => after.is_some_and(|after| after <= self.scanned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A store of plain numbers that commits at any moment of the follower's life, with a lossy channel.
    #[derive(Clone, Debug)]
    enum Event {
        Commit(u64),
        Lose,
    }

    fn run(order: Order, start: usize, script: &[Vec<Event>]) -> Vec<u64> {
        let mut log: Vec<u64> = Vec::new();
        let mut channel: Vec<(Option<u64>, Vec<u64>)> = Vec::new();
        let mut last_sent = None;
        let mut script = script.iter();
        let mut delivered = Vec::new();
        let mut machine = Machine::new(order, 0);
        let mut step = Step::Note;
        let mut lost = false;
        let mut happen = |log: &mut Vec<u64>, channel: &mut Vec<_>, lost: &mut bool| {
            let Some(events) = script.next() else { return false };
            for event in events {
                match event {
                    Event::Commit(n) => {
                        let mut next = log.last().copied().unwrap_or(0);
                        let new: Vec<u64> = (0..*n)
                            .map(|i| {
                                next += if order == Order::Dense { 1 } else { 1 + (i * 7 + n) % 3 };
                                next
                            })
                            .collect();
                        log.extend(&new);
                        channel.push((last_sent, new));
                        last_sent = log.last().copied();
                    }
                    Event::Lose => {
                        *lost |= !channel.is_empty();
                        channel.clear();
                    }
                }
            }
            true
        };
        for _ in 0..start {
            happen(&mut log, &mut channel, &mut lost);
        }
        channel.clear();
        lost = false;
        loop {
            let more = happen(&mut log, &mut channel, &mut lost);
            step = match step {
                Step::Note => machine.next(Input::Noted(log.last().copied().unwrap_or(0))).unwrap(),
                Step::Read { after, to } => {
                    let page: Vec<u64> =
                        log.iter().copied().filter(|n| *n > after && *n <= to).take(3).collect();
                    for n in &page {
                        if machine.take(*n).unwrap() {
                            delivered.push(*n);
                        }
                    }
                    machine.next(Input::PageEnded { empty: page.is_empty() }).unwrap()
                }
                Step::TellCaughtUp => machine.next(Input::Told).unwrap(),
                Step::Wait if std::mem::take(&mut lost) => machine.next(Input::Woken).unwrap(),
                Step::Wait if !channel.is_empty() => {
                    let (after, frame) = channel.remove(0);
                    match frame.first() {
                        Some(first) if machine.continues(*first, after) => {
                            for n in frame {
                                if machine.take(n).unwrap() {
                                    delivered.push(n);
                                }
                            }
                            Step::Wait
                        }
                        _ => machine.next(Input::Woken).unwrap(),
                    }
                }
                Step::Wait if more => Step::Wait,
                Step::Wait => machine.next(Input::Closed).unwrap(),
                Step::End => {
                    assert_eq!(delivered, log);
                    return delivered;
                }
            };
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn whatever_commits_when_every_number_is_delivered_once_in_order(
            dense: bool,
            start in 0usize..4,
            script in prop::collection::vec(
                prop::collection::vec(prop_oneof![4 => (0u64..6).prop_map(Event::Commit), 1 => Just(Event::Lose)], 0..4),
                0..40,
            ),
        ) {
            run(if dense { Order::Dense } else { Order::Increasing }, start, &script);
        }
    }

    #[test]
    fn a_hole_is_an_error_and_not_a_skip() {
        let mut machine = Machine::new(Order::Dense, 4);
        assert_eq!(machine.take(6), Err(OutOfOrder { scanned: 4, found: 6 }));
        assert_eq!(machine.next(Input::Noted(9)), Ok(Step::Read { after: 4, to: 9 }));
        assert!(machine.next(Input::PageEnded { empty: true }).is_err());
    }

    #[test]
    fn catching_up_is_told_once() {
        let mut machine = Machine::new(Order::Dense, 0);
        assert_eq!(machine.next(Input::Noted(0)), Ok(Step::TellCaughtUp));
        assert_eq!(machine.next(Input::Told), Ok(Step::Wait));
        assert_eq!(machine.next(Input::Noted(0)), Ok(Step::Wait));
        assert_eq!(machine.next(Input::Closed), Ok(Step::Note));
        assert_eq!(machine.next(Input::Noted(0)), Ok(Step::End));
    }
}
