//! Old event shapes become new ones while they are read. What is stored is never changed.
//!
//! A step goes from one type and version to the next; the steps of a set are chained until an event has the newest
//! shape. `docs/change.md` tells how to write them.

mod check;
mod convert;
mod near;
mod op;
mod parse;
mod pointer;
mod set;
mod step;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub(in crate::schema) use parse::steps as steps_of;
pub use set::{Shaped, Stuck, Upcasts};
pub use step::Step;
