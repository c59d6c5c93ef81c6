//! Writing a segment, term after term.

use std::io;
use std::path::Path;

use super::manifest::SEGMENT;
use super::meta::SegmentMeta;
use super::numbers::put;
use super::pages::PageWriter;
use super::row::{self, BLOCK_ROWS, Row};
use crate::event::EventId;
use crate::limits::SEARCH_BLOCK_TERMS;

/// The texts of a segment, by their numbers, in ascending order of position.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// How long each is, as codes.
    pub(super) lengths: Vec<u8>,
    pub(super) rows: Vec<Row>,
    pub(super) words: u64,
    /// The position of the last event, which need not be there any more, and its mark.
    pub(super) last: u64,
    pub(super) mark: u64,
}

/// A segment that is being written: the lists of some terms, these terms, the next lists …, then what leads to them.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    pages: PageWriter,
    name: String,
    /// The first term of each block, and where it is.
    index: Vec<u8>,
    block: Block,
}

/// Terms that are read together.
#[derive(Debug, Default)]
struct Block {
    terms: Vec<u8>,
    first: Vec<u8>,
    last: Vec<u8>,
    /// Where its lists begin.
    lists: u64,
    count: usize,
}

impl SegmentWriter {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let name = format!("{}{SEGMENT}", EventId::new().uuid().simple());
        let pages = PageWriter::create(folder, &name)?;
        Ok(Self { pages, name, index: Vec::new(), block: Block::default() })
    }

    /// The next term, in ascending order, with its lists.
    pub(super) fn term(&mut self, term: &[u8], texts: u32, docs: &[u8], places: &[u8]) -> io::Result<()> {
        let block = &mut self.block;
        if block.count == 0 {
            block.lists = self.pages.at();
            term.clone_into(&mut block.first);
        }
        self.pages.write(docs)?;
        self.pages.write(places)?;
        let shared = block.last.iter().zip(term).take_while(|(a, b)| a == b).count();
        let own = term.get(shared..).unwrap_or_default();
        put(shared as u64, &mut block.terms);
        put(own.len() as u64, &mut block.terms);
        block.terms.extend_from_slice(own);
        put(u64::from(texts), &mut block.terms);
        put(docs.len() as u64, &mut block.terms);
        put(places.len() as u64, &mut block.terms);
        term.clone_into(&mut block.last);
        block.count += 1;
        if block.count >= SEARCH_BLOCK_TERMS {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        if block.count == 0 {
            return Ok(());
        }
        put(block.first.len() as u64, &mut self.index);
        self.index.extend_from_slice(&block.first);
        put(block.lists, &mut self.index);
        put(self.pages.at(), &mut self.index);
        put(block.terms.len() as u64, &mut self.index);
        self.pages.write(&block.terms)
    }

    /// Ends it. `texts` has at least one.
    pub(super) fn finish(mut self, texts: &Texts) -> io::Result<SegmentMeta> {
        self.end_block()?;
        let first = texts.rows.first().map(|row| row.position).unwrap_or_default();
        let terms = (self.pages.at(), self.index.len() as u64);
        self.pages.write(&self.index)?;
        let lengths = self.pages.at();
        self.pages.write(&texts.lengths)?;
        let (mut encoded, mut blocks) = (Vec::new(), Vec::new());
        for some in texts.rows.chunks(BLOCK_ROWS) {
            blocks.extend_from_slice(&self.pages.at().to_le_bytes());
            encoded.clear();
            row::encode(some, first, &mut encoded);
            self.pages.write(&encoded)?;
        }
        let rows = self.pages.at();
        blocks.extend_from_slice(&rows.to_le_bytes());
        self.pages.write(&blocks)?;
        Ok(SegmentMeta {
            name: self.name,
            len: self.pages.finish()?,
            texts: texts.rows.len() as u32,
            words: texts.words,
            first,
            last: texts.last,
            mark: texts.mark,
            terms,
            lengths,
            rows,
        })
    }
}
