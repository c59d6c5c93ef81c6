//! Reading what is stored: branches, the global order, listings.

mod expiring;
pub(crate) mod file_reader;
mod ids;
pub(crate) mod list;
mod names;
pub(crate) mod order;
pub(crate) mod pieces;
