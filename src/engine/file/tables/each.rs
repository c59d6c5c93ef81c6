//! The tables by their names, for what is done with all of them alike.

use redb::{Key, TableDefinition, TableHandle, Value};

use super::definitions::{BRANCHES, EVENTS, HEADS, IDS, LINES, META, ORDER, unknown};
use super::sidecar_view::table_of;
use crate::engine::sidecar::SidecarTable;
use crate::error::Result;

/// Something that is done with a table of whatever type.
pub(crate) trait OfATable {
    type Output;

    fn with<K: Key + 'static, V: Value + 'static>(
        self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<Self::Output>;
}

/// Does it with the table of this name.
///
/// # Errors
/// No release has made such a table, besides what it does.
pub(crate) fn with_table<D: OfATable>(name: &str, what: D) -> Result<D::Output> {
    match name {
        _ if name == BRANCHES.name() => what.with(BRANCHES),
        _ if name == LINES.name() => what.with(LINES),
        _ if name == HEADS.name() => what.with(HEADS),
        _ if name == EVENTS.name() => what.with(EVENTS),
        _ if name == ORDER.name() => what.with(ORDER),
        _ if name == IDS.name() => what.with(IDS),
        _ if name == META.name() => what.with(META),
        _ => match SidecarTable::ALL.into_iter().find(|table| table.name() == name) {
            Some(table) => what.with(table_of(table)),
            None => Err(unknown(name)),
        },
    }
}
