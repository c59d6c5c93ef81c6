//! Projections that come with the store.

mod counts;

pub use counts::{Counted, Counts};

use super::fold::DynProjection;

/// All of them, in the order in which a listing shows them.
#[must_use]
pub fn all() -> Vec<Box<dyn DynProjection>> {
    vec![Box::new(Counts)]
}
