//! Counts in a time window, by key. Pure, and bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_WATCHED;
use crate::sync::time::micros;

/// Which times are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// Consecutive spans counted from the epoch: this minute, this hour.
    Tumbling(Duration),
    /// The most recent span.
    Sliding(Duration),
}

impl Window {
    fn micros(self) -> i64 {
        let (Self::Tumbling(span) | Self::Sliding(span)) = self;
        micros(span)
    }

    /// The number of the span that contains a time, counted from the epoch; `None` for a sliding window.
    #[must_use]
    pub fn number(self, at: i64) -> Option<i64> {
        match self {
            Self::Tumbling(_) => Some(at.div_euclid(self.micros().max(1))),
            Self::Sliding(_) => None,
        }
    }

    /// Whether a time has expired at `now`.
    fn is_over(self, time: i64, now: i64) -> bool {
        match self {
            Self::Tumbling(_) => self.number(time) < self.number(now),
            Self::Sliding(_) => now.saturating_sub(time) > self.micros(),
        }
    }
}

/// The times by key, in microseconds since the epoch. At most 1,024 keys; beyond that, the least recently counted one
/// is dropped.
///
/// ```
/// use std::time::Duration;
/// use retold::project::{WindowCounts, Window};
/// let minute = Window::Sliding(Duration::from_secs(60));
/// let mut failures = WindowCounts::default();
/// assert_eq!(failures.add(minute, "grep", 0, 10), 1);
/// assert_eq!(failures.add(minute, "grep", 59_000_000, 10), 2);
/// assert_eq!(failures.add(minute, "grep", 61_000_000, 10), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WindowCounts(BTreeMap<String, Vec<i64>>);

impl WindowCounts {
    /// Counts one more for a key, and returns the count in the window. Expired times are dropped, also those of other
    /// keys. At most the latest `most` times of a key are kept, and the result is never higher. Times may arrive out of
    /// order: a late one counts in its own window while that is still known.
    pub fn add(&mut self, window: Window, key: &str, at: i64, most: u32) -> u32 {
        self.forget(window, at);
        if !self.0.contains_key(key) && self.0.len() >= MAX_WATCHED {
            let oldest = self.0.iter().min_by_key(|(_, times)| times.last().copied().unwrap_or_default());
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&oldest);
            }
        }
        let times = self.0.entry(key.to_owned()).or_default();
        times.push(at);
        let over = times.len().saturating_sub(most.max(1) as usize);
        times.drain(..over);
        let same = times.iter().filter(|time| window.number(**time) == window.number(at)).count();
        u32::try_from(same).unwrap_or(u32::MAX)
    }

    /// Drops what has expired by this time.
    pub fn forget(&mut self, window: Window, now: i64) {
        self.0.retain(|_, times| {
            times.retain(|time| !window.is_over(*time, now));
            !times.is_empty()
        });
    }

    /// Resets a key.
    pub fn reset(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// The number of keys.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks at everything that ever came, each time.
    fn naive(window: Window, all: &[(usize, i64)]) -> u32 {
        let (last, at) = *all.last().unwrap();
        let in_window = |n: usize, time: i64| match window {
            Window::Sliding(span) => all[n..].iter().all(|(_, now)| now - time <= span.as_micros() as i64),
            Window::Tumbling(span) => {
                let number = |t: i64| t.div_euclid(span.as_micros() as i64);
                number(time) == number(at) && all[n..].iter().all(|(_, now)| number(*now) <= number(time))
            }
        };
        all.iter().enumerate().filter(|(n, (key, time))| *key == last && in_window(*n, *time)).count() as u32
    }

    proptest! {
        #[test]
        fn it_counts_what_a_naive_count_does(
            steps in prop::collection::vec((0..3usize, -5..40i64), 1..80), span in 1..60u64, tumbles: bool,
        ) {
            let span = Duration::from_micros(span);
            let window = if tumbles { Window::Tumbling(span) } else { Window::Sliding(span) };
            let (mut counts, mut all, mut at) = (WindowCounts::default(), Vec::new(), 0);
            for (key, step) in steps {
                at += step;
                all.push((key, at));
                let counted = counts.add(window, &key.to_string(), at, 1_000);
                prop_assert_eq!(counted, naive(window, &all), "{:?}", all);
            }
        }

        #[test]
        fn it_stays_within_its_bounds(
            steps in prop::collection::vec((any::<u16>(), any::<i64>()), 1..300), span: u64, most in 0..20u32,
            tumbles: bool,
        ) {
            let span = Duration::from_micros(span);
            let window = if tumbles { Window::Tumbling(span) } else { Window::Sliding(span) };
            let mut counts = WindowCounts::default();
            for (key, at) in steps {
                let counted = counts.add(window, &key.to_string(), at, most);
                prop_assert!(counted >= 1 && counted <= most.max(1));
            }
            prop_assert!(counts.0.values().all(|times| times.len() <= most.max(1) as usize));
        }
    }

    #[test]
    fn the_key_that_was_counted_longest_ago_is_forgotten_first() {
        let window = Window::Sliding(Duration::from_secs(1_000_000));
        let mut counts = WindowCounts::default();
        for n in 0..MAX_WATCHED as i64 + 10 {
            counts.add(window, &n.to_string(), n, 5);
            counts.add(window, "0", n, 5);
        }
        assert_eq!(counts.keys(), MAX_WATCHED);
        assert_eq!(counts.add(window, "0", 2_000, 9), 6);
        assert_eq!(counts.add(window, "1", 2_000, 9), 1);
    }
}
