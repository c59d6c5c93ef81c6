//! What is done to a branch: closing, truncating, expiring, promoting, adopting.

use axum::extract::State;
use retold::event::{Address, BranchName};
use retold::lifecycle::{Expiry, Removal};
use retold::store::{BranchInfo, Store};
use retold::wire::{AppendedMany, Branch};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::asked::{Sent, span};
use super::branches::preview;
use crate::access::Access;
use crate::app::App;
use crate::bounds::unhurried;
use crate::input::{InPath, ahead, branch, invalid};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(close))
        .routes(unhurried(routes!(truncate)))
        .routes(routes!(expire))
        .routes(unhurried(routes!(promote)))
        .routes(routes!(adopt))
}

/// A body without members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Truncate {
    /// The first sequence to keep; one after the last removes all.
    #[schema(example = 2)]
    before: u64,
    /// Say what would be removed, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// When a branch goes: one of these.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Expire {
    /// At this time, or this long from now: `12h`.
    at: Option<String>,
    /// When it has not been read or appended to for this long: `30d`.
    #[schema(example = "30d")]
    unused: Option<String>,
    /// Never.
    never: bool,
}

impl Expire {
    fn expiry(&self) -> Result<Option<Expiry>, Problem> {
        match (&self.at, &self.unused, self.never) {
            (Some(at), None, false) => Ok(Some(Expiry::At(ahead("at", at)?))),
            (None, Some(unused), false) => Ok(Some(Expiry::Unused(span("unused", unused)?))),
            (None, None, true) => Ok(None),
            _ => Err(invalid("expiry", "is one of `at`, `unused` and `never`: give just one")),
        }
    }
}

fn shown(store: &Store, branch: &BranchInfo) -> Result<Answer, Problem> {
    Answer::of(&Branch::new(branch, &store.current(&branch.place.session)?))
}

/// Close a branch: it accepts no more events. Closing it again changes nothing.
#[utoipa::path(post, path = "/v1/sessions/{s}/branches/{b}/close", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch")),
    request_body(content = Option<Nothing>),
    responses(
    (status = 200, description = "The branch", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn close(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Admin, branch.session())?;
    app.call(move |store| shown(store, &store.lifecycle().close(&branch)?)).await
}

/// Remove the first events of a branch. Sequences stay as they are, and forks keep what they inherit.
#[utoipa::path(post, path = "/v1/sessions/{s}/branches/{b}/truncate", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch")),
    request_body = Truncate,
    responses(
    (status = 200, description = "The branch; with `dry_run` what would be removed", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn truncate(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Sent(sent): Sent<Truncate>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Admin, branch.session())?;
    app.call(move |store| {
        if sent.dry_run {
            let name = branch.to_string();
            return preview(store, &Removal::Before(branch, sent.before.into()), &name);
        }
        shown(store, &store.lifecycle().truncate(&branch, sent.before)?)
    })
    .await
}

/// Say when a branch goes by itself. A new setting takes the place of the one before.
#[utoipa::path(post, path = "/v1/sessions/{s}/branches/{b}/expire", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch")),
    request_body = Expire,
    responses(
    (status = 200, description = "The branch", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn expire(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Sent(sent): Sent<Expire>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Admin, branch.session())?;
    let expiry = sent.expiry()?;
    app.call(move |store| shown(store, &store.lifecycle().expire(&branch, expiry)?)).await
}

/// Append the own events of a branch to its parent.
///
/// The parent must have no new events since the fork: then nothing is written. Promoting again writes nothing.
#[utoipa::path(post, path = "/v1/sessions/{s}/branches/{b}/promote", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch")),
    request_body(content = Option<Nothing>),
    responses(
    (status = 200, description = "Where the events are", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
    (status = 409, description = "The parent has moved; adopt makes the branch the current one instead", body = Object, content_type = "application/problem+json"),
))]
async fn promote(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Append, branch.session())?;
    app.call(move |store| {
        let receipt = store.promote(&branch)?;
        match receipt.parts().first() {
            Some(placed) => Answer::of(&AppendedMany::new(placed, &receipt)),
            None => Answer::of(&serde_json::json!({ "events": 0, "duplicate": receipt.duplicate() })),
        }
    })
    .await
}

/// Make a branch the current one of its session: the one that is shown where none is named.
#[utoipa::path(post, path = "/v1/sessions/{s}/branches/{b}/adopt", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch")),
    request_body(content = Option<Nothing>),
    responses(
    (status = 200, description = "The branch", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn adopt(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Answer, Problem> {
    let branch: Address = branch(&s, &b)?;
    access.session(Scope::Append, branch.session())?;
    app.call(move |store| {
        let name: &BranchName = branch.branch();
        store.set_current(branch.session(), name)?;
        Answer::of(&Branch::new(&store.branch(&branch)?, name))
    })
    .await
}
