//! A timer as the front ends show it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::bus;

/// A timer that has not fired.
#[derive(Clone, Debug, Serialize)]
pub struct TimerView {
    id: String,
    session: String,
    branch: String,
    #[serde(rename = "type")]
    kind: String,
    due: String,
    /// `at` for a time of the wall clock, `after` for a delay.
    clock: &'static str,
    made: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

impl From<&bus::Timer> for TimerView {
    fn from(timer: &bus::Timer) -> Self {
        let event = &timer.event;
        let data = event.content_type.is_empty().then(|| serde_json::from_slice(&event.payload).ok());
        Self {
            id: timer.id.to_string(),
            session: timer.place.session.to_string(),
            branch: timer.place.branch.to_string(),
            kind: event.kind().to_owned(),
            due: timer.due.to_string(),
            clock: if timer.is_at { "at" } else { "after" },
            made: timer.made.to_string(),
            refused: timer.refused.clone(),
            data: data.flatten(),
        }
    }
}

/// The result of firing due timers.
#[derive(Clone, Debug, Serialize)]
pub struct FiredView {
    recorded: u64,
    refused: u64,
}

impl From<bus::Fired> for FiredView {
    fn from(fired: bus::Fired) -> Self {
        Self { recorded: fired.recorded, refused: fired.refused }
    }
}
