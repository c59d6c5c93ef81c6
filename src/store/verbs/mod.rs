//! Verbs of a store: queries, comparing and promoting branches, the current branch, records of applications.

pub(crate) mod ahead;
pub(crate) mod current;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod leases;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod promote;
pub(crate) mod query;
#[cfg(feature = "schema")]
pub(crate) mod schemas;
pub(crate) mod sidecar;
pub(crate) mod tasks;
