use serde::Serialize;

use crate::event::{Phase, Timestamp};
use crate::project::{Lasting, PhaseSpan, Timeline};

/// A timeline, as JSON.
#[derive(Debug, Serialize)]
pub struct TimelineView<'a> {
    of: String,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    entities: Vec<EntityView<'a>>,
    warnings: Vec<WarningView<'a>>,
}

#[derive(Debug, Serialize)]
struct EntityView<'a> {
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// Of a tool, the argument that tells most.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// The entity that it is inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Phase>,
    micros: u64,
    spans: Vec<SpanView>,
}

#[derive(Debug, Serialize)]
struct ParentView<'a> {
    kind: &'a str,
    id: &'a str,
}

#[derive(Debug, Serialize)]
struct SpanView {
    phase: Phase,
    from: String,
    to: String,
}

#[derive(Debug, Serialize)]
struct WarningView<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    time: String,
}

impl<'a> TimelineView<'a> {
    /// The timeline of what is at this address.
    #[must_use]
    pub fn new(of: String, timeline: &'a Timeline) -> Self {
        Self::within(of, timeline, None)
    }

    /// The entities and warnings of a part of the time, from one moment to another.
    #[must_use]
    pub fn within(of: String, timeline: &'a Timeline, part: Option<(Timestamp, Timestamp)>) -> Self {
        let span =
            |s: &PhaseSpan| SpanView { phase: s.phase, from: s.from.to_string(), to: s.to.to_string() };
        let all = timeline.entities();
        let parent = |at: usize| all.get(at).map(|e| ParentView { kind: &e.kind, id: &e.id });
        let entity = |e: &'a Lasting| EntityView {
            kind: &e.kind,
            id: &e.id,
            name: e.name.as_deref(),
            detail: e.detail.as_deref(),
            parent: e.parent.and_then(parent),
            end: e.end(),
            micros: e.micros(),
            spans: e.spans.iter().map(span).collect(),
        };
        let is_in =
            |first: Timestamp, last: Timestamp| part.is_none_or(|(from, to)| first <= to && last >= from);
        let range = part.or(timeline.range());
        let warnings = timeline.warnings().iter().filter(|w| is_in(w.at, w.at));
        Self {
            of,
            events: timeline.events(),
            from: range.map(|(from, _)| from.to_string()),
            to: range.map(|(_, to)| to.to_string()),
            entities: all.iter().filter(|e| is_in(e.from(), e.to())).map(entity).collect(),
            warnings: warnings.map(|w| WarningView { kind: &w.kind, time: w.at.to_string() }).collect(),
        }
    }
}
