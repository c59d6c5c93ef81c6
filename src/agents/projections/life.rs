//! One life: the phases that something went through, when, by whom and why.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::roles::{RoleReading, clip};
use super::stamp;
use super::step::{PhaseStep, step};
use crate::event::{Event, Phase, Timestamp};

/// The life of an entity, or of the session as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Life {
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it stands for the session, so that what happens to it happens to the session too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Its phase; `None` before any lifecycle event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// When it entered the phase.
    #[serde(with = "stamp")]
    pub since: Timestamp,
    /// The sequence of the event that reported the phase.
    pub sequence: u64,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in the words of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it last began.
    #[serde(with = "stamp")]
    pub began: Timestamp,
    /// From then to its completion, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_after_us: Option<u64>,
    /// How often it began again after it had ended.
    pub restarts: u64,
    /// How often it failed.
    pub failures: u64,
    /// Microseconds in each phase that it has left, over all visits. The current phase counts from `since`.
    pub spent_us: BTreeMap<Phase, u64>,
    /// The number of changes of phase.
    pub changes: u64,
    /// The latest changes.
    pub transitions: VecDeque<Transition>,
}

/// A change of phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transition {
    /// The new phase.
    pub to: Phase,
    /// When.
    #[serde(with = "stamp")]
    pub time: Timestamp,
    /// The sequence of the event.
    pub sequence: u64,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What went wrong, or why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What an event reports about a phase.
pub(super) struct Report {
    pub(super) phase: Phase,
    pub(super) time: Timestamp,
    pub(super) sequence: u64,
    name: Option<String>,
    by: Option<String>,
    reason: Option<String>,
    error: Option<String>,
}

impl Report {
    pub(super) fn of(event: &Event, role_reading: &RoleReading) -> Option<Self> {
        let (role, data) = (&role_reading.role, &role_reading.data);
        let by = role.by.text(data).or_else(|| event.actor().map(str::to_owned));
        Some(Self {
            phase: role.phase(data)?,
            time: event.occurred(),
            sequence: event.sequence().get(),
            name: role.entity.as_ref().and_then(|e| e.name(data)).map(clip),
            by: by.map(clip),
            reason: role.reason.text(data).map(clip),
            error: role.error.text(data).map(clip),
        })
    }

    /// What went wrong, or why.
    pub(super) fn why(&self) -> Option<String> {
        self.error.clone().or_else(|| self.reason.clone())
    }
}

impl Life {
    /// Applies a report. An impossible one changes nothing, and the result says so.
    pub(super) fn take(&mut self, report: &Report, kept: usize) -> PhaseStep {
        let step = step(self.phase, report.phase);
        if step == PhaseStep::Odd {
            return step;
        }
        if report.name.is_some() {
            self.name.clone_from(&report.name);
        }
        if step == PhaseStep::Same {
            // A second report may have what the first one lacks.
            self.by = self.by.take().or_else(|| report.by.clone());
            self.reason = self.reason.take().or_else(|| report.reason.clone());
            self.error = self.error.take().or_else(|| report.error.clone());
            return step;
        }
        match self.phase {
            Some(from) => {
                let spent = self.spent_us.entry(from).or_default();
                *spent = spent.saturating_add(stamp::between(self.since, report.time));
            }
            None => self.began = report.time,
        }
        if step == PhaseStep::Again {
            self.restarts += 1;
            (self.began, self.completed_after_us) = (report.time, None);
        }
        match report.phase {
            Phase::Failed => self.failures += 1,
            Phase::Completed => self.completed_after_us = Some(stamp::between(self.began, report.time)),
            _ => {}
        }
        (self.phase, self.since, self.sequence) = (Some(report.phase), report.time, report.sequence);
        self.by.clone_from(&report.by);
        self.reason.clone_from(&report.reason);
        self.error.clone_from(&report.error);
        self.changes += 1;
        if self.transitions.len() >= kept {
            self.transitions.pop_front();
        }
        let by = report.by.clone();
        let (to, time, sequence) = (report.phase, report.time, report.sequence);
        self.transitions.push_back(Transition { to, time, sequence, by, why: report.why() });
        step
    }

    /// Whether nothing more is expected of it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.phase.is_some_and(Phase::is_final)
    }

    /// Microseconds in a phase up to a moment, including the current visit.
    #[must_use]
    pub fn spent(&self, phase: Phase, now: Timestamp) -> u64 {
        let left = self.spent_us.get(&phase).copied().unwrap_or_default();
        left.saturating_add(if self.phase == Some(phase) { stamp::between(self.since, now) } else { 0 })
    }
}
