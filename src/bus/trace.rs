//! The trace that the current span belongs to.

/// The W3C traceparent of the current span, if it is valid, sampled or not.
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

/// Without the feature `otel` it is unknown.
#[cfg(not(feature = "otel"))]
pub(super) fn current() -> Option<String> {
    None
}

#[cfg(all(test, feature = "otel"))]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

    #[test]
    fn an_event_takes_the_trace_of_the_span_around_it() {
        assert_eq!(super::current(), None);
        let (trace, span) = (TraceId::from(0xa1_u128), SpanId::from(0xb2_u64));
        let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
        let _attached = opentelemetry::Context::new().with_remote_span_context(context).attach();
        let due = format!("00-{:032x}-{:016x}-01", 0xa1, 0xb2);
        assert_eq!(super::current(), Some(due.clone()));
        let event = crate::bus::current::stamp(crate::event::NewEvent::new("step.done"));
        assert_eq!(event.trace, due);
        let own = crate::event::NewEvent::new("step.done").trace("mine");
        assert_eq!(crate::bus::current::stamp(own).trace, "mine");
    }
}
