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
use super::{
    ag_ui, aios, claude_code, claude_stream, cloudevents, codex, copilot_cli, gemini_cli, lookalike, names,
    ndjson, openhands, own, pi, pieces, temporal, unknown,
};

/// Records that are inspected to detect a format: an unknown first line must not hide the rest.
const LOOK_AT: usize = 20;

impl Format {
    /// Detects the format from a file's first records. The name is looked at for programs that write as others do, whose
    /// files only differ in the folder where they are: of those this is `None`.
    #[must_use]
    pub fn detect(name: &str, bytes: &[u8]) -> Option<Self> {
        detected(name, &Content::memory(bytes::Bytes::copy_from_slice(bytes))).ok()
    }

    fn detect_in(content: &Content) -> Option<Self> {
        let format = first_in(content, |f| Self::of_record(f).is_some(), true, Self::of_record)?;
        let Reader { is_telling, wrapped, .. } = reader(format);
        // Where a format has no objects around its records, what is in one is a copy.
        let is_there = || first_in(content, is_telling, false, |f| is_telling(f).then_some(()));
        (wrapped || is_there().is_some()).then_some(format)
    }

    fn of_record(f: &Fields<'_>) -> Option<Self> {
        DETECTED.into_iter().find(|format| (reader(*format).is_telling)(f))
    }
}

/// The format of a file.
///
/// # Errors
/// What the file is instead.
fn detected(name: &str, content: &Content) -> Result<Format, Invalid> {
    let file = names::file_name(name);
    let found = Format::detect_in(content);
    // Most formats are nobody else's, and their files are not read again.
    let told = || match lookalike::has_relatives(found) {
        true => first_in(content, |f| lookalike::told_by(f).is_some(), false, lookalike::told_by),
        false => None,
    };
    let by_path = lookalike::told_by_path(name).filter(|_| found.is_some());
    if let Some(program) = by_path.or_else(told).filter(|program| program.looks_like(found)) {
        return Err(program.refusal(file, found));
    }
    found.ok_or_else(|| unknown::refusal(file, &content.bytes(0..IMPORT_WINDOW_BYTES)))
}

/// The first answer that one of the first records of a file gives.
fn first_in<T>(
    content: &Content,
    is_record: Test,
    wrapped: bool,
    ask: impl Fn(&Fields<'_>) -> Option<T>,
) -> Option<T> {
    let first = pieces::cut_first(content, is_record, wrapped, LOOK_AT);
    let records = first.iter().flatten().filter_map(|p| first.text(&p, content).ok());
    records.filter_map(|text| ask(&Fields::parse(&text).ok()?)).next()
}

/// The order in which a record is tried. No two formats have the same telling records, so that it decides nothing.
const DETECTED: [Format; 12] = [
    Format::CloudEvents,
    Format::Aios,
    Format::Temporal,
    Format::Retold,
    Format::OpenHands,
    Format::ClaudeCode,
    Format::ClaudeStream,
    Format::Codex,
    Format::CopilotCli,
    Format::Pi,
    Format::GeminiCli,
    Format::AgUi,
];

/// Every format that takes one of the first records of a file for its own.
#[cfg(test)]
pub(super) fn told_by(file: &str) -> Vec<Format> {
    let content = Content::memory(Bytes::copy_from_slice(file.as_bytes()));
    let is_told = |format: &Format| {
        let is_telling = reader(*format).is_telling;
        first_in(&content, is_telling, true, |f| is_telling(f).then_some(())).is_some()
    };
    DETECTED.into_iter().filter(is_told).collect()
}

/// How a format is read.
struct Reader {
    /// Whether only this format has such a record: one of them tells what a file is. Objects that other programs
    /// write too are not enough.
    is_telling: Test,
    /// Tells its records from the objects around them, in a file that is known to have this format.
    is_record: Test,
    /// Whether its records may be inside other objects.
    wrapped: bool,
    parse: fn(&Input<'_>) -> Result<Sketch, Invalid>,
}

fn reader(format: Format) -> Reader {
    let of = |is_telling, is_record, wrapped, parse| Reader { is_telling, is_record, wrapped, parse };
    match format {
        Format::Retold => of(own::is_record, own::is_record, false, own::parse),
        Format::CloudEvents => of(cloudevents::is_record, cloudevents::is_record, true, cloudevents::parse),
        Format::Aios => of(aios::is_telling, aios::is_record, false, aios::parse),
        Format::ClaudeCode => of(claude_code::is_telling, claude_code::is_record, false, claude_code::parse),
        Format::OpenHands => of(openhands::is_telling, openhands::is_record, true, openhands::parse),
        Format::Temporal => of(temporal::is_telling, temporal::is_record, true, temporal::parse),
        Format::Codex => of(codex::is_telling, codex::is_record, true, codex::parse),
        Format::GeminiCli => of(gemini_cli::is_telling, gemini_cli::is_record, true, gemini_cli::parse),
        Format::ClaudeStream => {
            of(claude_stream::is_telling, claude_stream::is_record, false, claude_stream::parse)
        }
        Format::Pi => of(pi::is_telling, pi::is_record, false, pi::parse),
        Format::CopilotCli => of(copilot_cli::is_telling, copilot_cli::is_record, false, copilot_cli::parse),
        Format::AgUi => of(ag_ui::is_telling, ag_ui::is_record, true, ag_ui::parse),
        Format::Ndjson => of(|_| false, ndjson::is_record, false, ndjson::parse),
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
    let format = match options.format {
        Some(format) => format,
        None => detected(name, content)?,
    };
    let reader = reader(format);
    // Where any object can be a record, those in a damaged record cannot be told from records.
    let salvaged = (format != Format::Ndjson).then_some(reader.is_record);
    let pieces = pieces::cut(content, reader.is_record, salvaged, reader.wrapped);
    let input = Input { format, file: names::file_name(name), content, pieces: &pieces, options };
    let mut sketch = (reader.parse)(&input)?;
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
        _ => return Err(read_only(format)),
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
        _ => return Err(read_only(format)),
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
