//! The trace that the current span belongs to.

/// The W3C traceparent of the current span, when there is one that is sampled or not, but valid.
#[cfg(feature = "otel")]
pub(super) fn current() -> Option<String> {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let of_tracing = tracing::Span::current().context();
    let of_otel = opentelemetry::Context::current();
    [of_tracing, of_otel].iter().find_map(|context| {
        let span = context.span();
        let span = span.span_context();
        let flags = span.trace_flags().to_u8();
        span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
    })
}

/// Without the feature `otel` nobody knows.
#[cfg(not(feature = "otel"))]
pub(super) fn current() -> Option<String> {
    None
}
