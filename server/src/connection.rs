//! One connection: its requests, one after the other, until it or the server ends.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::limits::{HEADER_LINES, Limits, READ_BUFFER_BYTES};

/// When connections end: first politely, then at once.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Takes no further request.
    pub(crate) closing: CancellationToken,
    /// Waits for nothing more.
    pub(crate) abort: CancellationToken,
}

/// Who is at the other side of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Answers what comes over `io`.
pub(crate) async fn serve<I>(io: I, peer: Peer, routes: Router, limits: Limits, ends: Ends)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        routes.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_headers(HEADER_LINES)
        .max_buf_size(READ_BUFFER_BYTES);
    let connection = http.serve_connection(TokioIo::new(io), answer).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = ends.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                done = connection => done,
                () = ends.abort.cancelled() => return,
            }
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, peer = %peer.0, "a connection ended early");
    }
}
