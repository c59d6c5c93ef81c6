//! Content as models and their programs write it: a text, or blocks of several kinds within each other.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::part::{Part, within};
use crate::event::Speaker;
use crate::limits::{BRIEF_BYTES, MAX_CONTENT_DEPTH};

/// Members that hold what a block says, in the order in which they are tried.
const SAID: [&str; 13] = [
    "text",
    "thinking",
    "content",
    "summary",
    "message",
    "parts",
    "output",
    "stdout",
    "result",
    "error",
    "refusal",
    "transcript",
    "description",
];

/// Members of an object that only wraps a result.
const WRAPPED: [&str; 3] = ["output", "metadata", "success"];

/// How much of a text is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Detail {
    /// All of it.
    #[default]
    Whole,
    /// The beginning of what the user says, and nothing of others: enough to know who says something, and what it is about.
    Brief,
}

/// The parts that were read so far.
#[derive(Default)]
pub(super) struct Content {
    pub(super) parts: Vec<Part>,
    pub(super) detail: Detail,
}

impl Content {
    pub(super) fn new(detail: Detail) -> Self {
        Self { parts: Vec::new(), detail }
    }

    fn is_brief(&self) -> bool {
        self.detail == Detail::Brief
    }

    /// Adds what a value says. `speaker` says what has no speaker of its own.
    pub(super) fn read(&mut self, value: &Value, speaker: Speaker) {
        self.value(value, speaker, 0);
    }

    fn value(&mut self, value: &Value, speaker: Speaker, depth: usize) {
        if depth > MAX_CONTENT_DEPTH {
            return;
        }
        match value {
            Value::Null => {}
            Value::String(text) if speaker == Speaker::ToolResult && !self.is_brief() => match within(text) {
                // As Codex wraps what a command has printed. Other JSON is what the tool returned.
                Some(Value::Object(members))
                    if !members.is_empty() && members.keys().all(|name| WRAPPED.contains(&name.as_str())) =>
                {
                    self.object(&members, speaker, depth);
                }
                _ => self.say(speaker, text),
            },
            Value::String(text) => self.say(speaker, text),
            Value::Array(items) => items.iter().for_each(|item| self.value(item, speaker, depth + 1)),
            Value::Object(members) => self.object(members, speaker, depth),
            scalar => self.say(speaker, &scalar.to_string()),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, speaker: Speaker, depth: usize) {
        let kind = text(members, &["type", "kind"]).unwrap_or_default();
        if let Some(call) = members.get("functionCall").and_then(Value::as_object) {
            return self.call(call);
        }
        if let Some(answer) = members.get("functionResponse").and_then(Value::as_object) {
            return self.result(answer, depth);
        }
        match kind {
            "tool_use" | "server_tool_use" | "mcp_tool_use" | "toolCall" | "tool_call" | "function_call"
            | "custom_tool_call" | "local_shell_call" | "function" => self.call(members),
            "tool_result"
            | "toolResult"
            | "function_call_output"
            | "custom_tool_call_output"
            | "mcp_tool_result"
            | "web_search_tool_result"
            | "code_execution_tool_result" => {
                self.result(members, depth);
            }
            "thinking" | "thinking_delta" | "reasoning" | "summary_text" | "reasoning_text" | "thought" => {
                self.members(members, Speaker::Thinking, depth);
            }
            "redacted_thinking" => self.say(Speaker::Thinking, "[redacted]"),
            "image" | "input_image" | "image_url" | "output_image" => self.say(speaker, "[image]"),
            "audio" | "input_audio" | "output_audio" => self.say(speaker, "[audio]"),
            "document" | "file" | "input_file" | "resource" | "resource_link"
                if !members.contains_key("text") =>
            {
                let name = text(members, &["title", "name", "filename", "uri"]);
                self.say(speaker, &name.map_or("[file]".to_owned(), |name| format!("[file {name}]")));
            }
            _ if members.get("thought") == Some(&Value::Bool(true)) => {
                self.members(members, Speaker::Thinking, depth);
            }
            // Calls as Gemini CLI lists them.
            _ if members.contains_key("name")
                && (members.contains_key("args") || members.contains_key("arguments")) =>
            {
                self.call(members);
                if let Some(answer) = members.get("result").filter(|answer| !answer.is_null()) {
                    self.answer(answer, members, depth);
                }
            }
            _ if members.contains_key("inlineData") => self.say(speaker, "[data]"),
            _ if is_encoded(members) && self.is_brief() => self.say(speaker, "[data]"),
            _ if is_encoded(members) => {
                let text = text(members, &["data"]).and_then(base64).unwrap_or_else(|| "[data]".to_owned());
                self.say(speaker, &text);
            }
            // A thought as Gemini CLI writes it.
            _ if members.contains_key("subject") && members.contains_key("description") => {
                let said = [text(members, &["subject"]), text(members, &["description"])];
                let said: Vec<&str> = said.into_iter().flatten().collect();
                self.say(Speaker::Thinking, &said.join(": "));
            }
            _ => self.members(members, speaker, depth),
        }
    }

    /// What is in the first member that says something; without one, the object itself.
    fn members(&mut self, members: &Map<String, Value>, speaker: Speaker, depth: usize) {
        let count = self.parts.len();
        for name in SAID {
            if let Some(value) = members.get(name) {
                self.value(value, speaker, depth + 1);
                if self.parts.len() > count {
                    return;
                }
            }
        }
        // An empty block says nothing; other objects are results of tools.
        if !members.contains_key("type") && !members.is_empty() && speaker == Speaker::ToolResult {
            match self.detail {
                Detail::Whole => self.say(speaker, &serde_json::to_string(members).unwrap_or_default()),
                Detail::Brief => self.say(speaker, "{}"),
            }
        }
    }

    fn call(&mut self, members: &Map<String, Value>) {
        let function = members.get("function").and_then(Value::as_object);
        let of = |names: &[&str]| text(members, names).or_else(|| text(function?, names)).map(str::to_owned);
        let places = ["input", "args", "arguments", "parameters", "action"];
        let mut objects = [Some(members), function].into_iter().flatten();
        let arguments = objects
            .find_map(|members| places.iter().find_map(|name| members.get(*name)))
            .filter(|_| self.detail == Detail::Whole);
        let tool = of(&["name", "toolName", "tool_name", "tool"])
            .or_else(|| Some(text(members, &["type"])?.trim_end_matches("_call").to_owned()));
        let id = of(&["id", "call_id", "callId", "toolCallId", "tool_call_id"]);
        self.parts.push(Part::call(tool, arguments, id));
    }

    fn result(&mut self, members: &Map<String, Value>, depth: usize) {
        let places = ["content", "output", "response", "result"];
        let answer = places.iter().find_map(|name| members.get(*name));
        self.answer(answer.unwrap_or(&Value::Null), members, depth);
    }

    /// What a tool returned, in an object that names the call.
    fn answer(&mut self, answer: &Value, members: &Map<String, Value>, depth: usize) {
        let from = self.parts.len();
        self.value(answer, Speaker::ToolResult, depth + 1);
        if self.parts.len() == from {
            self.parts.push(Part::said(Speaker::ToolResult, String::new()));
        }
        let id = text(members, &["tool_use_id", "toolCallId", "call_id", "callId", "id"]);
        let tool = text(members, &["name", "toolName", "tool_name"]);
        let is_error =
            ["is_error", "isError"].iter().any(|name| members.get(*name) == Some(&Value::Bool(true)))
                || text(members, &["status"]) == Some("error");
        for part in self.parts.iter_mut().skip(from) {
            // A function's answer within names itself.
            part.call = part.call.take().or(id.map(str::to_owned));
            part.tool = part.tool.take().or(tool.map(str::to_owned));
            part.is_error |= is_error;
        }
    }

    /// Adds a text, to the part before if the same speaker said that.
    fn say(&mut self, speaker: Speaker, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let is_brief = self.is_brief();
        let text = match (is_brief, speaker) {
            (false, _) => text,
            (true, Speaker::User) => {
                let text = text.trim_start();
                text.get(..text.floor_char_boundary(BRIEF_BYTES)).unwrap_or_default()
            }
            (true, _) => "",
        };
        match self.parts.last_mut() {
            Some(last) if last.speaker == speaker && is_brief && last.text.len() >= BRIEF_BYTES => {}
            Some(last) if last.speaker == speaker && last.call.is_none() && speaker != Speaker::ToolCall => {
                if !last.text.is_empty() && !last.text.ends_with('\n') {
                    last.text.push('\n');
                }
                last.text.push_str(text);
            }
            _ => self.parts.push(Part::said(speaker, text.to_owned())),
        }
    }
}

/// Whether this is a payload of Temporal: its bytes in Base64, and how they are to be read.
fn is_encoded(members: &Map<String, Value>) -> bool {
    members.len() == 2
        && members.contains_key("metadata")
        && members.get("data").is_some_and(Value::is_string)
}

fn base64(text: &str) -> Option<String> {
    String::from_utf8(data_encoding::BASE64.decode(text.as_bytes()).ok()?).ok()
}

/// What a tool was given, of payloads of Temporal what is in them.
pub(super) fn decoded(arguments: &Value) -> Cow<'_, Value> {
    let inner = |payload: &Value| {
        let members = payload.as_object().filter(|members| is_encoded(members))?;
        let text = base64(text(members, &["data"])?)?;
        Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    match arguments {
        Value::Array(items) if !items.is_empty() => {
            let all: Option<Vec<Value>> = items.iter().map(inner).collect();
            match all {
                Some(mut all) if all.len() == 1 => Cow::Owned(all.remove(0)),
                Some(all) => Cow::Owned(Value::Array(all)),
                None => Cow::Borrowed(arguments),
            }
        }
        _ => Cow::Borrowed(arguments),
    }
}

/// The first of these members that is a text with something in it.
fn text<'v>(members: &'v Map<String, Value>, names: &[&str]) -> Option<&'v str> {
    names.iter().filter_map(|name| members.get(*name)?.as_str()).find(|text| !text.is_empty())
}
