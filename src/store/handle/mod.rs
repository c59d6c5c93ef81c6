//! The handle of an open store, and how it is had.

pub(crate) mod builder;
pub(crate) mod listing;
pub(crate) mod marks;
pub(crate) mod reader;
#[cfg(unix)]
pub(crate) mod remote;
pub(crate) mod settings;
#[cfg(all(unix, feature = "testkit"))]
pub(crate) mod sharing;
pub(crate) mod store;
pub(crate) mod store_handle;
