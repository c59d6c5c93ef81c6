//! Values of parameters and headers that can't be used.

use crate::problem::Problem;

/// A value that can't be used.
pub(super) fn bad(field: &'static str, reason: impl std::fmt::Display) -> Problem {
    Problem::bad_request(format!("{field} {reason}")).with("field", field)
}
