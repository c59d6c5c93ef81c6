//! Shared by all front ends: the JSON form of their output, and how they report errors.

mod backup;
mod compaction;
mod consumer;
mod coverage;
mod lease;
mod overview;
mod problem;
mod projected;
mod repaired;
mod retired;
#[cfg(feature = "search")]
mod search;
mod timeline;
mod timer;
mod transcript;

pub use backup::{BackupView, RestoredView};
pub use compaction::CompactionView;
pub use consumer::{ConsumerView, DeadLetterView, Delivered};
pub use coverage::TypeCoverage;
pub use lease::LeaseView;
pub use overview::{Described, LabelView, SessionCard, StoreStats};
pub use problem::{Code, Exit, ProblemDocument, code};
pub use projected::{ProjectionView, Rebuilt, RetriedView, State, StateChange};
pub use repaired::RepairedView;
pub use retired::RetiredView;
#[cfg(feature = "search")]
pub use search::SearchHit;
pub use timeline::TimelineView;
pub use timer::{FiredView, TimerView};
pub use transcript::TranscriptEntry;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::agents::interop::json::{Style, write};
use crate::agents::interop::{Changed, Format, Import, Loaded, Skipped, print};
use crate::event::{BranchName, Event, EventId, Place, Role, TypeInfo};
use crate::lifecycle::{DeadSpace, Expiry};
use crate::store::diff::Pair;
use crate::store::owner::StoreOwner;
use crate::store::{BranchInfo, Placed, Rank, Receipt, Report, SessionInfo, StoreInfo};

/// Appends a recorded event as one line of JSON, without the newline.
pub fn event(event: &Event, out: &mut Vec<u8>) {
    write(event, Style::Shown, out);
}

/// The same as a CloudEvent.
pub fn cloud_event(event: &Event, out: &mut Vec<u8>) {
    // This format can always be written, so this cannot fail.
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

/// The result of appending one event.
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
    /// From the place of the event.
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

/// The result of appending several events, one for each branch.
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
    /// From the place of the events.
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
    /// In a list: without example and schema.
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
    /// With all details.
    #[must_use]
    pub fn whole(info: &'a TypeInfo) -> Self {
        Self { example: info.example(), schema: info.schema().as_deref().cloned(), ..Self::from(info) }
    }
}

/// A session in a listing.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    session: String,
    created: String,
    last: Option<String>,
    head: u64,
    current: String,
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
            current: info.current.to_string(),
            events: info.events,
            branches: info.branches,
        }
    }
}

/// A branch in a listing.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    session: String,
    branch: String,
    parent: Option<String>,
    forked_at: Option<u64>,
    /// What has the parent's name is another, or nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    parent_deleted: bool,
    created: String,
    last: Option<String>,
    head: u64,
    events: u64,
    current: bool,
    /// The first sequence that is left, once some were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<String>,
    /// When it goes, unless it is used until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// For how long it stays unused, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_ms: Option<u64>,
}

impl Branch {
    /// A branch of a session with this current branch.
    #[must_use]
    pub fn new(info: &BranchInfo, current: &BranchName) -> Self {
        let parent = info.parent.as_ref();
        Self {
            session: info.place.session.to_string(),
            branch: info.place.branch.to_string(),
            parent: parent.map(|(name, _)| name.to_string()),
            forked_at: parent.map(|(_, at)| at.get()),
            parent_deleted: info.parent_deleted,
            created: info.created.to_string(),
            last: info.last.map(|t| t.to_string()),
            head: info.head.get(),
            events: info.events,
            current: info.place.branch == *current,
            first: Some(info.first.get()).filter(|first| *first > 1),
            closed: info.closed.map(|t| t.to_string()),
            expires: info.expires.map(|t| t.to_string()),
            unused_ms: match info.expiry {
                Some(Expiry::Unused(span)) => Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
                _ => None,
            },
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

/// What is compared, and where it starts to differ.
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
    /// For these two branches with these heads.
    #[must_use]
    pub fn new(left: (&Place, u64), right: (&Place, u64), common: u64) -> Self {
        let side = |(place, head): (&Place, u64)| Side { branch: place.branch.to_string(), head };
        Self { session: left.0.session.to_string(), left: side(left), right: side(right), common }
    }
}

/// Statistics of a store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreFigures {
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
    /// `null` when it is not known.
    dead: Option<DeadSpaceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerView>,
    #[cfg(feature = "search")]
    #[serde(skip_serializing_if = "Option::is_none")]
    search_index: Option<SearchIndexView>,
}

/// What of its file a store could do without.
#[derive(Clone, Debug, Serialize)]
struct DeadSpaceView {
    bytes: u64,
    percent: u64,
    free_bytes: u64,
    unpurged_bytes: u64,
    partial: bool,
}

impl StoreFigures {
    /// The same, with what of its file the store could do without.
    #[must_use]
    pub fn dead_space(mut self, dead: Option<DeadSpace>) -> Self {
        self.dead = dead.map(|dead| DeadSpaceView {
            bytes: dead.bytes(),
            percent: dead.percent(),
            free_bytes: dead.free,
            unpurged_bytes: dead.unpurged,
            partial: dead.is_partial,
        });
        self
    }
}

#[cfg(feature = "search")]
impl StoreFigures {
    /// The same, with the search index, if there is one.
    #[must_use]
    pub fn search_index(mut self, index: Option<&crate::agents::search::SearchInfo>) -> Self {
        self.search_index = index.map(SearchIndexView::from);
        self
    }
}

/// The search index of a store, as JSON.
#[cfg(feature = "search")]
#[derive(Clone, Debug, Serialize)]
struct SearchIndexView {
    folder: String,
    bytes: u64,
    texts: u64,
    up_to: u64,
    behind: u64,
    unread: u64,
}

#[cfg(feature = "search")]
impl From<&crate::agents::search::SearchInfo> for SearchIndexView {
    fn from(info: &crate::agents::search::SearchInfo) -> Self {
        Self {
            folder: info.folder.display().to_string(),
            bytes: info.bytes,
            texts: info.texts,
            up_to: info.up_to.get(),
            behind: info.behind,
            unread: info.unread,
        }
    }
}

/// The process that has a store open, and its clients.
#[derive(Clone, Debug, Serialize)]
struct OwnerView {
    pid: u32,
    program: String,
    rank: Rank,
    since: String,
    clients: Vec<ClientView>,
}

#[derive(Clone, Debug, Serialize)]
struct ClientView {
    pid: u32,
    program: String,
    rank: Rank,
    since: String,
    queued_bytes: u64,
}

impl From<&StoreOwner> for OwnerView {
    fn from(owner: &StoreOwner) -> Self {
        let clients = owner.clients.iter().map(|client| ClientView {
            pid: client.pid,
            program: client.program.clone(),
            rank: client.rank,
            since: client.since.to_string(),
            queued_bytes: client.queued_bytes,
        });
        Self {
            pid: owner.pid,
            program: owner.program.clone(),
            rank: owner.rank,
            since: owner.since.to_string(),
            clients: clients.collect(),
        }
    }
}

impl From<&StoreInfo> for StoreFigures {
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
            dead: None,
            owner: info.owner.as_ref().map(OwnerView::from),
            #[cfg(feature = "search")]
            search_index: None,
        }
    }
}

/// The result of verifying a store.
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

/// The result of importing a file.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    sessions: Vec<String>,
    records: usize,
    events: usize,
    new: usize,
    duplicates: usize,
    branches: usize,
    skipped: Vec<Left>,
    notes: Vec<String>,
    timeless: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Changed>,
}

#[derive(Clone, Debug, Serialize)]
struct Left {
    line: usize,
    byte: usize,
    reason: String,
}

/// An import in a listing.
#[derive(Clone, Debug, Serialize)]
pub struct ImportRow {
    import: u64,
    time: String,
    file: String,
    format: String,
    sessions: Vec<String>,
    records: usize,
    bytes: usize,
    changed: Option<Changed>,
}

impl From<&Import> for ImportRow {
    fn from(import: &Import) -> Self {
        Self {
            import: import.number,
            time: import.time.to_string(),
            file: import.path.clone(),
            format: import.format.clone(),
            sessions: import.sessions.clone(),
            records: import.records,
            bytes: import.bytes,
            changed: import.changed,
        }
    }
}

impl Imported {
    /// From a file's name, its format, the sessions of its events, and the result.
    #[must_use]
    pub fn new(file: &str, format: Option<Format>, sessions: Vec<String>, loaded: &Loaded) -> Self {
        let left = |s: &Skipped| Left { line: s.line, byte: s.byte, reason: s.reason.clone() };
        Self {
            file: file.to_owned(),
            format: format.map(Format::name),
            sessions,
            records: loaded.records,
            events: loaded.new + loaded.duplicates,
            new: loaded.new,
            duplicates: loaded.duplicates,
            branches: loaded.branches,
            skipped: loaded.skipped.iter().map(left).collect(),
            notes: loaded.notes.clone(),
            timeless: loaded.timeless,
            import: loaded.import,
            changed: loaded.changed,
        }
    }
}
