//! How often something is delivered, and how long that may take.

use std::time::Duration;

use super::rules::Rules;
use crate::event::Invalid;
use crate::limits::{DEFAULT_DEADLINE_S, DEFAULT_DELIVERIES, MAX_DELAY_S, MAX_DELIVERIES};
use crate::sync::time::micros;

/// What is set for a consumer and for a handler alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DeliverySettings {
    /// How long one delivery may take.
    pub(crate) deadline: Duration,
    /// How often an event is delivered before it becomes a dead letter.
    pub(crate) max_deliveries: u32,
    /// The backoff after the first failure, which doubles with each …
    pub(crate) backoff: Duration,
    /// … up to this.
    pub(crate) max_backoff: Duration,
    /// The fraction of a backoff that may be left out at random, from 0 to 1.
    pub(crate) jitter: f64,
}

impl DeliverySettings {
    /// What a consumer has when nothing is said.
    pub(crate) fn of_consumer() -> Self {
        Self {
            deadline: Duration::from_secs(DEFAULT_DEADLINE_S),
            max_deliveries: DEFAULT_DELIVERIES,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            jitter: 0.0,
        }
    }

    /// What a handler has when nothing is said: whatever it does, it does in this process.
    pub(crate) fn of_handler() -> Self {
        Self {
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            jitter: 0.5,
            ..Self::of_consumer()
        }
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let no = |field, reason: String| Err(Invalid::new(field, reason));
        let longest = Duration::from_secs(MAX_DELAY_S);
        if !(Duration::from_millis(1)..=longest).contains(&self.deadline) {
            return no("deadline", format!("of {:?} is not between a millisecond and a week", self.deadline));
        }
        if !(1..=MAX_DELIVERIES).contains(&self.max_deliveries) {
            return no(
                "max_deliveries",
                format!("is {}; it has to be 1 to {MAX_DELIVERIES}", self.max_deliveries),
            );
        }
        if self.max_backoff > longest || self.backoff > self.max_backoff {
            let (first, most) = (self.backoff, self.max_backoff);
            return no(
                "backoff",
                format!(
                    "is from {first:?} to {most:?}; the first must not exceed the longest, and the longest must not exceed a week"
                ),
            );
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return no("jitter", format!("is {}; it has to be from 0 to 1", self.jitter));
        }
        Ok(())
    }

    /// The same for the machine, with these bounds of what is delivered and what is unresolved at once.
    pub(crate) fn rules(&self, max_in_flight: usize, max_open: usize) -> Rules {
        Rules {
            deadline: micros(self.deadline),
            max_deliveries: self.max_deliveries,
            max_in_flight,
            max_open,
            backoff: micros(self.backoff),
            max_backoff: micros(self.max_backoff),
            jitter: self.jitter,
            longest: micros(Duration::from_secs(MAX_DELAY_S)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_are_refused_with_their_name() {
        let good = DeliverySettings::of_handler();
        let backoff = |backoff, max_backoff| DeliverySettings { backoff, max_backoff, ..good };
        let week = Duration::from_secs(MAX_DELAY_S);
        for (bad, field) in [
            (DeliverySettings { deadline: Duration::from_micros(999), ..good }, "deadline"),
            (DeliverySettings { deadline: week + Duration::from_micros(1), ..good }, "deadline"),
            (DeliverySettings { max_deliveries: 0, ..good }, "max_deliveries"),
            (DeliverySettings { max_deliveries: MAX_DELIVERIES + 1, ..good }, "max_deliveries"),
            (backoff(Duration::from_secs(2), Duration::from_secs(1)), "backoff"),
            (backoff(Duration::ZERO, Duration::MAX), "backoff"),
            (DeliverySettings { jitter: 1.5, ..good }, "jitter"),
            (DeliverySettings { jitter: f64::NAN, ..good }, "jitter"),
        ] {
            assert_eq!(bad.check().unwrap_err().field, field);
        }
        for good in [good, DeliverySettings::of_consumer(), backoff(Duration::ZERO, week)] {
            good.check().unwrap();
        }
    }
}
