//! Counters of one handler, and the durations of its calls.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::answer::Failure;
use crate::sync::Instant;

/// Durations in buckets that are an eighth of their value wide: from 1 µs to days, in a fixed number of counters.
#[derive(Debug)]
pub(super) struct Times {
    counts: [AtomicU64; Self::BUCKETS],
    /// All of them added up, in microseconds.
    sum: AtomicU64,
}

impl Times {
    /// Eight for each power of two, up to 2^40 µs.
    const BUCKETS: usize = 8 * 38;

    fn bucket(micros: u64) -> usize {
        if micros < 8 {
            return micros as usize;
        }
        let power = micros.ilog2();
        let eighth = (micros >> (power - 3)) & 7;
        ((power as usize - 2) * 8 + eighth as usize).min(Self::BUCKETS - 1)
    }

    /// The longest duration that falls into a bucket.
    fn top(bucket: usize) -> u64 {
        if bucket < 8 {
            return bucket as u64;
        }
        let (power, eighth) = (bucket / 8 + 2, bucket % 8);
        ((8 + eighth as u64 + 1) << (power - 3)) - 1
    }

    pub(super) fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(Self::bucket(micros)) {
            count.fetch_add(1, Relaxed);
            self.sum.fetch_add(micros, Relaxed);
        }
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        let sum = self.sum.load(Relaxed);
        let count: u64 = self.counts.iter().map(|c| c.load(Relaxed)).sum();
        sum.checked_div(count).map(Duration::from_micros)
    }

    /// The duration within which this fraction of the calls ended.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        let counts: Vec<u64> = self.counts.iter().map(|c| c.load(Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return None;
        }
        let due = ((all as f64 * part).ceil() as u64).clamp(1, all);
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= due
        });
        bucket.map(|b| Duration::from_micros(Self::top(b)))
    }
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

/// What a handler counts as it goes.
#[derive(Debug)]
pub(super) struct Metrics {
    begun: Instant,
    gone: OnceLock<Instant>,
    pub(super) events: AtomicU64,
    pub(super) handled: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) ephemeral_dropped: AtomicU64,
    pub(super) times: Times,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            gone: OnceLock::new(),
            events: AtomicU64::default(),
            handled: AtomicU64::default(),
            calls: AtomicU64::default(),
            errors: AtomicU64::default(),
            panics: AtomicU64::default(),
            timeouts: AtomicU64::default(),
            dead_letters: AtomicU64::default(),
            unreadable: AtomicU64::default(),
            ephemeral_dropped: AtomicU64::default(),
            times: Times::default(),
        }
    }
}

impl Metrics {
    /// It handles nothing more.
    pub(super) fn gone(&self) {
        let _ = self.gone.set(Instant::now());
    }

    /// Events handled per second, from its beginning until now or until it was gone.
    pub(super) fn throughput(&self) -> f64 {
        let until = self.gone.get().copied().unwrap_or_else(Instant::now);
        per_second(self.handled.load(Relaxed), until.saturating_duration_since(self.begun))
    }

    pub(super) fn failed(&self, failure: &Failure) {
        self.errors.fetch_add(1, Relaxed);
        match failure {
            Failure::Panicked(_) => self.panics.fetch_add(1, Relaxed),
            Failure::TimedOut(_) => self.timeouts.fetch_add(1, Relaxed),
            Failure::Failed(_) | Failure::Stopped => 0,
        };
    }
}

/// A rate; what took no time that can be measured took a microsecond.
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mean_is_of_what_was_added_and_a_rate_of_the_time_it_took() {
        let times = Times::default();
        assert_eq!(times.mean(), None);
        [1, 2, 9].into_iter().for_each(|n| times.add(Duration::from_millis(n)));
        assert_eq!(times.mean(), Some(Duration::from_millis(4)));
        assert_eq!(per_second(30, Duration::from_secs(4)), 7.5);
        assert_eq!(per_second(0, Duration::ZERO), 0.0);
        let metrics = Metrics::default();
        metrics.handled.fetch_add(5, Relaxed);
        metrics.gone();
        let rate = metrics.throughput();
        assert!(rate > 0.0 && rate == metrics.throughput(), "what is gone gets no slower");
    }

    #[test]
    fn quantiles_are_of_what_was_added() {
        let times = Times::default();
        assert_eq!(times.quantile(0.5), None);
        (1..=1_000).for_each(|n| times.add(Duration::from_micros(n)));
        let (half, most) = (times.quantile(0.5).unwrap(), times.quantile(0.99).unwrap());
        assert!((500..=512).contains(&half.as_micros()), "{half:?}");
        assert!((990..=1_088).contains(&most.as_micros()), "{most:?}");
    }

    proptest! {
        #[test]
        fn a_bucket_is_no_more_than_an_eighth_wide(micros in 0u64..1 << 39) {
            let top = Times::top(Times::bucket(micros));
            prop_assert!(top >= micros && top - micros <= micros / 8);
        }

        #[test]
        fn no_time_is_lost(micros: u64) {
            let times = Times::default();
            times.add(Duration::from_micros(micros));
            prop_assert!(times.quantile(1.0).is_some());
        }
    }
}
