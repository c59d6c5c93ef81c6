//! Indexing events in memory, until there are enough for a segment.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::lists::ListWriter;
use super::meta::SegmentMeta;
use super::row::Row;
use super::segment_writer::{SegmentWriter, Texts};
use crate::agents::search::score::length_code;
use crate::agents::search::terms::{self, WORD};
use crate::agents::search::texts::Text;
use crate::agents::search::words::Words;
use crate::event::Event;
use crate::limits::{SEARCH_MEMORY_BYTES, SEARCH_SEGMENT_TEXTS};
use crate::store::mark;

/// About what a term costs beside its bytes.
const TERM_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Builder {
    terms: HashMap<Box<[u8]>, usize>,
    lists: Vec<ListWriter>,
    texts: Texts,
    bytes: usize,
    words: Words,
    /// Term and place of each word of a text.
    placed: Vec<(usize, u32)>,
}

impl Builder {
    /// Adds an event, which comes after all others.
    pub(crate) fn add(&mut self, event: &Event, texts: &[Text]) {
        (self.texts.last, self.texts.mark) = (event.position().get(), mark(event));
        let seconds = event.occurred().micros().div_euclid(1_000_000);
        let row = Row {
            position: event.position().get(),
            part: 0,
            seconds: u32::try_from(seconds).unwrap_or(if seconds < 0 { 0 } else { u32::MAX }),
        };
        for (part, text) in (0..).zip(texts) {
            self.add_text(&text.text);
            let session = terms::session(event.session().as_str());
            let kind = terms::kind(event.kind());
            let speaker = text.speaker.map(terms::speaker);
            for term in [Some(session), Some(kind), speaker].into_iter().flatten() {
                self.add_term(&term);
            }
            self.texts.rows.push(Row { part, ..row });
        }
    }

    fn doc(&self) -> u32 {
        self.texts.rows.len() as u32
    }

    fn add_text(&mut self, text: &str) {
        let (mut words, mut placed) = (std::mem::take(&mut self.words), std::mem::take(&mut self.placed));
        words.read(text);
        placed.clear();
        let mut term = Vec::new();
        for (place, word) in (0..).zip(words.iter()) {
            terms::term(WORD, word, &mut term);
            placed.push((self.number(&term), place));
        }
        placed.sort_unstable();
        let doc = self.doc();
        for of_term in placed.chunk_by(|a, b| a.0 == b.0) {
            let number = of_term.first().map(|(number, _)| *number).unwrap_or_default();
            self.list(number, |list| list.add(doc, of_term.iter().map(|(_, place)| *place)));
        }
        self.texts.lengths.push(length_code(words.len()));
        self.texts.words += words.len() as u64;
        (self.words, self.placed) = (words, placed);
    }

    fn add_term(&mut self, term: &[u8]) {
        let (number, doc) = (self.number(term), self.doc());
        self.list(number, |list| list.add(doc, std::iter::empty()));
    }

    fn list(&mut self, number: usize, add: impl FnOnce(&mut ListWriter)) {
        if let Some(list) = self.lists.get_mut(number) {
            let before = list.bytes();
            add(list);
            self.bytes += list.bytes() - before;
        }
    }

    /// The number of a term, in the order in which they came.
    fn number(&mut self, term: &[u8]) -> usize {
        if let Some(number) = self.terms.get(term) {
            return *number;
        }
        let number = self.lists.len();
        self.terms.insert(term.into(), number);
        self.lists.push(ListWriter::default());
        self.bytes += term.len() + TERM_BYTES;
        number
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.rows.is_empty()
    }

    /// Whether it has to be written before an event at this position is added.
    pub(crate) fn is_full_for(&self, position: u64) -> bool {
        let first = self.texts.rows.first().map_or(position, |row| row.position);
        self.bytes >= SEARCH_MEMORY_BYTES
            || self.texts.rows.len() >= SEARCH_SEGMENT_TEXTS
            || position.saturating_sub(first) > u64::from(u32::MAX)
    }

    /// Writes what was added as a segment, and begins anew. It is not empty.
    pub(crate) fn write(&mut self, folder: &Path) -> io::Result<SegmentMeta> {
        let built = std::mem::take(self);
        let mut writer = SegmentWriter::create(folder)?;
        let mut terms: Vec<(&[u8], usize)> =
            built.terms.iter().map(|(term, number)| (&**term, *number)).collect();
        terms.sort_unstable();
        for (term, number) in terms {
            if let Some(list) = built.lists.get(number) {
                writer.term(term, list.texts, &list.docs, &list.places)?;
            }
        }
        writer.finish(&built.texts)
    }
}
