//! Timers of branches that were deleted do not fire.

use super::row::{NO_BRANCH, Row};
use crate::error::{Error, Result};
use crate::store::{Branch, Reader};

/// Why a timer does not fire: the branch that it was made for is deleted, whether another has its name by now or not.
pub(super) fn is_for_what_is_deleted(reader: &Reader, row: &Row) -> Result<Option<Error>> {
    let Some(named) = reader.last_named(&row.place)? else { return Ok(None) };
    let deleted = named.deleted();
    Ok(match is_for(row, &named) {
        true => deleted.map(|at| named.gone(at)),
        false => Some(named.gone(deleted.unwrap_or(named.created))),
    })
}

/// Whether a timer was made for the branch that has its names now, or had them last.
fn is_for(row: &Row, named: &Branch) -> bool {
    match row.branch {
        Some(NO_BRANCH) => is_first(named),
        Some(number) => number == named.number,
        // Of an earlier build, which left it to the clocks.
        None => match named.deleted() {
            Some(deleted) => row.made.micros() <= deleted,
            None => is_first(named) || row.made.micros() >= named.created,
        },
    }
}

/// Whether no other branch had its names before.
pub(super) fn is_first(branch: &Branch) -> bool {
    branch.attributes.incarnation == 0
}
