//! Rows of branches by number.

use redb::ReadTransaction;

use super::definitions::LINES;
use super::lookup;
use crate::codec::BranchRow;
use crate::engine::file::redb_errors::corrupt;
use crate::error::Result;

/// Whether a name leads to the branch that has it. An unreadable row proves nothing; whoever reads it gets the error.
pub(crate) fn belongs(names: (&str, &str), number: u64, txn: &ReadTransaction) -> Result<()> {
    match read_line(number, txn) {
        Ok(row) if (row.place.session.as_str(), row.place.branch.as_str()) != names => {
            Err(corrupt(format!("branch {}", row.place), "its name in the index is damaged"))
        }
        _ => Ok(()),
    }
}

/// Whether there is a row of this number, readable or not.
pub(crate) fn is_there(number: u64, txn: &ReadTransaction) -> Result<bool> {
    Ok(lookup::get(&lookup::open(txn, LINES)?, number)?.is_some())
}

pub(crate) fn read_line(number: u64, txn: &ReadTransaction) -> Result<BranchRow> {
    let table = lookup::open(txn, LINES)?;
    let row = lookup::get(&table, number)?;
    let row =
        row.ok_or_else(|| corrupt(format!("branch number {number}"), "it is referred to and missing"))?;
    BranchRow::decode(number, row.value())
        .map_err(|e| corrupt(format!("branch number {number}"), e.to_string()))
}
