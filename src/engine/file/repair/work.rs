//! The steps of a repair.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bytes::Bytes;

use super::plan::{
    Branches, ChangedBranch, Extent, PlacedRun, PlannedBranch, PlannedPart, branches, free_place, place_lost,
};
use super::salvage::{FoundEvents, JournalSource, PAIRS, Salvaged, Source, found_chunk, number, pair};
use super::source::DamagedFile;
use crate::codec::{Attributes, BranchRow, Chunk, Meta, Run, decode_record, encode_record};
use crate::engine::file::open::create::create_filled;
use crate::engine::file::open::meta_row::usable;
use crate::engine::file::options::Options;
use crate::engine::file::rebuild::{Rebuild, RebuiltEvent};
use crate::engine::file::redb_errors::{corrupt, guarded};
use crate::engine::file::tables::db::Db;
use crate::engine::port::OnProgress;
use crate::engine::problem::Problem;
use crate::engine::repaired::{LOST_EVENT, Lost, Repaired};
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::{EventId, NewEvent, Position, Sequence, StoreId, Timestamp};
use crate::limits::MAX_RECORD_BYTES;

/// Problems that are told one by one.
const MAX_TOLD: usize = 1_000;

/// Puts a new store together from what is sound in a damaged file. Tells how many events of how many it has written.
pub(crate) fn repair(damaged: &Path, to: &Path, progress: &mut OnProgress<'_>) -> Result<Repaired> {
    guarded(|| {
        let file = DamagedFile::open(damaged)?;
        let mut repair = Repair::of(file, damaged)?;
        repair.plan()?;
        let journal_bytes = repair.file.journal_bytes();
        let options = Options { journal_bytes, ..Options::default() };
        let bytes = create_filled(to, &options, |db| repair.write(db, progress))?;
        Ok(repair.told(to, bytes))
    })
}

struct Repair {
    file: DamagedFile,
    found: Salvaged,
    meta: Meta,
    planned: Branches,
    total: u64,
    lost: Vec<Lost>,
    events: u64,
    records: u64,
    /// What the index of ids says of lost events.
    lost_ids: HashMap<(u64, u64), EventId>,
}

impl Repair {
    fn of(mut file: DamagedFile, path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let (found, identity) = salvage(&mut file);
        if found.lines.is_empty() && found.events.is_empty() && found.meta.is_none() {
            let mut reasons = file.damage.iter().chain(&found.damage).map(ToString::to_string);
            let reason = reasons.next().unwrap_or_default();
            return Err(corrupt(name, format!("nothing in it can be read ({reason}); restore a backup")));
        }
        let mut lost = Vec::new();
        // Which store it is does not change. How much there is of it is only known from the newest row.
        let identity = identity.map(|meta| Meta { flushed: 0, next_branch: 1, ..meta });
        let meta = found.meta.clone().or(identity).unwrap_or_else(|| {
            lost.push(Lost::Identity);
            Meta::new(*StoreId::new().bytes(), Timestamp::now().micros())
        });
        usable(&meta, &name, true)?;
        Ok(Self {
            file,
            found,
            meta,
            planned: Branches::new(),
            total: 0,
            lost,
            events: 0,
            records: 0,
            lost_ids: HashMap::new(),
        })
    }

    fn plan(&mut self) -> Result<()> {
        let mut changed = self.plan_branches();
        if self.has_gaps() || !changed.is_empty() {
            self.name_lost();
            self.scan();
            changed = self.plan_branches();
        }
        self.lost.extend(changed.into_iter().map(|ChangedBranch { was, now, why }| Lost::Branch {
            was,
            now,
            why,
        }));
        let placed = self.placed()?;
        let hints = self.hints();
        let (total, strays) = place_lost(&mut self.planned, &placed, &hints)?;
        self.total = total;
        self.plan_strays(&strays)?;
        self.list_lost();
        Ok(())
    }

    /// Lays out the branches by what is known so far.
    fn plan_branches(&mut self) -> Vec<ChangedBranch> {
        let mut extents: HashMap<u64, Extent> = HashMap::new();
        let (mut next, mut is_whole) = (1, true);
        self.found.order(&mut self.file.pages, &mut |position, run| {
            is_whole &= position == next;
            next = position.saturating_add(run.count.into());
            let last = run.first.saturating_add(u64::from(run.count) - 1);
            let extent = extents.entry(run.branch).or_insert(Extent { first: run.first, last });
            *extent = Extent { first: extent.first.min(run.first), last: extent.last.max(last) };
        });
        is_whole &= self.found.meta.as_ref().is_some_and(|meta| meta.flushed + 1 == next);
        // Of what is only in the journal, it says nothing.
        for (branch, own) in &self.found.events {
            for events in own.iter().filter(|events| matches!(events.source, Source::Commit { .. })) {
                let extent =
                    extents.entry(*branch).or_insert(Extent { first: events.first, last: events.last });
                extent.last = extent.last.max(events.last);
            }
        }
        is_whole &= self.found.missing.is_empty();
        let (planned, changed) = branches(&self.found, &extents, is_whole);
        self.planned = planned;
        changed
    }

    fn lost_parts(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.planned.iter().flat_map(|(number, branch)| {
            branch.parts.iter().filter_map(|part| match part {
                PlannedPart::Lost { first, last, .. } => Some((*number, *first, *last)),
                PlannedPart::Found(_) => None,
            })
        })
    }

    fn has_gaps(&self) -> bool {
        self.lost_parts().next().is_some()
    }

    /// Looks up in the index of ids which events are lost.
    fn name_lost(&mut self) {
        let mut gaps: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        self.lost_parts()
            .for_each(|(branch, first, last)| gaps.entry(branch).or_default().push((first, last)));
        let ids = &mut self.lost_ids;
        self.found.ids(&mut self.file.pages, &mut |id, (branch, sequence)| {
            let gaps = gaps.get(&branch).map(Vec::as_slice).unwrap_or_default();
            if gaps.iter().any(|(first, last)| (*first..=*last).contains(&sequence)) {
                ids.insert((branch, sequence), EventId::from_bytes(id));
            }
        });
    }

    /// Looks for what is missing in all pages of the file, whether anything leads to them or not. A page that is no longer in
    /// use may have what was never acknowledged: the index of ids has to agree.
    fn scan(&mut self) {
        let gaps: Vec<(u64, u64, u64)> = self.lost_parts().collect();
        let (ids, events) = (&self.lost_ids, &mut self.found.events);
        self.file.pages.scan(PAIRS.key.unwrap_or_default(), &mut |row| {
            let (branch, last) = pair(row.key);
            if !gaps.iter().any(|(of, first, _)| *of == branch && *first <= last) {
                return;
            }
            let Ok(chunk) = Chunk::decode(row.value) else { return };
            if (chunk.branch(), chunk.last()) != (branch, last) {
                return;
            }
            let agrees = |(sequence, record): (u64, Bytes)| {
                let id = decode_record(record).map(|record| record.id());
                ids.get(&(branch, sequence)).is_none_or(|known| Ok(*known) == id)
            };
            if (chunk.first()..).zip(chunk.entries()).all(|(n, (_, _, record))| agrees((n, record))) {
                events.entry(branch).or_default().push(found_chunk(&chunk, &row));
            }
        });
        let lines = &mut self.found.lines;
        let missing: HashSet<u64> = (1..self.meta.next_branch)
            .chain(self.found.names.keys().copied())
            .chain(events.keys().copied())
            .filter(|number| !lines.contains_key(number))
            .collect();
        if !missing.is_empty() {
            self.file.pages.scan(8, &mut |row| {
                let number = number(row.key);
                if missing.contains(&number)
                    && let Ok(line) = BranchRow::decode(number, row.value)
                {
                    lines.insert(number, line);
                }
            });
        }
    }

    /// The positions of all events that were found, sorted.
    fn placed(&self) -> Result<Vec<PlacedRun>> {
        let mut placed: Vec<PlacedRun> = Vec::new();
        for (number, branch) in &self.planned {
            for part in &branch.parts {
                let PlannedPart::Found(events) = part else { continue };
                for event in self.load(events)? {
                    match placed.last_mut() {
                        Some(PlacedRun { position, run })
                            if run.branch == *number
                                && run.first + u64::from(run.count) == event.sequence
                                && *position + u64::from(run.count) == event.position =>
                        {
                            run.count += 1;
                        }
                        _ => placed.push(PlacedRun {
                            position: event.position,
                            run: Run { branch: *number, first: event.sequence, count: 1 },
                        }),
                    }
                }
            }
        }
        placed.sort_unstable_by_key(|run| run.position);
        Ok(placed)
    }

    /// What the global order and the heads say of the positions of lost events.
    fn hints(&mut self) -> HashMap<(u64, u64), u64> {
        let mut gaps: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        self.lost_parts()
            .for_each(|(branch, first, last)| gaps.entry(branch).or_default().push((first, last)));
        let mut hints = HashMap::new();
        if gaps.is_empty() {
            return hints;
        }
        let is_lost = |branch: u64, sequence: u64| {
            let gaps = gaps.get(&branch).map(Vec::as_slice).unwrap_or_default();
            gaps.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
        };
        self.found.order(&mut self.file.pages, &mut |position, run| {
            if gaps.contains_key(&run.branch) {
                let run_of = (run.first..).zip(position..).take(run.count as usize);
                hints.extend(
                    run_of.filter(|(n, _)| is_lost(run.branch, *n)).map(|(n, at)| ((run.branch, n), at)),
                );
            }
        });
        for (branch, head) in &self.found.heads {
            if is_lost(*branch, head.head) {
                hints.insert((*branch, head.head), head.position);
            }
        }
        hints
    }

    /// Lost events that nobody can name get a branch of their own.
    fn plan_strays(&mut self, positions: &[u64]) -> Result<()> {
        let count = positions.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let number = self.planned.keys().next_back().copied().unwrap_or_default() + 1;
        let place = free_place("lost-events", &self.found)
            .ok_or_else(|| corrupt("the store", "no session is left for lost events"))?;
        self.lost.push(Lost::Strays { place: place.clone(), events: count });
        let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
        let part = PlannedPart::Lost { first: 1, last: count, positions: positions.to_vec() };
        self.planned.insert(number, PlannedBranch { row, shift: 0, parts: vec![part] });
        Ok(())
    }

    fn list_lost(&mut self) {
        let mut lost = std::mem::take(&mut self.lost);
        let is_stray = |branch: &PlannedBranch| {
            lost.iter().any(|lost| matches!(lost, Lost::Strays { place, .. } if *place == branch.row.place))
        };
        let mut events = Vec::new();
        for branch in self.planned.values().filter(|branch| !is_stray(branch)) {
            for part in &branch.parts {
                if let PlannedPart::Lost { first, last, .. } = part {
                    let at = |sequence: u64| Sequence::new(sequence.saturating_sub(branch.shift));
                    let place = branch.row.place.clone();
                    events.push(Lost::Events { place, first: at(*first), last: at(*last) });
                }
            }
        }
        lost.extend(events);
        if self.meta.flushed > self.total {
            let (first, last) = (Position::new(self.total + 1), Position::new(self.meta.flushed));
            lost.push(Lost::End { first, last });
        }
        lost.extend(
            self.found.missing.iter().map(|(first, last)| Lost::Commits { first: *first, last: *last }),
        );
        self.lost = lost;
    }

    /// Some consecutive events, with their old sequences.
    fn load(&self, events: &FoundEvents) -> Result<Vec<RebuiltEvent>> {
        let gone = || corrupt("the store", "what was found in it cannot be read again");
        if let Source::Commit { frame, event } = &events.source {
            let frame = self.found.frames.get(*frame).ok_or_else(gone)?;
            let own = frame.runs.iter().scan(0usize, |at, run| {
                let begin = *at;
                *at += run.count as usize;
                Some((begin, *run))
            });
            let run =
                own.into_iter().find(|(begin, _)| begin == event).map(|(_, run)| run).ok_or_else(gone)?;
            let loaded = (events.first..=events.last).map(|sequence| {
                let at = usize::try_from(sequence - run.first).map_err(|_| gone())? + event;
                Ok(RebuiltEvent {
                    sequence,
                    position: frame.first_position + at as u64,
                    recorded: frame.recorded,
                    record: frame.events.get(at).cloned().ok_or_else(gone)?,
                })
            });
            return loaded.collect();
        }
        let chunk = Chunk::decode(&self.row(&events.source).ok_or_else(gone)?).map_err(|_| gone())?;
        let loaded = (events.first..=events.last).map(|sequence| {
            let (position, recorded, record) = chunk.entry(sequence).ok_or_else(gone)?;
            Ok(RebuiltEvent { sequence, position, recorded, record })
        });
        loaded.collect()
    }

    /// The row of a chunk.
    fn row(&self, source: &Source) -> Option<Vec<u8>> {
        match source {
            Source::Chunk { at, len } => self.file.pages.bytes(*at, *len),
            Source::Mended(row) => Some(row.to_vec()),
            Source::Commit { .. } => None,
        }
    }

    fn write(&mut self, db: &Db, progress: &mut OnProgress<'_>) -> Result<()> {
        let mut out = Rebuild::new(db);
        let mut written = 0;
        for (number, branch) in &self.planned {
            let mut row = branch.row.clone();
            let mut recorded = 0;
            let mut lost = Vec::new();
            for part in &branch.parts {
                match part {
                    PlannedPart::Found(events) => {
                        recorded =
                            self.write_found(&mut out, (*number, branch.shift), events, recorded, &mut lost)?;
                        let count = events.last - events.first + 1;
                        (self.events, written) = (self.events + count, written + count);
                    }
                    PlannedPart::Lost { first, positions, .. } => {
                        lost.extend((*first..).zip(positions.iter().copied()));
                    }
                }
                if progress(written, self.total).is_break() {
                    return Err(Error::Closed { after: None });
                }
            }
            self.write_lost(&mut out, (*number, branch.shift), recorded, &mut lost)?;
            if row.created == 0 {
                row.created = recorded;
            }
            out.branch(*number, row)?;
        }
        self.write_records(&mut out)?;
        out.finish(self.meta.clone())?;
        Ok(())
    }

    /// Writes events that were found, after those that were lost before them. Answers when the last was recorded.
    fn write_found(
        &self,
        out: &mut Rebuild<'_>,
        (number, shift): (u64, u64),
        events: &FoundEvents,
        before: i64,
        lost: &mut Vec<(u64, u64)>,
    ) -> Result<i64> {
        let loaded = self.load(events)?;
        let first = loaded.first().map_or(0, |event| event.recorded);
        self.write_lost(out, (number, shift), if before == 0 { first } else { before }, lost)?;
        let last = loaded.last().map_or(before, |event| event.recorded);
        if shift == 0
            && let Some(row) = self.row(&events.source)
        {
            let chunk = Chunk::decode(&row).map_err(|e| corrupt("a chunk", e.to_string()))?;
            if (chunk.first(), chunk.last()) == (events.first, events.last) {
                out.chunk(&chunk, row)?;
                return Ok(last);
            }
        }
        for event in loaded {
            out.event(number, RebuiltEvent { sequence: event.sequence - shift, ..event })?;
        }
        Ok(last)
    }

    /// Writes an event for each that was lost.
    fn write_lost(
        &self,
        out: &mut Rebuild<'_>,
        (number, shift): (u64, u64),
        recorded: i64,
        lost: &mut Vec<(u64, u64)>,
    ) -> Result<()> {
        for (sequence, position) in lost.drain(..) {
            let was = self.lost_ids.get(&(number, sequence)).map(ToString::to_string);
            let data = serde_json::json!({ "sequence": sequence, "position": position, "id": was });
            let event = NewEvent::new(LOST_EVENT).data(data).occurred(Timestamp::from_micros(recorded));
            let record = encode_record(&event, MAX_RECORD_BYTES)?.encoded().clone();
            out.event(number, RebuiltEvent { sequence: sequence - shift, position, recorded, record })?;
        }
        Ok(())
    }

    fn write_records(&mut self, out: &mut Rebuild<'_>) -> Result<()> {
        for table in SidecarTable::ALL {
            let changes = std::mem::take(&mut self.found.changes);
            let (mut seen, mut kept, mut failed) = (HashSet::new(), 0u64, None);
            let mut found = 0u64;
            let due = self.found.records(&mut self.file.pages, table, &mut |key, value| {
                let key = Bytes::copy_from_slice(key);
                found += 1;
                match changes.contains_key(&(table, key.clone())) {
                    true => drop(seen.insert(key)),
                    false => {
                        kept += 1;
                        failed = failed.take().or(out.record(table, &key, value).err());
                    }
                }
            });
            for ((_, key), change) in changes.iter().filter(|((of, _), _)| *of == table) {
                if let Some(value) = &change.value {
                    kept += 1;
                    found += u64::from(change.is_flushed && !seen.contains(key));
                    failed = failed.take().or(out.record(table, key, value).err());
                }
            }
            self.found.changes = changes;
            if let Some(error) = failed {
                return Err(error);
            }
            self.records += kept;
            if due > found {
                self.lost.push(Lost::Records { table: table.name(), rows: due - found });
            }
        }
        Ok(())
    }

    fn told(self, to: &Path, bytes: u64) -> Repaired {
        let mut damage: Vec<Problem> = Vec::new();
        for problem in self.file.damage.iter().chain(&self.found.damage) {
            if !damage.contains(problem) && damage.len() < MAX_TOLD {
                damage.push(problem.clone());
            }
        }
        Repaired {
            path: to.to_owned(),
            position: Position::new(self.total),
            bytes,
            events: self.events,
            branches: self.planned.len() as u64,
            records: self.records,
            damage,
            lost: self.lost,
        }
    }
}

/// What is sound, by the newer of the two states of the tables; or by the older, when that is whole and the journal leads from
/// there to the end. And what either says of the store's identity.
fn salvage(file: &mut DamagedFile) -> (Salvaged, Option<Meta>) {
    let journal = file.journal.as_ref().map(|journal| JournalSource {
        file: journal,
        len: file.len,
        is_proven: file.is_proven,
    });
    let mut states = file.pages.states();
    // The one that redb would take comes first, unless it cannot be read, or the other was written after it.
    states.sort_by_key(|state| (!state.is_sound, std::cmp::Reverse(state.transaction), !state.is_primary));
    let mut states = states.into_iter();
    let first = states.next();
    let newest = Salvaged::of(&mut file.pages, first, journal.as_ref());
    if newest.damage.is_empty() {
        return (newest, None);
    }
    let older = Salvaged::of(&mut file.pages, states.next(), journal.as_ref());
    let identity = newest.meta.clone().or_else(|| older.meta.clone());
    let due = newest.meta.as_ref().map_or(u64::MAX, |meta| meta.journal.next - 1).max(newest.last_commit);
    let is_whole = older.damage.is_empty() && older.missing.is_empty() && older.last_commit >= due;
    let store = |found: &Salvaged| found.meta.as_ref().map(|meta| meta.store);
    if !is_whole || store(&older) != store(&newest) {
        return (newest, identity);
    }
    // A state that was being written when its process ended is no damage.
    let damage = if first.is_some_and(|state| state.is_primary) { newest.damage } else { Vec::new() };
    (Salvaged { damage, ..older }, identity)
}
