//! The origin of imported events, noted in their metadata, and how files are restored from it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use data_encoding::BASE64;

use crate::event::{Event, EventId, NewEvent, Record, SessionId};
use crate::limits::{MAX_METADATA_BYTES, MAX_METADATA_ENTRIES};

use super::content::Content;
use super::format::Format;
use super::{json, names};

/// The format that a record was read as.
pub const FORMAT: &str = "source.format";
/// The name of the file that a record was read from, without its folder.
pub const FILE: &str = "source.file";
/// Which record of the file it was, from 1.
pub const RECORD: &str = "source.record";
/// The id in the source, if it is not the event's id.
pub const ID: &str = "source.id";
/// `import` if the record has no time, and the event has that of its import.
pub const TIME: &str = "source.time";
/// What is in the file before its first record.
const HEAD: &str = "source.head";
/// What is between the previous record and this one, unless it is one newline.
const BEFORE: &str = "source.before";
/// What follows the last record, unless it is one newline. Only the one on a file's last record counts: in a file
/// that has grown, an earlier record has one too.
const TAIL: &str = "source.tail";
/// The record's bytes before and after the payload, if the payload is a part of it.
const OPEN: &str = "source.open";
const CLOSE: &str = "source.close";
/// How the record contained the payload: `json` as it is, `base64`, `text` as a JSON string, `none` not at all.
const DATA: &str = "source.data";

/// Notes that the event's time is that of its import, if there is room for it.
pub(crate) fn note_time(event: &mut NewEvent) {
    fits(event, &[(TIME, "import")]);
}

/// How the event contains the record.
#[derive(Debug)]
pub(crate) enum Body {
    /// The payload is the record.
    Record,
    /// The payload is a part of the record; these are the bytes around it.
    Part { open: String, close: String, data: &'static str },
    /// The event is its own source: nothing of the file is noted on it.
    Own,
}

/// Where a record comes from.
pub(crate) struct Origin<'a> {
    pub(crate) format: Format,
    pub(crate) file: &'a str,
    pub(crate) record: usize,
    pub(crate) body: Body,
}

/// What precedes a record.
pub(crate) enum Before {
    /// What precedes the first record.
    Head(Bytes),
    /// What is between it and the previous one; `None` when that is one newline, or more than metadata can hold.
    Gap(Option<String>),
}

impl Origin<'_> {
    /// Notes the origin of a record. `false` if metadata has no room for the record's own parts.
    pub(crate) fn note(self, event: &mut NewEvent, before: Before) -> bool {
        if !self.basics(event) {
            return false;
        }
        match before {
            Before::Head(head) => {
                if let Some(head) = std::str::from_utf8(&head).ok().filter(|h| !h.is_empty()) {
                    let _ = fits(event, &[(HEAD, head)]);
                }
            }
            Before::Gap(Some(gap)) => drop(fits(event, &[(BEFORE, &gap)])),
            Before::Gap(None) => {}
        }
        true
    }

    fn basics(self, event: &mut NewEvent) -> bool {
        let record = self.record.to_string();
        let basics = [(FORMAT, self.format.name()), (FILE, self.file), (RECORD, &record)];
        match &self.body {
            Body::Part { open, close, data } => {
                let part = [(OPEN, &**open), (CLOSE, &**close), (DATA, *data)];
                fits(event, &[&basics[..], &part[..]].concat())
            }
            Body::Record | Body::Own => fits(event, &basics),
        }
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
pub(crate) struct Gap(Vec<Segment>);

#[derive(Debug)]
enum Segment {
    Text(Range<usize>),
    /// The record with this number again.
    Again(usize),
}

impl Gap {
    pub(crate) fn text(&mut self, text: Range<usize>) {
        self.0.push(Segment::Text(text));
    }

    pub(crate) fn again(&mut self, ordinal: usize) {
        self.0.push(Segment::Again(ordinal));
    }

    pub(crate) fn note_tail(&self, event: &mut NewEvent, content: &Content) {
        if let Some(text) = self.noted(content).filter(|_| event.metadata.contains_key(FILE)) {
            let _ = fits(event, &[(TAIL, &text)]);
        }
    }

    /// The value of the metadata entry; `None` for a single newline, and for what metadata cannot hold. The text of a
    /// gap is white space, a comma, or what follows `]`, so a value that begins with `[` is a list of segments.
    pub(crate) fn noted(&self, content: &Content) -> Option<String> {
        let text = |range: &Range<usize>| {
            let bytes = (range.len() <= MAX_METADATA_BYTES).then(|| content.bytes(range.clone()))?;
            std::str::from_utf8(&bytes).ok().map(str::to_owned)
        };
        let mut plain = String::new();
        let mut list = Vec::new();
        for segment in &self.0 {
            match segment {
                Segment::Text(range) => {
                    let text = text(range)?;
                    plain.push_str(&text);
                    list.push(serde_json::Value::from(text));
                }
                Segment::Again(n) => list.push(serde_json::Value::from(*n)),
            }
        }
        if self.0.iter().all(|s| matches!(s, Segment::Text(_))) {
            return (plain != "\n").then_some(plain);
        }
        Some(serde_json::Value::from(list).to_string())
    }
}

/// A file as it was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceFile {
    /// Its name, with a folder in front if several sessions have a file of that name. It never leads out of its
    /// folder.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The number of records in it.
    pub records: usize,
}

/// Collects events, in any order, and restores the files that they came from.
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
    /// Adds an event. One that is inherited by several branches counts once.
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

    /// The number of events that were not imported from a file.
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

/// Whether a recorded event restores the record that this one was made from, given that their payloads are the same.
pub(super) fn is_one_record(recorded: &Event, new: &NewEvent) -> bool {
    [OPEN, CLOSE, DATA].iter().all(|key| recorded.meta(key) == new.metadata.get(*key).map(String::as_str))
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

pub(super) fn write_body(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(record.meta(OPEN).unwrap_or_default().as_bytes());
    match record.meta(DATA) {
        Some("none") => {}
        Some("base64") => out.extend_from_slice(BASE64.encode(record.payload()).as_bytes()),
        Some("text") => json::write_text(&String::from_utf8_lossy(record.payload()), out),
        _ => out.extend_from_slice(record.payload()),
    }
    out.extend_from_slice(record.meta(CLOSE).unwrap_or_default().as_bytes());
}

/// A name for each of these files: its own, with as many folders in front as it takes to tell it from the others and
/// from names that are taken.
pub(super) fn distinct<'p>(
    paths: impl Iterator<Item = &'p str>,
    taken: impl Iterator<Item = String>,
) -> Vec<String> {
    let folders = |path: &str| -> Vec<String> {
        let parts = path.split(['/', '\\']).filter(|p| !matches!(*p, "" | "." | ".."));
        let mut parts: Vec<String> = parts.map(safe).collect();
        if parts.is_empty() {
            parts.push(safe(""));
        }
        parts
    };
    let all: Vec<Vec<String>> = paths.map(folders).collect();
    let mut used: HashSet<String> = taken.collect();
    let mut names: Vec<String> = vec![String::new(); all.len()];
    let mut open: Vec<usize> = (0..all.len()).collect();
    for depth in 1.. {
        let name = |i: usize| {
            let parts = all.get(i).map(Vec::as_slice).unwrap_or_default();
            parts.get(parts.len().saturating_sub(depth)..).unwrap_or_default().join("/")
        };
        let mut count: HashMap<String, usize> = HashMap::new();
        open.iter().for_each(|i| *count.entry(name(*i)).or_default() += 1);
        let is_last = |i: usize| all.get(i).is_none_or(|parts| parts.len() <= depth);
        let mut left = Vec::new();
        for i in open {
            let mut own = name(i);
            if (count.get(&own) != Some(&1) || used.contains(&own)) && !is_last(i) {
                left.push(i);
                continue;
            }
            let mut n = 2;
            while used.contains(&own) {
                own = format!("{}-{n}", name(i));
                n += 1;
            }
            used.insert(own.clone());
            if let Some(slot) = names.get_mut(i) {
                *slot = own;
            }
        }
        open = left;
        if open.is_empty() {
            break;
        }
    }
    names
}

/// A file name that stays in its folder, whatever the metadata contains.
pub(super) fn safe(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\' | ':') { '-' } else { c }).collect();
    match clean.trim_matches('.') {
        "" => "input".to_owned(),
        _ => clean,
    }
}
