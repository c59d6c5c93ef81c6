//! Which of our events is which of theirs.

use serde_json::{Map, Value, json};

use super::record::{Content, Operation, Outcome, ReasoningRole, Record, TextRole, ToolRole, Usage};
use crate::agents::readable::EventUsage;
use crate::event::{Event, Phase, Role, Speaker, pointer_part};
use crate::limits::AG_UI_MESSAGES_BYTES;

/// How a run ended, in words of AG-UI.
pub(super) fn run_end(
    (thread_id, run_id): (String, String),
    phase: Phase,
    role: &Role,
    payload: &Value,
    usage: &EventUsage,
) -> Record {
    let usage = spent(usage);
    if phase == Phase::Failed {
        let message = role.error.text(payload).or_else(|| role.reason.text(payload));
        let message = message.unwrap_or_else(|| "the run failed".to_owned());
        let code = payload.get("code").and_then(Value::as_str).map(str::to_owned);
        return Record::RunError { message, code, usage };
    }
    let outcome = match phase {
        Phase::Completed => Outcome::Success { pending_tool_call_ids: None },
        _ => Outcome::Cancelled,
    };
    let result = payload.get("result").filter(|result| !result.is_null()).cloned();
    Record::RunFinished { thread_id, run_id, result, outcome: Some(outcome), usage }
}

fn spent(usage: &EventUsage) -> Vec<Usage> {
    // Clients take whole numbers, and none below zero.
    let whole = |value: Option<f64>| value.filter(|n| (0.0..9e15).contains(n)).map(|n| n.round() as u64);
    let spent = Usage {
        model: None,
        input_tokens: whole(usage.input),
        output_tokens: whole(usage.output),
        total_tokens: whole(usage.tokens),
        cached_input_tokens: whole(usage.cache_read),
        cache_write_input_tokens: whole(usage.cache_write),
    };
    match spent == Usage::default() {
        true => Vec::new(),
        false => vec![Usage { model: usage.model.clone(), ..spent }],
    }
}

/// What an event of ours says of the agent's state.
pub(super) fn state(kind: &str, payload: &Value) -> Option<Record> {
    match kind {
        "state.changed" => changes(payload).map(|delta| Record::StateDelta { delta }),
        "state.snapshot_created" => {
            let snapshot = payload.get("snapshot").or_else(|| payload.get("state"))?;
            Some(Record::StateSnapshot { snapshot: snapshot.clone() })
        }
        _ => None,
    }
}

fn changes(payload: &Value) -> Option<Vec<Operation>> {
    match payload.get("patch") {
        Some(patch @ Value::Array(_)) => serde_json::from_value(patch.clone()).ok(),
        // A merge of its first level.
        Some(Value::Object(members)) => operations(members),
        _ => {
            let member = (payload.get("key")?.as_str()?.to_owned(), payload.get("value")?.clone());
            operations(&Map::from_iter([member]))
        }
    }
}

fn operations(members: &Map<String, Value>) -> Option<Vec<Operation>> {
    let of = |(name, value): (&String, &Value)| json!({"op": "add", "path": format!("/{}", pointer_part(name)), "value": value});
    serde_json::from_value(Value::Array(members.iter().map(of).collect())).ok()
}

/// A piece of a message: who says it, and what.
pub(super) fn piece(role: &Role, payload: &Value) -> Option<(Speaker, String)> {
    let message = role.message.as_ref()?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match message.text.find(payload)? {
        Value::String(piece) => Some((message.speaker(payload), piece.clone())),
        object => {
            let thought = text(object, "thinking").map(|piece| (Speaker::Thinking, piece));
            thought.or_else(|| Some((Speaker::Assistant, text(object, "text")?)))
        }
    }
}

/// What a tool returned.
pub(super) fn result(id: String, tool_call_id: String, text: String, is_error: bool) -> Record {
    Record::ToolCallResult {
        message_id: id,
        tool_call_id,
        error: is_error.then(|| text.clone()),
        content: Content::Text(text),
        role: Some(ToolRole::Tool),
    }
}

/// What a tool is given, on one line.
pub(super) fn arguments(text: &str) -> String {
    let one_line = |value: Value| value.to_string();
    serde_json::from_str(text).map_or_else(|_| Value::from(text).to_string(), one_line)
}

/// An id for the `n`th thing that an event says.
pub(super) fn numbered(event: &Event, n: usize) -> String {
    match n {
        0 => event.id().to_string(),
        n => format!("{}.{n}", event.id()),
    }
}

/// The message that comes in pieces, if one does.
#[derive(Debug, Default)]
pub(super) struct Talk {
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    /// What its pieces and the whole call it.
    key: Option<String>,
    speaker: Speaker,
    id: String,
    /// What was said so far; nothing more once it is too long.
    text: String,
}

impl Talk {
    /// A piece of a message.
    pub(super) fn piece(&mut self, said: (Speaker, String), key: Option<String>, id: String) -> Vec<Record> {
        let (speaker, text) = said;
        let mut out = Vec::new();
        let goes_on = self.begun.as_ref().is_some_and(|begun| begun.speaker == speaker && begun.key == key);
        if !goes_on {
            out = self.end();
            let id = key.as_deref().map_or(id, |key| named(key, speaker));
            out.extend(starts(speaker, &id));
            self.begun = Some(Begun { key, speaker, id, text: String::new() });
        }
        if let Some(begun) = &mut self.begun {
            out.push(content(speaker, &begun.id, text.clone()));
            if begun.text.len() <= AG_UI_MESSAGES_BYTES {
                begun.text.push_str(&text);
            }
        }
        out
    }

    /// A whole message. What its pieces have said is not said again.
    pub(super) fn whole(
        &mut self,
        speaker: Speaker,
        key: Option<&str>,
        text: String,
        id: String,
    ) -> (String, Vec<Record>) {
        let may_be = |begun: &Begun| {
            let is_other = begun.key.as_deref().zip(key).is_some_and(|(theirs, ours)| theirs != ours);
            begun.speaker == speaker && !is_other
        };
        if let Some(begun) = self.begun.take_if(|begun| may_be(begun) && text.starts_with(&*begun.text)) {
            let rest = text.get(begun.text.len()..).filter(|rest| !rest.is_empty());
            let mut out: Vec<Record> =
                rest.map(|rest| content(speaker, &begun.id, rest.to_owned())).into_iter().collect();
            out.extend(ends(speaker, &begun.id));
            return (begun.id, out);
        }
        let mut out = self.end();
        out.extend(starts(speaker, &id));
        out.push(content(speaker, &id, text));
        out.extend(ends(speaker, &id));
        (id, out)
    }

    /// Nothing more comes of the message that comes in pieces.
    pub(super) fn end(&mut self) -> Vec<Record> {
        self.begun.take().map(|begun| ends(begun.speaker, &begun.id)).unwrap_or_default()
    }
}

/// The id of a message that has one of its own. Thoughts beside it need another.
pub(super) fn named(key: &str, speaker: Speaker) -> String {
    match speaker {
        Speaker::Thinking => format!("{key}-thinking"),
        _ => key.to_owned(),
    }
}

fn starts(speaker: Speaker, id: &str) -> Vec<Record> {
    let message_id = id.to_owned();
    let role = match speaker {
        Speaker::Thinking => {
            let start = Record::ReasoningStart { message_id: message_id.clone() };
            return vec![start, Record::ReasoningMessageStart { message_id, role: ReasoningRole::Reasoning }];
        }
        Speaker::User => TextRole::User,
        Speaker::System => TextRole::System,
        _ => TextRole::Assistant,
    };
    vec![Record::TextMessageStart { message_id, role, name: None }]
}

fn content(speaker: Speaker, id: &str, delta: String) -> Record {
    let message_id = id.to_owned();
    match speaker {
        Speaker::Thinking => Record::ReasoningMessageContent { message_id, delta },
        _ => Record::TextMessageContent { message_id, delta },
    }
}

fn ends(speaker: Speaker, id: &str) -> Vec<Record> {
    let message_id = id.to_owned();
    match speaker {
        Speaker::Thinking => {
            let end = Record::ReasoningMessageEnd { message_id: message_id.clone() };
            vec![end, Record::ReasoningEnd { message_id }]
        }
        _ => vec![Record::TextMessageEnd { message_id }],
    }
}
