//! What is sent becomes events: our own JSON, one or many; lines of it; CloudEvents, one or many.

use std::cell::Cell;
use std::fmt;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use retold::limits::MAX_BATCH_EVENTS;
use retold::{Address, Invalid, NewEvent};
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::binary;
use super::single::event;
use crate::input::media_type;
use crate::problem::Problem;

/// How events are sent, by the request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// One of our events, or a list of them.
    Json,
    /// One of our events on each line.
    Lines,
    /// One CloudEvent.
    CloudEvent,
    /// A list of CloudEvents.
    CloudEvents,
    /// One CloudEvent: its attributes are headers, its data is the body.
    Binary,
}

impl Sent {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media_type(headers).unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Self::CloudEvents),
            other if other.starts_with("application/cloudevents") => Err(unsupported(other)),
            _ if headers.contains_key(binary::VERSION) => Ok(Self::Binary),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/jsonl" => Ok(Self::Lines),
            other => Err(unsupported(other)),
        }
    }
}

fn unsupported(content_type: &str) -> Problem {
    let detail = format!(
        "events can't be sent as {content_type:?}; the Content-Type is one of application/json, application/x-ndjson, \
         application/cloudevents+json and application/cloudevents-batch+json, or the attributes of a CloudEvent are \
         headers that begin with ce-"
    );
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", detail)
}

/// The events of a request, all for one branch.
pub(super) fn events(headers: &HeaderMap, body: &Bytes, to: &Address) -> Result<Vec<NewEvent>, Problem> {
    match Sent::of(headers)? {
        Sent::Binary => Ok(vec![binary::event(headers, body, to)?]),
        Sent::CloudEvent => {
            let text = text(body)?;
            is_cloud_event(text)?;
            Ok(vec![event(text, to)?])
        }
        Sent::CloudEvents => numbered(&list(text(body)?, MAX_BATCH_EVENTS)?, to, true),
        Sent::Json => {
            let text = text(body)?;
            match text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
                true => numbered(&list(text, MAX_BATCH_EVENTS)?, to, false),
                false => Ok(vec![event(text, to)?]),
            }
        }
        Sent::Lines => {
            let lines = text(body)?.split('\n').enumerate();
            let lines = lines.filter(|(_, line)| !line.trim().is_empty());
            // As many as may be, and one more.
            if lines.clone().nth(MAX_BATCH_EVENTS).is_some() {
                return Err(too_many());
            }
            let of = |(number, line)| event(line, to).map_err(|problem| within(problem, "line", number + 1));
            lines.map(of).collect()
        }
    }
}

/// Events of a list, each in its JSON.
pub(super) fn numbered(
    texts: &[&RawValue],
    to: &Address,
    are_cloud_events: bool,
) -> Result<Vec<NewEvent>, Problem> {
    let of = |(index, text): (usize, &&RawValue)| {
        let text = text.get();
        let checked = if are_cloud_events { is_cloud_event(text) } else { Ok(()) };
        checked.and_then(|()| event(text, to)).map_err(|problem| within(problem, "index", index))
    };
    texts.iter().enumerate().map(of).collect()
}

fn within(problem: Problem, what: &str, number: usize) -> Problem {
    let detail = format!("{what} {number}: {}", problem.detail());
    problem.detailed(detail).with(what, number)
}

fn text(body: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|e| Problem::bad_request(format!("the body is not UTF-8: {e}")))
}

/// The events of a list, as they are written.
pub(super) fn list(text: &str, most: usize) -> Result<Vec<&RawValue>, Problem> {
    let is_longer = Cell::new(false);
    let mut json = serde_json::Deserializer::from_str(text);
    let all = json.deserialize_seq(AtMost { most, is_longer: &is_longer });
    let all = all.and_then(|all| json.end().map(|()| all));
    match is_longer.get() {
        true => Err(too_many()),
        false => all.map_err(|e| Problem::bad_request(format!("it is no list of events: {e}"))),
    }
}

/// Reads a list that is not longer than it may be: of one that is, no more is read.
struct AtMost<'a> {
    most: usize,
    is_longer: &'a Cell<bool>,
}

impl<'de> Visitor<'de> for AtMost<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            if all.len() >= self.most {
                self.is_longer.set(true);
                return Err(A::Error::custom("it is too long"));
            }
            all.push(one);
        }
        Ok(all)
    }
}

/// More than an append may have.
fn too_many() -> Problem {
    let reason =
        format!("are more than {MAX_BATCH_EVENTS}, which is the most of one append: send fewer at once");
    Invalid::new("events", reason).into()
}

fn is_cloud_event(text: &str) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Version {
        specversion: Option<IgnoredAny>,
    }
    let version = serde_json::from_str::<Version>(text)
        .map_err(|e| Problem::bad_request(format!("it is no CloudEvent: {e}")))?;
    match version.specversion {
        Some(_) => Ok(()),
        None => Err(Invalid::new("specversion", "is missing: a CloudEvent has one").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_not_read_beyond_what_it_may_have() {
        let texts =
            |text, most| list(text, most).map(|all| all.iter().map(|one| one.get()).collect::<Vec<_>>());
        assert_eq!(texts(" [1, {\"a\": [2]} ,\"x\"] ", 3).unwrap(), ["1", "{\"a\": [2]}", "\"x\""]);
        assert!(texts("[]", 0).unwrap().is_empty());
        for (text, is_longer) in [
            ("[1,2,3,4", true),
            ("[1,2,3,4]", true),
            ("[1,2,3", false),
            ("[1] 2", false),
            ("{}", false),
            ("", false),
        ] {
            let refused = texts(text, 3).unwrap_err();
            assert_eq!(
                (refused.status(), refused.detail().contains("more than")),
                (StatusCode::BAD_REQUEST, is_longer),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_are_counted_before_any_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-ndjson".parse().unwrap());
        let to = Address::try_from("s").unwrap();
        let lines = |count: usize| Bytes::from("nonsense\n\n".repeat(count));
        let detail = |count| events(&headers, &lines(count), &to).unwrap_err().detail().to_owned();
        assert!(detail(MAX_BATCH_EVENTS).contains("line 1"), "{}", detail(MAX_BATCH_EVENTS));
        assert!(detail(MAX_BATCH_EVENTS + 1).contains("more than"), "{}", detail(MAX_BATCH_EVENTS + 1));
    }
}
