//! Events as people read them: who says what, which tool is called with what, and each on one line.
//!
//! The catalogue says where that stands in the events of a type ([`Role::message`](crate::event::roles::Role::message)), in our own
//! and in those that were imported from other programs. Nothing here fails: of an event that says nothing known there is the one line.

mod content;
mod part;
mod summary;
mod told_once;
mod usage;

pub use part::Part;
pub use told_once::ToldOnce;
pub use usage::EventUsage;

use std::sync::LazyLock;

use serde_json::Value;

use crate::event::{Catalogue, Phase, Record, Role, Speaker};
use content::{Content, Detail, decoded};

/// What people read of an event.
///
/// ```
/// use retold::agents::readable::Readable;
/// use retold::event::roles::Speaker;
/// use retold::{NewEvent, Store, event::Catalogue};
/// let store = Store::in_memory()?;
/// let call = serde_json::json!({"tool": "grep", "args": {"pattern": "normalize", "path": "src/"}});
/// let event = NewEvent::new("tool.invoked").data(call);
/// let id = event.id();
/// store.append("run-7", event)?;
/// let event = store.get(id)?;
/// let readable = Readable::of(&event, Catalogue::builtin());
/// assert_eq!(readable.summary, "grep normalize src/");
/// assert_eq!(readable.parts[0].speaker, Speaker::ToolCall);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Readable {
    /// Who says it, if the type is one that people read. In a part it may be somebody else.
    pub speaker: Option<Speaker>,
    /// The event on one line of at most 240 characters; it can be empty.
    pub summary: String,
    /// What is said, in order. Empty for types that nobody says.
    pub parts: Vec<Part>,
    /// What it cost, if it says so.
    pub usage: EventUsage,
    /// The phase that it reports, if it is about something that has one.
    pub phase: Option<Phase>,
}

impl Readable {
    /// Reads an event. The catalogue has to be the one with the user's own types, if there are any.
    #[must_use]
    pub fn of(event: &Record, catalogue: &Catalogue) -> Self {
        let read = Read::new(event, catalogue);
        let (summary, speaker) = (read.summary(event), read.speaker);
        let (usage, phase) = (EventUsage::of(read.role, &read.payload), read.role.phase(&read.payload));
        Self { speaker, summary, parts: read.parts, usage, phase }
    }
}

/// What is said in an event, and by whom, without what `Readable` tells beside it: the search reads it of every event.
/// Where nothing is, its line is all there is.
pub(crate) fn said_or_line(
    event: &Record,
    catalogue: &Catalogue,
) -> (Option<Speaker>, Result<Vec<Part>, String>) {
    let read = Read::new(event, catalogue);
    let said = if read.parts.is_empty() { Err(read.summary(event)) } else { Ok(read.parts) };
    (read.speaker, said)
}

/// An event of which what is said was read.
struct Read<'a> {
    role: &'a Role,
    payload: Value,
    speaker: Option<Speaker>,
    parts: Vec<Part>,
    /// What stands for it when its payload is no JSON.
    bytes: Option<String>,
}

impl<'a> Read<'a> {
    fn new(event: &Record, catalogue: &'a Catalogue) -> Self {
        static NONE: LazyLock<Role> = LazyLock::new(Role::default);
        let role = catalogue.role(event.kind()).unwrap_or(&NONE);
        if !event.is_json() {
            let speaker = role.message.as_ref().map(|message| message.speaker);
            let said = summary::of_bytes(event.content_type(), event.payload());
            let parts = speaker.map(|speaker| Part::said(speaker, said.clone())).into_iter().collect();
            return Self { role, payload: Value::Null, speaker, parts, bytes: Some(said) };
        }
        let payload: Value = serde_json::from_slice(event.payload()).unwrap_or_default();
        let speaker = role.message.as_ref().map(|message| message.speaker(&payload));
        let parts = said(role, &payload, event.correlation());
        Self { role, payload, speaker, parts, bytes: None }
    }

    fn summary(&self, event: &Record) -> String {
        if let Some(said) = &self.bytes {
            return summary::line(said);
        }
        let line = summary::of_parts(&self.parts);
        match self.speaker {
            _ if !line.is_empty() => line,
            // Who says nothing does not say its envelope either.
            Some(_) => summary::line(&self.role.error.text(&self.payload).unwrap_or_default()),
            None => summary::of_fields(self.role, &self.payload, event),
        }
    }
}

/// What the parts of a payload say that has this role.
fn said(role: &Role, payload: &Value, correlation: Option<&str>) -> Vec<Part> {
    said_in(Detail::Whole, role, payload, correlation)
}

/// The same without what they say, but for the beginning of what the user says.
pub(crate) fn said_briefly(role: &Role, payload: &Value, correlation: Option<&str>) -> Vec<Part> {
    said_in(Detail::Brief, role, payload, correlation)
}

fn said_in(detail: Detail, role: &Role, payload: &Value, correlation: Option<&str>) -> Vec<Part> {
    let Some(message) = &role.message else { return Vec::new() };
    let mut content = Content::new(detail);
    if let Some(thought) = message.thought.find(payload) {
        content.read(thought, Speaker::Thinking);
    }
    let speaker = message.speaker(payload);
    let calls = message.calls.find(payload);
    let is_call = speaker == Speaker::ToolCall;
    // Beside its calls, and in a record that has their results too, it is the model that speaks.
    let beside = if is_call || calls.is_some() { Speaker::Assistant } else { speaker };
    if let Some(text) = message.text.find(payload) {
        content.read(text, beside);
    }
    if let Some(calls) = calls {
        content.read(calls, Speaker::Assistant);
    }
    let entity = role.entity.as_ref();
    let tool = || entity.and_then(|entity| entity.name(payload));
    let id = || entity.and_then(|entity| entity.id.text(payload)).or_else(|| correlation.map(str::to_owned));
    let mut parts = content.parts;
    if is_call && !parts.iter().any(|part| part.speaker == Speaker::ToolCall) {
        let arguments = message.arguments.find(payload).filter(|_| detail == Detail::Whole).map(decoded);
        parts.push(Part::call(tool(), arguments.as_deref(), id()));
    }
    if speaker == Speaker::ToolResult {
        let failed = !role.error.is_empty();
        if parts.is_empty() {
            let is_told = failed && detail == Detail::Whole;
            let error = is_told.then(|| role.error.text(payload)).flatten().unwrap_or_default();
            parts.push(Part::said(Speaker::ToolResult, error));
        }
        for part in parts.iter_mut().filter(|part| part.speaker == Speaker::ToolResult) {
            part.tool = part.tool.take().or_else(tool);
            part.call = part.call.take().or_else(id);
            // Of several, each says itself whether it failed.
            part.is_error |= failed && calls.is_none();
        }
    }
    parts
}

#[cfg(test)]
mod tests;
