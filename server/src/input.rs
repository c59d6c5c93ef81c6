//! What requests have in common: names in paths, parameters.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub(crate) use retold::event::finding::{ahead, past};
use retold::event::{Address, BranchName, Invalid, SessionId};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// What a name of a path does not need to have encoded.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The session of a path.
pub(crate) fn session(name: &str) -> Result<SessionId, Problem> {
    Ok(SessionId::new(name)?)
}

/// The branch of a path.
pub(crate) fn branch(session: &str, branch: &str) -> Result<Address, Problem> {
    Ok(Address::new(SessionId::new(session)?, BranchName::new(branch)?))
}

/// Parts of the path, decoded. What can't be read is a problem.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(of)| Self(of)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}

/// Parameters after the `?`. Unknown ones are refused where the type denies unknown fields: a slip is told, not passed over.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(of)| Self(of)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}

/// A name as a part of a path.
pub(crate) fn in_path(name: &str) -> String {
    utf8_percent_encode(name, IN_PATH).to_string()
}

/// A header that may be there once.
pub(crate) fn header_of<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(invalid(name, "is given more than once"));
    }
    value.to_str().map(Some).map_err(|_| invalid(name, "is not text"))
}

/// What the Content-Type says, without its parameters; empty where it is no text.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    text.split(';').next().map(str::trim)
}

/// Whether it is JSON of any shape.
pub(crate) fn is_json(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case(retold::event::JSON)
}

/// The body is of another type.
pub(crate) fn not_json() -> Problem {
    let detail = "this takes a body of JSON: Content-Type: application/json";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", detail)
}

/// A parameter that can't be used.
pub(crate) fn invalid(name: &'static str, reason: impl Into<String>) -> Problem {
    Invalid::new(name, reason).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(in_path("run-7"), "run-7");
        assert_eq!(in_path("a b%ü#"), "a%20b%25%C3%BC%23");
    }
}
