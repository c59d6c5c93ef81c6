//! Branches that may go by themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::file_reader::FileReader;
use crate::codec::BranchRow;
use crate::engine::branch::Branch;
use crate::engine::file::tables::definitions::LINES;
use crate::engine::file::tables::lookup;
use crate::error::Result;

impl FileReader {
    /// All that are there, from the tail and, if `in_tables` says that there are any, from the tables. One that cannot be read
    /// stays.
    pub(crate) fn expiring(&self, in_tables: bool) -> Result<Vec<Arc<Branch>>> {
        let mut numbers = BTreeSet::new();
        {
            let tail = self.contents.tail()?;
            let all = tail.births().chain(tail.changes());
            numbers.extend(all.filter(|branch| branch.attributes.may_expire()).map(|branch| branch.number));
        }
        if in_tables {
            let txn = self.db.begin_read()?;
            for row in lookup::rows(&lookup::open(&txn, LINES)?, 0..)? {
                let (number, row) = row?;
                let attributes = BranchRow::decode(number.value(), row.value()).map(|row| row.attributes);
                if attributes.is_ok_and(|it| it.may_expire() && it.deleted.is_none()) {
                    numbers.insert(number.value());
                }
            }
        }
        let found = numbers.into_iter().map(|number| self.by_number(number));
        found.filter(|found| found.as_ref().err().is_none_or(|e| !e.is_damage())).collect()
    }
}
