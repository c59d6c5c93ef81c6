//! The records of a file: where each one is, and which run it belongs to.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::limits::MAX_RECORD_BYTES;

use super::content::Content;
use super::rows::{Row, Rows, Words};

/// One record of a file, or what remains of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// 1 for the first record.
    pub(crate) ordinal: usize,
    /// The line of the file that it begins on, from 1.
    pub(crate) line: usize,
    /// The record's bytes, without surrounding space.
    pub(crate) range: Range<usize>,
    /// Which of the file's runs it belongs to.
    pub(crate) run: usize,
    /// What is wrong with it: an index into [`Pieces::problems`].
    problem: Option<u32>,
}

impl Row for Piece {
    const WORDS: usize = 6;

    fn words(&self) -> Words {
        let Self { ordinal, line, range, run, problem } = self;
        let problem = problem.map_or(0, |n| u64::from(n) + 1);
        let (start, end) = (range.start as u64, range.end as u64);
        [*ordinal as u64, *line as u64, start, end, *run as u64, problem, 0, 0]
    }

    fn of([ordinal, line, start, end, run, problem, ..]: Words) -> Self {
        let range = start as usize..end as usize;
        let problem = problem.checked_sub(1).and_then(|n| u32::try_from(n).ok());
        Self { ordinal: ordinal as usize, line: line as usize, range, run: run as usize, problem }
    }
}

/// Records that belong together: the lines of a file, or the elements of one array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// The name of the object around them, if it has one.
    pub(crate) label: Option<String>,
    /// The number of records.
    records: usize,
}

/// All records of a file.
#[derive(Debug)]
pub(crate) struct Pieces {
    all: Rows<Piece>,
    /// The first holds what is in no array: the lines of a file.
    pub(crate) runs: Vec<Run>,
    /// What is worth knowing about their arrangement.
    pub(crate) notes: Vec<String>,
    problems: Vec<String>,
}

impl Pieces {
    pub(super) fn new(may_spill: bool) -> Self {
        let runs = vec![Run::default()];
        Self { all: Rows::new(may_spill), runs, notes: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds the next record.
    pub(super) fn push(
        &mut self,
        line: usize,
        range: Range<usize>,
        run: usize,
        problem: Option<u32>,
    ) -> io::Result<()> {
        if let Some(run) = self.runs.get_mut(run) {
            run.records += 1;
        }
        let ordinal = self.all.len() + 1;
        self.all.push(Piece { ordinal, line, range, run, problem })
    }

    /// Notes a problem of a record, and returns its index.
    pub(super) fn problem(&mut self, reason: String) -> u32 {
        self.problems.push(reason);
        u32::try_from(self.problems.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn new_run(&mut self, label: Option<&str>) -> usize {
        self.runs.push(Run { label: label.map(str::to_owned), records: 0 });
        self.runs.len() - 1
    }

    /// The record, or its problem.
    pub(crate) fn text(&self, piece: &Piece, content: &Content) -> Result<Text, String> {
        match piece.problem.and_then(|i| self.problems.get(i as usize)) {
            Some(reason) => Err(reason.clone()),
            None => Text::load(content, piece.range.clone()),
        }
    }

    /// Runs that have records, in the order of the file.
    pub(crate) fn runs_with_records(&self) -> Vec<usize> {
        let with_records = self.runs.iter().enumerate().filter(|(_, run)| run.records > 0);
        with_records.map(|(run, _)| run).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = io::Result<Piece>> + '_ {
        self.all.iter()
    }
}

/// Bytes that are UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(Bytes);

impl Text {
    pub(super) fn load(content: &Content, range: Range<usize>) -> Result<Self, String> {
        // Base64 and the names around it make a payload larger.
        if range.len() > 2 * MAX_RECORD_BYTES {
            return Err(format!("has {} bytes; the limit is {MAX_RECORD_BYTES}", range.len()));
        }
        let bytes = content.bytes(range);
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(e) => Err(format!("is not UTF-8: byte {} of the record", e.valid_up_to() + 1)),
        }
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
