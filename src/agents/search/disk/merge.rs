//! One segment out of several that follow each other, or of one without some of its texts.

use std::path::Path;
use std::sync::Arc;

use super::lists::ListWriter;
use super::meta::SegmentMeta;
use super::row::Row;
use super::segment::{Listed, Segment};
use super::segment_writer::{SegmentWriter, Texts};
use super::unusable::Unusable;
use crate::agents::search::score::length;

/// A segment that goes into another.
struct Source {
    segment: Arc<Segment>,
    /// The new number of each text; none of those that go.
    numbers: Vec<Option<u32>>,
    /// The terms of the block that is at hand, the next one last.
    terms: Vec<Listed>,
    block: usize,
}

impl Source {
    /// The next term.
    fn peek(&mut self) -> Result<Option<&Listed>, Unusable> {
        while self.terms.is_empty() {
            let Some(mut terms) = self.segment.block(self.block)? else { return Ok(None) };
            terms.reverse();
            self.terms = terms;
            self.block += 1;
        }
        Ok(self.terms.last())
    }
}

/// Writes a segment with the texts of these that stay; `None` if none does.
pub(crate) fn merge(
    folder: &Path,
    segments: &[Arc<Segment>],
    stays: &dyn Fn(&Row) -> bool,
) -> Result<Option<SegmentMeta>, Unusable> {
    let mut texts = Texts::default();
    let mut sources = Vec::new();
    for segment in segments {
        let (mut numbers, mut gone) = (Vec::new(), 0_u64);
        for (row, length) in segment.rows()?.into_iter().zip(segment.lengths()) {
            numbers.push(stays(&row).then_some(texts.rows.len() as u32));
            if stays(&row) {
                texts.rows.push(row);
                texts.lengths.push(*length);
            } else {
                gone = gone.saturating_add(words_of(*length));
            }
        }
        sources.push(Source { segment: segment.clone(), numbers, terms: Vec::new(), block: 0 });
        texts.words = texts.words.saturating_add(segment.meta.words.saturating_sub(gone));
        (texts.last, texts.mark) = (segment.meta.last, segment.meta.mark);
    }
    if texts.rows.is_empty() {
        return Ok(None);
    }
    let mut writer = SegmentWriter::create(folder)?;
    let mut list = ListWriter::default();
    while let Some(term) = first_term(&mut sources)? {
        for source in &mut sources {
            let is_next = source.peek()?.is_some_and(|(other, _)| *other == term);
            let Some((_, own)) = source.terms.pop_if(|_| is_next) else { continue };
            let numbers = &source.numbers;
            source.segment.places(own, |doc, places| {
                if let Some(Some(number)) = numbers.get(doc as usize) {
                    list.add(*number, places.iter().copied());
                }
            })?;
        }
        list.take(|texts, docs, places| writer.term(&term, texts, docs, places))?;
    }
    Ok(Some(writer.finish(&texts)?))
}

/// About how many words a text has, by the code of its length.
fn words_of(code: u8) -> u64 {
    length(code) as u64
}

fn first_term(sources: &mut [Source]) -> Result<Option<Vec<u8>>, Unusable> {
    let mut first: Option<&Vec<u8>> = None;
    for source in sources {
        if let Some((term, _)) = source.peek()? {
            first = Some(first.map_or(term, |other| other.min(term)));
        }
    }
    Ok(first.cloned())
}
