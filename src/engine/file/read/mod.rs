//! Reading what is stored: branches, the global order, listings.

mod expiring;
pub(crate) mod file_reader;
pub(crate) mod list;
pub(crate) mod order;
pub(crate) mod pieces;
