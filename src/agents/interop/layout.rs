//! How a file is assembled: which of its bytes are the records of events, and what lies between them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::event::EventId;

use super::rows::{Row, Rows, Words, id_of, words_of};

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes that belong to no event.
    Bytes(Range<usize>),
    /// The record that became this event.
    Event(EventId, Range<usize>),
}

impl Row for Part {
    const WORDS: usize = 5;

    fn words(&self) -> Words {
        let (id, range) = match self {
            Self::Bytes(range) => (None, range),
            Self::Event(id, range) => (Some(*id), range),
        };
        let (high, low) = id.map_or((0, 0), words_of);
        [range.start as u64, range.end as u64, u64::from(id.is_some()), high, low, 0, 0, 0]
    }

    fn of([start, end, is_event, high, low, ..]: Words) -> Self {
        let range = start as usize..end as usize;
        match is_event {
            0 => Self::Bytes(range),
            _ => Self::Event(id_of(high, low), range),
        }
    }
}

/// All parts of a file, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    parts: Arc<Rows<Part>>,
    bytes: usize,
    is_source: bool,
}

impl Layout {
    pub(crate) fn parts(&self) -> impl Iterator<Item = io::Result<Part>> + '_ {
        self.parts.iter()
    }

    /// The number of bytes that belong to no event.
    pub(crate) fn loose_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether events were made from its records. Lines in our own format are the events themselves.
    pub(crate) fn is_source(&self) -> bool {
        self.is_source
    }

    /// With events named as in the store; those that it has in another form become bytes.
    pub(crate) fn renamed(&self, name: impl Fn(EventId) -> Option<EventId>) -> io::Result<Self> {
        let mut draft = LayoutDraft::new(self.parts.may_spill());
        for part in self.parts() {
            match part? {
                Part::Bytes(range) => draft.bytes(range)?,
                Part::Event(id, range) => match name(id) {
                    Some(id) => draft.event(id, range)?,
                    None => draft.bytes(range)?,
                },
            }
        }
        Ok(Self { is_source: self.is_source, ..draft.finish()? })
    }
}

/// A layout under construction.
#[derive(Debug)]
pub(crate) struct LayoutDraft {
    parts: Rows<Part>,
    /// The bytes after the last part, as long as they are adjacent.
    open: Range<usize>,
    bytes: usize,
    is_source: bool,
}

impl LayoutDraft {
    pub(crate) fn new(may_spill: bool) -> Self {
        Self { parts: Rows::new(may_spill), open: 0..0, bytes: 0, is_source: false }
    }

    pub(crate) fn event(&mut self, id: EventId, range: Range<usize>) -> io::Result<()> {
        self.is_source = true;
        self.close()?;
        self.parts.push(Part::Event(id, range))
    }

    pub(crate) fn bytes(&mut self, range: Range<usize>) -> io::Result<()> {
        self.bytes += range.len();
        if range.is_empty() {
            return Ok(());
        }
        if self.open.is_empty() || self.open.end != range.start {
            self.close()?;
            self.open = range;
        } else {
            self.open.end = range.end;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() { Ok(()) } else { self.parts.push(Part::Bytes(open)) }
    }

    pub(crate) fn finish(mut self) -> io::Result<Layout> {
        self.close()?;
        Ok(Layout { parts: Arc::new(self.parts), bytes: self.bytes, is_source: self.is_source })
    }
}
