//! Counts requests, and logs each without what it carries: no query, no header, no body.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::access::Access;
use crate::app::App;
use crate::connection::Peer;

/// The route of a request that none is for.
const NO_ROUTE: &str = "none";

/// Counts a request and logs it once its answer begins.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<Peer>().map(|of| of.0);
    let response = next.run(request).await;
    let took = began.elapsed();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let status = response.status();
    app.metrics().request(&method, route, status, took);
    let token = response.extensions().get::<Access>().map(|of| of.token().name.as_str());
    tracing::info!(
        target: "retold_server::request",
        method = %method,
        path,
        route,
        status = status.as_u16(),
        ms = took.as_secs_f64() * 1_000.0,
        token,
        peer = peer.map(tracing::field::display),
        "request"
    );
    response
}
