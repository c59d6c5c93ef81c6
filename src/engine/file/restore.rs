//! Making a store of a backup, or of the part of it up to some point.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::backup::copied;
use super::contents::Contents;
use super::moment::{Moment, events_of, runs_of};
use super::open::create::create_filled;
use super::open::meta_row::read_meta;
use super::open::start::{Loaded, Medium, load};
use super::options::{Mode, Options};
use super::rebuild::{Rebuild, RebuiltEvent};
use super::redb_errors::{guarded, malformed};
use super::tables::db::Db;
use super::tables::definitions::ORDER;
use super::tables::lookup;
use super::tables::opened::Snapshot;
use crate::codec::{BackupLabel, BranchRow, HeadRow, Run, decode_order};
use crate::engine::port::OnProgress;
use crate::engine::restored::{KeptPart, KeptRecord, RestoreUntil, Restored};
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::{Place, Position};

/// Which records of a table belong to a part of a store; `None` when none of them does.
pub(crate) type CutRecords<'a> = dyn Fn(SidecarTable, &KeptPart) -> Option<Box<dyn FnOnce(Vec<KeptRecord>) -> Result<Vec<KeptRecord>> + 'a>>
    + 'a;

/// Makes a store of a backup, up to some point.
pub(crate) fn restore(
    from: &Path,
    to: &Path,
    until: RestoreUntil,
    cut: &CutRecords<'_>,
    progress: &mut OnProgress<'_>,
) -> Result<Restored> {
    let options = Options { mode: Mode::OpenOnly, read_only: true, ..Options::default() };
    let Loaded { contents, .. } = load(Medium::File(from.to_owned()), options)?;
    if let Some(damage) = contents.identity.damage.first() {
        return Err(damage.clone().into_error());
    }
    let db = contents.db()?;
    let restored = guarded(|| {
        let part = Part::of(&contents, db.begin_read()?, until)?;
        match part.kept() {
            None => {
                let made = copied(&contents, &db, to, progress)?;
                let (position, bytes) = (made.position, made.bytes);
                Ok(Restored { path: made.path, position, bytes, left_out: 0, branches_left_out: 0 })
            }
            Some(kept) => part.write(&kept?, to, cut, progress),
        }
    });
    contents.close();
    restored
}

/// The part of a store that is restored.
struct Part<'a> {
    contents: &'a Contents,
    moment: Moment<'a>,
    lines: BTreeMap<u64, BranchRow>,
    /// The last position that is restored.
    position: u64,
    /// Everything was made before this.
    before: i64,
}

impl<'a> Part<'a> {
    fn of(contents: &'a Contents, txn: Snapshot, until: RestoreUntil) -> Result<Self> {
        let moment = Moment::whole(contents, txn);
        let (lines, committed) = (moment.lines()?, moment.committed);
        let mut part = Self { contents, moment, lines, position: committed, before: i64::MAX };
        match until {
            RestoreUntil::End => {}
            RestoreUntil::Position(position) if position.get() >= committed => {}
            RestoreUntil::Position(position) => {
                // Events of one commit have one time. Of what comes next there may be nothing left.
                let next = part.moment.first_at(position.get() + 1)?;
                part.before = next.map_or(Ok(i64::MAX), |run| part.recorded(run))?;
                part.position = part.last_before(part.before, position.get())?;
            }
            RestoreUntil::Time(time) => {
                part.before = time.micros().saturating_add(1);
                part.position = part.last_before(part.before, committed)?;
            }
        }
        Ok(part)
    }

    fn recorded(&self, run: Run) -> Result<i64> {
        self.moment.event(run.branch, run.first).map(|(_, recorded, _)| recorded)
    }

    /// The last position up to `end` that was recorded before a time. Times never decrease.
    fn last_before(&self, time: i64, end: u64) -> Result<u64> {
        let (mut before, mut after) = (0, end + 1);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let found = self.moment.last_at(middle)?;
            let is_before = |run: Run| Ok::<_, Error>(self.recorded(run)? < time);
            // Of what was removed nobody knows; it goes with what comes before it.
            match found.map_or(Ok(true), is_before)? {
                true => before = middle,
                false => after = middle,
            }
        }
        Ok(before)
    }

    /// What is kept; `None` when that is all.
    fn kept(&self) -> Option<Result<KeptPart>> {
        // Up to a time, records that were made later go, though no event came later.
        (self.position < self.moment.committed || self.before < i64::MAX).then(|| self.kept_part())
    }

    fn kept_part(&self) -> Result<KeptPart> {
        let mut heads: HashMap<Place, u64> = HashMap::new();
        for (row, head) in self.kept_rows()?.into_values() {
            if row.attributes.deleted.is_none() {
                heads.insert(row.place, head);
            }
        }
        Ok(KeptPart { position: self.position, before: self.before, heads })
    }

    /// The branches as they were then, each with its last sequence.
    fn kept_rows(&self) -> Result<BTreeMap<u64, (BranchRow, u64)>> {
        let own = self.own_heads()?;
        let mut rows = BTreeMap::new();
        for (number, row) in &self.lines {
            if row.created < self.before || own.contains_key(number) {
                let head = self.head_then(*number, row, &own)?;
                rows.insert(*number, (self.row_then(*number, row, head)?, head));
            }
        }
        Ok(rows)
    }

    /// The last sequence of a branch then; where its events are gone, as far as that is known.
    fn head_then(&self, number: u64, row: &BranchRow, own: &HashMap<u64, u64>) -> Result<u64> {
        if let Some(head) = own.get(&number) {
            return Ok(*head);
        }
        Ok(match self.moment.present(number)? {
            Some((first, _)) => first - 1,
            None => self.moment.flushed_head(number)?.map_or(row.fork, |row| row.head),
        })
    }

    /// What was closed later was open. What was deleted later was there, and is there again if nothing of it is gone.
    fn row_then(&self, number: u64, row: &BranchRow, head: u64) -> Result<BranchRow> {
        let mut row = row.clone();
        let is_later = |time: &i64| *time >= self.before;
        let attributes = &mut row.attributes;
        attributes.truncated = attributes.truncated.min(head);
        attributes.closed = attributes.closed.filter(|time| !is_later(time));
        if attributes.deleted.as_ref().is_some_and(is_later) && self.is_whole(number, head)? {
            row.attributes.deleted = None;
        }
        Ok(row)
    }

    /// Whether everything that a branch has shown is there.
    fn is_whole(&self, number: u64, head: u64) -> Result<bool> {
        let first = self.lines.get(&number).map_or(1, |row| row.attributes.truncated + 1);
        let known = self.moment.flushed_head(number)?.map_or(0, |row| row.head);
        let (mut next, mut upto, mut due) = (Some(number), head, known.max(head));
        while let Some((number, row)) = next.and_then(|number| Some((number, self.lines.get(&number)?))) {
            let from = first.max(row.fork + 1);
            if from <= upto {
                let (begins, ends) = self.moment.present(number)?.unwrap_or((u64::MAX, 0));
                if begins > from || ends < due {
                    return Ok(false);
                }
            }
            (next, upto) = (row.parent, upto.min(row.fork));
            due = upto;
        }
        Ok(true)
    }

    /// The last own sequence of each branch that is kept.
    fn own_heads(&self) -> Result<HashMap<u64, u64>> {
        let mut heads = HashMap::new();
        let table = lookup::open(&self.moment.txn, ORDER)?;
        for row in lookup::rows::<_, _, _, u64>(&table, ..=self.position)? {
            let (key, row) = row?;
            let mut at = key.value();
            for run in decode_order(at, row.value()).map_err(malformed(format!("position {at}")))? {
                let count = u64::from(run.count).min((self.position + 1).saturating_sub(at));
                if count > 0 && !run.is_removed() {
                    heads.insert(run.branch, run.first + count - 1);
                }
                at += u64::from(run.count);
            }
        }
        for event in self.moment.tail().positions(1, self.position) {
            heads.insert(event.branch, event.event.sequence().get());
        }
        Ok(heads)
    }

    fn write(
        &self,
        kept: &KeptPart,
        to: &Path,
        cut: &CutRecords<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        let rows = self.kept_rows()?;
        let bytes = create_filled(to, &Options::default(), |db| self.fill(db, (&rows, kept), cut, progress))?;
        Ok(Restored {
            path: to.to_owned(),
            position: Position::new(self.position),
            bytes,
            left_out: self.moment.committed - self.position,
            branches_left_out: (self.lines.len() - rows.len()) as u64,
        })
    }

    fn fill(
        &self,
        db: &Db,
        (rows, kept): (&BTreeMap<u64, (BranchRow, u64)>, &KeptPart),
        cut: &CutRecords<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        let mut out = Rebuild::new(db);
        for (number, (row, _)) in rows {
            out.branch(*number, row.clone())?;
        }
        self.fill_events(&mut out, progress)?;
        self.fill_removed(&mut out, rows)?;
        for table in SidecarTable::ALL {
            if let Some(choose) = cut(table, kept) {
                for (key, value) in choose(self.moment.records(table)?)? {
                    out.record(table, &key, &value)?;
                }
            }
        }
        let mut meta = read_meta(&self.moment.txn, &self.contents.identity.name, None)?;
        // It is not what was backed up.
        BackupLabel::remove(&mut meta);
        out.finish(meta).map(|_| ())
    }

    /// Branch by branch, with what is in the journal behind what is in the tables.
    fn fill_events(&self, out: &mut Rebuild<'_>, progress: &mut OnProgress<'_>) -> Result<()> {
        let tail = self.moment.tail();
        let mut written = 0;
        for number in self.lines.keys() {
            self.moment.each_chunk(*number, 0, |chunk, row| {
                let ends = chunk.entry(chunk.last()).map_or(u64::MAX, |(position, ..)| position);
                if ends <= self.position {
                    out.chunk(chunk, row.to_vec())?;
                    written += chunk.count() as u64;
                } else {
                    for (sequence, (position, recorded, record)) in
                        events_of(chunk).take_while(|(_, (position, ..))| *position <= self.position)
                    {
                        out.event(*number, RebuiltEvent { sequence, position, recorded, record })?;
                        written += 1;
                    }
                }
                match progress(written, self.position).is_break() {
                    true => Err(Error::Closed { after: None }),
                    false => Ok(()),
                }
            })?;
            let own = tail.layers().flat_map(|layer| layer.between(*number, 1, u64::MAX));
            for event in own.take_while(|event| event.position().get() <= self.position) {
                let rebuilt = RebuiltEvent {
                    sequence: event.sequence().get(),
                    position: event.position().get(),
                    recorded: event.recorded().micros(),
                    record: event.record().encoded().clone(),
                };
                out.event(*number, rebuilt)?;
                written += 1;
            }
        }
        Ok(())
    }

    /// What is left of events that were removed: their positions, their ids while their branch is there, and its head.
    fn fill_removed(&self, out: &mut Rebuild<'_>, rows: &BTreeMap<u64, (BranchRow, u64)>) -> Result<()> {
        // By branch: before this sequence its ids are those of removed events.
        let mut begun: HashMap<u64, u64> = HashMap::new();
        let is_cut =
            |row: &BranchRow| row.attributes.deleted.is_some() || row.attributes.truncated > row.fork;
        for (number, (row, head)) in rows.iter().filter(|(_, (row, _))| is_cut(row)) {
            let first = self.moment.present(*number)?.map_or(*head + 1, |(first, _)| first.min(*head + 1));
            let known = self.moment.flushed_head(*number)?;
            if row.attributes.deleted.is_some() {
                // So that nobody takes what is left of it for all.
                known.into_iter().for_each(|head| out.head(*number, head));
            } else if first > row.fork + 1 {
                begun.insert(*number, first);
                if *head > row.fork && first > *head {
                    let known = known.filter(|row| row.head == *head && row.position <= self.position);
                    let bare = HeadRow { head: *head, position: 0, recorded: row.created };
                    out.head(*number, known.unwrap_or(bare));
                }
            }
        }
        for row in lookup::rows::<_, _, _, u64>(&lookup::open(&self.moment.txn, ORDER)?, ..=self.position)? {
            let (key, row) = row?;
            for (at, run) in runs_of(key.value(), row.value())?.filter(|(_, run)| run.is_removed()) {
                out.removed(at, u64::from(run.count).min((self.position + 1).saturating_sub(at)));
            }
        }
        if !begun.is_empty() {
            self.moment.each_id(|id, branch, sequence| match begun.get(&branch) {
                Some(first) if sequence < *first => out.id(id, branch, sequence),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }
}
