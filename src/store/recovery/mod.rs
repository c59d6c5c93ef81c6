//! New stores out of what there is of another: [`repair()`] takes what is sound in a damaged file, [`restore()`] takes a backup, or the
//! part of it up to some point, and [`restore_chain()`] a full backup with the incremental ones that follow it. None changes a file
//! that it reads.

mod cut_records;
mod repair;
mod restore;
mod restore_chain;

pub use crate::engine::{Backup, LOST_EVENT, Lost, Repaired, RestoreUntil, Restored};
pub use repair::{repair, repair_async, repair_with};
pub use restore::{restore, restore_async, restore_with};
pub use restore_chain::{restore_chain, restore_chain_async, restore_chain_with};
