//! Indexing events in memory, until there are enough for a segment.
//!
//! A word is a number while it is in memory, and all words of all texts stand one after another. To write them, they are put in the
//! order of their words in one pass, since how often each comes is known by then.

use std::io;
use std::path::Path;

use super::lists::ListWriter;
use super::meta::SegmentMeta;
use super::numbered::Numbered;
use super::row::Row;
use super::segment_writer::{SegmentWriter, Texts};
use crate::agents::search::score::length_code;
use crate::agents::search::terms::{self, WORD};
use crate::agents::search::texts::Text;
use crate::agents::search::words::Words;
use crate::event::Event;
use crate::limits::{SEARCH_MEMORY_BYTES, SEARCH_SEGMENT_TEXTS};
use crate::store::mark;

/// What a word of a text costs: its number, and its place while they are put in order.
const WORD_BYTES: usize = size_of::<u32>() + size_of::<u64>();

#[derive(Debug, Default)]
pub(crate) struct Builder {
    words: Numbered,
    /// The words of all texts, by their numbers.
    said: Vec<u32>,
    /// Where in them each text ends.
    ends: Vec<u32>,
    /// What a text can be narrowed by, and for each the texts that have it.
    tags: Numbered,
    tagged: Vec<Vec<u32>>,
    texts: Texts,
    read: Words,
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
        let (session, kind) = (terms::session(event.session().as_str()), terms::kind(event.kind()));
        for (part, text) in (0..).zip(texts) {
            self.add_text(&text.text);
            let speaker = text.speaker.map(terms::speaker);
            for tag in [Some(&session), Some(&kind), speaker.as_ref()].into_iter().flatten() {
                self.add_tag(tag);
            }
            self.texts.rows.push(Row { part, ..row });
        }
    }

    fn add_text(&mut self, text: &str) {
        self.read.read(text);
        for word in self.read.iter() {
            self.said.push(self.words.number(word.as_bytes()));
        }
        self.ends.push(self.said.len() as u32);
        self.texts.lengths.push(length_code(self.read.len()));
        self.texts.words += self.read.len() as u64;
    }

    fn add_tag(&mut self, tag: &[u8]) {
        let (number, doc) = (self.tags.number(tag) as usize, self.texts.rows.len() as u32);
        if number == self.tagged.len() {
            self.tagged.push(Vec::new());
        }
        if let Some(docs) = self.tagged.get_mut(number) {
            docs.push(doc);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.rows.is_empty()
    }

    /// Whether it has to be written before an event at this position is added.
    pub(crate) fn is_full_for(&self, position: u64) -> bool {
        let first = self.texts.rows.first().map_or(position, |row| row.position);
        self.said.len() * WORD_BYTES + self.words.bytes + self.tags.bytes >= SEARCH_MEMORY_BYTES
            || self.texts.rows.len() >= SEARCH_SEGMENT_TEXTS
            || position.saturating_sub(first) > u64::from(u32::MAX)
    }

    /// Writes what was added as a segment, and begins anew. It is not empty.
    pub(crate) fn write(&mut self, folder: &Path) -> io::Result<SegmentMeta> {
        let built = std::mem::take(self);
        let mut writer = SegmentWriter::create(folder)?;
        let mut list = ListWriter::default();
        for (tag, number) in built.tags.in_order() {
            let docs = built.tagged.get(number as usize).into_iter().flatten();
            docs.for_each(|doc| list.add(*doc, std::iter::empty()));
            list.take(|texts, docs, places| writer.term(tag, texts, docs, places))?;
        }
        let spots = built.spots();
        let mut term = Vec::new();
        for (word, number) in built.words.in_order() {
            for of_doc in spots.of(number).chunk_by(|one, other| one.doc == other.doc) {
                let Some(Spot { doc, .. }) = of_doc.first() else { continue };
                list.add(*doc, of_doc.iter().map(|spot| spot.place));
            }
            terms::term(WORD, word, &mut term);
            list.take(|texts, docs, places| writer.term(&term, texts, docs, places))?;
        }
        writer.finish(&built.texts)
    }

    /// Where the words are, word by word.
    fn spots(&self) -> Spots {
        let mut ends = vec![0_u32; self.words.len()];
        for number in &self.said {
            if let Some(count) = ends.get_mut(*number as usize) {
                *count += 1;
            }
        }
        let mut begin = 0;
        for end in &mut ends {
            begin += std::mem::replace(end, begin);
        }
        // Each end is where the next place of its word goes; after the last one, it is the end.
        let mut all = vec![Spot { doc: 0, place: 0 }; self.said.len()];
        let mut begin = 0;
        for (doc, end) in (0..).zip(&self.ends) {
            let said = self.said.get(begin..*end as usize).unwrap_or_default();
            for (place, number) in (0..).zip(said) {
                let Some(next) = ends.get_mut(*number as usize) else { continue };
                if let Some(spot) = all.get_mut(*next as usize) {
                    *spot = Spot { doc, place };
                }
                *next += 1;
            }
            begin = *end as usize;
        }
        Spots { all, ends }
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug)]
struct Spot {
    doc: u32,
    place: u32,
}

struct Spots {
    all: Vec<Spot>,
    /// By number of the word; each begins where the one before ends.
    ends: Vec<u32>,
}

impl Spots {
    /// Those of a word, in order.
    fn of(&self, number: u32) -> &[Spot] {
        let number = number as usize;
        let end = self.ends.get(number).copied().unwrap_or_default();
        let begin =
            number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.all.get(begin as usize..end as usize).unwrap_or_default()
    }
}

/// Tags come before words: in a segment, terms are in order.
const _: () = assert!(terms::LAST_TAG < WORD);
