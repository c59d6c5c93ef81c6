//! Histories of Temporal workflows: an array of events, bare or in any wrapper, or one event per line. Event types
//! are spelled `WorkflowExecutionStarted` or `EVENT_TYPE_WORKFLOW_EXECUTION_STARTED`, or are numbers; members in
//! either case (`eventId`, `event_id`); the attributes of an event are a member named after its type, or `details`.
//!
//! A session is one run: `<workflowId>.<runId>` as the first event gives them, or the file's name if it does not.
//! Events are appended by `eventId`, whatever their order in the file.
//!
//! A reset copies a history up to a point and continues as another run, under the first run's name. It becomes a
//! branch that is named after the new run and forks from the session where the copy ends.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId, Timestamp};

use super::builder::{Builder, Draft};
use super::fields::Fields;
use super::input::Input;
use super::sketch::Sketch;
use super::source::Body;
use super::temporal_names::{self, Members};
use super::{ids, names, source};

/// Their types, in the later spelling and lower case, that mean the same as one of our types.
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
/// Bits of an event's number in the order of a file, so that runs stay one after another.
const ID_BITS: u32 = 40;
/// Members that name the event of this history that caused one, the nearest first.
const CAUSES: [&str; 6] = [
    "startedEventId",
    "scheduledEventId",
    "initiatedEventId",
    "acceptedEventId",
    "acceptedRequestSequencingEventId",
    "workflowTaskCompletedEventId",
];

/// Other logs have events with an id and a type too: here the id is a number, and the type or the members are
/// Temporal's.
pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let members = Members::new(f);
    let is_number = members.scalar("eventId").is_some_and(|id| id.parse::<u64>().is_ok());
    let kind = members.scalar("eventType");
    is_number
        && kind.is_some_and(|kind| {
            temporal_names::is_event_type(&kind) || f.iter().all(|(name, _)| temporal_names::is_member(name))
        })
}

/// Other logs have events with a number and a type too. A type that is not known here has attributes of its own.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let kind = Members::new(f).scalar("eventType");
    let is_known = kind.is_some_and(|kind| temporal_names::is_event_type(&kind));
    is_record(f) && (is_known || f.iter().any(|(name, _)| temporal_names::is_attributes(name)))
}

/// What other events need of a record.
struct Seen<'a> {
    id: u64,
    kind: String,
    fields: Fields<'a>,
    attributes: Fields<'a>,
}

/// Where a run begins that continues from a copy of another one's history.
struct Reset {
    /// Its first own event.
    id: u64,
    /// The name of its branch.
    run: BranchName,
}

/// The runs of one history, and what its events need to know about earlier ones.
struct Runs {
    /// The number of this history in the file.
    number: u64,
    session: SessionId,
    /// By their first event.
    resets: Vec<Reset>,
    /// The numbers of the events that there will be, sorted.
    kept: Vec<u64>,
    /// The name of each activity, timer or child, by the event that began it, which is all that later events refer
    /// to.
    began: HashMap<u64, String>,
}

impl Runs {
    fn new(number: u64, session: SessionId) -> Self {
        Self { number, session, resets: Vec::new(), kept: Vec::new(), began: HashMap::new() }
    }

    fn note(&mut self, event: &Seen<'_>, is_kept: bool) -> Result<(), Invalid> {
        let attributes = Members::new(&event.attributes);
        if event.kind == "workflow_task_failed"
            && attributes.word("baseRunId").is_some()
            && let Some(run) = attributes.word("newRunId")
        {
            self.resets.push(Reset { id: event.id, run: names::branch(&run)? });
        }
        if is_kept {
            self.kept.push(event.id);
        }
        if let Some(name) = began(&event.attributes) {
            self.began.insert(event.id, name.into_owned());
        }
        Ok(())
    }

    /// The place of an event in the order of the file: histories stay one after another.
    fn order(&self, id: u64) -> u64 {
        self.number << ID_BITS | id.min((1 << ID_BITS) - 1)
    }

    fn reset(&self, id: u64) -> Option<&Reset> {
        self.resets.iter().rev().find(|r| r.id <= id)
    }

    fn place(&self, id: u64) -> Place {
        let branch = self.reset(id).map_or_else(BranchName::main, |r| r.run.clone());
        Place::new(self.session.clone(), branch)
    }

    /// The event with this number. After a reset a number means another event than in the first run.
    fn event(&self, id: u64) -> EventId {
        match self.reset(id) {
            None => event_id(&self.session, id),
            Some(reset) => {
                let (session, run) = (self.session.as_str(), reset.run.as_str());
                ids::derived(ids::TEMPORAL, &[session.as_bytes(), run.as_bytes(), id.to_string().as_bytes()])
            }
        }
    }

    /// Creates the branches, once all events are noted.
    fn fork(&mut self, plan: &mut Builder<'_>) {
        self.resets.sort_by_key(|r| r.id);
        self.kept.sort_unstable();
        for reset in &self.resets {
            let last = self.kept.iter().rev().find(|id| **id < reset.id);
            let parent = self.place(last.copied().unwrap_or_default());
            let at = last.map(|id| self.event(*id));
            plan.fork(self.order(reset.id), &self.place(reset.id), &parent, at);
        }
        if let Some(last) = self.resets.last() {
            plan.current(self.session.clone(), last.run.clone());
        }
    }
}

/// Reads the file twice, each time in its own order: an event can be made only when all others of its history are
/// known.
pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut histories = survey(input)?;
    for history in histories.values_mut() {
        history.fork(&mut plan);
    }
    for ref piece in input.pieces() {
        let text = input.text(piece);
        let read = text.as_deref().map_err(Clone::clone).and_then(read);
        match (read, histories.get(&piece.run)) {
            (Ok(seen), Some(runs)) => {
                let event = event(&seen, runs);
                let time = time(&seen.fields);
                let order = runs.order(seen.id);
                plan.push(piece, order, &runs.place(seen.id), Draft::new(event, time, Body::Record));
            }
            (Ok(_), None) => {}
            (Err(reason), _) => plan.skip(piece, reason),
        }
    }
    Ok(plan.finish())
}

/// The histories of the file, by their runs of records.
fn survey(input: &Input<'_>) -> Result<BTreeMap<usize, Runs>, Invalid> {
    let mut histories = BTreeMap::new();
    let mut named = HashSet::new();
    let fallbacks = input.sessions()?;
    for (n, run) in input.pieces.runs_with_records().into_iter().enumerate() {
        let session = match (&input.options.session, fallbacks.get(run)) {
            (Some(session), _) | (None, Some(session)) => session.clone(),
            (None, None) => input.session_or_stem()?,
        };
        histories.insert(run, Runs::new(n as u64, session));
    }
    for ref piece in input.pieces() {
        let Some(history) = histories.get_mut(&piece.run) else { continue };
        let text = input.text(piece);
        let Ok(seen) = text.as_deref().map_err(Clone::clone).and_then(read) else { continue };
        if input.options.session.is_none()
            && let Some(name) = run(&seen.attributes).filter(|_| !named.contains(&piece.run))
        {
            named.insert(piece.run);
            history.session = names::session(&name)?;
        }
        history.note(&seen, piece.range.len() <= input.options.max_payload)?;
    }
    Ok(histories)
}

fn read(text: &str) -> Result<Seen<'_>, String> {
    let fields = Fields::parse(text)?;
    let id = Members::new(&fields).scalar("eventId").ok_or("has no eventId")?;
    let id = id.parse().map_err(|_| format!("has the eventId {}, not a whole number", id.escape_debug()))?;
    let kind = temporal_names::kind(&Members::new(&fields).scalar("eventType").unwrap_or_default());
    let attributes = attributes(&fields);
    Ok(Seen { id, kind, fields, attributes })
}

/// The attributes of an event: under the name of its type, or inside `attributes`.
fn attributes<'a>(fields: &Fields<'a>) -> Fields<'a> {
    let named = |fields: &Fields<'a>, plain: &[&str]| {
        let is_it = |name: &str| temporal_names::is_attributes(name) || plain.contains(&name);
        let raw = fields.iter().find(|(name, _)| is_it(name)).map(|(_, raw)| raw);
        raw.and_then(|raw| Fields::parse(raw.get()).ok())
    };
    let outer = named(fields, &["attributes", "details"]).unwrap_or_default();
    named(&outer, &[]).unwrap_or(outer)
}

/// The name of the run, from its first event.
fn run(started: &Fields<'_>) -> Option<String> {
    let started = Members::new(started);
    let run = started.word("originalExecutionRunId")?;
    Some(run_name(&started.word("workflowId")?, &run))
}

fn run_name(workflow: &str, run: &str) -> String {
    format!("{workflow}.{run}")
}

/// The name of an activity, a timer or a child, from the event that begins it.
fn began<'a>(attributes: &Fields<'a>) -> Option<Cow<'a, str>> {
    let attributes = Members::new(attributes);
    if attributes.scalar("workflowTaskCompletedEventId").is_some() {
        let names = ["activityId", "timerId", "workflowId"];
        return names.iter().find_map(|n| attributes.word(n));
    }
    None
}

fn event(seen: &Seen<'_>, runs: &Runs) -> NewEvent {
    let (f, attributes) = (Members::new(&seen.fields), Members::new(&seen.attributes));
    let mut event = NewEvent::new(names::kind(&KINDS, "temporal", &seen.kind));
    event.id = runs.event(seen.id);
    event.source = "temporal".into();
    event.actor = attributes.word("identity").map_or_else(String::new, |i| names::label(&i)).into();
    let number = |name| attributes.scalar(name).and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0);
    event.causation = CAUSES.iter().find_map(|n| number(n)).map(|n| runs.event(n));
    if event.causation.is_none() {
        event.causation = parent(&attributes);
    }
    let origin = [number("scheduledEventId"), number("initiatedEventId"), number("startedEventId")];
    let tied = std::iter::once(seen.id).chain(origin.into_iter().flatten()).find_map(|n| runs.began.get(&n));
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
fn parent(started: &Members<'_, '_>) -> Option<EventId> {
    let execution = started.object("parentWorkflowExecution");
    let execution = Members::new(&execution);
    let name = run_name(&execution.word("workflowId")?, &execution.word("runId")?);
    let initiated = started.scalar("parentInitiatedEventId")?.parse().ok()?;
    Some(event_id(&names::session(&name).ok()?, initiated))
}

fn event_id(session: &SessionId, id: u64) -> EventId {
    ids::derived(ids::TEMPORAL, &[session.as_str().as_bytes(), id.to_string().as_bytes()])
}

/// `eventTime` as text, or as seconds and nanoseconds.
fn time(f: &Fields<'_>) -> Option<Timestamp> {
    let f = Members::new(f);
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
    use crate::agents::interop::Format;
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};

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
        // The parent's event is known although it is in another file.
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

    /// A history of these events, each with its number, its type and its attributes.
    fn history(events: &[(u64, &str, &str)]) -> String {
        let events = events.iter().map(|(id, kind, attributes)| {
            format!(
                r#"{{"eventId":"{id}","eventTime":"2026-01-01T00:00:0{id}Z","eventType":"{kind}","details":{attributes}}}"#
            )
        });
        format!("[{}]", events.collect::<Vec<_>>().join(","))
    }

    const STARTED: (u64, &str, &str) =
        (1, "WorkflowExecutionStarted", r#"{"workflowId":"wf","originalExecutionRunId":"base"}"#);

    #[test]
    fn a_reset_is_a_branch_where_the_copy_ends() {
        let reset = |id, base, new| {
            (
                id,
                "WorkflowTaskFailed",
                format!(r#"{{"startedEventId":"3","baseRunId":"{base}","newRunId":"{new}"}}"#),
            )
        };
        let task = [STARTED, (2, "WorkflowTaskScheduled", "{}"), (3, "WorkflowTaskStarted", "{}")];
        let first = reset(4, "base", "run-b");
        let second = reset(6, "run-b", "run-c");
        let b = [&task[..], &[(4, first.1, &first.2), (5, "TimerFired", "{}")]].concat();
        let c =
            [&b[..], &[(6, second.1, &second.2), (7, "TimerFired", r#"{"startedEventId":"5"}"#)]].concat();
        let plan = plan_of("c.json", history(&c));
        let begin = "wf.base/main: run.started workflow.task_scheduled workflow.task_started";
        assert_eq!(
            drawn(&plan),
            [
                begin,
                "wf.base/run-b < main",
                "wf.base/run-b: workflow.task_failed scheduler.timer_fired",
                "wf.base/run-c < run-b",
                "wf.base/run-c: workflow.task_failed scheduler.timer_fired"
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[3].causation, all[6].causation), (Some(all[2].id), Some(all[4].id)));
        assert_eq!(plan.current.values().next().unwrap().as_str(), "run-c");
        // The same in any order of the file, and the run before has the ids that it has alone.
        let mut backwards = c.clone();
        backwards.reverse();
        assert_eq!(drawn(&plan_of("c.json", history(&backwards))), drawn(&plan));
        let alone = plan_of("b.json", history(&b));
        let ids = |p: &crate::agents::interop::Plan| events(p).map(|(_, e)| e.id).collect::<Vec<_>>();
        assert_eq!(ids(&alone), ids(&plan)[..5]);
        // An ordinary failure of a task is not a reset.
        let failed = [&task[..], &[(4, "WorkflowTaskFailed", r#"{"baseRunId":"","newRunId":""}"#)]].concat();
        assert_eq!(drawn(&plan_of("f.json", history(&failed))).len(), 1);
    }

    #[test]
    fn a_run_and_its_reset_share_what_was_copied_whichever_comes_first() {
        let task = [STARTED, (2, "WorkflowTaskScheduled", "{}"), (3, "WorkflowTaskStarted", "{}")];
        let base = [&task[..], &[(4, "WorkflowExecutionTerminated", r#"{"reason":"reset"}"#)]].concat();
        let reset =
            (4, "WorkflowTaskFailed", r#"{"startedEventId":"3","baseRunId":"base","newRunId":"new"}"#);
        let new = [&task[..], &[reset, (5, "WorkflowExecutionCompleted", "{}")]].concat();
        for files in [[&base, &new], [&new, &base]] {
            let store = crate::store::Store::in_memory().unwrap();
            for (n, file) in files.iter().enumerate() {
                let plan = plan_of(&format!("{n}.json"), history(file));
                crate::agents::interop::load(&store, plan, &mut |_| {}).unwrap();
            }
            assert_eq!(store.committed().get(), 6);
            assert_eq!(store.head("wf.base").unwrap().get(), 4);
            assert_eq!(store.head("wf.base/new").unwrap().get(), 5);
            assert_eq!(store.branch("wf.base/new").unwrap().parent.unwrap().1.get(), 3);
            assert_eq!(store.current(&"wf.base".try_into().unwrap()).unwrap().as_str(), "new");
        }
    }

    #[test]
    fn every_spelling_of_members_and_types_is_one_history() {
        let camel = r#"[{"eventId":"1","eventTime":"2026-01-01T00:00:01Z","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED","workflowExecutionStartedEventAttributes":{"workflowId":"wf","originalExecutionRunId":"r"}},{"eventId":"2","eventTime":"2026-01-01T00:00:02Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED","activityTaskScheduledEventAttributes":{"activityId":"act","activityType":{"name":"fetch"},"workflowTaskCompletedEventId":"1"}},{"eventId":"3","eventTime":"2026-01-01T00:00:03Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_COMPLETED","activityTaskCompletedEventAttributes":{"scheduledEventId":"2"}}]"#;
        let details = ["workflowExecutionStarted", "activityTaskScheduled", "activityTaskCompleted"]
            .iter()
            .fold(camel.to_owned(), |file, name| file.replace(&format!("{name}EventAttributes"), "details"));
        let numbers = [
            ("WORKFLOW_EXECUTION_STARTED", "1"),
            ("ACTIVITY_TASK_SCHEDULED", "10"),
            ("ACTIVITY_TASK_COMPLETED", "12"),
        ]
        .iter()
        .fold(camel.to_owned(), |file, (name, n)| file.replace(&format!("\"EVENT_TYPE_{name}\""), n));
        let mut snake = camel.to_owned();
        for name in [
            "eventId",
            "eventTime",
            "eventType",
            "workflowId",
            "originalExecutionRunId",
            "activityId",
            "activityType",
            "workflowTaskCompletedEventId",
            "scheduledEventId",
            "workflowExecutionStartedEventAttributes",
            "activityTaskScheduledEventAttributes",
            "activityTaskCompletedEventAttributes",
        ] {
            snake = snake.replace(
                &format!("\"{name}\""),
                &format!("\"{}\"", crate::agents::interop::names::snake(name)),
            );
        }
        assert!(snake.contains("activity_task_completed_event_attributes"), "{snake}");
        let wrapped = camel
            .replace(
                "\"activityTaskCompletedEventAttributes\":{",
                "\"attributes\":{\"ActivityTaskCompletedEventAttributes\":{",
            )
            .replace("\"2\"}}]", "\"2\"}}}]");
        let outline = |file: &str| -> Vec<String> {
            let plan = plan_of("h.json", file);
            assert_eq!(plan.format, Format::Temporal);
            assert_eq!((restored(&plan).as_str(), plan.skipped.len()), (file, 0));
            let event = |(place, e): (&crate::event::Place, &crate::event::NewEvent)| {
                format!(
                    "{place} {} {} {} {:?} {} {:?}",
                    e.id,
                    e.kind(),
                    e.occurred,
                    e.causation,
                    e.correlation,
                    e.metadata.get("tool")
                )
            };
            events(&plan).map(event).collect()
        };
        assert!(outline(camel)[2].contains("tool.completed") && outline(camel)[2].contains("act"));
        for other in [details, numbers, snake, wrapped] {
            assert_eq!(outline(&other), outline(camel), "{other}");
        }
    }

    #[test]
    fn a_log_of_another_program_is_not_a_history() {
        for file in [
            r#"{"streamId":"o","eventNumber":0,"eventId":"6e8bc430-9c3a-11d9-9669-0800200c9a60","eventType":"OrderPlaced","data":{}}"#,
            r#"{"eventId":7,"eventType":"OrderPlaced","data":{},"stream":"o"}"#,
            r#"{"eventId":7,"eventType":"99","data":{}}"#,
        ] {
            assert_eq!(Format::detect("x.ndjson", file.as_bytes()), None, "{file}");
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
