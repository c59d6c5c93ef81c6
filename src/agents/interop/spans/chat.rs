//! Answers of a model: when it was asked, what it used, what was said.

use serde_json::Value as Json;

use super::attributes as name;
use super::open::{OpenSpan, Tokens};
use super::span::{Span, Value};
use super::words::message;
use crate::agents::readable::{EventUsage, Part};
use crate::event::{Speaker, Timestamp};

/// The answer at hand, and what is known of the next one.
#[derive(Debug, Default)]
pub(super) struct Chats {
    /// Whether what was said goes along.
    has_content: bool,
    open: Option<OpenChat>,
    /// Since when the model has what it answers next.
    asked: Option<Timestamp>,
    /// The first piece of the answer that is coming.
    piece: Option<Timestamp>,
    /// What the model was told since its last answer.
    input: Vec<Json>,
    /// The tokens of the session as they were told last.
    total: Tokens,
}

/// An answer of a model, until it is known that nothing more comes of it.
#[derive(Debug)]
struct OpenChat {
    key: Option<String>,
    output: Vec<Json>,
    open: OpenSpan,
}

impl Chats {
    pub(super) fn keep_content(&mut self) {
        self.has_content = true;
    }

    /// The model has what it answers next.
    pub(super) fn asked(&mut self, time: Timestamp) {
        self.asked = Some(time);
    }

    /// The same, and this is what it was told.
    pub(super) fn told(&mut self, time: Timestamp, part: &Part) {
        self.asked(time);
        if self.has_content {
            self.input.push(message(part));
        }
    }

    /// A piece of an answer has come.
    pub(super) fn piece(&mut self, time: Timestamp) {
        self.piece.get_or_insert(time);
    }

    /// Whether this is more of the answer at hand.
    pub(super) fn goes_on(&self, key: Option<&str>) -> bool {
        key.is_some() && self.open.as_ref().is_some_and(|chat| chat.key.as_deref() == key)
    }

    /// An answer has come, after the one at hand has ended.
    pub(super) fn begins(&mut self, mut open: OpenSpan, key: Option<String>) {
        if let Some(asked) = self.asked.filter(|_| !open.is_timed()) {
            open.began(asked);
        }
        if let Some(piece) = self.piece.take() {
            open.began(piece);
            let micros = piece.micros().saturating_sub(open.start().micros());
            open.set(name::STREAM, Value::Flag(true));
            open.set(name::FIRST_CHUNK, Value::Number(micros as f64 / 1e6));
        }
        let input = std::mem::take(&mut self.input);
        if !input.is_empty() {
            open.set_text(name::INPUT, Some(&Json::Array(input).to_string()));
        }
        self.open = Some(OpenChat { key, output: Vec::new(), open });
    }

    /// What an answer says, and what it used.
    pub(super) fn says(&mut self, time: Timestamp, usage: &EventUsage, parts: &[Part]) {
        let Some(chat) = &mut self.open else { return };
        chat.open.goes_on(time);
        chat.open.uses(Tokens::of(usage));
        chat.open.set_text(name::RESPONSE_MODEL, usage.model.as_deref());
        if self.has_content {
            chat.output.extend(parts.iter().filter(|part| part.speaker != Speaker::ToolResult).map(message));
        }
    }

    /// Nothing more comes of the answer at hand.
    pub(super) fn ends(&mut self) -> Option<(Span, Tokens)> {
        let mut chat = self.open.take()?;
        // It was the last: what comes next is asked for with what the next event says, or with this.
        self.asked = Some(chat.open.end());
        if !chat.output.is_empty() {
            chat.open.set_text(name::OUTPUT, Some(&Json::Array(chat.output).to_string()));
        }
        let tokens = chat.open.tokens();
        Some((chat.open.ends_as_known(), tokens))
    }

    /// The tokens of the session so far. What has come since the last time is of the answer at hand; without one, it is returned.
    pub(super) fn counts(&mut self, total: Tokens) -> Option<Tokens> {
        let used = total.since(self.total);
        self.total = total;
        match &mut self.open {
            Some(chat) => {
                chat.open.uses(used);
                None
            }
            None => Some(used),
        }
    }
}
