//! A span that has begun.

use super::attributes as name;
use super::span::{Attribute, Span, Status, Value, nanos};
use crate::agents::readable::EventUsage;
use crate::event::{Event, EventId, Timestamp};

/// A trace, and the span that a new one is below.
#[derive(Clone, Debug)]
pub(super) struct Below {
    pub(super) trace: String,
    pub(super) parent: Option<String>,
}

/// A span that has begun and not ended.
#[derive(Debug)]
pub(super) struct OpenSpan {
    /// The event that began it.
    pub(super) event: EventId,
    pub(super) span: Span,
    start: Timestamp,
    /// The latest that is known of it.
    end: Timestamp,
    /// Its own event says how long it took.
    is_timed: bool,
    tokens: Tokens,
}

/// What was used, as far as it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tokens {
    input: Option<f64>,
    output: Option<f64>,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    cost: Option<f64>,
}

impl Tokens {
    pub(super) fn of(usage: &EventUsage) -> Self {
        let EventUsage { input, output, cache_read, cache_write, cost_usd: cost, .. } = *usage;
        Self { input, output, cache_read, cache_write, cost }
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.each(other, |a, b| a + b);
    }

    /// What has come since an earlier total.
    pub(super) fn since(mut self, before: Self) -> Self {
        self.each(before, |now, before| (now - before).max(0.0));
        self
    }

    /// With what only the other one says.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            cache_read: self.cache_read.or(other.cache_read),
            cache_write: self.cache_write.or(other.cache_write),
            cost: self.cost.or(other.cost),
        }
    }

    fn each(&mut self, other: Self, with: impl Fn(f64, f64) -> f64) {
        let pairs = [
            (&mut self.input, other.input),
            (&mut self.output, other.output),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.cost, other.cost),
        ];
        for (own, other) in pairs {
            *own = match (*own, other) {
                (Some(own), Some(other)) => Some(with(own, other)),
                (own, other) => own.or(other),
            };
        }
    }
}

impl OpenSpan {
    pub(super) fn new(event: &Event, id: String, below: Below, kind: u8, span_name: String) -> Self {
        let start = event.occurred();
        let mut open = Self {
            event: event.id(),
            span: Span {
                trace_id: below.trace,
                span_id: id,
                parent_span_id: below.parent,
                name: span_name,
                kind,
                start_time_unix_nano: String::new(),
                end_time_unix_nano: String::new(),
                attributes: Vec::new(),
                status: Status::default(),
            },
            start,
            end: start,
            is_timed: false,
            tokens: Tokens::default(),
        };
        open.set(name::EVENT, Value::text(&event.id().to_string()));
        open.set(name::ADDRESS, Value::text(&event.address().to_string()));
        open
    }

    /// Sets an attribute; the latest value counts.
    pub(super) fn set(&mut self, key: &'static str, value: Value) {
        match self.span.attributes.iter_mut().find(|attribute| attribute.key == key) {
            Some(attribute) => attribute.value = value,
            None => self.span.attributes.push(Attribute { key, value }),
        }
    }

    pub(super) fn set_text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.set(key, Value::text(text));
        }
    }

    /// It was at work at this time already.
    pub(super) fn began(&mut self, time: Timestamp) {
        self.start = self.start.min(time);
    }

    /// It took so many milliseconds until now.
    pub(super) fn took(&mut self, ms: f64) {
        let micros = self.end.micros().saturating_sub((ms * 1_000.0) as i64);
        self.began(Timestamp::from_micros(micros));
        self.is_timed = true;
    }

    pub(super) fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// It was at work at this time still.
    pub(super) fn goes_on(&mut self, time: Timestamp) {
        self.end = self.end.max(time);
    }

    pub(super) fn start(&self) -> Timestamp {
        self.start
    }

    pub(super) fn end(&self) -> Timestamp {
        self.end
    }

    pub(super) fn uses(&mut self, tokens: Tokens) {
        self.tokens.add(tokens);
    }

    pub(super) fn tokens(&self) -> Tokens {
        self.tokens
    }

    pub(super) fn set_tokens(&mut self, tokens: Tokens) {
        self.tokens = tokens;
    }

    /// It failed. The kind of failure is one of few words.
    pub(super) fn fails(&mut self, kind: &str, message: &str) {
        self.set(name::ERROR, Value::text(kind));
        self.span.status = Status::error(message);
    }

    /// It ends, by the end of what it is in.
    pub(super) fn unfinished(mut self, time: Timestamp) -> Span {
        self.set(name::UNFINISHED, Value::Flag(true));
        self.ends(time)
    }

    /// It ends.
    pub(super) fn ends(mut self, time: Timestamp) -> Span {
        self.goes_on(time);
        let tokens = [
            (name::INPUT_TOKENS, self.tokens.input),
            (name::OUTPUT_TOKENS, self.tokens.output),
            (name::CACHE_READ_TOKENS, self.tokens.cache_read),
            (name::CACHE_WRITE_TOKENS, self.tokens.cache_write),
        ];
        for (key, value) in tokens {
            if let Some(value) = value {
                self.set(key, Value::whole(value));
            }
        }
        if let Some(cost) = self.tokens.cost {
            self.set(name::COST, Value::Number(cost));
        }
        self.span.start_time_unix_nano = nanos(self.start);
        self.span.end_time_unix_nano = nanos(self.end.max(self.start));
        self.span
    }

    /// It ends when it was last known to be at work.
    pub(super) fn ends_as_known(self) -> Span {
        let end = self.end;
        self.ends(end)
    }
}
