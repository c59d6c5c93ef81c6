//! The bytes of a request's body.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError};

use crate::problem::Problem;

/// Takes the whole body, up to the server's bound.
pub(super) async fn taken(body: Body, most: usize) -> Result<Bytes, Problem> {
    match http_body_util::Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_too_long(error.as_ref()) => {
            let detail = format!("a request's body has at most {most} bytes: send less at once");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail).with("limit", most))
        }
        Err(error) => Err(Problem::bad_request(format!("the body did not come whole: {error}"))),
    }
}

/// The bound is told by the outermost or by one of its causes.
fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<LengthLimitError>())
}
