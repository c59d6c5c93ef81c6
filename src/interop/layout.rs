//! How a file is put together: which of its bytes are the records of events, and what lies between them.

use std::ops::Range;

use crate::event::EventId;

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes that no event has.
    Bytes(Range<usize>),
    /// The record that became this event.
    Event(EventId, Range<usize>),
}

impl Part {
    pub(crate) fn event(&self) -> Option<EventId> {
        match self {
            Self::Event(id, _) => Some(*id),
            Self::Bytes(_) => None,
        }
    }
}

/// All parts of a file, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    parts: Vec<Part>,
    bytes: usize,
    is_source: bool,
}

impl Layout {
    pub(crate) fn event(&mut self, id: EventId, range: Range<usize>) {
        self.is_source = true;
        self.parts.push(Part::Event(id, range));
    }

    pub(crate) fn bytes(&mut self, range: Range<usize>) {
        self.bytes += range.len();
        match self.parts.last_mut() {
            _ if range.is_empty() => {}
            Some(Part::Bytes(last)) if last.end == range.start => last.end = range.end,
            _ => self.parts.push(Part::Bytes(range)),
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes that no event has.
    pub(crate) fn loose_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether events have been made of its records. Those of our own format are their own source.
    pub(crate) fn is_source(&self) -> bool {
        self.is_source
    }

    /// Names events as the store has them; those that it has otherwise become bytes.
    pub(crate) fn rename(&mut self, name: impl Fn(EventId) -> Option<EventId>) {
        for part in std::mem::take(&mut self.parts) {
            match part {
                Part::Bytes(range) => self.parts.push(Part::Bytes(range)),
                Part::Event(id, range) => match name(id) {
                    Some(id) => self.parts.push(Part::Event(id, range)),
                    None => self.bytes(range),
                },
            }
        }
    }
}
