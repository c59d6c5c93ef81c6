//! Timers of branches that were deleted do not fire.

use super::row::Row;
use crate::error::{Error, Result};
use crate::store::Reader;

/// Why a timer does not fire: the branch that it was made for is deleted, whether another has its name by now or not.
pub(super) fn is_for_what_is_deleted(reader: &Reader, row: &Row) -> Result<Option<Error>> {
    let Some(named) = reader.last_named(&row.place)? else { return Ok(None) };
    let made = row.made.micros();
    Ok(match named.deleted() {
        Some(deleted) => (made <= deleted).then(|| named.gone(deleted)),
        None if named.attributes.incarnation > 0 && made < named.created => Some(named.gone(named.created)),
        None => None,
    })
}
