//! Whether an incremental backup is whole: it is read from end to end before it gets its name.

use std::collections::BTreeMap;
use std::path::Path;

use redb::TableHandle;

use super::chain::refused;
use super::opened::BackupFile;
use crate::codec::{BranchRow, HeadRow, decode_record};
use crate::engine::file::moment::{Moment, events_of};
use crate::engine::file::redb_errors::{corrupt, malformed};
use crate::engine::file::tables::definitions::EVENTS;
use crate::engine::port::OnProgress;
use crate::engine::sidecar::SidecarTable;
use crate::error::{Error, Result};

/// Reads all of it. Tells how many events of how many it has checked.
///
/// # Errors
/// [`Error::Corrupt`] for whatever is wrong with it, [`Error::Invalid`] when it is no incremental backup.
pub(crate) fn check_increment(path: &Path, progress: &mut OnProgress<'_>) -> Result<()> {
    let refuse = |reason: String| refused(path, &reason);
    let file = BackupFile::open(path, &refuse)?;
    let Some(since) = &file.label.since else { return Err(refuse("it is a full backup".to_owned())) };
    let span = (since.position, file.meta.flushed);
    let chunks = file.meta.rows_of(EVENTS.name()).unwrap_or_default();
    file.with(|moment| {
        let (lines, heads) = (moment.lines()?, moment.heads()?);
        numbered(&lines, file.meta.next_branch)?;
        let mut positions = Positions::default();
        let seen = events(moment, (&lines, &heads), span, &mut positions, progress)?;
        if seen != chunks {
            return Err(corrupt("its events", format!("{seen} chunks belong to branches, of {chunks}")));
        }
        moment.runs_from(1, |at, run| {
            if !run.is_removed() {
                return Err(corrupt(format!("position {at}"), "an event stands where only removed ones do"));
            }
            positions.add(at, u64::from(run.count));
            Ok(())
        })?;
        positions.are_dense(span)?;
        moment.each_id(|_, branch, sequence| match lines.contains_key(&branch) {
            true => Ok(()),
            false => Err(corrupt("an id", format!("it leads to branch number {branch}@{sequence}"))),
        })?;
        SidecarTable::ALL.into_iter().try_for_each(|table| moment.each_record(table, |_, _| Ok(())))
    })
}

/// The branches are those up to the newest one.
fn numbered(lines: &BTreeMap<u64, BranchRow>, next: u64) -> Result<()> {
    match lines.last_key_value().map_or(1, |(last, _)| last + 1) == next {
        true => Ok(()),
        false => Err(corrupt("its branches", format!("the last is not the one before number {next}"))),
    }
}

/// The events of all branches. Answers how many chunks they are in.
fn events(
    moment: &Moment<'_>,
    (lines, heads): (&BTreeMap<u64, BranchRow>, &BTreeMap<u64, HeadRow>),
    (after, until): (u64, u64),
    positions: &mut Positions,
    progress: &mut OnProgress<'_>,
) -> Result<u64> {
    let (mut chunks, mut checked) = (0, 0);
    for branch in lines.keys() {
        let mut next = None;
        moment.each_chunk(*branch, 0, |chunk, _| {
            let place = || format!("branch number {branch}@{}", chunk.first());
            if next.is_some_and(|next| next != chunk.first()) {
                return Err(corrupt(place(), "it does not follow the event before it"));
            }
            for (_, (position, _, record)) in events_of(chunk) {
                decode_record(record).map_err(malformed(place()))?;
                if position <= after {
                    return Err(corrupt(place(), "the earlier backup has it already"));
                }
                positions.add(position, 1);
            }
            if heads.get(branch).is_none_or(|head| head.head < chunk.last()) {
                return Err(corrupt(place(), "it is behind the head of its branch"));
            }
            next = Some(chunk.last() + 1);
            chunks += 1;
            checked += chunk.count() as u64;
            match progress(checked, until - after).is_break() {
                true => Err(Error::Closed { after: None }),
                false => Ok(()),
            }
        })?;
    }
    Ok(chunks)
}

/// Spans of positions: the first, and how many.
#[derive(Default)]
struct Positions(Vec<(u64, u64)>);

impl Positions {
    fn add(&mut self, position: u64, count: u64) {
        match self.0.last_mut() {
            Some((first, so_many)) if *first + *so_many == position => *so_many += count,
            _ => self.0.push((position, count)),
        }
    }

    /// Whether each is there once, after one position and up to another. Before that there may be some.
    fn are_dense(mut self, (after, until): (u64, u64)) -> Result<()> {
        self.0.sort_unstable();
        let (mut next, mut free) = (after + 1, 1);
        for (first, count) in self.0 {
            let end = first.saturating_add(count);
            if first < free || (end > next && first > next) {
                return Err(corrupt(
                    format!("position {}", first.min(next)),
                    "it is missing, or there twice",
                ));
            }
            (next, free) = (next.max(end), end);
        }
        match next == until + 1 {
            true => Ok(()),
            false => Err(corrupt(format!("position {next}"), format!("it is not {until}, where it ends"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_dense_after_the_earlier_backup_and_may_have_holes_before_it() {
        let dense = |spans: &[(u64, u64)]| {
            let mut positions = Positions::default();
            spans.iter().for_each(|(first, count)| positions.add(*first, *count));
            positions.are_dense((10, 15)).is_ok()
        };
        assert!(dense(&[(11, 5)]) && dense(&[(14, 2), (2, 3), (11, 3)]) && dense(&[(9, 4), (13, 3)]));
        let wrong: [&[(u64, u64)]; 7] = [
            &[],
            &[(11, 4)],
            &[(11, 6)],
            &[(12, 4)],
            &[(11, 2), (14, 2)],
            &[(11, 3), (13, 3)],
            &[(2, 3), (4, 1), (11, 5)],
        ];
        assert!(wrong.iter().all(|spans| !dense(spans)));
        let mut none = Positions::default();
        none.add(3, 2);
        assert!(none.are_dense((10, 10)).is_ok());
    }
}
