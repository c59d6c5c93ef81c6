//! What requests of this interface are made of: parameters that may come more than once, bodies, limits, spans.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use retold::event::{Address, Sequence, parse_span};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::input::{invalid, is_json, media_type, not_json};
use crate::limits::{MAX_PAGE, PAGE};
use crate::problem::Problem;

/// Parameters after the `?`, of which lists may come more than once. Unknown ones are refused.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query)
            .map(Self)
            .map_err(|e| Problem::bad_request(format!("the parameters of {}: {e}", parts.uri.path())))
    }
}

/// A body of JSON. Unknown members are refused where the type denies them; no body at all is `{}`.
#[derive(Debug)]
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_other = media_type(request.headers()).is_some_and(|of| !is_json(of));
        let body = Bytes::from_request(request, app).await.map_err(|refused| match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", refused.body_text())
            }
            _ => Problem::bad_request(refused.body_text()),
        })?;
        if !body.is_empty() && is_other {
            return Err(not_json());
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|e| Problem::bad_request(format!("the body is not what is taken here: {e}")))
    }
}

/// How many items a page has.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(PAGE),
        Some(limit @ 1..=MAX_PAGE) => Ok(limit),
        Some(limit) => Err(invalid("limit", format!("is {limit}; use 1 to {MAX_PAGE}"))),
    }
}

/// Seconds, or a span with units.
pub(crate) fn span(name: &'static str, text: &str) -> Result<Duration, Problem> {
    let seconds = text.parse::<f64>().ok().map(|n| Duration::try_from_secs_f64(n).ok());
    seconds.unwrap_or_else(|| parse_span(text).ok()).ok_or_else(|| {
        let what = "not a number of seconds, nor a span such as 90s, 10m, 1h 30m or 2d";
        invalid(name, format!("`{text}` is {what}"))
    })
}

/// The branch as of a sequence, or at its head.
pub(crate) fn at(branch: Address, sequence: Option<u64>) -> Address {
    match sequence {
        Some(sequence) => branch.at(Sequence::new(sequence)),
        None => branch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_of_seconds_or_has_units() {
        assert_eq!(span("delay", "1.5").unwrap(), Duration::from_millis(1_500));
        assert_eq!(span("delay", "2m").unwrap(), Duration::from_secs(120));
        for bad in ["", "-1", "nan", "inf", "1y"] {
            assert!(span("delay", bad).is_err(), "{bad}");
        }
    }
}
