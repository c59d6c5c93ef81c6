//! Projections that come with the store.

pub mod alerts;
mod counts;
mod coverage;

pub use alerts::Alerts;
pub use counts::{Counted, Counts};
pub use coverage::{Coverage, CoverageReport, Covered, Emitted};

use super::fold::DynProjection;

/// All of them, in the order in which a listing shows them.
#[must_use]
pub fn all() -> Vec<Box<dyn DynProjection>> {
    vec![Box::new(Counts), Box::new(Coverage), Box::new(Alerts::built_in())]
}
