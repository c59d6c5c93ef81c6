//! The steps of a repair.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bytes::Bytes;
use redb::TableHandle;

use super::gaps::Gaps;
use super::leftovers::{FoundAgain, Known, Leftovers};
use super::placed::{PlacedRun, place_lost, recorded_at};
use super::plan::{
    Branches, ChangedBranch, Extent, PlannedBranch, PlannedPart, branches, free_place, taken_sessions,
};
use super::salvage::{FoundEvents, JournalSource, Salvaged, Source};
use super::source::DamagedFile;
use crate::codec::{
    Attributes, BackupLabel, BranchRow, Chunk, CurrentRow, HeadRow, Meta, Run, encode_record,
};
use crate::engine::file::open::create::create_filled;
use crate::engine::file::open::meta_row::usable;
use crate::engine::file::options::Options;
use crate::engine::file::rebuild::{Rebuild, RebuiltEvent};
use crate::engine::file::redb_errors::{corrupt, guarded};
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{EVENTS, HEADS};
use crate::engine::port::OnProgress;
use crate::engine::problem::Problem;
use crate::engine::repaired::{LOST_EVENT, Lost, Repaired};
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::{EventId, NewEvent, Place, Position, Sequence, StoreId, Timestamp};
use crate::limits::MAX_RECORD_BYTES;

/// Problems that are told one by one.
const MAX_TOLD: usize = 1_000;

/// Puts a new store together from what is sound in a damaged file. Tells how many events of how many it has written.
pub(crate) fn repair(damaged: &Path, to: &Path, progress: &mut OnProgress<'_>) -> Result<Repaired> {
    guarded(|| {
        let file = DamagedFile::open(damaged)?;
        let name = damaged.display().to_string();
        let mut repair = Repair::of(file, &name)?;
        repair.plan(&name)?;
        let journal_bytes = repair.file.journal_bytes();
        let options = Options { journal_bytes, ..Options::default() };
        let bytes = create_filled(to, &options, |db| repair.write(db, progress))?;
        Ok(repair.told(to, bytes))
    })
}

pub(super) struct Repair {
    file: DamagedFile,
    found: Salvaged,
    meta: Meta,
    planned: Branches,
    /// Where the events that were found are.
    placed: Vec<PlacedRun>,
    total: u64,
    /// Positions that the global order says are removed.
    removed: Vec<PlacedRun>,
    lost: Vec<Lost>,
    events: u64,
    records: u64,
    /// What the index of ids says of lost events.
    lost_ids: HashMap<(u64, u64), EventId>,
}

impl Repair {
    pub(super) fn of(mut file: DamagedFile, name: &str) -> Result<Self> {
        let found = salvage(&mut file);
        let mut lost = Vec::new();
        // Which store it is does not change; and it had no less than an older row says.
        let meta = found.meta.clone().or_else(|| found.older_meta.clone()).unwrap_or_else(|| {
            lost.push(Lost::Identity);
            Meta::new(*StoreId::new().bytes(), Timestamp::now().micros())
        });
        usable(&meta, name, true)?;
        Ok(Self {
            file,
            found,
            meta,
            planned: Branches::new(),
            placed: Vec::new(),
            total: 0,
            removed: Vec::new(),
            lost,
            events: 0,
            records: 0,
            lost_ids: HashMap::new(),
        })
    }

    pub(super) fn plan(&mut self, name: &str) -> Result<()> {
        let mut changed = self.plan_branches();
        if self.found.has_holes() || !changed.is_empty() || !Gaps::of(&self.planned).is_empty() {
            self.take_leftovers()?;
            changed = self.plan_branches();
        }
        if self.planned.is_empty() && self.lost.contains(&Lost::Identity) {
            let mut reasons = self.file.damage.iter().chain(&self.found.damage).map(ToString::to_string);
            let reason = reasons.next().unwrap_or_default();
            return Err(corrupt(name, format!("nothing in it can be read ({reason}); restore a backup")));
        }
        let unsure = self.found.unsure.iter().filter(|number| self.planned.contains_key(number)).count();
        if unsure > 0 {
            self.lost.push(Lost::Changes { branches: unsure as u64 });
        }
        if self.found.lacks_tables() {
            self.lost.push(Lost::Tables);
        }
        self.lost.extend(changed.into_iter().map(|ChangedBranch { was, now, why }| Lost::Branch {
            was,
            now,
            why,
        }));
        self.placed = self.placed()?;
        let hints = self.hints(&Gaps::of(&self.planned), &|_| None);
        let placed = self.with_removed()?;
        let (total, mut strays) = place_lost(&mut self.planned, &placed, &hints)?;
        self.total = total;
        if !self.found.has_hole(EVENTS.name()) {
            // What was flushed and is in no chunk was removed, though the global order cannot say so.
            let flushed = self.found.meta.as_ref().map_or(0, |meta| meta.flushed);
            strays.retain(|position| *position > flushed);
            self.total = self.total.max(flushed);
        }
        self.plan_strays(&strays)?;
        self.list_lost();
        Ok(())
    }

    /// Lays out the branches by what is known so far.
    fn plan_branches(&mut self) -> Vec<ChangedBranch> {
        let mut extents: HashMap<u64, Extent> = HashMap::new();
        let (mut next, mut is_whole) = (1, true);
        let mut removed = Vec::new();
        self.found.order(&mut self.file.pages, &mut |position, run| {
            is_whole &= position == next;
            next = position.saturating_add(run.count.into());
            if run.is_removed() {
                removed.push(PlacedRun::removed(position, run.count));
                return;
            }
            let last = run.first.saturating_add(u64::from(run.count) - 1);
            let extent = extents.entry(run.branch).or_insert(Extent { first: run.first, last });
            *extent = Extent { first: extent.first.min(run.first), last: extent.last.max(last) };
        });
        let ranges: Vec<_> = removed.iter().map(|placed| (placed.position, placed.end())).collect();
        self.found.forget_removed(&ranges);
        self.removed = removed;
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

    /// Looks up in the index of ids which events are lost.
    fn name_lost(&mut self, gaps: &Gaps, open: &dyn Fn(u64) -> Option<u64>) {
        let ids = &mut self.lost_ids;
        self.found.ids(&mut self.file.pages, &mut |id, (branch, sequence)| {
            if gaps.has(branch, sequence) || open(branch).is_some_and(|from| from <= sequence) {
                ids.insert((branch, sequence), EventId::from_bytes(id));
            }
        });
    }

    /// Looks for what is missing in all pages of the file, whether anything leads to them or not.
    fn take_leftovers(&mut self) -> Result<()> {
        let leftovers = Leftovers::of(&self.file.pages);
        let next_branch = self.found.meta.as_ref().map_or(u64::MAX, |meta| meta.next_branch);
        if let Some(meta) = leftovers.meta.clone().filter(|_| self.lost.contains(&Lost::Identity)) {
            self.lost.retain(|lost| *lost != Lost::Identity);
            self.meta = meta;
        }
        self.found.add_lines(&leftovers.lines, next_branch);
        self.plan_branches();
        let gaps = Gaps::of(&self.planned);
        let (ends, has_holes) = (self.open_ends(), self.found.has_hole(EVENTS.name()));
        let open = |branch: u64| match ends.get(&branch) {
            Some(from) => *from,
            None => (has_holes && branch < next_branch).then_some(1),
        };
        self.name_lost(&gaps, &open);
        let positions = self.hints(&gaps, &open);
        // Nor is anything looked for that was removed.
        let mut placed = self.placed()?;
        placed.extend(self.removed.iter().copied());
        placed.sort_unstable_by_key(|run| run.position);
        let known =
            Known { gaps: &gaps, open: &open, ids: &self.lost_ids, positions: &positions, placed: &placed };
        let read = |events: &FoundEvents| Chunk::decode(&self.row(&events.source)?).ok();
        for FoundAgain { branch, events, is_vouched } in leftovers.choose(&known, &read) {
            if !is_vouched {
                let place = match self.planned.get(&branch) {
                    Some(branch) => branch.row.place.to_string(),
                    None => format!("branch number {branch}"),
                };
                let what = format!("{place}@{} to @{}", events.first, events.last);
                self.found.damage.push(Problem::new(what, "only a page that nothing leads to has it"));
            }
            self.found.events.entry(branch).or_default().push(events);
        }
        Ok(())
    }

    /// From which sequence on each branch may have more events than are known; `None` where its end is certain.
    fn open_ends(&self) -> HashMap<u64, Option<u64>> {
        let is_open = self.found.has_hole(EVENTS.name()) && self.found.has_hole(HEADS.name());
        let ends = self.planned.iter().map(|(number, branch)| {
            // Of a deleted branch, only what others inherit is needed, and what of that is missing is a gap.
            let may_have_more = is_open && branch.row.attributes.deleted.is_none();
            (*number, may_have_more.then_some(branch.end() + 1))
        });
        ends.collect()
    }

    /// The positions of all events that were found, sorted.
    fn placed(&self) -> Result<Vec<PlacedRun>> {
        let mut placed: Vec<PlacedRun> = Vec::new();
        for (number, branch) in &self.planned {
            for part in &branch.parts {
                let PlannedPart::Found(events) = part else { continue };
                for event in self.load(*number, events)? {
                    match placed.last_mut() {
                        Some(PlacedRun { position, run, recorded })
                            if run.branch == *number
                                && run.first + u64::from(run.count) == event.sequence
                                && *position + u64::from(run.count) == event.position =>
                        {
                            run.count += 1;
                            recorded.1 = event.recorded;
                        }
                        _ => placed.push(PlacedRun {
                            position: event.position,
                            run: Run { branch: *number, first: event.sequence, count: 1 },
                            recorded: (event.recorded, event.recorded),
                        }),
                    }
                }
            }
        }
        placed.sort_unstable_by_key(|run| run.position);
        Ok(placed)
    }

    /// The positions of events that were found, and of what is not in the new store and was not lost; sorted.
    fn with_removed(&mut self) -> Result<Vec<PlacedRun>> {
        let mut gone = std::mem::take(&mut self.removed);
        let planned = &self.planned;
        self.found.order(&mut self.file.pages, &mut |position, run| {
            let Some(branch) = planned.get(&run.branch) else { return };
            let (first, end) = branch.extent();
            let count = u64::from(run.count);
            let before = first.saturating_sub(run.first).min(count);
            let behind = run.first.saturating_add(count).saturating_sub(end).min(count - before);
            for (position, count) in [(position, before), (position + count - behind, behind)] {
                if count > 0 {
                    gone.push(PlacedRun::removed(position, count as u32));
                }
            }
        });
        let dropped =
            self.planned.iter().flat_map(|(number, branch)| branch.dropped.iter().map(|of| (*number, of)));
        for (number, events) in dropped {
            let positions = self.load(number, events)?.into_iter().map(|event| event.position);
            gone.extend(positions.map(|position| PlacedRun::removed(position, 1)));
        }
        gone.extend(self.placed.iter().copied());
        gone.sort_unstable_by_key(|run| run.position);
        Ok(gone)
    }

    /// What the global order and the heads say of the positions of events that are looked for.
    fn hints(&mut self, gaps: &Gaps, open: &dyn Fn(u64) -> Option<u64>) -> HashMap<(u64, u64), u64> {
        let mut hints = HashMap::new();
        let is_wanted = |branch: u64, sequence: u64| {
            gaps.has(branch, sequence) || open(branch).is_some_and(|from| from <= sequence)
        };
        self.found.order(&mut self.file.pages, &mut |position, run| {
            if !gaps.of_branch(run.branch).is_empty() || open(run.branch).is_some() {
                let run_of = (run.first..).zip(position..).take(run.count as usize);
                let wanted = run_of.filter(|(sequence, _)| is_wanted(run.branch, *sequence));
                hints.extend(wanted.map(|(sequence, at)| ((run.branch, sequence), at)));
            }
        });
        for (branch, head) in &self.found.heads {
            if is_wanted(*branch, head.head) {
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
        let place = free_place("lost-events", &taken_sessions(&self.found))
            .ok_or_else(|| corrupt("the store", "no session is left for lost events"))?;
        self.lost.push(Lost::Strays { place: place.clone(), events: count });
        let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
        let part = PlannedPart::Lost { first: 1, last: count, positions: positions.to_vec() };
        self.planned.insert(number, PlannedBranch { row, shift: 0, parts: vec![part], dropped: Vec::new() });
        Ok(())
    }

    fn list_lost(&mut self) {
        let mut lost = std::mem::take(&mut self.lost);
        let strays = lost.iter().find_map(|lost| match lost {
            Lost::Strays { place, .. } => Some(place.clone()),
            _ => None,
        });
        let mut events = Vec::new();
        for branch in self.planned.values().filter(|branch| strays.as_ref() != Some(&branch.row.place)) {
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
    fn load(&self, branch: u64, events: &FoundEvents) -> Result<Vec<RebuiltEvent>> {
        let gone = || corrupt("the store", "what was found in it cannot be read again");
        if let Source::Commit { frame, event } = &events.source {
            let frame = self.found.frames.get(*frame).ok_or_else(gone)?;
            let own = frame.runs.iter().scan(0usize, |at, run| {
                let begin = *at;
                *at += run.count as usize;
                Some((begin, *run))
            });
            let run = own.into_iter().find(|(begin, run)| begin == event && run.branch == branch);
            let (_, run) = run.ok_or_else(gone)?;
            let loaded = (events.first..=events.last).map(|sequence| {
                let at = sequence.checked_sub(run.first).and_then(|at| usize::try_from(at).ok());
                let at = at.ok_or_else(gone)? + event;
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
        if chunk.branch() != branch {
            return Err(gone());
        }
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
            if row.attributes.deleted.is_some() {
                out.deletes(*number);
            }
            if row.created == 0 {
                row.created = self.created(*number)?;
            }
            out.branch(*number, row)?;
            for part in &branch.parts {
                match part {
                    PlannedPart::Found(events) => {
                        self.write_found(&mut out, (*number, branch.shift), events)?;
                        let count = events.last - events.first + 1;
                        (self.events, written) = (self.events + count, written + count);
                    }
                    PlannedPart::Lost { first, positions, .. } => {
                        let lost = (*first..).zip(positions.iter().copied());
                        self.write_lost(&mut out, (*number, branch.shift), lost)?;
                    }
                }
                if progress(written, self.total).is_break() {
                    return Err(Error::Closed { after: None });
                }
            }
        }
        self.write_removed(&mut out)?;
        self.write_records(&mut out)?;
        let mut meta = self.meta.clone();
        // Of what it says some may be lost.
        BackupLabel::remove(&mut meta);
        out.finish(meta)?;
        Ok(())
    }

    /// When a branch whose row does not say it was created, as far as is known: with its first own event, or else when what it
    /// was forked from was recorded.
    fn created(&self, mut number: u64) -> Result<i64> {
        let Some(mut branch) = self.planned.get(&number) else { return Ok(self.meta.created) };
        let (mut part, mut sequence) = (branch.parts.first(), None);
        while part.is_none() {
            let fork = sequence.unwrap_or(branch.row.fork).min(branch.row.fork);
            let parent = branch.row.parent.and_then(|parent| Some((parent, self.planned.get(&parent)?)));
            let Some((of, parent)) = parent else { return Ok(self.meta.created) };
            part = parent.parts.iter().find(|part| part.range().contains(&fork));
            (number, branch, sequence) = (of, parent, Some(fork));
        }
        match part {
            Some(PlannedPart::Found(events)) => {
                let sequence = sequence.unwrap_or(events.first);
                let one = FoundEvents { first: sequence, last: sequence, ..events.clone() };
                Ok(self.load(number, &one)?.first().map_or(self.meta.created, |event| event.recorded))
            }
            Some(PlannedPart::Lost { first, positions, .. }) => {
                let at = usize::try_from(sequence.unwrap_or(*first) - first).unwrap_or(usize::MAX);
                let position = positions.get(at).copied().unwrap_or(self.total);
                Ok(self.recorded_at(position))
            }
            None => Ok(self.meta.created),
        }
    }

    fn recorded_at(&self, position: u64) -> i64 {
        recorded_at(&self.placed, position).unwrap_or(self.meta.created)
    }

    fn write_found(
        &self,
        out: &mut Rebuild<'_>,
        (number, shift): (u64, u64),
        events: &FoundEvents,
    ) -> Result<()> {
        if shift == 0
            && let Some(row) = self.row(&events.source)
        {
            let chunk = Chunk::decode(&row).map_err(|e| corrupt("a chunk", e.to_string()))?;
            if (chunk.first(), chunk.last()) == (events.first, events.last) {
                return out.chunk(&chunk, row);
            }
        }
        for event in self.load(number, events)? {
            out.event(number, RebuiltEvent { sequence: event.sequence - shift, ..event })?;
        }
        Ok(())
    }

    /// Writes an event for each that was lost: its sequence and its position.
    fn write_lost(
        &self,
        out: &mut Rebuild<'_>,
        (number, shift): (u64, u64),
        lost: impl Iterator<Item = (u64, u64)>,
    ) -> Result<()> {
        for (sequence, position) in lost {
            let was = self.lost_ids.get(&(number, sequence)).map(ToString::to_string);
            let data = serde_json::json!({ "sequence": sequence, "position": position, "id": was });
            let recorded = self.recorded_at(position);
            let event = NewEvent::new(LOST_EVENT).data(data).occurred(Timestamp::from_micros(recorded));
            let record = encode_record(&event, MAX_RECORD_BYTES)?.encoded().clone();
            out.event(number, RebuiltEvent { sequence: sequence - shift, position, recorded, record })?;
        }
        Ok(())
    }

    /// What is left of events that were removed: their positions, their ids while their branch is there, and its head.
    fn write_removed(&mut self, out: &mut Rebuild<'_>) -> Result<()> {
        // By branch: between these two its ids are those of removed events.
        let mut begun: HashMap<u64, (u64, u64)> = HashMap::new();
        for (number, branch) in self.planned.iter().filter(|(_, branch)| branch.shift == 0) {
            let row = &branch.row;
            let first = Some(branch.extent().0).filter(|_| !branch.parts.is_empty());
            let head = self.found.heads.get(number).copied();
            let bare = HeadRow { head: row.attributes.truncated, position: 0, recorded: row.created };
            if row.attributes.deleted.is_some() {
                // So that nobody takes what is left of it for all.
                head.into_iter().for_each(|head| out.head(*number, head));
                continue;
            }
            if first.is_none() && row.attributes.truncated > row.fork {
                out.head(*number, head.filter(|row| row.head == bare.head).unwrap_or(bare));
            }
            let first = first.unwrap_or(bare.head + 1);
            if first > row.fork + 1 {
                begun.insert(*number, (row.fork, first));
            }
        }
        let mut next = 1;
        for (position, end) in self.covered_positions() {
            out.removed(next, position.saturating_sub(next));
            next = next.max(end);
        }
        out.removed(next, (self.total + 1).saturating_sub(next));
        let mut due: u64 = begun.values().map(|(fork, first)| first - fork - 1).sum();
        let mut failed = None;
        if due > 0 {
            self.found.ids(&mut self.file.pages, &mut |id, (branch, sequence)| {
                if begun.get(&branch).is_some_and(|(fork, first)| *fork < sequence && sequence < *first) {
                    due = due.saturating_sub(1);
                    failed = failed.take().or(out.id(id, branch, sequence).err());
                }
            });
        }
        if due > 0 {
            self.lost.push(Lost::Records { table: "ids", rows: due });
        }
        failed.map_or(Ok(()), Err)
    }

    /// The positions of all events of the new store, sorted: each run with the position after it.
    fn covered_positions(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> =
            self.placed.iter().map(|placed| (placed.position, placed.end())).collect();
        for part in self.planned.values().flat_map(|branch| &branch.parts) {
            if let PlannedPart::Lost { positions, .. } = part {
                runs.extend(positions.iter().map(|position| (*position, *position + 1)));
            }
        }
        runs.sort_unstable();
        runs
    }

    fn write_records(&mut self, out: &mut Rebuild<'_>) -> Result<()> {
        let places: HashSet<Place> = self.planned.values().map(|branch| branch.row.place.clone()).collect();
        let changes = std::mem::take(&mut self.found.changes);
        for table in SidecarTable::ALL {
            // A current branch that is not there any more would be one of its session all the same.
            let stays = |key: &[u8], value: &[u8]| {
                table != SidecarTable::Current
                    || CurrentRow::decode(key, value).is_some_and(|row| places.contains(&row.place))
            };
            let (mut kept, mut dropped, mut failed) = (0u64, 0u64, None);
            let mut take = |key: &[u8], value: &[u8]| match stays(key, value) {
                true => {
                    kept += 1;
                    failed = failed.take().or(out.record(table, key, value).err());
                }
                false => dropped += 1,
            };
            // Those that are as the newest state has them, by the table itself or by the journal.
            let (mut newest, mut seen) = (0u64, HashSet::new());
            let due = self.found.records(&mut self.file.pages, table, &mut |key, value, is_newest| {
                newest += u64::from(is_newest);
                let key = Bytes::copy_from_slice(key);
                // What the table has of a flushed commit may be newer: one that is too large for the journal is not in it.
                match changes.get(&(table, key.clone())) {
                    Some(change) if !change.is_flushed || !is_newest => {}
                    _ => take(&key, value),
                }
                seen.extend(is_newest.then_some(key));
            });
            let is_whole = !self.found.has_hole(table.name());
            for ((_, key), change) in changes.iter().filter(|((of, _), _)| *of == table) {
                let Some(value) = &change.value else { continue };
                let is_newer = change.is_flushed && (is_whole || seen.contains(key));
                if !is_newer {
                    newest += u64::from(change.is_flushed);
                    take(key, value);
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            self.records += kept;
            let lost = due.saturating_sub(newest) + dropped;
            if lost > 0 {
                self.lost.push(Lost::Records { table: table.name(), rows: lost });
            }
        }
        Ok(())
    }

    /// How many events were found, and what is wrong with the file.
    #[cfg(test)]
    pub(super) fn found_events(&self) -> (u64, String) {
        let events = self.placed.iter().map(|placed| u64::from(placed.run.count)).sum();
        let said: Vec<String> = self.found.damage.iter().map(ToString::to_string).collect();
        (events, said.join("; "))
    }

    fn told(self, to: &Path, bytes: u64) -> Repaired {
        let branches = self.planned.values().filter(|branch| branch.row.attributes.deleted.is_none());
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
            branches: branches.count() as u64,
            records: self.records,
            damage,
            lost: self.lost,
        }
    }
}

/// What is sound, by the newer of the two states of the tables; or by the older, when that is whole and the journal leads from
/// there to the end. What cannot be read in the newer is taken from the older.
fn salvage(file: &mut DamagedFile) -> Salvaged {
    let mut states = file.pages.states();
    // The one that redb would take comes first, unless it cannot be read, or the other was written after it.
    states.sort_by_key(|state| (!state.is_sound, std::cmp::Reverse(state.transaction), !state.is_primary));
    let mut states = states.into_iter();
    let first = states.next();
    let mut newest = Salvaged::of(&mut file.pages, first);
    let older = (!newest.damage.is_empty()).then(|| Salvaged::of(&mut file.pages, states.next()));
    let meta = newest.meta.as_ref().or_else(|| older.as_ref().and_then(|older| older.meta.as_ref()));
    file.place_journal(meta.map(|meta| meta.format));
    let journal = file.journal.as_ref().map(|journal| JournalSource {
        file: journal,
        len: file.len,
        is_proven: file.is_proven,
    });
    let mark = |found: &Salvaged| found.meta.as_ref().map(|meta| meta.journal);
    let own = mark(&newest);
    let Some(mut older) = older else {
        newest.read_above(&mut file.pages, journal.as_ref(), own);
        return newest;
    };
    let older_mark = mark(&older);
    newest.read_above(&mut file.pages, journal.as_ref(), own.or(older_mark));
    older.read_above(&mut file.pages, journal.as_ref(), older_mark);
    let due = own.map_or(0, |mark| mark.next.saturating_sub(1)).max(newest.last_commit);
    let is_whole = older.damage.is_empty() && older.missing.is_empty();
    let leads_to_the_end = older.last_commit >= due && older.end() >= newest.end();
    let store = |found: &Salvaged| found.meta.as_ref().or(found.older_meta.as_ref()).map(|meta| meta.store);
    let is_same = older.meta.is_some() && store(&newest).is_none_or(|id| Some(id) == store(&older));
    if is_whole && leads_to_the_end && is_same {
        // A state that was being written when its process ended is no damage.
        older.damage = if first.is_some_and(|state| state.is_primary) { newest.damage } else { Vec::new() };
        return older;
    }
    if is_same {
        newest.fill_up(older);
    }
    newest
}
