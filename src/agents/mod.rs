//! What knows AI agents: the formats that their programs write, and projections over the events of their runs.
//!
//! The top layer of the library, behind the feature `agents`; everything below works without it.

pub mod interop;
pub mod projections;
mod telling;

pub use telling::detail_of;
