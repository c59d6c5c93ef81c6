//! The phases of the session and of everything in it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::life::{Life, Report};
use super::roles::{About, RoleReading, Roles, SESSION};
use super::stamp;
use super::step::PhaseStep;
use crate::event::{Catalogue, Event, Phase, Role, Timestamp};
use crate::limits::{LIFE_ANOMALIES, LIFE_ENDED, LIFE_ENTITIES, LIFE_SESSION_TRANSITIONS, LIFE_TRANSITIONS};
use crate::project::{ApplyError, Projection};

/// Folds the phases that events report, by the roles of a catalogue: of each entity, and of the session.
///
/// ```
/// use retold::event::{Catalogue, Phase};
/// use retold::agents::projections::Lifecycle;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let lives = store.project(Lifecycle::new(Catalogue::builtin()))?;
/// let stop = NewEvent::new("run.terminated").data(serde_json::json!({"reason": "too slow"}));
/// store.append("run-7", [NewEvent::new("run.started"), stop])?;
/// let session = lives.state("run-7")?.session;
/// assert_eq!((session.phase, session.reason.as_deref()), (Some(Phase::Stopped), Some("too slow")));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<Roles>);

/// What [`Lifecycle`] knows about a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lives {
    /// The session as a whole, from what the entities that stand for it report. While one of them is active, the end
    /// of another is not the end of the session.
    pub session: Life,
    /// Lives by kind and id. The last [`LIFE_ENDED`] of those that have ended are kept, and [`LIFE_ENTITIES`] in all.
    pub entities: BTreeMap<String, BTreeMap<String, Life>>,
    /// All entities that ever existed, by kind, whether their lives are kept or not.
    pub kinds: BTreeMap<String, Tally>,
    /// Lives that are no longer kept. One that is reported again starts over, and is counted again.
    pub forgotten: u64,
    /// Reports that were impossible.
    pub odd: u64,
    /// The latest of them.
    pub anomalies: VecDeque<Anomaly>,
}

/// The entities of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tally {
    /// The number of entities.
    pub lives: u64,
    /// The number of entities in each phase.
    pub phases: BTreeMap<Phase, u64>,
    /// How often one began again after it had ended.
    pub restarts: u64,
    /// How often one failed, restarts included.
    pub failures: u64,
    /// How often one completed.
    pub completions: u64,
    /// Microseconds from beginning to completion, summed over all of them.
    pub completion_us: u64,
    /// The quickest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quickest_us: Option<u64>,
    /// The slowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_us: Option<u64>,
}

/// A report of a phase that was impossible in the entity's phase. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Anomaly {
    /// The event's address.
    pub at: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    #[serde(with = "stamp")]
    pub time: Timestamp,
    /// The entity's kind.
    pub entity: String,
    /// The entity's id.
    pub id: String,
    /// The phase it was in.
    pub from: Phase,
    /// The reported phase.
    pub to: Phase,
    /// Why that is impossible.
    pub why: String,
}

impl Lifecycle {
    /// With the roles of this catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self(Roles::new(catalogue))
    }

    pub(super) fn with(roles: Arc<Roles>) -> Self {
        Self(roles)
    }
}

impl Projection for Lifecycle {
    type State = Lives;

    fn name(&self) -> &str {
        "lifecycle"
    }

    fn version(&self) -> u32 {
        2
    }

    fn shape(&self) -> u64 {
        self.0.shape()
    }

    fn apply(&self, lives: &mut Lives, event: &Event) -> Result<(), ApplyError> {
        let Some(role_reading) = self.0.read(event, Role::has_phase) else { return Ok(()) };
        if let Some(report) = Report::of(event, &role_reading) {
            lives.take(event, &role_reading, &report);
        }
        Ok(())
    }
}

impl Lives {
    fn take(&mut self, event: &Event, role_reading: &RoleReading, report: &Report) {
        let About { kind, id, whole } = &role_reading.about;
        if kind == SESSION && id.is_empty() {
            let from = self.session.phase;
            // A session that closes after its run has failed stays failed, which is normal.
            let closes = self.session.has_ended() && report.phase.is_final();
            if self.session.take(report, LIFE_SESSION_TRANSITIONS) == PhaseStep::Odd && !closes {
                self.note(event, role_reading, from, report);
            }
            return;
        }
        let known = self.entities.entry(kind.clone()).or_default();
        let is_new = !known.contains_key(id);
        let life = known.entry(id.clone()).or_default();
        life.whole = *whole;
        let from = life.phase;
        let step = life.take(report, LIFE_TRANSITIONS);
        let took = life.completed_after_us;
        match step {
            PhaseStep::Odd => self.note(event, role_reading, from, report),
            _ => self.kinds.entry(kind.clone()).or_default().count(from, report.phase, step, took),
        }
        // Cleaning up after one that had ended says nothing new about the session.
        let cleans_up = report.phase == Phase::Deleted && from.is_some_and(Phase::is_final);
        let follows = *whole && step != PhaseStep::Odd && !cleans_up;
        if follows && !(report.phase.is_final() && self.is_another_at_work(kind, id)) {
            self.session.take(report, LIFE_SESSION_TRANSITIONS);
        }
        if is_new || report.phase.is_final() {
            self.forget();
        }
    }

    /// Whether another entity that stands for the session has not ended.
    fn is_another_at_work(&self, kind: &str, id: &str) -> bool {
        let mut all = self.entities.iter().flat_map(|(k, of)| of.iter().map(move |(i, life)| (k, i, life)));
        all.any(|(k, i, life)| life.whole && !life.has_ended() && (k.as_str(), i.as_str()) != (kind, id))
    }

    fn note(&mut self, event: &Event, role_reading: &RoleReading, from: Option<Phase>, report: &Report) {
        let Some(from) = from else { return };
        self.odd += 1;
        if self.anomalies.len() >= LIFE_ANOMALIES {
            self.anomalies.pop_front();
        }
        let why = match from.is_final() {
            true => format!("it had already ended as {from} and was not restarted"),
            false => format!("it was already {from}, so it cannot become {}", report.phase),
        };
        self.anomalies.push_back(Anomaly {
            at: event.address().to_string(),
            kind: event.kind().to_owned(),
            time: report.time,
            entity: role_reading.about.kind.clone(),
            id: role_reading.about.id.clone(),
            from,
            to: report.phase,
            why,
        });
    }

    /// Drops the lives that exceed the bounds.
    fn forget(&mut self) {
        let all =
            || self.entities.iter().flat_map(|(kind, of)| of.iter().map(move |(id, life)| (kind, id, life)));
        let (kept, ended) = all()
            .fold((0, 0), |(kept, ended), (_, _, life)| (kept + 1, ended + usize::from(life.has_ended())));
        if kept <= LIFE_ENTITIES && ended <= LIFE_ENDED {
            return;
        }
        let oldest = all().filter(|(_, _, life)| ended <= LIFE_ENDED || life.has_ended());
        let Some((kind, id)) =
            oldest.min_by_key(|(_, _, life)| life.sequence).map(|(k, i, _)| (k.clone(), i.clone()))
        else {
            return;
        };
        if let Some(of) = self.entities.get_mut(&kind) {
            of.remove(&id);
            if of.is_empty() {
                self.entities.remove(&kind);
            }
        }
        self.forgotten += 1;
    }
}

impl Tally {
    fn count(&mut self, from: Option<Phase>, to: Phase, step: PhaseStep, took: Option<u64>) {
        if step == PhaseStep::Same {
            return;
        }
        match from {
            Some(from) => {
                if let Some(n) = self.phases.get_mut(&from) {
                    *n = n.saturating_sub(1);
                }
                self.phases.retain(|_, n| *n > 0);
            }
            None => self.lives += 1,
        }
        *self.phases.entry(to).or_default() += 1;
        self.restarts += u64::from(step == PhaseStep::Again);
        self.failures += u64::from(to == Phase::Failed);
        if let (Phase::Completed, Some(took)) = (to, took) {
            self.completions += 1;
            self.completion_us = self.completion_us.saturating_add(took);
            self.quickest_us = Some(self.quickest_us.map_or(took, |q| q.min(took)));
            self.slowest_us = Some(self.slowest_us.map_or(took, |s| s.max(took)));
        }
    }

    /// The mean time from beginning to completion, in microseconds.
    #[must_use]
    pub fn mean_completion_us(&self) -> Option<u64> {
        self.completion_us.checked_div(self.completions)
    }
}
