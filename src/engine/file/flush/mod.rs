//! From the journal to the tables.

pub(crate) mod flusher;
pub(crate) mod into_tables;
pub(crate) mod meta;
