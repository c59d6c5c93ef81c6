//! Rollouts of Codex (`rollout-*.jsonl`): one record per line, `{"timestamp", "type", "payload"}`. The rollouts of its
//! first releases, whose lines are the payloads themselves, and the older `{"session", "items"}` documents are read too.
//!
//! - The session is the `id` of the first `session_meta`. Those that follow in a file belong to the history that a fork
//!   or a sub-agent copied from its parent, which is a session of its own. A file without one is called by the id in its
//!   name.
//! - Records have no ids. One with a time is identified by its text, so a line that is written twice is one event.
//! - `thread_rolled_back` takes back the last turns of the user, counted as Codex counts them: what follows begins a
//!   branch before them.
//! - Messages and reasoning are written twice, as an item of the model's history and as an event for the user interface.
//!   The one that is written first is the message; the other, with the same text, is an event `codex.*`. So is the end of
//!   a call that has its output among the items.
//! - An event is caused by the call that it answers, else by the prompt of its turn.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::event::{EventId, Invalid, NewEvent, SessionId, Timestamp};
use crate::limits::MAX_IMPORT_ECHOES;

use super::builder::{Added, Builder, Draft};
use super::codex_message::{
    begins_turn, blocks, is_context, is_shown_context, is_update, left_by, shown_words, words,
};
use super::codex_turns::{PromptHalf, UserTurns};
use super::fields::{Fields, string};
use super::history::History;
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source, times};

/// Their records that mean the same as one of our types: `<type>.<payload type>`, and what tells apart those of one
/// type.
pub(super) const KINDS: [(&str, &str); 46] = [
    ("session_meta", "session.created"),
    ("turn_context", "context.updated"),
    ("compacted", "context.summarized"),
    ("response_item.message.user", "message.user"),
    ("response_item.message.assistant", "message.assistant"),
    ("response_item.message.developer", "message.system"),
    ("response_item.message.system", "message.system"),
    ("response_item.message.context", "message.system"),
    ("response_item.reasoning", "message.thinking"),
    ("response_item.function_call", "tool.invoked"),
    ("response_item.custom_tool_call", "tool.invoked"),
    ("response_item.local_shell_call", "tool.invoked"),
    ("response_item.web_search_call", "tool.invoked"),
    ("response_item.tool_search_call", "tool.invoked"),
    ("response_item.image_generation_call", "tool.invoked"),
    ("response_item.function_call_output", "tool.completed"),
    ("response_item.function_call_output.failed", "tool.errored"),
    ("response_item.custom_tool_call_output", "tool.completed"),
    ("response_item.custom_tool_call_output.failed", "tool.errored"),
    ("response_item.tool_search_output", "tool.completed"),
    ("response_item.compaction", "context.compacted"),
    ("event_msg.user_message", "message.user"),
    ("event_msg.agent_message", "message.assistant"),
    ("event_msg.agent_reasoning", "message.thinking"),
    ("event_msg.agent_reasoning_raw_content", "message.thinking"),
    ("event_msg.token_count", "message.usage"),
    ("event_msg.context_compacted", "context.compacted"),
    ("event_msg.task_started", "task.started"),
    ("event_msg.turn_started", "task.started"),
    ("event_msg.task_complete", "task.completed"),
    ("event_msg.turn_complete", "task.completed"),
    ("event_msg.turn_aborted", "task.cancelled"),
    ("event_msg.exec_command_begin", "tool.started"),
    ("event_msg.mcp_tool_call_begin", "tool.started"),
    ("event_msg.exec_command_end", "tool.completed"),
    ("event_msg.exec_command_end.failed", "tool.errored"),
    ("event_msg.mcp_tool_call_end", "tool.completed"),
    ("event_msg.mcp_tool_call_end.failed", "tool.errored"),
    ("event_msg.patch_apply_end", "tool.completed"),
    ("event_msg.patch_apply_end.failed", "tool.errored"),
    ("event_msg.web_search_end", "tool.completed"),
    ("event_msg.image_generation_end", "tool.completed"),
    ("event_msg.exec_approval_request", "approval.requested"),
    ("event_msg.apply_patch_approval_request", "approval.requested"),
    ("event_msg.error", "error.raised"),
    ("event_msg.stream_error", "error.raised"),
];

/// The types of records.
const TYPES: [&str; 5] = ["session_meta", "response_item", "compacted", "turn_context", "event_msg"];
/// The types of items that stood on lines of their own in the first releases, and what each has besides its type.
const ITEMS: [(&str, &str); 5] = [
    ("message", "role"),
    ("reasoning", "summary"),
    ("function_call", "call_id"),
    ("function_call_output", "call_id"),
    ("local_shell_call", "action"),
];
/// Lines of an output that may tell how a command ended.
const EXIT_LINES: usize = 8;

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let Some(what) = f.text("type") else {
        let is_state = f.text("record_type").is_some_and(|t| t == "state");
        return is_state || is_bare_meta(f);
    };
    let is_line = TYPES.contains(&&*what) && is_object(f, "payload");
    is_line || is_item(f, &what)
}

/// Items alone are those of any program that uses the API. Lines have a time, and a payload of their type; the first
/// releases began with a line about the session, or had one object around its items.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let Some(what) = f.text("type") else {
        let is_id = f.text("id").is_some_and(|id| uuid::Uuid::try_parse(&id).is_ok());
        return is_bare_meta(f) && is_id && times::in_member(f, "timestamp").is_some() || is_document(f);
    };
    let payload = f.object("payload");
    f.has("timestamp")
        && match &*what {
            "session_meta" => payload.has("id") || payload.has("cwd"),
            "response_item" => payload.has("type") || payload.has("role"),
            "event_msg" => payload.has("type"),
            "turn_context" => payload.has("cwd") || payload.has("model"),
            "compacted" => payload.has("message") || payload.has("replacement_history"),
            _ => false,
        }
}

/// A session and its items.
fn is_document(f: &Fields<'_>) -> bool {
    let is_item = |item: &serde_json::value::RawValue| {
        Fields::parse(item.get()).is_ok_and(|f| f.text("type").is_some_and(|what| is_item(&f, &what)))
    };
    f.object("session").has("id") && f.list("items").into_iter().any(is_item)
}

/// Other programs have messages too: those of an API name their model, those of a log their session.
fn is_item(f: &Fields<'_>, what: &str) -> bool {
    let is_known = ITEMS.iter().any(|(item, member)| *item == what && f.has(member));
    let is_listed = what != "message" || f.value("content").is_some_and(|v| v.starts_with('['));
    is_known && is_listed && !["model", "uuid", "session_id", "sessionId"].iter().any(|name| f.has(name))
}

/// The first line of the first releases.
fn is_bare_meta(f: &Fields<'_>) -> bool {
    f.has("id") && f.has("timestamp") && f.raw("instructions").is_some() && !f.has("source")
}

fn is_object(f: &Fields<'_>, name: &str) -> bool {
    f.value(name).is_some_and(|v| v.starts_with('{'))
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut reader = Rollout {
        plan: input.builder(),
        history: History::new(session(input)?),
        id: None,
        turns: UserTurns::default(),
        prompt: None,
        calls: HashMap::new(),
        said: VecDeque::new(),
        unnamed: ids::Occurrences::default(),
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

/// The session that was asked for, else that of the first `session_meta`, else that of the file's name.
fn session(input: &Input<'_>) -> Result<SessionId, Invalid> {
    if input.options.session.is_some() {
        return input.session_or_stem();
    }
    let texts = input.pieces().filter_map(|p| input.text(&p).ok());
    let mut ids = texts.filter_map(|t| Line::of(&Fields::parse(&t).ok()?).session_id());
    if let Some(id) = ids.next() {
        return names::session(&id);
    }
    match id_in_name(names::stem(input.file)) {
        Some(id) => names::session(id),
        None => input.session_or_stem(),
    }
}

/// The id at the end of `rollout-2026-01-02T03-04-05-<id>`.
fn id_in_name(stem: &str) -> Option<&str> {
    let rest = stem.strip_prefix("rollout-")?;
    let id = rest.get(rest.len().checked_sub(36)?..)?;
    uuid::Uuid::try_parse(id).is_ok().then_some(id)
}

/// A record, whatever release wrote it.
struct Line<'a> {
    what: Cow<'a, str>,
    payload: Fields<'a>,
    time: Option<Timestamp>,
}

impl<'a> Line<'a> {
    fn of(f: &Fields<'a>) -> Self {
        let time = times::in_member(f, "timestamp");
        let what = f.text("type");
        if is_object(f, "payload") {
            return Self {
                what: what.unwrap_or(Cow::Borrowed("unknown")),
                payload: f.object("payload"),
                time,
            };
        }
        let own = |what| Self { what: Cow::Borrowed(what), payload: f.clone(), time };
        match what {
            Some(what) if is_item(f, &what) => own("response_item"),
            Some(what) => Self { what, payload: f.clone(), time },
            None if is_bare_meta(f) => own("session_meta"),
            None => own("state"),
        }
    }

    fn session_id(&self) -> Option<String> {
        let id = if self.what == "session_meta" { self.payload.word("id") } else { None };
        id.map(Cow::into_owned)
    }

    /// What tells it from others of its type.
    fn name(&self) -> String {
        let what = self.payload.text("type");
        let what = what.as_deref().unwrap_or(if self.payload.has("role") { "message" } else { "" });
        let detail = match (&*self.what, what) {
            ("response_item", "message") if is_context(&self.payload) => Some("context".to_owned()),
            ("response_item", "message") => Some(self.payload.text("role").unwrap_or_default().into_owned()),
            ("response_item", "function_call_output" | "custom_tool_call_output") => {
                output_failed(&self.payload).then(|| "failed".to_owned())
            }
            ("event_msg", "user_message") if is_shown_context(&self.payload) => Some("context".to_owned()),
            ("event_msg", "exec_command_end" | "mcp_tool_call_end" | "patch_apply_end") => {
                end_failed(&self.payload).then(|| "failed".to_owned())
            }
            _ => None,
        };
        let nested = matches!(&*self.what, "response_item" | "event_msg") && !what.is_empty();
        let mut name = self.what.clone().into_owned();
        for part in [nested.then_some(what), detail.as_deref()].into_iter().flatten() {
            name.push('.');
            name.push_str(part);
        }
        name
    }

    /// The texts of a message or of reasoning, if it is one, and whose they are.
    fn texts(&self) -> Option<(Voice, Vec<String>)> {
        let f = &self.payload;
        let whole = |name: &str| f.text(name).into_iter().map(Cow::into_owned).collect();
        let what = f.text("type");
        match (&*self.what, what.as_deref()) {
            ("event_msg", Some("user_message")) => Some((Voice::User, vec![shown_words(f)])),
            ("event_msg", Some("agent_message")) => Some((Voice::Agent, whole("message"))),
            ("event_msg", Some("agent_reasoning" | "agent_reasoning_raw_content")) => {
                Some((Voice::Thought, whole("text")))
            }
            ("response_item", Some("reasoning")) => {
                Some((Voice::Thought, [blocks(f, "summary"), blocks(f, "content")].concat()))
            }
            ("response_item", Some("message") | None) => match f.text("role").as_deref() {
                Some("user") => Some((Voice::User, vec![words(f)])),
                Some("assistant") => Some((Voice::Agent, vec![blocks(f, "content").concat()])),
                _ => None,
            },
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    User,
    Agent,
    Thought,
}

/// Whether the output of a call says that it failed.
fn output_failed(f: &Fields<'_>) -> bool {
    let Some(output) = f.value("output") else { return false };
    let says_so = |f: &Fields<'_>| {
        let code = f.object("metadata").scalar("exit_code");
        f.value("success") == Some("false") || code.is_some_and(|code| code != "0")
    };
    if output.starts_with('{') {
        return says_so(&f.object("output"));
    }
    let Some(text) = string(output) else { return false };
    if text.starts_with('{') {
        return Fields::parse(&text).is_ok_and(|f| says_so(&f));
    }
    let code = |line: &str| {
        let line = line.trim();
        let code =
            line.strip_prefix("Process exited with code ").or_else(|| line.strip_prefix("Exit code: "))?;
        code.parse::<i64>().ok()
    };
    text.lines().take(EXIT_LINES).find_map(code).is_some_and(|code| code != 0)
}

/// Whether the end of a call says that it failed.
fn end_failed(f: &Fields<'_>) -> bool {
    let result = f.object("result");
    let code = f.scalar("exit_code");
    f.value("success") == Some("false")
        || code.is_some_and(|code| code != "0")
        || result.has("Err")
        || result.object("Ok").is_true("isError")
        || result.object("Ok").is_true("is_error")
}

struct Rollout<'a> {
    plan: Builder<'a>,
    history: History,
    /// The id of the first `session_meta`.
    id: Option<String>,
    turns: UserTurns,
    /// The prompt of this turn.
    prompt: Option<EventId>,
    /// The events of tool calls.
    calls: HashMap<String, EventId>,
    /// Recent texts that were written once so far: by whom, whether as items, and a hash.
    said: VecDeque<(Voice, bool, EventId)>,
    unnamed: ids::Occurrences,
}

impl Rollout<'_> {
    fn record(&mut self, piece: &Piece, text: &str, f: &Fields<'_>) {
        let line = Line::of(f);
        let session = self.history.session().as_str().as_bytes();
        let own = ids::derived(ids::CODEX, &[session, text.as_bytes()]);
        let id = if line.time.is_some() { own } else { self.unnamed.next(own) };
        let name = line.name();
        let call = line
            .payload
            .word("call_id")
            .or_else(|| line.payload.word("id").filter(|_| name.ends_with("_call")));
        let cause = call.as_deref().and_then(|call| self.calls.get(call)).copied();
        let is_echo = self.is_echo(&line, &name, cause.is_some());
        let mut event = NewEvent::new(if is_echo { unmapped(&name) } else { kind(&name) });
        event.id = id;
        event.source = "codex".into();
        event.actor = actor(&name).into();
        event.causation = cause.or(self.prompt);
        let of =
            call.as_deref().map(str::to_owned).or_else(|| line.payload.word("turn_id").map(Cow::into_owned));
        event.correlation = of.as_deref().map_or_else(String::new, names::label).into();
        note(&mut event, &line);
        let before = self.history.last();
        let is_prompt = event.kind() == "message.user";
        let added = self.history.push(&mut self.plan, piece, Draft::new(event, line.time, Body::Record));
        let (Added::New(id) | Added::Variant(id)) = added else { return };
        if let Some(call) = call
            && cause.is_none()
            && name.ends_with("_call")
        {
            self.calls.insert(call.into_owned(), id);
        }
        let payload = &line.payload;
        match &*name {
            "session_meta" if self.id.is_none() => self.id = line.session_id(),
            "event_msg.task_started" | "event_msg.turn_started" => self.turns.open(before),
            "event_msg.thread_rolled_back" => self.roll_back(payload),
            "event_msg.user_message" => self.turns.begin(PromptHalf::Shown, before, self.prompt),
            "inter_agent_communication" => self.turns.begin(PromptHalf::Item, before, self.prompt),
            "compacted" => self.turns.compact(left_by(payload), before, self.prompt),
            _ if line.what != "response_item" => {}
            _ if begins_turn(payload) => self.turns.begin(PromptHalf::Item, before, self.prompt),
            _ => self.turns.item(is_context(payload) || is_update(payload), before),
        }
        if is_prompt {
            self.prompt = Some(id);
        }
    }

    /// Whether the record only repeats what another one says.
    fn is_echo(&mut self, line: &Line<'_>, name: &str, is_called: bool) -> bool {
        if name == "session_meta" {
            return self.id.is_some();
        }
        if name.starts_with("event_msg.") && name.trim_end_matches(".failed").ends_with("_end") {
            let has_output =
                !name.starts_with("event_msg.web_search") && !name.starts_with("event_msg.image");
            return is_called && has_output;
        }
        if name.ends_with(".context") {
            return false;
        }
        let Some((voice, texts)) = line.texts() else { return false };
        let is_item = line.what == "response_item";
        let mut found = false;
        for text in texts.iter().filter(|text| !text.trim().is_empty()) {
            let hash = ids::derived(ids::CODEX, &[text.trim().as_bytes()]);
            match self.said.iter().position(|said| *said == (voice, !is_item, hash)) {
                Some(at) => {
                    self.said.remove(at);
                    found = true;
                }
                None => {
                    self.said.push_back((voice, is_item, hash));
                    if self.said.len() > MAX_IMPORT_ECHOES {
                        self.said.pop_front();
                    }
                }
            }
        }
        found
    }

    /// Goes back to before the last turns of the user.
    fn roll_back(&mut self, f: &Fields<'_>) {
        let turns = f.scalar("num_turns").filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let turns = turns.map_or(0, |n| n.parse().unwrap_or(usize::MAX));
        if let Some(first) = self.turns.roll_back(turns) {
            self.history.go_back(first.before);
            self.prompt = first.prompt;
        }
    }
}

fn kind(name: &str) -> Cow<'static, str> {
    match KINDS.iter().find(|(theirs, _)| *theirs == name) {
        Some((_, ours)) => Cow::Borrowed(ours),
        None => unmapped(name),
    }
}

/// The type of a record that has none of ours, or only repeats another: `codex.user_message`.
fn unmapped(name: &str) -> Cow<'static, str> {
    let name = name.trim_end_matches(".failed");
    let name =
        name.strip_prefix("response_item.").or_else(|| name.strip_prefix("event_msg.")).unwrap_or(name);
    names::kind(&[], "codex", name)
}

fn actor(name: &str) -> &'static str {
    match name {
        "response_item.message.user" | "event_msg.user_message" => "user",
        "response_item.message.assistant" | "response_item.reasoning" => "assistant",
        _ if name.starts_with("event_msg.agent_") || name.ends_with("_call") => "assistant",
        _ => "",
    }
}

fn note(event: &mut NewEvent, line: &Line<'_>) {
    let f = &line.payload;
    let invocation = f.object("invocation");
    let spawned = f.object("source").object("subagent").object("thread_spawn");
    let is_meta = line.what == "session_meta";
    let of_meta = |value| if is_meta { value } else { None };
    let call = f.word("type").filter(|t| t.ends_with("_call"));
    let noted = [
        (source::ID, of_meta(f.word("id"))),
        ("tool", f.word("name").filter(|_| call.is_some()).or_else(|| invocation.word("tool")).or(call)),
        ("agent", of_meta(f.word("agent_nickname"))),
        ("parent", of_meta(f.word("forked_from_id").or_else(|| spawned.word("parent_thread_id")))),
    ];
    for (key, value) in noted {
        if let Some(value) = value {
            event.metadata.insert(key.to_owned(), names::label(&value));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};
    use crate::agents::interop::{Format, Plan};

    fn line(n: u32, what: &str, payload: &str) -> String {
        format!(
            "{{\"timestamp\":\"2026-01-02T03:04:{n:02}.000Z\",\"type\":\"{what}\",\"payload\":{payload}}}\n"
        )
    }

    fn item(n: u32, payload: &str) -> String {
        line(n, "response_item", payload)
    }

    fn shown(n: u32, payload: &str) -> String {
        line(n, "event_msg", payload)
    }

    fn head() -> String {
        line(0, "session_meta", "{\"id\":\"x-1\",\"cwd\":\"/x\"}")
    }

    fn prompt(n: u32, text: &str) -> String {
        item(
            n,
            &format!(
                "{{\"type\":\"message\",\"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\"text\":\"{text}\"}}]}}"
            ),
        ) + &shown(n, &format!("{{\"type\":\"user_message\",\"message\":\"{text}\"}}"))
    }

    fn answer(n: u32, text: &str) -> String {
        shown(n, &format!("{{\"type\":\"agent_message\",\"message\":\"{text}\"}}"))
            + &item(
                n,
                &format!(
                    "{{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\"text\":\"{text}\"}}]}}"
                ),
            )
    }

    fn kinds(plan: &Plan) -> Vec<&str> {
        events(plan).map(|(_, e)| e.kind()).collect()
    }

    #[test]
    fn what_is_written_twice_is_said_once() {
        let file = head()
            + &item(
                1,
                "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"<environment_context>x</environment_context>\"}]}",
            )
            + &prompt(2, "go")
            + &shown(3, "{\"type\":\"agent_reasoning\",\"text\":\"hm\"}")
            + &item(3, "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}]}")
            + &answer(4, "done")
            + &answer(5, "done");
        let plan = plan_of("rollout-x.jsonl", &file);
        assert_eq!(plan.format, Format::Codex);
        assert_eq!(
            kinds(&plan),
            [
                "session.created",
                "message.system",
                "message.user",
                "codex.user_message",
                "message.thinking",
                "codex.reasoning",
                "message.assistant",
                "codex.message_assistant",
                "message.assistant",
                "codex.message_assistant",
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!(
            (all[6].causation, &*all[6].actor, &*all[2].actor),
            (Some(all[2].id), "assistant", "user")
        );
        assert_eq!(all[0].occurred.to_string(), "2026-01-02T03:04:00.000000Z");
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn outputs_answer_their_calls_and_say_whether_they_failed() {
        let call = |n, id: &str| {
            item(
                n,
                &format!(
                    "{{\"type\":\"function_call\",\"name\":\"shell\",\"arguments\":\"{{}}\",\"call_id\":\"{id}\"}}"
                ),
            )
        };
        let output = |n, id: &str, output: &str| {
            item(
                n,
                &format!("{{\"type\":\"function_call_output\",\"call_id\":\"{id}\",\"output\":{output}}}"),
            )
        };
        let file = head()
            + &call(1, "a")
            + &output(2, "a", r#""Process exited with code 0\nOutput:\nProcess exited with code 9""#)
            + &call(3, "b")
            + &output(4, "b", r#""{\"output\":\"no\",\"metadata\":{\"exit_code\":2}}""#)
            + &call(5, "c")
            + &output(6, "c", r#"{"content":"no","success":false}"#)
            + &output(7, "d", r#""Exit code: 1\nWall time: 2""#)
            + &shown(
                8,
                r#"{"type":"mcp_tool_call_end","call_id":"c","invocation":{"tool":"t"},"result":{"Ok":{}}}"#,
            )
            + &shown(
                9,
                r#"{"type":"mcp_tool_call_end","call_id":"e","invocation":{"tool":"t"},"result":{"Err":"x"}}"#,
            )
            + &item(10, r#"{"type":"web_search_call","id":"w","status":"completed"}"#)
            + &shown(11, r#"{"type":"web_search_end","call_id":"w"}"#);
        let plan = plan_of("rollout-x.jsonl", &file);
        assert_eq!(
            drawn(&plan),
            [
                "x-1/main: session.created tool.invoked tool.completed tool.invoked tool.errored tool.invoked tool.errored tool.errored codex.mcp_tool_call_end tool.errored tool.invoked tool.completed"
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[2].causation, &*all[2].correlation), (Some(all[1].id), "a"));
        assert_eq!((all[11].causation, all[7].causation), (Some(all[10].id), None));
        assert_eq!((&*all[1].metadata["tool"], &*all[9].metadata["tool"]), ("shell", "t"));
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn what_follows_a_rollback_begins_a_branch_before_the_turns_that_were_taken_back() {
        let started = |n| shown(n, &format!("{{\"type\":\"task_started\",\"turn_id\":\"t{n}\"}}"));
        let file = head()
            + &(started(1) + &prompt(2, "one") + &answer(3, "a"))
            + &(started(4) + &prompt(5, "two") + &answer(6, "b"))
            + &(started(7) + &prompt(8, "three"))
            + &shown(9, "{\"type\":\"thread_rolled_back\",\"num_turns\":2}")
            + &(started(10) + &prompt(11, "four"));
        let plan = plan_of("rollout-x.jsonl", &file);
        let drawn = drawn(&plan);
        assert!(
            drawn[0].ends_with("message.user codex.user_message message.assistant codex.message_assistant"),
            "{drawn:?}"
        );
        assert!(drawn[1].starts_with("x-1/side-") && drawn[1].ends_with(" < main"), "{drawn:?}");
        assert!(drawn[2].ends_with("codex.thread_rolled_back"), "{drawn:?}");
        assert_eq!(drawn[3], "x-1/main: task.started message.user codex.user_message");
        assert_eq!(drawn.len(), 4);
        assert_eq!(restored(&plan), file);
        // More than there were takes back everything.
        let all = plan_of("rollout-x.jsonl", file.replace("\"num_turns\":2", "\"num_turns\":99"));
        assert_eq!(events(&all).filter(|(p, _)| p.branch.as_str() == "main").count(), 4);
    }

    /// What is left when one more turn is taken back, by the numbers of the records, and the messages of the user in all.
    fn rolled_back(records: &str) -> (Vec<usize>, usize) {
        let end = shown(58, "{\"type\":\"thread_rolled_back\",\"num_turns\":1}") + &prompt(59, "next");
        let plan = plan_of("rollout-x.jsonl", head() + records + &end);
        let main = events(&plan).filter(|(place, _)| place.branch.as_str() == "main");
        let left = main.map(|(_, e)| e.metadata["source.record"].parse().unwrap()).collect();
        (left, kinds(&plan).into_iter().filter(|kind| *kind == "message.user").count())
    }

    #[test]
    fn turns_are_counted_by_their_items_whatever_they_contain() {
        let image = "{\"type\":\"input_image\",\"image_url\":\"data:\"}";
        let said = |n, content: &[&str]| {
            let content = content.join(",");
            item(n, &format!("{{\"type\":\"message\",\"role\":\"user\",\"content\":[{content}]}}"))
        };
        let text = |text: &str| format!("{{\"type\":\"input_text\",\"text\":\"{text}\"}}");
        let seen = |n, text: &str, rest: &str| {
            shown(n, &format!("{{\"type\":\"user_message\",\"message\":\"{text}\"{rest}}}"))
        };
        let tagged =
            [text("<image name=[Image #1]>"), image.to_owned(), text("</image>"), text("b")].join(",");
        let context = "<environment_context>x</environment_context>";
        for (second, messages) in [
            // Words with an image, whose item has tags around it; an image alone; words that are shown otherwise.
            (said(4, &[&tagged]) + &seen(5, "b", ",\"local_images\":[\"/a\"]"), 3),
            (said(4, &[image]) + &seen(5, "", ",\"images\":[\"data:\"]"), 3),
            (said(4, &[&text("b c")]) + &seen(5, "b", ""), 4),
            (seen(4, "b", "") + &said(5, &[&text("b c")]), 4),
            // Context before a prompt is no turn and goes with it, whether it is shown or not.
            (said(4, &[&text(context)]) + &prompt(5, "b"), 3),
            (said(4, &[&text(context)]) + &seen(4, context, ",\"kind\":\"x\"") + &prompt(5, "b"), 3),
            (said(4, &[&text("b"), &text("<skill>x</skill>")]) + &prompt(5, "c"), 3),
            // An item alone is a turn, and so is what is shown where no item was written.
            (said(4, &[&text("b")]), 3),
            (seen(4, "b", ""), 3),
            (item(4, "{\"type\":\"agent_message\",\"author\":\"/a\",\"content\":[]}"), 2),
        ] {
            let next = 5 + second.lines().count();
            assert_eq!(
                rolled_back(&(prompt(1, "a") + &second)),
                (vec![1, 2, 3, next, next + 1], messages),
                "{second}"
            );
        }
    }

    #[test]
    fn a_rollback_beyond_a_compaction_takes_back_what_that_left() {
        let compacted = |n, rest: &str| line(n, "compacted", &format!("{{\"message\":\"sum\"{rest}}}"));
        let two = prompt(1, "a") + &prompt(2, "b");
        // The summary is a message in the user's name, and one turn back.
        assert_eq!(rolled_back(&(two.clone() + &compacted(3, ""))).0, [1, 2, 3, 4, 5, 8, 9]);
        // A list with one message, and without the summary, leaves that.
        let listed = ",\"replacement_history\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[]}]";
        assert_eq!(rolled_back(&(two.clone() + &compacted(3, listed))).0, [1, 2, 3, 8, 9]);
        // A summary replaces the one before it.
        let back = shown(5, "{\"type\":\"thread_rolled_back\",\"num_turns\":1}");
        assert_eq!(rolled_back(&(two + &compacted(3, "") + &compacted(4, "") + &back)).0, [1, 2, 3, 10, 11]);
    }

    #[test]
    fn a_rollback_of_more_turns_than_can_be_counted_takes_back_all() {
        for (turns, left) in [("99999999999999999999999999", 1), ("0", 3), ("-1", 3), ("1.5", 3), ("null", 3)]
        {
            let back = shown(2, &format!("{{\"type\":\"thread_rolled_back\",\"num_turns\":{turns}}}"));
            let plan = plan_of("rollout-x.jsonl", head() + &prompt(1, "a") + &back + &prompt(3, "b"));
            let first = plan.steps.first();
            let Some(crate::agents::interop::PlanStep::Append { events, .. }) = first else {
                panic!("{first:?}")
            };
            assert_eq!(events.len() >= 3, left == 3, "{turns}: {:?}", drawn(&plan));
        }
    }

    #[test]
    fn lines_that_are_written_twice_and_a_byte_order_mark_come_back() {
        let part = head() + &prompt(1, "go") + &answer(2, "done");
        let file = format!("\u{feff}{part}{}{}", &part[head().len()..], answer(3, "more"));
        let plan = plan_of("rollout-x.jsonl", &file);
        assert_eq!((plan.events(), plan.duplicates), (7, 4));
        assert_eq!(kinds(&plan)[5..], ["message.assistant", "codex.message_assistant"]);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_fork_is_a_session_of_its_own_though_it_copies_its_parents_lines() {
        let meta = "{\"id\":\"x-2\",\"forked_from_id\":\"x-1\"}";
        let file = line(0, "session_meta", meta) + &head() + &prompt(1, "go");
        let plan = plan_of("rollout-x.jsonl", &file);
        assert_eq!(
            drawn(&plan),
            ["x-2/main: session.created codex.session_meta message.user codex.user_message"]
        );
        assert_eq!(events(&plan).next().unwrap().1.metadata["parent"], "x-1");
    }

    #[test]
    fn the_lines_of_the_first_releases_are_read_too() {
        let id = "5e551011-0000-4000-8000-000000000001";
        let user = "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"go\"}]}";
        let file = format!(
            "{{\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:04:05.000Z\",\"instructions\":null}}\n{{\"record_type\":\"state\"}}\n{user}\n{user}\n"
        );
        let plan = plan_of("rollout-x.jsonl", &file);
        assert_eq!(
            drawn(&plan),
            [format!("{id}/main: session.created codex.state message.user message.user")]
        );
        assert_eq!(restored(&plan), file);
        let file = format!("{{\"session\":{{\"id\":\"s\"}},\"items\":[{user}]}}");
        let plan = plan_of(&format!("rollout-2026-01-02T03-04-05-{id}.json"), &file);
        assert_eq!(drawn(&plan), [format!("{id}/main: message.user")]);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_message_of_an_api_is_no_rollout() {
        for other in [
            r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[]}"#,
            r#"{"type":"message","role":"user","content":"text"}"#,
            r#"{"type":"event_msg","payload":"text"}"#,
        ] {
            assert_eq!(Format::detect("x", other.as_bytes()), None, "{other}");
        }
    }
}
