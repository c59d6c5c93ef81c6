//! Making a store of a backup, or of the part of it up to some point.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::backup::backup;
use super::contents::Contents;
use super::open::create::create_filled;
use super::open::meta_row::read_meta;
use super::open::start::{Loaded, Medium, load};
use super::options::{Mode, Options};
use super::rebuild::{Rebuild, RebuiltEvent};
use super::redb_errors::{corrupt, guarded, malformed};
use super::tables::db::Db;
use super::tables::definitions::{EVENTS, LINES, ORDER};
use super::tables::lookup;
use super::tables::opened::Snapshot;
use super::tables::sidecar_view::table_of;
use crate::codec::{BranchRow, Chunk, decode_order, decode_sidecar_row};
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
                let made = backup(&contents, &db, to, progress)?;
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
    txn: Snapshot,
    lines: BTreeMap<u64, BranchRow>,
    committed: u64,
    /// The last position that is restored.
    position: u64,
    /// Everything was made before this.
    before: i64,
}

impl<'a> Part<'a> {
    fn of(contents: &'a Contents, txn: Snapshot, until: RestoreUntil) -> Result<Self> {
        let committed = contents.committed().get();
        let mut part =
            Self { contents, txn, lines: BTreeMap::new(), committed, position: committed, before: i64::MAX };
        part.read_lines()?;
        match until {
            RestoreUntil::End => {}
            RestoreUntil::Position(position) if position.get() >= committed => {}
            RestoreUntil::Position(position) => {
                // Events of one commit have one time.
                part.before = part.recorded_at(position.get() + 1)?;
                part.position = part.last_before(part.before, position.get())?;
            }
            RestoreUntil::Time(time) => {
                part.before = time.micros().saturating_add(1);
                part.position = part.last_before(part.before, committed)?;
            }
        }
        Ok(part)
    }

    fn read_lines(&mut self) -> Result<()> {
        let table = lookup::open(&self.txn, LINES)?;
        for row in lookup::rows(&table, 0..)? {
            let (number, row) = row?;
            let number = number.value();
            let place = || format!("branch number {number}");
            self.lines.insert(number, BranchRow::decode(number, row.value()).map_err(malformed(place()))?);
        }
        let tail = self.contents.own_tail();
        self.lines.extend(tail.births().map(|branch| (branch.number, branch.row())));
        Ok(())
    }

    /// When the event at this position was recorded.
    fn recorded_at(&self, position: u64) -> Result<i64> {
        if let Some(event) = self.contents.own_tail().positions(position, position).next() {
            return Ok(event.event.recorded().micros());
        }
        let missing = || corrupt(format!("position {position}"), "it is missing in the global order");
        let table = lookup::open(&self.txn, ORDER)?;
        let row = lookup::rows::<_, _, _, u64>(&table, ..=position)?.next_back().transpose()?;
        let (key, row) = row.ok_or_else(missing)?;
        let mut at = key.value();
        for run in decode_order(at, row.value()).map_err(malformed(format!("position {position}")))? {
            let end = at + u64::from(run.count);
            if position < end {
                let sequence = run.first + (position - at);
                return self.recorded(run.branch, sequence);
            }
            at = end;
        }
        Err(missing())
    }

    fn recorded(&self, branch: u64, sequence: u64) -> Result<i64> {
        let place = || format!("branch number {branch}@{sequence}");
        let table = lookup::open(&self.txn, EVENTS)?;
        let row = lookup::rows(&table, (branch, sequence)..=(branch, u64::MAX))?.next().transpose()?;
        let (_, row) = row.ok_or_else(|| corrupt(place(), "it is missing"))?;
        let chunk = Chunk::decode(row.value()).map_err(malformed(place()))?;
        let entry = chunk.entry(sequence).filter(|_| chunk.branch() == branch);
        entry.map(|(_, recorded, _)| recorded).ok_or_else(|| corrupt(place(), "it is missing"))
    }

    /// The last position up to `end` that was recorded before a time. Times never decrease.
    fn last_before(&self, time: i64, end: u64) -> Result<u64> {
        let (mut before, mut after) = (0, end + 1);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            match self.recorded_at(middle)? < time {
                true => before = middle,
                false => after = middle,
            }
        }
        Ok(before)
    }

    /// What is kept; `None` when that is all.
    fn kept(&self) -> Option<Result<KeptPart>> {
        // Up to a time, records that were made later go, though no event came later.
        (self.before < i64::MAX).then(|| self.kept_part())
    }

    fn kept_part(&self) -> Result<KeptPart> {
        let mut heads: HashMap<Place, u64> = HashMap::new();
        let own = self.own_heads()?;
        for (number, row) in self.lines.iter().filter(|(number, row)| self.has(**number, row, &own)) {
            heads.insert(row.place.clone(), own.get(number).copied().unwrap_or(row.fork));
        }
        Ok(KeptPart { position: self.position, before: self.before, heads })
    }

    fn has(&self, number: u64, row: &BranchRow, own: &HashMap<u64, u64>) -> bool {
        row.created < self.before || own.contains_key(&number)
    }

    /// The last own sequence of each branch that is kept.
    fn own_heads(&self) -> Result<HashMap<u64, u64>> {
        let mut heads = HashMap::new();
        let table = lookup::open(&self.txn, ORDER)?;
        for row in lookup::rows::<_, _, _, u64>(&table, ..=self.position)? {
            let (key, row) = row?;
            let mut at = key.value();
            for run in decode_order(at, row.value()).map_err(malformed(format!("position {at}")))? {
                let count = u64::from(run.count).min((self.position + 1).saturating_sub(at));
                if count > 0 {
                    heads.insert(run.branch, run.first + count - 1);
                }
                at += u64::from(run.count);
            }
        }
        for event in self.contents.own_tail().positions(1, self.position) {
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
        let bytes = create_filled(to, &Options::default(), |db| self.fill(db, kept, cut, progress))?;
        Ok(Restored {
            path: to.to_owned(),
            position: Position::new(self.position),
            bytes,
            left_out: self.committed - self.position,
            branches_left_out: (self.lines.len() - kept.heads.len()) as u64,
        })
    }

    fn fill(
        &self,
        db: &Db,
        kept: &KeptPart,
        cut: &CutRecords<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        let mut out = Rebuild::new(db);
        for (number, row) in self.lines.iter().filter(|(_, row)| kept.heads.contains_key(&row.place)) {
            out.branch(*number, row.clone())?;
        }
        self.fill_events(&mut out, progress)?;
        for table in SidecarTable::ALL {
            if let Some(choose) = cut(table, kept) {
                for (key, value) in choose(self.records(table)?)? {
                    out.record(table, &key, &value)?;
                }
            }
        }
        let meta = read_meta(&self.txn, &self.contents.identity.name, None)?;
        out.finish(meta).map(|_| ())
    }

    /// Branch by branch, with what is in the journal behind what is in the tables.
    fn fill_events(&self, out: &mut Rebuild<'_>, progress: &mut OnProgress<'_>) -> Result<()> {
        let tail = self.contents.own_tail();
        let table = lookup::open(&self.txn, EVENTS)?;
        let mut written = 0;
        for number in self.lines.keys() {
            for row in lookup::rows(&table, (*number, 0)..=(*number, u64::MAX))? {
                let (key, row) = row?;
                let place = || format!("branch number {number}@{}", key.value().1);
                let chunk = Chunk::decode(row.value()).map_err(malformed(place()))?;
                if (chunk.branch(), chunk.last()) != key.value() {
                    return Err(corrupt(place(), "another chunk lies in its place"));
                }
                let ends = chunk.entry(chunk.last()).map_or(u64::MAX, |(position, ..)| position);
                if ends <= self.position {
                    out.chunk(&chunk, row.value().to_vec())?;
                    written += chunk.count() as u64;
                } else {
                    let entries = (chunk.first()..).zip(chunk.entries());
                    for (sequence, (position, recorded, record)) in
                        entries.take_while(|(_, (position, ..))| *position <= self.position)
                    {
                        out.event(*number, RebuiltEvent { sequence, position, recorded, record })?;
                        written += 1;
                    }
                }
                if progress(written, self.position).is_break() {
                    return Err(Error::Closed { after: None });
                }
            }
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

    /// All records of a table, as they are at the end of the backup.
    fn records(&self, table: SidecarTable) -> Result<Vec<KeptRecord>> {
        let mut records = BTreeMap::new();
        if let Some(rows) = lookup::open_if_made(&self.txn, table_of(table))? {
            for row in lookup::rows::<_, _, _, &[u8]>(&rows, ..)? {
                let (key, row) = row?;
                let place = || format!("row {} of {}", key.value().escape_ascii(), table.name());
                let value = decode_sidecar_row(table.number(), key.value(), row.value());
                records.insert(key.value().to_vec(), value.map_err(malformed(place()))?.to_vec());
            }
        }
        for layer in self.contents.own_tail().layers() {
            for (_, key, value) in layer.records().iter().filter(|(of, ..)| *of == table) {
                match value {
                    Some(value) => drop(records.insert(key.to_vec(), value.to_vec())),
                    None => drop(records.remove(&key[..])),
                }
            }
        }
        Ok(records.into_iter().collect())
    }
}
