//! The progress of one thing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::roles::clip;
use super::stamp;
use crate::event::{Phase, ProgressReading, Timestamp};
use crate::limits::PROGRESS_MILESTONES;

/// The progress of an entity, or of the session as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Track {
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The largest fraction, 0 to 1, reported since it began (again).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// How many are done, if that was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<f64>,
    /// Out of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// The current stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What is being done, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The number of milestones that were reached.
    pub reached: u64,
    /// The latest of them.
    pub milestones: VecDeque<Milestone>,
    /// The mean rate since it began (again), as a fraction per second; `None` while it did not advance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Microseconds from `updated` to its end, at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_us: Option<u64>,
    /// How often less was reported than before, without a restart. The larger fraction stays.
    pub setbacks: u64,
    /// How often it began again.
    pub restarts: u64,
    /// When it began (again); if nothing said so, when something was first reported about it.
    #[serde(with = "stamp")]
    pub began: Timestamp,
    /// When something was last reported about it.
    #[serde(with = "stamp")]
    pub updated: Timestamp,
    /// The sequence of that event.
    pub sequence: u64,
    /// The fraction at its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
}

/// A milestone that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Milestone {
    /// Its name.
    pub name: String,
    /// When.
    #[serde(with = "stamp")]
    pub time: Timestamp,
    /// The sequence of the event.
    pub sequence: u64,
}

impl Track {
    pub(super) fn new(time: Timestamp) -> Self {
        Self { began: time, updated: time, ..Self::default() }
    }

    /// Whether no event has reported how far it is.
    pub(super) fn is_silent(&self) -> bool {
        self.fraction.is_none() && self.stage.is_none() && self.reached == 0 && self.description.is_none()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase.is_some_and(Phase::is_final)
    }

    /// Enters a phase. What begins again has no progress; what is completed has all of it.
    pub(super) fn enter(&mut self, phase: Phase, time: Timestamp, sequence: u64) {
        let had_ended = self.has_ended();
        let begins = matches!(phase, Phase::Created | Phase::Running);
        if had_ended && begins {
            let (name, restarts) = (self.name.take(), self.restarts + 1);
            *self = Self { name, restarts, ..Self::new(time) };
        }
        // What has ended must begin before it can end again.
        if had_ended && !begins {
            return;
        }
        (self.phase, self.sequence) = (Some(phase), sequence);
        if phase == Phase::Completed && !self.is_silent() {
            self.advance(1.0, time);
        }
        if phase.is_final() {
            self.left_us = None;
        }
    }

    /// Applies a report.
    pub(super) fn report(&mut self, reading: ProgressReading, time: Timestamp, sequence: u64) {
        self.sequence = sequence;
        self.done = reading.done.or(self.done);
        self.total = reading.total.or(self.total);
        self.stage = reading.stage.map(clip).or_else(|| self.stage.take());
        self.description = reading.description.map(clip).or_else(|| self.description.take());
        if let Some(name) = reading.milestone {
            self.reached += 1;
            if self.milestones.len() >= PROGRESS_MILESTONES {
                self.milestones.pop_front();
            }
            self.milestones.push_back(Milestone { name: clip(name), time, sequence });
        }
        match reading.fraction {
            Some(fraction) => self.advance(fraction, time),
            None => self.updated = self.updated.max(time),
        }
    }

    fn advance(&mut self, fraction: f64, time: Timestamp) {
        let before = self.fraction.unwrap_or_default();
        if fraction < before {
            self.setbacks += 1;
        }
        let fraction = fraction.max(before);
        // What began with its first report may have made some progress before it.
        let from = *self.from.get_or_insert(if self.began < time { 0.0 } else { fraction });
        self.fraction = Some(fraction);
        self.updated = self.updated.max(time);
        let seconds = stamp::between(self.began, self.updated) as f64 / 1e6;
        self.rate = Some((fraction - from) / seconds).filter(|rate| rate.is_finite() && *rate > 0.0);
        self.left_us = match self.rate {
            _ if fraction >= 1.0 || self.has_ended() => None,
            Some(rate) => Some(((1.0 - fraction) / rate * 1e6) as u64),
            None => None,
        };
    }

    /// Microseconds that are left, at a moment after the last report.
    #[must_use]
    pub fn left_at(&self, now: Timestamp) -> Option<u64> {
        Some(self.left_us?.saturating_sub(stamp::between(self.updated, now)))
    }
}
