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
        let mut begun = Vec::new();
        let mut messages = Vec::with_capacity(self.messages.len());
        for message in &self.messages {
            match message {
                Message::Reasoning { id, content } if open.has_thought(id) => {
                    let (message_id, role) = (id.clone(), ReasoningRole::Reasoning);
                    begun.push(Record::ReasoningStart { message_id: message_id.clone() });
                    begun.push(Record::ReasoningMessageStart { message_id: message_id.clone(), role });
                    begun.push(Record::ReasoningMessageContent { message_id, delta: content.clone() });
                }
                Message::Assistant { id, content, tool_calls } if open.has_message(id) => {
                    begun.extend(begun_message(id, TextRole::Assistant, content.as_deref()));
                    begun.extend(tool_calls.iter().flat_map(|call| begun_call(call, open)));
                }
                Message::Assistant { id, content, tool_calls }
                    if tool_calls.iter().any(|call| open.has_call(&call.id)) =>
                {
                    let (done, rest): (Vec<&Call>, Vec<&Call>) =
                        tool_calls.iter().partition(|call| !open.has_call(&call.id));
                    let tool_calls = done.into_iter().cloned().collect();
                    messages.push(Message::Assistant {
                        id: id.clone(),
                        content: content.clone(),
                        tool_calls,
                    });
                    begun.extend(rest.into_iter().flat_map(|call| begun_call(call, open)));
                }
                Message::User { id, content: Content::Text(text) } if open.has_message(id) => {
                    begun.extend(begun_message(id, TextRole::User, Some(text)));
                }
                Message::System { id, content } if open.has_message(id) => {
                    begun.extend(begun_message(id, TextRole::System, Some(content)));
                }
                Message::Developer { id, content } if open.has_message(id) => {
                    begun.extend(begun_message(id, TextRole::Developer, Some(content)));
                }
                whole => messages.push(whole.clone()),
            }
        }
        begun.insert(0, Record::MessagesSnapshot { messages });
        begun
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

fn begun_message(id: &str, role: TextRole, text: Option<&str>) -> Vec<Record> {
    let message_id = id.to_owned();
    let start = Record::TextMessageStart { message_id: message_id.clone(), role, name: None };
    let content = text.filter(|text| !text.is_empty());
    let content = content.map(|text| Record::TextMessageContent { message_id, delta: text.to_owned() });
    std::iter::once(start).chain(content).collect()
}

/// A call that a message makes which has not ended itself: whole, unless the call has not ended either.
fn begun_call(call: &Call, open: &Open) -> Vec<Record> {
    let tool_call_id = call.id.clone();
    let mut begun = vec![
        Record::ToolCallStart {
            tool_call_id: tool_call_id.clone(),
            tool_call_name: call.function.name.clone(),
            parent_message_id: None,
        },
        Record::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: call.function.arguments.clone() },
    ];
    if !open.has_call(&call.id) {
        begun.push(Record::ToolCallEnd { tool_call_id });
    }
    begun
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
