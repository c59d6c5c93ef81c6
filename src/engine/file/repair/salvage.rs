//! Everything in a damaged file that proves by its own checksum what it is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use redb::TableHandle;

use super::entries::Entries;
use super::names::place_of_key;
use crate::codec::{
    BranchRow, Chunk, Frame, FrameRecord, HeadRow, JournalMark, Malformed, Meta, Run, decode_order,
    decode_sidecar_row,
};
use crate::engine::file::disk::journal::JournalFile;
use crate::engine::file::disk::mend::mended;
use crate::engine::file::open::old::JOURNAL;
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::engine::file::tables::pages::{FoundRow, Pages, Root, State, Widths, definition};
use crate::engine::file::tables::sidecar_view::table_of;
use crate::engine::problem::Problem;
use crate::engine::sidecar::SidecarTable;
use crate::event::Place;

pub(super) const NUMBERED: Widths = Widths { key: Some(8), value: None };
pub(super) const NAMED: Widths = Widths { key: None, value: None };

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

/// Takes the key and the value of a record, and whether the newest state has it so.
pub(super) type EachRecord<'a> = dyn FnMut(&[u8], &[u8], bool) + 'a;

/// The last word of the journal on a branch.
struct FrameLine {
    row: BranchRow,
    /// The tables have it, or something newer.
    is_flushed: bool,
}

/// The last word of the journal on each record.
pub(super) type RecordChanges = BTreeMap<(SidecarTable, Bytes), RecordChange>;

#[derive(Default)]
pub(super) struct Salvaged {
    pub(super) meta: Option<Meta>,
    /// A meta row that may be an older one: which store it is stays right.
    pub(super) older_meta: Option<Meta>,
    pub(super) lines: BTreeMap<u64, BranchRow>,
    /// Branches whose row may be an older one.
    pub(super) unsure: BTreeSet<u64>,
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
    /// Where each table begins, by the newest state that says so.
    roots: HashMap<String, Root>,
    /// Where they began in the state before, which is read for tables with holes.
    older_roots: HashMap<String, Root>,
    /// Tables of which not every row can be read. With [`Self::TABLES`], nobody knows which tables there are.
    holes: HashSet<String>,
    /// The last position that is in the tables, as far as is known.
    flushed: u64,
}

/// The journal of the file, and whether its secret is known.
pub(super) struct JournalSource<'a> {
    pub(super) file: &'a JournalFile,
    pub(super) len: u64,
    pub(super) is_proven: bool,
}

impl Salvaged {
    const TABLES: &str = "tables";

    /// Takes what one state of the tables leads to.
    pub(super) fn of(pages: &mut Pages, state: Option<State>) -> Self {
        let mut found = Self::default();
        match state.and_then(|state| state.tables) {
            Some(tables) => found.read_definitions(pages, tables),
            None => {
                found.holes.insert(Self::TABLES.to_owned());
                found.damage.push(Problem::new("the tables", "nothing leads to them"));
            }
        }
        found.read_meta(pages);
        found.read_branches(pages);
        found.read_chunks(pages);
        found
    }

    /// Puts the journal on top. `mark` is where the unflushed part begins, by the newest meta row that can be read.
    pub(super) fn read_above(
        &mut self,
        pages: &mut Pages,
        journal: Option<&JournalSource<'_>>,
        mark: Option<JournalMark>,
    ) {
        match journal {
            Some(journal) => self.read_journal(journal, mark),
            None => self.read_journal_table(pages),
        }
    }

    /// Whether some row of a table cannot be read.
    pub(super) fn has_hole(&self, table: &str) -> bool {
        self.holes.contains(table) || (self.holes.contains(Self::TABLES) && !self.roots.contains_key(table))
    }

    /// Whether nobody knows which tables there were.
    pub(super) fn lacks_tables(&self) -> bool {
        self.holes.contains(Self::TABLES)
    }

    /// Whether events or rows of branches are behind what cannot be read.
    pub(super) fn has_holes(&self) -> bool {
        self.has_hole(EVENTS.name()) || self.has_hole(LINES.name())
    }

    /// Adds rows of branches that nothing leads to, where a row is missing.
    pub(super) fn add_lines(&mut self, rows: &BTreeMap<u64, Vec<BranchRow>>, next_branch: u64) {
        for (number, rows) in rows {
            let is_known = self.names.contains_key(number) || self.events.contains_key(number);
            let is_missing = !self.lines.contains_key(number)
                && (is_known || (self.has_hole(LINES.name()) && *number < next_branch));
            let name = self.names.get(number);
            let agrees = |row: &&BranchRow| name.is_none_or(|place| row.place == *place);
            let Some(row) = rows.iter().rfind(agrees).filter(|_| is_missing) else { continue };
            self.lines.insert(*number, row.clone());
            self.unsure.insert(*number);
        }
    }

    /// The last position that is known.
    pub(super) fn end(&self) -> u64 {
        let last = self.frames.iter().map(last_position);
        last.max().unwrap_or_default().max(self.flushed)
    }

    /// Takes from the state before what cannot be read in this one.
    pub(super) fn fill_up(&mut self, older: Self) {
        if self.has_hole(LINES.name()) {
            for (number, row) in older.lines {
                self.unsure.extend((!self.lines.contains_key(&number)).then_some(number));
                self.lines.entry(number).or_insert(row);
            }
        }
        if self.has_hole(BRANCHES.name()) {
            let own = std::mem::replace(&mut self.names, older.names);
            self.names.extend(own);
        }
        if self.has_hole(HEADS.name()) {
            let own = std::mem::replace(&mut self.heads, older.heads);
            self.heads.extend(own);
        }
        if self.has_hole(EVENTS.name()) {
            let frames = self.frames.len();
            for (branch, own) in older.events {
                let own = own.into_iter().map(|events| match events.source {
                    Source::Commit { frame, event } => {
                        FoundEvents { source: Source::Commit { frame: frames + frame, event }, ..events }
                    }
                    _ => events,
                });
                self.events.entry(branch).or_default().extend(own);
            }
            self.frames.extend(older.frames);
        }
        self.older_roots = older.roots;
        self.older_meta = self.older_meta.take().or(older.meta).or(older.older_meta);
    }

    fn read_definitions(&mut self, pages: &mut Pages, tables: Root) {
        let (damage, roots) = (&mut self.damage, &mut self.roots);
        let mut unreadable = Vec::new();
        let is_whole = pages.walk(tables, NAMED, damage, &mut |row| {
            let name = std::str::from_utf8(row.key).ok();
            match (name, definition(row.value)) {
                (Some(name), Some(Some(root))) => drop(roots.insert(name.to_owned(), root)),
                (Some(_), Some(None)) => {}
                _ => unreadable.push(row.key.escape_ascii().to_string()),
            }
        });
        if !is_whole || !unreadable.is_empty() {
            self.holes.insert(Self::TABLES.to_owned());
        }
        let reason = "where it begins cannot be read";
        damage.extend(unreadable.into_iter().map(|name| Problem::new(format!("table {name}"), reason)));
    }

    fn walk(
        &mut self,
        pages: &mut Pages,
        table: &str,
        widths: Widths,
        each: &mut dyn FnMut(FoundRow<'_>) -> Result<(), String>,
    ) {
        if !self.walk_from(self.roots.get(table).copied(), pages, table, widths, each) {
            self.holes.insert(table.to_owned());
        }
        if self.has_hole(table) {
            self.walk_from(self.older_roots.get(table).copied(), pages, table, widths, each);
        }
    }

    /// `false` when some row cannot be read.
    fn walk_from(
        &mut self,
        root: Option<Root>,
        pages: &mut Pages,
        table: &str,
        widths: Widths,
        each: &mut dyn FnMut(FoundRow<'_>) -> Result<(), String>,
    ) -> bool {
        let Some(root) = root else { return true };
        let mut problems = Vec::new();
        let is_whole = pages.walk(root, widths, &mut self.damage, &mut |row| {
            let key = row.key.escape_ascii().to_string();
            if let Err(reason) = each(row) {
                problems.push(Problem::new(format!("row {key} of {table}"), reason));
            }
        });
        let is_whole = is_whole && problems.is_empty();
        self.damage.append(&mut problems);
        is_whole
    }

    fn read_meta(&mut self, pages: &mut Pages) {
        let (mut meta, mut older) = (None, None);
        self.walk(pages, META.name(), NAMED, &mut |row| {
            if row.key != META_KEY.as_bytes() {
                return Err("there is no such row".into());
            }
            let found = Meta::decode(row.value).ok().or_else(|| mended(row.value, Meta::decode));
            let found = found.ok_or("it cannot be read")?;
            *(if row.is_sound { &mut meta } else { &mut older }) = Some(found);
            Ok(())
        });
        (self.meta, self.older_meta) = (meta, older);
    }

    fn read_branches(&mut self, pages: &mut Pages) {
        let (mut lines, mut names, mut heads) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        let mut unsure = BTreeSet::new();
        self.walk(pages, LINES.name(), NUMBERED, &mut |row| {
            let number = number(row.key);
            lines.insert(number, BranchRow::decode(number, row.value).map_err(|e| e.to_string())?);
            unsure.extend((!row.is_sound).then_some(number));
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
        self.flushed = heads.values().map(|head: &HeadRow| head.position).max().unwrap_or_default();
        (self.lines, self.names, self.heads, self.unsure) = (lines, names, heads, unsure);
    }

    fn read_chunks(&mut self, pages: &mut Pages) {
        let mut events = BTreeMap::<u64, Vec<FoundEvents>>::new();
        let mut flushed = self.flushed;
        self.walk(pages, EVENTS.name(), PAIRS, &mut |row| {
            let chunk = Chunk::decode(row.value).map_err(|e| e.to_string())?;
            if pair(row.key) != (chunk.branch(), chunk.last()) {
                return Err("another chunk lies in its place".into());
            }
            if !row.is_sound {
                // It may be of a history whose end was lost once. It is looked at with the leftovers.
                return Ok(());
            }
            flushed = flushed.max(chunk.entry(chunk.last()).map_or(0, |(position, ..)| position));
            events.entry(chunk.branch()).or_default().push(found_chunk(&chunk, &row));
            Ok(())
        });
        (self.events, self.flushed) = (events, flushed);
    }

    fn read_journal(&mut self, journal: &JournalSource<'_>, mark: Option<JournalMark>) {
        let found = Entries::read(journal.file, journal.len, journal.is_proven, mark);
        self.damage.extend(found.damage);
        self.missing = found.missing;
        let own = self.meta.as_ref().map(|meta| meta.journal);
        self.take_frames(found.frames, own);
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

    /// `mark` is that of these tables. Without it, what is in them is known by its position.
    fn take_frames(&mut self, frames: Vec<(u64, Bytes)>, mark: Option<JournalMark>) {
        let mut lines: BTreeMap<u64, FrameLine> = BTreeMap::new();
        let mut before: Option<u64> = None;
        let frames: Vec<_> =
            frames.into_iter().map(|(number, bytes)| (number, Frame::decode(&bytes))).collect();
        let in_tables = self.in_tables(&frames);
        for ((number, decoded), in_tables) in frames.into_iter().zip(in_tables) {
            let is_flushed = mark.map_or(in_tables, |mark| number < mark.next);
            let follows = before.is_none_or(|before| number == before + 1);
            if !follows && is_flushed {
                // The hole is not missing: the tables have what was in it, so what is older says nothing of how things stand now.
                self.missing.retain(|(_, last)| last + 1 != number);
                self.forget(&mut lines);
            }
            before = Some(number);
            match decoded {
                Ok(frame) => {
                    self.last_commit = number;
                    // One without events may have come after the flush, as far as positions say.
                    let is_surely = is_flushed && (mark.is_some() || !frame.events.is_empty());
                    lines.extend(frame.births.iter().chain(&frame.changes).map(|birth| {
                        (birth.number, FrameLine { row: birth.row.clone(), is_flushed: is_surely })
                    }));
                    self.take_frame(frame, is_flushed);
                }
                Err(e) => {
                    self.damage.push(Problem::new(format!("commit {number} of the journal"), e.to_string()));
                    match is_flushed {
                        true => self.forget(&mut lines),
                        false => self.missing.push((number, number)),
                    }
                }
            }
        }
        self.take_lines(lines);
        self.missing.sort_unstable();
    }

    /// Which commits are in the tables, by the positions of their events. One without events is when a later one is.
    fn in_tables(&self, frames: &[(u64, Result<Frame, Malformed>)]) -> Vec<bool> {
        let mut is_in = false;
        let mut each: Vec<bool> = frames
            .iter()
            .rev()
            .map(|(_, frame)| {
                is_in = match frame {
                    Ok(frame) if !frame.events.is_empty() => last_position(frame) <= self.flushed,
                    _ => is_in,
                };
                is_in
            })
            .collect();
        each.reverse();
        each
    }

    /// What the journal has said so far is older than the tables.
    fn forget(&mut self, lines: &mut BTreeMap<u64, FrameLine>) {
        self.changes.clear();
        for (number, FrameLine { row, .. }) in std::mem::take(lines) {
            if let std::collections::btree_map::Entry::Vacant(entry) = self.lines.entry(number) {
                entry.insert(row);
                self.unsure.insert(number);
            }
        }
    }

    /// Takes what the journal says last of branches. What the tables have of a flushed frame may be newer: a commit that went
    /// into them directly is not in the journal.
    fn take_lines(&mut self, lines: BTreeMap<u64, FrameLine>) {
        for (number, FrameLine { mut row, is_flushed }) in lines {
            let is_sure = !self.unsure.remove(&number);
            if let Some(known) = self.lines.get(&number) {
                if is_flushed && is_sure {
                    continue;
                }
                // None of this is ever taken back.
                let (own, known) = (&mut row.attributes, &known.attributes);
                own.deleted = own.deleted.or(known.deleted);
                own.closed = own.closed.or(known.closed);
                own.truncated = own.truncated.max(known.truncated);
            }
            self.lines.insert(number, row);
        }
    }

    fn take_frame(&mut self, frame: Frame, is_flushed: bool) {
        let index = self.frames.len();
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

    /// Lets go of events in the journal that were removed after they were flushed: positions in order, each range with the one
    /// after it.
    pub(super) fn forget_removed(&mut self, removed: &[(u64, u64)]) {
        let is_removed = |position: u64| {
            let after = removed.partition_point(|(begin, _)| *begin <= position);
            let range = after.checked_sub(1).and_then(|at| removed.get(at));
            range.is_some_and(|(_, end)| position < *end)
        };
        if removed.is_empty() {
            return;
        }
        for own in self.events.values_mut() {
            let mut left: Vec<FoundEvents> = Vec::with_capacity(own.len());
            for events in own.drain(..) {
                let Source::Commit { frame, event } = events.source else {
                    left.push(events);
                    continue;
                };
                // That of the first event of its run, of which an earlier look may have left a part.
                let run = self.frames.get(frame).and_then(|frame| {
                    let mut at = 0;
                    let run = frame.runs.iter().find(|run| {
                        let begin = at;
                        at += run.count as usize;
                        begin == event
                    });
                    Some((run?.first, frame.first_position + event as u64))
                });
                let Some((first, begin)) = run else { continue };
                let mut part: Option<FoundEvents> = None;
                for sequence in events.first..=events.last {
                    match (is_removed(begin.saturating_add(sequence - first)), &mut part) {
                        (true, _) => left.extend(part.take()),
                        (false, Some(part)) => part.last = sequence,
                        (false, None) => {
                            let source = events.source.clone();
                            part = Some(FoundEvents { first: sequence, last: sequence, source });
                        }
                    }
                }
                left.extend(part);
            }
            *own = left;
        }
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
            if let Some(id) = row.key.first_chunk().filter(|_| row.is_sound) {
                each(*id, pair(row.value));
            }
            Ok(())
        });
    }

    /// The records of a table as they were flushed, each once, and whether it is as the newest state has it. Answers how many
    /// there were.
    pub(super) fn records(
        &mut self,
        pages: &mut Pages,
        table: SidecarTable,
        each: &mut EachRecord<'_>,
    ) -> u64 {
        let decoded = |row: &FoundRow<'_>| {
            decode_sidecar_row(table.number(), row.key, row.value)
                .map(<[u8]>::to_vec)
                .map_err(|e| e.to_string())
        };
        let root = self.roots.get(table.name()).copied();
        let is_whole = self.walk_from(root, pages, table.name(), NAMED, &mut |row| {
            let value = decoded(&row)?;
            if row.is_sound {
                each(row.key, &value, true);
            }
            Ok(())
        });
        if !is_whole {
            self.holes.insert(table.name().to_owned());
        }
        if self.has_hole(table.name()) {
            // After what is sound in the newest state comes what was in the one before, then what may be older still.
            let mut seen = HashSet::new();
            self.walk_from(root, pages, table.name(), NAMED, &mut |row| {
                seen.extend((row.is_sound && decoded(&row).is_ok()).then(|| row.key.to_vec()));
                Ok(())
            });
            let older = self.older_roots.get(table.name()).copied();
            for (root, takes_sound) in [(older, true), (root, false)] {
                self.walk_from(root, pages, table.name(), NAMED, &mut |row| {
                    let value = decoded(&row)?;
                    if row.is_sound == takes_sound && seen.insert(row.key.to_vec()) {
                        each(row.key, &value, false);
                    }
                    Ok(())
                });
            }
        }
        debug_assert_eq!(table_of(table).name(), table.name());
        let root = self.roots.get(table.name()).or_else(|| self.older_roots.get(table.name()));
        let rows = root.map(|root| root.rows);
        let counted = self.meta.as_ref().and_then(|meta| meta.rows_of(table.name()));
        rows.unwrap_or_default().max(counted.unwrap_or_default())
    }
}

/// That of the last event of a commit; 0 when it has none.
fn last_position(frame: &Frame) -> u64 {
    frame.first_position.saturating_add(frame.events.len() as u64).saturating_sub(1)
}

pub(super) const PAIRS: Widths = Widths { key: Some(16), value: None };

/// A chunk as a row of a table has it.
pub(super) fn found_chunk(chunk: &Chunk, row: &FoundRow<'_>) -> FoundEvents {
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
