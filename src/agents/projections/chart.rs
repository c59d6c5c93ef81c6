//! The number of events over a whole lifetime, in a bounded number of slots.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::limits::CHART_SLOTS;

/// Counts by slots of equal width, which doubles when there would be too many. No event is lost, only resolution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Chart {
    /// Where the first slot begins, in seconds since the epoch: a multiple of the width.
    pub start: i64,
    /// The width of a slot in seconds.
    pub width: i64,
    /// The counts.
    pub counts: VecDeque<u64>,
}

impl Default for Chart {
    fn default() -> Self {
        Self { start: 0, width: 1, counts: VecDeque::new() }
    }
}

impl Chart {
    pub(super) fn add(&mut self, second: i64) {
        if self.counts.is_empty() {
            self.start = second.div_euclid(self.width) * self.width;
        }
        loop {
            // Timestamps are in microseconds, so no difference in seconds overflows.
            let slot = (second - self.start).div_euclid(self.width);
            let (first, last) = (slot.min(0), slot.max(self.counts.len() as i64 - 1));
            if last - first < CHART_SLOTS as i64 {
                for _ in first..0 {
                    self.counts.push_front(0);
                    self.start -= self.width;
                }
                while (self.counts.len() as i64) <= slot {
                    self.counts.push_back(0);
                }
                if let Some(count) = self.counts.get_mut((slot - first) as usize) {
                    *count += 1;
                }
                return;
            }
            self.halve();
        }
    }

    /// Doubles the width of the slots, which stay at multiples of it.
    fn halve(&mut self) {
        let start = self.start.div_euclid(self.width * 2) * self.width * 2;
        let mut counts = VecDeque::new();
        let shift = usize::from(start != self.start);
        for (i, count) in self.counts.iter().enumerate() {
            match (i + shift).is_multiple_of(2) || counts.is_empty() {
                true => counts.push_back(*count),
                false => {
                    if let Some(last) = counts.back_mut() {
                        *last += count;
                    }
                }
            }
        }
        *self = Self { start, width: self.width * 2, counts };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slots_grow_wider_as_the_life_grows_longer_to_both_sides() {
        let mut chart = Chart::default();
        [100, 100, 103].into_iter().for_each(|s| chart.add(s));
        assert_eq!((chart.start, chart.width, &chart.counts), (100, 1, &VecDeque::from([2, 0, 0, 1])));
        chart.add(99);
        assert_eq!((chart.start, &chart.counts), (99, &VecDeque::from([1, 2, 0, 0, 1])));
        chart.add(99 + CHART_SLOTS as i64);
        assert_eq!((chart.start, chart.width), (98, 2));
        assert_eq!(chart.counts.iter().take(3).copied().collect::<Vec<_>>(), [1, 2, 1]);
    }

    proptest! {
        #[test]
        fn every_event_is_in_its_slot(seconds in prop::collection::vec(-9_223_372_036_855i64..9_223_372_036_855, 1..200)) {
            let mut chart = Chart::default();
            seconds.iter().for_each(|s| chart.add(*s));
            prop_assert!(chart.counts.len() <= CHART_SLOTS);
            for (i, count) in chart.counts.iter().enumerate() {
                let from = chart.start + i as i64 * chart.width;
                let there = seconds.iter().filter(|s| (from..from + chart.width).contains(s)).count();
                prop_assert_eq!(*count, there as u64);
            }
        }
    }
}
