//! Where an imported event comes from, noted on it; and files put together again from such notes.

use std::collections::{BTreeMap, HashMap, HashSet};

use data_encoding::BASE64;

use crate::event::{Event, EventId, NewEvent, Record, SessionId};
use crate::limits::{MAX_METADATA_BYTES, MAX_METADATA_ENTRIES};

use super::plan::Body;
use super::{Format, json, names};

/// The format that a record was read as.
pub const FORMAT: &str = "source.format";
/// The name of the file that a record was read from, without its folder.
pub const FILE: &str = "source.file";
/// Which record of the file it was, from 1.
pub const RECORD: &str = "source.record";
/// The id that the source gave it, where that is not the event's id.
pub const ID: &str = "source.id";
/// `import` where the record says no time, and the event has that of its import.
pub const TIME: &str = "source.time";
/// What stands in the file before its first record.
const HEAD: &str = "source.head";
/// What stands between the record before and this one, unless it is one newline.
const BEFORE: &str = "source.before";
/// What stands after the last record, unless it is one newline. It counts on the last record of a file only: a file
/// that grew has it on an earlier one too.
const TAIL: &str = "source.tail";
/// The record's bytes before and after the payload, where the payload is a part of it.
const OPEN: &str = "source.open";
const CLOSE: &str = "source.close";
/// How the payload stood in the record: `json` as it is, `base64`, `text` as a JSON string, `none` not at all.
const DATA: &str = "source.data";

/// Notes that the event's time is that of its import, if there is room for it.
pub(crate) fn note_time(event: &mut NewEvent) {
    fits(event, &[(TIME, "import")]);
}

/// Where a record comes from.
pub(crate) struct Origin<'a> {
    pub(crate) format: Format,
    pub(crate) file: &'a str,
    pub(crate) record: usize,
    pub(crate) body: Body,
}

impl Origin<'_> {
    /// Notes the origin of a file's first record. The error is what had to be left out.
    pub(crate) fn note_first(self, event: &mut NewEvent, head: &str) -> Result<(), String> {
        self.basics(event)?;
        if head.is_empty() || fits(event, &[(HEAD, head)]) {
            return Ok(());
        }
        Err(format!("the {} bytes before the first record are too many to keep", head.len()))
    }

    /// Notes the origin of a later record.
    pub(crate) fn note(self, event: &mut NewEvent, gap: &Gap<'_>) -> Result<(), String> {
        self.basics(event)?;
        match gap.noted() {
            Some(text) if !fits(event, &[(BEFORE, &text)]) => {
                Err(format!("the {} bytes before the record are too many to keep", text.len()))
            }
            _ => Ok(()),
        }
    }

    fn basics(self, event: &mut NewEvent) -> Result<(), String> {
        let record = self.record.to_string();
        let basics = [(FORMAT, self.format.name()), (FILE, self.file), (RECORD, &record)];
        let noted = match &self.body {
            Body::Part { open, close, data } => {
                let part = [(OPEN, &**open), (CLOSE, &**close), (DATA, *data)];
                fits(event, &[&basics[..], &part[..]].concat())
            }
            Body::Record | Body::Own => fits(event, &basics),
        };
        if noted {
            return Ok(());
        }
        Err("where the record comes from is too long to keep beside its own metadata".to_owned())
    }
}

/// Adds the pairs if the limits of metadata allow all of them.
fn fits(event: &mut NewEvent, pairs: &[(&str, &str)]) -> bool {
    let entries = event.metadata.len() + pairs.len();
    let old: usize = event.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    let new: usize = pairs.iter().map(|(k, v)| k.len() + v.len()).sum();
    if entries > MAX_METADATA_ENTRIES || old + new > MAX_METADATA_BYTES {
        return false;
    }
    event.metadata.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    true
}

/// What lies between two events in a file: text, and records that only repeat earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Gap<'a>(Vec<Segment<'a>>);

#[derive(Debug)]
enum Segment<'a> {
    Text(&'a str),
    /// The record with this number once more.
    Again(usize),
}

impl<'a> Gap<'a> {
    pub(crate) fn text(&mut self, text: &'a str) {
        self.0.push(Segment::Text(text));
    }

    pub(crate) fn extend(&mut self, text: &'a str) {
        self.text(text);
    }

    pub(crate) fn again(&mut self, ordinal: usize) {
        self.0.push(Segment::Again(ordinal));
    }

    pub(crate) fn note_tail(&self, event: &mut NewEvent) -> Result<(), String> {
        match self.noted() {
            Some(text) if event.metadata.contains_key(FILE) && !fits(event, &[(TAIL, &text)]) => {
                Err(format!("the {} bytes after the last record are too many to keep", text.len()))
            }
            _ => Ok(()),
        }
    }

    /// The value of the metadata entry; none for a single newline. Text of a gap is white space, a comma, or what
    /// follows `]`, so a value that begins with `[` is a list of segments.
    fn noted(&self) -> Option<String> {
        let text = |s: &Segment<'a>| if let Segment::Text(t) = s { Some(*t) } else { None };
        if let Some(plain) = self.0.iter().map(text).collect::<Option<String>>() {
            return (plain != "\n").then_some(plain);
        }
        let list = self.0.iter().map(|s| match s {
            Segment::Text(t) => serde_json::Value::from(*t),
            Segment::Again(n) => serde_json::Value::from(*n),
        });
        Some(serde_json::Value::from_iter(list).to_string())
    }
}

/// A file as it was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceFile {
    /// Its name, with a folder in front where several sessions have a file of that name. Never leads upwards.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many records it holds.
    pub records: usize,
}

/// Collects events, in any order, and puts the files together that they came from.
#[derive(Debug, Default)]
pub struct Files {
    files: BTreeMap<String, Vec<Part>>,
    seen: HashSet<EventId>,
    unsourced: usize,
}

#[derive(Debug)]
struct Part {
    ordinal: u64,
    position: u64,
    session: SessionId,
    record: Record,
}

impl Files {
    /// Takes an event. One that comes again, inherited by another branch, counts once.
    pub fn add(&mut self, event: &Event) {
        if self.seen.insert(event.id()) {
            self.take(event.session(), event.position().get(), event.record());
        }
    }

    fn take(&mut self, session: &SessionId, position: u64, record: &Record) {
        let (Some(file), Some(Ok(ordinal))) = (record.meta(FILE), record.meta(RECORD).map(str::parse::<u64>))
        else {
            self.unsourced += 1;
            return;
        };
        let part = Part { ordinal, position, session: session.clone(), record: record.clone() };
        self.files.entry(safe(names::file_name(file))).or_default().push(part);
    }

    /// Events that were not imported from a file: they are in none of the files.
    #[must_use]
    pub fn unsourced(&self) -> usize {
        self.unsourced
    }

    /// The files, by name.
    #[must_use]
    pub fn finish(self) -> Vec<SourceFile> {
        let mut out = Vec::new();
        for (name, mut parts) in self.files {
            parts.sort_by_key(|p| (p.ordinal, p.position));
            let two_files = parts
                .windows(2)
                .any(|w| matches!(w, [a, b] if a.ordinal == b.ordinal && a.session != b.session));
            if !two_files {
                out.push(assemble(name, &parts));
                continue;
            }
            let mut by_session: BTreeMap<SessionId, Vec<Part>> = BTreeMap::new();
            for part in parts {
                by_session.entry(part.session.clone()).or_default().push(part);
            }
            for (session, parts) in by_session {
                out.push(assemble(format!("{}/{name}", safe(session.as_str())), &parts));
            }
        }
        out
    }
}

/// The files that these events came from, each byte for byte as far as its records were imported.
pub fn restore<'e>(events: impl IntoIterator<Item = &'e Event>) -> Vec<SourceFile> {
    let mut files = Files::default();
    events.into_iter().for_each(|e| files.add(e));
    files.finish()
}

fn assemble(name: String, parts: &[Part]) -> SourceFile {
    let by_ordinal: HashMap<u64, &Record> = parts.iter().rev().map(|p| (p.ordinal, &p.record)).collect();
    let mut bytes = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        match part.record.meta(BEFORE) {
            _ if i == 0 => bytes.extend_from_slice(part.record.meta(HEAD).unwrap_or_default().as_bytes()),
            Some(gap) => write_gap(gap, &by_ordinal, &mut bytes),
            None => bytes.push(b'\n'),
        }
        write_body(&part.record, &mut bytes);
    }
    if let Some(last) = parts.last() {
        write_gap(last.record.meta(TAIL).unwrap_or("\n"), &by_ordinal, &mut bytes);
    }
    SourceFile { name, bytes, records: parts.len() }
}

fn write_gap(gap: &str, records: &HashMap<u64, &Record>, out: &mut Vec<u8>) {
    let segments = if gap.starts_with('[') { serde_json::from_str(gap).ok() } else { None };
    let Some(serde_json::Value::Array(segments)) = segments else {
        return out.extend_from_slice(gap.as_bytes());
    };
    for segment in segments {
        match (segment.as_str(), segment.as_u64().and_then(|n| records.get(&n))) {
            (Some(text), _) => out.extend_from_slice(text.as_bytes()),
            (None, Some(record)) => write_body(record, out),
            (None, None) => {}
        }
    }
}

fn write_body(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(record.meta(OPEN).unwrap_or_default().as_bytes());
    match record.meta(DATA) {
        Some("none") => {}
        Some("base64") => out.extend_from_slice(BASE64.encode(record.payload()).as_bytes()),
        Some("text") => json::write_text(&String::from_utf8_lossy(record.payload()), out),
        _ => out.extend_from_slice(record.payload()),
    }
    out.extend_from_slice(record.meta(CLOSE).unwrap_or_default().as_bytes());
}

/// A file name that stays in its folder, whatever the metadata says.
fn safe(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\' | ':') { '-' } else { c }).collect();
    match clean.trim_matches('.') {
        "" => "input".to_owned(),
        _ => clean,
    }
}
