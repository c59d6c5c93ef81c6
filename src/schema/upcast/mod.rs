//! Upcasting: old events are brought to their newest shape as they are read. What is stored is never changed. An
//! upcaster goes from one type and version to the next; upcasters are chained until an event has the newest shape.
//! `docs/change.md` says how to write them.

mod check;
#[cfg(feature = "toml")]
mod convert;
#[cfg(feature = "toml")]
mod near;
#[cfg(feature = "toml")]
mod op;
#[cfg(feature = "toml")]
mod parse;
#[cfg(feature = "toml")]
mod pointer;
mod set;
#[cfg(feature = "toml")]
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "toml")]
mod tree;
mod upcaster;

#[cfg(feature = "toml")]
pub(in crate::schema) use parse::steps as upcasters_of;
pub use set::{Shaped, Stuck, Upcasts};
pub use upcaster::Upcaster;
