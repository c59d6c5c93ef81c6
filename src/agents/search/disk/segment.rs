//! Reading a segment.

use std::path::Path;

use super::lists::{Places, each_doc};
use super::meta::SegmentMeta;
use super::numbers::Numbers;
use super::pages::PageReader;
use super::row::{self, BLOCK_ROWS, Row};
use super::unusable::Unusable;

/// The words of some texts, in a file that does not change.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) meta: SegmentMeta,
    pages: PageReader,
    blocks: Vec<Block>,
    lengths: Vec<u8>,
}

#[derive(Debug)]
struct Block {
    first: Box<[u8]>,
    lists: u64,
    at: u64,
    len: u64,
}

/// Where the lists of a term are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    /// How many texts have it.
    pub(crate) texts: u32,
    docs: (u64, u64),
    places: (u64, u64),
}

/// A term and its lists.
pub(super) type Listed = (Vec<u8>, List);

impl Segment {
    /// Reads what leads to the rest.
    pub(crate) fn open(folder: &Path, meta: SegmentMeta) -> Result<Self, Unusable> {
        let pages = PageReader::open(folder, &meta.name, meta.len)?;
        let index = pages.read(meta.terms.0, meta.terms.1)?;
        let mut numbers = Numbers(&index);
        let mut blocks: Vec<Block> = Vec::new();
        while !numbers.is_empty() {
            let len = numbers.take()?;
            let first: Box<[u8]> = numbers.bytes(len)?.into();
            if blocks.last().is_some_and(|before| before.first >= first) {
                return Err(Unusable::new("its terms are not in order"));
            }
            let (lists, at, len) = (numbers.take()?, numbers.take()?, numbers.take()?);
            blocks.push(Block { first, lists, at, len });
        }
        let lengths = pages.read(meta.lengths, meta.texts.into())?;
        Ok(Self { meta, pages, blocks, lengths })
    }

    /// The lists of a term, if a text has it.
    pub(crate) fn list(&self, term: &[u8]) -> Result<Option<List>, Unusable> {
        let after = self.blocks.partition_point(|block| *block.first <= *term);
        let Some(block) = after.checked_sub(1).and_then(|at| self.blocks.get(at)) else { return Ok(None) };
        let mut found = None;
        self.each_term(block, |other, list| {
            if other == term {
                found = Some(list);
            }
            other < term
        })?;
        Ok(found)
    }

    /// Every term that begins so, in order.
    pub(crate) fn each_with(
        &self,
        prefix: &[u8],
        mut take: impl FnMut(&[u8], List) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        let after = self.blocks.partition_point(|block| *block.first <= *prefix);
        for block in self.blocks.iter().skip(after.saturating_sub(1)) {
            if *block.first > *prefix && !block.first.starts_with(prefix) {
                break;
            }
            let mut taken = Ok(());
            self.each_term(block, |term, list| {
                if term.starts_with(prefix) {
                    taken = take(term, list);
                }
                taken.is_ok() && (term <= prefix || term.starts_with(prefix))
            })?;
            taken?;
        }
        Ok(())
    }

    /// The terms of a block, until it is enough.
    fn each_term(&self, block: &Block, mut take: impl FnMut(&[u8], List) -> bool) -> Result<(), Unusable> {
        let bytes = self.pages.read(block.at, block.len)?;
        let (mut numbers, mut term, mut at) = (Numbers(&bytes), Vec::new(), block.lists);
        while !numbers.is_empty() {
            let (shared, own) = (numbers.take()?, numbers.take()?);
            term.truncate(usize::try_from(shared).unwrap_or(usize::MAX));
            term.extend_from_slice(numbers.bytes(own)?);
            let (texts, docs, places) = (numbers.take_small()?, numbers.take()?, numbers.take()?);
            let list = List { texts, docs: (at, docs), places: (at.saturating_add(docs), places) };
            at = list.places.0.saturating_add(places);
            if !take(&term, list) {
                break;
            }
        }
        Ok(())
    }

    /// The terms of a block, with their lists, by its number; `None` after the last block.
    pub(super) fn block(&self, number: usize) -> Result<Option<Vec<Listed>>, Unusable> {
        let Some(block) = self.blocks.get(number) else { return Ok(None) };
        let mut terms = Vec::new();
        self.each_term(block, |term, list| {
            terms.push((term.to_vec(), list));
            true
        })?;
        Ok(Some(terms))
    }

    /// The texts that have a term, in order, with how often.
    pub(crate) fn docs(&self, list: List, mut take: impl FnMut(u32, u32)) -> Result<(), Unusable> {
        let bytes = self.pages.read(list.docs.0, list.docs.1)?;
        each_doc(&bytes, list.texts, self.meta.texts, |doc, count| {
            take(doc, count);
            Ok(())
        })
    }

    /// Where a term is in the texts that have it.
    pub(crate) fn places(&self, list: List, mut take: impl FnMut(u32, &[u32])) -> Result<(), Unusable> {
        let (mut docs, mut total) = (Vec::new(), 0_u64);
        self.docs(list, |doc, count| {
            docs.push((doc, count));
            total = total.saturating_add(count.into());
        })?;
        let bytes = self.pages.read(list.places.0, list.places.1)?;
        let mut places = Places::new(&bytes, total);
        // Terms that are no words have none.
        let has_places = !bytes.is_empty();
        let mut of_doc = Vec::new();
        for (doc, count) in docs {
            of_doc.clear();
            if has_places {
                places.next(count, |place| of_doc.push(place))?;
            }
            take(doc, &of_doc);
        }
        Ok(())
    }

    /// How long a text is.
    pub(crate) fn length(&self, doc: u32) -> u8 {
        self.lengths.get(doc as usize).copied().unwrap_or_default()
    }

    pub(super) fn lengths(&self) -> &[u8] {
        &self.lengths
    }

    pub(crate) fn row(&self, doc: u32) -> Result<Row, Unusable> {
        let (block, at) = (doc as usize / BLOCK_ROWS, doc as usize % BLOCK_ROWS);
        let row = self.row_blocks(block, 1)?.get(at).copied();
        row.ok_or_else(|| Unusable::new("a list in it leads beyond its texts"))
    }

    /// Those of all texts.
    pub(crate) fn rows(&self) -> Result<Vec<Row>, Unusable> {
        self.row_blocks(0, (self.meta.texts as usize).div_ceil(BLOCK_ROWS))
    }

    /// The rows of some blocks.
    fn row_blocks(&self, first: usize, count: usize) -> Result<Vec<Row>, Unusable> {
        const PLACE: u64 = size_of::<u64>() as u64;
        let places = self.meta.rows.saturating_add(first as u64 * PLACE);
        let places = self.pages.read(places, (count as u64 + 1) * PLACE)?;
        let places: Vec<u64> = places.as_chunks().0.iter().map(|place| u64::from_le_bytes(*place)).collect();
        let (Some(begin), Some(end)) = (places.first().copied(), places.last().copied()) else {
            return Ok(Vec::new());
        };
        let bytes = self.pages.read(begin, end.saturating_sub(begin))?;
        let mut rows = Vec::with_capacity(count * BLOCK_ROWS);
        for (number, ends) in (first..).zip(places.windows(2)) {
            let &[from, to] = ends else { continue };
            let block = from.checked_sub(begin).zip(to.checked_sub(begin));
            let block = block.and_then(|(from, to)| bytes.get(from as usize..to as usize));
            let block = block.ok_or_else(|| Unusable::new("its rows are not in order"))?;
            let left = (self.meta.texts as usize).saturating_sub(number * BLOCK_ROWS);
            rows.extend(row::decode(block, self.meta.first, left.min(BLOCK_ROWS))?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::lists::ListWriter;
    use super::super::pages::PageWriter;
    use super::super::segment_writer::{SegmentWriter, Texts};
    use super::*;

    /// Some terms, each with the places at which it is in each text.
    type Terms = BTreeMap<Vec<u8>, BTreeMap<u32, Vec<u32>>>;

    const TEXTS: u32 = 300;

    fn terms() -> impl Strategy<Value = Terms> {
        let term = prop::collection::vec(b'a'..=b'c', 1..6);
        let places = prop::collection::btree_set(0_u32..50, 1..4).prop_map(|set| set.into_iter().collect());
        let docs = prop::collection::btree_map(0..TEXTS, places, 1..6);
        prop::collection::btree_map(term, docs, 1..150)
    }

    fn written(folder: &Path, terms: &Terms) -> SegmentMeta {
        let mut writer = SegmentWriter::create(folder).unwrap();
        for (term, docs) in terms {
            let mut list = ListWriter::default();
            docs.iter().for_each(|(doc, places)| list.add(*doc, places.iter().copied()));
            list.take(|texts, docs, places| writer.term(term, texts, docs, places)).unwrap();
        }
        let row = |n: u32| Row { position: 7 + u64::from(n), part: n as u16, seconds: n };
        let texts = Texts {
            lengths: (0..TEXTS).map(|n| n as u8).collect(),
            rows: (0..TEXTS).map(row).collect(),
            words: 1,
            last: 7 + u64::from(TEXTS),
            mark: 1,
        };
        writer.finish(&texts).unwrap()
    }

    /// Everything that can be asked.
    fn read(segment: &Segment, prefix: &[u8]) -> Result<Terms, Unusable> {
        let mut lists = Vec::new();
        segment.each_with(prefix, |term, list| {
            lists.push((term.to_vec(), list));
            Ok(())
        })?;
        let mut terms = Terms::new();
        for (term, list) in lists {
            let docs = terms.entry(term).or_default();
            segment.docs(list, |_, _| {})?;
            segment.places(list, |doc, places| drop(docs.insert(doc, places.to_vec())))?;
        }
        Ok(terms)
    }

    proptest! {
        #[test]
        fn a_segment_has_what_was_written(terms in terms(), asked in prop::collection::vec(b'a'..=b'c', 0..4)) {
            let dir = tempfile::tempdir().unwrap();
            let segment = Segment::open(dir.path(), written(dir.path(), &terms)).unwrap();
            let want: Terms = terms.clone().into_iter().filter(|(term, _)| term.starts_with(&asked)).collect();
            prop_assert_eq!(read(&segment, &asked).unwrap(), want);
            let found = segment.list(&asked).unwrap().map(|list| list.texts as usize);
            prop_assert_eq!(found, terms.get(&asked).map(BTreeMap::len));
            prop_assert_eq!(segment.row(9).unwrap().position, 16);
            prop_assert_eq!(segment.rows().unwrap().len(), TEXTS as usize);
            prop_assert_eq!(segment.length(9), 9);
        }

        /// Whoever makes one up behind right checksums gets errors, or other words.
        #[test]
        fn made_up_segments_are_refused_or_read(
            terms in terms(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut meta = written(dir.path(), &terms);
            let mut bytes = PageReader::open(dir.path(), &meta.name, meta.len).unwrap().read(0, meta.len).unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            meta.name = "made-up".to_owned();
            let mut writer = PageWriter::create(dir.path(), &meta.name).unwrap();
            writer.write(&bytes).unwrap();
            writer.finish().unwrap();
            if let Ok(segment) = Segment::open(dir.path(), meta) {
                let _ = read(&segment, b"");
                let _ = segment.list(b"ab");
                let _ = segment.block(0);
                let _ = segment.rows();
            }
        }
    }
}
