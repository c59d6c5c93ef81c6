//! The event that is being handled, available to everything that its handler calls.

use std::future::Future;

use crate::event::NewEvent;

use super::message::Message;
use super::trace;
use crate::sync::task_local;

task_local! {
    static CURRENT: Message;
}

/// The event that the code around this call is handling, if it runs inside a handler of a bus.
/// It is
/// available to everything that the handler awaits or calls, but not to tasks or threads that the handler spawns.
#[must_use]
pub fn handling() -> Option<Message> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Whether this is inside a handler.
pub(super) fn is_handling() -> bool {
    CURRENT.try_with(|_| ()).is_ok()
}

pub(super) fn scope<F: Future>(message: Message, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(message, future)
}

pub(super) fn sync_scope<T>(message: Message, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(message, work)
}

/// Fills in an event's cause, correlation and trace from the handled event; outside of handlers, correlation and trace
/// from the current span. Fields that are already set stay.
pub(super) fn stamp(mut event: NewEvent) -> NewEvent {
    let cause = handling();
    if let Some(span) = trace::current() {
        if event.correlation.is_empty() && cause.is_none() {
            event = event.correlation(span.id);
        }
        if event.trace.is_empty() {
            event = event.trace(span.parent);
        }
    }
    let Some(cause) = cause else { return event };
    if event.causation.is_none() {
        event = event.causation(cause.id());
    }
    if event.correlation.is_empty() {
        event = match cause.correlation() {
            Some(correlation) => event.correlation(correlation.to_owned()),
            None => event.correlation(cause.id().to_string()),
        };
    }
    match cause.trace().filter(|_| event.trace.is_empty()) {
        Some(trace) => event.trace(trace.to_owned()),
        None => event,
    }
}
