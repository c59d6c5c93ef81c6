//! Histories of Temporal workflows: an array of events, bare or in any wrapper, or one a line; event types in both
//! spellings (`WorkflowExecutionStarted`, `EVENT_TYPE_WORKFLOW_EXECUTION_STARTED`).
//!
//! A session is one run: `<workflowId>.<runId>` as the first event names them, or the file's name where it does not.
//! Events are appended by `eventId`, whatever the file's order.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId, Timestamp};

use super::fields::Fields;
use super::pieces::{Piece, Text};
use super::plan::{Body, Builder, Draft};
use super::{Input, Plan, ids, names, source};

/// Their types, in the later spelling and small letters, that mean the same as a type of ours.
pub(super) const KINDS: [(&str, &str); 41] = [
    ("workflow_execution_started", "run.started"),
    ("workflow_execution_completed", "run.completed"),
    ("workflow_execution_failed", "run.failed"),
    ("workflow_execution_timed_out", "run.timed_out"),
    ("workflow_execution_canceled", "run.cancelled"),
    ("workflow_execution_terminated", "run.terminated"),
    ("workflow_execution_continued_as_new", "run.continued"),
    ("workflow_execution_cancel_requested", "run.cancel_requested"),
    ("workflow_execution_signaled", "workflow.signaled"),
    ("workflow_execution_update_accepted", "workflow.update_accepted"),
    ("workflow_execution_update_rejected", "workflow.update_rejected"),
    ("workflow_execution_update_completed", "workflow.update_completed"),
    ("workflow_task_scheduled", "workflow.task_scheduled"),
    ("workflow_task_started", "workflow.task_started"),
    ("workflow_task_completed", "workflow.task_completed"),
    ("workflow_task_timed_out", "workflow.task_timed_out"),
    ("workflow_task_failed", "workflow.task_failed"),
    ("activity_task_scheduled", "tool.invoked"),
    ("activity_task_started", "tool.started"),
    ("activity_task_completed", "tool.completed"),
    ("activity_task_failed", "tool.errored"),
    ("activity_task_timed_out", "tool.timed_out"),
    ("activity_task_canceled", "tool.cancelled"),
    ("activity_task_cancel_requested", "tool.cancel_requested"),
    ("timer_started", "scheduler.timer_started"),
    ("timer_fired", "scheduler.timer_fired"),
    ("timer_canceled", "scheduler.timer_cancelled"),
    ("start_child_workflow_execution_initiated", "workflow.child_initiated"),
    ("start_child_workflow_execution_failed", "workflow.child_refused"),
    ("child_workflow_execution_started", "workflow.child_started"),
    ("child_workflow_execution_completed", "workflow.child_completed"),
    ("child_workflow_execution_failed", "workflow.child_failed"),
    ("child_workflow_execution_timed_out", "workflow.child_timed_out"),
    ("child_workflow_execution_canceled", "workflow.child_cancelled"),
    ("child_workflow_execution_terminated", "workflow.child_terminated"),
    ("signal_external_workflow_execution_initiated", "workflow.signal_sent"),
    ("external_workflow_execution_signaled", "workflow.signal_delivered"),
    ("signal_external_workflow_execution_failed", "workflow.signal_failed"),
    ("request_cancel_external_workflow_execution_initiated", "workflow.cancel_sent"),
    ("external_workflow_execution_cancel_requested", "workflow.cancel_delivered"),
    ("request_cancel_external_workflow_execution_failed", "workflow.cancel_failed"),
];
/// Bits of an event's number in the order of a file: runs stay behind one another.
const ID_BITS: u32 = 40;
/// Members that name the event of this history that led to one, the nearest first.
const CAUSES: [&str; 6] = [
    "startedEventId",
    "scheduledEventId",
    "initiatedEventId",
    "acceptedEventId",
    "acceptedRequestSequencingEventId",
    "workflowTaskCompletedEventId",
];

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    f.has("eventId") && f.has("eventType")
}

/// A record as far as others need it.
struct Seen<'a> {
    id: u64,
    fields: Fields<'a>,
    attributes: Fields<'a>,
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Plan, Invalid> {
    let mut plan = input.builder();
    let fallbacks = input.sessions()?;
    for (n, run) in input.pieces.runs_with_records().into_iter().enumerate() {
        let fallback = fallbacks.get(run).cloned().map_or_else(|| input.session_or_stem(), Ok)?;
        let pieces: Vec<&Piece> = input.pieces.all.iter().filter(|p| p.run == run).collect();
        history(input, &mut plan, (n as u64, &pieces), fallback)?;
    }
    Ok(plan.finish())
}

/// One run.
fn history(
    input: &Input<'_>,
    plan: &mut Builder<'_>,
    (number, pieces): (u64, &[&Piece]),
    fallback: SessionId,
) -> Result<(), Invalid> {
    let texts: Vec<Result<Text, String>> = pieces.iter().map(|p| input.text(p)).collect();
    let read: Vec<Result<Seen<'_>, String>> =
        texts.iter().map(|t| t.as_deref().map_err(Clone::clone).and_then(read)).collect();
    let seen = || read.iter().flatten();
    let session = match &input.options.session {
        Some(session) => session.clone(),
        None => match seen().find_map(|s| run(&s.attributes)) {
            Some(name) => names::session(&name)?,
            None => fallback,
        },
    };
    let place = Place::new(session, BranchName::main());
    // Later events of an activity, a timer or a child name only the event that began it.
    let began: HashMap<u64, Cow<'_, str>> =
        seen().filter_map(|s| began(&s.attributes).map(|name| (s.id, name))).collect();
    for (piece, read) in pieces.iter().zip(&read) {
        match read {
            Ok(seen) => {
                let event = event(seen, &place.session, &began);
                let time = time(&seen.fields);
                let order = number << ID_BITS | seen.id.min((1 << ID_BITS) - 1);
                plan.push(piece, order, &place, Draft::new(event, time, Body::Record));
            }
            Err(reason) => plan.skip(piece, reason.clone()),
        }
    }
    Ok(())
}

fn read(text: &str) -> Result<Seen<'_>, String> {
    let fields = Fields::parse(text)?;
    let id = fields.scalar("eventId").ok_or("has no eventId")?;
    let id = id.parse().map_err(|_| format!("has the eventId {}, not a whole number", id.escape_debug()))?;
    let attributes = fields.iter().find(|(n, _)| n.ends_with("EventAttributes") || *n == "attributes");
    let attributes = attributes.and_then(|(_, raw)| Fields::parse(raw.get()).ok()).unwrap_or_default();
    Ok(Seen { id, fields, attributes })
}

/// The name of the run, as its first event says it.
fn run(started: &Fields<'_>) -> Option<String> {
    let run = started.word("originalExecutionRunId")?;
    Some(run_name(&started.word("workflowId")?, &run))
}

fn run_name(workflow: &str, run: &str) -> String {
    format!("{workflow}.{run}")
}

/// What an activity, a timer or a child is called in the event that begins it.
fn began<'a>(attributes: &Fields<'a>) -> Option<Cow<'a, str>> {
    if attributes.has("workflowTaskCompletedEventId") {
        let names = ["activityId", "timerId", "workflowId"];
        return names.iter().find_map(|n| attributes.word(n));
    }
    None
}

fn event(seen: &Seen<'_>, session: &SessionId, began: &HashMap<u64, Cow<'_, str>>) -> NewEvent {
    let (f, attributes) = (&seen.fields, &seen.attributes);
    let name = f.scalar("eventType").unwrap_or_default();
    let name = names::snake(name.strip_prefix("EVENT_TYPE_").unwrap_or(&name));
    let mut event = NewEvent::new(names::kind(&KINDS, "temporal", &name));
    event.id = event_id(session, seen.id);
    event.source = "temporal".into();
    event.actor = attributes.word("identity").map_or_else(String::new, |i| names::label(&i)).into();
    let number = |name| attributes.scalar(name).and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0);
    event.causation = CAUSES.iter().find_map(|n| number(n)).map(|n| event_id(session, n));
    if event.causation.is_none() {
        event.causation = parent(attributes);
    }
    let origin = [number("scheduledEventId"), number("initiatedEventId"), number("startedEventId")];
    let tied = std::iter::once(seen.id).chain(origin.into_iter().flatten()).find_map(|n| began.get(&n));
    event.correlation = tied.map_or_else(String::new, |t| names::label(t)).into();
    let tool = attributes.object("activityType").word("name");
    let attempt = attributes.scalar("attempt").filter(|a| a != "1" && a != "0");
    for (key, value) in [(source::ID, f.scalar("eventId")), ("tool", tool), ("attempt", attempt)] {
        if let Some(value) = value {
            event.metadata.insert(key.to_owned(), names::label(&value));
        }
    }
    event
}

/// The event of the parent's history that started this run as a child.
fn parent(started: &Fields<'_>) -> Option<EventId> {
    let execution = started.object("parentWorkflowExecution");
    let name = run_name(&execution.word("workflowId")?, &execution.word("runId")?);
    let initiated = started.scalar("parentInitiatedEventId")?.parse().ok()?;
    Some(event_id(&names::session(&name).ok()?, initiated))
}

fn event_id(session: &SessionId, id: u64) -> EventId {
    ids::derived(ids::TEMPORAL, &[session.as_str().as_bytes(), id.to_string().as_bytes()])
}

/// `eventTime` as text, or as seconds and nanoseconds.
fn time(f: &Fields<'_>) -> Option<Timestamp> {
    if let Some(text) = f.text("eventTime") {
        return names::time(&text);
    }
    let time = f.object("eventTime");
    let part = |name| time.scalar(name).and_then(|n| n.parse::<i64>().ok());
    let micros = part("seconds")?.checked_mul(1_000_000)?.checked_add(part("nanos").unwrap_or(0) / 1_000)?;
    Some(Timestamp::from_micros(micros)).filter(|t| t.is_printable())
}

#[cfg(test)]
mod tests {
    use crate::interop::Format;
    use crate::interop::testing::{drawn, events, plan_of, restored};

    /// One run with a retried activity, a child, a timer and a cancellation, newest event first.
    const NEWEST_FIRST: &str = r#"{"history":{"events":[
{"eventId":"9","eventTime":"2026-01-01T00:00:09Z","eventType":"WorkflowExecutionCanceled","workflowExecutionCanceledEventAttributes":{"workflowTaskCompletedEventId":"4"}},
{"eventId":"8","eventTime":"2026-01-01T00:00:08Z","eventType":"ChildWorkflowExecutionFailed","childWorkflowExecutionFailedEventAttributes":{"initiatedEventId":"7","startedEventId":"0"}},
{"eventId":"7","eventTime":"2026-01-01T00:00:07Z","eventType":"StartChildWorkflowExecutionInitiated","startChildWorkflowExecutionInitiatedEventAttributes":{"workflowId":"kid","workflowTaskCompletedEventId":"4"}},
{"eventId":"6","eventTime":"2026-01-01T00:00:06Z","eventType":"ActivityTaskStarted","activityTaskStartedEventAttributes":{"scheduledEventId":"5","attempt":3}},
{"eventId":"5","eventTime":"2026-01-01T00:00:05Z","eventType":"ActivityTaskScheduled","activityTaskScheduledEventAttributes":{"activityId":"act","activityType":{"name":"fetch"},"workflowTaskCompletedEventId":"4"}},
{"eventId":"4","eventTime":"2026-01-01T00:00:04Z","eventType":"WorkflowTaskCompleted","workflowTaskCompletedEventAttributes":{"scheduledEventId":"2","startedEventId":"3"}},
{"eventId":"1","eventTime":"2026-01-01T00:00:01.123456789Z","eventType":"WorkflowExecutionStarted","workflowExecutionStartedEventAttributes":{"workflowId":"wf","originalExecutionRunId":"r1","attempt":1,"parentWorkflowExecution":{"workflowId":"up","runId":"r0"},"parentInitiatedEventId":"12"}}
]},"nextPageToken":null}
"#;

    #[test]
    fn events_are_appended_by_their_number_and_given_back_as_they_lay() {
        let plan = plan_of("h.json", NEWEST_FIRST);
        assert_eq!(plan.format, Format::Temporal);
        assert_eq!(
            drawn(&plan),
            [
                "wf.r1/main: run.started workflow.task_completed tool.invoked tool.started workflow.child_initiated workflow.child_failed run.cancelled"
            ]
        );
        assert_eq!(restored(&plan), NEWEST_FIRST);
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!(all[3].causation, Some(all[2].id));
        assert_eq!((&*all[3].correlation, &*all[3].metadata["attempt"]), ("act", "3"));
        assert_eq!((all[5].causation, &*all[5].correlation), (Some(all[4].id), "kid"));
        assert_eq!(all[2].metadata["tool"], "fetch");
        assert_eq!(all[0].occurred.to_string(), "2026-01-01T00:00:01.123456Z");
        // The parent's event is known by name although it lies in another file.
        let parent = NEWEST_FIRST
            .replace("\"wf\"", "\"up\"")
            .replace("\"r1\"", "\"r0\"")
            .replace("\"eventId\":\"9\"", "\"eventId\":\"12\"");
        let parent = plan_of("p.json", parent);
        assert_eq!(all[0].causation, events(&parent).last().map(|(_, e)| e.id));
    }

    #[test]
    fn both_spellings_and_all_wrappers_are_one_history() {
        let old = r#"[{"eventId":"1","eventType":"WorkflowExecutionTerminated"},{"eventId":2,"eventType":"EVENT_TYPE_TIMER_FIRED"}]"#;
        let lines = "{\"eventId\":\"1\",\"eventType\":\"EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED\"}\n{\"eventId\":\"2\",\"eventType\":\"TimerFired\"}\n";
        for file in [
            old.to_owned(),
            format!("{{\"events\":{old}}}"),
            format!("{{\"a\":{{\"b\":{old}}}}}"),
            lines.to_owned(),
        ] {
            let plan = plan_of("w.json", &file);
            assert_eq!(drawn(&plan), ["w/main: run.terminated scheduler.timer_fired"], "{file}");
            assert_eq!(restored(&plan), file);
        }
    }

    #[test]
    fn an_event_without_a_number_is_reported() {
        let file = "[{\"eventId\":\"1\",\"eventType\":\"TimerFired\"},\n{\"eventType\":\"TimerFired\"},\n{\"eventId\":\"x\",\"eventType\":\"TimerFired\"}]";
        let plan = plan_of("w.json", file);
        let skipped: Vec<_> = plan.skipped.iter().map(|s| (s.line, s.reason.as_str())).collect();
        assert_eq!(skipped, [(2, "has no eventId"), (3, "has the eventId x, not a whole number")]);
        assert_eq!(plan.events(), 1);
    }
}
