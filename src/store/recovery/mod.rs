//! New stores out of what there is of another: [`repair()`] takes what is sound in a damaged file, [`restore()`] takes a backup, or the
//! part of it up to some point. Neither changes the file that it reads.

mod cut_records;
mod repair;
mod restore;

pub use crate::engine::{LOST_EVENT, Lost, Repaired, RestoreUntil, Restored};
pub use repair::{repair, repair_async, repair_with};
pub use restore::{restore, restore_async, restore_with};
