//! The progress of the session and of everything in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::roles::{About, RoleReading, Roles, SESSION};
use super::track::Track;
use crate::event::{Catalogue, Event, Phase, ProgressReading as Report, Role};
use crate::limits::PROGRESS_ENTITIES;
use crate::project::{ApplyError, Projection};

/// Folds the progress that events report, by the roles of a catalogue: of each entity, and of the session.
///
/// ```
/// use retold::event::Catalogue;
/// use retold::agents::projections::Progress;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let progress = store.project(Progress::new(Catalogue::builtin()))?;
/// let step = |percent: f64| NewEvent::new("run.progress").data(serde_json::json!({"progress": percent}));
/// store.append("run-7", [step(40.0), step(30.0)])?;
/// let session = progress.state("run-7")?.session.unwrap();
/// assert_eq!((session.fraction, session.setbacks), (Some(0.4), 1));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Progress(Arc<Roles>);

/// What [`Progress`] knows about a branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tracks {
    /// The session as a whole, from what the entities that stand for it report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Track>,
    /// By kind and id: the [`PROGRESS_ENTITIES`] that reported last.
    pub entities: BTreeMap<String, BTreeMap<String, Track>>,
    /// Entities that reported something and are no longer kept.
    pub forgotten: u64,
}

impl Progress {
    /// With the roles of this catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self(Roles::new(catalogue))
    }

    pub(super) fn with(roles: Arc<Roles>) -> Self {
        Self(roles)
    }

    fn may_advance(&self, role: &Role) -> bool {
        role.entity.as_ref().is_none_or(|e| e.whole || self.0.tells_progress(&e.kind))
    }
}

impl Projection for Progress {
    type State = Tracks;

    fn name(&self) -> &str {
        "progress"
    }

    fn shape(&self) -> u64 {
        self.0.shape()
    }

    fn apply(&self, tracks: &mut Tracks, event: &Event) -> Result<(), ApplyError> {
        let asked = |role: &Role| role.progress.is_some() || (role.has_phase() && self.may_advance(role));
        let Some(role_reading) = self.0.read(event, asked) else { return Ok(()) };
        let report =
            role_reading.role.progress.as_ref().map(|p| p.read(&role_reading.data)).filter(says_something);
        let phase = role_reading.role.phase(&role_reading.data);
        if report.is_some() || phase.is_some() {
            tracks.take(event, &role_reading, report, phase);
        }
        Ok(())
    }
}

fn says_something(report: &Report) -> bool {
    *report != Report::default()
}

impl Tracks {
    fn take(
        &mut self,
        event: &Event,
        role_reading: &RoleReading,
        report: Option<Report>,
        phase: Option<Phase>,
    ) {
        let (time, sequence) = (event.occurred(), event.sequence().get());
        let About { kind, id, whole } = &role_reading.about;
        let name = role_reading
            .role
            .entity
            .as_ref()
            .and_then(|e| e.name(&role_reading.data))
            .map(super::roles::clip);
        let fold = |track: &mut Track| {
            if name.is_some() {
                track.name.clone_from(&name);
            }
            if let Some(phase) = phase {
                track.enter(phase, time, sequence);
            }
            if let Some(report) = report.clone() {
                track.report(report, time, sequence);
            }
        };
        if *whole {
            fold(self.session.get_or_insert_with(|| Track::new(time)));
        }
        if kind == SESSION && id.is_empty() {
            return;
        }
        let of = self.entities.entry(kind.clone()).or_default();
        let track = of.entry(id.clone()).or_insert_with(|| Track::new(time));
        fold(track);
        // One that ends without having reported progress has nothing to show.
        if track.has_ended() && track.is_silent() {
            of.remove(id);
        }
        self.entities.retain(|_, of| !of.is_empty());
        self.forget();
    }

    /// Drops the entity that has not reported for longest, ended ones first.
    fn forget(&mut self) {
        if self.entities.values().map(BTreeMap::len).sum::<usize>() <= PROGRESS_ENTITIES {
            return;
        }
        let all =
            self.entities.iter().flat_map(|(kind, of)| of.iter().map(move |(id, track)| (kind, id, track)));
        let oldest = all.min_by_key(|(_, _, track)| (!track.has_ended(), track.sequence));
        let Some((kind, id)) = oldest.map(|(kind, id, _)| (kind.clone(), id.clone())) else { return };
        let gone = self.entities.get_mut(&kind).and_then(|of| of.remove(&id));
        self.forgotten += u64::from(gone.is_some_and(|track| !track.is_silent()));
        self.entities.retain(|_, of| !of.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{self, at, recorded};
    use super::*;
    use crate::event::{NewEvent, Timestamp};

    fn folded(events: Vec<NewEvent>) -> Tracks {
        testing::folded(Progress::new(Catalogue::builtin()), events)
    }

    fn run(second: i64, kind: &'static str, percent: f64) -> NewEvent {
        at(second, kind, json!({"run_id": "r", "progress": percent}))
    }

    #[test]
    fn the_rate_since_the_start_gives_the_time_that_is_left() {
        let tracks =
            folded(vec![at(0, "run.started", json!({"run_id": "r"})), run(10, "run.progress", 20.0)]);
        let session = tracks.session.unwrap();
        assert_eq!(
            (session.fraction, session.rate, session.left_us),
            (Some(0.2), Some(0.02), Some(40_000_000))
        );
        assert_eq!(session.left_at(Timestamp::from_micros(25_000_000)), Some(25_000_000));
        assert_eq!(session.left_at(Timestamp::from_micros(99_000_000)), Some(0));
        assert_eq!(tracks.entities["run"]["r"].fraction, Some(0.2));
    }

    #[test]
    fn without_a_known_start_the_first_report_is_it() {
        let tracks = folded(vec![run(100, "run.progress", 50.0)]);
        assert_eq!(tracks.session.as_ref().and_then(|s| s.rate), None);
        let tracks = folded(vec![run(100, "run.progress", 50.0), run(110, "run.progress", 60.0)]);
        let session = tracks.session.unwrap();
        assert!((session.rate.unwrap() - 0.01).abs() < 1e-9);
        assert!(session.left_us.unwrap().abs_diff(40_000_000) < 10);
    }

    #[test]
    fn it_only_advances_unless_it_begins_again() {
        let mut events =
            vec![run(0, "run.started", 0.0), run(5, "run.progress", 60.0), run(6, "run.progress", 30.0)];
        let session = folded(events.clone()).session.unwrap();
        assert_eq!((session.fraction, session.setbacks, session.restarts), (Some(0.6), 1, 0));
        events.extend([
            run(7, "run.failed", 0.0),
            run(20, "run.started", 0.0),
            run(30, "run.progress", 10.0),
        ]);
        let session = folded(events).session.unwrap();
        assert_eq!((session.fraction, session.setbacks, session.restarts), (Some(0.1), 0, 1));
        assert_eq!(session.left_us, Some(90_000_000));
    }

    #[test]
    fn what_is_completed_is_done_and_what_fails_stays_where_it_was() {
        let begin = [run(0, "run.started", 0.0), run(5, "run.progress", 60.0)];
        for (kind, fraction) in [("run.completed", 1.0), ("run.failed", 0.6)] {
            let events = begin.iter().cloned().chain([run(9, kind, 0.0)]).collect();
            let session = folded(events).session.unwrap();
            assert_eq!((session.fraction, session.left_us), (Some(fraction), None), "{kind}");
        }
    }

    #[test]
    fn stages_and_milestones_are_kept_and_counts_make_a_fraction() {
        let task = |second, data| at(second, "task.progress", data);
        let tracks = folded(vec![
            task(1, json!({"task_id": "t", "done": 1, "total": 4, "stage": "tests"})),
            at(2, "coder.milestone", json!({"milestone": "green"})),
            at(3, "tool.invoked", json!({"call_id": "silent"})),
            at(4, "tool.completed", json!({"call_id": "silent"})),
        ]);
        let track = &tracks.entities["task"]["t"];
        assert_eq!((track.fraction, track.stage.as_deref()), (Some(0.25), Some("tests")));
        assert_eq!((track.done, track.total), (Some(1.0), Some(4.0)));
        let session = tracks.session.unwrap();
        assert_eq!((session.reached, session.milestones[0].name.as_str()), (1, "green"));
        assert!(!tracks.entities.contains_key("tool"));
    }

    #[test]
    fn a_bounded_number_is_kept() {
        let (progress, mut tracks) = (Progress::new(Catalogue::builtin()), Tracks::default());
        for n in 1..=1_000 {
            let data = json!({"task_id": format!("t-{n}"), "progress": 10, "milestone": "m"});
            let event = NewEvent::new("task.progress").data(data);
            progress.apply(&mut tracks, &recorded(&format!("s@{n}"), &event)).unwrap();
        }
        assert_eq!(tracks.entities["task"].len(), PROGRESS_ENTITIES);
        assert_eq!(tracks.forgotten, 1_000 - PROGRESS_ENTITIES as u64);
    }
}
