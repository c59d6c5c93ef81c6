//! What a type means to projections, as data, so that a user's type with a role takes part like a built-in one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::usage::Figure;
use super::{MessageRole, Phase, Pointers};

/// What an event of a type means to projections. Every part is optional, and a pointer that matches nothing is
/// ignored.
///
/// ```
/// use retold::event::Phase;
/// use retold::event::roles::Role;
/// let role: Role = serde_json::from_str(
///     r#"{"entity": {"kind": "parcel", "id": "/parcel"}, "phase": "completed", "reason": ["/why", "/note"]}"#,
/// )?;
/// let payload = serde_json::json!({"parcel": "p-7", "note": "signed for"});
/// assert_eq!(role.phase(&payload), Some(Phase::Completed));
/// assert_eq!(role.entity.as_ref().map(|e| e.id(&payload, None)), Some("p-7".to_owned()));
/// assert_eq!(role.reason.text(&payload).as_deref(), Some("signed for"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Role {
    /// What the event is about; absent for the session itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// The phase that the entity is in from this event on.
    #[serde(rename = "phase", skip_serializing_if = "Option::is_none")]
    pub fixed_phase: Option<Phase>,
    /// Where the payload itself names the phase; a known word found there takes precedence over `phase`. One, or a
    /// list that is tried in order.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "one_or_list",
        deserialize_with = "one_or_many"
    )]
    pub status: Vec<Status>,
    /// Where the reason is.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub reason: Pointers,
    /// Where the error is.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub error: Pointers,
    /// Where it says who acted; the event's actor by default.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub by: Pointers,
    /// Where the entity's progress is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressRole>,
    /// The resource usage that the event reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Figure>,
    /// The alert that the event triggers, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertKind>,
    /// What people read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageRole>,
}

impl Role {
    /// Whether it is empty, so that no payload need be read for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The phase that an event with this payload leads to.
    #[must_use]
    pub fn phase(&self, payload: &Value) -> Option<Phase> {
        self.status.iter().find_map(|s| s.read(payload)).or(self.fixed_phase)
    }

    /// Whether [`Role::phase`] can return a phase for some payload.
    #[must_use]
    pub fn has_phase(&self) -> bool {
        self.fixed_phase.is_some() || !self.status.is_empty()
    }
}

/// The entity that a phase, progress or usage belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// The kind of entity: `session`, `task`, `tool`, `plan`, `agent`, `run`, `step`, …
    pub kind: String,
    /// Where the payload has its id. If nothing is found there, the event's correlation identifies it, then its name;
    /// without any, it is the one unnamed entity of its kind in the session.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub id: Pointers,
    /// Where the payload has its name, for people.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub name: Pointers,
    /// It represents the session as a whole, like a run. It is identified only by its `id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

impl Entity {
    /// The id of the entity, empty for the unnamed one.
    #[must_use]
    pub fn id(&self, payload: &Value, correlation: Option<&str>) -> String {
        let named = self.id.text(payload);
        if self.whole {
            return named.unwrap_or_default();
        }
        let tied = named.or_else(|| correlation.map(str::to_owned));
        tied.or_else(|| self.name.text(payload)).unwrap_or_default()
    }

    /// Its name, if the payload has one.
    #[must_use]
    pub fn name(&self, payload: &Value) -> Option<String> {
        self.name.text(payload)
    }
}

/// A phase that the payload names with a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Where the word is.
    pub at: Pointers,
    /// A condition: where something has to be for this to count, and what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Additional words. The usual ones ([`Phase::of_word`]) are always known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, Phase>,
}

/// A value that has to be at a place of the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Where.
    pub at: Pointers,
    /// What.
    pub is: Value,
}

impl Status {
    fn read(&self, payload: &Value) -> Option<Phase> {
        if self.when.as_ref().is_some_and(|c| c.at.find(payload) != Some(&c.is)) {
            return None;
        }
        let words = self.at.iter().filter_map(|p| p.find(payload)?.as_str());
        words.into_iter().find_map(|w| self.words.get(w).copied().or_else(|| Phase::of_word(w)))
    }
}

/// Where an event reports progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgressRole {
    /// A fraction, 0 to 1.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub fraction: Pointers,
    /// A percentage, 0 to 100.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub percent: Pointers,
    /// How many of `total` are done.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub done: Pointers,
    /// Of how many.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub total: Pointers,
    /// The current stage.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub stage: Pointers,
    /// The milestone that was reached.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub milestone: Pointers,
    /// A description of what is being done.
    #[serde(skip_serializing_if = "Pointers::is_empty")]
    pub description: Pointers,
}

/// The progress that an event reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressReading {
    /// 0 to 1; values outside are clamped.
    pub fraction: Option<f64>,
    /// How many are done.
    pub done: Option<f64>,
    /// Of how many.
    pub total: Option<f64>,
    /// The stage.
    pub stage: Option<String>,
    /// The milestone.
    pub milestone: Option<String>,
    /// A description.
    pub description: Option<String>,
}

impl ProgressRole {
    /// The progress in this payload. A fraction takes precedence over a percentage, which takes precedence over a count.
    #[must_use]
    pub fn read(&self, payload: &Value) -> ProgressReading {
        let (done, total) = (self.done.number(payload), self.total.number(payload));
        let counted = || Some(done? / total.filter(|t| *t > 0.0)?);
        let percent = || self.percent.number(payload).map(|p| p / 100.0);
        let fraction = self.fraction.number(payload).or_else(percent).or_else(counted);
        ProgressReading {
            fraction: fraction.map(|f| f.clamp(0.0, 1.0)),
            done,
            total,
            stage: self.stage.text(payload),
            milestone: self.milestone.text(payload),
            description: self.description.text(payload),
        }
    }
}

/// What an event alerts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertKind {
    /// A provider's rate limit was hit.
    RateLimit,
    /// Memory, CPU, disk or network is at its limit.
    ResourceLimit,
    /// A budget is nearly exhausted.
    BudgetWarning,
    /// A budget is exhausted.
    BudgetExceeded,
    /// An invariant was violated.
    Violation,
    /// A person's attention was requested.
    Escalation,
}

impl AlertKind {
    /// As it is written in TOML and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::ResourceLimit => "resource_limit",
            Self::BudgetWarning => "budget_warning",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Violation => "violation",
            Self::Escalation => "escalation",
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Status>),
    One(Status),
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Status>, D::Error> {
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::Many(all) => all,
        OneOrMany::One(one) => vec![one],
    })
}

fn one_or_list<S: serde::Serializer>(all: &[Status], to: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => one.serialize(to),
        all => all.serialize(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(value: Value) -> Role {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_role_survives_json_and_says_only_what_it_has() {
        let value = json!({
            "entity": {"kind": "parcel", "id": ["/parcel", "/p"]},
            "phase": "waiting",
            "status": {"at": "/state", "words": {"lost": "failed"}},
            "reason": "/why",
            "progress": {"done": "/n", "total": "/of"},
            "usage": [{"what": "api_calls", "mode": "delta"}, {"what": "parcels", "at": "/n", "mode": "gauge"}],
            "alert": "rate_limit",
        });
        assert_eq!(serde_json::to_value(role(value.clone())).unwrap(), value);
        assert_eq!(serde_json::to_value(Role::default()).unwrap(), json!({}));
    }

    #[test]
    fn the_payloads_word_wins_over_the_types_phase() {
        let role = role(json!({"phase": "running", "status": {"at": "/s", "words": {"lost": "failed"}}}));
        for (payload, phase) in [
            (json!({"s": "lost"}), Phase::Failed),
            (json!({"s": "Finished"}), Phase::Completed),
            (json!({"s": "who knows"}), Phase::Running),
            (json!({"s": 3}), Phase::Running),
            (json!(null), Phase::Running),
        ] {
            assert_eq!(role.phase(&payload), Some(phase), "{payload}");
        }
    }

    #[test]
    fn a_status_counts_under_its_condition_only() {
        let role = role(json!({"status": [
            {"at": "/agent_state"},
            {"at": "/value", "when": {"at": "/key", "is": "execution_status"}},
        ]}));
        assert_eq!(role.phase(&json!({"key": "execution_status", "value": "paused"})), Some(Phase::Paused));
        assert_eq!(role.phase(&json!({"key": "door", "value": "open"})), None);
        assert_eq!(role.phase(&json!({"agent_state": "error"})), Some(Phase::Failed));
    }

    #[test]
    fn an_entity_is_named_by_payload_then_correlation_then_not_at_all() {
        let (id, name) = (Pointers::new(&["/task_id"]).unwrap(), Pointers::new(&["/title"]).unwrap());
        let task = Entity { kind: "task".into(), id, name, whole: false };
        assert_eq!(task.id(&json!({"task_id": 7}), Some("c")), "7");
        assert_eq!(task.id(&json!({}), Some("c")), "c");
        assert_eq!(task.id(&json!({"title": "fix"}), None), "fix");
        assert_eq!(task.id(&json!({"title": "fix"}), Some("c")), "c");
        assert_eq!(task.id(&json!({}), None), "");
        let run = Entity { whole: true, ..task };
        assert_eq!(run.id(&json!({"title": "fix"}), Some("c")), "");
    }

    #[test]
    fn progress_is_a_fraction_however_it_is_said() {
        let role: ProgressRole =
            serde_json::from_value(json!({"fraction": "/f", "percent": "/p", "done": "/d", "total": "/t"}))
                .unwrap();
        for (payload, fraction) in [
            (json!({"f": 0.25, "p": 99}), Some(0.25)),
            (json!({"p": 50}), Some(0.5)),
            (json!({"d": 1, "t": 4}), Some(0.25)),
            (json!({"d": 1, "t": 0}), None),
            (json!({"p": 250}), Some(1.0)),
            (json!({"p": "soon"}), None),
        ] {
            assert_eq!(role.read(&payload).fraction, fraction, "{payload}");
        }
    }

    #[test]
    fn a_misspelt_part_is_refused_by_name() {
        let e = serde_json::from_value::<Role>(json!({"fase": "running"})).unwrap_err();
        assert!(e.to_string().contains("unknown field `fase`"), "{e}");
    }
}
