//! Events for one branch, in one commit.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use retold::store::leases::FencingToken;
use retold::{Batch, Durability, Error, Expect, Sequence};
use serde::Deserialize;

use super::{intake, receipt};
use crate::access::Access;
use crate::app::App;
use crate::body;
use crate::input::{InPath, InQuery, branch, header_of, invalid};
use crate::problem::Problem;
use crate::spans;
use crate::tokens::Scope;

/// The head that the branch has to have.
const EXPECT: &str = "expect-sequence";
/// The token of a lease that has to be the latest of its session.
const LEASE: &str = "retold-lease";

/// Parameters of an append.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppendAsked {
    durability: Option<String>,
}

/// Appends events to a branch: all of them or none. Sent again with the same ids, they are recorded once.
#[utoipa::path(
    post, path = "/v1/sessions/{session}/branches/{branch}/events", tag = "events",
    params(
        ("session" = String, Path, description = "The session; it begins with its first event"),
        ("branch" = String, Path, description = "The branch, `main` or a fork"),
        ("durability" = Option<String>, Query, description = "`durable` or `relaxed`; what the store has by default"),
        ("Expect-Sequence" = Option<String>, Header, description = "Only if the branch ends at this sequence; 0 for an empty one"),
        ("Retold-Lease" = Option<String>, Header, description = "Only while this is the latest lease of its session"),
    ),
    request_body(
        description = "Events: our JSON, one or a list; lines of it; CloudEvents, structured, batched or binary",
        content(
            (Object = "application/json"), (String = "application/x-ndjson"),
            (Object = "application/cloudevents+json"), (Vec<Object> = "application/cloudevents-batch+json"),
        ),
    ),
    responses(
        (status = 201, description = "Recorded: `{session, branch, first, last, position, duplicate, recorded}`", body = Object),
        (status = 200, description = "They were recorded before, by the same ids", body = Object),
        (status = 400, description = "An event can't be understood"),
        (status = 409, description = "The branch has moved, is closed, an id is taken, or the lease is over"),
        (status = 413), (status = 415),
    ),
)]
pub(crate) async fn append(
    State(app): State<App>,
    access: Access,
    InPath((session, name)): InPath<(String, String)>,
    InQuery(asked): InQuery<AppendAsked>,
    headers: HeaderMap,
    sent: Body,
) -> Result<Response, Problem> {
    let to = branch(&session, &name)?;
    access.session(Scope::Append, to.session())?;
    let expect = header_of(&headers, EXPECT)?.map_or(Ok(Expect::Any), expect)?;
    let lease = header_of(&headers, LEASE)?;
    let batch = started(asked.durability.as_deref(), lease, &access)?;
    let sent = body::taken(sent, app.limits().body_bytes).await?;
    let mut work = spans::Append::begin();
    let receipt = app
        .call(move |store| {
            let events = work.stamped(intake::events(&headers, &sent, &to)?);
            let batch = batch.add(&to, expect, events)?;
            let receipt = work.run(|| store.append_batch(batch)).map_err(|e| refused(e, &access))?;
            Ok::<_, Problem>(receipt::of_one(&receipt, &to))
        })
        .await?;
    Ok(receipt)
}

/// A batch with what is asked of all of it.
pub(super) fn started(
    durability: Option<&str>,
    lease: Option<&str>,
    access: &Access,
) -> Result<Batch, Problem> {
    let batch = match durability {
        None => Batch::new(),
        Some("durable") => Batch::new().durability(Durability::Durable),
        Some("relaxed") => Batch::new().durability(Durability::Relaxed),
        Some(_) => return Err(invalid("durability", "is neither `durable` nor `relaxed`")),
    };
    let Some(lease) = lease else { return Ok(batch) };
    let token = lease.parse::<FencingToken>()?;
    // Its text begins with the session: what became of another one's lease is not told.
    let session = lease.split('@').next().unwrap_or_default();
    access.session(Scope::Append, &crate::input::session(session)?)?;
    Ok(batch.fenced(&token))
}

/// `any`, `empty`, or a sequence, where 0 is as good as `empty`.
pub(super) fn expect(text: &str) -> Result<Expect, Problem> {
    match text.parse()? {
        Expect::Head(Sequence::ZERO) => Ok(Expect::Empty),
        other => Ok(other),
    }
}

/// An id that another session has is refused without a word of that session.
pub(super) fn refused(error: Error, access: &Access) -> Problem {
    match error {
        Error::Duplicate { id, at } if !access.may(Scope::Read, at.session()) => {
            let detail = format!(
                "the event id {id} is already taken; nothing was written: give the event another one"
            );
            Problem::new(axum::http::StatusCode::CONFLICT, "duplicate", detail).with("id", id.to_string())
        }
        other => other.into(),
    }
}
