//! The settings of the machine, as plain numbers.

/// Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// After this time a delivery that is not resolved is late.
    pub(crate) deadline: i64,
    pub(crate) max_deliveries: u32,
    pub(crate) max_in_flight: usize,
    /// Events that are delivered, or wait after a failure, at the most.
    pub(crate) max_open: usize,
    pub(crate) backoff: i64,
    pub(crate) max_backoff: i64,
    /// The part of a backoff that may be left out, from 0 to 1.
    pub(crate) jitter: f64,
    /// The maximum delay.
    pub(crate) longest: i64,
}

/// A time that never comes.
pub(crate) const NEVER: i64 = i64::MAX;

/// When an event that failed is delivered again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delay {
    /// After this time.
    For(i64),
    /// After the backoff, with a random number from 0 up to 1.
    Backoff(f64),
}

impl Rules {
    pub(super) fn delay(&self, delay: Delay, deliveries: u32) -> i64 {
        let delay = match delay {
            Delay::For(time) => time,
            Delay::Backoff(chance) => self.backoff_after(deliveries, chance),
        };
        delay.clamp(0, self.longest)
    }

    /// The backoff doubles with each delivery.
    fn backoff_after(&self, deliveries: u32, chance: f64) -> i64 {
        let doubled = 1_i64.checked_shl(deliveries.saturating_sub(1)).filter(|n| *n > 0).unwrap_or(i64::MAX);
        let most = self.backoff.saturating_mul(doubled).min(self.max_backoff);
        let part = (1.0 - self.jitter * chance).clamp(0.0, 1.0);
        if part < 1.0 { (most as f64 * part) as i64 } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        deadline: NEVER,
        max_deliveries: 9,
        max_in_flight: 1,
        max_open: 1,
        backoff: 100_000,
        max_backoff: 1_000_000,
        jitter: 0.0,
        longest: 2_000_000,
    };

    #[test]
    fn backoffs_double_up_to_the_longest() {
        let backoffs: Vec<i64> = (1..=6).map(|n| RULES.delay(Delay::Backoff(0.9), n) / 1_000).collect();
        assert_eq!(backoffs, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(RULES.delay(Delay::Backoff(0.9), u32::MAX), 1_000_000);
        assert_eq!([-1, 7, i64::MAX].map(|time| RULES.delay(Delay::For(time), 3)), [0, 7, 2_000_000]);
    }

    proptest! {
        #[test]
        fn chance_takes_no_more_than_its_part(
            deliveries in 1u32..u32::MAX, jitter in 0.0..=1.0f64, chance in 0.0..1.0f64,
        ) {
            let rules = Rules { jitter, ..RULES };
            let (most, some) = (RULES.delay(Delay::Backoff(0.0), deliveries), rules.delay(Delay::Backoff(chance), deliveries));
            prop_assert!(some <= most && most <= rules.max_backoff);
            prop_assert!(some as f64 >= most as f64 * (1.0 - jitter) - 1.0);
        }
    }
}
