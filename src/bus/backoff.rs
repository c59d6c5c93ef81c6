use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::event::Invalid;
use crate::limits::{MAX_BUS_ATTEMPTS, MAX_BUS_BACKOFF_MS};

/// How often a handler is called for one event, and how long it pauses in between. The backoff doubles from `first` up
/// to `longest`. `jitter`, from 0 to 1, is the fraction of it that may be randomly removed, so that handlers that
/// failed together do not retry together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    attempts: u32,
    first: Duration,
    longest: Duration,
    jitter: f64,
}

impl Default for Retry {
    /// Five calls, with a backoff from 100 ms to 30 s and a jitter of a half.
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(100), longest: Duration::from_secs(30), jitter: 0.5 }
    }
}

impl Retry {
    /// The number of calls for one event, including the first.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// One call, then the event is a dead letter.
    #[must_use]
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// The first and the longest backoff.
    #[must_use]
    pub fn rest(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// The fraction of a backoff that may be randomly removed, from 0 to 1.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = part;
        self
    }

    pub(super) fn calls(&self) -> u32 {
        self.attempts
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let bad = |reason: String| Err(Invalid::new("retry", reason));
        if !(1..=MAX_BUS_ATTEMPTS).contains(&self.attempts) {
            return bad(format!("has {} calls; it has to be 1 to {MAX_BUS_ATTEMPTS}", self.attempts));
        }
        if self.longest > Duration::from_millis(MAX_BUS_BACKOFF_MS) || self.first > self.longest {
            return bad(format!(
                "has a backoff from {:?} to {:?}; the first must not exceed the longest, and the longest must not exceed {:?}",
                self.first,
                self.longest,
                Duration::from_millis(MAX_BUS_BACKOFF_MS)
            ));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return bad(format!("has the jitter {}; it has to be from 0 to 1", self.jitter));
        }
        Ok(())
    }

    /// The backoff after this many failed attempts, with a random number from 0 up to 1.
    pub(super) fn delay(&self, failed: u32, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32 << failed.saturating_sub(1).min(30));
        let most = doubled.min(self.longest);
        most.mul_f64((1.0 - self.jitter * chance).clamp(0.0, 1.0))
    }
}

/// A pseudo-random number from 0 up to 1; not for secrets.
pub(super) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rests_double_up_to_the_longest() {
        let retry = Retry::attempts(9).rest(Duration::from_millis(100), Duration::from_secs(1)).jitter(0.0);
        let rests: Vec<u128> = (1..=6).map(|n| retry.delay(n, 0.9).as_millis()).collect();
        assert_eq!(rests, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            Retry::attempts(0),
            Retry::attempts(MAX_BUS_ATTEMPTS + 1),
            Retry::default().jitter(1.5),
            Retry::default().jitter(f64::NAN),
            Retry::default().rest(Duration::from_secs(2), Duration::from_secs(1)),
            Retry::default().rest(Duration::ZERO, Duration::MAX),
        ] {
            assert_eq!(bad.check().unwrap_err().field, "retry");
        }
        Retry::default().check().unwrap();
    }

    proptest! {
        #[test]
        fn chance_takes_no_more_than_its_part(failed in 1u32..u32::MAX, jitter in 0.0..=1.0f64) {
            let retry = Retry::default().jitter(jitter);
            let (most, some) = (retry.delay(failed, 0.0), retry.delay(failed, chance()));
            prop_assert!(some <= most && most <= retry.longest);
            prop_assert!(some >= most.mul_f64((1.0 - jitter).max(0.0)).saturating_sub(Duration::from_nanos(2)));
        }
    }
}
