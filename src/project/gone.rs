//! Removing the states of branches that nobody has any more.

use super::fold::Scope;
use super::keys::{self, Built};
use crate::error::Result;
use crate::limits::PROJECT_FLUSH_ROWS;
use crate::store::{SidecarRange, SidecarTable, SidecarWrites, StoreHandle};

/// Removes states, and where they are parked, of the branches with these numbers, of every projection there is a row of.
/// Whether its code is there makes no difference.
pub(crate) fn forget_branches(handle: &StoreHandle, is_gone: &dyn Fn(u64) -> bool) -> Result<()> {
    let records = handle.reader()?.records();
    for prefix in keys::all_generations() {
        for row in records.rows(SidecarTable::Checkpoints, &SidecarRange::under(prefix, usize::MAX))? {
            let built = row.value.ok().and_then(|json| serde_json::from_slice::<Built>(&json).ok());
            let (Some(built), Some(name)) = (built, keys::name_of(&row.key)) else { continue };
            if built.scope == Scope::Branch {
                forget(handle, SidecarTable::Snapshots, &keys::states_of(name, built.generation), is_gone)?;
                forget(
                    handle,
                    SidecarTable::Checkpoints,
                    &keys::parkings_of(name, built.generation),
                    is_gone,
                )?;
            }
        }
    }
    Ok(())
}

/// Removes rows whose keys have the number of such a branch behind a prefix.
fn forget(
    handle: &StoreHandle,
    table: SidecarTable,
    prefix: &[u8],
    is_gone: &dyn Fn(u64) -> bool,
) -> Result<()> {
    let number = |key: &[u8]| key.get(prefix.len()..)?.first_chunk().copied().map(u64::from_be_bytes);
    let mut after: Option<Vec<u8>> = None;
    loop {
        let range =
            SidecarRange { after: after.as_deref(), ..SidecarRange::under(prefix, PROJECT_FLUSH_ROWS) };
        let rows = handle.reader()?.records().rows(table, &range)?;
        let Some(last) = rows.last() else { return Ok(()) };
        let next = Some(last.key.clone());
        let mut removed = SidecarWrites::new();
        for row in rows.into_iter().filter(|row| number(&row.key).is_some_and(is_gone)) {
            removed.remove(table, row.key);
        }
        handle.write_records(removed)?;
        after = next;
    }
}
