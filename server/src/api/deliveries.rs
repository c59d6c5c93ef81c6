//! Work of a consumer: taking the next event, and saying what became of it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use retold::Expect;
use retold::consumer::{Consumer, Token};
use retold::delivery::Owner;
use retold::error::Error;
use retold::event::{MAIN, NewEvent};
use retold::store::{Batch, Store};
use retold::wire::AppendedMany;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Sent, span};
use super::handed::handed;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, invalid};
use crate::problem::Problem;
use crate::tokens::Scope;

/// The longest wait for an event.
const LONGEST: Duration = Duration::from_secs(25);

/// A wait ends before the request would: with this share of its time.
const SHARE: (u32, u32) = (5, 6);

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(next))
        .routes(routes!(ack))
        .routes(routes!(nack))
        .routes(routes!(fail))
        .routes(routes!(park))
        .routes(routes!(extend))
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Wait {
    /// If there is no event, wait this long for one: seconds, 25 at the most; not at all unless it is given. The answer that there is
    /// none comes earlier where the server gives requests less time.
    wait: f64,
}

/// A delivery that was handled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ack {
    /// The token of the delivery.
    token: String,
    /// Events to append in the same commit: all are recorded and the delivery is acknowledged, or nothing is.
    #[serde(default)]
    parts: Vec<AckPart>,
}

/// Events for one branch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AckPart {
    /// The session.
    session: String,
    /// The branch; main unless it is given.
    branch: Option<String>,
    /// The head that is expected, 0 for an empty branch; any unless it is given.
    expect: Option<u64>,
    /// The events, in their order.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Box<RawValue>>,
}

/// A delivery by its token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The token of the delivery.
    token: String,
}

/// A delivery that is rejected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nack {
    /// The token of the delivery.
    token: String,
    /// When the event is delivered again: seconds or a span; after the consumer's backoff unless it is given.
    delay: Option<String>,
}

/// A delivery that failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Fail {
    /// The token of the delivery.
    token: String,
    /// Why.
    reason: String,
}

async fn opened(store: &Store, name: &str) -> Result<Consumer, Problem> {
    Ok(store.consumers().open_existing(name).await?)
}

/// Take the next event. It has to be resolved before its ack deadline, or it is delivered again.
///
/// If the request ends before the answer is written into its connection, the event is given back, as if it had not been delivered.
#[utoipa::path(post, path = "/v1/consumers/{c}/next", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Wait,
    responses(
    (status = 200, description = "`event`, the `token` that resolves the delivery, and how often it was delivered", body = Object, content_type = "application/json"),
    (status = 204, description = "There is none now"),
    (status = 400, description = "`wait` is not 0 to 25", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no such consumer", body = Object, content_type = "application/problem+json"),
))]
async fn next(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Wait>,
) -> Result<Response, Problem> {
    access.everywhere(Scope::Append)?;
    let wait = Duration::try_from_secs_f64(sent.wait).ok().filter(|wait| *wait <= LONGEST);
    let wait = wait.ok_or_else(|| invalid("wait", format!("is {} seconds; use 0 to 25", sent.wait)))?;
    let wait = wait.min(app.limits().request_time * SHARE.0 / SHARE.1);
    let consumer = opened(app.store(), &name).await?;
    let delivery = match wait {
        Duration::ZERO => consumer.try_next().await?,
        wait => tokio::select! {
            () = app.closing().cancelled() => None,
            delivered = tokio::time::timeout(wait, consumer.next()) => delivered.ok().transpose()?,
        },
    };
    match delivery {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(delivery) => handed(consumer, delivery),
    }
}

fn done(name: &str, token: &Token, done: &str) -> Result<Answer, Problem> {
    Answer::of(&json!({ "name": name, "position": token.position().get(), "done": done }))
}

/// Acknowledge a delivery, and append what came of it in the same commit.
///
/// It can be acknowledged once: after an answer that was lost, the same request is a 409. Give the events ids, and look for one of them
/// to know whether they were recorded.
#[utoipa::path(post, path = "/v1/consumers/{c}/ack", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Ack,
    responses(
    (status = 200, description = "It is acknowledged; `parts` says where the events are", body = Object, content_type = "application/json"),
    (status = 400, description = "The token is none, or an event cannot be appended", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no such consumer, or no such branch", body = Object, content_type = "application/problem+json"),
    (status = 409, description = "The delivery is resolved, or the event was delivered again since; or a branch has moved", body = Object, content_type = "application/problem+json"),
))]
async fn ack(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Ack>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let token: Token = sent.token.parse()?;
    let has_events = !sent.parts.is_empty();
    let batch = sent.parts.into_iter().try_fold(Batch::new(), add)?;
    let consumer = opened(app.store(), &name).await?;
    if !has_events {
        consumer.ack(&token).await?;
        return done(&name, &token, "acknowledged");
    }
    let receipt = consumer.ack_with(&token, batch).await?;
    let mut items = Items::new(usize::MAX);
    receipt.parts().iter().try_for_each(|placed| items.push(&AppendedMany::new(placed, &receipt)))?;
    let head = json!({ "name": name, "position": token.position().get(), "done": "acknowledged" });
    items.list_in(&head, "parts")
}

fn add(batch: Batch, part: AckPart) -> Result<Batch, Problem> {
    let address = crate::input::branch(&part.session, part.branch.as_deref().unwrap_or(MAIN))?;
    let expect = match part.expect {
        None => Expect::Any,
        Some(0) => Expect::Empty,
        Some(head) => Expect::Head(head.into()),
    };
    let events = part.events.iter().map(|json| event(json)).collect::<Result<Vec<NewEvent>, Problem>>()?;
    Ok(batch.add(address, expect, events)?)
}

/// A new event as JSON.
pub(crate) fn event(json: &RawValue) -> Result<NewEvent, Problem> {
    let event: NewEvent = serde_json::from_str(json.get())
        .map_err(|e| Problem::bad_request(format!("an event of the body is not one: {e}")))?;
    event.check()?;
    Ok(event)
}

/// Reject a delivery: the event is delivered again, or is a dead letter after its last delivery.
#[utoipa::path(post, path = "/v1/consumers/{c}/nack", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Nack,
    responses(
    (status = 200, description = "What becomes of it", body = Object, content_type = "application/json"),
    (status = 409, description = "The delivery is resolved, or the event was delivered again since", body = Object, content_type = "application/problem+json"),
))]
async fn nack(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Nack>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let token: Token = sent.token.parse()?;
    let delay = sent.delay.as_deref().map(|delay| span("delay", delay)).transpose()?;
    opened(app.store(), &name).await?.nack(&token, delay).await?;
    became(&app, &name, &token).await
}

/// Say that a delivery failed, and why: as nack, and the reason is in the dead letter.
#[utoipa::path(post, path = "/v1/consumers/{c}/fail", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Fail,
    responses(
    (status = 200, description = "What becomes of it", body = Object, content_type = "application/json"),
    (status = 409, description = "The delivery is resolved, or the event was delivered again since", body = Object, content_type = "application/problem+json"),
))]
async fn fail(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Fail>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let token: Token = sent.token.parse()?;
    opened(app.store(), &name).await?.fail(&token, sent.reason).await?;
    became(&app, &name, &token).await
}

/// What becomes of an event that was rejected.
async fn became(app: &App, name: &str, token: &Token) -> Result<Answer, Problem> {
    // A replayed dead letter remains one until it is handled.
    match app.store().dead_letters().get_async(&Owner::consumer(name)?, token.position()).await {
        Ok(dead_letter) if !dead_letter.again => done(name, token, "set aside"),
        Ok(_) | Err(Error::NotFound { .. }) => done(name, token, "to be delivered again"),
        Err(error) => Err(error.into()),
    }
}

/// Make the event a dead letter, whatever deliveries are left.
#[utoipa::path(post, path = "/v1/consumers/{c}/park", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Fail,
    responses(
    (status = 200, description = "It is a dead letter", body = Object, content_type = "application/json"),
    (status = 409, description = "The delivery is resolved, or the event was delivered again since", body = Object, content_type = "application/problem+json"),
))]
async fn park(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Fail>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let token: Token = sent.token.parse()?;
    opened(app.store(), &name).await?.park(&token, sent.reason).await?;
    done(&name, &token, "set aside")
}

/// Extend a delivery: its ack deadline starts over.
#[utoipa::path(post, path = "/v1/consumers/{c}/extend", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Named,
    responses(
    (status = 200, description = "It has more time", body = Object, content_type = "application/json"),
    (status = 409, description = "The delivery is resolved, or the event was delivered again since", body = Object, content_type = "application/problem+json"),
))]
async fn extend(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Named>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let token: Token = sent.token.parse()?;
    opened(app.store(), &name).await?.touch(&token).await?;
    done(&name, &token, "has more time")
}
