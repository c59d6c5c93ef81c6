//! One event of AG-UI, with the members that clients insist on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The largest whole number that a JavaScript client has.
const MAX_NUMBER: i64 = 9_007_199_254_740_991;

/// An event of AG-UI. What is written has these members in this order; what is read may have others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub(super) enum Record {
    RunStarted {
        thread_id: String,
        run_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_run_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol_version: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Input>,
    },
    RunFinished {
        thread_id: String,
        run_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        usage: Vec<Usage>,
    },
    RunError {
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        usage: Vec<Usage>,
    },
    StepStarted {
        step_name: String,
    },
    StepFinished {
        step_name: String,
    },
    TextMessageStart {
        message_id: String,
        #[serde(default)]
        role: TextRole,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    TextMessageContent {
        message_id: String,
        delta: String,
    },
    TextMessageEnd {
        message_id: String,
    },
    TextMessageChunk {
        #[serde(default)]
        message_id: Option<String>,
        #[serde(default)]
        role: Option<TextRole>,
        #[serde(default)]
        delta: Option<String>,
        #[serde(default)]
        name: Option<String>,
    },
    ToolCallStart {
        tool_call_id: String,
        tool_call_name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_message_id: Option<String>,
    },
    ToolCallArgs {
        tool_call_id: String,
        delta: String,
    },
    ToolCallEnd {
        tool_call_id: String,
    },
    ToolCallChunk {
        #[serde(default)]
        tool_call_id: Option<String>,
        #[serde(default)]
        tool_call_name: Option<String>,
        #[serde(default)]
        parent_message_id: Option<String>,
        #[serde(default)]
        delta: Option<String>,
    },
    ToolCallResult {
        message_id: String,
        tool_call_id: String,
        content: Content,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<ToolRole>,
        /// What went wrong: a member that clients pass on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    StateSnapshot {
        snapshot: Value,
    },
    StateDelta {
        delta: Vec<Operation>,
    },
    MessagesSnapshot {
        messages: Vec<Message>,
    },
    ReasoningStart {
        message_id: String,
    },
    ReasoningMessageStart {
        message_id: String,
        role: ReasoningRole,
    },
    ReasoningMessageContent {
        message_id: String,
        delta: String,
    },
    ReasoningMessageEnd {
        message_id: String,
    },
    ReasoningMessageChunk {
        #[serde(default)]
        message_id: Option<String>,
        #[serde(default)]
        delta: Option<String>,
    },
    ReasoningEnd {
        message_id: String,
    },
    ReasoningEncryptedValue {
        subtype: EncryptedSubtype,
        entity_id: String,
        encrypted_value: String,
    },
    ActivitySnapshot {
        message_id: String,
        activity_type: String,
        content: Map<String, Value>,
        #[serde(default)]
        replace: Option<bool>,
    },
    ActivityDelta {
        message_id: String,
        activity_type: String,
        patch: Vec<Operation>,
    },
    Custom {
        name: String,
        value: Value,
    },
    Raw {
        event: Value,
        #[serde(default)]
        source: Option<String>,
    },
}

/// What every event of AG-UI may have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Base {
    timestamp: Option<i64>,
    #[serde(rename = "metadata")]
    _metadata: Option<Map<String, Value>>,
    #[serde(rename = "subagentRunId")]
    _subagent_run_id: Option<String>,
}

impl Record {
    /// An event that clients accept, if this is one. Its optional members are there or not, and never null.
    pub(super) fn read(text: &str) -> Option<Self> {
        let base: Base = serde_json::from_str(text).ok()?;
        let fits = base.timestamp.is_none_or(|time| time.abs() <= MAX_NUMBER);
        fits.then(|| serde_json::from_str(text).ok()).flatten()
    }

    /// The event as JSON, with a time in milliseconds.
    pub(super) fn write(&self, timestamp: Option<i64>) -> String {
        #[derive(Serialize)]
        struct Timed<'a> {
            #[serde(flatten)]
            record: &'a Record,
            #[serde(skip_serializing_if = "Option::is_none")]
            timestamp: Option<i64>,
        }
        let timestamp = timestamp.filter(|time| time.abs() <= MAX_NUMBER);
        serde_json::to_string(&Timed { record: self, timestamp }).unwrap_or_default()
    }
}

/// The members that may be null.
pub(super) const NULLABLE: [&str; 3] = ["snapshot", "value", "event"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TextRole {
    Developer,
    System,
    #[default]
    Assistant,
    User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToolRole {
    Tool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasoningRole {
    Reasoning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EncryptedSubtype {
    ToolCall,
    Message,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Outcome {
    Success {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pending_tool_call_ids: Option<Vec<String>>,
    },
    Cancelled,
    Interrupt {
        interrupts: Vec<Interrupt>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Interrupt {
    pub(super) id: String,
    pub(super) reason: String,
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

/// The tokens of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Usage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cached_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_write_input_tokens: Option<u64>,
}

/// What a tool returned, or what somebody says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ContentPart {
    Text { text: String },
    Image { source: Source },
    Audio { source: Source },
    Video { source: Source },
    Document { source: Source },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Source {
    Data { value: String, mime_type: String },
    Url { value: String },
    File { value: String },
}

/// An operation of JSON Patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Operation {
    Add { path: At, value: Value },
    Replace { path: At, value: Value },
    Test { path: At, value: Value },
    Remove { path: At },
    Move { from: At, path: At },
    Copy { from: At, path: At },
}

/// A JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct At(String);

impl TryFrom<String> for At {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_escaped = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        match text.is_empty() || (text.starts_with('/') && text.split('/').all(is_escaped)) {
            true => Ok(Self(text)),
            false => Err("is not a JSON pointer"),
        }
    }
}

/// A message of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Message {
    Developer {
        id: String,
        content: String,
    },
    System {
        id: String,
        content: String,
    },
    User {
        id: String,
        content: Content,
    },
    Assistant {
        id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call>,
    },
    Tool {
        id: String,
        content: Content,
        tool_call_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Reasoning {
        id: String,
        content: String,
    },
    Activity {
        id: String,
        activity_type: String,
        content: Map<String, Value>,
    },
}

/// A call of a tool, in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: CallKind,
    pub(super) function: Function,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallKind {
    Function,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) arguments: String,
}

/// What a run was given. The rest of it may be anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    thread_id: String,
    run_id: String,
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Named>,
    #[serde(default)]
    context: Vec<Described>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Named {
    name: String,
    description: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Described {
    description: String,
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_members_in_order_and_its_time_last() {
        let record = Record::RunStarted {
            thread_id: "t".into(),
            run_id: "r".into(),
            parent_run_id: None,
            protocol_version: None,
            input: None,
        };
        let text = r#"{"type":"RUN_STARTED","threadId":"t","runId":"r","timestamp":5}"#;
        assert_eq!(record.write(Some(5)), text);
        assert_eq!(Record::read(text), Some(record));
    }

    #[test]
    fn what_clients_refuse_is_no_record() {
        for bad in [
            r#"{"type":"RUN_STARTED","threadId":"t"}"#,
            r#"{"type":"THINKING_START"}"#,
            r#"{"type":"CUSTOM","name":"x"}"#,
            r#"{"type":"TEXT_MESSAGE_END","messageId":"m","timestamp":1.5}"#,
            r#"{"type":"TEXT_MESSAGE_END","messageId":"m","metadata":[]}"#,
            r#"{"type":"TEXT_MESSAGE_START","messageId":"m","role":"tool"}"#,
            r#"{"type":"STATE_DELTA","delta":[{"op":"add","path":"x","value":1}]}"#,
            r#"{"type":"STATE_DELTA","delta":[{"op":"add","path":"/~2","value":1}]}"#,
            r#"{"type":"STATE_DELTA","delta":[{"op":"add","path":"/x"}]}"#,
            r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","outcome":{"type":"other"}}"#,
            r#"{"type":"MESSAGES_SNAPSHOT","messages":[{"id":"a","role":"user"}]}"#,
        ] {
            assert_eq!(Record::read(bad), None, "{bad}");
        }
        for good in [
            r#"{"type":"CUSTOM","name":"x","value":null}"#,
            r#"{"type":"STATE_DELTA","delta":[{"op":"remove","path":"/a~1b"}]}"#,
            r#"{"type":"MESSAGES_SNAPSHOT","messages":[{"id":"a","role":"assistant"}]}"#,
        ] {
            assert!(Record::read(good).is_some(), "{good}");
        }
    }
}
