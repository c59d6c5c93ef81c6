//! All routes.

use axum::Router;
use axum::http::{Method, Uri};
use utoipa_axum::router::OpenApiRouter;

use crate::api;
use crate::app::App;
use crate::problem::Problem;

/// The routes of a server, and nothing of what [`Server`](crate::Server) has around them: no check of `Host` and `Origin`, so pages
/// of any site reach it through a browser (DNS rebinding); no rates, no bounds of bodies and time, no log.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(crate::health::routes())
        .merge(crate::page::routes())
        .merge(crate::durable::routes())
        .merge(crate::openapi::routes(described()))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .with_state(app)
}

/// The routes that the description of the interface is made from.
fn described() -> OpenApiRouter<App> {
    let routes = api::routes().merge(crate::events::routes());
    #[cfg(unix)]
    let routes = routes.merge(crate::remote::routes());
    routes
}

async fn nothing(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {:?}; /v1/openapi.json lists what there is", uri.path()))
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    let detail =
        format!("{method} is not a method of {:?}; the Allow header lists those that are", uri.path());
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
