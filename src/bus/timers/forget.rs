//! Removing timers of branches that were deleted.

use super::deleted::is_for_what_is_deleted;
use super::registry::Registry;
use super::row::{Family, Row};
use crate::error::{Error, Result};
use crate::limits::TIMER_GROUP;
use crate::store::{SidecarRange, SidecarTable, StoreHandle};

/// Cancels the timers of deleted branches, also those that were refused.
pub(crate) fn forget_deleted_timers(handle: &StoreHandle) -> Result<()> {
    let (registry, reader) = (Registry::of(handle)?, handle.reader()?);
    for family in Family::ALL {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let range =
                SidecarRange { after: after.as_deref(), ..SidecarRange::under(family.prefix(), TIMER_GROUP) };
            let rows = reader.records().rows(SidecarTable::Timers, &range)?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            for record in &rows {
                // One that cannot be read is cancelled by its id.
                let row = record.value.as_deref().map(|value| Row::decode(&record.key, value));
                let Ok(Ok(row)) = row else { continue };
                if is_for_what_is_deleted(&reader, &row)?.is_some() {
                    match registry.cancel(handle, row.event.id) {
                        // It was fired or cancelled meanwhile.
                        Err(Error::NotFound { .. }) => {}
                        cancelled => cancelled?,
                    }
                }
            }
        }
    }
    Ok(())
}
