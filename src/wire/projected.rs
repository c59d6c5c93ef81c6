//! Projections, their states, and the results of retries and rebuilds.

use serde::Serialize;

use crate::event::EventId;
use crate::project::{Change, Parked, ProjectionInfo, Reading};

/// A projection in a listing.
#[derive(Clone, Debug, Serialize)]
pub struct ProjectionView {
    name: String,
    version: Option<u32>,
    next_version: Option<u32>,
    scope: Option<crate::project::Scope>,
    position: u64,
    lag: u64,
    parked: Vec<ParkedEvent>,
}

#[derive(Clone, Debug, Serialize)]
struct ParkedEvent {
    of: String,
    at: String,
    position: u64,
    reason: String,
    since: String,
}

impl From<&Parked> for ParkedEvent {
    fn from(parked: &Parked) -> Self {
        Self {
            of: parked.of.clone(),
            at: parked.at.clone(),
            position: parked.position.get(),
            reason: parked.reason.clone(),
            since: parked.since.to_string(),
        }
    }
}

impl From<&ProjectionInfo> for ProjectionView {
    fn from(info: &ProjectionInfo) -> Self {
        Self {
            name: info.name.clone(),
            version: info.version,
            next_version: info.next_version,
            scope: info.scope,
            position: info.position.get(),
            lag: info.lag,
            parked: info.parked.iter().map(ParkedEvent::from).collect(),
        }
    }
}

/// A state of a projection: after a sequence of a branch, or up to a position for a session or a key.
#[derive(Clone, Debug, Serialize)]
pub struct State<'a> {
    projection: &'a str,
    of: &'a str,
    at: u64,
    state: &'a serde_json::Value,
}

impl<'a> State<'a> {
    /// A state that was read.
    #[must_use]
    pub fn new(projection: &'a str, reading: &'a Reading<serde_json::Value>) -> Self {
        Self { projection, of: &reading.of, at: reading.at, state: &reading.state }
    }
}

/// An event in a state's history, and the state after it.
#[derive(Clone, Debug, Serialize)]
pub struct StateChange<'a> {
    id: EventId,
    session: &'a str,
    branch: &'a str,
    sequence: u64,
    position: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    recorded: String,
    state: &'a serde_json::Value,
}

impl<'a> From<&'a Change<serde_json::Value>> for StateChange<'a> {
    fn from(change: &'a Change<serde_json::Value>) -> Self {
        let event = &change.event;
        Self {
            id: event.id(),
            session: event.session().as_str(),
            branch: event.branch().as_str(),
            sequence: event.sequence().get(),
            position: event.position().get(),
            kind: event.kind(),
            recorded: event.recorded().to_string(),
            state: &change.state,
        }
    }
}

/// The result of a rebuild.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt<'a> {
    /// The projection.
    pub projection: &'a str,
    /// Events that were folded.
    pub events: u64,
    /// How long it took.
    pub seconds: f64,
    /// Keys at which it is parked afterwards.
    pub parked: u64,
}

/// The result of retrying the keys at which a projection was parked.
#[derive(Clone, Debug, Serialize)]
pub struct RetriedView<'a> {
    /// The projection.
    pub projection: &'a str,
    /// Keys that resumed.
    pub mended: usize,
    /// Keys that are still parked.
    pub parked: usize,
}
