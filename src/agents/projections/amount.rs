//! What came together of one measure.

use serde::{Deserialize, Serialize};

use super::stamp;
use crate::event::Timestamp;

/// Amounts of one measure. A gauge's amounts are its readings; those of a counter are what each event added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Amount {
    /// The last amount.
    pub last: f64,
    /// The largest.
    pub peak: f64,
    /// The mean of all.
    pub mean: f64,
    /// All together: what was used, for tokens, calls, bytes and money.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// When the last event said something.
    #[serde(with = "stamp")]
    pub time: Timestamp,
}

impl Amount {
    pub(super) fn add(&mut self, amount: f64, time: Timestamp) {
        self.peak = if self.count == 0 { amount } else { self.peak.max(amount) };
        (self.last, self.time) = (amount, time);
        self.count += 1;
        self.correct(amount);
    }

    /// Adds to the sum what is no amount of its own, as when a total is set lower.
    pub(super) fn correct(&mut self, by: f64) {
        // JSON has no infinity, and a state has to come back.
        self.sum = (self.sum + by).clamp(f64::MIN, f64::MAX);
        self.mean = self.sum / (self.count.max(1) as f64);
    }
}
