//! Sessions of Copilot CLI (`~/.copilot/session-state/<session>/events.jsonl`): one event per line, each with its `id` and
//! the `parentId` of the event that it follows.
//!
//! - The session is the `sessionId` of `session.start`, else the file's name.
//! - A message of the user begins a branch when the event that it follows is before another message of the user: the
//!   session was rewound. Other events that do not follow the last one, as those of parallel calls, begin none.
//! - An event is caused by the call that it answers, else by its parent.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::event::{EventId, Invalid, NewEvent, SessionId};

use super::builder::{Added, Builder, Draft};
use super::fields::Fields;
use super::history::History;
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source, times};

/// Their events that mean the same as one of our types.
pub(super) const KINDS: [(&str, &str); 29] = [
    ("session.start", "session.created"),
    ("session.resume", "session.resumed"),
    ("session.shutdown", "session.closed"),
    ("session.error", "error.raised"),
    ("session.truncation", "context.compacted"),
    ("session.compaction_complete", "context.compacted"),
    ("session.model_change", "mode.changed"),
    ("session.mode_changed", "mode.changed"),
    ("user.message", "message.user"),
    ("system.message", "message.system"),
    ("assistant.message", "message.assistant"),
    ("assistant.reasoning", "message.thinking"),
    ("assistant.message_delta", "message.delta"),
    ("assistant.turn_start", "step.started"),
    ("assistant.turn_end", "step.completed"),
    ("tool.execution_start", "tool.invoked"),
    ("tool.user_requested", "tool.invoked"),
    ("tool.execution_progress", "tool.progress"),
    ("tool.execution_partial_result", "tool.progress"),
    ("tool.execution_complete", "tool.completed"),
    ("tool.execution_complete.failed", "tool.errored"),
    ("subagent.started", "agent.invoked"),
    ("subagent.completed", "agent.completed"),
    ("subagent.failed", "agent.failed"),
    ("permission.requested", "approval.requested"),
    ("permission.completed", "approval.resolved"),
    ("abort", "run.cancelled"),
    ("task.started", "task.started"),
    ("task.completed", "task.completed"),
];

/// How their types begin. `abort` is the only one without a dot.
const DOMAINS: [&str; 11] = [
    "session",
    "user",
    "system",
    "assistant",
    "tool",
    "subagent",
    "permission",
    "hook",
    "skill",
    "user_input",
    "pending_messages",
];

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let Some(what) = f.text("type") else { return false };
    let is_known =
        what == "abort" || what.split_once('.').is_some_and(|(domain, _)| DOMAINS.contains(&domain));
    let is_start = || what == "session.start" && f.object("data").has("sessionId");
    let is_linked = || f.has("timestamp") && f.raw("parentId").is_some();
    is_known
        && f.has("id")
        && f.value("data").is_some_and(|v| v.starts_with('{'))
        && (is_start() || is_linked())
}

/// Other logs have events of users and sessions too: these are the ones that only this program has.
const TELLING: [&str; 9] = [
    "session.start",
    "session.resume",
    "user.message",
    "assistant.message",
    "assistant.turn_start",
    "assistant.turn_end",
    "tool.execution_start",
    "tool.execution_complete",
    "session.model_change",
];

pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    is_record(f) && f.text("type").is_some_and(|what| TELLING.contains(&&*what))
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut reader = Session {
        plan: input.builder(),
        history: History::new(session(input)?),
        events: HashMap::new(),
        calls: HashMap::new(),
        turns: 0,
    };
    for ref piece in input.pieces() {
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => reader.record(piece, text, &f),
            Err(reason) => reader.plan.skip(piece, reason),
        }
    }
    reader.history.finish(&mut reader.plan);
    Ok(reader.plan.finish())
}

/// The session that was asked for, else that of the first `session.start`, else one named after the file.
fn session(input: &Input<'_>) -> Result<SessionId, Invalid> {
    if input.options.session.is_some() {
        return input.session_or_stem();
    }
    let texts = input.pieces().filter_map(|p| input.text(&p).ok());
    let mut named = texts.filter_map(|t| {
        let f = Fields::parse(&t)
            .ok()
            .filter(|f| f.text("type").is_some_and(|what| what.starts_with("session.")))?;
        Some(f.object("data").word("sessionId")?.into_owned())
    });
    named.next().map_or_else(|| input.session_or_stem(), |name| names::session(&name))
}

struct Session<'a> {
    plan: Builder<'a>,
    history: History,
    events: HashMap<String, Known>,
    calls: HashMap<String, EventId>,
    /// Messages of the user on this branch so far.
    turns: usize,
}

#[derive(Clone, Copy)]
struct Known {
    event: EventId,
    /// Messages of the user up to and including it.
    turns: usize,
}

impl Session<'_> {
    fn record(&mut self, piece: &Piece, text: &str, f: &Fields<'_>) {
        let data = f.object("data");
        let name = name(f, &data);
        let id = f.word("id");
        let parent = f.word("parentId").and_then(|parent| self.events.get(&*parent)).copied();
        let call = data.word("toolCallId");
        let session = self.history.session().as_str().as_bytes();
        let mut event = NewEvent::new(kind(&name));
        let given = id.as_deref().unwrap_or(text);
        event.id = ids::derived(ids::COPILOT_CLI, &[session, given.as_bytes()]);
        event.source = "copilot-cli".into();
        event.actor = actor(&name).into();
        let of = call.clone().or_else(|| data.word("messageId")).or_else(|| data.word("turnId"));
        event.correlation = of.as_deref().map_or_else(String::new, names::label).into();
        let is_call = name.starts_with("tool.execution_start") || name == "tool.user_requested";
        let answered = call.as_deref().filter(|_| !is_call).and_then(|call| self.calls.get(call)).copied();
        event.causation = answered.or(parent.map(|p| p.event)).or_else(|| self.history.last());
        let tool = data.word("toolName").or_else(|| data.word("mcpToolName"));
        let agent = data.word("agentName").or_else(|| f.word("agentId"));
        for (key, value) in [(source::ID, id.clone()), ("tool", tool), ("agent", agent)] {
            if let Some(value) = value {
                event.metadata.insert(key.to_owned(), names::label(&value));
            }
        }
        let is_prompt = name == "user.message";
        let is_new = id.as_deref().is_none_or(|id| !self.events.contains_key(id));
        if let Some(parent) = parent.filter(|parent| is_prompt && is_new && parent.turns < self.turns) {
            self.history.go_back(Some(parent.event));
            self.turns = parent.turns;
        }
        let time = times::in_member(f, "timestamp").or_else(|| times::in_member(&data, "startTime"));
        let draft = Draft::new(event, time, Body::Record);
        let (Added::New(event) | Added::Variant(event)) = self.history.push(&mut self.plan, piece, draft)
        else {
            return;
        };
        self.turns += usize::from(is_prompt);
        // What joined a branch late is judged by what it follows.
        let turns = parent.filter(|_| !is_prompt).map_or(self.turns, |p| p.turns);
        if let Some(id) = id {
            self.events.insert(id.into_owned(), Known { event, turns });
        }
        if let Some(call) = call.filter(|_| is_call) {
            self.calls.insert(call.into_owned(), event);
        }
    }
}

/// Their type, and whether a call failed.
fn name(f: &Fields<'_>, data: &Fields<'_>) -> String {
    let what = f.text("type").unwrap_or_default();
    let failed =
        what == "tool.execution_complete" && (data.value("success") == Some("false") || data.has("error"));
    if failed { format!("{what}.failed") } else { what.into_owned() }
}

fn kind(name: &str) -> Cow<'static, str> {
    names::kind(&KINDS, "copilot_cli", name)
}

fn actor(name: &str) -> &'static str {
    match name.split_once('.') {
        Some(("user", _)) => "user",
        Some(("assistant", _)) => "assistant",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use crate::agents::interop::Format;
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};

    fn line(id: &str, parent: &str, what: &str, data: &str) -> String {
        let parent = if parent.is_empty() { "null".to_owned() } else { format!("\"{parent}\"") };
        format!(
            "{{\"type\":\"{what}\",\"data\":{{{data}}},\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:04:05.000Z\",\"parentId\":{parent}}}\n"
        )
    }

    fn start() -> String {
        line("0", "", "session.start", "\"sessionId\":\"c-1\",\"startTime\":\"2026-01-02T03:04:05.000Z\"")
    }

    #[test]
    fn parallel_calls_are_one_line_of_history() {
        let file = start()
            + &line("1", "0", "user.message", "\"content\":\"hi\"")
            + &line("2", "1", "assistant.message", "\"messageId\":\"m1\",\"toolRequests\":[]")
            + &line("3", "2", "tool.execution_start", "\"toolCallId\":\"t1\",\"toolName\":\"bash\"")
            + &line("4", "2", "tool.execution_start", "\"toolCallId\":\"t2\",\"toolName\":\"view\"")
            + &line("5", "4", "tool.execution_complete", "\"toolCallId\":\"t1\",\"success\":false")
            + &line("6", "4", "tool.execution_complete", "\"toolCallId\":\"t2\",\"success\":true")
            + &line("7", "6", "session.info", "\"message\":\"x\"")
            + &line("8", "7", "session.shutdown", "\"reason\":\"done\"");
        let plan = plan_of("c-1/events.jsonl", &file);
        assert_eq!(plan.format, Format::CopilotCli);
        assert_eq!(
            drawn(&plan),
            [
                "c-1/main: session.created message.user message.assistant tool.invoked tool.invoked tool.errored tool.completed copilot_cli.session_info session.closed"
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[5].causation, all[6].causation), (Some(all[3].id), Some(all[4].id)));
        assert_eq!((&*all[5].correlation, &*all[3].metadata["tool"]), ("t1", "bash"));
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_message_of_the_user_after_a_rewind_begins_a_branch() {
        let said = |id: &str, parent: &str, who: &str| {
            line(id, parent, &format!("{who}.message"), "\"content\":\"x\"")
        };
        let file = start()
            + &said("1", "0", "user")
            + &said("2", "1", "assistant")
            + &said("3", "2", "user")
            + &said("4", "3", "assistant")
            + &said("5", "2", "user")
            + &said("6", "5", "assistant");
        let plan = plan_of("events.jsonl", &file);
        let drawn = drawn(&plan);
        assert_eq!(drawn.first().unwrap(), "c-1/main: session.created message.user message.assistant");
        assert_eq!(drawn.last().unwrap(), "c-1/main: message.user message.assistant");
        assert_eq!(plan.places().len(), 2);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_line_that_is_written_twice_is_one_event() {
        let file = start() + &line("1", "0", "user.message", "\"content\":\"hi\"");
        let plan = plan_of("events.jsonl", file.clone() + &file);
        assert_eq!((plan.events(), plan.duplicates), (2, 2));
        assert_eq!(restored(&plan), file.clone() + &file);
    }
}
