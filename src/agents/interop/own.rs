//! Our own format: recorded events as JSON, one per line, as `json` writes them; and, before the first event of a
//! branch, a line that says where the branch forks from its parent:
//! `{"session":…,"branch":…,"forked":{"from":…,"at":…,"event":…}}`.

use bytes::Bytes;
use data_encoding::BASE64;

use crate::event::envelope;
use crate::event::{
    BranchName, Event, EventId, Invalid, MAIN, NewEvent, Place, Sequence, SessionId, Timestamp,
};

use super::builder::{Builder, Draft};
use super::fields::{self, Fields};
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, json};

/// Where a branch forks from its parent, which its own events do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forked {
    /// The branch.
    pub place: Place,
    /// The parent branch.
    pub parent: BranchName,
    /// The sequence of the last event that it inherits; 0 for none.
    pub at: Sequence,
    /// The id of that event.
    pub event: Option<EventId>,
}

impl Forked {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"from\":");
        json::write_text(self.parent.as_str(), out);
        json::number("at", self.at.get(), out);
        json::text("event", self.event.map(|e| e.to_string()).as_deref(), out);
        out.push(b'}');
    }
}

/// A session and a type are not enough: other logs have them too.
pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let ours = |(name, _): (&str, _)| envelope::ALL.contains(&name);
    f.has(envelope::SESSION) && ((f.has(envelope::TYPE) && f.iter().all(ours)) || f.has("forked"))
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut unnamed = ids::Occurrences::default();
    let fallback = input.session_or_stem()?;
    for ref piece in input.pieces() {
        let text = input.text(piece);
        let read = text.as_deref().map_err(Clone::clone).and_then(|text| {
            let f = Fields::parse(text)?;
            if f.has("forked") {
                let fork = forked(&f, &f.object("forked"), &fallback);
                return fork.map(Line::Fork).map_err(|e| e.to_string());
            }
            event(&f, Some(&fallback)).map(|r| Line::Event(Box::new(r))).map_err(|e| e.to_string())
        });
        match read {
            Ok(Line::Event(mut read)) => {
                if !read.has_id {
                    let text = text.as_deref().unwrap_or_default();
                    read.event.id = unnamed.next(content_id(&read.place, text));
                }
                let draft = Draft { sequence: read.sequence, ..Draft::new(read.event, read.time, Body::Own) };
                plan.push(piece, piece.ordinal as u64, &read.place, draft);
            }
            Ok(Line::Fork(fork)) => add_fork(&mut plan, piece, &fork),
            Err(reason) => plan.skip(piece, reason),
        }
    }
    Ok(plan.finish())
}

pub(crate) fn add_fork(plan: &mut Builder<'_>, piece: &Piece, fork: &Forked) {
    let parent = Place::new(fork.place.session.clone(), fork.parent.clone());
    plan.pass(piece);
    plan.fork(piece.ordinal as u64, &fork.place, &parent, fork.event);
}

/// An event without an id is recognised by its text.
fn content_id(place: &Place, text: &str) -> EventId {
    ids::derived(
        ids::RETOLD,
        &[place.session.as_str().as_bytes(), place.branch.as_str().as_bytes(), text.as_bytes()],
    )
}

/// The event of one of our lines, with a new id if the line has none.
pub(super) fn parse_one(f: &Fields<'_>, session: Option<&SessionId>) -> Result<(Place, NewEvent), Invalid> {
    event(f, session).map(|r| (r.place, r.event))
}

enum Line {
    Event(Box<Read>),
    Fork(Forked),
}

struct Read {
    place: Place,
    event: NewEvent,
    has_id: bool,
    sequence: Option<u64>,
    time: Option<Timestamp>,
}

fn event(f: &Fields<'_>, session: Option<&SessionId>) -> Result<Read, Invalid> {
    if let Some((unknown, _)) = f.iter().find(|(n, _)| !envelope::ALL.contains(n)) {
        let reason =
            format!("has a member `{}` that events do not have; put it into data", unknown.escape_debug());
        return Err(Invalid::new("event", reason));
    }
    let kind = text(f, envelope::TYPE)?.ok_or_else(|| Invalid::new(envelope::TYPE, "is missing"))?;
    let place = Place::new(session_of(f, session)?, branch_of(f)?);
    let mut event = NewEvent::new(kind);
    let id = parsed(f, envelope::ID)?;
    if let Some(id) = id {
        event.id = id;
    }
    let time = parsed::<Timestamp>(f, envelope::TIME)?;
    if let Some(time) = time {
        event.occurred = time;
    }
    event.causation =
        parsed(f, envelope::CAUSATION).map_err(|e| Invalid::new(envelope::CAUSATION, e.reason))?;
    event.version = number(f, envelope::VERSION)?.unwrap_or(1);
    event.priority = number(f, envelope::PRIORITY)?.unwrap_or(0);
    for (name, to) in [
        (envelope::SOURCE, &mut event.source),
        (envelope::ACTOR, &mut event.actor),
        (envelope::CORRELATION, &mut event.correlation),
        (envelope::TRACEPARENT, &mut event.trace),
    ] {
        if let Some(value) = text(f, name)? {
            *to = value.into();
        }
    }
    if let Some(value) = f.value(envelope::METADATA) {
        event.metadata = serde_json::from_str(value)
            .map_err(|_| Invalid::new(envelope::METADATA, "is not an object whose values are all strings"))?;
    }
    let event = payload(event, f)?;
    Ok(Read { place, event, has_id: id.is_some(), sequence: number(f, envelope::SEQUENCE)?, time })
}

/// Sets the payload from `data`, or from `data_base64` and `datacontenttype`.
pub(crate) fn payload(event: NewEvent, f: &Fields<'_>) -> Result<NewEvent, Invalid> {
    let content_type = text(f, envelope::DATACONTENTTYPE)?;
    match (f.raw(envelope::DATA), f.value(envelope::DATA_BASE64)) {
        (Some(_), Some(_)) => {
            Err(Invalid::new(envelope::DATA, "cannot be combined with data_base64; use one of them"))
        }
        (Some(data), None) => match content_type {
            Some(t) if !is_json(&t) => Err(Invalid::new(
                envelope::DATA,
                format!("has the content type {t}, so it belongs in data_base64"),
            )),
            _ => Ok(event.json_text(Bytes::copy_from_slice(data.get().as_bytes()))),
        },
        (None, Some(coded)) => {
            let bytes = decode(coded)?;
            Ok(event.bytes(content_type.unwrap_or_else(|| crate::event::JSON.to_owned()), bytes))
        }
        (None, None) => Ok(event),
    }
}

pub(crate) fn decode(coded: &str) -> Result<Vec<u8>, Invalid> {
    let coded =
        fields::string(coded).ok_or_else(|| Invalid::new(envelope::DATA_BASE64, "is not a string"))?;
    BASE64
        .decode(coded.as_bytes())
        .map_err(|e| Invalid::new(envelope::DATA_BASE64, format!("is not base64: {e}")))
}

/// Whether a content type is JSON itself; `application/x+json` is a type of its own.
pub(crate) fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(crate::event::JSON))
}

fn session_of(f: &Fields<'_>, fallback: Option<&SessionId>) -> Result<SessionId, Invalid> {
    match (text(f, envelope::SESSION)?, fallback) {
        (Some(name), _) => SessionId::new(name),
        (None, Some(session)) => Ok(session.clone()),
        (None, None) => Err(Invalid::new(envelope::SESSION, "is missing")),
    }
}

fn branch_of(f: &Fields<'_>) -> Result<BranchName, Invalid> {
    text(f, envelope::BRANCH)?.map_or_else(|| Ok(BranchName::main()), BranchName::new)
}

pub(crate) fn forked(f: &Fields<'_>, at: &Fields<'_>, fallback: &SessionId) -> Result<Forked, Invalid> {
    let parent = text(at, "from")?.map_or_else(|| BranchName::new(MAIN), BranchName::new)?;
    Ok(Forked {
        place: Place::new(session_of(f, Some(fallback))?, branch_of(f)?),
        parent,
        at: number::<u64>(at, "at")?.unwrap_or(0).into(),
        event: parsed(at, "event")?,
    })
}

/// A string member; an error when it is something else.
pub(crate) fn text(f: &Fields<'_>, name: &'static str) -> Result<Option<String>, Invalid> {
    match f.value(name) {
        None => Ok(None),
        Some(json) => match fields::string(json) {
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(Invalid::new(name, "is not a string")),
        },
    }
}

pub(crate) fn parsed<T: std::str::FromStr<Err = Invalid>>(
    f: &Fields<'_>,
    name: &'static str,
) -> Result<Option<T>, Invalid> {
    text(f, name)?.map(|t| t.parse()).transpose()
}

/// An integer, or its digits as a string.
pub(crate) fn number<T: std::str::FromStr>(f: &Fields<'_>, name: &'static str) -> Result<Option<T>, Invalid> {
    match (f.has(name), f.scalar(name)) {
        (false, _) => Ok(None),
        (true, Some(digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let parsed = digits.parse().map(Some);
            parsed.map_err(|_| Invalid::new(name, format!("{digits} is out of range")))
        }
        _ => Err(Invalid::new(name, "is not a whole number")),
    }
}

/// Appends an event as one line.
pub(crate) fn print(event: &Event, out: &mut Vec<u8>) {
    json::write(event, json::Style::Exact, out);
    out.push(b'\n');
}

/// Appends the line that says where a branch begins.
pub(crate) fn print_fork(fork: &Forked, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"session\":");
    json::write_text(fork.place.session.as_str(), out);
    json::text(envelope::BRANCH, Some(fork.place.branch.as_str()), out);
    json::name("forked", out);
    fork.write(out);
    out.extend_from_slice(b"}\n");
}
