//! The trace that the current span belongs to.

/// What an event takes from the span around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpanTrace {
    /// The W3C traceparent.
    pub(super) parent: String,
    /// The id of the trace.
    pub(super) id: String,
}

/// That of the current span, if it is valid, sampled or not.
#[cfg(feature = "otel")]
pub(super) fn current() -> Option<SpanTrace> {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let of_tracing = tracing::Span::current().context();
    let of_otel = opentelemetry::Context::current();
    [of_tracing, of_otel].iter().find_map(|context| {
        let span = context.span();
        let span = span.span_context();
        let flags = span.trace_flags().to_u8();
        span.is_valid().then(|| SpanTrace {
            parent: format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()),
            id: span.trace_id().to_string(),
        })
    })
}

/// Without the feature `otel` it is unknown.
#[cfg(not(feature = "otel"))]
pub(super) fn current() -> Option<SpanTrace> {
    None
}

#[cfg(all(test, feature = "otel"))]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

    use super::SpanTrace;
    use crate::bus::message::Message;
    use crate::bus::{current, trace};
    use crate::event::NewEvent;
    use crate::store::Store;

    fn in_span<T>(work: impl FnOnce() -> T) -> (SpanTrace, T) {
        let (trace, span) = (TraceId::from(0xa1_u128), SpanId::from(0xb2_u64));
        let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
        let _attached = opentelemetry::Context::new().with_remote_span_context(context).attach();
        let id = format!("{:032x}", 0xa1);
        (SpanTrace { parent: format!("00-{id}-{:016x}-01", 0xb2), id }, work())
    }

    #[test]
    fn an_event_takes_trace_and_correlation_of_the_span_around_it() {
        assert_eq!(trace::current(), None);
        let (due, (found, event, own)) = in_span(|| {
            let own = NewEvent::new("step.done").trace("mine").correlation("c");
            (trace::current(), current::stamp(NewEvent::new("step.done")), current::stamp(own))
        });
        assert_eq!(found.as_ref(), Some(&due));
        assert_eq!((&*event.trace, &*event.correlation), (&*due.parent, &*due.id));
        assert_eq!((&*own.trace, &*own.correlation), ("mine", "c"));
        let outside = current::stamp(NewEvent::new("step.done"));
        assert_eq!((&*outside.trace, &*outside.correlation), ("", ""));
    }

    #[test]
    fn in_a_handler_the_correlation_is_that_of_the_event_and_not_of_the_span() {
        let store = Store::in_memory().unwrap();
        for (correlation, due) in [(Some("c-1"), "c-1"), (None, "")] {
            let event = NewEvent::new("step.started");
            let event = match correlation {
                Some(correlation) => event.correlation(correlation),
                None => event,
            };
            let id = event.id();
            store.append("s", event).unwrap();
            let cause = Message::recorded(store.get(id).unwrap());
            let (span, stamped) =
                in_span(|| current::sync_scope(cause, || current::stamp(NewEvent::new("step.done"))));
            assert_eq!(&*stamped.trace, span.parent);
            let due = if due.is_empty() { id.to_string() } else { due.to_owned() };
            assert_eq!((&*stamped.correlation, stamped.causation), (&*due, Some(id)));
        }
    }
}
