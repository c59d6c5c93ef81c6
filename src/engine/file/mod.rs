//! The file engine: a journal, redb's tables behind it, and the tail in memory.
//!
//! One way in: commit → writer → journal → tail → flush. One way out: tail and chunks → reader.

mod backup;
mod compact;
pub(crate) mod contents;
mod dead_space;
pub(crate) mod disk;
pub(crate) mod engine;
mod figures;
mod filling;
pub(crate) mod flush;
pub(crate) mod in_memory;
mod moment;
pub(crate) mod open;
pub(crate) mod options;
mod purge;
pub(crate) mod read;
mod rebuild;
pub(crate) mod record_layer;
pub(crate) mod redb_errors;
mod repair;
mod restore;
mod restore_chain;
pub(crate) mod tables;
mod verify;
pub(crate) mod write;

pub(crate) use backup::check_increment;
pub(crate) use engine::open;
pub(crate) use open::start::{Medium, prepare};
#[cfg(unix)]
pub(crate) use open::storage::line_of;
pub(crate) use options::{Mode, Options};
pub(crate) use repair::repair;
pub(crate) use restore::restore;
pub(crate) use restore_chain::restore_chain;
