//! The argument that tells one call of a tool from another.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::one_line::one_line;
use crate::limits::MAX_TELLING_CHARS;

/// Where a call has its arguments, in our own payloads and in those that are imported.
const ARGUMENTS: [&str; 14] = [
    "/args",
    "/arguments",
    "/input",
    "/kind/arguments",
    "/kind/input",
    "/payload/arguments",
    "/payload/input",
    "/payload/action",
    "/payload/invocation/arguments",
    "/data/arguments",
    "/function/arguments",
    "/tool_call/function/arguments",
    "/tool_call/arguments",
    "/action",
];

/// Lists in which the first item that has arguments counts, and the members under which it has them.
const LISTS: [(&str, &[&str]); 3] = [
    ("/message/content", &["input", "arguments"]),
    ("/content", &["input", "arguments"]),
    ("/toolCalls", &["args", "arguments"]),
];

/// What is looked for, and where: together they tell more than either.
const SEARCHES: [&str; 4] = ["pattern", "query", "regex", "glob"];
const PLACES: [&str; 4] = ["path", "file_path", "directory", "dir"];

/// Names of arguments, the most telling first.
const NAMES: [&str; 29] = [
    "command",
    "cmd",
    "file_path",
    "filePath",
    "notebook_path",
    "path",
    "file",
    "filename",
    "pattern",
    "query",
    "regex",
    "glob",
    "url",
    "uri",
    "skill",
    "description",
    "prompt",
    "task",
    "question",
    "message",
    "text",
    "title",
    "name",
    "id",
    "directory",
    "dir",
    "code",
    "script",
    "thought",
];

/// Lines of a patch that name a file.
const PATCHED: [&str; 3] = ["*** Update File: ", "*** Add File: ", "*** Delete File: "];

/// What tells an entity from others of its kind and name, for [`Timeline::detailed`](crate::project::Timeline::detailed):
/// of a tool, the argument of its call that says most, such as the command or the file.
///
/// ```
/// use retold::agents::detail_of;
/// let call = serde_json::json!({"tool": "Grep", "args": {"pattern": "normalize", "path": "src/"}});
/// assert_eq!(detail_of("tool", &call).as_deref(), Some("normalize src/"));
/// ```
#[must_use]
pub fn detail_of(kind: &str, payload: &Value) -> Option<String> {
    match kind {
        "tool" => arguments(payload).and_then(|arguments| telling(&arguments)),
        _ => None,
    }
}

/// The arguments of a call, in the payload of an event.
pub(crate) fn arguments(payload: &Value) -> Option<Cow<'_, Value>> {
    let direct = || ARGUMENTS.iter().find_map(|at| payload.pointer(at).filter(|value| !is_blank(value)));
    let in_lists = || {
        LISTS.iter().find_map(|(at, names)| {
            let items = payload.pointer(at)?.as_array()?;
            items.iter().find_map(|item| names.iter().find_map(|name| item.get(*name)))
        })
    };
    let found = direct().or_else(in_lists)?;
    // Some programs write them as JSON in a text.
    let inner = found.as_str().filter(|text| text.trim_start().starts_with('{'));
    let parsed = inner.and_then(|text| serde_json::from_str::<Value>(text).ok());
    Some(parsed.map_or(Cow::Borrowed(found), Cow::Owned))
}

/// The argument that says most, on one line and cut to [`MAX_TELLING_CHARS`]: one with a known name, or the first text.
pub(crate) fn telling(arguments: &Value) -> Option<String> {
    let text = match arguments {
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => command(words).or_else(|| words.iter().find_map(telling)),
        Value::Object(members) => of_members(members),
        _ => None,
    };
    text.map(|text| one_line(&patched(&text).unwrap_or(text), MAX_TELLING_CHARS))
        .filter(|text| !text.is_empty())
}

fn of_members(members: &Map<String, Value>) -> Option<String> {
    let of = |names: &[&str]| names.iter().find_map(|name| said(members.get(*name)?));
    let is_search = !["command", "cmd"].iter().any(|name| members.contains_key(*name));
    if let (Some(what), true) = (of(&SEARCHES), is_search) {
        return Some(match of(&PLACES) {
            Some(place) => format!("{what} {place}"),
            None => what,
        });
    }
    of(&NAMES).or_else(|| members.values().find_map(said)).or_else(|| members.values().find_map(telling))
}

/// The text of an argument.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Array(words) => command(words),
        _ => None,
    }
}

/// The words of a command. A shell that only runs a script is left out.
fn command(words: &[Value]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(Value::as_str).collect::<Option<_>>()?;
    match words.as_slice() {
        [] => None,
        [shell, "-c" | "-lc", script] if is_shell(shell) => Some((*script).to_owned()),
        words => Some(words.join(" ")),
    }
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("bash" | "sh" | "zsh"))
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// The files that a patch changes.
fn patched(text: &str) -> Option<String> {
    if !text.contains("*** Begin Patch") {
        return None;
    }
    let files = text.lines().filter_map(|line| PATCHED.iter().find_map(|begin| line.strip_prefix(begin)));
    Some(files.collect::<Vec<_>>().join(" ")).filter(|files| !files.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_argument_that_says_most_is_found_in_every_form_of_a_call() {
        for (payload, told) in [
            (json!({"args": {"command": "cargo test", "description": "Run the tests"}}), "cargo test"),
            (json!({"args": {"file_path": "src/main.rs", "limit": 20}}), "src/main.rs"),
            (json!({"args": {"pattern": "normalize", "path": "src/"}}), "normalize src/"),
            (json!({"arguments": {"query": "rust book"}}), "rust book"),
            (json!({"args": "test login"}), "test login"),
            (json!({"payload": {"arguments": "{\"command\":[\"bash\",\"-lc\",\"ls -l\"]}"}}), "ls -l"),
            (json!({"payload": {"arguments": "{broken"}}), "{broken"),
            (json!({"input": {"cmd": ["git", "log", "-1"]}}), "git log -1"),
            (
                json!({"message": {"content": [{"type": "text"}, {"input": {"url": "https://a.b"}}]}}),
                "https://a.b",
            ),
            (json!({"toolCalls": [{"name": "ls", "args": {"dir_path": "docs"}}]}), "docs"),
            (json!({"args": {"prompt": "  find\n the\tcause ", "subagent": "x"}}), "find the cause"),
            (json!({"args": {"n": 3, "who": "mara"}}), "mara"),
            (
                json!({"payload": {"input": "*** Begin Patch\n*** Update File: a.rs\n@@\n*** Add File: b.rs\n"}}),
                "a.rs b.rs",
            ),
            (json!({"args": {"n": 3, "deep": {"path": "a/b"}}}), "a/b"),
        ] {
            assert_eq!(detail_of("tool", &payload).as_deref(), Some(told), "{payload}");
        }
    }

    #[test]
    fn nothing_is_told_where_there_is_nothing_to_tell() {
        for payload in [
            json!(null),
            json!({}),
            json!({"args": null}),
            json!({"args": {}}),
            json!({"args": {"n": 3}}),
            json!({"args": "  \n"}),
            json!({"args": []}),
            json!({"result": {"command": "no argument"}}),
        ] {
            assert_eq!(detail_of("tool", &payload), None, "{payload}");
        }
        assert_eq!(detail_of("agent", &json!({"args": {"command": "ls"}})), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,200}|[ \n\t]{0,4}".prop_map(Value::from),
        ];
        let name = prop_oneof!["[a-z]{1,4}", Just("args".to_owned()), Just("command".to_owned())];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        /// Whatever the arguments are: one line that is neither empty nor long.
        #[test]
        fn what_is_told_fits_on_a_line(arguments in any_json()) {
            if let Some(told) = detail_of("tool", &json!({ "args": arguments })) {
                prop_assert!(!told.trim().is_empty() && !told.contains('\n'));
                prop_assert!(told.chars().count() <= MAX_TELLING_CHARS + 1, "{}", told);
            }
        }
    }
}
