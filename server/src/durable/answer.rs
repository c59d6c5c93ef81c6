//! Answers: their headers, and data as a body.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use retold::Timestamp;

use super::offset;
use super::read::{Part, Source};

pub(super) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
pub(super) const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
pub(super) const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
pub(super) const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
const TTL: HeaderName = HeaderName::from_static("stream-ttl");
const EXPIRES: HeaderName = HeaderName::from_static("stream-expires-at");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What others have written is data: a browser that is led to it runs nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; sandbox";
/// A part that has data stays as it is; only what comes after it is new.
const CACHED: &str = "private, max-age=60, stale-while-revalidate=300";

/// An answer without a body.
pub(super) fn bare(status: StatusCode, end: u64, is_closed: bool) -> Response {
    let mut response = status.into_response();
    ends(response.headers_mut(), end, is_closed);
    response
}

/// Says where a stream is.
pub(super) fn ends(headers: &mut HeaderMap, end: u64, is_closed: bool) {
    put(headers, NEXT_OFFSET, &offset::text(end));
    if is_closed {
        headers.insert(CLOSED, TRUE);
    }
}

/// Sets a header. One that can't be a header is left out.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What a stream is, without its data.
pub(super) fn about(source: &Source) -> Response {
    let mut response = bare(StatusCode::OK, source.end, source.is_closed);
    let headers = response.headers_mut();
    put(headers, header::CONTENT_TYPE, &source.content_type);
    if let Some(ttl) = source.ttl {
        headers.insert(TTL, HeaderValue::from(ttl));
    }
    if let Some(at) = source.expires {
        put(headers, EXPIRES, &Timestamp::from_micros(at).to_string());
    }
    response
}

/// The tag of a part: another for each stream that ever was, and another once it is the end of a closed one.
fn tag(source: &Source, part: &Part) -> String {
    let closed = if part.is_end { ":c" } else { "" };
    format!("\"{}:{}:{}{closed}\"", source.incarnation, part.from, part.to)
}

/// Whether the reader has this already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

/// A part as a body, or nothing where the reader has it.
pub(super) fn whole(source: &Source, part: &Part, asked: &HeaderMap) -> Response {
    let tag = tag(source, part);
    if is_known(asked, &tag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        told(response.headers_mut(), part, &tag);
        return response;
    }
    let mut response = Body::from(joined(source, &part.data)).into_response();
    put(response.headers_mut(), header::CONTENT_TYPE, &source.content_type);
    told(response.headers_mut(), part, &tag);
    response
}

/// The same for every answer with a part.
fn told(headers: &mut HeaderMap, part: &Part, tag: &str) {
    ends(headers, part.to, part.is_end);
    put(headers, header::ETAG, tag);
    if part.is_last {
        headers.insert(UP_TO_DATE, TRUE);
    }
    // At the end there may be something new at any time.
    let cached = if part.data.is_empty() { "no-store" } else { CACHED };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    headers.append(header::VARY, HeaderValue::from_static("authorization"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
}

/// Nothing new came in time.
pub(super) fn nothing_new(end: u64, is_closed: bool) -> Response {
    let mut response = bare(StatusCode::NO_CONTENT, end, is_closed);
    response.headers_mut().insert(UP_TO_DATE, TRUE);
    response
}

/// Data as one body: bytes one after another, messages as an array.
pub(super) fn joined(source: &Source, data: &[Bytes]) -> Bytes {
    if !source.is_of_messages() {
        return match data {
            [one] => one.clone(),
            all => all.concat().into(),
        };
    }
    let bytes: usize = data.iter().map(|one| one.len() + 1).sum();
    let mut out = Vec::with_capacity(bytes + 2);
    out.push(b'[');
    for (n, one) in data.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(one);
    }
    out.push(b']');
    out.into()
}
