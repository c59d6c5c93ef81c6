//! Leases: who works on a session. Appends that carry the token of a lease are refused once somebody else has taken it.

use axum::extract::State;
use retold::error::Error;
use retold::event::SessionId;
use retold::store::leases::{FencingToken, Lease};
use retold::wire::LeaseView;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, Sent, limit, span};
use super::branches::Names;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, in_path, invalid, session};
use crate::problem::Problem;
use crate::tokens::Scope;

/// How long a lease is held unless it is said.
const USUAL: &str = "30s";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, acquire))
        .routes(routes!(renew))
        .routes(routes!(release))
}

/// Who takes a lease, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acquire {
    /// Who takes it.
    #[schema(example = "worker-1")]
    holder: String,
    /// It ends by itself after this time: seconds, or `10m`; 30 s unless it is given.
    #[schema(example = "30s")]
    r#for: Option<String>,
}

/// Which lease, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Renew {
    /// The token of the lease.
    token: String,
    /// From now on: seconds, or `10m`; 30 s unless it is given.
    r#for: Option<String>,
}

/// Which lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Release {
    /// The token of the lease.
    token: String,
}

/// The token of a lease on this session.
fn token(session: &SessionId, text: &str) -> Result<FencingToken, Problem> {
    let token: FencingToken = text.parse()?;
    match token.to_string().split_once('@') {
        Some((of, _)) if of == session.as_str() => Ok(token),
        _ => Err(invalid("token", format!("is not of a lease on {session}"))),
    }
}

/// The lease as a token may see it: who only reads is not handed what appends carry, nor what it is made of.
fn shown(lease: &Lease, access: &Access) -> Result<Map<String, Value>, Problem> {
    let text = Answer::of(&LeaseView::from(lease))?;
    let mut members: Map<String, Value> = serde_json::from_str(text.text()).unwrap_or_default();
    if !access.may(Scope::Append, &lease.session) {
        members.remove("token");
        members.remove("fence");
    }
    Ok(members)
}

/// List the leases that are held, by session.
#[utoipa::path(get, path = "/v1/leases", tag = "leases", params(Names), responses(
    (status = 200, description = "`leases`: as `retold lease ls -o json` has them, `token` and `fence` for those who may append; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Names>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let limit = limit(asked.limit)?;
    let mut after = asked.after.as_deref().map(SessionId::new).transpose()?;
    app.call(move |store| {
        let (mut items, mut last) = (Items::new(limit), None);
        loop {
            let page = store.leases().list(after.as_ref(), limit + 1)?;
            let Some(end) = page.last().map(|lease| lease.session.clone()) else { break };
            after = Some(end);
            for lease in page.iter().filter(|lease| access.may(Scope::Read, &lease.session)) {
                if items.is_full() {
                    return items.named("leases", &last);
                }
                items.push(&shown(lease, &access)?)?;
                last = Some(lease.session.to_string());
            }
        }
        items.named("leases", &None::<String>)
    })
    .await
}

/// Show who holds a session.
#[utoipa::path(get, path = "/v1/leases/{s}", tag = "leases",
    params(("s" = String, Path, description = "The session")),
    responses(
    (status = 200, description = "The lease", body = Object, content_type = "application/json"),
    (status = 404, description = "Nobody holds it", body = Object, content_type = "application/problem+json"),
))]
async fn one(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    app.call(move |store| {
        let lease = store.leases().get(&session)?.ok_or_else(|| Error::not_found("lease on", session))?;
        Answer::of(&shown(&lease, &access)?)
    })
    .await
}

/// Take the lease on a session, which need not exist yet. Its `token` is what appends carry in the header `Retold-Lease`.
///
/// Whoever holds it takes it anew: the token from before is refused then.
#[utoipa::path(post, path = "/v1/leases/{s}", tag = "leases",
    params(("s" = String, Path, description = "The session", example = "run-7")),
    request_body = Acquire,
    responses(
    (status = 201, description = "The lease with its token", body = Object, content_type = "application/json"),
    (status = 409, description = "Somebody else holds it: `holder`, `until`", body = Object, content_type = "application/problem+json"),
))]
async fn acquire(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Acquire>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Append, &session)?;
    let time = span("for", sent.r#for.as_deref().unwrap_or(USUAL))?;
    app.call(move |store| {
        let lease = store.leases().acquire(session, &sent.holder, time)?;
        let location = format!("/v1/leases/{}", in_path(lease.session.as_str()));
        Answer::of(&LeaseView::from(&lease)).map(|answer| answer.created(location))
    })
    .await
}

/// Hold a lease for longer.
#[utoipa::path(post, path = "/v1/leases/{s}/renew", tag = "leases",
    params(("s" = String, Path, description = "The session")),
    request_body = Renew,
    responses(
    (status = 200, description = "The lease", body = Object, content_type = "application/json"),
    (status = 409, description = "Somebody else has taken it, or it was released", body = Object, content_type = "application/problem+json"),
))]
async fn renew(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Renew>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Append, &session)?;
    let token = token(&session, &sent.token)?;
    let time = span("for", sent.r#for.as_deref().unwrap_or(USUAL))?;
    app.call(move |store| Answer::of(&LeaseView::from(&store.leases().renew(&token, time)?))).await
}

/// Release a lease before it ends. Releasing it again does nothing.
#[utoipa::path(post, path = "/v1/leases/{s}/release", tag = "leases",
    params(("s" = String, Path, description = "The session")),
    request_body = Release,
    responses(
    (status = 200, description = "It is released", body = Object, content_type = "application/json"),
    (status = 409, description = "Somebody else has taken it", body = Object, content_type = "application/problem+json"),
))]
async fn release(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Release>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Append, &session)?;
    let token = token(&session, &sent.token)?;
    app.call(move |store| {
        store.leases().release(&token)?;
        Answer::of(&json!({ "token": token.to_string(), "done": "released" }))
    })
    .await
}
