//! Everything in a damaged file that proves by its own checksum what it is.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use redb::TableHandle;

use super::entries::Entries;
use super::names::place_of_key;
use super::pages::{Pages, Root, State, Widths, definition};
use crate::codec::{
    BranchRow, Chunk, Frame, FrameRecord, HeadRow, JournalMark, Meta, Run, decode_order, decode_sidecar_row,
};
use crate::engine::file::disk::journal::JournalFile;
use crate::engine::file::disk::mend::mended;
use crate::engine::file::open::old::JOURNAL;
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::engine::file::tables::sidecar_view::table_of;
use crate::engine::problem::Problem;
use crate::engine::sidecar::SidecarTable;
use crate::event::Place;

const NUMBERED: Widths = Widths { key: Some(8), value: None };
const NAMED: Widths = Widths { key: None, value: None };

/// Where consecutive events of a branch are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A chunk in the file.
    Chunk { at: u64, len: u64 },
    /// A chunk that was put right.
    Mended(Bytes),
    /// Events of a commit in the journal, from this one on.
    Commit { frame: usize, event: usize },
}

/// Consecutive events of a branch.
#[derive(Clone, Debug)]
pub(super) struct FoundEvents {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) source: Source,
}

/// What a commit in the journal has made of a record.
pub(super) struct RecordChange {
    /// `None` when it was removed.
    pub(super) value: Option<Bytes>,
    /// The table should have it too.
    pub(super) is_flushed: bool,
}

/// The last word of the journal on each record.
pub(super) type RecordChanges = BTreeMap<(SidecarTable, Bytes), RecordChange>;

pub(super) struct Salvaged {
    pub(super) meta: Option<Meta>,
    pub(super) lines: BTreeMap<u64, BranchRow>,
    /// What the index of names says.
    pub(super) names: BTreeMap<u64, Place>,
    pub(super) heads: HashMap<u64, HeadRow>,
    pub(super) events: BTreeMap<u64, Vec<FoundEvents>>,
    pub(super) frames: Vec<Frame>,
    pub(super) changes: RecordChanges,
    /// Numbers of commits, first and last.
    pub(super) missing: Vec<(u64, u64)>,
    /// The last commit that was read.
    pub(super) last_commit: u64,
    pub(super) damage: Vec<Problem>,
    pub(super) roots: HashMap<String, Root>,
}

/// The journal of the file, and whether its secret is known.
pub(super) struct JournalSource<'a> {
    pub(super) file: &'a JournalFile,
    pub(super) len: u64,
    pub(super) is_proven: bool,
}

impl Salvaged {
    /// Takes what one state of the tables leads to, with the journal on top.
    pub(super) fn of(pages: &mut Pages, state: Option<State>, journal: Option<&JournalSource<'_>>) -> Self {
        let mut found = Self {
            meta: None,
            lines: BTreeMap::new(),
            names: BTreeMap::new(),
            heads: HashMap::new(),
            events: BTreeMap::new(),
            frames: Vec::new(),
            changes: RecordChanges::new(),
            missing: Vec::new(),
            last_commit: 0,
            damage: Vec::new(),
            roots: HashMap::new(),
        };
        match state.and_then(|state| state.tables) {
            Some(tables) => found.read_definitions(pages, tables),
            None => found.damage.push(Problem::new("the tables", "nothing leads to them")),
        }
        found.read_meta(pages);
        found.read_branches(pages);
        found.read_chunks(pages);
        match journal {
            Some(journal) => found.read_journal(journal),
            None => found.read_journal_table(pages),
        }
        found
    }

    fn read_definitions(&mut self, pages: &mut Pages, tables: Root) {
        let (damage, roots) = (&mut self.damage, &mut self.roots);
        let mut unreadable = Vec::new();
        pages.walk(tables, NAMED, damage, &mut |row| {
            let name = std::str::from_utf8(row.key).ok();
            match (name, definition(row.value)) {
                (Some(name), Some(Some(root))) => drop(roots.insert(name.to_owned(), root)),
                (Some(_), Some(None)) => {}
                _ => unreadable.push(row.key.escape_ascii().to_string()),
            }
        });
        let reason = "where it begins cannot be read";
        damage.extend(unreadable.into_iter().map(|name| Problem::new(format!("table {name}"), reason)));
    }

    fn walk(
        &mut self,
        pages: &mut Pages,
        table: &str,
        widths: Widths,
        each: &mut dyn FnMut(super::pages::FoundRow<'_>) -> Result<(), String>,
    ) {
        let Some(root) = self.roots.get(table).copied() else { return };
        let mut problems = Vec::new();
        pages.walk(root, widths, &mut self.damage, &mut |row| {
            let key = row.key.escape_ascii().to_string();
            if let Err(reason) = each(row) {
                problems.push(Problem::new(format!("row {key} of {table}"), reason));
            }
        });
        self.damage.append(&mut problems);
    }

    fn read_meta(&mut self, pages: &mut Pages) {
        let mut meta = None;
        self.walk(pages, META.name(), NAMED, &mut |row| {
            if row.key != META_KEY.as_bytes() {
                return Err("there is no such row".into());
            }
            meta = Meta::decode(row.value).ok().or_else(|| mended(row.value, Meta::decode));
            meta.is_some().then_some(()).ok_or_else(|| "it cannot be read".into())
        });
        self.meta = meta;
    }

    fn read_branches(&mut self, pages: &mut Pages) {
        let (mut lines, mut names, mut heads) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        self.walk(pages, LINES.name(), NUMBERED, &mut |row| {
            let number = number(row.key);
            lines.insert(number, BranchRow::decode(number, row.value).map_err(|e| e.to_string())?);
            Ok(())
        });
        let widths = Widths { key: None, value: Some(8) };
        self.walk(pages, BRANCHES.name(), widths, &mut |row| {
            let place = place_of_key(row.key).ok_or("it is no name of a branch")?;
            names.insert(number(row.value), place);
            Ok(())
        });
        self.walk(pages, HEADS.name(), NUMBERED, &mut |row| {
            let number = number(row.key);
            heads.insert(number, HeadRow::decode(number, row.value).map_err(|e| e.to_string())?);
            Ok(())
        });
        (self.lines, self.names, self.heads) = (lines, names, heads);
    }

    fn read_chunks(&mut self, pages: &mut Pages) {
        let mut events = BTreeMap::<u64, Vec<FoundEvents>>::new();
        self.walk(pages, EVENTS.name(), PAIRS, &mut |row| {
            let chunk = Chunk::decode(row.value).map_err(|e| e.to_string())?;
            if pair(row.key) != (chunk.branch(), chunk.last()) {
                return Err("another chunk lies in its place".into());
            }
            events.entry(chunk.branch()).or_default().push(found_chunk(&chunk, &row));
            Ok(())
        });
        self.events = events;
    }

    fn read_journal(&mut self, journal: &JournalSource<'_>) {
        let mark = self.meta.as_ref().map(|meta| meta.journal);
        let found = Entries::read(journal.file, journal.len, journal.is_proven, mark);
        self.missing = found.missing;
        self.take_frames(found.frames, mark);
    }

    /// The journal of the first format.
    fn read_journal_table(&mut self, pages: &mut Pages) {
        let mut frames = Vec::new();
        self.walk(pages, JOURNAL.name(), NUMBERED, &mut |row| {
            frames.push((number(row.key), Bytes::copy_from_slice(row.value)));
            Ok(())
        });
        self.take_frames(frames, None);
    }

    fn take_frames(&mut self, frames: Vec<(u64, Bytes)>, mark: Option<JournalMark>) {
        for (number, bytes) in frames {
            let is_flushed = mark.is_some_and(|mark| number < mark.next);
            match Frame::decode(&bytes) {
                Ok(frame) => {
                    self.last_commit = number;
                    self.take_frame(frame, is_flushed);
                }
                Err(e) => {
                    self.damage.push(Problem::new(format!("commit {number} of the journal"), e.to_string()));
                    match is_flushed {
                        // What is older says nothing of how a record stands now.
                        true => self.changes.clear(),
                        false => self.missing.push((number, number)),
                    }
                }
            }
        }
        self.missing.sort_unstable();
    }

    fn take_frame(&mut self, frame: Frame, is_flushed: bool) {
        let index = self.frames.len();
        for birth in frame.births.iter().chain(&frame.changes) {
            self.lines.insert(birth.number, birth.row.clone());
        }
        let mut event = 0;
        for run in &frame.runs {
            let last = run.first + u64::from(run.count) - 1;
            let source = Source::Commit { frame: index, event };
            event += run.count as usize;
            self.events.entry(run.branch).or_default().push(FoundEvents { first: run.first, last, source });
        }
        for FrameRecord { table, key, value } in &frame.beside {
            if let Some(table) = SidecarTable::numbered(*table) {
                let change = RecordChange { value: value.clone(), is_flushed };
                self.changes.insert((table, key.clone()), change);
            }
        }
        self.frames.push(frame);
    }

    /// The rows of the global order: runs with the position of the first event of each.
    pub(super) fn order(&mut self, pages: &mut Pages, each: &mut dyn FnMut(u64, Run)) {
        self.walk(pages, ORDER.name(), NUMBERED, &mut |row| {
            let mut position = number(row.key);
            for run in decode_order(position, row.value).map_err(|e| e.to_string())? {
                each(position, run);
                position = position.saturating_add(run.count.into());
            }
            Ok(())
        });
    }

    /// The index of ids: id, branch and sequence.
    pub(super) fn ids(&mut self, pages: &mut Pages, each: &mut dyn FnMut([u8; 16], (u64, u64))) {
        let widths = Widths { key: Some(16), value: Some(16) };
        self.walk(pages, IDS.name(), widths, &mut |row| {
            if let Some(id) = row.key.first_chunk() {
                each(*id, pair(row.value));
            }
            Ok(())
        });
    }

    /// The sound records of a table as they were flushed. Answers how many there were.
    pub(super) fn records(
        &mut self,
        pages: &mut Pages,
        table: SidecarTable,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> u64 {
        self.walk(pages, table.name(), NAMED, &mut |row| {
            let value = decode_sidecar_row(table.number(), row.key, row.value).map_err(|e| e.to_string())?;
            each(row.key, value);
            Ok(())
        });
        debug_assert_eq!(table_of(table).name(), table.name());
        let rows = self.roots.get(table.name()).map(|root| root.rows);
        let counted = self.meta.as_ref().and_then(|meta| meta.rows_of(table.name()));
        rows.unwrap_or_default().max(counted.unwrap_or_default())
    }
}

pub(super) const PAIRS: Widths = Widths { key: Some(16), value: None };

/// A chunk as a row of a table has it.
pub(super) fn found_chunk(chunk: &Chunk, row: &super::pages::FoundRow<'_>) -> FoundEvents {
    let source = match row.at {
        Some(at) => Source::Chunk { at, len: row.value.len() as u64 },
        None => Source::Mended(Bytes::copy_from_slice(row.value)),
    };
    FoundEvents { first: chunk.first(), last: chunk.last(), source }
}

pub(super) fn number(key: &[u8]) -> u64 {
    key.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default()
}

pub(super) fn pair(key: &[u8]) -> (u64, u64) {
    (number(key), number(key.get(8..).unwrap_or_default()))
}
