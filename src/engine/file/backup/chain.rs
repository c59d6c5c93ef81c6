//! A store out of a full backup and the incremental ones that follow it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use redb::TableHandle;

use super::labels::stick;
use super::opened::BackupFile;
use super::removed::Removed;
use crate::codec::{BackupLabel, BranchRow, Features, HeadRow, decode_record};
use crate::engine::backup::Backup;
use crate::engine::file::moment::events_of;
use crate::engine::file::open::create::create_filled;
use crate::engine::file::options::Options;
use crate::engine::file::rebuild::{Rebuild, RebuiltEvent};
use crate::engine::file::redb_errors::{corrupt, malformed};
use crate::engine::file::tables::definitions::{HEADS, IDS, LINES};
use crate::engine::port::OnProgress;
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};
use crate::event::{Invalid, Position};
use crate::limits::MAX_BACKUP_CHAIN;

/// The error for a backup that cannot be restored with the others.
pub(super) fn refused(path: &Path, reason: &str) -> Error {
    Invalid::new("backup", format!("{} cannot be restored like this: {reason}", path.display())).into()
}

/// Makes a store of a full backup and those that follow it, which is what a full backup would have been at the time of the last one.
///
/// # Errors
/// [`Error::Exists`] when there is something under the name; [`Error::Invalid`] when one does not continue the one before it;
/// those of opening each. Then there is no file.
pub(in crate::engine::file) fn assembled(
    chain: &[PathBuf],
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<Backup> {
    let files = opened(chain)?;
    let Some(last) = files.last() else {
        return Err(Invalid::new("backup", "is missing: name the full one first").into());
    };
    let (lines, heads) = last.with(|moment| Ok((moment.lines()?, moment.heads()?)))?;
    last.counted(LINES.name(), lines.len() as u64)?;
    last.counted(HEADS.name(), heads.len() as u64)?;
    let removed = last.with(Removed::of)?;
    let whole = Whole { files: &files, last, lines, heads, removed };
    let bytes = create_filled(to, &Options::default(), |db| {
        whole.write(Rebuild::new(db), progress)?;
        // Whatever follows the last one follows this store as well.
        stick(db, &BackupLabel { since: None, ..last.label.clone() })
    })?;
    let position = Position::new(last.meta.flushed);
    Ok(Backup { path: to.to_owned(), position, since: None, bytes })
}

/// The files, each of which continues the one before it.
fn opened(chain: &[PathBuf]) -> Result<Vec<BackupFile>> {
    if chain.len() > MAX_BACKUP_CHAIN {
        let reason = format!("is one of {}; {MAX_BACKUP_CHAIN} are restored together", chain.len());
        return Err(Invalid::new("backup", reason).into());
    }
    let mut files: Vec<BackupFile> = Vec::new();
    for path in chain {
        let refuse = |reason: String| refused(path, &reason);
        let file = BackupFile::open(path, &refuse)?;
        match (files.last(), &file.label.since) {
            (None, None) => {}
            (None, Some(since)) => {
                let reason =
                    format!("it is an incremental one since {}; begin with the full one", since.name);
                return Err(refuse(reason));
            }
            (Some(_), None) => return Err(refuse("it is a full one, and only the first may be".to_owned())),
            (Some(before), Some(_)) if before.meta.store != file.meta.store => {
                return Err(refuse(format!("it is of another store than {}", before.name)));
            }
            (Some(before), Some(since)) if before.label.id != since.id => {
                let (ends, due) = (before.meta.flushed, since.position);
                let reason = format!(
                    "it continues {}, which ends at position {due}, and not {}, which ends at {ends}; \
                     give them in the order in which they were made, and leave none out",
                    since.name, before.name
                );
                return Err(refuse(reason));
            }
            (Some(before), Some(since)) if before.meta.flushed != since.position => {
                return Err(corrupt(&file.name, "it does not begin where the one before it ends"));
            }
            (Some(_), Some(_)) => {}
        }
        files.push(file);
    }
    Ok(files)
}

struct Whole<'a> {
    files: &'a [BackupFile],
    last: &'a BackupFile,
    lines: BTreeMap<u64, BranchRow>,
    heads: BTreeMap<u64, HeadRow>,
    removed: Removed,
}

impl Whole<'_> {
    fn write(&self, mut out: Rebuild<'_>, progress: &mut OnProgress<'_>) -> Result<()> {
        self.lines.iter().try_for_each(|(number, row)| out.branch(*number, row.clone()))?;
        let begun = self.events(&mut out, progress)?;
        self.ids(&mut out, &begun)?;
        self.heads.iter().for_each(|(number, head)| out.head(*number, *head));
        self.removed.0.iter().for_each(|(first, last)| out.removed(*first, last + 1 - first));
        for table in SidecarTable::ALL {
            let mut seen = 0;
            let mut take = |key: &[u8], value: &[u8]| {
                seen += 1;
                out.record(table, key, value)
            };
            self.last.with(|moment| moment.each_record(table, &mut take))?;
            self.last.counted(table.name(), seen)?;
        }
        let mut meta = self.last.meta.clone();
        meta.features.incompatible &= !Features::INCREMENT;
        let (due, reached) = (meta.flushed, out.finish(meta)?);
        match reached == due {
            true => Ok(()),
            false => Err(corrupt("the backups", format!("they have {reached} positions, and not {due}"))),
        }
    }

    /// The events of each branch, file after file. Answers with the first that is left of each.
    fn events(&self, out: &mut Rebuild<'_>, progress: &mut OnProgress<'_>) -> Result<HashMap<u64, u64>> {
        let (mut begun, mut written) = (HashMap::new(), 0);
        for (number, row) in &self.lines {
            let mut next = None;
            for file in self.files {
                file.with(|moment| {
                    moment.each_chunk(*number, 0, |chunk, bytes| {
                        let mut goes_on = |sequence: u64| {
                            begun.entry(*number).or_insert(sequence);
                            match next.replace(sequence + 1).is_none_or(|due| due == sequence) {
                                true => Ok(()),
                                false => Err(corrupt(
                                    format!("branch number {number}@{sequence}"),
                                    "it does not follow the event before it",
                                )),
                            }
                        };
                        if !self.removed.touches(chunk) {
                            goes_on(chunk.first())?;
                            next = Some(chunk.last() + 1);
                            written += chunk.count() as u64;
                            out.chunk(chunk, bytes.to_vec())?;
                        } else {
                            for (sequence, (position, recorded, record)) in events_of(chunk) {
                                if !self.removed.has(position) {
                                    goes_on(sequence)?;
                                    written += 1;
                                    let event = RebuiltEvent { sequence, position, recorded, record };
                                    out.event(*number, event)?;
                                } else if row.attributes.deleted.is_none() {
                                    // It was truncated, and its id stays known.
                                    let place = || format!("branch number {number}@{sequence}");
                                    let record = decode_record(record).map_err(malformed(place()))?;
                                    out.id(*record.id_bytes(), *number, sequence)?;
                                }
                            }
                        }
                        match progress(written, self.last.meta.flushed).is_break() {
                            true => Err(Error::Closed { after: None }),
                            false => Ok(()),
                        }
                    })
                })?;
            }
        }
        Ok(begun)
    }

    /// The ids of truncated events that no file has any more.
    fn ids(&self, out: &mut Rebuild<'_>, begun: &HashMap<u64, u64>) -> Result<()> {
        let mut firsts: HashMap<u64, u64> = HashMap::new();
        for (number, row) in &self.lines {
            if row.attributes.deleted.is_none() && row.attributes.truncated > row.fork {
                let head = self.heads.get(number).map_or(row.fork, |head| head.head);
                firsts.insert(*number, begun.get(number).copied().unwrap_or(head + 1));
            }
        }
        if firsts.is_empty() {
            return Ok(());
        }
        for file in self.files {
            let mut seen = 0;
            file.with(|moment| {
                moment.each_id(|id, branch, sequence| {
                    seen += 1;
                    match firsts.get(&branch) {
                        Some(first) if sequence < *first => out.id(id, branch, sequence),
                        _ => Ok(()),
                    }
                })
            })?;
            file.counted(IDS.name(), seen)?;
        }
        Ok(())
    }
}
