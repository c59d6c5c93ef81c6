//! Backups: full ones, incremental ones, and the store that both make together.

mod chain;
mod check;
mod full;
mod increment;
mod labels;
mod opened;
mod part;
mod removed;

pub(super) use chain::assembled;
pub(crate) use check::check_increment;
pub(super) use full::{backup, copied};
pub(super) use increment::backup_since;
