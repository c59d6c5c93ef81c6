//! What a request may take: bytes of its body, and time until its answer begins.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body_util::Limited;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::app::App;
use crate::problem::Problem;

/// What routes that take their time are told is short.
const LONG_BODY_BYTES: usize = 64 * 1024;

/// Whether a request may take as long as it takes: its route says so.
#[derive(Clone, Debug)]
struct Time {
    is_unbound: Arc<AtomicBool>,
    body_bytes: usize,
}

/// Routes whose requests take as long as they take, because they copy or remove much: an answer that it took too long would say
/// nothing of what was done. Their bodies are short, and have no more time to come than others.
pub(crate) fn unhurried((schemas, paths, routes): UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    (schemas, paths, routes.route_layer(from_fn(take_time)))
}

async fn take_time(request: Request, next: Next) -> Response {
    let time = request.extensions().get::<Time>().cloned();
    let most = time.as_ref().map_or(LONG_BODY_BYTES, |time| time.body_bytes.min(LONG_BODY_BYTES));
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, most).await else { return Problem::too_large(most).into_response() };
    if let Some(time) = time {
        time.is_unbound.store(true, Ordering::Release);
    }
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

/// Ends a request that takes too much. A stream is bound only until it begins.
pub(crate) async fn bounds(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = app.limits();
    let most = limits.body_bytes;
    let says =
        request.headers().get(header::CONTENT_LENGTH).and_then(|of| of.to_str().ok()?.parse::<u64>().ok());
    if says.is_some_and(|bytes| bytes > most as u64) {
        return Problem::too_large(most).into_response();
    }
    let time = Time { is_unbound: Arc::default(), body_bytes: most };
    let mut request = request.map(|body| Body::new(Limited::new(body, most)));
    request.extensions_mut().insert(time.clone());
    let mut answered = pin!(AssertUnwindSafe(next.run(request)).catch_unwind());
    let answered = match tokio::time::timeout(limits.request_time, &mut answered).await {
        Ok(answered) => answered,
        Err(_) if time.is_unbound.load(Ordering::Acquire) => answered.await,
        Err(_) => return too_long(limits.request_time.as_secs()).into_response(),
    };
    answered.unwrap_or_else(|_| {
        let detail = "the request ended in an error of the server; its log has more";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
    })
}

fn too_long(seconds: u64) -> Problem {
    let detail = format!(
        "there was no answer within {seconds} seconds; what was asked for may still be done: events sent again with the \
         same ids are recorded once"
    );
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).retry_after(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::body::Bytes;
    use axum::middleware::from_fn_with_state;
    use axum::routing::{any, post};
    use retold::Store;
    use tower::ServiceExt;

    use super::*;
    use crate::limits::Limits;
    use crate::tokens::Tokens;

    fn routes() -> Router {
        let limits = Limits { body_bytes: 100, request_time: Duration::from_secs(30), ..Limits::default() };
        let app = App::new(Store::in_memory().unwrap(), Tokens::open(), limits);
        Router::new()
            .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
            .route("/never", any(std::future::pending::<()>))
            .route(
                "/slow",
                post(|| tokio::time::sleep(Duration::from_secs(300))).route_layer(from_fn(take_time)),
            )
            .route("/panics", any(panics))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn_with_state(app, bounds))
    }

    async fn panics() {
        panic!("on purpose");
    }

    async fn status(path: &str, body: Body) -> u16 {
        let request = axum::http::Request::post(path).body(body).unwrap();
        routes().oneshot(request).await.unwrap().status().as_u16()
    }

    /// A body that does not say how long it is.
    fn pieces(bytes: usize) -> Body {
        let pieces = (0..bytes).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"x")));
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_is_bound_also_when_it_does_not_say_its_length() {
        assert_eq!(status("/length", Body::from(vec![0; 100])).await, 200);
        assert_eq!(status("/length", pieces(100)).await, 200);
        assert_eq!(status("/length", pieces(101)).await, 413);
        assert_eq!(
            status(
                "/length",
                Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(
                    Bytes::from_static(b"x")
                )))
            )
            .await,
            413
        );
        let says =
            axum::http::Request::post("/never").header("content-length", "101").body(Body::empty()).unwrap();
        assert_eq!(routes().oneshot(says).await.unwrap().status(), 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends_and_a_long_one_does_not() {
        let began = tokio::time::Instant::now();
        assert_eq!(status("/never", Body::empty()).await, 504);
        assert_eq!(began.elapsed().as_secs(), 30);
        assert_eq!(
            status(
                "/length",
                Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())
            )
            .await,
            504
        );
        assert_eq!(status("/slow", Body::empty()).await, 200);
        let began = tokio::time::Instant::now();
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(status("/slow", Body::from_stream(never)).await, 504);
        assert_eq!(began.elapsed().as_secs(), 30);
        assert_eq!(status("/slow", Body::from(vec![0; 101])).await, 413);
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_an_error_of_the_server() {
        assert_eq!(status("/panics", Body::empty()).await, 500);
    }
}
