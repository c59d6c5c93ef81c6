//! The label that a backup gets, and whether a store goes on from where a backup ended.

use std::collections::BTreeMap;

use super::opened::BackupFile;
use super::removed::Removed;
use crate::codec::{BackupLabel, HeadRow, Meta, decode_record, event_print};
use crate::engine::file::contents::Contents;
use crate::engine::file::moment::Moment;
use crate::engine::file::redb_errors::malformed;
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::definitions::{META, META_KEY};
use crate::error::Result;
use crate::event::EventId;

/// The label of a backup that is made of this store now; `None` for a store of an earlier format, which says too little of
/// itself.
pub(super) fn label_of(contents: &Contents, moment: &Moment<'_>) -> Result<Option<BackupLabel>> {
    let Some(line) = contents.line else { return Ok(None) };
    let last = last_until(moment, moment.committed)?;
    Ok(Some(BackupLabel { id: *EventId::new().bytes(), line, last, since: None }))
}

/// The last event up to a position that is left: where it is, and its print.
fn last_until(moment: &Moment<'_>, position: u64) -> Result<Option<(u64, u64)>> {
    let Some(run) = moment.last_at(position)? else { return Ok(None) };
    let (at, recorded, record) = moment.event(run.branch, run.first)?;
    let record = decode_record(record).map_err(malformed(format!("position {at}")))?;
    Ok(Some((at, event_print(record.id_bytes(), run.branch, run.first, recorded))))
}

/// Puts the label on a copy of a store that is complete.
pub(super) fn stick(copy: &Db, label: &BackupLabel) -> Result<()> {
    let txn = copy.begin_write(|txn| {
        txn.set_quick_repair(true);
        Ok(())
    })?;
    {
        let mut table = txn.open(META)?;
        if let Some(meta) = table.get(META_KEY, Meta::decode)? {
            let mut meta = meta.map_err(malformed("the meta row"))?;
            label.stick(&mut meta);
            table.insert(META_KEY, meta.encode().as_slice())?;
        }
    }
    txn.commit()
}

/// Why the store has not simply gone on from where a backup ended; `None` if it has. `meta` is the store's row.
pub(super) fn departs(
    contents: &Contents,
    (moment, meta): (&Moment<'_>, &Meta),
    file: &BackupFile,
) -> Result<Option<String>> {
    let (base, label) = (&file.meta, &file.label);
    if base.store != meta.store {
        return Ok(Some("it is of another store".to_owned()));
    }
    if base.flushed > moment.committed {
        let (ends, now) = (base.flushed, moment.committed);
        return Ok(Some(format!("it ends at position {ends}, and the store at {now}")));
    }
    // A store that was restored from a backup has its label, and its file is another one.
    let began = BackupLabel::of(meta).map_err(malformed("the meta row"))?;
    let is_continued = contents.line == Some(label.line) || began.is_some_and(|(own, _)| own.id == label.id);
    let is_same = match label.last {
        // What was removed since cannot be compared.
        Some((at, print)) => match last_until(moment, at)? {
            Some((found, now)) => found != at || now == print,
            None => true,
        },
        None => true,
    };
    let goes_on = is_continued
        && is_same
        && heads_go_on(&file.with(|base| base.heads())?, moment)?
        && Removed::of(moment)?.has_all(&file.with(Removed::of)?);
    Ok((!goes_on).then(|| "the store was restored, repaired or replaced since".to_owned()))
}

/// Whether each branch has what it had, at the same positions and times, and perhaps more. What it had may be removed by now.
fn heads_go_on(before: &BTreeMap<u64, HeadRow>, now: &Moment<'_>) -> Result<bool> {
    let heads = now.heads()?;
    for (number, was) in before {
        let is_so = match heads.get(number) {
            Some(head) if head.head > was.head => match now.present(*number)? {
                Some((first, _)) if first <= was.head => {
                    let (position, recorded, _) = now.event(*number, was.head)?;
                    (position, recorded) == (was.position, was.recorded)
                }
                _ => head.position > was.position,
            },
            head => head == Some(was),
        };
        if !is_so {
            return Ok(false);
        }
    }
    Ok(true)
}
