//! What all faces say alike: the JSON names of what they hand out, and one table that gives every error its code,
//! its exit code and its HTTP status.

mod coverage;
mod laid;
mod overview;
mod timer;

pub use coverage::TypeCoverage;
pub use laid::Laid;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::event::{Event, EventId, Place, Role, TypeInfo};
use crate::interop::json::{Style, write};
use crate::interop::{Format, Loaded, Skipped, print};
use crate::project::{Change, Parked, ProjectionInfo, Reading};
use crate::store::{BranchInfo, Pair, Placed, Receipt, Report, SessionInfo, StoreInfo};

pub use overview::{Described, SessionCard, StoreStats};
pub use timer::{Fired, Timer};

/// How an error is told to programs: a name that does not change, an exit code, and an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Code {
    /// The name.
    pub name: &'static str,
    /// The sort of problem in a few words.
    pub title: &'static str,
    /// The exit code of a program that ends with it.
    pub exit: Exit,
    /// The status of an HTTP answer that carries it.
    pub status: u16,
}

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Something failed that none of the others names.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The store is not as the command took for granted.
    Conflict = 3,
    /// There is no such session, branch, event or file.
    NotFound = 4,
    /// Another process has the store open.
    InUse = 5,
    /// The store is damaged.
    Corrupt = 6,
    /// A value or a file was refused.
    Invalid = 7,
}

impl Exit {
    /// All of them, with what they mean.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "the command line was not understood"),
        (Self::Conflict, "conflict: the store is not as the command expects"),
        (Self::NotFound, "not found"),
        (Self::InUse, "the store is in use by another process"),
        (Self::Corrupt, "the store is corrupt"),
        (Self::Invalid, "invalid input"),
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// The table: one row for every error.
#[must_use]
pub fn code(error: &Error) -> Code {
    let row = |name, title, exit, status| Code { name, title, exit, status };
    match error {
        Error::Conflict { .. } => row("conflict", "The branch has moved", Exit::Conflict, 409),
        Error::Exists { .. } => row("exists", "It is there already", Exit::Conflict, 409),
        Error::Duplicate { .. } => row("duplicate", "The event id is taken", Exit::Conflict, 409),
        Error::NotFound { .. } => row("not_found", "There is no such thing", Exit::NotFound, 404),
        Error::Invalid(_) => row("invalid", "A value was refused", Exit::Invalid, 422),
        Error::TooLarge { .. } => row("too_large", "A value is too large", Exit::Invalid, 413),
        Error::BadCursor { .. } => row("bad_cursor", "The cursor cannot be used", Exit::Invalid, 400),
        Error::Upcast { .. } => row("upcast", "An old event cannot be made new", Exit::Invalid, 500),
        Error::NewerFormat { .. } => row("newer_format", "The store is newer", Exit::Invalid, 500),
        Error::Locked { .. } => row("locked", "The store is in use", Exit::InUse, 503),
        Error::Corrupt { .. } => row("corrupt", "The store is damaged", Exit::Corrupt, 500),
        Error::Unknown { .. } => row("unknown", "The outcome is not known", Exit::Failed, 503),
        Error::Storage { .. } => row("storage", "The storage failed", Exit::Failed, 500),
        Error::Parked { .. } => row("parked", "The projection is parked", Exit::Failed, 500),
        Error::ReadOnly { .. } => row("read_only", "The store was opened read-only", Exit::Failed, 403),
        Error::Closed { .. } => row("closed", "The store is closed", Exit::Failed, 503),
    }
}

/// An error as a document (RFC 9457), the same on every face.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemDocument {
    /// The error's name, as a URI reference.
    #[serde(rename = "type")]
    pub kind: String,
    /// The sort of problem in a few words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// This very problem, as a sentence.
    pub detail: String,
    /// Whether the same request can succeed later.
    pub retryable: bool,
    /// Where the branch was, for a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
    /// The field that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
}

impl From<&Error> for ProblemDocument {
    fn from(error: &Error) -> Self {
        let code = code(error);
        Self {
            kind: format!("urn:retold:error:{}", code.name),
            title: code.title,
            status: code.status,
            detail: error.to_string(),
            retryable: error.is_retryable(),
            head: if let Error::Conflict { actual, .. } = error { Some(actual.get()) } else { None },
            field: if let Error::Invalid(invalid) = error { Some(invalid.field) } else { None },
        }
    }
}

/// Appends a recorded event as one line of JSON, without the line break.
pub fn event(event: &Event, out: &mut Vec<u8>) {
    write(event, Style::Shown, out);
}

/// The same as a CloudEvent.
pub fn cloud_event(event: &Event, out: &mut Vec<u8>) {
    // The format can be printed, so there is nothing to fail.
    let _ = print(Format::CloudEvents, event, out);
    if out.last() == Some(&b'\n') {
        out.pop();
    }
}

fn raw(recorded: &Event) -> Option<Box<RawValue>> {
    let mut line = Vec::new();
    event(recorded, &mut line);
    String::from_utf8(line).ok().and_then(|text| RawValue::from_string(text).ok())
}

/// What an append of one event is answered.
#[derive(Clone, Debug, Serialize)]
pub struct Appended {
    session: String,
    branch: String,
    sequence: u64,
    position: u64,
    id: EventId,
    duplicate: bool,
}

impl Appended {
    /// From the place of its one event.
    #[must_use]
    pub fn new(placed: &Placed, id: EventId, receipt: &Receipt) -> Self {
        Self {
            session: placed.place.session.to_string(),
            branch: placed.place.branch.to_string(),
            sequence: placed.last.get(),
            position: placed.last_position.get(),
            id,
            duplicate: receipt.duplicate(),
        }
    }
}

/// What an append of several events is answered, one for each branch.
#[derive(Clone, Debug, Serialize)]
pub struct AppendedMany {
    session: String,
    branch: String,
    first: u64,
    last: u64,
    first_position: u64,
    last_position: u64,
    events: u64,
    duplicate: bool,
}

impl AppendedMany {
    /// From the place of its events.
    #[must_use]
    pub fn new(placed: &Placed, receipt: &Receipt) -> Self {
        Self {
            session: placed.place.session.to_string(),
            branch: placed.place.branch.to_string(),
            first: placed.first.get(),
            last: placed.last.get(),
            first_position: placed.first_position.get(),
            last_position: placed.last_position.get(),
            events: placed.last.get() + 1 - placed.first.get(),
            duplicate: receipt.duplicate(),
        }
    }
}

/// A type of the catalogue.
#[derive(Clone, Debug, Serialize)]
pub struct Type<'a> {
    name: &'a str,
    domain: &'a str,
    line: &'a str,
    version: u32,
    aliases: Vec<&'a str>,
    pattern: bool,
    built_in: bool,
    role: &'a Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<&'a serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<serde_json::Value>,
}

impl<'a> From<&'a TypeInfo> for Type<'a> {
    /// As it stands in a list: without example and schema.
    fn from(info: &'a TypeInfo) -> Self {
        Self {
            name: info.name(),
            domain: info.domain(),
            line: info.line(),
            version: info.version(),
            aliases: info.aliases().collect(),
            pattern: info.pattern().is_some(),
            built_in: info.is_built_in(),
            role: info.role(),
            example: None,
            schema: None,
        }
    }
}

impl<'a> Type<'a> {
    /// Everything that is known of it.
    #[must_use]
    pub fn whole(info: &'a TypeInfo) -> Self {
        Self { example: info.example(), schema: info.schema().as_deref().cloned(), ..Self::from(info) }
    }
}

/// A session of a listing.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    session: String,
    created: String,
    last: Option<String>,
    head: u64,
    events: u64,
    branches: u64,
}

impl From<&SessionInfo> for Session {
    fn from(info: &SessionInfo) -> Self {
        Self {
            session: info.session.to_string(),
            created: info.created.to_string(),
            last: info.last.map(|t| t.to_string()),
            head: info.head.get(),
            events: info.events,
            branches: info.branches,
        }
    }
}

/// A branch of a listing.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    session: String,
    branch: String,
    parent: Option<String>,
    forked_at: Option<u64>,
    created: String,
    last: Option<String>,
    head: u64,
    events: u64,
}

impl From<&BranchInfo> for Branch {
    fn from(info: &BranchInfo) -> Self {
        let parent = info.parent.as_ref();
        Self {
            session: info.place.session.to_string(),
            branch: info.place.branch.to_string(),
            parent: parent.map(|(name, _)| name.to_string()),
            forked_at: parent.map(|(_, at)| at.get()),
            created: info.created.to_string(),
            last: info.last.map(|t| t.to_string()),
            head: info.head.get(),
            events: info.events,
        }
    }
}

/// One pair of a comparison.
#[derive(Debug, Serialize)]
pub struct Compared {
    sequence: u64,
    alike: bool,
    left: Option<Box<RawValue>>,
    right: Option<Box<RawValue>>,
}

impl From<&Pair> for Compared {
    fn from(pair: &Pair) -> Self {
        Self {
            sequence: pair.sequence.get(),
            alike: pair.is_alike(),
            left: pair.left.as_ref().and_then(raw),
            right: pair.right.as_ref().and_then(raw),
        }
    }
}

/// What is compared, and from where on it differs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    session: String,
    left: Side,
    right: Side,
    common: u64,
}

/// One side of a comparison.
#[derive(Clone, Debug, Serialize)]
struct Side {
    branch: String,
    head: u64,
}

impl Comparison {
    /// Of these two branches with these heads.
    #[must_use]
    pub fn new(left: (&Place, u64), right: (&Place, u64), common: u64) -> Self {
        let side = |(place, head): (&Place, u64)| Side { branch: place.branch.to_string(), head };
        Self { session: left.0.session.to_string(), left: side(left), right: side(right), common }
    }
}

/// A store in figures.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    path: String,
    id: String,
    format: u32,
    created: String,
    sessions: u64,
    branches: u64,
    events: u64,
    in_journal: u64,
    chunks: u64,
    position: u64,
    payload_bytes: u64,
    file_bytes: Option<u64>,
}

impl From<&StoreInfo> for Figures {
    fn from(info: &StoreInfo) -> Self {
        Self {
            path: info.path.clone(),
            id: info.id.to_string(),
            format: info.format,
            created: info.created.to_string(),
            sessions: info.sessions,
            branches: info.branches,
            events: info.events,
            in_journal: info.in_journal,
            chunks: info.chunks,
            position: info.committed.get(),
            payload_bytes: info.payload_bytes,
            file_bytes: info.file_bytes,
        }
    }
}

/// What a walk over a store found.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    clean: bool,
    branches: u64,
    events: u64,
    chunks: u64,
    problems: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize)]
struct Finding {
    place: String,
    reason: String,
}

impl From<&Report> for Verified {
    fn from(report: &Report) -> Self {
        let finding =
            |p: &crate::store::Problem| Finding { place: p.place.clone(), reason: p.reason.clone() };
        Self {
            clean: report.is_clean(),
            branches: report.branches,
            events: report.events,
            chunks: report.chunks,
            problems: report.problems.iter().map(finding).collect(),
        }
    }
}

/// What became of a file that was taken in.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    sessions: Vec<String>,
    events: usize,
    new: usize,
    duplicates: usize,
    branches: usize,
    skipped: Vec<Left>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Left {
    line: usize,
    reason: String,
}

impl Imported {
    /// From a file's name, its format, the sessions that it has events of, and what was done.
    #[must_use]
    pub fn new(file: &str, format: Option<Format>, sessions: Vec<String>, loaded: &Loaded) -> Self {
        let left = |s: &Skipped| Left { line: s.line, reason: s.reason.clone() };
        Self {
            file: file.to_owned(),
            format: format.map(Format::name),
            sessions,
            events: loaded.new + loaded.duplicates,
            new: loaded.new,
            duplicates: loaded.duplicates,
            branches: loaded.branches,
            skipped: loaded.skipped.iter().map(left).collect(),
            notes: loaded.notes.clone(),
        }
    }
}

/// A projection of a listing.
#[derive(Clone, Debug, Serialize)]
pub struct Projection {
    name: String,
    version: Option<u32>,
    next_version: Option<u32>,
    scope: Option<crate::project::Scope>,
    position: u64,
    lag: u64,
    parked: Vec<ParkedEvent>,
}

#[derive(Clone, Debug, Serialize)]
struct ParkedEvent {
    of: String,
    at: String,
    position: u64,
    reason: String,
    since: String,
}

impl From<&Parked> for ParkedEvent {
    fn from(parked: &Parked) -> Self {
        Self {
            of: parked.of.clone(),
            at: parked.at.clone(),
            position: parked.position.get(),
            reason: parked.reason.clone(),
            since: parked.since.to_string(),
        }
    }
}

impl From<&ProjectionInfo> for Projection {
    fn from(info: &ProjectionInfo) -> Self {
        Self {
            name: info.name.clone(),
            version: info.version,
            next_version: info.next_version,
            scope: info.scope,
            position: info.position.get(),
            lag: info.lag,
            parked: info.parked.iter().map(ParkedEvent::from).collect(),
        }
    }
}

/// A state of a projection: after a sequence of a branch, or up to a position for a session or a key.
#[derive(Clone, Debug, Serialize)]
pub struct State<'a> {
    projection: &'a str,
    of: &'a str,
    at: u64,
    state: &'a serde_json::Value,
}

impl<'a> State<'a> {
    /// What was read of a projection.
    #[must_use]
    pub fn new(projection: &'a str, reading: &'a Reading<serde_json::Value>) -> Self {
        Self { projection, of: &reading.of, at: reading.at, state: &reading.state }
    }
}

/// An event of a state's history, and the state after it.
#[derive(Clone, Debug, Serialize)]
pub struct StateChange<'a> {
    id: EventId,
    session: &'a str,
    branch: &'a str,
    sequence: u64,
    position: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    recorded: String,
    state: &'a serde_json::Value,
}

impl<'a> From<&'a Change<serde_json::Value>> for StateChange<'a> {
    fn from(change: &'a Change<serde_json::Value>) -> Self {
        let event = &change.event;
        Self {
            id: event.id(),
            session: event.session().as_str(),
            branch: event.branch().as_str(),
            sequence: event.sequence().get(),
            position: event.position().get(),
            kind: event.kind(),
            recorded: event.recorded().to_string(),
            state: &change.state,
        }
    }
}

/// What a rebuild did.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt<'a> {
    /// The projection.
    pub projection: &'a str,
    /// Events that were folded.
    pub events: u64,
    /// What it took.
    pub seconds: f64,
    /// Keys at which it is parked afterwards.
    pub parked: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Expect, Place};

    #[test]
    fn exit_codes_are_their_place_in_the_list() {
        for (at, (exit, _)) in Exit::ALL.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), at);
        }
    }

    #[test]
    fn a_conflict_is_a_document_with_the_head() {
        let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
        let e = Error::Conflict { place, expected: Expect::Head(5.into()), actual: 3.into() };
        let document = serde_json::to_value(ProblemDocument::from(&e)).unwrap();
        assert_eq!(document["type"], "urn:retold:error:conflict");
        assert_eq!((&document["status"], &document["head"]), (&409.into(), &3.into()));
        assert_eq!(code(&e).exit, Exit::Conflict);
    }
}
