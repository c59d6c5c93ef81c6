//! The state machine of a follower: one transition function over numbers. No I/O, no clock, no channel.
//!
//! `scanned` is the last sequence (of one branch) or position (of more than one) that was scanned. The order of the
//! steps is what makes the subscription gapless: the wake-up is subscribed to before the first [`FollowStep::Note`].

use crate::sync::fault;

/// How the numbers of consecutive events relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FollowOrder {
    /// Each number is the previous one plus one: sequences of a branch, positions of the whole store.
    Dense,
    /// Numbers increase: positions of one session.
    Increasing,
}

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FollowStep {
    /// Ask the store for its last number: [`Input::Noted`].
    Note,
    /// Read a page of numbers after `after`, up to `to`: [`Machine::take`] each, then [`Input::PageEnded`].
    Read { after: u64, to: u64 },
    /// Report to the reader, once, that everything up to the last note was delivered: [`Input::Told`].
    TellCaughtUp,
    /// Wait for a commit or the end: [`Input::Woken`], [`Input::Closed`], or [`Machine::continues`] and
    /// [`Machine::take`] for the events of a commit.
    Wait,
    /// Nothing more will follow.
    End,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The store is committed up to this number.
    Noted(u64),
    /// The same, and nothing follows it.
    NotedLast(u64),
    PageEnded {
        empty: bool,
    },
    Told,
    /// There may be something new that the channel did not carry.
    Woken,
    /// No commit will follow.
    Closed,
}

/// A number that does not continue what was scanned: the store violated its guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfOrder {
    pub(super) scanned: u64,
    pub(super) found: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    order: FollowOrder,
    scanned: u64,
    target: u64,
    told: bool,
    closed: bool,
    /// What was noted first.
    #[cfg(test)]
    first: Option<u64>,
}

impl Machine {
    pub(super) fn new(order: FollowOrder, scanned: u64) -> Self {
        Self {
            order,
            scanned,
            target: scanned,
            told: false,
            closed: false,
            #[cfg(test)]
            first: None,
        }
    }

    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Begins again after this number, from which on nothing was delivered: what was noted since may be of another store. The
    /// step that was due is forgotten.
    pub(super) fn restart(&mut self, after: u64, due: FollowStep) -> FollowStep {
        self.told &= due != FollowStep::TellCaughtUp;
        (self.scanned, self.target) = (after, after);
        FollowStep::Note
    }

    /// The transition.
    pub(super) fn next(&mut self, input: Input) -> Result<FollowStep, OutOfOrder> {
        match input {
            Input::Noted(n) => {
                #[cfg(test)]
                self.first.get_or_insert(n);
                self.target = self.target.max(n);
                Ok(self.read_or_rest())
            }
            Input::NotedLast(n) => {
                self.closed = true;
                self.next(Input::Noted(n))
            }
            Input::PageEnded { empty: false } => {
                // Past the target too: a page may contain what was committed since.
                Ok(if self.scanned < self.target { self.read_or_rest() } else { FollowStep::Note })
            }
            Input::PageEnded { empty: true } => match self.order {
                // What was committed has to exist.
                FollowOrder::Dense => Err(OutOfOrder { scanned: self.scanned, found: self.target }),
                // Events of other sessions up to the target do not concern us.
                FollowOrder::Increasing => {
                    self.scanned = self.scanned.max(self.target);
                    Ok(FollowStep::Note)
                }
            },
            Input::Told => Ok(self.rest()),
            Input::Woken => Ok(FollowStep::Note),
            Input::Closed => {
                self.closed = true;
                Ok(FollowStep::Note)
            }
        }
    }

    fn read_or_rest(&mut self) -> FollowStep {
        if self.scanned < self.target {
            return FollowStep::Read { after: self.scanned, to: self.target };
        }
        if std::mem::replace(&mut self.told, true) { self.rest() } else { FollowStep::TellCaughtUp }
    }

    fn rest(&self) -> FollowStep {
        if self.closed { FollowStep::End } else { FollowStep::Wait }
    }

    /// Advances over the event with this number. `false` if it was scanned before.
    pub(super) fn take(&mut self, number: u64) -> Result<bool, OutOfOrder> {
        fault!(FramesUnchecked, {
            self.scanned = self.scanned.max(number);
            return Ok(true);
        });
        fault!(FirstCursor, {
            self.scanned = self.scanned.max(number);
            return Ok(!self.told || self.first.is_none_or(|first| number > first));
        });
        if number <= self.scanned {
            return Ok(false);
        }
        if self.order == FollowOrder::Dense && number != self.scanned + 1 {
            return Err(OutOfOrder { scanned: self.scanned, found: number });
        }
        self.scanned = number;
        Ok(true)
    }

    /// Goes on at this number, if what comes before it is gone and was not scanned yet. `false` if it goes on as it was.
    pub(super) fn leave_out(&mut self, first: u64) -> bool {
        let is_gap = first > self.scanned.saturating_add(1);
        if is_gap {
            self.scanned = first - 1;
            self.target = self.target.max(self.scanned);
        }
        is_gap
    }

    /// Whether the events of a commit can be used directly: `first` is its first relevant number, `after` the last
    /// number that the same channel carried before.
    pub(super) fn continues(&self, first: u64, after: Option<u64>) -> bool {
        fault!(FramesUnchecked, { return true });
        fault!(FirstCursor, { return true });
        match self.order {
            FollowOrder::Dense => first <= self.scanned + 1,
            FollowOrder::Increasing => after.is_some_and(|after| after <= self.scanned),
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

    fn run(order: FollowOrder, start: usize, script: &[Vec<Event>]) -> Vec<u64> {
        let mut log: Vec<u64> = Vec::new();
        let mut channel: Vec<(Option<u64>, Vec<u64>)> = Vec::new();
        let mut last_sent = None;
        let mut script = script.iter();
        let mut delivered = Vec::new();
        let mut machine = Machine::new(order, 0);
        let mut step = FollowStep::Note;
        let mut lost = false;
        let mut happen = |log: &mut Vec<u64>, channel: &mut Vec<_>, lost: &mut bool| {
            let Some(events) = script.next() else { return false };
            for event in events {
                match event {
                    Event::Commit(n) => {
                        let mut next = log.last().copied().unwrap_or(0);
                        let new: Vec<u64> = (0..*n)
                            .map(|i| {
                                next += if order == FollowOrder::Dense { 1 } else { 1 + (i * 7 + n) % 3 };
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
                FollowStep::Note => machine.next(Input::Noted(log.last().copied().unwrap_or(0))).unwrap(),
                FollowStep::Read { after, to } => {
                    let page: Vec<u64> =
                        log.iter().copied().filter(|n| *n > after && *n <= to).take(3).collect();
                    for n in &page {
                        if machine.take(*n).unwrap() {
                            delivered.push(*n);
                        }
                    }
                    machine.next(Input::PageEnded { empty: page.is_empty() }).unwrap()
                }
                FollowStep::TellCaughtUp => machine.next(Input::Told).unwrap(),
                FollowStep::Wait if std::mem::take(&mut lost) => machine.next(Input::Woken).unwrap(),
                FollowStep::Wait if !channel.is_empty() => {
                    let (after, frame) = channel.remove(0);
                    match frame.first() {
                        Some(first) if machine.continues(*first, after) => {
                            for n in frame {
                                if machine.take(n).unwrap() {
                                    delivered.push(n);
                                }
                            }
                            FollowStep::Wait
                        }
                        _ => machine.next(Input::Woken).unwrap(),
                    }
                }
                FollowStep::Wait if more => FollowStep::Wait,
                FollowStep::Wait => machine.next(Input::Closed).unwrap(),
                FollowStep::End => {
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
            run(if dense { FollowOrder::Dense } else { FollowOrder::Increasing }, start, &script);
        }
    }

    #[test]
    fn a_hole_is_an_error_and_not_a_skip() {
        let mut machine = Machine::new(FollowOrder::Dense, 4);
        assert_eq!(machine.take(6), Err(OutOfOrder { scanned: 4, found: 6 }));
        assert_eq!(machine.next(Input::Noted(9)), Ok(FollowStep::Read { after: 4, to: 9 }));
        assert!(machine.next(Input::PageEnded { empty: true }).is_err());
    }

    #[test]
    fn what_is_gone_is_left_out_once() {
        let mut machine = Machine::new(FollowOrder::Dense, 2);
        assert!(machine.leave_out(6) && !machine.leave_out(6) && !machine.leave_out(3));
        assert_eq!((machine.take(5), machine.take(6)), (Ok(false), Ok(true)));
        assert_eq!(machine.take(8), Err(OutOfOrder { scanned: 6, found: 8 }));
    }

    #[test]
    fn what_is_closed_is_read_to_its_end() {
        let mut machine = Machine::new(FollowOrder::Dense, 0);
        assert_eq!(machine.next(Input::NotedLast(2)), Ok(FollowStep::Read { after: 0, to: 2 }));
        assert_eq!((machine.take(1), machine.take(2)), (Ok(true), Ok(true)));
        assert_eq!(machine.next(Input::PageEnded { empty: false }), Ok(FollowStep::Note));
        assert_eq!(machine.next(Input::NotedLast(2)), Ok(FollowStep::TellCaughtUp));
        assert_eq!(machine.next(Input::Told), Ok(FollowStep::End));
    }

    #[test]
    fn catching_up_is_reported_once() {
        let mut machine = Machine::new(FollowOrder::Dense, 0);
        assert_eq!(machine.next(Input::Noted(0)), Ok(FollowStep::TellCaughtUp));
        assert_eq!(machine.next(Input::Told), Ok(FollowStep::Wait));
        assert_eq!(machine.next(Input::Noted(0)), Ok(FollowStep::Wait));
        assert_eq!(machine.next(Input::Closed), Ok(FollowStep::Note));
        assert_eq!(machine.next(Input::Noted(0)), Ok(FollowStep::End));
    }
}
