//! A span as OTLP has it in JSON.

use serde::Serialize;

use super::attributes::SCHEMA;
use crate::event::Timestamp;
use crate::limits::SPAN_TEXT_BYTES;

/// A span that is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    pub(super) trace_id: String,
    pub(super) span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_span_id: Option<String>,
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) start_time_unix_nano: String,
    pub(super) end_time_unix_nano: String,
    pub(super) attributes: Vec<Attribute>,
    pub(super) status: Status,
}

/// A span within the program, and one of a request to another.
pub(super) const INTERNAL: u8 = 1;
pub(super) const CLIENT: u8 = 3;

/// Whether it went well; nothing is said of what did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<u8>,
}

impl Status {
    /// It failed.
    pub(super) fn error(message: &str) -> Self {
        let message = Some(cut(message)).filter(|message| !message.is_empty());
        Self { message, code: Some(2) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Attribute {
    pub(super) key: &'static str,
    pub(super) value: Value,
}

/// A value of an attribute. Whole numbers of 64 bits are texts in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) enum Value {
    #[serde(rename = "stringValue")]
    Text(String),
    #[serde(rename = "intValue")]
    Whole(String),
    #[serde(rename = "doubleValue")]
    Number(f64),
    #[serde(rename = "boolValue")]
    Flag(bool),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(cut(text))
    }

    pub(super) fn whole(number: f64) -> Self {
        // Beyond 64 bits it is the largest.
        Self::Whole((number.max(0.0).round() as i64).to_string())
    }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(SPAN_TEXT_BYTES)).unwrap_or_default().to_owned()
}

/// A time in nanoseconds. What was before 1970 is at its beginning.
pub(super) fn nanos(time: Timestamp) -> String {
    (i128::from(time.micros().max(0)) * 1_000).to_string()
}

/// A request of OTLP with spans of one service, as one JSON document on a line.
pub(super) fn request(service: &str, spans: &[Span]) -> Option<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        resource_spans: [OfResource<'a>; 1],
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct OfResource<'a> {
        resource: Resource,
        scope_spans: [OfScope<'a>; 1],
        schema_url: &'static str,
    }
    #[derive(Serialize)]
    struct Resource {
        attributes: Vec<Attribute>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct OfScope<'a> {
        scope: Scope,
        spans: &'a [Span],
        schema_url: &'static str,
    }
    #[derive(Serialize)]
    struct Scope {
        name: &'static str,
        version: &'static str,
    }
    let attributes = vec![Attribute { key: "service.name", value: Value::text(service) }];
    let scope = Scope { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
    let scope_spans = [OfScope { scope, spans, schema_url: SCHEMA }];
    let of = OfResource { resource: Resource { attributes }, scope_spans, schema_url: SCHEMA };
    serde_json::to_string(&Request { resource_spans: [of] }).ok()
}
