//! `/health`, `/ready` and `/metrics`: for those who watch over the server.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::access::Access;
use crate::app::App;
use crate::exposition::exposition;
use crate::problem::Problem;
use crate::streams::ends;
use crate::tokens::Scope;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).route("/metrics", get(metrics))
}

/// The process answers. Needs no token.
#[utoipa::path(get, path = "/health", tag = "operations", responses((status = 200, description = "The process answers.")))]
pub(crate) async fn health() -> Response {
    json_of(&json!({ "status": "ok" }))
}

/// The store can be read and written. Needs no token.
#[utoipa::path(get, path = "/ready", tag = "operations", responses(
    (status = 200, description = "The store can be read and written."),
    (status = 503, description = "It can't, or the server is shutting down."),
))]
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    if app.closing().is_cancelled() {
        return Err(ends());
    }
    if !app.probe().is_usable(app.store()).await {
        let detail = "the store can't be read and written now; the server's log says why";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1));
    }
    Ok(json_of(&json!({ "status": "ready" })))
}

/// Counters in the text format of Prometheus. Needs a token that may read all sessions.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Counters in the text format of Prometheus.", content_type = "text/plain"),
))]
pub(crate) async fn metrics(State(app): State<App>, access: Access) -> Result<Response, Problem> {
    access.everywhere(Scope::Read)?;
    let text = exposition(&app).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn json_of(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
