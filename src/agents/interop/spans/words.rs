//! Texts of spans: names, traces that go on, what was said.

use serde_json::{Value as Json, json};

use super::open::Below;
use crate::agents::readable::Part;
use crate::event::Speaker;

/// The trace and the span of a W3C traceparent.
pub(super) fn traceparent(text: &str) -> Option<Below> {
    let mut parts = text.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, len: usize| {
        part.len() == len
            && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && part.bytes().any(|b| b != b'0')
    };
    let fits = version.len() == 2 && version != "ff" && is_hex(trace, 32) && is_hex(parent, 16);
    fits.then(|| Below { trace: trace.to_owned(), parent: Some(parent.to_owned()) })
}

pub(super) fn spaced(operation: &str, what: Option<&str>) -> String {
    what.map_or_else(|| operation.to_owned(), |what| format!("{operation} {what}"))
}

/// What kind of failure a type is.
pub(super) fn error_kind(kind: &str) -> &'static str {
    if kind.ends_with("timed_out") { "timeout" } else { "_OTHER" }
}

/// Something that is said, as the conventions write messages.
pub(super) fn message(part: &Part) -> Json {
    let (role, part) = match part.speaker {
        Speaker::User => ("user", json!({"type": "text", "content": part.text})),
        Speaker::System => ("system", json!({"type": "text", "content": part.text})),
        Speaker::Thinking => ("assistant", json!({"type": "reasoning", "content": part.text})),
        Speaker::ToolCall => {
            let arguments =
                serde_json::from_str(&part.text).unwrap_or_else(|_| Json::from(part.text.as_str()));
            let call =
                json!({"type": "tool_call", "id": part.call, "name": part.tool, "arguments": arguments});
            ("assistant", call)
        }
        Speaker::ToolResult => {
            ("tool", json!({"type": "tool_call_response", "id": part.call, "response": part.text}))
        }
        _ => ("assistant", json!({"type": "text", "content": part.text})),
    };
    json!({"role": role, "parts": [part]})
}
