//! What the rules know about a branch, and how an event changes it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::input::AlertInput;
use super::rule::{Armed, Rule, When};
use crate::event::{Catalogue, Event, EventId, Phase, Timestamp, span_text};
use crate::limits::{ALERTS_KEPT, MAX_WATCHED};
use crate::project::{AlertPayload, Window, WindowCounts};
use crate::sync::time::micros;

/// What the alerts know about a branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Watch {
    /// How many alerts each rule has called for.
    pub raised: BTreeMap<String, u64>,
    /// The latest of them, newest last.
    pub recent: Vec<Alert>,
    /// What is running, waiting or paused now, by kind and name.
    pub live: BTreeMap<String, Phase>,
    /// The last event that is not an alert.
    pub last: Option<LastAlert>,
    /// The alerts that the last event called for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fresh: Vec<Alert>,
    /// When it happened, by rule and by what is counted together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counted: BTreeMap<String, WindowCounts>,
    /// Until when a rule is silenced, by what is silenced together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    quiet: BTreeMap<String, BTreeMap<String, i64>>,
}

/// The last event that is not an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastAlert {
    /// Its id.
    pub id: EventId,
    /// When it occurred, in microseconds since the epoch.
    pub at: i64,
    /// The branch that recorded it.
    pub(super) branch: String,
    /// Rules that have already raised an alert for the silence after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) told: Vec<String>,
}

/// An alert that a rule called for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alert {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event that caused it; for a silence, the one before it.
    pub cause: EventId,
    /// When it was called for, in microseconds since the epoch.
    pub at: i64,
    /// Its payload.
    pub data: AlertPayload,
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Watch {
    /// Whether something is running, and nothing is waiting or paused.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let held = |phase: &Phase| matches!(phase, Phase::Waiting | Phase::Paused);
        self.live.values().any(|phase| *phase == Phase::Running) && !self.live.values().any(held)
    }

    /// Folds an event.
    pub(super) fn take(&mut self, rules: &[Armed], catalogue: &Catalogue, event: &Event) {
        self.fresh.clear();
        // Alerts trigger nothing, or they would trigger each other.
        if event.kind().starts_with("alert.") {
            self.note(rules, event);
            return;
        }
        let whole = rules.iter().any(|a| matches!(a.rule.when, When::Above { .. }));
        let input = AlertInput::new(catalogue, event, whole);
        let at = event.occurred().micros();
        for armed in rules {
            if let When::Stalled { after } = armed.rule.when {
                let here = self.last.as_ref().is_some_and(|last| last.branch == event.branch().as_str());
                let alert = self.stalled(&armed.rule, after, event.occurred()).filter(|_| here);
                self.raise(alert);
            } else if armed.types.as_ref().is_none_or(|types| types.takes_kind(event.kind())) {
                let alert = self.set_off(&armed.rule, &input);
                self.raise(alert);
            }
        }
        self.live(&input);
        let (id, branch) = (event.id(), event.branch().as_str().to_owned());
        self.last = Some(LastAlert { id, at, branch, told: Vec::new() });
    }

    /// Notes that an alert for a silence was raised, so that it is raised once.
    fn note(&mut self, rules: &[Armed], event: &Event) {
        let Some(last) = self.last.as_mut().filter(|last| event.causation() == Some(last.id)) else { return };
        let Ok(payload) = event.json::<AlertPayload>() else { return };
        let stalled = |a: &&Armed| a.rule.name == payload.rule && matches!(a.rule.when, When::Stalled { .. });
        if rules.iter().any(|a| stalled(&a)) && !last.told.contains(&payload.rule) {
            last.told.push(payload.rule.clone());
            let (kind, cause, at) = (event.kind().to_owned(), last.id, event.occurred().micros());
            self.keep(Alert { kind, cause, at, data: payload });
        }
    }

    fn raise(&mut self, alert: Option<Alert>) {
        if let Some(alert) = alert {
            self.fresh.push(alert.clone());
            self.keep(alert);
        }
    }

    fn keep(&mut self, alert: Alert) {
        *self.raised.entry(alert.data.rule.clone()).or_default() += 1;
        self.recent.push(alert);
        let over = self.recent.len().saturating_sub(ALERTS_KEPT);
        self.recent.drain(..over);
    }

    /// The alert of a rule about silence, if it has lasted long enough by now.
    pub(super) fn stalled(&self, rule: &Rule, after: Duration, now: Timestamp) -> Option<Alert> {
        let last = self.last.as_ref().filter(|last| !last.told.contains(&rule.name))?;
        let due = last.at.saturating_add(micros(after));
        if now.micros() < due || !self.is_running() {
            return None;
        }
        let running: Vec<&String> =
            self.live.iter().filter(|(_, phase)| **phase == Phase::Running).map(|(of, _)| of).collect();
        let first = running.first()?;
        let (kind, id) = first.split_once(' ').unwrap_or((first, ""));
        let more = match running.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let data = AlertPayload {
            rule: rule.name.clone(),
            severity: rule.severity.clone(),
            message: format!("no event for {} while {first}{more} is running", span_text(after)),
            entity_kind: Some(kind.to_owned()),
            entity_id: Some(id.to_owned()).filter(|id| !id.is_empty()),
            window_ms: Some(millis(after)),
            ..AlertPayload::default()
        };
        Some(Alert { kind: rule.alert().to_owned(), cause: last.id, at: due, data })
    }

    fn set_off(&mut self, rule: &Rule, input: &AlertInput<'_>) -> Option<Alert> {
        let at = input.event.occurred().micros();
        let mut data = AlertPayload::default();
        let what = match &rule.when {
            When::Failures { count, .. } if input.fails() => {
                data.count = Some(*count);
                format!("failed {count} times within {}", rule.window().map(span_text).unwrap_or_default())
            }
            When::Happens { count, .. } => {
                data.count = Some(*count);
                let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
                format!("{} {times}", input.event.kind())
            }
            When::Warns(kind) if input.role.is_some_and(|role| role.alert == Some(*kind)) => {
                kind.as_str().replace('_', " ")
            }
            When::Above { at, value } => {
                let found = at.number(&input.payload).filter(|found| found > value)?;
                (data.value, data.threshold) = (Some(found), Some(*value));
                let name = at.iter().next().map(|p| p.as_str().trim_start_matches('/').to_owned());
                format!("{} {found} is above {value}", name.unwrap_or_default())
            }
            _ => return None,
        };
        let key = input.key(rule.by);
        if let (Some(count), Some(window)) = (data.count, rule.window()) {
            self.enough(rule, &key, count, window, at).then_some(())?;
            data.window_ms = Some(millis(window));
        }
        if !self.may_speak(rule, &key, at) {
            return None;
        }
        let about = if key.is_empty() { String::new() } else { format!("{key}: ") };
        let why = input.why().map(|why| format!(": {why}")).unwrap_or_default();
        data.rule.clone_from(&rule.name);
        data.severity.clone_from(&rule.severity);
        data.message = format!("{about}{what}{why}");
        data.value = data.value.or_else(|| rule.value.number(&input.payload));
        data.threshold = data.threshold.or_else(|| rule.threshold.number(&input.payload));
        if let Some((kind, id)) = &input.entity {
            data.entity_kind = Some(kind.clone());
            data.entity_id = Some(id.clone()).filter(|id| !id.is_empty());
        }
        Some(Alert { kind: rule.alert().to_owned(), cause: input.event.id(), at, data })
    }

    /// Counts one more, and returns whether that is enough. If it is, the count starts over.
    fn enough(&mut self, rule: &Rule, key: &str, count: u32, window: Duration, at: i64) -> bool {
        let all = self.counted.entry(rule.name.clone()).or_default();
        let enough = all.add(Window::Sliding(window), key, at, count) >= count;
        if enough {
            all.reset(key);
        }
        enough
    }

    fn may_speak(&mut self, rule: &Rule, key: &str, at: i64) -> bool {
        if rule.quiet.is_zero() {
            return true;
        }
        let all = self.quiet.entry(rule.name.clone()).or_default();
        all.retain(|_, until| *until > at);
        if all.contains_key(key) {
            return false;
        }
        all.insert(key.to_owned(), at.saturating_add(micros(rule.quiet)));
        bound(all, |until| *until);
        true
    }

    fn live(&mut self, input: &AlertInput<'_>) {
        let (Some((kind, id)), Some(phase)) = (&input.entity, input.phase) else { return };
        let key = format!("{kind} {id}").trim_end().to_owned();
        match phase {
            // The end of the whole session ends everything in it.
            phase if phase.is_final() && input.is_whole() => self.live.clear(),
            phase if phase.is_final() || phase == Phase::Created => drop(self.live.remove(&key)),
            phase => drop(self.live.insert(key, phase)),
        }
        if self.live.len() > MAX_WATCHED {
            self.live.pop_first();
        }
    }
}

/// Drops the oldest entry when there are too many.
fn bound<T>(all: &mut BTreeMap<String, T>, age: impl Fn(&T) -> i64) {
    if all.len() > MAX_WATCHED
        && let Some(oldest) = all.iter().min_by_key(|(_, t)| age(t)).map(|(key, _)| key.clone())
    {
        all.remove(&oldest);
    }
}
