//! What a retention policy removed, or would remove.

use serde::Serialize;

use crate::lifecycle::{Retired, RetiredEvents, RetiredSession};

/// What was removed.
#[derive(Debug, Serialize)]
pub struct RetiredView<'a> {
    /// Whether nothing was changed.
    dry_run: bool,
    sessions: Vec<SessionView<'a>>,
    branches: Vec<EventsView>,
    in_use: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct SessionView<'a> {
    session: &'a str,
    last: String,
    branches: u64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    over: &'static str,
}

#[derive(Debug, Serialize)]
struct EventsView {
    branch: String,
    first: u64,
    events: u64,
}

impl<'a> RetiredView<'a> {
    /// What was removed, or would be.
    #[must_use]
    pub fn new(retired: &'a Retired, dry_run: bool) -> Self {
        let session = |it: &'a RetiredSession| SessionView {
            session: it.session.as_str(),
            last: it.last.to_string(),
            branches: it.branches,
            events: it.events,
            bytes: it.bytes,
            over: it.limit.name(),
        };
        let events = |it: &RetiredEvents| EventsView {
            branch: it.place.to_string(),
            first: it.first.get(),
            events: it.events,
        };
        Self {
            dry_run,
            sessions: retired.sessions.iter().map(session).collect(),
            branches: retired.branches.iter().map(events).collect(),
            in_use: retired.in_use.iter().map(|session| session.as_str()).collect(),
        }
    }
}
