//! The path of a stream.

use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use retold::event::Address;

use crate::access::Access;
use crate::input::{branch, in_path, invalid};
use crate::problem::Problem;
use crate::tokens::Scope;

/// What all paths of streams follow.
pub(super) const ROOT: &str = "/v1/stream/";
/// Bytes of a path.
const MOST_BYTES: usize = 1_024;
/// Kept by the protocol for what is no stream.
const RESERVED: &str = "__ds";
/// Below this are the branches of sessions.
const SESSIONS: &str = "sessions";

/// Where a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamPath {
    /// A stream of its own.
    Own(String),
    /// A branch of a session, which can be read.
    Branch(Address),
}

impl StreamPath {
    /// Checks a path, decoded and without what all of them begin with.
    pub(super) fn parse(path: &str) -> Result<Self, Problem> {
        if path.len() > MOST_BYTES {
            return Err(invalid("path", format!("has {} bytes; the limit is {MOST_BYTES}", path.len())));
        }
        if path.chars().any(char::is_control) {
            return Err(invalid("path", "has control characters"));
        }
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(invalid("path", "has a part that is empty, `.` or `..`"));
        }
        match *parts.as_slice() {
            [RESERVED, ..] => {
                Err(Problem::not_found("paths below __ds are for subscriptions, which this server has not"))
            }
            [SESSIONS, session, name] => Ok(Self::Branch(branch(session, name)?)),
            [SESSIONS, ..] => Err(Problem::not_found(
                "paths below sessions are SESSION/BRANCH: sessions as streams to read",
            )),
            _ => Ok(Self::Own(path.to_owned())),
        }
    }

    /// The path of a stream as `Stream-Forked-From` has it: that of its URL.
    pub(super) fn of_url(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| invalid("Stream-Forked-From", what.to_owned());
        let encoded = text.strip_prefix(ROOT).ok_or_else(|| wrong("is no path of a stream: /v1/stream/…"))?;
        if encoded.contains(['?', '#']) {
            return Err(wrong("has more than a path"));
        }
        let path = percent_decode_str(encoded).decode_utf8().map_err(|_| wrong("is not UTF-8"))?;
        Self::parse(&path)
    }

    /// The token may read it.
    pub(super) fn may_be_read(&self, access: &Access) -> Result<(), Problem> {
        match self {
            Self::Own(path) => access.stream(Scope::Read, path),
            Self::Branch(address) => access.session(Scope::Read, address.session()),
        }
    }

    /// A stream that can be written, by a token that may.
    pub(super) fn writable(self, scope: Scope, access: &Access) -> Result<String, Problem> {
        match self {
            Self::Own(path) => access.stream(scope, &path).map(|()| path),
            Self::Branch(address) => {
                // Who may not even read it is told no more than that.
                access.session(Scope::Read, address.session())?;
                let detail = "a session can only be read as a stream; append with /v1/sessions/…/events";
                Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
                    .allow("GET, HEAD"))
            }
        }
    }
}

/// The path of a stream's URL.
pub(super) fn url(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(in_path).collect();
    format!("{ROOT}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_parts_and_some_are_for_others() {
        for good in ["a", "a/b/c d", "session/x/y", "ä/ö", "a*b?c"] {
            assert_eq!(StreamPath::parse(good).unwrap(), StreamPath::Own(good.to_owned()));
        }
        assert_eq!(
            StreamPath::parse("sessions/run-7/main").unwrap(),
            StreamPath::Branch("run-7".parse().unwrap())
        );
        for (bad, status) in [
            ("", 400),
            ("/a", 400),
            ("a/", 400),
            ("a//b", 400),
            ("a/../b", 400),
            (".", 400),
            ("a\0", 400),
            ("a\n", 400),
            ("__ds/x", 404),
            ("__ds", 404),
            ("sessions", 404),
            ("sessions/a", 404),
            ("sessions/a/b/c", 404),
            ("sessions/a*/b", 400),
            (&"a".repeat(1_025), 400),
        ] {
            assert_eq!(StreamPath::parse(bad).unwrap_err().status().as_u16(), status, "{bad:?}");
        }
    }

    #[test]
    fn a_url_leads_to_its_path() {
        for path in ["a", "a/b c/ü", "100%", "a?b#c"] {
            assert_eq!(StreamPath::of_url(&url(path)).unwrap(), StreamPath::Own(path.to_owned()));
        }
        for bad in [
            "a",
            "/v1/streams/a",
            "http://localhost/v1/stream/a",
            "/v1/stream/a?b",
            "/v1/stream/%ff",
            "/v1/stream/",
        ] {
            assert_eq!(StreamPath::of_url(bad).unwrap_err().status().as_u16(), 400, "{bad}");
        }
    }
}
