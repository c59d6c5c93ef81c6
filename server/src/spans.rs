//! Spans of requests and appends, for OpenTelemetry. Without the feature `otel` there are none.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use retold::NewEvent;
use tracing::Span;

#[cfg(not(feature = "otel"))]
use not_told as told;
#[cfg(feature = "otel")]
pub(crate) use told::{DURATION, TARGET};

/// Around a request. What its traceparent names is above its span.
pub(crate) async fn request(request: Request, next: Next) -> Response {
    told::request(request, next).await
}

/// An append at work.
#[derive(Debug)]
pub(crate) struct Append {
    span: Span,
    events: usize,
}

impl Append {
    /// Begins one, to be done on another thread.
    pub(crate) fn begin() -> Self {
        Self { span: told::append(), events: 0 }
    }

    /// Does it.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.record("retold.events", self.events);
        self.span.in_scope(work)
    }

    /// Events that are in no trace are in that of the append.
    pub(crate) fn stamped(&mut self, events: Vec<NewEvent>) -> Vec<NewEvent> {
        self.events += events.len();
        told::stamped(&self.span, events)
    }
}

#[cfg(not(feature = "otel"))]
mod not_told {
    use axum::extract::Request;
    use axum::middleware::Next;
    use axum::response::Response;
    use retold::NewEvent;
    use tracing::Span;

    pub(super) async fn request(request: Request, next: Next) -> Response {
        next.run(request).await
    }

    pub(super) fn append() -> Span {
        Span::none()
    }

    pub(super) fn stamped(_: &Span, events: Vec<NewEvent>) -> Vec<NewEvent> {
        events
    }
}

#[cfg(feature = "otel")]
mod told {
    use std::time::Instant;

    use axum::extract::{MatchedPath, Request};
    use axum::middleware::Next;
    use axum::response::Response;
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_http::HeaderExtractor;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use retold::NewEvent;
    use tracing::field::Empty;
    use tracing::{Instrument, Level, Span};
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use crate::metrics::name;

    /// What is for OpenTelemetry and not for logs.
    pub(crate) const TARGET: &str = "retold_server::otel";
    /// The histogram of times of requests.
    pub(crate) const DURATION: &str = "http.server.request.duration";

    pub(super) async fn request(request: Request, next: Next) -> Response {
        let began = Instant::now();
        let method = name(request.method());
        let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let called = route.as_ref().map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = called,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            url.path = request.uri().path(),
            http.response.status_code = Empty,
        );
        if !span.is_disabled() {
            let above = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
            if above.span().span_context().is_valid() {
                // It is refused only where nobody listens.
                let _ = span.set_parent(above);
            }
        }
        let response = next.run(request).instrument(span.clone()).await;
        let status = response.status().as_u16();
        span.record("http.response.status_code", status);
        if response.status().is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
        let seconds = began.elapsed().as_secs_f64();
        let route = route.as_deref().unwrap_or("none");
        tracing::event!(
            target: TARGET,
            Level::TRACE,
            histogram.http.server.request.duration = seconds,
            http.request.method = method,
            http.route = route,
            http.response.status_code = u64::from(status)
        );
        response
    }

    pub(super) fn append() -> Span {
        tracing::info_span!(target: TARGET, "append", retold.events = Empty)
    }

    pub(super) fn stamped(span: &Span, events: Vec<NewEvent>) -> Vec<NewEvent> {
        let context = span.context();
        let of_span = context.span();
        let of = of_span.span_context();
        if !of.is_valid() {
            return events;
        }
        let traceparent = format!("00-{}-{}-{:02x}", of.trace_id(), of.span_id(), of.trace_flags().to_u8());
        let stamp = |event: NewEvent| match event.get_trace() {
            Some(_) => event,
            None => event.trace(traceparent.clone()),
        };
        events.into_iter().map(stamp).collect()
    }
}
