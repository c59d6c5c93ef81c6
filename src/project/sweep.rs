//! Removing the states of generations that nobody reads any more.

use std::collections::BTreeSet;

use super::apply::Fold;
use super::generations::Generations;
use super::keys;
use super::lease::{Lease, Seen, Standing, Stored};
use crate::error::{Error, Result};
use crate::event::Timestamp;
use crate::limits::{MAX_LISTING, PROJECT_ATTEMPTS, PROJECT_FLUSH_ROWS};
use crate::store::{SidecarRange, SidecarTable, SidecarWrites, StoreHandle};

/// Removes every state and parking of generations that are neither read nor built, by whatever code. A generation that
/// begins meanwhile is left alone: what is removed is removed only while the generations are those that were looked at.
///
/// # Errors
/// [`Error::RecordChanged`] when the lease was lost.
pub(super) fn sweep(handle: &StoreHandle, lease: &Lease, name: &str) -> Result<()> {
    for (table, prefix) in
        [(SidecarTable::Snapshots, keys::states(name)), (SidecarTable::Checkpoints, keys::parkings(name))]
    {
        let mut after: Option<Vec<u8>> = None;
        let mut changed = 0;
        loop {
            let records = handle.reader()?.records();
            let generations = Generations::read(&records, name)?;
            let kept = generations.numbers();
            let rows =
                SidecarRange { after: after.as_deref(), ..SidecarRange::under(&prefix, PROJECT_FLUSH_ROWS) };
            let found = records.rows(table, &rows)?;
            let mut removed = SidecarWrites::new();
            let mut skip = None;
            for row in &found {
                match keys::generation_at(prefix.len() - 1, &row.key) {
                    Some(generation) if kept.contains(&generation) => {
                        // Over all of it at once.
                        skip = Some([&prefix[..], &generation.to_be_bytes(), &[u8::MAX; 256]].concat());
                        break;
                    }
                    _ => removed.remove(table, row.key.clone()),
                }
            }
            if !removed.is_empty() {
                generations.expected_by(&mut removed, name);
                match lease.write(handle, removed.relaxed(), Timestamp::now()) {
                    // Whoever keeps a generation up moves its row.
                    Err(Error::RecordChanged { .. }) if changed < PROJECT_ATTEMPTS => {
                        changed += 1;
                        continue;
                    }
                    written => written?,
                }
            }
            changed = 0;
            match (skip, found.last()) {
                (Some(end), _) => after = Some(end),
                (None, Some(last)) => after = Some(last.key.clone()),
                (None, None) => break,
            }
        }
    }
    Ok(())
}

/// Removes the leases of other code that nobody holds. Who comes back takes its lease as if it were the first time.
pub(super) fn forget_leases(handle: &StoreHandle, lease: &Lease, fold: &Fold) -> Result<()> {
    let records = handle.reader()?.records();
    let prefix = keys::leases(&fold.name);
    let rows = records.rows(SidecarTable::Checkpoints, &SidecarRange::under(&prefix, MAX_LISTING))?;
    let own = fold.code();
    let codes: BTreeSet<&[u8]> = rows
        .iter()
        .filter_map(|row| keys::leased(&fold.name, &row.key))
        .filter(|code| *code != own)
        .collect();
    let (opening, span, now) = (handle.opening(), handle.lease_span(), Timestamp::now());
    let mut removed = SidecarWrites::new();
    for code in codes {
        let stored = Stored::read(&records, keys::lease(&fold.name, code))?;
        if stored.standing(opening, &mut Seen::default(), now, span) == Standing::Free {
            stored.remove(&mut removed);
        }
    }
    match lease.write(handle, removed.relaxed(), now) {
        // Somebody came back: the next time is early enough.
        Err(Error::RecordChanged { .. }) => Ok(()),
        written => written,
    }
}
