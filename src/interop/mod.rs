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
mod export;
mod fields;
mod format;
mod homes;
mod ids;
pub mod json;
mod live;
mod load;
mod names;
mod openhands;
mod own;
mod pieces;
mod plan;
pub mod source;
mod temporal;
mod temporal_names;
#[cfg(test)]
mod testing;
mod unknown;

use bytes::Bytes;

use crate::event::{Event, Invalid, SessionId, Timestamp};
use crate::limits::DEFAULT_PAYLOAD_BYTES;

pub use export::{ExportError, Scope, export, export_raw, export_sources};
pub use format::Format;
pub use ids::variant;
pub use load::{Loaded, load};
pub use own::{Forked, parse_line};
pub use plan::{Plan, Skipped, Step};
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
    /// When the file is imported: the time of events that say none. Now, unless it is set.
    pub now: Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: None, session: None, max_payload: DEFAULT_PAYLOAD_BYTES, now: Timestamp::now() }
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
    let Some(format) = options.format.or_else(|| Format::detect(name, bytes)) else {
        return Err(unknown::refusal(names::file_name(name), bytes));
    };
    let input = Input { format, file: names::file_name(name), bytes, options };
    match format {
        Format::Retold => own::parse(&input),
        Format::CloudEvents => cloudevents::parse(&input),
        Format::Aios => aios::parse(&input),
        Format::ClaudeCode => claude_code::parse(&input),
        Format::OpenHands => openhands::parse(&input),
        Format::Temporal => temporal::parse(&input),
    }
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
    bytes: &'a Bytes,
    options: &'a Options,
}

impl<'a> Input<'a> {
    fn builder(&self) -> plan::Builder<'a> {
        let Options { max_payload, now, .. } = *self.options;
        plan::Builder::new(self.format, self.file, self.bytes, max_payload, now)
    }

    /// The session that was asked for, or one named after the file.
    fn session_or_stem(&self) -> Result<SessionId, Invalid> {
        own::session_or_stem(self.options.session.as_ref(), self.file)
    }
}

#[cfg(test)]
mod tests;
