//! Removing the states of branches and sessions that nobody has any more.

use super::fold::Scope;
use super::keys::{self, Built};
use super::session_key::is_gone;
use crate::error::Result;
use crate::limits::PROJECT_FLUSH_ROWS;
use crate::store::{SidecarRange, SidecarTable, SidecarWrites, StoreHandle};

/// Removes states, and where they are parked, of the branches with these numbers, and of sessions that are gone or were begun
/// anew, of every projection there is a row of. Whether its code is there makes no difference.
pub(crate) fn forget_states(handle: &StoreHandle, is_branch_gone: &dyn Fn(u64) -> bool) -> Result<()> {
    let reader = handle.reader()?;
    let branch = |key: &[u8]| {
        let number = key.first_chunk().copied().map(u64::from_be_bytes);
        Ok(number.is_some_and(is_branch_gone))
    };
    let session = |key: &[u8]| std::str::from_utf8(key).map_or(Ok(false), |key| is_gone(&reader, key));
    let records = reader.records();
    for prefix in keys::all_generations() {
        for row in records.rows(SidecarTable::Checkpoints, &SidecarRange::under(prefix, usize::MAX))? {
            let built = row.value.ok().and_then(|json| serde_json::from_slice::<Built>(&json).ok());
            let (Some(built), Some(name)) = (built, keys::name_of(&row.key)) else { continue };
            let is_gone: &dyn Fn(&[u8]) -> Result<bool> = match built.scope {
                Scope::Branch => &branch,
                Scope::Session => &session,
                Scope::Key => continue,
            };
            forget(handle, SidecarTable::Snapshots, &keys::states_of(name, built.generation), is_gone)?;
            forget(handle, SidecarTable::Checkpoints, &keys::parkings_of(name, built.generation), is_gone)?;
        }
    }
    Ok(())
}

/// Removes rows whose keys go on with such a branch or session behind a prefix.
fn forget(
    handle: &StoreHandle,
    table: SidecarTable,
    prefix: &[u8],
    is_gone: &dyn Fn(&[u8]) -> Result<bool>,
) -> Result<()> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let range =
            SidecarRange { after: after.as_deref(), ..SidecarRange::under(prefix, PROJECT_FLUSH_ROWS) };
        let rows = handle.reader()?.records().rows(table, &range)?;
        let Some(last) = rows.last() else { return Ok(()) };
        let next = Some(last.key.clone());
        let mut removed = SidecarWrites::new();
        for row in rows {
            if is_gone(row.key.get(prefix.len()..).unwrap_or_default())? {
                removed.remove(table, row.key);
            }
        }
        handle.write_records(removed)?;
        after = next;
    }
}
