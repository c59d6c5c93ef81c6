//! Dead letters: events that consumers and handlers could not handle. They are of the whole store.

use axum::extract::State;
use retold::delivery::{DeadLetter, Owner};
use retold::error::Error;
use retold::wire::DeadLetterView;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, Sent, limit};
use super::verbs::Nothing;
use crate::access::Access;
use crate::app::App;
use crate::bounds::unhurried;
use crate::input::{InPath, invalid};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(unhurried(routes!(purge)))
        .routes(routes!(one, discard))
        .routes(unhurried(routes!(replay_all)))
        .routes(routes!(replay))
}

/// Which dead letters are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// Only those of this owner: a consumer, or a handler as `handler:NAME`.
    owner: Option<String>,
    /// The last of the page before, `OWNER@POSITION`. It may be gone.
    after: Option<String>,
    /// Dead letters of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
}

fn cursor(dead_letter: &DeadLetter) -> String {
    format!("{}@{}", dead_letter.owner, dead_letter.position)
}

/// List dead letters, by owner and position.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(Listing), responses(
    (status = 200, description = "`dead_letters`: as `retold dead-letters ls -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 400, description = "`after` is none, or is of another owner", body = Object, content_type = "application/problem+json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Listing>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Read)?;
    let limit = limit(asked.limit)?;
    let owner = asked.owner.as_deref().map(str::parse::<Owner>).transpose()?;
    let after = asked.after.as_deref().map(named).transpose()?;
    if let (Some(owner), Some((of, _))) = (&owner, &after)
        && owner != of
    {
        return Err(invalid("after", format!("is of {of}, not of {owner}")));
    }
    app.call(move |store| {
        let letters = store.dead_letters();
        let found = match &after {
            Some((last, position)) => {
                letters.list_after(owner.as_ref(), (last, (*position).into()), limit + 1)?
            }
            None => letters.list(owner.as_ref(), None, limit + 1)?,
        };
        let (mut items, mut next) = (Items::new(limit), None);
        for dead_letter in &found {
            if items.is_full() {
                return items.named("dead_letters", &next);
            }
            items.push(&DeadLetterView::from(dead_letter))?;
            next = Some(cursor(dead_letter));
        }
        items.named("dead_letters", &None::<String>)
    })
    .await
}

/// `OWNER@POSITION`
fn named(text: &str) -> Result<(Owner, u64), Problem> {
    let not = || invalid("after", format!("`{text}` is not a `next` of a page before"));
    let (owner, position) = text.rsplit_once('@').ok_or_else(not)?;
    Ok((owner.parse()?, position.parse().map_err(|_| not())?))
}

/// Show a dead letter and its event.
#[utoipa::path(get, path = "/v1/dead-letters/{o}/{n}", tag = "dead letters",
    params(("o" = String, Path, description = "The owner: a consumer, or a handler as `handler:NAME`", example = "mailer"),
        ("n" = u64, Path, description = "The position of the event")),
    responses(
    (status = 200, description = "As `retold dead-letters show -o json` has it", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such dead letter", body = Object, content_type = "application/problem+json"),
))]
async fn one(
    access: Access,
    app: State<App>,
    InPath((owner, position)): InPath<(String, u64)>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Read)?;
    let owner: Owner = owner.parse()?;
    app.call(move |store| {
        let dead_letter = store.dead_letters().get(&owner, position)?;
        match store.get_raw(dead_letter.id) {
            // The event was removed; what is known about it stays.
            Err(Error::NotFound { .. } | Error::Deleted { .. } | Error::Truncated { .. }) => {
                Answer::of(&DeadLetterView::from(&dead_letter))
            }
            event => Answer::of(&DeadLetterView::with(&dead_letter, &event?)),
        }
    })
    .await
}

fn done(owner: &Owner, count: usize, done: &str) -> Result<Answer, Problem> {
    Answer::of(&json!({ "owner": owner.to_string(), "dead_letters": count, "done": done }))
}

/// Send a dead letter back: its owner gets the event again. Twice is once.
#[utoipa::path(post, path = "/v1/dead-letters/{o}/{n}/replay", tag = "dead letters",
    params(("o" = String, Path, description = "The owner", example = "mailer"), ("n" = u64, Path, description = "The position of the event")),
    request_body(content = Option<Nothing>),
    responses(
    (status = 200, description = "It was sent back", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such dead letter", body = Object, content_type = "application/problem+json"),
))]
async fn replay(
    access: Access,
    app: State<App>,
    InPath((owner, position)): InPath<(String, u64)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let owner: Owner = owner.parse()?;
    app.call(move |store| {
        store.dead_letters().replay(&owner, position)?;
        done(&owner, 1, "sent back")
    })
    .await
}

/// Send all dead letters of an owner back.
#[utoipa::path(post, path = "/v1/dead-letters/{o}/replay", tag = "dead letters",
    params(("o" = String, Path, description = "The owner", example = "mailer")),
    request_body(content = Option<Nothing>),
    responses((status = 200, description = "How many were sent back", body = Object, content_type = "application/json")),
)]
async fn replay_all(
    access: Access,
    app: State<App>,
    InPath(owner): InPath<String>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Append)?;
    let owner: Owner = owner.parse()?;
    app.call(move |store| {
        let count = store.dead_letters().replay_all(&owner)?;
        done(&owner, count, "sent back")
    })
    .await
}

/// Throw a dead letter away; the event stays.
#[utoipa::path(delete, path = "/v1/dead-letters/{o}/{n}", tag = "dead letters",
    params(("o" = String, Path, description = "The owner", example = "mailer"), ("n" = u64, Path, description = "The position of the event")),
    responses(
    (status = 200, description = "It is gone", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such dead letter", body = Object, content_type = "application/problem+json"),
))]
async fn discard(
    access: Access,
    app: State<App>,
    InPath((owner, position)): InPath<(String, u64)>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let owner: Owner = owner.parse()?;
    app.call(move |store| {
        store.dead_letters().discard(&owner, position)?;
        done(&owner, 1, "thrown away")
    })
    .await
}

/// Throw all dead letters of an owner away; the events stay.
#[utoipa::path(delete, path = "/v1/dead-letters/{o}", tag = "dead letters",
    params(("o" = String, Path, description = "The owner", example = "mailer")),
    responses((status = 200, description = "How many are gone", body = Object, content_type = "application/json")),
)]
async fn purge(access: Access, app: State<App>, InPath(owner): InPath<String>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let owner: Owner = owner.parse()?;
    app.call(move |store| {
        let count = store.dead_letters().discard_all(&owner)?;
        done(&owner, count, "thrown away")
    })
    .await
}
