//! Rebuilding the states of a projection, and resuming it where it is parked.

use axum::extract::State;
use axum::http::StatusCode;
use retold::error::Error;
use retold::project::{RebuildProgress, Retried};
use retold::wire::RetriedView;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::asked::Sent;
use super::known::find;
use super::verbs::Nothing;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, in_path};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(begin, look, cancel)).routes(routes!(retry))
}

/// What is resumed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    /// Only this branch, session or key.
    key: Option<String>,
}

/// How far a rebuild is.
pub(crate) fn progress(progress: &RebuildProgress) -> Value {
    json!({
        "done": progress.done, "total": progress.total, "seconds": progress.elapsed.as_secs_f64(),
        "per_second": progress.rate(), "left_seconds": progress.left().map(|left| left.as_secs_f64()),
    })
}

fn shown(name: &str, of: Option<&RebuildProgress>) -> Result<Answer, Problem> {
    Answer::of(&json!({ "projection": name, "rebuild": of.map(progress) }))
}

/// Rebuild the states of a projection. New ones are built beside those that are there, and take their place when they are complete.
///
/// If a rebuild goes on, that one is answered. A projection that raises events is started by it.
#[utoipa::path(post, path = "/v1/projections/{p}/rebuild", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle")),
    request_body(content = Option<Nothing>),
    responses(
    (status = 202, description = "It goes on; `rebuild` is how far, `Location` is where to look", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such projection", body = Object, content_type = "application/problem+json"),
    (status = 503, description = "Another process keeps the states up", body = Object, content_type = "application/problem+json"),
))]
async fn begin(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    app.call(move |store| {
        let projected = store.project_dyn(find(store, &name)?)?;
        // To register it may have begun one: the first, or one for a new version.
        let rebuild = match projected.rebuilding() {
            Some(rebuild) => rebuild,
            None => projected.rebuild()?,
        };
        let location = format!("/v1/projections/{}/rebuild", in_path(&name));
        let answer = shown(&name, Some(&rebuild.progress()))?;
        Ok::<_, Problem>(answer.created(location).status(StatusCode::ACCEPTED))
    })
    .await
}

/// Look how far a rebuild is; `rebuild` is null when none goes on.
#[utoipa::path(get, path = "/v1/projections/{p}/rebuild", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle")),
    responses(
    (status = 200, description = "`done` of `total` events, for how many `seconds`, and how many are left", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such projection", body = Object, content_type = "application/problem+json"),
))]
async fn look(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Read)?;
    app.call(move |store| {
        find(store, &name)?;
        let rebuild = match store.projections().info(&name) {
            Err(Error::NotFound { .. }) => None,
            found => found?.rebuild,
        };
        shown(&name, rebuild.as_ref())
    })
    .await
}

/// Cancel a rebuild; the states from before stay.
#[utoipa::path(delete, path = "/v1/projections/{p}/rebuild", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle")),
    responses(
    (status = 200, description = "`rebuild`: how far it was", body = Object, content_type = "application/json"),
    (status = 404, description = "No rebuild goes on", body = Object, content_type = "application/problem+json"),
))]
async fn cancel(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    app.call(move |store| {
        let none = || Error::not_found("rebuild of projection", name.escape_debug());
        // One that is not registered here is not rebuilt here, and asking does not register it.
        let rebuild = match store.projections().info(&name) {
            Err(Error::NotFound { .. }) => None,
            found => found?.rebuild,
        };
        rebuild.ok_or_else(none)?;
        let rebuild = store.project_dyn(find(store, &name)?)?.rebuilding().ok_or_else(none)?;
        rebuild.cancel();
        shown(&name, Some(&rebuild.progress()))
    })
    .await
}

/// Resume a projection where it is parked, once the cause is fixed.
#[utoipa::path(post, path = "/v1/projections/{p}/retry", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle")),
    request_body = Retry,
    responses(
    (status = 200, description = "How many keys resumed, and how many are still parked", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such projection, or it is not parked there", body = Object, content_type = "application/problem+json"),
))]
async fn retry(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Retry>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    app.call(move |store| {
        let projection = find(store, &name)?;
        let is_parked =
            store.projections().list()?.iter().any(|info| info.name == name && !info.parked.is_empty());
        let Retried { mended, parked, .. } = match (is_parked, sent.key.as_deref()) {
            // To ask about a projection does not start it.
            (false, None) => Retried::default(),
            (false, Some(key)) => {
                return Err(
                    Error::not_found("parked key", format!("{} of {name}", key.escape_debug())).into()
                );
            }
            (true, None) => store.project_dyn(projection)?.retry()?,
            (true, Some(key)) => store.project_dyn(projection)?.retry_of(key)?,
        };
        Answer::of(&RetriedView { projection: &name, mended, parked })
    })
    .await
}
