//! What requests of this interface are made of: parameters that may come more than once, bodies, limits, times.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use retold::event::{Address, Invalid, Sequence, Timestamp, parse_span};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// What a name of a path does not need to have encoded.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Items of a page that is asked for without a limit, and at the most.
pub(crate) const USUAL: usize = 100;
pub(crate) const MOST: usize = 1_000;

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
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, app).await.map_err(|refused| match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", refused.body_text())
            }
            _ => Problem::bad_request(refused.body_text()),
        })?;
        if !body.is_empty() && !content_type.as_ref().is_none_or(is_json) {
            let detail = "this takes a body of JSON: Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", detail));
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|e| Problem::bad_request(format!("the body is not what is taken here: {e}")))
    }
}

fn is_json(content_type: &header::HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// How many items a page has.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(USUAL),
        Some(limit @ 1..=MOST) => Ok(limit),
        Some(limit) => Err(invalid("limit", format!("is {limit}; use 1 to {MOST}"))),
    }
}

/// A time, or how long ago: `90s`, `15m`, `1h 30m`, `7d`.
pub(crate) fn past(name: &'static str, text: &str) -> Result<Timestamp, Problem> {
    moment(name, text, -1)
}

/// A time, or how long from now.
pub(crate) fn ahead(name: &'static str, text: &str) -> Result<Timestamp, Problem> {
    moment(name, text, 1)
}

fn moment(name: &'static str, text: &str, sign: i64) -> Result<Timestamp, Problem> {
    if let Ok(span) = parse_span(text) {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX).saturating_mul(sign);
        return Ok(Timestamp::from_micros(Timestamp::now().micros().saturating_add(micros)));
    }
    text.parse().map_err(|_| {
        let what = "not a time such as 2026-02-03T04:05:06Z, nor a span such as 90s, 15m, 1h 30m, 7d";
        invalid(name, format!("`{text}` is {what}"))
    })
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

/// A parameter that can't be used.
pub(crate) fn invalid(name: &'static str, reason: impl Into<String>) -> Problem {
    Invalid::new(name, reason).into()
}

/// A name as a part of a path.
pub(crate) fn in_path(name: &str) -> String {
    utf8_percent_encode(name, IN_PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_time_or_a_span() {
        assert!(past("since", "1h").unwrap() < Timestamp::now());
        assert!(ahead("at", "1h").unwrap() > Timestamp::now());
        assert_eq!(past("since", "2026-02-03T04:05:06Z").unwrap(), "2026-02-03T04:05:06Z".parse().unwrap());
        for bad in ["", "soon", "-1h", "1"] {
            assert_eq!(past("since", bad).unwrap_err().name(), "invalid", "{bad}");
        }
        assert_eq!(span("delay", "1.5").unwrap(), Duration::from_millis(1_500));
        assert_eq!(span("delay", "2m").unwrap(), Duration::from_secs(120));
        for bad in ["", "-1", "nan", "inf", "1y"] {
            assert!(span("delay", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(in_path("run-7"), "run-7");
        assert_eq!(in_path("a b%ü#"), "a%20b%25%C3%BC%23");
    }
}
