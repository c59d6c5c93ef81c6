//! Makes names that other programs chose legal here.

use std::borrow::Cow;

use crate::event::{self, BranchName, Catalogue, EventId, Invalid, SessionId, Timestamp};
use crate::limits::{MAX_NAME_BYTES, MAX_TEXT_BYTES};

use super::ids;

/// Bytes of a type's last part, so that any prefix still fits.
const MAX_PART_BYTES: usize = 64;

/// A session named as in the source. In a name that is not legal, illegal characters become `-`, and eight digits of
/// its hash keep it apart from others like it.
pub(crate) fn session(name: &str) -> Result<SessionId, Invalid> {
    SessionId::new(legal(name, "session"))
}

/// The same for a branch.
pub(crate) fn branch(name: &str) -> Result<BranchName, Invalid> {
    BranchName::new(legal(name, "branch"))
}

fn legal<'a>(name: &'a str, empty: &'a str) -> Cow<'a, str> {
    if name.is_empty() {
        return Cow::Borrowed(empty);
    }
    let is_bad = |c: char| c.is_control() || matches!(c, '/' | '@' | '*' | '?' | '\\');
    if name.len() <= MAX_NAME_BYTES && name != "." && name != ".." && !name.contains(is_bad) {
        return Cow::Borrowed(name);
    }
    let mark = short(ids::derived(ids::NAMES, &[name.as_bytes()]));
    let clean: String = name.chars().map(|c| if is_bad(c) { '-' } else { c }).collect();
    Cow::Owned(format!("{}-{mark}", cut(&clean, MAX_NAME_BYTES - mark.len() - 1)))
}

/// The first eight digits of an id.
pub(crate) fn short(id: EventId) -> String {
    id.to_string().chars().take(8).collect()
}

/// The last part of a file's path.
pub(crate) fn file_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("input")
}

/// A file's name without its folder and its format extensions: the name of a session when nothing else names it.
pub(crate) fn stem(name: &str) -> &str {
    let name = file_name(name);
    match name.split_once('.') {
        Some(("", _)) | None => name,
        Some(_) => ["jsonl", "ndjson", "json", "cloudevents", "aios", "retold"]
            .iter()
            .fold(name, |n, extension| without(n, extension).unwrap_or(n)),
    }
}

/// A name without this extension, in any case of letters.
fn without<'n>(name: &'n str, extension: &str) -> Option<&'n str> {
    let (stem, last) = name.rsplit_once('.')?;
    last.eq_ignore_ascii_case(extension).then_some(stem)
}

/// The session that was asked for, or one named after the file.
pub(crate) fn session_or_stem(asked: Option<&SessionId>, file: &str) -> Result<SessionId, Invalid> {
    match asked {
        Some(session) => Ok(session.clone()),
        None => session(stem(file)),
    }
}

/// Whether a file's name says that it has one record, or one run, per line.
pub(crate) fn is_lines(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}

/// A name of any spelling as one part of a type: `WorkflowTaskStarted` and `WORKFLOW-TASK-STARTED` both give
/// `workflow_task_started`.
pub(crate) fn snake(name: &str) -> String {
    let end = name.char_indices().nth(MAX_PART_BYTES).map_or(name.len(), |(at, _)| at);
    let out = event::snake(name.get(..end).unwrap_or(name));
    if out.is_empty() { "unknown".to_owned() } else { out }
}

/// The type that a table gives a record, or `<source>.<name>` if it is not in the table.
pub(crate) fn kind(table: &[(&str, &'static str)], source: &str, name: &str) -> Cow<'static, str> {
    match table.iter().find(|(theirs, _)| *theirs == name) {
        Some((_, ours)) => Cow::Borrowed(ours),
        None => Cow::Owned(format!("{source}.{}", snake(name))),
    }
}

/// The type of the catalogue that has this name in any spelling: `PLAN_CREATED` and `plan_created` for
/// `plan.created`.
pub(crate) fn known(name: &str) -> Option<Cow<'static, str>> {
    Catalogue::builtin().find(name).map(|t| Cow::Borrowed(t.name()))
}

/// A text for `source`, `actor` or `correlation`, without what those may not contain.
pub(crate) fn label(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    cut(&clean, MAX_TEXT_BYTES).to_owned()
}

fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A time with or without a zone; without one it is UTC.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::check_kind;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_of_a_name_are_one_type() {
        for name in [
            "WorkflowTaskStarted",
            "WORKFLOW_TASK_STARTED",
            "workflow-task-started",
            "workflow task  started",
        ] {
            assert_eq!(snake(name), "workflow_task_started");
        }
        assert_eq!(snake("LLMCompletionLogEvent"), "llm_completion_log_event");
        assert_eq!(snake("…"), "unknown");
    }

    #[test]
    fn a_file_is_called_by_its_stem() {
        for (name, want) in [
            ("a/b/run-1.jsonl", "run-1"),
            ("C:\\x\\run.v2.json", "run.v2"),
            ("events.cloudevents.ndjson", "events"),
            ("RUN.Jsonl", "RUN"),
            (".hidden", ".hidden"),
            ("x/", "x"),
            ("", "input"),
        ] {
            assert_eq!(stem(name), want);
        }
    }

    #[test]
    fn two_illegal_names_stay_two() {
        let (a, b) = (session("x/1").unwrap(), session("x@1").unwrap());
        assert!(a.as_str().starts_with("x-1-") && b.as_str().starts_with("x-1-"));
        assert_ne!(a, b);
        assert_eq!(session("plain name").unwrap().as_str(), "plain name");
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        assert_eq!(time("2025-01-27T22:44:56.900854"), time("2025-01-27T22:44:56.900854Z"));
        assert_eq!(time("2022-07-01T20:20:50.157120545Z").unwrap().micros() % 1_000_000, 157_120);
        assert_eq!(time("yesterday"), None);
    }

    proptest! {
        #[test]
        fn every_name_becomes_legal(name in "\\PC{0,300}|[\\x00-\\x7f]{0,300}") {
            session(&name).unwrap();
            branch(&name).unwrap();
            check_kind(&kind(&[], "claude_code", &name)).unwrap();
            prop_assert!(label(&name).len() <= MAX_TEXT_BYTES);
        }
    }
}
