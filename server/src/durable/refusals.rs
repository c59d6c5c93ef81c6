//! What is told where there is no stream, or none that can be written now.

use axum::http::StatusCode;

use crate::problem::Problem;

/// There is none.
pub(super) fn missing() -> Problem {
    Problem::not_found("there is no stream at this path; PUT makes one")
}

/// There was one.
pub(super) fn deleted() -> Problem {
    let detail = "the stream at this path was deleted; only forks of it are left";
    Problem::new(StatusCode::GONE, "deleted", detail)
}

/// Others are faster again and again.
pub(super) fn busy() -> Problem {
    let detail = "others write to this stream all the time; try again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1)
}
