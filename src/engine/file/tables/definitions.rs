//! Every table: its key, its value and its invariants. `docs/format.md` draws the bytes.

use redb::{TableDefinition, TableHandle};

use crate::engine::file::redb_errors::corrupt;
use crate::engine::sidecar::SidecarTable;
use crate::error::Error;

/// `"store"` to the sealed [`Meta`](crate::codec::Meta). Exactly one row.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// The key of the only row of [`META`].
pub(crate) const META_KEY: &str = "store";

/// Session and branch to the branch's number. Numbers are never reused.
pub(crate) const BRANCHES: TableDefinition<'static, (&str, &str), u64> = TableDefinition::new("branches");

/// Branch number to the sealed [`BranchRow`](crate::codec::BranchRow). Same branches as in [`BRANCHES`]; a parent's
/// number is smaller than its child's.
pub(crate) const LINES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("lines");

/// Branch number to the sealed [`HeadRow`](crate::codec::HeadRow) of its flushed part. A branch without flushed
/// events of its own has no row.
pub(crate) const HEADS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("heads");

/// Branch number and the chunk's *last* sequence to the chunk. The chunk that holds sequence n is the first at or
/// after `(branch, n)`. Chunks of a branch follow each other without gaps.
pub(crate) const EVENTS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("events");

/// Position of the row's first event to its runs. Rows follow each other without gaps, up to
/// [`Meta::flushed`](crate::codec::Meta).
pub(crate) const ORDER: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("order");

/// Event id to branch number and sequence, for every flushed event, permanently.
pub(crate) const IDS: TableDefinition<'static, [u8; 16], (u64, u64)> = TableDefinition::new("ids");

/// A sidecar table: keys and bytes that its module defines, the bytes with a checksum. Created with its first row.
type SidecarRows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// States of projections, by projection, generation, and branch and sequence or key. Each can be rebuilt.
pub(crate) const SNAPSHOTS: SidecarRows = TableDefinition::new("snapshots");

/// How far projections have read, and where they are parked.
pub(crate) const CHECKPOINTS: SidecarRows = TableDefinition::new("checkpoints");

/// Durable consumers.
pub(crate) const CONSUMERS: SidecarRows = TableDefinition::new("consumers");

/// Dead letters.
pub(crate) const DEAD_LETTERS: SidecarRows = TableDefinition::new("letters");

/// Timers.
pub(crate) const TIMERS: SidecarRows = TableDefinition::new("timers");

/// Registered schemas.
pub(crate) const SCHEMAS: SidecarRows = TableDefinition::new("schemas");

/// Session to the name of its current branch, for sessions where one was chosen.
pub(crate) const CURRENT: SidecarRows = TableDefinition::new("current");

/// Imported files, and how each is put together.
pub(crate) const IMPORTS: SidecarRows = TableDefinition::new("imports");

/// Leases on sessions.
pub(crate) const LEASES: SidecarRows = TableDefinition::new("leases");

/// Records of applications, each under its namespace.
pub(crate) const APPLICATIONS: SidecarRows = TableDefinition::new("applications");

/// Whether a table of this name is one of ours.
pub(crate) fn is_a_table(name: &str) -> bool {
    let of_events =
        [META.name(), BRANCHES.name(), LINES.name(), HEADS.name(), EVENTS.name(), ORDER.name(), IDS.name()];
    of_events.contains(&name) || SidecarTable::ALL.iter().any(|table| table.name() == name)
}

/// The error for a table that is none of ours: its name is damaged, and under it its rows would be missed.
pub(crate) fn unknown(name: &str) -> Error {
    corrupt(format!("table {}", name.escape_debug()), "no release has made a table of this name")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under another name, a table would look empty in every existing file.
    #[test]
    fn tables_keep_the_names_that_the_files_have_and_the_page_on_the_format_says() {
        let names = [
            META.name(),
            BRANCHES.name(),
            LINES.name(),
            HEADS.name(),
            EVENTS.name(),
            ORDER.name(),
            IDS.name(),
            SNAPSHOTS.name(),
            CHECKPOINTS.name(),
            CONSUMERS.name(),
            DEAD_LETTERS.name(),
            TIMERS.name(),
            SCHEMAS.name(),
            CURRENT.name(),
            IMPORTS.name(),
            LEASES.name(),
            APPLICATIONS.name(),
        ];
        let rows = include_str!("../../../../docs/format.md").lines();
        let table =
            rows.skip_while(|line| !line.starts_with("| `meta`")).take_while(|line| line.starts_with('|'));
        let said: Vec<&str> = table
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        assert_eq!(names.to_vec(), said);
    }
}
