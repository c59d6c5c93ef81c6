use serde::Serialize;

use crate::event::Phase;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Phase>,
    micros: u64,
    spans: Vec<SpanView>,
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
        let span =
            |s: &PhaseSpan| SpanView { phase: s.phase, from: s.from.to_string(), to: s.to.to_string() };
        let entity = |e: &'a Lasting| EntityView {
            kind: &e.kind,
            id: &e.id,
            name: e.name.as_deref(),
            end: e.end(),
            micros: e.micros(),
            spans: e.spans.iter().map(span).collect(),
        };
        let range = timeline.range();
        let warnings = timeline.warnings().iter();
        Self {
            of,
            events: timeline.events(),
            from: range.map(|(from, _)| from.to_string()),
            to: range.map(|(_, to)| to.to_string()),
            entities: timeline.entities().iter().map(entity).collect(),
            warnings: warnings.map(|w| WarningView { kind: &w.kind, time: w.at.to_string() }).collect(),
        }
    }
}
