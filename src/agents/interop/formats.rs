//! Every format in one table: which one a file has, and who reads and writes it. The formats know nothing of this
//! file.

use bytes::Bytes;

use crate::event::{Event, Invalid, NewEvent, Place, SessionId};
use crate::limits::IMPORT_WINDOW_BYTES;

use super::collector::Test;
use super::content::Content;
use super::fields::Fields;
use super::format::Format;
use super::input::Input;
use super::options::Options;
use super::own::Forked;
use super::plan::Plan;
use super::sketch::Sketch;
use super::{aios, claude_code, cloudevents, names, openhands, own, pieces, temporal, unknown};

/// Records that are inspected to detect a format: an unknown first line must not hide the rest.
const LOOK_AT: usize = 20;

impl Format {
    /// Detects the format from a file's first records. The name is not used; it is there for formats that only differ
    /// in it.
    #[must_use]
    pub fn detect(_name: &str, bytes: &[u8]) -> Option<Self> {
        Self::detect_in(&Content::memory(bytes::Bytes::copy_from_slice(bytes)))
    }

    pub(crate) fn detect_in(content: &Content) -> Option<Self> {
        let first = pieces::cut_first(content, |f| Self::of_record(f).is_some(), LOOK_AT);
        let records = first.iter().flatten().filter_map(|p| first.text(&p, content).ok());
        records.filter_map(|text| Self::of_record(&Fields::parse(&text).ok()?)).next()
    }

    pub(super) fn of_record(f: &Fields<'_>) -> Option<Self> {
        type Test = fn(&Fields<'_>) -> bool;
        let tests: [(Self, Test); 6] = [
            (Self::CloudEvents, cloudevents::is_record),
            (Self::Aios, aios::is_record),
            (Self::Temporal, temporal::is_record),
            (Self::Retold, own::is_record),
            (Self::OpenHands, openhands::is_record),
            (Self::ClaudeCode, claude_code::is_record),
        ];
        tests.iter().find(|(_, test)| test(f)).map(|(format, _)| *format)
    }
}

/// Reads a file. Broken records are reported in the plan, and the rest is read all the same.
///
/// # Errors
/// [`Invalid`] when no format is given and none can be detected.
pub fn parse(name: &str, bytes: &Bytes, options: &Options) -> Result<Plan, Invalid> {
    let content = Content::memory(bytes.clone());
    let mut sketch = sketch_of(name, &content, options)?;
    sketch.plan.origin.bytes = Some(bytes.clone());
    let plan = sketch.into_plan(&|range| content.bytes(range));
    plan.map_err(|e| Invalid::new("file", e.to_string()))
}

/// [`parse`] for a file that need not be in memory. Read errors are reported by [`Content::fault`].
pub(super) fn sketch_of(name: &str, content: &Content, options: &Options) -> Result<Sketch, Invalid> {
    let Some(format) = options.format.or_else(|| Format::detect_in(content)) else {
        return Err(unknown::refusal(names::file_name(name), &content.bytes(0..IMPORT_WINDOW_BYTES)));
    };
    let test: Test = match format {
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
/// [`Invalid`] for a format that can only be read.
pub fn print(format: Format, event: &Event, out: &mut Vec<u8>) -> Result<(), Invalid> {
    match format {
        Format::Retold => own::print(event, out),
        Format::CloudEvents => cloudevents::print(event, out),
        Format::Aios => aios::print(event, out),
        Format::ClaudeCode | Format::OpenHands | Format::Temporal => return Err(read_only(format)),
    }
    Ok(())
}

/// Appends the line that says where a branch begins. It goes before the branch's first own event.
///
/// # Errors
/// [`Invalid`] for a format that can only be read.
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

/// The event of a line in our format or in CloudEvents, with a new id if the line has none.
///
/// # Errors
/// [`Invalid`] naming the field, when the line is not such JSON or lacks a type or a session.
pub fn parse_line(line: &str, session: Option<&SessionId>) -> Result<(Place, NewEvent), Invalid> {
    let fields = Fields::parse(line.trim()).map_err(|e| Invalid::new("line", e))?;
    if fields.has("specversion") {
        return cloudevents::parse_one(&fields, session);
    }
    if fields.has("forked") {
        let reason = "describes a branch, not an event; import the file instead of appending it";
        return Err(Invalid::new("line", reason));
    }
    own::parse_one(&fields, session)
}
