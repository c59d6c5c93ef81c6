//! What knows AI agents: the formats that their programs write, and projections over the events of their runs.
//!
//! The top of the library, behind the feature `agents`: what keeps, follows, folds and delivers events is below and does
//! without it.

pub mod interop;
pub mod projections;
