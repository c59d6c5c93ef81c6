//! Event streams of AG-UI: lists of events, one event per line, or the stream as a server sends it (`data: {…}`).
//!
//! - The session is the thread that `RUN_STARTED` names; events before the first one go to a session named after the file.
//! - Events have no ids. They are identified by their run and their text, the equal ones by their order.
//! - An event is caused by the start of the message or call that it belongs to, else by the start of its run.

use std::collections::HashMap;

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId};

use super::builder::{Added, Draft};
use super::fields::Fields;
use super::input::Input;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, times};

/// Their types that mean the same as one of ours.
pub(super) const KINDS: [(&str, &str); 13] = [
    ("RUN_STARTED", "run.started"),
    ("RUN_FINISHED", "run.completed"),
    ("RUN_ERROR", "run.failed"),
    ("STEP_STARTED", "step.started"),
    ("STEP_FINISHED", "step.completed"),
    ("TEXT_MESSAGE_CONTENT", "message.delta"),
    ("TEXT_MESSAGE_CHUNK", "message.delta"),
    ("TOOL_CALL_START", "tool.invoked"),
    ("TOOL_CALL_CHUNK", "tool.progress"),
    ("TOOL_CALL_RESULT", "tool.completed"),
    ("STATE_SNAPSHOT", "state.snapshot_created"),
    ("STATE_DELTA", "state.changed"),
    ("MESSAGES_SNAPSHOT", "context.built"),
];

/// Their types, and a member that each has.
const TYPES: [(&str, &str); 35] = [
    ("RUN_STARTED", "runId"),
    ("RUN_FINISHED", "runId"),
    ("RUN_ERROR", "message"),
    ("STEP_STARTED", "stepName"),
    ("STEP_FINISHED", "stepName"),
    ("TEXT_MESSAGE_START", "messageId"),
    ("TEXT_MESSAGE_CONTENT", "messageId"),
    ("TEXT_MESSAGE_CHUNK", "type"),
    ("TEXT_MESSAGE_END", "messageId"),
    ("TOOL_CALL_START", "toolCallId"),
    ("TOOL_CALL_ARGS", "toolCallId"),
    ("TOOL_CALL_CHUNK", "type"),
    ("TOOL_CALL_END", "toolCallId"),
    ("TOOL_CALL_RESULT", "toolCallId"),
    ("STATE_SNAPSHOT", "snapshot"),
    ("STATE_DELTA", "delta"),
    ("MESSAGES_SNAPSHOT", "messages"),
    ("ACTIVITY_SNAPSHOT", "messageId"),
    ("ACTIVITY_DELTA", "messageId"),
    ("RAW", "event"),
    ("CUSTOM", "name"),
    ("THINKING_START", "type"),
    ("THINKING_END", "type"),
    ("THINKING_TEXT_MESSAGE_START", "type"),
    ("THINKING_TEXT_MESSAGE_CONTENT", "delta"),
    ("THINKING_TEXT_MESSAGE_END", "type"),
    ("REASONING_START", "messageId"),
    ("REASONING_END", "messageId"),
    ("REASONING_MESSAGE_START", "messageId"),
    ("REASONING_MESSAGE_CONTENT", "messageId"),
    ("REASONING_MESSAGE_CHUNK", "type"),
    ("REASONING_MESSAGE_END", "messageId"),
    ("REASONING_ENCRYPTED_VALUE", "type"),
    ("REASONING_CONTENT", "delta"),
    ("META", "type"),
];

/// Types that only these streams have, with members that each has. `CUSTOM`, `RAW` and errors are everywhere.
const TELLING: [(&str, [&str; 2]); 20] = [
    ("RUN_STARTED", ["threadId", "runId"]),
    ("RUN_FINISHED", ["threadId", "runId"]),
    ("TEXT_MESSAGE_START", ["messageId", "messageId"]),
    ("TEXT_MESSAGE_CONTENT", ["messageId", "delta"]),
    ("TEXT_MESSAGE_END", ["messageId", "messageId"]),
    ("TEXT_MESSAGE_CHUNK", ["messageId", "delta"]),
    ("TOOL_CALL_START", ["toolCallId", "toolCallName"]),
    ("TOOL_CALL_ARGS", ["toolCallId", "delta"]),
    ("TOOL_CALL_END", ["toolCallId", "toolCallId"]),
    ("TOOL_CALL_RESULT", ["toolCallId", "content"]),
    ("TOOL_CALL_CHUNK", ["toolCallId", "toolCallName"]),
    ("STATE_SNAPSHOT", ["snapshot", "snapshot"]),
    ("STATE_DELTA", ["delta", "delta"]),
    ("MESSAGES_SNAPSHOT", ["messages", "messages"]),
    ("ACTIVITY_SNAPSHOT", ["messageId", "activityType"]),
    ("ACTIVITY_DELTA", ["messageId", "activityType"]),
    ("THINKING_TEXT_MESSAGE_CONTENT", ["delta", "delta"]),
    ("REASONING_START", ["messageId", "messageId"]),
    ("REASONING_MESSAGE_START", ["messageId", "messageId"]),
    ("REASONING_MESSAGE_CONTENT", ["messageId", "delta"]),
];

pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let Some(what) = f.text("type") else { return false };
    let is_list = |name: &str| f.value(name).is_some_and(|v| v.starts_with('['));
    is_record(f)
        && TELLING.iter().any(|(name, members)| *name == what && members.iter().all(|member| f.has(member)))
        && match &*what {
            "STATE_DELTA" => is_list("delta"),
            "MESSAGES_SNAPSHOT" => is_list("messages"),
            _ => true,
        }
}

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let Some(what) = f.text("type") else { return false };
    // The value of a snapshot can be null.
    TYPES.iter().any(|(name, member)| *name == what && f.raw(member).is_some()) && !f.has("payload")
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut unnamed = ids::Occurrences::default();
    let mut runs: Vec<Run> = input.sessions()?.into_iter().map(Run::new).collect();
    for ref piece in input.pieces() {
        let Some(run) = runs.get_mut(piece.run) else { continue };
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => {
                let thread = f.word("threadId").filter(|_| input.options.session.is_none());
                if let Some(thread) = thread {
                    run.enter(names::session(&thread)?);
                }
                let mut event = run.event(&f);
                let own = [run.session.as_str().as_bytes(), run.id.as_bytes(), text.as_bytes()];
                event.id = unnamed.next(ids::derived(ids::AG_UI, &own));
                let place = Place::new(run.session.clone(), BranchName::main());
                let draft = Draft::new(event, times::in_member(&f, "timestamp"), Body::Record);
                let added = plan.push(piece, piece.ordinal as u64, &place, draft);
                if let Added::New(id) | Added::Variant(id) = added {
                    run.note(&f, id);
                }
            }
            Err(reason) => plan.skip(piece, reason),
        }
    }
    Ok(plan.finish())
}

/// The run that events belong to.
struct Run {
    session: SessionId,
    id: String,
    started: Option<EventId>,
    /// Where each message and each call began.
    starts: HashMap<String, EventId>,
}

impl Run {
    fn new(session: SessionId) -> Self {
        Self { session, id: String::new(), started: None, starts: HashMap::new() }
    }

    fn enter(&mut self, session: SessionId) {
        if session != self.session {
            *self = Self::new(session);
        }
    }

    fn event(&mut self, f: &Fields<'_>) -> NewEvent {
        let what = f.text("type").unwrap_or_default();
        if what == "RUN_STARTED" {
            self.id = f.word("runId").map_or_else(String::new, |id| id.into_owned());
            self.started = None;
        }
        let mut event = NewEvent::new(names::kind(&KINDS, "ag_ui", &what));
        event.source = "ag-ui".into();
        event.actor = f
            .word("role")
            .filter(|role| role != "tool")
            .map_or_else(String::new, |r| names::label(&r))
            .into();
        let of = f.word("toolCallId").or_else(|| f.word("messageId"));
        event.correlation = of.as_deref().map_or_else(|| names::label(&self.id), names::label).into();
        event.causation = of.and_then(|of| self.starts.get(&*of).copied()).or(self.started);
        if let Some(tool) = f.word("toolCallName") {
            event.metadata.insert("tool".to_owned(), names::label(&tool));
        }
        event
    }

    fn note(&mut self, f: &Fields<'_>, id: EventId) {
        let what = f.text("type").unwrap_or_default();
        if what == "RUN_STARTED" {
            self.started = Some(id);
        }
        if what.ends_with("_START")
            && let Some(of) = f.word("toolCallId").or_else(|| f.word("messageId"))
        {
            self.starts.insert(of.into_owned(), id);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::agents::interop::Format;
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};

    const RUN: [&str; 8] = [
        r#"{"type":"RUN_STARTED","threadId":"t-1","runId":"r-1"}"#,
        r#"{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"a"}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"a"}"#,
        r#"{"type":"TOOL_CALL_START","toolCallId":"c","toolCallName":"ls"}"#,
        r#"{"type":"TOOL_CALL_RESULT","toolCallId":"c","messageId":"m2","content":"x","role":"tool"}"#,
        r#"{"type":"STATE_DELTA","delta":[],"timestamp":1772569904604}"#,
        r#"{"type":"RUN_FINISHED","threadId":"t-1","runId":"r-1"}"#,
    ];
    const KINDS: &str = "t-1/main: run.started ag_ui.text_message_start message.delta message.delta tool.invoked tool.completed state.changed run.completed";

    #[test]
    fn every_way_of_writing_a_stream_gives_its_events() {
        for file in [
            RUN.join("\n") + "\n",
            format!("[\n  {}\n]\n", RUN.join(",\n  ")),
            format!("{{\"stream\": [{}]}}", RUN.join(", ")),
            RUN.map(|e| format!("data: {e}\n\n")).concat(),
            format!(
                "\u{feff}: ping\n\nevent: message\nid: 1\n{}retry: 5\ndata: [DONE]\n\n",
                RUN.map(|e| format!("data:{e}\r\n\r\n")).concat()
            ),
        ] {
            let plan = plan_of("s.txt", &file);
            assert_eq!(plan.format, Format::AgUi, "{file}");
            assert_eq!(drawn(&plan), [KINDS], "{file}");
            assert!(plan.skipped.is_empty() && plan.notes.is_empty(), "{:?} {:?}", plan.skipped, plan.notes);
            assert_eq!(restored(&plan), file);
        }
        let plan = plan_of("s.txt", RUN.join("\n"));
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[3].causation, all[5].causation), (Some(all[1].id), Some(all[4].id)));
        assert_eq!((all[6].causation, &*all[5].correlation), (Some(all[0].id), "c"));
        assert_eq!(all[6].occurred.micros(), 1_772_569_904_604_000);
    }

    #[test]
    fn each_thread_is_a_session_and_what_names_none_is_called_after_the_file() {
        let two = RUN.join("\n") + "\n" + &RUN.join("\n").replace("-1\"", "-2\"");
        assert_eq!(plan_of("s.jsonl", &two).places().len(), 2);
        let plan = plan_of("s.json", format!("[{}]", RUN[1..7].join(",")));
        assert!(drawn(&plan)[0].starts_with("s/main: "), "{:?}", drawn(&plan));
    }

    #[test]
    fn a_broken_event_of_a_stream_is_named_with_its_line() {
        let file = format!("data: {}\n\ndata: {{\"incomplete\":\n\ndata: {}\n\n", RUN[0], RUN[7]);
        let plan = plan_of("s.txt", &file);
        assert_eq!((plan.events(), plan.skipped.len()), (2, 1), "{:?}", plan.skipped);
        assert_eq!(plan.skipped[0].line, 3);
    }
}
