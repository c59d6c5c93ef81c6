//! The bytes of a request's body.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::Problem;

/// Takes the whole body, up to the server's bound.
pub(crate) async fn taken(body: Body, most: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_too_long(error.as_ref()) => Err(Problem::too_large(most)),
        Err(error) => Err(Problem::bad_request(format!("the body did not come whole: {error}"))),
    }
}

/// The bound is told by the outermost or by one of its causes.
fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<LengthLimitError>())
}
