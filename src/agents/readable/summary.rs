//! An event on one line.

use serde_json::{Map, Value};

use super::part::Part;
use crate::agents::one_line;
use crate::event::{Record, Role, Speaker};

/// Characters of a line.
const LINE: usize = 240;
/// Members that every record of some program has, or that say nothing to people.
const NOISE: [&str; 40] = [
    "agent_id",
    "apiVersion",
    "created_at",
    "cwd",
    "entrypoint",
    "eventId",
    "eventTime",
    "eventType",
    "event_id",
    "gitBranch",
    "id",
    "isMeta",
    "isSidechain",
    "kind",
    "level",
    "messageId",
    "message_id",
    "parentId",
    "parentToolUseID",
    "parentUuid",
    "parent_id",
    "parent_tool_use_id",
    "promptId",
    "requestId",
    "schema_version",
    "seq",
    "sequence",
    "sessionId",
    "session_id",
    "slug",
    "source",
    "taskId",
    "threadId",
    "time",
    "timestamp",
    "type",
    "userType",
    "uuid",
    "version",
    "workerMayIgnore",
];
/// Members in which some programs put everything that a record says.
const ENVELOPES: [&str; 4] = ["payload", "data", "args", "extras"];
/// Members of our own payloads that say it without their name.
const PLAIN: [&str; 22] = [
    "branch",
    "command",
    "content",
    "description",
    "decision",
    "error",
    "feedback",
    "goal",
    "label",
    "line",
    "message",
    "name",
    "note",
    "path",
    "reason",
    "stage",
    "status",
    "summary",
    "task",
    "text",
    "title",
    "tool",
];
/// Members of an object that are looked at.
const LOOKED_AT: usize = 64;

/// A text on one line.
pub(super) fn line(text: &str) -> String {
    one_line(text, LINE)
}

/// What is said: the first text, and the calls of tools.
pub(super) fn of_parts(parts: &[Part]) -> String {
    let calls: Vec<String> =
        parts.iter().filter(|part| part.speaker == Speaker::ToolCall).map(call).collect();
    let says = |part: &&Part| part.speaker != Speaker::ToolCall && !part.text.trim().is_empty();
    let aloud = parts.iter().filter(says).find(|part| part.speaker != Speaker::Thinking);
    // A thought that led to a call is told by the call.
    let thought = parts.iter().find(says).filter(|_| calls.is_empty());
    let mut said = aloud.or(thought).map(|part| line(head(&part.text))).unwrap_or_default();
    for call in calls {
        if said.chars().count() >= LINE {
            break;
        }
        if !said.is_empty() {
            said.push_str(" → ");
        }
        said.push_str(&call);
    }
    line(&said)
}

/// As much of a text as a line can show.
fn head(text: &str) -> &str {
    let end = text.char_indices().nth(8 * LINE).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

fn call(part: &Part) -> String {
    let tool = part.tool.as_deref().unwrap_or("tool");
    match &part.subject {
        Some(subject) => format!("{tool} {subject}"),
        None => tool.to_owned(),
    }
}

/// What a payload that is no JSON says.
pub(super) fn of_bytes(content_type: &str, payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) if content_type.starts_with("text/") => text.to_owned(),
        _ => format!("{} bytes of {content_type}", payload.len()),
    }
}

/// What the fields of an event say that nobody says.
pub(super) fn of_fields(role: &Role, payload: &Value, event: &Record) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut add = |text: Option<String>| {
        let text = text.map(|text| line(head(&text))).filter(|text| !text.is_empty());
        // What was said already is not said again with its name before it.
        let is_said = |text: &String| {
            let is_in = |other: &String| {
                other.ends_with(text.as_str()) || (other.len() > 8 && text.ends_with(other.as_str()))
            };
            said.iter().any(is_in)
        };
        if let Some(text) = text.filter(|text| !is_said(text)) {
            said.push(text);
        }
    };
    if let Some(entity) = &role.entity {
        add(entity.name(payload));
        add(entity.id.text(payload).filter(|_| !entity.whole).or_else(|| {
            event.correlation().filter(|_| !entity.whole && !entity.id.is_empty()).map(str::to_owned)
        }));
    }
    if let Some(progress) = &role.progress {
        let progress = progress.read(payload);
        add(progress.fraction.map(|part| format!("{:.0}%", part * 100.0)));
        add(progress.stage);
        add(progress.milestone);
        add(progress.description);
    }
    add(role.error.text(payload));
    add(role.reason.text(payload));
    fields(payload, &mut add, (0, false));
    if said.is_empty() {
        // Ids are better than nothing.
        let mut add = |text: Option<String>| said.extend(text);
        fields(payload, &mut add, (0, true));
    }
    line(&said.join(" · "))
}

fn fields(payload: &Value, add: &mut impl FnMut(Option<String>), (depth, with_ids): (usize, bool)) {
    let members: &Map<String, Value> = match payload {
        Value::Object(members) => members,
        Value::Null => return,
        Value::Array(items) => return add(Some(format!("{} items", items.len()))),
        scalar => return add(plain(scalar)),
    };
    // What is plain comes first.
    let shown = || members.iter().filter(|(name, _)| !NOISE.contains(&name.as_str())).take(LOOKED_AT);
    let is_plain = |name: &str| PLAIN.contains(&name);
    shown().filter(|(name, _)| is_plain(name)).for_each(|(_, value)| add(plain(value)));
    for (name, value) in shown().filter(|(name, _)| !is_plain(name) && (with_ids || !is_id(name))) {
        match value {
            Value::Object(_) if depth == 0 && is_envelope(name) => fields(value, add, (depth + 1, with_ids)),
            Value::Object(inner) => add(plain_of(inner).map(|text| format!("{name} {text}"))),
            Value::Array(items) if !items.is_empty() => {
                let texts: Option<Vec<&str>> = items.iter().take(3).map(Value::as_str).collect();
                let more = if items.len() > 3 { " …" } else { "" };
                add(Some(match texts {
                    Some(texts) => format!("{name} {}{more}", texts.join(", ")),
                    None => format!("{} {name}", items.len()),
                }));
            }
            Value::Array(_) => {}
            scalar => add(plain(scalar).map(|text| format!("{name} {text}"))),
        }
    }
}

fn is_envelope(name: &str) -> bool {
    ENVELOPES.contains(&name) || name.ends_with("EventAttributes")
}

/// Whether a member names something that people do not know by its id.
fn is_id(name: &str) -> bool {
    ["_id", "Id", "ID", "_uuid", "Uuid", "_at", "Timestamp"].iter().any(|end| name.ends_with(end))
}

/// The name or the text of an object within.
fn plain_of(members: &Map<String, Value>) -> Option<String> {
    ["name", "title", "text", "message", "type", "value"].iter().find_map(|name| plain(members.get(*name)?))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
