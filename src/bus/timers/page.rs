//! Pages of timers: those that the store refused, then the others by the time at which they are due.

use super::mark::TimerMark;
use super::row::{Family, Row};
use crate::error::Result;
use crate::store::{Records, SidecarRange, SidecarTable};

/// Up to `limit` rows after a mark.
pub(super) fn page(view: &Records, after: Option<&TimerMark>, limit: usize) -> Result<Vec<Row>> {
    let mut found: Vec<Row> = Vec::new();
    // Refused ones last: a timer that is refused meanwhile is seen twice, and not never.
    for family in [Family::At, Family::After, Family::Refused] {
        if family == Family::Refused && after.is_some_and(TimerMark::is_pending) {
            continue;
        }
        let key = after.and_then(|mark| mark.key(family));
        let rows = SidecarRange { after: key.as_deref(), ..SidecarRange::under(family.prefix(), limit) };
        for record in view.rows(SidecarTable::Timers, &rows)? {
            let row = Row::decode(&record.key, &record.value?)?;
            if row.family == Family::Refused {
                found.retain(|other| other.event.id != row.event.id);
            }
            found.push(row);
        }
    }
    found.sort_by_key(|row| TimerMark::from(row));
    found.truncate(limit);
    Ok(found)
}
