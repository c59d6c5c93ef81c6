//! Answers with a body that is written already.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// A JSON document.
pub(crate) fn json(document: Vec<u8>) -> Response {
    with_type("application/json", Body::from(document))
}

/// A body of this type, which nothing between here and its reader may keep or change. `no-cache` adds nothing, but is what clients of
/// event streams look for.
pub(crate) fn with_type(content_type: &'static str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache, no-transform"));
    // Or nginx collects a stream before it sends any of it.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
