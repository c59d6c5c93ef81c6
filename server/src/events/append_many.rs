//! Events for several branches, of one or more sessions, in one commit.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use retold::event::MAIN;
use retold::limits::MAX_BATCH_EVENTS;
use retold::{Address, Expect};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{append, intake, receipt};
use crate::access::Access;
use crate::app::App;
use crate::body;
use crate::input::{branch, is_json, media_type, not_json};
use crate::problem::Problem;
use crate::spans;
use crate::tokens::Scope;

/// Events for some branches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<'a> {
    /// A list.
    #[serde(borrow)]
    parts: &'a RawValue,
    durability: Option<String>,
    lease: Option<String>,
}

/// Events for one branch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartSent<'a> {
    session: String,
    branch: Option<String>,
    expect: Option<ExpectSent>,
    /// A list.
    #[serde(borrow)]
    events: &'a RawValue,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ExpectSent {
    Number(u64),
    Word(String),
}

impl ExpectSent {
    fn expect(self) -> Result<Expect, Problem> {
        append::expect(&match self {
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word,
        })
    }
}

/// Appends to several branches, of one or more sessions: all of it or nothing.
#[utoipa::path(
    post, path = "/v1/append", tag = "events",
    request_body(
        content = Object,
        description = "`{parts: [{session, branch, expect, events: […]}], durability, lease}`: `branch` is `main` unless it is \
                       given, `expect` a sequence, `any` or `empty`; events are our JSON or CloudEvents",
    ),
    responses(
        (status = 201, description = "Recorded: `{parts: [{session, branch, first, last, position}], duplicate, recorded}`", body = Object),
        (status = 200, description = "They were recorded before, by the same ids", body = Object),
        (status = 400, description = "An event can't be understood"),
        (status = 409, description = "A branch has moved, is closed, an id is taken, or the lease is over"),
        (status = 413), (status = 415),
    ),
)]
pub(crate) async fn append_many(
    State(app): State<App>,
    access: Access,
    headers: HeaderMap,
    sent: Body,
) -> Result<Response, Problem> {
    access.somewhere(Scope::Append)?;
    if !media_type(&headers).is_some_and(is_json) {
        return Err(not_json());
    }
    let sent = body::taken(sent, app.limits().body_bytes).await?;
    let mut work = spans::Append::begin();
    app.call(move |store| {
        let Parts { parts, durability, lease } = serde_json::from_slice(&sent).map_err(not_read)?;
        // A part has an event at least, so there are no more parts than events.
        let parts = intake::list(parts.get(), MAX_BATCH_EVENTS)?;
        let parts = parts.into_iter().map(|part| serde_json::from_str::<PartSent<'_>>(part.get()));
        let parts = parts.collect::<Result<Vec<_>, _>>().map_err(not_read)?;
        let mut to: Vec<Address> = Vec::with_capacity(parts.len());
        // All of them before anything is done for one.
        for part in &parts {
            let address = branch(&part.session, part.branch.as_deref().unwrap_or(MAIN))?;
            access.session(Scope::Append, address.session())?;
            to.push(address);
        }
        let mut batch = append::started(durability.as_deref(), lease.as_deref(), &access)?;
        let mut left = MAX_BATCH_EVENTS;
        for (number, (part, to)) in parts.into_iter().zip(&to).enumerate() {
            let texts = intake::list(part.events.get(), left);
            let events = texts.and_then(|texts| {
                left -= texts.len();
                intake::numbered(&texts, to, false)
            });
            let events = work.stamped(events.map_err(|problem| problem.with("part", number))?);
            batch = batch.add(to, part.expect.map_or(Ok(Expect::Any), ExpectSent::expect)?, events)?;
        }
        let receipt =
            work.run(|| store.append_batch(batch)).map_err(|error| append::refused(error, &access))?;
        Ok::<_, Problem>(receipt::of_many(&receipt))
    })
    .await
}

fn not_read(error: serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not what is appended: {error}"))
}
