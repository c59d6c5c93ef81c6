//! Events for several branches, of one or more sessions, in one commit.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use retold::event::MAIN;
use retold::{Address, Expect};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{append, intake, receipt};
use crate::access::Access;
use crate::app::App;
use crate::body;
use crate::input::{branch, is_json, media_type, not_json};
use crate::problem::Problem;
use crate::tokens::Scope;

/// Events for some branches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<'a> {
    #[serde(borrow)]
    parts: Vec<PartSent<'a>>,
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
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
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
    app.call(move |store| {
        let Parts { parts, durability, lease } = serde_json::from_slice(&sent)
            .map_err(|e| Problem::bad_request(format!("the body is not what is appended: {e}")))?;
        let mut to: Vec<Address> = Vec::with_capacity(parts.len());
        // All of them before anything is done for one.
        for part in &parts {
            let address = branch(&part.session, part.branch.as_deref().unwrap_or(MAIN))?;
            access.session(Scope::Append, address.session())?;
            to.push(address);
        }
        let mut batch = append::started(durability.as_deref(), lease.as_deref(), &access)?;
        for (number, (part, to)) in parts.into_iter().zip(&to).enumerate() {
            let events = intake::numbered(part.events.iter().map(|text| (text.get(), to)), false)
                .map_err(|problem| problem.with("part", number))?;
            batch = batch.add(to, part.expect.map_or(Ok(Expect::Any), ExpectSent::expect)?, events)?;
        }
        let receipt = store.append_batch(batch).map_err(|error| append::refused(error, &access))?;
        Ok::<_, Problem>(receipt::of_many(&receipt))
    })
    .await
}
