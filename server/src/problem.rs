//! What is answered when something can't be done: `application/problem+json` (RFC 9457) with stable types.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use retold::{Error, Expect};
use serde_json::{Map, Value, json};

/// A problem document. Its type is `urn:retold:problem:` and a name that does not change; its members are those of the error.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    name: &'static str,
    detail: String,
    members: Map<String, Value>,
    retry_after: Option<u64>,
    allow: Option<&'static str>,
}

impl Problem {
    /// A problem of this name. `detail` says what is wrong, and the way out.
    pub fn new(status: StatusCode, name: &'static str, detail: impl Into<String>) -> Self {
        Self { status, name, detail: detail.into(), members: Map::new(), retry_after: None, allow: None }
    }

    /// The request is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The body of a request has more bytes than it may.
    pub(crate) fn too_large(most: usize) -> Self {
        let detail = format!("a request's body has at most {most} bytes: send less at once");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail).with("limit", most)
    }

    /// The token may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// With a member more.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// With another sentence for people.
    #[must_use]
    pub(crate) fn detailed(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// It may go well after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The methods that there are, where that of the request is none of them.
    #[must_use]
    pub(crate) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The name at the end of its type.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The document.
    pub fn to_json(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:retold:problem:{}", self.name),
            "title": self.status.canonical_reason().unwrap_or("Problem"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(of) = &mut document {
            of.extend(self.members.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"retold\""));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<retold::event::Invalid> for Problem {
    fn from(invalid: retold::event::Invalid) -> Self {
        Error::from(invalid).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = told(&error);
        let of = |status, name| Self::new(status, name, detail.clone());
        match error {
            Error::Conflict { expected, actual, .. } => of(StatusCode::CONFLICT, "conflict")
                .with("expected", expected_head(expected))
                .with("actual", actual.get()),
            Error::RecordChanged { .. } => of(StatusCode::CONFLICT, "record-changed"),
            Error::BranchClosed { .. } => of(StatusCode::CONFLICT, "branch-closed"),
            Error::Deleted { .. } => of(StatusCode::GONE, "deleted"),
            Error::Truncated { first, .. } => of(StatusCode::GONE, "truncated").with("first", first.get()),
            Error::LeaseHeld { holder, until, .. } => of(StatusCode::CONFLICT, "lease-held")
                .with("holder", holder.to_string())
                .with("until", until.to_string()),
            Error::LeaseLost { .. } => of(StatusCode::CONFLICT, "lease-lost"),
            Error::NotFound { what, .. } => of(StatusCode::NOT_FOUND, "not-found").with("what", what),
            Error::Exists { what, .. } => of(StatusCode::CONFLICT, "exists").with("what", what),
            Error::Invalid(invalid) => of(StatusCode::BAD_REQUEST, "invalid").with("field", invalid.field),
            Error::Duplicate { id, at } => {
                of(StatusCode::CONFLICT, "duplicate").with("id", id.to_string()).with("at", at.to_string())
            }
            Error::TooLarge { size, limit, .. } => {
                of(StatusCode::PAYLOAD_TOO_LARGE, "too-large").with("size", size).with("limit", limit)
            }
            Error::BadCursor { .. } => of(StatusCode::BAD_REQUEST, "bad-cursor"),
            Error::Diverged { .. } => of(StatusCode::CONFLICT, "diverged"),
            Error::Parked { .. } => of(StatusCode::CONFLICT, "parked"),
            Error::NotABase { .. } => of(StatusCode::BAD_REQUEST, "not-a-base"),
            Error::Differs { .. } => of(StatusCode::CONFLICT, "differs"),
            Error::NotDelivered { .. } => of(StatusCode::CONFLICT, "not-delivered"),
            Error::ReadOnly { .. } => of(StatusCode::FORBIDDEN, "read-only"),
            Error::Upcast { .. } => of(StatusCode::INTERNAL_SERVER_ERROR, "stuck-event"),
            Error::Corrupt { .. } => of(StatusCode::INTERNAL_SERVER_ERROR, "damaged"),
            // It may have been recorded: the same ids again are safe.
            Error::Unknown { .. } => of(StatusCode::SERVICE_UNAVAILABLE, "unknown-outcome").retry_after(1),
            Error::NoAnswer { .. } => of(StatusCode::GATEWAY_TIMEOUT, "no-answer").retry_after(1),
            Error::Locked { .. } | Error::OwnerLost { .. } | Error::Storage { .. } | Error::Closed { .. } => {
                of(StatusCode::SERVICE_UNAVAILABLE, "unavailable").retry_after(1)
            }
            _ => of(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

/// What is said of an error. Files, processes and places in the file are of no use to a client and none of its business: the log has
/// them.
fn told(error: &Error) -> String {
    let instead = match error {
        Error::Storage { .. }
        | Error::Locked { .. }
        | Error::OwnerLost { .. }
        | Error::OtherProtocol { .. }
        | Error::OtherProcess { .. }
        | Error::NewerFormat { .. }
        | Error::UnknownFeatures { .. }
        | Error::Closed { .. } => "the store can't be used at the moment; the log of the server says why",
        Error::NoAnswer { .. } => "the process that holds the store has not answered in time; try again",
        Error::Unknown { .. } => {
            "nobody knows whether this was written; send it again: events with the same ids are recorded once"
        }
        Error::Corrupt { .. } => {
            "something that is needed for this is damaged in the store; the log of the server says what, \
             `retold verify` finds all"
        }
        // Those are the request's: nothing is wrong here.
        Error::ReadOnly { .. } => return "the store is only read here; nothing was written".to_owned(),
        Error::NotABase { .. } => {
            return "that backup is not a base for an incremental one of this store; make a full one"
                .to_owned();
        }
        Error::NotFound { what: what @ ("file" | "store" | "backup"), .. } => {
            return format!("there is no such {what}");
        }
        Error::Exists { what: what @ ("file" | "store" | "backup"), .. } => {
            return format!("there is already a {what} of this name");
        }
        error => return error.to_string(),
    };
    tracing::error!(%error, "a request is answered without the reason");
    instead.to_owned()
}

fn expected_head(expect: Expect) -> Value {
    match expect {
        Expect::Head(head) => head.get().into(),
        Expect::Empty => 0.into(),
        Expect::Any => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_its_error() {
        let store = retold::Store::in_memory().unwrap();
        store.append("s", retold::NewEvent::new("step.done")).unwrap();
        let error = store.append_if("s", Expect::Empty, retold::NewEvent::new("step.done")).unwrap_err();
        let problem = Problem::from(error);
        assert_eq!(problem.status(), StatusCode::CONFLICT);
        let document = problem.to_json();
        assert_eq!(document["type"], "urn:retold:problem:conflict");
        assert_eq!((&document["expected"], &document["actual"]), (&json!(0), &json!(1)));
        assert!(document["detail"].as_str().unwrap().contains("s/main"), "{document}");
    }

    /// Whatever of the machine or of other sessions an error names.
    #[test]
    fn files_and_processes_are_not_told() {
        let secret = || "/srv/secret/other@7".to_owned();
        for (error, status) in [
            (Error::Storage { reason: secret() }, 503),
            (Error::Locked { path: secret(), reason: secret() }, 503),
            (Error::OwnerLost { owner: 4_711 }, 503),
            (Error::Closed { after: Some(secret()) }, 503),
            (Error::Unknown { reason: secret() }, 503),
            (Error::NoAnswer { owner: 4_711, seconds: 3 }, 504),
            (Error::ReadOnly { path: secret() }, 403),
            (Error::Corrupt { place: secret(), reason: secret() }, 500),
            (Error::NotABase { path: secret(), reason: secret() }, 400),
            (Error::NotFound { what: "file", name: secret() }, 404),
            (Error::NotFound { what: "backup", name: secret() }, 404),
            (Error::Exists { what: "file", name: secret() }, 409),
            (Error::NewerFormat { path: secret(), found: 9, supported: 3 }, 500),
            (Error::UnknownFeatures { path: secret(), features: 1, may_read: true }, 500),
            (Error::OtherProtocol { owner: 4_711, theirs: (1, 1), ours: (2, 2) }, 500),
            (Error::OtherProcess { opened_in: 4_711 }, 500),
        ] {
            let problem = Problem::from(error);
            let text = problem.to_json().to_string();
            assert_eq!(problem.status().as_u16(), status, "{text}");
            assert!(!text.contains("secret") && !text.contains("4711"), "{text}");
        }
        let told = Problem::from(Error::not_found("session", "run-9"));
        assert!(told.detail().contains("run-9"), "{told:?}");
    }

    #[test]
    fn what_may_go_well_later_says_when() {
        let response = Problem::from(Error::Storage { reason: "disk full".into() }).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
