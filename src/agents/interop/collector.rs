//! Collects the records of a file, and the unreadable parts between them.

use std::ops::Range;

use crate::limits::{RECOVER_BYTES, RECOVER_FACTOR};

use super::content::Content;
use super::fields::Fields;
use super::outline::Outline;
use super::piece::Pieces;

/// Tells a record from the objects around it.
pub(crate) type Test = fn(&Fields<'_>) -> bool;

pub(super) struct Collector<'c> {
    pub(super) content: &'c Content,
    test: Test,
    /// The same in what is left of a damaged value. `None`: nothing there is.
    salvaged: Option<Test>,
    found: Pieces,
    /// Bytes that the search for whole records may still read.
    budget: usize,
    /// The last place whose line was counted.
    line: (usize, usize),
}

impl<'c> Collector<'c> {
    pub(super) fn new(content: &'c Content, test: Test, salvaged: Option<Test>) -> Self {
        Self {
            content,
            test,
            salvaged,
            found: Pieces::new(content.is_on_disk()),
            budget: (content.len().saturating_mul(RECOVER_FACTOR)).max(RECOVER_BYTES),
            line: (0, 1),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn fits(&self, f: &Fields<'_>) -> bool {
        (self.test)(f)
    }

    /// Whether these bytes are a record of the format.
    pub(super) fn is_record(&self, range: &Range<usize>) -> bool {
        self.passes(range, self.test)
    }

    /// Whether there can be records in something damaged.
    pub(super) fn salvages(&self) -> bool {
        self.salvaged.is_some()
    }

    /// Whether these bytes, which are in something damaged, are a record all the same.
    pub(super) fn is_salvaged(&self, range: &Range<usize>) -> bool {
        self.salvaged.is_some_and(|test| self.passes(range, test))
    }

    fn passes(&self, range: &Range<usize>, test: Test) -> bool {
        let outline = Outline::load(self.content, range.clone());
        outline.is_some_and(|outline| outline.fields().is_some_and(|f| test(&f)))
    }

    pub(super) fn record(&mut self, range: Range<usize>, run: usize) {
        self.push(range, run, None);
    }

    /// Bytes that cannot be read as a record.
    pub(super) fn lost(&mut self, range: Range<usize>, run: usize, reason: String) {
        let problem = Some(self.found.problem(reason));
        self.push(range, run, problem);
    }

    fn push(&mut self, range: Range<usize>, run: usize, problem: Option<u32>) {
        let line = self.line.1 + self.newlines(self.line.0..range.start);
        self.line = (range.start, line);
        let pushed = self.found.push(line, range, run, problem);
        pushed.unwrap_or_else(|e| self.content.fail(e));
    }

    pub(super) fn note(&mut self, at: usize, what: &str) {
        let line = 1 + self.newlines(0..at);
        self.found.notes.push(format!("line {line}, byte {}: {what}", at + 1));
    }

    pub(super) fn new_run(&mut self, label: Option<&str>) -> usize {
        self.found.new_run(label)
    }

    /// Whether the search may read this many more bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        self.budget = self.budget.saturating_sub(bytes.max(1));
        self.budget > 0
    }

    fn newlines(&self, range: Range<usize>) -> usize {
        let mut c = self.content.cursor(range);
        let mut n = 0;
        while !c.rest().is_empty() {
            let rest = c.rest();
            n += rest.iter().filter(|b| **b == b'\n').count();
            c.at += rest.len();
        }
        n
    }

    pub(super) fn finish(self) -> Pieces {
        self.found
    }
}
