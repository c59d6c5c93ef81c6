//! Bringing an index up to what the store has.

use std::collections::HashSet;
use std::sync::Arc;

use super::disk::{Builder, Manifest, Snapshot, Writer};
use super::failed::Failed;
use super::feed::{self, Met};
use super::texts::texts_of;
use crate::error::Result;
use crate::event::Catalogue;
use crate::limits::SEARCH_GONE_KEPT;
use crate::store::Reader;

/// Called with the last position that is in the index.
pub(super) type OnIndexed<'a> = dyn FnMut(u64) + 'a;

/// Whether an index is of the store as it is now, and not of another, or of a later state of it.
pub(super) fn is_of(manifest: &Manifest, empty: &Manifest, reader: &Reader, head: u64) -> Result<bool> {
    if (manifest.store, manifest.line) != (empty.store, empty.line) || manifest.reached > head {
        return Ok(false);
    }
    for segment in &manifest.segments {
        if !reader.has_seen(segment.last.into(), segment.mark)? {
            return Ok(false);
        }
    }
    for position in &manifest.gone {
        if feed::is_there(reader, *position)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds everything up to a position.
pub(super) fn catch_up(
    writer: &mut Writer<'_>,
    reader: &Reader,
    catalogue: &Catalogue,
    head: u64,
    progress: &mut OnIndexed<'_>,
) -> Result<Arc<Snapshot>, Failed> {
    let (mut builder, mut last) = (Builder::default(), writer.manifest.reached);
    feed::each(reader, last + 1, head, |met| {
        let position = match &met {
            Met::Event(event) => event.position().get(),
            Met::Unread(position) => *position,
        };
        if position > last + 1 {
            // The ends of what is missing.
            writer.note_gone(last + 1);
            writer.note_gone(position - 1);
        }
        if builder.is_full_for(position) {
            writer.add(&mut builder, last)?;
            writer.commit()?;
            progress(last);
        }
        last = position;
        match met {
            Met::Event(event) => builder.add(&event, &texts_of(&event, catalogue)),
            Met::Unread(_) => writer.manifest.unread += 1,
        }
        Ok::<_, Failed>(())
    })?;
    if head > last {
        writer.note_gone(last + 1);
        writer.note_gone(head);
    }
    writer.add(&mut builder, head)?;
    writer.merge_small()?;
    let snapshot = writer.commit()?;
    progress(head);
    Ok(snapshot)
}

/// Removes what the store does not have any more, with its words. Answers how many events that were.
pub(super) fn sweep(writer: &mut Writer<'_>, reader: &Reader) -> Result<u64, Failed> {
    writer.begin_sweep()?;
    let mut gone: HashSet<u64> = HashSet::new();
    for positions in writer.positions() {
        let positions = positions?;
        let (Some(first), Some(last)) = (positions.first(), positions.last()) else { continue };
        let mut there = HashSet::new();
        feed::each(reader, *first, *last, |met| {
            // Damage in the store is no reason to forget what it had.
            there.insert(match met {
                Met::Event(event) => event.position().get(),
                Met::Unread(position) => position,
            });
            Ok::<_, Failed>(())
        })?;
        gone.extend(positions.into_iter().filter(|position| !there.contains(position)));
    }
    if !gone.is_empty() {
        writer.remove(&gone)?;
        ends_of(&gone).into_iter().for_each(|position| writer.note_gone(position));
    }
    writer.commit()?;
    writer.has_swept()?;
    Ok(gone.len() as u64)
}

/// The first and the last of each run, of the latest runs.
fn ends_of(positions: &HashSet<u64>) -> Vec<u64> {
    let is_end = |position: u64| {
        !positions.contains(&position.saturating_sub(1)) || !positions.contains(&position.saturating_add(1))
    };
    let mut ends: Vec<u64> = positions.iter().copied().filter(|position| is_end(*position)).collect();
    ends.sort_unstable();
    ends.split_off(ends.len().saturating_sub(SEARCH_GONE_KEPT))
}
