//! Events that carry a payload as it is: on one line, every number and member as it was written.

use data_encoding::BASE64;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::fields::Fields;
use super::super::json;
use super::record::NULLABLE;
use crate::event::Event;

/// The time of an event as AG-UI has it, in milliseconds.
pub(super) fn time(event: &Event) -> Option<i64> {
    event.occurred().is_printable().then(|| event.occurred().micros().div_euclid(1_000))
}

/// A JSON document on one line.
pub(super) fn flat(payload: &[u8]) -> Option<String> {
    // Inside a string line breaks are escaped, so that those that are there stand between values.
    let text = std::str::from_utf8(payload).ok()?.replace(['\n', '\r'], " ");
    serde_json::from_str::<&RawValue>(&text).ok()?;
    Some(text)
}

/// What is under the payload: JSON as it is, other bytes in Base64.
fn value(event: &Event) -> String {
    let text = event.is_json().then(|| flat(event.payload())).flatten();
    text.unwrap_or_else(|| {
        let data = BASE64.encode(event.payload());
        json!({"datacontenttype": event.content_type(), "data_base64": data}).to_string()
    })
}

/// `CUSTOM`: an event that AG-UI has no word for, by its type.
pub(super) fn custom(event: &Event) -> String {
    written("CUSTOM", &[("name", quoted(event.kind())), ("value", value(event))], event)
}

/// `RAW`: a record of another program.
pub(super) fn raw(event: &Event, source: &str) -> String {
    written("RAW", &[("event", value(event)), ("source", quoted(source))], event)
}

fn written(kind: &str, members: &[(&str, String)], event: &Event) -> String {
    let mut out = format!("{{\"type\":\"{kind}\"");
    for (name, value) in members {
        out.push_str(&format!(",\"{name}\":{value}"));
    }
    if let Some(time) = time(event) {
        out.push_str(&format!(",\"timestamp\":{time}"));
    }
    out.push('}');
    out
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::write_text(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A record as it was imported, on one line. Clients refuse members that are null where they may be left out.
pub(super) fn record(event: &Event) -> Option<String> {
    let text = flat(event.payload())?;
    let fields = Fields::parse(&text).ok()?;
    let is_left_out = |name: &str, value: &RawValue| value.get() == "null" && !NULLABLE.contains(&name);
    if fields.iter().any(|(name, value)| is_left_out(name, value)) {
        let kept = fields.iter().filter(|(name, value)| !is_left_out(name, value));
        let kept: Vec<String> =
            kept.map(|(name, value)| format!("{}:{}", quoted(name), value.get())).collect();
        return Some(format!("{{{}}}", kept.join(",")));
    }
    Some(text)
}
