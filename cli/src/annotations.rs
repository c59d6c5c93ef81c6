//! The labels of a session and the notes on it, for people.

use unicode_width::UnicodeWidthStr;

use super::span::ago;
use super::style::{DIM, NAME, paint};
use super::table::{clean, shorten};
use retold::agents::projections::{Annotated, Note};
use retold::event::Timestamp;

/// How many notes are shown.
const NOTES: usize = 4;

/// Each label, to be shown side by side.
pub(super) fn labels(annotated: &Annotated) -> Vec<String> {
    let label = |(key, value): (&String, &str)| match value {
        "" => paint(NAME, clean(key)),
        value => format!("{}={}", paint(NAME, clean(key)), clean(value)),
    };
    annotated.labels.iter().map(|(key, label)| (key, label.value.as_str())).map(label).collect()
}

/// The latest notes, newest first, each on a line of at most this many columns.
pub(super) fn notes(annotated: &Annotated, now: Timestamp, room: usize) -> Vec<String> {
    let line = |note: &Note| {
        let by = note.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let when = clean(&format!("{} ago{by}:", ago(note.time, now)));
        let text = shorten(&clean(&note.text), room.saturating_sub(when.width() + 1).max(10));
        format!("{} {text}", paint(DIM, when))
    };
    let shown = annotated.notes.iter().rev().take(NOTES);
    let mut lines: Vec<String> = shown.map(line).collect();
    let more = annotated.noted.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(paint(DIM, format!("… and {more} more")));
    }
    lines
}
