//! Sessions at a glance.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Branch, Session};
use crate::agents::projections::{Annotated, Card, Figures, Glance, Label, Used};
use crate::event::{BranchName, Event, SessionId};
use crate::store::{BranchInfo, SessionInfo};

/// A session in a listing, with its status.
#[derive(Clone, Debug, Serialize)]
pub struct SessionCard {
    #[serde(flatten)]
    session: Session,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    status: Option<&'static str>,
    first_occurred: Option<String>,
    last_occurred: Option<String>,
    since: Option<String>,
    why: Option<String>,
    progress: Option<f64>,
    left_us: Option<u64>,
    tokens: f64,
    cost_usd: f64,
    errors: f64,
    labels: BTreeMap<String, String>,
}

impl From<&Card> for SessionCard {
    fn from(card: &Card) -> Self {
        Self {
            session: Session::from(&card.info),
            title: card.title.clone(),
            status: card.status(),
            first_occurred: card.first.map(|t| t.to_string()),
            last_occurred: card.last.map(|t| t.to_string()),
            since: card.since.map(|t| t.to_string()),
            why: card.why.clone(),
            progress: card.fraction,
            left_us: card.left_us,
            tokens: card.tokens,
            cost_usd: card.cost_usd,
            errors: card.errors,
            labels: card.labels.clone(),
        }
    }
}

/// Everything about one session on one screen.
#[derive(Clone, Debug, Serialize)]
pub struct Described<'a> {
    session: String,
    branch: String,
    current: String,
    sequence: u64,
    #[serde(flatten)]
    glance: &'a Glance,
    session_resource: &'a Used,
    stats: &'a Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a Annotated>,
    branches: Vec<Branch>,
    last_events: Vec<Box<RawValue>>,
}

impl<'a> Described<'a> {
    /// A branch after an event, what the session used, its figures, its branches and which is current, and the last events of the branch.
    #[must_use]
    pub fn new(
        at: &crate::event::Address,
        glance: &'a Glance,
        session_resource: &'a Used,
        stats: &'a Figures,
        (branches, current): (&[BranchInfo], &BranchName),
        last: &[Event],
    ) -> Self {
        let raw = |event: &Event| {
            let mut line = Vec::new();
            super::event(event, &mut line);
            serde_json::from_slice(&line).ok()
        };
        Self {
            session: at.session().to_string(),
            branch: at.branch().to_string(),
            current: current.to_string(),
            sequence: at.sequence().map_or(0, crate::event::Sequence::get),
            glance,
            session_resource,
            stats,
            annotations: None,
            branches: branches.iter().map(|b| Branch::new(b, current)).collect(),
            last_events: last.iter().filter_map(raw).collect(),
        }
    }

    /// With the labels of the session and the notes on it.
    #[must_use]
    pub fn annotated(self, annotations: &'a Annotated) -> Self {
        Self { annotations: Some(annotations), ..self }
    }
}

/// A label of a session.
#[derive(Clone, Debug, Serialize)]
pub struct LabelView<'a> {
    session: &'a str,
    key: &'a str,
    #[serde(flatten)]
    label: &'a Label,
}

impl<'a> LabelView<'a> {
    /// Of this session, under this key.
    #[must_use]
    pub fn new(session: &'a SessionId, key: &'a str, label: &'a Label) -> Self {
        Self { session: session.as_str(), key, label }
    }
}

/// The statistics of the whole store, and the sessions with the most events.
#[derive(Clone, Debug, Serialize)]
pub struct StoreStats<'a> {
    sessions: u64,
    events_per_minute: f64,
    #[serde(flatten)]
    figures: &'a Figures,
    largest: Vec<Session>,
}

impl<'a> StoreStats<'a> {
    /// With the current rate.
    #[must_use]
    pub fn new(sessions: u64, per_minute: f64, figures: &'a Figures, largest: &[SessionInfo]) -> Self {
        let largest = largest.iter().map(Session::from).collect();
        Self { sessions, events_per_minute: per_minute, figures, largest }
    }
}
