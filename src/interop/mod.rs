//! What other programs wrote, read into events and written out again: one file or folder a format, parsing and
//! printing side by side. All but `load` and `export` are pure functions over bytes and events.
//!
//! Three rules hold for every format that is not our own:
//!
//! - the payload of an event is the record it was read from, byte for byte (for CloudEvents, its data);
//! - an event's id follows from the source's own id and the session, or from the record's content where it has no
//!   id, so that reading a file again, or a file that has grown, gives the ids it gave before;
//! - an event's metadata says where its record stood, so that [`restore`] can put the file together again.

mod aios;
mod claude_code;
mod cloudevents;
mod content;
mod entries;
mod export;
mod fields;
mod file;
mod format;
mod homes;
mod ids;
mod imports;
mod index;
pub mod json;
mod layout;
mod live;
mod load;
mod names;
mod naming;
mod openhands;
mod outline;
mod own;
mod piece;
mod pieces;
mod plan;
mod recover;
mod rows;
mod scan;
mod scratch;
mod sketch;
pub mod source;
mod spool;
mod temporal;
mod temporal_names;
#[cfg(test)]
mod testing;
mod unknown;

use std::collections::HashSet;

use bytes::Bytes;

use crate::event::{Event, Invalid, SessionId, Timestamp};
use crate::limits::{DEFAULT_PAYLOAD_BYTES, IMPORT_WINDOW_BYTES};

pub use content::Content;
pub use export::{ExportError, Scope, export, export_import, export_raw, export_sources};
pub use file::{FileImport, ImportError, Location, load_file};
pub use format::Format;
pub use ids::variant;
pub use imports::{Changed, Import, import, imports};
pub use load::{Loaded, load};
pub use naming::{Naming, is_numbered};
pub use own::{Forked, parse_line};
use piece::{Piece, Pieces, Text};
pub use plan::{Plan, Skipped, Step};
use sketch::Sketch;
pub use source::{Files, SourceFile, restore};

/// How a file is to be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The format; found out when left out.
    pub format: Option<Format>,
    /// The session that the file's events go to. Sub-agents get sessions named after it. For our own format and
    /// CloudEvents it counts only where a record names no session.
    pub session: Option<SessionId>,
    /// Bytes of the largest payload that the store takes.
    pub max_payload: usize,
    /// The session of records that name none, instead of one named after the file.
    pub(crate) home: Option<SessionId>,
    /// When the file is imported: the time of events that say none. Now, unless it is set.
    pub now: Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        let now = Timestamp::now();
        Self { format: None, session: None, max_payload: DEFAULT_PAYLOAD_BYTES, home: None, now }
    }
}

impl Options {
    /// With this format.
    #[must_use]
    pub fn format(mut self, format: Option<Format>) -> Self {
        self.format = format;
        self
    }

    /// With this session.
    #[must_use]
    pub fn session(mut self, session: Option<SessionId>) -> Self {
        self.session = session;
        self
    }

    /// With this time for events that say none.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// With this bound on payloads.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }
}

/// Reads a file. What is broken in it is reported in the plan, and the rest is there all the same.
///
/// # Errors
/// [`Invalid`] when no format is given and none can be told from the content.
pub fn parse(name: &str, bytes: &Bytes, options: &Options) -> Result<Plan, Invalid> {
    let content = Content::memory(bytes.clone());
    let mut sketch = sketch_of(name, &content, options)?;
    sketch.plan.origin.bytes = Some(bytes.clone());
    let plan = sketch.into_plan(&|range| content.bytes(range));
    plan.map_err(|e| Invalid::new("file", e.to_string()))
}

/// [`parse`] of a file that need not be in memory.
/// What fails with reading it is told by [`Content::fault`].
fn sketch_of(name: &str, content: &Content, options: &Options) -> Result<Sketch, Invalid> {
    let Some(format) = options.format.or_else(|| Format::detect_in(content)) else {
        return Err(unknown::refusal(names::file_name(name), &content.bytes(0..IMPORT_WINDOW_BYTES)));
    };
    let test: pieces::Test = match format {
        Format::Retold => own::is_record,
        Format::CloudEvents => cloudevents::is_record,
        Format::Aios => aios::is_record,
        Format::ClaudeCode => claude_code::is_record,
        Format::OpenHands => openhands::is_record,
        Format::Temporal => temporal::is_record,
    };
    let wrapped = matches!(format, Format::CloudEvents | Format::OpenHands | Format::Temporal);
    let pieces = pieces::cut(content, test, wrapped);
    let input = Input { format, file: names::file_name(name), content, pieces: &pieces, options };
    let mut sketch = match format {
        Format::Retold => own::parse(&input),
        Format::CloudEvents => cloudevents::parse(&input),
        Format::Aios => aios::parse(&input),
        Format::ClaudeCode => claude_code::parse(&input),
        Format::OpenHands => openhands::parse(&input),
        Format::Temporal => temporal::parse(&input),
    }?;
    name.clone_into(&mut sketch.plan.origin.path);
    sketch.plan.origin.home = input.session_or_stem().ok();
    Ok(sketch)
}

/// Appends an event as one line in a format.
///
/// # Errors
/// [`Invalid`] for a format that is only read.
pub fn print(format: Format, event: &Event, out: &mut Vec<u8>) -> Result<(), Invalid> {
    match format {
        Format::Retold => own::print(event, out),
        Format::CloudEvents => cloudevents::print(event, out),
        Format::Aios => aios::print(event, out),
        Format::ClaudeCode | Format::OpenHands | Format::Temporal => return Err(read_only(format)),
    }
    Ok(())
}

/// Appends the line that says where a branch begins: to be printed before the branch's own first event.
///
/// # Errors
/// [`Invalid`] for a format that is only read.
pub fn print_fork(format: Format, fork: &Forked, out: &mut Vec<u8>) -> Result<(), Invalid> {
    match format {
        Format::Retold => own::print_fork(fork, out),
        Format::CloudEvents => cloudevents::print_fork(fork, out),
        Format::Aios => aios::print_fork(fork, out),
        Format::ClaudeCode | Format::OpenHands | Format::Temporal => return Err(read_only(format)),
    }
    Ok(())
}

fn read_only(format: Format) -> Invalid {
    let reason = format!("{format} can be read but not written; `source` gives imported files back");
    Invalid::new("format", reason)
}

/// A file and how it is to be read.
struct Input<'a> {
    format: Format,
    file: &'a str,
    content: &'a Content,
    pieces: &'a Pieces,
    options: &'a Options,
}

impl<'a> Input<'a> {
    fn builder(&self) -> plan::Builder<'a> {
        plan::Builder::new(self)
    }

    /// All records. What fails with reading them is told by [`Content::fault`].
    fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.pieces.iter().map_while(|piece| piece.map_err(|e| self.content.fail(e)).ok())
    }

    /// A record, or what is wrong with it.
    fn text(&self, piece: &Piece) -> Result<Text, String> {
        self.pieces.text(piece, self.content)
    }

    /// The session of each run whose records name none. The first one that has no name of its own is called as the
    /// file is, so that a file that has grown by a run keeps what it has.
    fn sessions(&self) -> Result<Vec<SessionId>, Invalid> {
        let base = self.session_or_stem()?;
        let with_records = self.pieces.runs_with_records();
        // A document is one run; lines may become more.
        let alone = with_records.len() < 2 && !names::is_lines(self.file);
        let mut taken: HashSet<SessionId> = HashSet::new();
        let mut sessions = vec![base.clone(); self.pieces.runs.len()];
        let mut n = 0;
        for run in with_records {
            n += 1;
            let label = self.pieces.runs.get(run).and_then(|r| r.label.as_deref()).filter(|_| !alone);
            let mut name = match label {
                Some(label) => names::session(&format!("{base}.{label}"))?,
                None if n == 1 => base.clone(),
                None => names::session(&format!("{base}.{n}"))?,
            };
            if !taken.insert(name.clone()) {
                name = names::session(&format!("{name}.{n}"))?;
                taken.insert(name.clone());
            }
            if let Some(session) = sessions.get_mut(run) {
                *session = name;
            }
        }
        Ok(sessions)
    }

    /// The session that was asked for, or one named after the file.
    fn session_or_stem(&self) -> Result<SessionId, Invalid> {
        own::session_or_stem(self.options.session.as_ref().or(self.options.home.as_ref()), self.file)
    }
}

#[cfg(test)]
mod tests;
