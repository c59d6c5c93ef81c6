//! The one place where a recorded event becomes JSON.

use data_encoding::BASE64;

use crate::event::Event;
use crate::event::envelope;

/// How an event's JSON treats white space in its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For reading: a JSON payload is always under `data`, and line breaks between values become spaces.
    Shown,
    /// For importing again: a JSON payload with line breaks is under `data_base64`, byte for byte.
    Exact,
}

/// Appends an event as one JSON object without line breaks, with these names in this order:
/// `id session branch sequence position type version time recorded source actor correlation causation traceparent
/// priority metadata data`.
///
/// Missing values are left out, and so are a `priority` of 0 and empty `metadata`. A payload that is not JSON is
/// under `datacontenttype` and `data_base64` instead of `data`.
pub fn write(event: &Event, style: Style, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(event.id().to_string().as_bytes());
    out.push(b'"');
    text(envelope::SESSION, Some(event.session().as_str()), out);
    text(envelope::BRANCH, Some(event.branch().as_str()), out);
    number(envelope::SEQUENCE, event.sequence().get(), out);
    number(envelope::POSITION, event.position().get(), out);
    text(envelope::TYPE, Some(event.kind()), out);
    number(envelope::VERSION, event.version(), out);
    text(envelope::TIME, Some(&event.occurred().to_string()), out);
    text(envelope::RECORDED, Some(&event.recorded().to_string()), out);
    text(envelope::SOURCE, event.source(), out);
    text(envelope::ACTOR, event.actor(), out);
    text(envelope::CORRELATION, event.correlation(), out);
    text(envelope::CAUSATION, event.causation().map(|c| c.to_string()).as_deref(), out);
    text(envelope::TRACEPARENT, event.trace(), out);
    if event.priority() > 0 {
        number(envelope::PRIORITY, event.priority(), out);
    }
    if event.metadata().len() > 0 {
        name(envelope::METADATA, out);
        metadata(event, out);
    }
    data(event, style, out);
    out.push(b'}');
}

/// An event as one line of text.
#[must_use]
pub fn to_string(event: &Event, style: Style) -> String {
    let mut out = Vec::new();
    write(event, style, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// `,"data":…`, or the content type and the payload in base64.
pub(crate) fn data(event: &Event, style: Style, out: &mut Vec<u8>) {
    let payload = event.payload();
    let is_break = |b: &u8| matches!(b, b'\n' | b'\r');
    let exact = style == Style::Exact && payload.iter().any(is_break);
    if event.is_json() && !exact && std::str::from_utf8(payload).is_ok() {
        name(envelope::DATA, out);
        // Inside a JSON string line breaks are always escaped, so those that are left are between values.
        out.extend(payload.iter().map(|b| if is_break(b) { b' ' } else { *b }));
        return;
    }
    text(envelope::DATACONTENTTYPE, Some(event.content_type()), out);
    base64(payload, out);
}

/// `,"data_base64":"…"`
pub(crate) fn base64(payload: &[u8], out: &mut Vec<u8>) {
    name(envelope::DATA_BASE64, out);
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(payload).as_bytes());
    out.push(b'"');
}

/// The metadata as an object of strings.
pub(crate) fn metadata(event: &Event, out: &mut Vec<u8>) {
    for (i, (key, value)) in event.metadata().enumerate() {
        out.push(if i == 0 { b'{' } else { b',' });
        write_text(key, out);
        out.push(b':');
        write_text(value, out);
    }
    out.push(b'}');
}

/// `,"name":"value"`, or nothing.
pub(crate) fn text(key: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        name(key, out);
        write_text(value, out);
    }
}

/// `,"name":n`
pub(crate) fn number(key: &str, value: impl Into<u64>, out: &mut Vec<u8>) {
    name(key, out);
    out.extend_from_slice(value.into().to_string().as_bytes());
}

/// `,"name":`
pub(crate) fn name(key: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_text(key, out);
    out.push(b':');
}

/// A JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a str to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}
