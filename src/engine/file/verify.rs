//! Walks everything that is stored and reports what does not agree.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use redb::ReadTransaction;

use super::contents::Contents;
use super::read::file_reader::FileReader;
use super::write::writer::Writer;
use crate::codec::{BranchRow, Chunk, Features, Malformed, Meta, StoreCounts, decode_order};
use crate::engine::branch::Branch;
use crate::engine::file::disk::journal::{Hole, JournalFile, Ring};
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::in_memory::tail::Tail;
use crate::engine::file::open::agreement::disagreements;
use crate::engine::file::open::old::frames;
use crate::engine::file::open::recover::load_journal;
use crate::engine::file::redb_errors::{corrupt, guarded};
use crate::engine::file::tables::chunks::{flushed_chunk, open_chunk};
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, META_KEY, ORDER};
use crate::engine::file::tables::lookup;
use crate::engine::file::tables::opened::Snapshot;
use crate::engine::file::tables::sidecar_view::SidecarView;
use crate::engine::file::tables::view::flushed_head;
use crate::engine::pieces::event_of;
use crate::engine::port::OnProgress;
use crate::engine::report::Report;
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::{Address, Place};

/// The frames of the journal, and the error that ended them.
#[derive(Default)]
struct Frames {
    read: Vec<(u64, Bytes)>,
    then: Option<Error>,
}

/// A walk over one consistent view of the whole store.
struct Walk<'a> {
    txn: Arc<Snapshot>,
    report: Report,
    contents: &'a Contents,
    progress: &'a mut OnProgress<'a>,
    ended: bool,
    total: u64,
    /// The counts of the meta row, if its format has them.
    claimed: Option<StoreCounts>,
    counts: StoreCounts,
    /// No branch was ever deleted or truncated.
    is_whole: bool,
    /// How many rows the index of ids has to have, and how many more it may have, of removed events.
    ids: u64,
    removed_ids: u64,
}

/// What the tables hold of a branch.
#[derive(Clone, Copy)]
struct Held {
    parent: Option<u64>,
    fork: u64,
    /// The sequences that it owns and that are there; none when the first is after the last.
    first: u64,
    last: u64,
    /// Its last sequence, as far as that is known of one that is deleted.
    head: u64,
    is_deleted: bool,
}

/// Walks everything, between two commits.
pub(super) fn verify<'a>(
    reader: &'a FileReader,
    writer: &Writer,
    progress: &'a mut OnProgress<'a>,
) -> Result<Report> {
    let (txn, meta, frames) = writer.while_nothing_is_written(|next_commit, journal| {
        let txn = Arc::new(reader.db.begin_read()?);
        let meta = meta_of(&txn);
        let frames = match &meta {
            Ok(meta) => read_journal(journal, &txn, meta, next_commit),
            Err(_) => Ok(Frames::default()),
        };
        Ok::<_, Error>((txn, meta, frames))
    })?;
    let mut walk = Walk {
        txn,
        report: Report::default(),
        contents: &reader.contents,
        progress,
        ended: false,
        total: 0,
        claimed: None,
        counts: StoreCounts::default(),
        is_whole: true,
        ids: 0,
        removed_ids: 0,
    };
    // A check that cannot continue is a problem of its own; the others still run.
    let step = |name: &str, found: Result<()>, walk: &mut Walk<'_>| {
        if let Err(e) = found
            && !walk.ended
        {
            walk.report.error(name, e);
        }
    };
    let found = guarded(|| walk.meta(meta, frames));
    step("table meta", found, &mut walk);
    let found = guarded(|| walk.branches());
    step("branches", found, &mut walk);
    let found = guarded(|| walk.order());
    step("global order", found, &mut walk);
    let found = guarded(|| walk.records());
    step("records", found, &mut walk);
    if walk.ended {
        return Err(Error::Closed { after: None });
    }
    let found = guarded(|| walk.compare_ids());
    step("table ids", found, &mut walk);
    walk.compare_counts();
    for damage in &reader.contents.identity.damage {
        if !walk.report.problems.contains(damage) {
            walk.report.problems.push(damage.clone());
        }
    }
    Ok(walk.report)
}

fn meta_of(txn: &ReadTransaction) -> Result<Meta> {
    guarded(|| {
        let table = lookup::open(txn, META)?;
        let row = lookup::get(&table, META_KEY)?.ok_or_else(|| Error::not_found("row", META_KEY))?;
        let corrupt_meta = |e: Malformed| Error::corrupt("table meta", e.to_string());
        Meta::decode(row.value()).map_err(corrupt_meta)
    })
}

/// The frames of all unflushed commits, as they are on disk.
fn read_journal(
    journal: &JournalFile,
    txn: &ReadTransaction,
    meta: &Meta,
    next_commit: u64,
) -> Result<Frames> {
    if meta.format == 1 {
        return Ok(Frames { read: frames(txn)?, then: None });
    }
    let recovered = Ring::recover(journal, meta.journal, true)?;
    let next = recovered.ring.next();
    let lost = || corrupt(format!("commit {next} of the journal"), "it was written and cannot be read");
    let then = recovered.hole.map(Hole::error).or_else(|| (next != next_commit).then(lost));
    Ok(Frames { read: recovered.frames, then })
}

impl Walk<'_> {
    fn meta(&mut self, meta: Result<Meta>, frames: Result<Frames>) -> Result<()> {
        let meta = meta?;
        self.total = meta.flushed;
        self.claimed = (meta.format > 1).then_some(meta.counts);
        self.is_whole = meta.features.incompatible & Features::LIFECYCLE == 0;
        for problem in disagreements(&self.txn, &meta)? {
            if !self.report.problems.contains(&problem) {
                self.report.problems.push(problem);
            }
        }
        let frames = frames?;
        let journal = load_journal(&self.txn, &meta, frames.read, &Branches::new())?;
        if let Some(error) = journal.broken.or(frames.then) {
            self.report.error("the journal", error);
        }
        self.report.events += journal.tail.len() as u64;
        self.report.branches += journal.tail.births().count() as u64;
        Ok(())
    }

    fn branches(&mut self) -> Result<()> {
        let lines = lookup::open(&self.txn, LINES)?;
        let names = lookup::open(&self.txn, BRANCHES)?;
        // A branch that was deleted may have left its name to a later one.
        let mut named_here = 0;
        let mut held: BTreeMap<u64, Held> = BTreeMap::new();
        for row in lookup::rows(&lines, 0..)? {
            let (number, row) = row?;
            let number = number.value();
            self.report.branches += 1;
            let row = match BranchRow::decode(number, row.value()) {
                Ok(row) => row,
                Err(e) => {
                    self.report.problem(format!("branch number {number}"), e.to_string());
                    named_here += 1;
                    continue;
                }
            };
            if row.attributes.deleted.is_none() {
                self.counts.add_branch(row.parent.is_some());
            }
            let place = row.place.clone();
            let named =
                lookup::get(&names, (place.session.as_str(), place.branch.as_str()))?.map(|n| n.value());
            let is_followed = row.attributes.deleted.is_some() && named.is_some_and(|later| later > number);
            named_here += u64::from(!is_followed);
            if named != Some(number) && !is_followed {
                self.report.problem(&place, "its name does not lead to its number");
            }
            if lookup::get(&lines, number)?.is_none() {
                self.report.problem(&place, "its number does not lead to it");
            }
            if let Some(parent) = row.parent {
                match held.get(&parent).map(|parent| (parent.head, parent.is_deleted)) {
                    None => self.report.problem(&place, "it was forked from a branch that does not exist"),
                    Some((head, false)) if head < row.fork => {
                        let reason =
                            format!("it inherits up to {}, where its parent ends at {head}", row.fork);
                        self.report.problem(&place, reason);
                    }
                    Some(_) => {}
                }
            }
            let branch = Branch::new(number, row, None);
            self.inherits(&branch, &held);
            let (parent, fork, is_deleted) = (branch.parent, branch.fork, branch.deleted().is_some());
            let own = match self.chunks(&branch) {
                Ok(own) => own,
                Err(e) if self.ended => return Err(e),
                Err(e) => {
                    self.report.error(&place, e);
                    Held { parent, fork, first: fork + 1, last: fork, head: fork, is_deleted }
                }
            };
            held.insert(number, own);
        }
        if named_here != lookup::len(&names)? {
            self.report.problem("table branches", "it has other branches than table lines");
        }
        let orphan = |number: u64| format!("branch number {number}");
        for row in lookup::rows(&lookup::open(&self.txn, HEADS)?, 0..)? {
            let number = row?.0.value();
            if !held.contains_key(&number) {
                self.report.problem(orphan(number), "it has a head and does not exist");
            }
        }
        Ok(())
    }

    /// Whether everything is there that a branch inherits and shows.
    fn inherits(&mut self, branch: &Branch, held: &BTreeMap<u64, Held>) {
        if self.is_whole || branch.deleted().is_some() {
            return;
        }
        let (mut ancestor, mut upto) = (branch.parent, branch.fork);
        while let Some(found) = ancestor.and_then(|number| held.get(&number)) {
            let from = branch.first().max(found.fork + 1);
            if from <= upto && (found.first > from || found.last < upto) {
                let reason = format!("it inherits {from} to {upto}, and not all of it is there");
                self.report.problem(&branch.place, reason);
            }
            (ancestor, upto) = (found.parent, upto.min(found.fork));
        }
    }

    /// Tells how far it is. Fails once nobody wants to know, or the store is closed: the walk would keep the file locked.
    fn goes_on(&mut self) -> Result<()> {
        let told = (self.progress)(self.report.events.min(self.total), self.total);
        self.ended |= told.is_break() || self.contents.db().is_err();
        if self.ended { Err(Error::Closed { after: None }) } else { Ok(()) }
    }

    /// Counts are only comparable when everything could be read.
    fn compare_counts(&mut self) {
        if let Some(claimed) =
            self.claimed.filter(|claimed| *claimed != self.counts && self.report.is_clean())
        {
            let reason = format!("it counts {claimed:?}, there are {:?}", self.counts);
            self.report.problem("table meta", reason);
        }
    }

    /// Each event that a branch has has an id, and so has each that was removed, unless the whole branch is deleted or a repair
    /// has not found it.
    fn compare_ids(&mut self) -> Result<()> {
        let ids = lookup::len(&lookup::open(&self.txn, IDS)?)?;
        let due =
            if self.is_whole { self.total..=self.total } else { self.ids..=self.ids + self.removed_ids };
        if !due.contains(&ids) && (self.is_whole || self.report.is_clean()) {
            let events = due.end();
            self.report.problem("table ids", format!("it has {ids} ids for {events} flushed events"));
        }
        Ok(())
    }

    /// Checks the events that a branch owns. Says what there is of them.
    fn chunks(&mut self, branch: &Branch) -> Result<Held> {
        let table = lookup::open(&self.txn, EVENTS)?;
        let ids = lookup::open(&self.txn, IDS)?;
        let (mut next, mut position) = (branch.fork + 1, 0);
        let (is_deleted, mut first) = (branch.deleted().is_some(), None);
        for row in lookup::rows(&table, (branch.number, 0)..=(branch.number, u64::MAX))? {
            let (key, value) = row?;
            self.report.chunks += 1;
            let chunk = match open_chunk(&branch.place, key.value(), value.value()) {
                Ok(chunk) => chunk,
                Err(e) => {
                    self.report.error(&branch.place, e);
                    next = key.value().1 + 1;
                    continue;
                }
            };
            // A walk passes a damaged key that leads a search astray.
            for end in [chunk.first(), chunk.last()] {
                let found = lookup::rows(&table, (branch.number, end)..=(branch.number, u64::MAX))?.next();
                if found.transpose()?.map(|(found, _)| found.value()) != Some(key.value()) {
                    let address = Address::from((*branch.place).clone()).at(end);
                    self.report.problem(address, "a search for it leads to another place");
                }
            }
            // Its first events may be removed.
            let is_begun = first.is_some();
            first.get_or_insert(chunk.first());
            if !is_begun && chunk.first() > next && (is_deleted || chunk.first() <= branch.first()) {
                next = chunk.first();
            }
            if chunk.first() != next {
                let reason = format!("a chunk begins at {} where {next} was due", chunk.first());
                self.report.problem(&branch.place, reason);
            }
            for sequence in chunk.first()..=chunk.last() {
                self.report.events += 1;
                let event = match event_of(&chunk, &branch.place, sequence) {
                    Ok(event) => event,
                    Err(e) => {
                        self.report.error(&branch.place, e);
                        continue;
                    }
                };
                self.counts.add_event(event.payload().len());
                if event.position().get() <= position {
                    self.report
                        .problem(event.address(), "its position does not come after the one before it");
                }
                position = event.position().get();
                let found = lookup::get(&ids, event.id().bytes())?.map(|row| row.value());
                let leads_here = found == Some((branch.number, sequence));
                // The ids of a deleted branch may be given to other events, and those may be gone by now.
                self.ids += u64::from(is_deleted && leads_here);
                if !leads_here && !is_deleted {
                    self.report.problem(event.address(), "its id does not lead to it");
                }
            }
            next = chunk.last() + 1;
            self.goes_on()?;
        }
        let row = flushed_head(&self.txn, branch.number)?;
        let (head, last) = (row.map_or(branch.fork, |row| row.head), next - 1);
        let held = Held {
            parent: branch.parent,
            fork: branch.fork,
            first: first.unwrap_or(next),
            last,
            head: head.max(last),
            is_deleted,
        };
        let present = first.map_or(0, |first| (last + 1).saturating_sub(first));
        // Of a deleted branch too: the ids of what was truncated before are still known.
        self.removed_ids += head.saturating_sub(branch.fork).saturating_sub(present);
        if is_deleted {
            return Ok(held);
        }
        self.ids += present;
        if first.is_none() && head < branch.first() {
            // All of them were removed.
            return Ok(held);
        }
        if head != last {
            self.report.problem(&branch.place, format!("its head is {head}, its events end at {last}"));
        }
        if row.is_some_and(|row| row.position != position) {
            self.report.problem(&branch.place, "its head has another position than its last event");
        }
        Ok(held)
    }

    fn records(&mut self) -> Result<()> {
        let view = SidecarView::of(self.txn.clone());
        for table in SidecarTable::ALL {
            self.goes_on()?;
            // A table that cannot be walked does not hide the others.
            if let Err(e) = view.verify(table, &mut |place, reason| self.report.problem(place, reason)) {
                self.report.error(format!("table {}", table.name()), e);
            }
        }
        Ok(())
    }

    fn order(&mut self) -> Result<()> {
        let table = lookup::open(&self.txn, ORDER)?;
        let branches = Branches::new();
        let nothing = Tail::default();
        let mut chunks: HashMap<u64, (Arc<Place>, Chunk)> = HashMap::new();
        let mut next = 1;
        for row in lookup::rows(&table, 0..)? {
            let (key, value) = row?;
            self.goes_on()?;
            if key.value() != next {
                self.report.problem(format!("position {next}"), "the global order has a hole");
            }
            next = key.value();
            let runs = match decode_order(key.value(), value.value()) {
                Ok(runs) => runs,
                Err(e) => {
                    self.report.problem(format!("position {next}"), e.to_string());
                    continue;
                }
            };
            for run in runs {
                if run.is_removed() {
                    next += u64::from(run.count);
                    continue;
                }
                for sequence in run.first..run.first + u64::from(run.count) {
                    let at_hand = chunks.get(&run.branch).filter(|(_, c)| c.entry(sequence).is_some());
                    if at_hand.is_none() {
                        let branch = branches.by_number(run.branch, &nothing, &self.txn)?;
                        let chunk = flushed_chunk(&self.txn, run.branch, &branch.place, sequence)?;
                        chunks.insert(run.branch, (branch.place.clone(), chunk));
                    }
                    let found = chunks.get(&run.branch).and_then(|(_, c)| c.entry(sequence)).map(|e| e.0);
                    if found != Some(next) {
                        self.report.problem(format!("position {next}"), "the global order has another event");
                    }
                    next += 1;
                }
            }
            for end in [key.value(), next - 1] {
                let found = lookup::rows(&table, ..=end)?.next_back();
                if found.transpose()?.map(|(found, _)| found.value()) != Some(key.value()) {
                    let reason = "a search for it leads to another place";
                    self.report.problem(format!("position {end}"), reason);
                }
            }
        }
        if next != self.total + 1 {
            let reason = format!("the global order ends there, {} events are flushed", self.total);
            self.report.problem(format!("position {}", next - 1), reason);
        }
        Ok(())
    }
}
