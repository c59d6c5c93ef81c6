//! An incremental backup: what has become of a store since an earlier backup of it.
//!
//! Of the events it has those that came later, each once, whatever chunks they are in. Everything else that may have changed is small
//! and is there as a whole: branches, their heads, the positions of removed events, records.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::full::undamaged;
use super::labels::{departs, label_of};
use super::opened::BackupFile;
use super::part::{PartWriter, create};
use crate::codec::{BackupBase, BackupLabel, BranchRow, Features, HeadRow, Meta};
use crate::engine::backup::Backup;
use crate::engine::file::contents::Contents;
use crate::engine::file::moment::{Moment, events_of};
use crate::engine::file::tables::db::Db;
use crate::engine::port::OnProgress;
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::Position;

/// Writes what has changed since an earlier backup into a new file. As for a full backup, what is in the journal is in the tables
/// when this is called, or the store is only read.
///
/// # Errors
/// [`Error::NotABase`] when the store does not go on from where the earlier one ended; those of opening it.
pub(in crate::engine::file) fn backup_since(
    contents: &Contents,
    db: &Db,
    (since, to): (&Path, &Path),
    progress: &mut OnProgress<'_>,
) -> Result<Backup> {
    undamaged(contents)?;
    let refuse = |reason| Error::NotABase { path: since.display().to_string(), reason };
    let base = BackupFile::open(since, &refuse)?;
    let (moment, meta) = Moment::now(contents, db)?;
    if let Some(reason) = departs(contents, (&moment, &meta), &base)? {
        return Err(refuse(reason));
    }
    let Some(label) = label_of(contents, &moment)? else {
        return Err(refuse("the store is of an earlier format".to_owned()));
    };
    let name = since.file_name().unwrap_or_default().display().to_string();
    let after = base.meta.flushed;
    let label = BackupLabel { since: Some(BackupBase { id: base.label.id, position: after, name }), ..label };
    let position = moment.committed;
    let increment = Increment { moment, meta, base, after };
    let bytes = create(to, &contents.options, |out| increment.write(out, &label, progress))?;
    let (position, since) = (Position::new(position), Some(Position::new(after)));
    Ok(Backup { path: to.to_owned(), position, since, bytes })
}

struct Increment<'a> {
    moment: Moment<'a>,
    meta: Meta,
    base: BackupFile,
    /// The last position of the earlier backup.
    after: u64,
}

impl Increment<'_> {
    fn write(
        mut self,
        out: &mut PartWriter<'_>,
        label: &BackupLabel,
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        let (lines, heads) = (self.moment.lines()?, self.moment.heads()?);
        lines.iter().try_for_each(|(number, row)| out.line(*number, row))?;
        heads.iter().try_for_each(|(number, head)| out.head(*number, *head))?;
        if lines.values().any(|row| !row.attributes.is_empty()) {
            self.meta.features.incompatible |= Features::LIFECYCLE;
        }
        self.events(out, progress)?;
        if self.meta.features.incompatible & Features::LIFECYCLE != 0 {
            self.removed(out)?;
            self.ids(out, &lines, &heads)?;
        }
        for table in SidecarTable::ALL {
            self.moment.each_record(table, |key, value| out.record(table, key, value))?;
        }
        out.finish(self.meta, label)
    }

    /// Events with later positions. Positions of a branch increase with its sequences.
    fn events(&self, out: &mut PartWriter<'_>, progress: &mut OnProgress<'_>) -> Result<()> {
        let after = self.after;
        // The first of each branch that has any.
        let mut firsts: BTreeMap<u64, u64> = BTreeMap::new();
        self.moment.runs_from(after + 1, |at, run| {
            if !run.is_removed() {
                firsts.entry(run.branch).or_insert(run.first + (after + 1).saturating_sub(at));
            }
            Ok(())
        })?;
        let tail = self.moment.tail();
        for event in tail.positions(after + 1, u64::MAX) {
            firsts.entry(event.branch).or_insert(event.event.sequence().get());
        }
        let (mut written, total) = (0, self.moment.committed - after);
        for (branch, first) in firsts {
            self.moment.each_chunk(branch, first, |chunk, row| {
                if chunk.first() >= first {
                    written += chunk.count() as u64;
                    out.chunk(chunk, row)?;
                } else {
                    for (sequence, event) in events_of(chunk).filter(|(sequence, _)| *sequence >= first) {
                        written += 1;
                        out.event(branch, sequence, event)?;
                    }
                }
                match progress(written, total).is_break() {
                    true => Err(Error::Closed { after: None }),
                    false => Ok(()),
                }
            })?;
            for event in tail.layers().flat_map(|layer| layer.between(branch, first, u64::MAX)) {
                let (position, recorded) = (event.position().get(), event.recorded().micros());
                let record = event.record().encoded().clone();
                out.event(branch, event.sequence().get(), (position, recorded, record))?;
                written += 1;
            }
        }
        Ok(())
    }

    /// Positions of which the events were removed, at whatever time.
    fn removed(&self, out: &mut PartWriter<'_>) -> Result<()> {
        let mut last: Option<(u64, u64)> = None;
        self.moment.runs_from(1, |at, run| {
            if !run.is_removed() {
                return Ok(());
            }
            let count = u64::from(run.count);
            match &mut last {
                Some((from, so_many)) if *from + *so_many == at => *so_many += count,
                _ => {
                    if let Some((from, count)) = last.replace((at, count)) {
                        out.removed(from, count)?;
                    }
                }
            }
            Ok(())
        })?;
        last.map_or(Ok(()), |(from, count)| out.removed(from, count))
    }

    /// Ids that stay known, of events that came later and were removed before this.
    fn ids(
        &self,
        out: &mut PartWriter<'_>,
        lines: &BTreeMap<u64, BranchRow>,
        heads: &BTreeMap<u64, HeadRow>,
    ) -> Result<()> {
        let cut = |row: &BranchRow| row.attributes.deleted.is_none() && row.attributes.truncated > row.fork;
        let before = self.base.with(|base| base.heads())?;
        // By branch: what it had in the earlier backup, and the first that is left.
        let mut gone: HashMap<u64, (u64, u64)> = HashMap::new();
        for (number, row) in lines.iter().filter(|(_, row)| cut(row)) {
            let own = |heads: &BTreeMap<u64, HeadRow>| heads.get(number).map_or(row.fork, |head| head.head);
            let first = self.moment.present(*number)?.map_or(own(heads) + 1, |(first, _)| first);
            if first > own(&before) + 1 {
                gone.insert(*number, (own(&before), first));
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        self.moment.each_id(|id, branch, sequence| match gone.get(&branch) {
            Some((known, first)) if sequence > *known && sequence < *first => out.id(id, branch, sequence),
            _ => Ok(()),
        })
    }
}
