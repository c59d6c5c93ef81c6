//! The engine on one file: a journal, redb's tables behind it, and the tail in memory. It knows branches, events and
//! sidecar records, and nothing of upcasting, queries, consumers or projections.

pub(crate) mod contents;
pub(crate) mod file;
pub(crate) mod file_engine;
pub(crate) mod flush;
pub(crate) mod identity;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod read;
pub(crate) mod tables;
pub(crate) mod trouble;
pub(crate) mod write;
