//! A timeline of the entities of a session and their phases.

use serde_json::Value;

use super::lasting::Lasting;
use super::nesting::Nesting;
use crate::event::{Catalogue, Event, Phase, Timestamp};
use crate::limits::MAX_TIMELINE_ROWS;

/// The entities of a branch and their phases over time, folded by the roles of its events.
///
/// Entities are nested: tools in their step, steps in their run. The parent of an entity is, in this order,
/// - the one that a member of an event names: `parent_tool_use_id`, `parent_run_id`, `parent_id` and the like;
/// - the innermost outer one whose id a member has (`step_id` in a call of a tool), or which is the event's correlation;
/// - the one that the causing event is about, or one around it: the first that is of an outer kind and has not ended;
/// - the one open step; if there is none, or more than one, the one open run, and then the session.
///
/// From the outside in, kinds are session; run and workflow; plan; step and task; agent, coder and actor; all others; tool.
/// Only a member that names the parent puts an entity into one of its own kind.
///
/// ```
/// use retold::event::Phase;
/// use retold::project::Timeline;
/// use retold::{Catalogue, NewEvent, Query, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("run.failed")])?;
/// let mut timeline = Timeline::new(Catalogue::builtin().clone());
/// for event in store.events(Query::branch("run-7")?)? {
///     timeline.take(&event?);
/// }
/// let [run] = timeline.entities() else { panic!() };
/// assert_eq!((run.kind.as_str(), run.end()), ("run", Some(Phase::Failed)));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    catalogue: Catalogue,
    entities: Vec<Lasting>,
    nesting: Nesting,
    detail: fn(&str, &Value) -> Option<String>,
    warnings: Vec<Warning>,
    range: Option<(Timestamp, Timestamp)>,
    events: u64,
    left_out: u64,
}

/// An event with an alert role.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Its type.
    pub kind: String,
    /// When it occurred.
    pub at: Timestamp,
}

impl Timeline {
    /// An empty timeline. The catalogue says what events mean.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue,
            entities: Vec::new(),
            nesting: Nesting::default(),
            detail: |_, _| None,
            warnings: Vec::new(),
            range: None,
            events: 0,
            left_out: 0,
        }
    }

    /// Entities get a [detail](Lasting::detail) from this function of their kind and an event's payload; the first that
    /// it finds is kept.
    #[must_use]
    pub fn detailed(self, detail: fn(&str, &Value) -> Option<String>) -> Self {
        Self { detail, ..self }
    }

    /// Adds the next event.
    pub fn take(&mut self, event: &Event) {
        let at = event.occurred();
        self.events += 1;
        let (from, to) = self.range.unwrap_or((at, at));
        self.range = Some((from.min(at), to.max(at)));
        let Some(role) = self.catalogue.role(event.kind()) else {
            self.nesting.pass_on(event);
            return;
        };
        if (role.alert.is_some() || event.kind().starts_with("alert."))
            && self.warnings.len() < MAX_TIMELINE_ROWS
        {
            self.warnings.push(Warning { kind: event.kind().to_owned(), at });
        }
        let Some(entity) = role.entity.as_ref().filter(|_| role.has_phase()) else {
            self.nesting.pass_on(event);
            return;
        };
        let payload = if event.is_json() { event.json().unwrap_or_default() } else { Value::Null };
        let Some(phase) = role.phase(&payload) else {
            self.nesting.pass_on(event);
            return;
        };
        let id = entity.id(&payload, event.correlation());
        let row = match self.nesting.row(&self.entities, &entity.kind, &id) {
            Some(row) => row,
            None if self.entities.len() >= MAX_TIMELINE_ROWS => {
                self.left_out += 1;
                return;
            }
            None => {
                self.nesting.add(&id, self.entities.len());
                self.entities.push(Lasting::new(entity.kind.clone(), id));
                self.entities.len() - 1
            }
        };
        self.nesting.place(&mut self.entities, row, event, &payload);
        if let Some(known) = self.entities.get_mut(row) {
            known.name = known.name.take().or_else(|| entity.name(&payload));
            known.detail = known.detail.take().or_else(|| (self.detail)(&known.kind, &payload));
            known.enter(phase, at);
        }
        self.nesting.entered(&self.entities, row);
        if entity.whole && phase == Phase::Running {
            self.session_runs(at);
        }
    }

    /// A session that was only created is running once something that stands for it does.
    fn session_runs(&mut self, at: Timestamp) {
        let Some(row) = self.nesting.row(&self.entities, "session", "") else { return };
        let is_new = |e: &&mut Lasting| e.spans.last().is_some_and(|span| span.phase == Phase::Created);
        if let Some(session) = self.entities.get_mut(row).filter(is_new) {
            session.enter(Phase::Running, at);
        }
    }

    /// The entities, in order of appearance.
    #[must_use]
    pub fn entities(&self) -> &[Lasting] {
        &self.entities
    }

    /// The alerts, in order.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// When the first event occurred and when the last one; `None` without events.
    #[must_use]
    pub fn range(&self) -> Option<(Timestamp, Timestamp)> {
        self.range
    }

    /// The number of events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Events of entities beyond [`MAX_TIMELINE_ROWS`], which are omitted.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Extends what has not ended to the last event. Call this after adding it.
    pub fn close(&mut self) {
        let Some((_, to)) = self.range else { return };
        for span in self.entities.iter_mut().filter_map(|e| e.spans.last_mut()) {
            if !span.phase.is_final() {
                span.to = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::store::{Query, Store};
    use serde_json::json;

    fn of(steps: &[(i64, &'static str)]) -> Timeline {
        let store = Store::in_memory().unwrap();
        for (second, kind) in steps {
            let at = Timestamp::from_micros(second * 1_000_000);
            store.append("s", NewEvent::new(*kind).data(json!({"tool": "cargo"})).occurred(at)).unwrap();
        }
        let mut timeline = Timeline::new(Catalogue::builtin().clone());
        for event in store.events(Query::branch("s").unwrap()).unwrap() {
            timeline.take(&event.unwrap());
        }
        timeline.close();
        timeline
    }

    fn spans(entity: &Lasting) -> Vec<(Phase, i64, i64)> {
        let second = |t: Timestamp| t.micros() / 1_000_000;
        entity.spans.iter().map(|s| (s.phase, second(s.from), second(s.to))).collect()
    }

    #[test]
    fn phases_follow_each_other_and_what_is_open_lasts_until_the_end() {
        let timeline =
            of(&[(0, "run.started"), (1, "tool.invoked"), (4, "tool.errored"), (6, "tool.retried")]);
        let [run, tool] = timeline.entities() else { panic!("{timeline:?}") };
        assert_eq!(spans(run), [(Phase::Running, 0, 6)]);
        assert_eq!(spans(tool), [(Phase::Running, 1, 4), (Phase::Failed, 4, 4), (Phase::Running, 6, 6)]);
        assert_eq!((tool.outcome(0), tool.outcome(2), tool.end()), (Some(Phase::Failed), None, None));
        assert_eq!((run.end(), timeline.events()), (None, 4));
    }

    #[test]
    fn a_session_is_running_once_its_run_is() {
        let timeline =
            of(&[(0, "session.created"), (2, "run.started"), (5, "run.failed"), (6, "session.closed")]);
        let [session, run] = timeline.entities() else { panic!("{timeline:?}") };
        assert_eq!(
            spans(session),
            [(Phase::Created, 0, 2), (Phase::Running, 2, 6), (Phase::Completed, 6, 6)]
        );
        assert_eq!((run.parent, session.parent), (Some(0), None));
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_span_that_ends_before_it_begins() {
        let timeline =
            of(&[(10, "run.started"), (4, "run.paused"), (5, "run.resumed"), (1, "run.completed")]);
        let [run] = timeline.entities() else { panic!("{timeline:?}") };
        assert!(run.spans.iter().all(|s| s.from <= s.to), "{run:?}");
        assert_eq!(run.end(), Some(Phase::Completed));
    }
}
