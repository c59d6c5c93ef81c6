//! An event that is yet to be recorded, as one line of JSON, both ways: what the spill and the timers keep. The names
//! are those of a recorded event, so a line can also be taken in with `retold append --ndjson`.
//!
//! A line gives back the very bytes of the payload: the same id with other content would be refused as another event.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId, Timestamp};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    id: EventId,
    #[serde(borrow)]
    session: Cow<'a, str>,
    #[serde(borrow)]
    branch: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    version: u32,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty", borrow)]
    source: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty", borrow)]
    actor: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty", borrow)]
    correlation: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<EventId>,
    #[serde(default, skip_serializing_if = "is_empty", borrow)]
    traceparent: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: u8,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: Cow<'a, BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    data: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "is_empty", borrow)]
    datacontenttype: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    data_base64: Option<Cow<'a, str>>,
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

/// An event and its branch as one line, without the line break.
///
/// # Errors
/// [`Invalid`] naming the field of an event that no store would take.
pub fn print(place: &Place, event: &NewEvent) -> Result<Vec<u8>, Invalid> {
    event.check()?;
    let data = plain(event);
    let line = Line {
        id: event.id,
        session: place.session.as_str().into(),
        branch: place.branch.as_str().into(),
        kind: (&*event.kind).into(),
        version: event.version,
        time: event.occurred.to_string().into(),
        source: (&*event.source).into(),
        actor: (&*event.actor).into(),
        correlation: (&*event.correlation).into(),
        causation: event.causation,
        traceparent: (&*event.trace).into(),
        priority: event.priority,
        metadata: Cow::Borrowed(&event.metadata),
        datacontenttype: (&*event.content_type).into(),
        data_base64: data.is_none().then(|| BASE64.encode(&event.payload).into()),
        data,
    };
    serde_json::to_vec(&line).map_err(|e| Invalid::new("event", format!("cannot be written as JSON: {e}")))
}

/// The payload as it can stand in a line byte for byte: JSON without a line break in it or white space around it.
fn plain(event: &NewEvent) -> Option<&RawValue> {
    if !event.content_type.is_empty() || event.payload.iter().any(|b| matches!(b, b'\n' | b'\r')) {
        return None;
    }
    let value: &RawValue = serde_json::from_slice(&event.payload).ok()?;
    (value.get().len() == event.payload.len()).then_some(value)
}

/// The event of a line.
///
/// # Errors
/// [`Invalid`] for anything that no store would take.
pub fn parse(line: &[u8]) -> Result<(Place, NewEvent), Invalid> {
    let text = std::str::from_utf8(line).map_err(|e| Invalid::new("line", format!("is not UTF-8: {e}")))?;
    let line: Line<'_> =
        serde_json::from_str(text).map_err(|e| Invalid::new("line", format!("is not an event: {e}")))?;
    let place = Place::new(SessionId::new(line.session)?, BranchName::new(line.branch)?);
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    let mut event = NewEvent::new(own(line.kind))
        .with_id(line.id)
        .version(line.version)
        .occurred(line.time.parse::<Timestamp>()?)
        .source(own(line.source))
        .actor(own(line.actor))
        .correlation(own(line.correlation))
        .trace(own(line.traceparent))
        .priority(line.priority);
    event.causation = line.causation;
    event.metadata = line.metadata.into_owned();
    let event = match (line.data, line.data_base64) {
        (Some(_), Some(_)) => return Err(Invalid::new("data", "stands beside data_base64")),
        (Some(data), None) => event.json_text(data.get().to_owned()),
        (None, Some(coded)) => {
            let bytes = BASE64.decode(coded.as_bytes());
            let bytes = bytes.map_err(|e| Invalid::new("data_base64", format!("is not base64: {e}")))?;
            event.bytes(own(line.datacontenttype), bytes)
        }
        // serde takes a JSON `null` for nothing.
        (None, None) => event.json_text("null"),
    };
    event.check()?;
    Ok((place, event))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agents::interop::parse_line;
    use crate::codec::encode_record;
    use crate::event::envelope;
    use crate::limits::MAX_PAYLOAD_BYTES;
    use crate::testkit;

    fn place() -> Place {
        Place::new("run-7".try_into().unwrap(), "try \"2\"".try_into().unwrap())
    }

    fn same(a: &NewEvent, b: &NewEvent) {
        let encoded = |e| encode_record(e, MAX_PAYLOAD_BYTES).unwrap().encoded().clone();
        assert_eq!(encoded(a), encoded(b), "{a:?} became {b:?}");
    }

    fn there_and_back(event: &NewEvent) {
        let line = print(&place(), event).unwrap();
        assert!(!line.contains(&b'\n'));
        let (at, read) = parse(&line).unwrap();
        assert_eq!(at, place());
        same(event, &read);
        let (at, read) = parse_line(std::str::from_utf8(&line).unwrap(), None).unwrap();
        assert_eq!(at, place());
        same(event, &read);
    }

    #[test]
    fn a_line_has_the_names_of_a_recorded_event_but_those_that_recording_gives_it() {
        let event = || NewEvent::new("a.b").source("s").actor("a").correlation("c").causation(EventId::new());
        let event = || event().trace("00-1").meta("k", "v").priority(9);
        let mut names: Vec<String> = Vec::new();
        for event in [event().data(1.into()), event().bytes("text/plain", "x")] {
            let line = print(&place(), &event).unwrap();
            let line: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&line).unwrap();
            names.extend(line.into_keys());
        }
        names.sort_unstable();
        names.dedup();
        let given = [envelope::SEQUENCE, envelope::POSITION, envelope::RECORDED];
        let mut due: Vec<&str> = envelope::ALL.into_iter().filter(|name| !given.contains(name)).collect();
        due.sort_unstable();
        assert_eq!(names, due);
    }

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        let event = || NewEvent::new("a.b").occurred(Timestamp::from_micros(-7));
        for text in
            ["null", " null", "{\"a\":\n1}", "{ \"a\" : 1.50, \"a\":2 }", "\"\\u0000\u{2028}\"", "1e999"]
        {
            there_and_back(&event().json_text(text));
        }
        there_and_back(&event().bytes("text/plain; x=\"1\"", &b"\xff\n\0"[..]));
        there_and_back(&event().bytes("text/plain", ""));
        there_and_back(&event().causation(EventId::new()).trace("00-1").meta("k\u{2028}", "v\n").priority(9));
    }

    #[test]
    fn what_no_store_would_take_is_refused_with_its_field() {
        let field = |line: &str| parse(line.as_bytes()).unwrap_err().field;
        let whole = String::from_utf8(print(&place(), &NewEvent::new("a.b")).unwrap()).unwrap();
        assert_eq!(field(&whole.replace("run-7", "a/b")), "session");
        assert_eq!(field(&whole.replace("a.b", "")), "type");
        assert_eq!(field(&whole.replace("\"time\":\"2", "\"time\":\"x")), "time");
        assert_eq!(field(&whole.replace("\"data\"", "\"daat\"")), "line");
        assert_eq!(field(&whole[..whole.len() - 1]), "line");
        assert_eq!(parse(b"\xff").unwrap_err().field, "line");
        assert_eq!(print(&place(), &NewEvent::new("")).unwrap_err().field, "type");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_event_comes_back_as_it_was(event in testkit::strategies::event()) {
            there_and_back(&event);
        }

        #[test]
        fn any_bytes_are_an_event_or_an_error(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
