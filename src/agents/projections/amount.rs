//! The amounts of one measure.

use serde::{Deserialize, Serialize};

use super::stamp;
use crate::event::Timestamp;

/// The amounts of one measure. For a gauge these are its readings; for a counter, what each event added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Amount {
    /// The last amount.
    pub last: f64,
    /// The largest amount.
    pub peak: f64,
    /// The mean amount.
    pub mean: f64,
    /// The sum: what was used, for tokens, calls, bytes and money.
    pub sum: f64,
    /// The number of amounts.
    pub count: u64,
    /// When the last amount was reported.
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

    /// What was added after an earlier moment. The peak is that of the whole time.
    pub(super) fn without(&self, before: Option<&Self>) -> Self {
        let (sum, count) = before.map_or((0.0, 0), |before| (before.sum, before.count));
        Self { sum: self.sum - sum, count: self.count.saturating_sub(count), ..self.clone() }
    }

    /// Adds the amounts of another branch.
    pub(super) fn join(&mut self, other: &Self) {
        self.peak = if self.count == 0 { other.peak } else { self.peak.max(other.peak) };
        if self.count == 0 || other.time >= self.time {
            (self.last, self.time) = (other.last, other.time);
        }
        self.count += other.count;
        self.correct(other.sum);
    }

    /// Adds something to the sum that is not an amount of its own, as when a total is set lower.
    pub(super) fn correct(&mut self, by: f64) {
        // JSON has no infinity, and a state must survive JSON.
        self.sum = (self.sum + by).clamp(f64::MIN, f64::MAX);
        self.mean = self.sum / (self.count.max(1) as f64);
    }
}
