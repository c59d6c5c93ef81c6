//! Counts requests, and logs each without what it carries: no query, no header, no body.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::asking::Asker;
use crate::connection::Peer;

/// The route of a request that none is for.
const NO_ROUTE: &str = "none";
/// What stands for the status of a request whose client left before there was an answer.
const LEFT: u16 = 499;

/// Counts a request and logs it once its answer begins, or its client has left.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let mut seen = Seen {
        app,
        began: Instant::now(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        peer: request.extensions().get::<Peer>().map(|of| of.0),
        asker: Asker::default(),
        status: None,
    };
    request.extensions_mut().insert(seen.asker.clone());
    let response = next.run(request).await;
    seen.status = Some(response.status());
    response
}

/// A request. It is told of when it is dropped: a connection that ends drops what would have answered it.
struct Seen {
    app: App,
    began: Instant,
    method: Method,
    path: String,
    route: Option<MatchedPath>,
    peer: Option<SocketAddr>,
    asker: Asker,
    status: Option<StatusCode>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
        let status = self.status.map_or(LEFT, |status| status.as_u16());
        self.app.metrics().request(&self.method, route, status, took);
        tracing::info!(
            target: "retold_server::request",
            method = %self.method,
            path = self.path,
            route,
            status,
            ms = took.as_secs_f64() * 1_000.0,
            token = self.asker.name(),
            peer = self.peer.map(tracing::field::display),
            "request"
        );
    }
}
