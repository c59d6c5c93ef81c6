//! The rows of branches by their number.

use redb::ReadTransaction;

use super::definitions::LINES;
use super::lookup;
use crate::codec::BranchRow;
use crate::engine::file::redb_errors::corrupt;
use crate::error::Result;

/// Whether names lead to the number that has them. A row that cannot be read proves nothing: its own reader is told.
pub(crate) fn belongs(names: (&str, &str), number: u64, txn: &ReadTransaction) -> Result<()> {
    match read_line(number, txn) {
        Ok(row) if (row.place.session.as_str(), row.place.branch.as_str()) != names => {
            Err(corrupt(format!("branch {}", row.place), "its name in the index is damaged"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn read_line(number: u64, txn: &ReadTransaction) -> Result<BranchRow> {
    let table = lookup::open(txn, LINES)?;
    let row = lookup::get(&table, number)?;
    let row =
        row.ok_or_else(|| corrupt(format!("branch number {number}"), "it is referred to and missing"))?;
    BranchRow::decode(number, row.value())
        .map_err(|e| corrupt(format!("branch number {number}"), e.to_string()))
}
