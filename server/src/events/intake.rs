//! What is sent becomes events: our own JSON, one or many; lines of it; CloudEvents, one or many.

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use retold::{Address, Invalid, NewEvent};
use serde::Deserialize;
use serde::de::IgnoredAny;
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
        Sent::CloudEvents => {
            let texts = list(text(body)?)?;
            numbered(texts.iter().map(|text| (text.get(), to)), true)
        }
        Sent::Json => {
            let text = text(body)?;
            match text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
                true => numbered(list(text)?.iter().map(|text| (text.get(), to)), false),
                false => Ok(vec![event(text, to)?]),
            }
        }
        Sent::Lines => {
            let lines = text(body)?.split('\n').enumerate();
            let lines = lines.filter(|(_, line)| !line.trim().is_empty());
            let of = |(number, line)| event(line, to).map_err(|problem| within(problem, "line", number + 1));
            lines.map(of).collect()
        }
    }
}

/// Events of a list, each in its JSON.
pub(super) fn numbered<'a>(
    texts: impl Iterator<Item = (&'a str, &'a Address)>,
    are_cloud_events: bool,
) -> Result<Vec<NewEvent>, Problem> {
    let of = |(index, (text, to))| {
        let checked = if are_cloud_events { is_cloud_event(text) } else { Ok(()) };
        checked.and_then(|()| event(text, to)).map_err(|problem| within(problem, "index", index))
    };
    texts.enumerate().map(of).collect()
}

fn within(problem: Problem, what: &str, number: usize) -> Problem {
    let detail = format!("{what} {number}: {}", problem.detail());
    problem.detailed(detail).with(what, number)
}

fn text(body: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|e| Problem::bad_request(format!("the body is not UTF-8: {e}")))
}

fn list(text: &str) -> Result<Vec<&RawValue>, Problem> {
    serde_json::from_str(text)
        .map_err(|e| Problem::bad_request(format!("the body is no list of events: {e}")))
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
