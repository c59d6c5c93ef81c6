//! The messages of a stream, as a client that has read it has them: for readers who come later.

use std::collections::VecDeque;

use super::open::Open;
use super::record::{Call, CallKind, Content, Function, Message, ReasoningRole, Record, TextRole};
use crate::limits::AG_UI_MESSAGES_BYTES;

/// The latest messages.
#[derive(Debug, Default)]
pub(super) struct Said {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Said {
    /// An event was written.
    pub(super) fn note(&mut self, record: &Record) {
        match record {
            Record::TextMessageStart { message_id, role, .. } => {
                let (id, content) = (message_id.clone(), String::new());
                self.push(match role {
                    TextRole::User => Message::User { id, content: Content::Text(content) },
                    TextRole::System => Message::System { id, content },
                    TextRole::Developer => Message::Developer { id, content },
                    TextRole::Assistant => {
                        Message::Assistant { id, content: Some(content), tool_calls: Vec::new() }
                    }
                });
            }
            Record::ReasoningMessageStart { message_id, .. } => {
                self.push(Message::Reasoning { id: message_id.clone(), content: String::new() });
            }
            Record::TextMessageContent { message_id, delta }
            | Record::ReasoningMessageContent { message_id, delta } => {
                if let Some(text) = self.find(message_id).and_then(text) {
                    text.push_str(delta);
                    self.bytes += delta.len();
                }
            }
            Record::ToolCallStart { tool_call_id, tool_call_name, parent_message_id } => {
                self.call(tool_call_id, tool_call_name, parent_message_id.as_deref());
            }
            Record::ToolCallArgs { tool_call_id, delta } => {
                if let Some(call) = self.find_call(tool_call_id) {
                    call.function.arguments.push_str(delta);
                    self.bytes += delta.len();
                }
            }
            Record::ToolCallResult { message_id, tool_call_id, content, error, .. } => {
                self.push(Message::Tool {
                    id: message_id.clone(),
                    content: content.clone(),
                    tool_call_id: tool_call_id.clone(),
                    error: error.clone(),
                });
            }
            Record::MessagesSnapshot { messages } => {
                self.bytes = messages.iter().map(size).sum();
                self.messages = messages.iter().cloned().collect();
            }
            _ => {}
        }
        while self.bytes > AG_UI_MESSAGES_BYTES
            && self.messages.len() > 1
            && let Some(oldest) = self.messages.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(size(&oldest));
        }
    }

    /// A snapshot of what is complete, and the events that begin what is not.
    pub(super) fn snapshot(&self, open: &Open) -> Vec<Record> {
        let mut messages = Vec::with_capacity(self.messages.len());
        let mut begun: Vec<Record> =
            open.reasonings().iter().map(|id| Record::ReasoningStart { message_id: id.clone() }).collect();
        for id in open.thoughts() {
            let start =
                Record::ReasoningMessageStart { message_id: id.clone(), role: ReasoningRole::Reasoning };
            let said = self.last(id).and_then(|at| said(self.messages.get(at)?));
            let content =
                |delta: &str| Record::ReasoningMessageContent { message_id: id.clone(), delta: delta.into() };
            begun.push(start);
            begun.extend(said.map(content));
        }
        for id in open.messages() {
            let message = self.last(id).and_then(|at| self.messages.get(at));
            let role = message.map_or(TextRole::Assistant, role);
            begun.push(Record::TextMessageStart { message_id: id.clone(), role, name: None });
            let content =
                |delta: &str| Record::TextMessageContent { message_id: id.clone(), delta: delta.into() };
            begun.extend(message.and_then(said).map(content));
        }
        for (at, message) in self.messages.iter().enumerate() {
            let is_open = |ids: &[String]| {
                ids.iter().any(|open| open == id(message)) && self.last(id(message)) == Some(at)
            };
            let is_begun = is_open(open.messages()) || is_open(open.thoughts());
            let Message::Assistant { id, content, tool_calls } = message else {
                messages.extend((!is_begun).then(|| message.clone()));
                continue;
            };
            // The same call can be there twice; the later one is open.
            let is_last = |n: usize, call: &Call| {
                self.last_call(&call.id) == Some(at)
                    && tool_calls.iter().skip(n + 1).all(|later| later.id != call.id)
            };
            let (mut rest, mut done) = (Vec::new(), Vec::new());
            for (n, call) in tool_calls.iter().enumerate() {
                let is_open = open.calls().contains(&call.id) && is_last(n, call);
                if is_open { rest.push(call) } else { done.push(call) }
            }
            match is_begun {
                true => begun.extend(done.into_iter().flat_map(|call| called(call, Some(id.as_str()), true))),
                false => {
                    let (id, content) = (id.clone(), content.clone());
                    let tool_calls = done.into_iter().cloned().collect();
                    messages.push(Message::Assistant { id, content, tool_calls });
                }
            }
            begun.extend(rest.into_iter().flat_map(|call| called(call, Some(id.as_str()), false)));
        }
        // What is no longer known of is begun all the same: more of it will come.
        for id in open.calls().iter().filter(|id| self.last_call(id).is_none()) {
            let start = Record::ToolCallStart {
                tool_call_id: id.clone(),
                tool_call_name: "tool".to_owned(),
                parent_message_id: None,
            };
            begun.push(start);
        }
        begun.insert(0, Record::MessagesSnapshot { messages });
        begun
    }

    /// Where the latest message with this id is.
    fn last(&self, id: &str) -> Option<usize> {
        self.messages.iter().rposition(|message| self::id(message) == id)
    }

    /// Where the latest message is that makes this call.
    fn last_call(&self, id: &str) -> Option<usize> {
        self.messages.iter().rposition(|message| match message {
            Message::Assistant { tool_calls, .. } => tool_calls.iter().any(|call| call.id == id),
            _ => false,
        })
    }

    fn push(&mut self, message: Message) {
        self.bytes += size(&message);
        self.messages.push_back(message);
    }

    /// A call of a tool is in the message that makes it, or in one of its own.
    fn call(&mut self, id: &str, name: &str, parent: Option<&str>) {
        let function = Function { name: name.to_owned(), arguments: String::new() };
        let call = Call { id: id.to_owned(), kind: CallKind::Function, function };
        self.bytes += id.len() + name.len();
        if let Some(Message::Assistant { tool_calls, .. }) = parent.and_then(|parent| self.find(parent)) {
            tool_calls.push(call);
            return;
        }
        let id = parent.unwrap_or(id).to_owned();
        self.push(Message::Assistant { id, content: None, tool_calls: vec![call] });
    }

    fn find(&mut self, id: &str) -> Option<&mut Message> {
        self.messages.iter_mut().rev().find(|message| self::id(message) == id)
    }

    fn find_call(&mut self, id: &str) -> Option<&mut Call> {
        self.messages.iter_mut().rev().find_map(|message| match message {
            Message::Assistant { tool_calls, .. } => tool_calls.iter_mut().find(|call| call.id == id),
            _ => None,
        })
    }
}

/// A call of a tool, as it was told.
fn called(call: &Call, parent: Option<&str>, is_over: bool) -> Vec<Record> {
    let tool_call_id = call.id.clone();
    let start = Record::ToolCallStart {
        tool_call_id: tool_call_id.clone(),
        tool_call_name: call.function.name.clone(),
        parent_message_id: parent.map(str::to_owned),
    };
    let delta = call.function.arguments.clone();
    let args = Record::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta };
    [start, args].into_iter().chain(is_over.then_some(Record::ToolCallEnd { tool_call_id })).collect()
}

/// The text of a message that has some.
fn said(message: &Message) -> Option<&str> {
    let text = match message {
        Message::Developer { content, .. }
        | Message::System { content, .. }
        | Message::Reasoning { content, .. }
        | Message::User { content: Content::Text(content), .. } => content.as_str(),
        Message::Assistant { content, .. } => content.as_deref()?,
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn role(message: &Message) -> TextRole {
    match message {
        Message::User { .. } => TextRole::User,
        Message::System { .. } => TextRole::System,
        Message::Developer { .. } => TextRole::Developer,
        _ => TextRole::Assistant,
    }
}

fn id(message: &Message) -> &str {
    match message {
        Message::Developer { id, .. }
        | Message::System { id, .. }
        | Message::User { id, .. }
        | Message::Assistant { id, .. }
        | Message::Tool { id, .. }
        | Message::Reasoning { id, .. }
        | Message::Activity { id, .. } => id,
    }
}

fn text(message: &mut Message) -> Option<&mut String> {
    match message {
        Message::Developer { content, .. }
        | Message::System { content, .. }
        | Message::Reasoning { content, .. }
        | Message::User { content: Content::Text(content), .. } => Some(content),
        Message::Assistant { content, .. } => Some(content.get_or_insert_default()),
        _ => None,
    }
}

/// About as many bytes as it takes.
fn size(message: &Message) -> usize {
    let content = |content: &Content| match content {
        Content::Text(text) => text.len(),
        Content::Parts(parts) => serde_json::to_vec(parts).map_or(0, |json| json.len()),
    };
    let calls = |call: &Call| call.id.len() + call.function.name.len() + call.function.arguments.len();
    id(message).len()
        + match message {
            Message::Developer { content, .. }
            | Message::System { content, .. }
            | Message::Reasoning { content, .. } => content.len(),
            Message::User { content: said, .. } | Message::Tool { content: said, .. } => content(said),
            Message::Assistant { content, tool_calls, .. } => {
                content.as_ref().map_or(0, String::len) + tool_calls.iter().map(calls).sum::<usize>()
            }
            Message::Activity { content, .. } => serde_json::to_vec(content).map_or(0, |json| json.len()),
        }
}
