//! The generations of states that a projection has: the one that is read, and the one that is being built.

use super::keys::{self, Built};
use super::row::Row;
use crate::error::{Error, Result};
use crate::store::{Records, SidecarRange, SidecarTable, SidecarWrites};

/// Both, as of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Generations {
    pub(super) current: Row,
    pub(super) next: Row,
}

/// Rows at the end of a table that are looked at for one that can be read.
const LOOKED_AT: usize = 64;

impl Generations {
    pub(super) fn read(records: &Records, name: &str) -> Result<Self> {
        let (current, next) = (keys::current(name), keys::next(name));
        // As of one moment: a rebuild that ends makes the one of the other.
        let [current, next] = Row::all(records, [&current, &next])?;
        Ok(Self { current, next })
    }

    /// What they are. A row that is damaged is as good as none: the states are made again.
    pub(super) fn built(&self) -> (Option<Built>, Option<Built>) {
        (self.current.json(), self.next.json())
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let (current, next) = self.built();
        current.into_iter().chain(next).map(|built| built.generation).collect()
    }

    /// Lets a commit happen only while both are as they were read.
    pub(super) fn expected_by(&self, records: &mut SidecarWrites, name: &str) {
        self.current.expected_by(records, keys::current(name));
        self.next.expected_by(records, keys::next(name));
    }

    /// A number that no row of this projection has, whoever left it: a generation begins with nothing.
    pub(super) fn unused_number(&self, records: &Records, name: &str) -> Result<u32> {
        let mut last = self.numbers().into_iter().max().unwrap_or(0);
        for (table, prefix) in
            [(SidecarTable::Snapshots, keys::states(name)), (SidecarTable::Checkpoints, keys::parkings(name))]
        {
            let rows = SidecarRange { reverse: true, ..SidecarRange::under(&prefix, LOOKED_AT) };
            let rows = records.rows(table, &rows)?;
            // A key that is damaged does not fit its value.
            let row = rows.iter().find(|row| row.value.is_ok());
            last = last.max(row.and_then(|row| keys::generation_at(prefix.len() - 1, &row.key)).unwrap_or(0));
        }
        last.checked_add(1)
            .ok_or_else(|| Error::corrupt(format!("projection {name}"), "its generations are counted out"))
    }
}
