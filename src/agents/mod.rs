//! What knows AI agents: the formats that their programs write, and projections over the events of their runs.
//!
//! The top layer of the library, behind the feature `agents`; everything below works without it.

pub mod interop;
mod one_line;
pub mod projections;
pub mod readable;
#[cfg(feature = "search")]
pub mod search;
mod telling;

pub(crate) use one_line::one_line;
pub use telling::detail_of;
pub(crate) use telling::telling;
