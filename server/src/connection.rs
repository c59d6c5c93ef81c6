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

use crate::limits::{HEADER_LINES, LAST_WORDS, Limits, READ_BUFFER_BYTES};
use crate::line::{Answered, Asked, Line};

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

/// Answers what comes over `io`, whose socket knows `line`.
pub(crate) async fn serve<I>(io: I, (peer, line): (Peer, Line), routes: Router, limits: Limits, ends: Ends)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let of = line.clone();
    let answer = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let work = of.begin();
        let mut request = request.map(|body| Body::new(Asked::new(body, of.clone())));
        request.extensions_mut().insert(peer);
        let answered = routes.clone().oneshot(request);
        async move { answered.await.map(|response| response.map(|body| Answered::new(body, work))) }
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
                () = idle(&line) => return,
                () = ends.abort.cancelled() => return,
            }
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, peer = %peer.0, "a connection ended early");
    }
}

/// Waits until there is nothing but the beginning of a request, which has a moment to become one.
async fn idle(line: &Line) {
    loop {
        tokio::time::sleep(LAST_WORDS).await;
        if line.is_idle() {
            return;
        }
    }
}
