//! The events of a stream: what a body becomes, and what of an event is data.

use bytes::Bytes;
use retold::{Event, NewEvent};
use serde_json::json;
use serde_json::value::RawValue;

use crate::input::is_json;
use crate::problem::Problem;

/// Data. The payload is the body, or one of its messages, as it came.
pub(super) const DATA: &str = "stream.data";
/// The first event of a stream.
const CREATED: &str = "stream.created";
/// The first own event of a fork.
const FORKED: &str = "stream.forked";
/// What a stream has that was made without a type.
pub(super) const BYTES: &str = "application/octet-stream";

/// A Content-Type without parameters, in small letters: what has to be the same.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a stream of this type has messages in place of bytes.
pub(super) fn is_of_messages(content_type: &str) -> bool {
    is_json(&essence(content_type))
}

/// Whether server-sent events can have its data as it is.
pub(super) fn is_text(content_type: &str) -> bool {
    is_of_messages(content_type) || essence(content_type).starts_with("text/")
}

/// What a body has for a stream of this type: the body, or each of its messages. An array is a batch of them.
pub(super) fn messages(content_type: &str, body: &Bytes) -> Result<Vec<Bytes>, Problem> {
    if !is_of_messages(content_type) {
        return Ok(if body.is_empty() { Vec::new() } else { vec![body.clone()] });
    }
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = |e: serde_json::Error| Problem::bad_request(format!("the body is no JSON: {e}"));
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let message = |raw: &RawValue| Bytes::copy_from_slice(raw.get().as_bytes());
    if is_batch {
        let all: Vec<&RawValue> = serde_json::from_slice(body).map_err(wrong)?;
        return Ok(all.into_iter().map(message).collect());
    }
    let one: &RawValue = serde_json::from_slice(body).map_err(wrong)?;
    Ok(vec![message(one)])
}

/// Data as events.
pub(super) fn events(content_type: &str, messages: Vec<Bytes>) -> impl Iterator<Item = NewEvent> {
    let content_type =
        if is_of_messages(content_type) { retold::event::JSON.to_owned() } else { essence(content_type) };
    messages.into_iter().map(move |data| NewEvent::new(DATA).bytes(content_type.clone(), data))
}

/// What a stream begins with.
pub(super) fn created(path: &str, content_type: &str) -> NewEvent {
    NewEvent::new(CREATED).data(json!({ "path": path, "content_type": content_type }))
}

/// What a fork begins with, after what it inherits.
pub(super) fn forked(path: &str, from: &str) -> NewEvent {
    NewEvent::new(FORKED).data(json!({ "path": path, "from": from }))
}

/// The data of an event, if it is one of data.
pub(super) fn data(event: &Event) -> Option<Bytes> {
    (event.kind() == DATA).then(|| event.payload_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str, body: &'static str) -> Result<Vec<String>, u16> {
        let all = messages(content_type, &Bytes::from_static(body.as_bytes()));
        let text = |one: Bytes| String::from_utf8(one.to_vec()).unwrap();
        all.map(|all| all.into_iter().map(text).collect()).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn an_array_is_a_batch_and_each_message_stays_as_it_was_written() {
        let json = "Application/JSON; charset=utf-8";
        assert_eq!(of(json, r#" {"a": 1.10} "#).unwrap(), [r#"{"a": 1.10}"#]);
        assert_eq!(of(json, " [1, [2,3],\n{\"a\":1}] ").unwrap(), ["1", "[2,3]", "{\"a\":1}"]);
        assert_eq!(of(json, "[[[1]]]").unwrap(), ["[[1]]"]);
        assert_eq!(of(json, "[]").unwrap(), [""; 0]);
        assert_eq!(of(json, "null").unwrap(), ["null"]);
        for bad in ["{", "[1,]", "[1] 2", "nul", "{\"a\":}"] {
            assert_eq!(of(json, bad), Err(400), "{bad}");
        }
        assert_eq!(of("text/plain", "[1,]").unwrap(), ["[1,]"]);
        assert_eq!(of("application/x-ndjson", "1\n2").unwrap(), ["1\n2"]);
    }

    #[test]
    fn a_type_is_the_same_whatever_its_letters_and_parameters() {
        assert_eq!(essence(" Text/Plain ; charset=utf-8"), "text/plain");
        assert!(is_text("TEXT/html") && is_text("application/json;x=y") && !is_text("image/png"));
        assert!(!is_of_messages("application/json-seq") && !is_of_messages(""));
    }
}
