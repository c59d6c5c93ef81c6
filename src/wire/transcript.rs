use serde::Serialize;

use crate::agents::readable::{Part, Readable};
use crate::event::{Event, EventId, Speaker};

/// An event of a transcript, as JSON.
#[derive(Debug, Serialize)]
pub struct TranscriptEntry<'a> {
    event: String,
    id: EventId,
    time: String,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<Speaker>,
    summary: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<TranscriptPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

#[derive(Debug, Serialize)]
struct TranscriptPart<'a> {
    speaker: Speaker,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    error: bool,
    text: &'a str,
}

impl<'a> TranscriptEntry<'a> {
    /// What people read of this event.
    #[must_use]
    pub fn new(event: &'a Event, readable: &'a Readable) -> Self {
        let part = |part: &'a Part| TranscriptPart {
            speaker: part.speaker,
            tool: part.tool.as_deref(),
            call: part.call.as_deref(),
            error: part.is_error,
            text: &part.text,
        };
        let spent = &readable.usage;
        Self {
            event: event.address().to_string(),
            id: event.id(),
            time: event.occurred().to_string(),
            kind: event.kind(),
            speaker: readable.speaker,
            summary: &readable.summary,
            parts: readable.parts.iter().map(part).collect(),
            model: spent.model.as_deref(),
            input_tokens: spent.input,
            output_tokens: spent.output,
            cache_read_tokens: spent.cache_read,
            cache_write_tokens: spent.cache_write,
            tokens: spent.tokens,
            cost_usd: spent.cost_usd,
        }
    }
}
