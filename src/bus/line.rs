//! An event that is yet to be recorded, to and from one line of JSON: the form that the spill and timers store. The
//! names are those of a recorded event, so a line can also be appended with `retold append --ndjson`. A line preserves
//! the exact bytes of the payload: the same id with different content would be refused.

use serde_json::value::RawValue;

use crate::event::{BranchName, EventJson, Invalid, NewEvent, Place, SessionId, envelope};

/// An event and its branch as one line, without the newline.
///
/// # Errors
/// [`Invalid`] naming the field of an event that no store would accept.
pub fn print(place: &Place, event: &NewEvent) -> Result<Vec<u8>, Invalid> {
    let mut line = EventJson::of(event)?;
    line.session = Some(place.session.as_str().into());
    line.branch = Some(place.branch.as_str().into());
    serde_json::to_vec(&line).map_err(|e| Invalid::new("event", format!("cannot be written as JSON: {e}")))
}

/// The event of a line. Unlike in other JSON, fields that identify the event must not be left out.
///
/// # Errors
/// [`Invalid`] for anything that no store would accept.
pub fn parse(line: &[u8]) -> Result<(Place, NewEvent), Invalid> {
    let missing = |field| Invalid::new("line", format!("is not an event: missing field `{field}`"));
    let text = std::str::from_utf8(line).map_err(|e| Invalid::new("line", format!("is not UTF-8: {e}")))?;
    let line: EventJson<'_, Box<RawValue>> =
        serde_json::from_str(text).map_err(|e| Invalid::new("line", format!("is not an event: {e}")))?;
    line.id.ok_or_else(|| missing(envelope::ID))?;
    line.version.ok_or_else(|| missing(envelope::VERSION))?;
    line.time.as_ref().ok_or_else(|| missing(envelope::TIME))?;
    let session = line.session.as_deref().ok_or_else(|| missing(envelope::SESSION))?;
    let branch = line.branch.as_deref().ok_or_else(|| missing(envelope::BRANCH))?;
    let place = Place::new(SessionId::new(session)?, BranchName::new(branch)?);
    Ok((place, line.into_event()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::agents::interop::parse_line;
    use crate::codec::encode_record;
    use crate::event::{EventId, Timestamp};
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
