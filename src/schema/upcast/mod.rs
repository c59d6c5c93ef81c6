//! Old event shapes become new ones while they are read. What is stored is never changed.
//!
//! A step goes from one type and version to the next; the steps of a set are chained until an event has the newest
//! shape. `docs/change.md` tells how to write them.

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
mod step;
#[cfg(feature = "toml")]
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "toml")]
mod tree;

#[cfg(feature = "toml")]
pub(in crate::schema) use parse::steps as steps_of;
pub use set::{Shaped, Stuck, Upcasts};
pub use step::Step;
