//! What `claude -p --output-format stream-json` prints: one record per line, each with a `session_id`. The list that
//! `--output-format json --verbose` prints has the same records.
//!
//! - The session is the record's `session_id`. What a sub-agent says (`parent_tool_use_id`) goes to the session
//!   `<session_id>.agent-<first characters of the call>`, with all of them where another call begins alike, and its first
//!   record is caused by that call.
//! - Records have a `uuid` in newer releases only. Others are identified by their text, and by the message or call that they
//!   are about or that came last before them, since many are alike: a `message_stop` of one run is that of any other. Before
//!   the first message the file's name stands for it. Equal ones after the same message are told apart by their order.
//! - Most records have no time.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId};

use super::builder::{Added, Builder, Draft};
use super::fields::{self, Fields};
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source, times};

/// Their records that mean the same as one of our types.
pub(super) const KINDS: [(&str, &str); 16] = [
    ("system.init", "run.started"),
    ("system.compact_boundary", "context.compacted"),
    ("system.status", "state.changed"),
    ("system.task_started", "task.started"),
    ("assistant.text", "message.assistant"),
    ("assistant.thinking", "message.thinking"),
    ("assistant.call", "tool.invoked"),
    ("assistant.error", "error.raised"),
    ("user.text", "message.user"),
    ("user.result", "tool.completed"),
    ("user.result_error", "tool.errored"),
    ("user.summary", "context.summarized"),
    ("stream_event", "message.delta"),
    ("tool_progress", "tool.progress"),
    ("result.success", "run.completed"),
    ("result.error", "run.failed"),
];

/// The types of records, and a member that one of the type has besides its session.
const TYPES: [(&str, &str); 6] = [
    ("system", "subtype"),
    ("assistant", "message"),
    ("user", "message"),
    ("result", "subtype"),
    ("stream_event", "event"),
    ("tool_progress", "tool_use_id"),
];
/// Characters of a call's id in the name of a sub-agent's session.
const AGENT: usize = 16;
/// How the ids of calls begin, by who made the model available. What follows tells them apart.
const CALLS: [&str; 6] = ["toolu_", "tooluse_", "call_", "chatcmpl-tool-", "bdrk_", "vrtx_"];

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let Some(what) = f.value("type").and_then(fields::string) else { return false };
    f.has("session_id") && TYPES.iter().any(|(name, member)| *name == what && f.has(member))
}

/// Logs of services have records of such types too, and other agents print streams that are alike, but none has all of
/// what each type has here.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let message = f.object("message");
    let is_own = match f.text("type").as_deref() {
        Some("system") => match f.text("subtype").as_deref() {
            Some("init") => f.has("tools"),
            // These come before it.
            Some(other) => other.starts_with("hook_") && f.has("uuid"),
            None => false,
        },
        Some("assistant") => message.has("content") && message.has("id"),
        Some("user") => {
            message.has("content") && message.has("role") && f.raw("parent_tool_use_id").is_some()
        }
        Some("result") => ["num_turns", "usage", "total_cost_usd"].iter().any(|name| f.has(name)),
        Some("stream_event") => f.object("event").has("type") && f.raw("parent_tool_use_id").is_some(),
        _ => false,
    };
    is_record(f) && is_own
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut reader = Stream {
        plan: input.builder(),
        asked: input.options.session.clone(),
        home: input.session_or_stem()?,
        runs: BTreeMap::new(),
        calls: HashMap::new(),
        agents: HashMap::new(),
        file: names::stem(input.file),
        anchors: HashMap::new(),
        unnamed: ids::Occurrences::default(),
    };
    for ref piece in input.pieces() {
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => reader.record(piece, text, &f)?,
            Err(reason) => reader.plan.skip(piece, reason),
        }
    }
    Ok(reader.plan.finish())
}

struct Stream<'a> {
    plan: Builder<'a>,
    /// The session that was given.
    asked: Option<SessionId>,
    /// The session of records that name none: that of the record before.
    home: SessionId,
    /// The last event of each session.
    runs: BTreeMap<SessionId, EventId>,
    /// The events of tool calls.
    calls: HashMap<String, EventId>,
    /// The call of each sub-agent, by the short form of its id.
    agents: HashMap<String, String>,
    file: &'a str,
    /// What of each session was named last by an id of its own.
    anchors: HashMap<SessionId, String>,
    unnamed: ids::Occurrences,
}

/// What a record is.
#[derive(Default)]
struct Said<'a> {
    name: String,
    actor: &'static str,
    /// The call that it makes or answers, or the message that it is a part of.
    of: Option<Cow<'a, str>>,
    calls: Vec<Cow<'a, str>>,
    /// The message or the call that only this record and its neighbours are about.
    about: Option<Cow<'a, str>>,
    answers: Option<Cow<'a, str>>,
    tool: Option<Cow<'a, str>>,
}

impl Stream<'_> {
    fn record(&mut self, piece: &Piece, text: &str, f: &Fields<'_>) -> Result<(), Invalid> {
        if let (None, Some(session)) = (&self.asked, f.word("session_id")) {
            self.home = names::session(&session)?;
        }
        let agent = f.word("parent_tool_use_id");
        let agent_name = agent.as_deref().map(|call| self.agent(call));
        let session = match &agent_name {
            Some(name) => names::session(&format!("{}.agent-{name}", self.home))?,
            None => self.home.clone(),
        };
        let said = read(f);
        let mut event = NewEvent::new(names::kind(&KINDS, "claude_stream", &said.name));
        let uuid = f.word("uuid");
        if let Some(anchor) = uuid.as_ref().or(said.about.as_ref()) {
            self.anchors.insert(session.clone(), anchor.clone().into_owned());
        }
        let own = session.as_str().as_bytes();
        event.id = match (&uuid, self.anchors.get(&session)) {
            (Some(uuid), _) => ids::derived(ids::CLAUDE_STREAM, &[own, uuid.as_bytes()]),
            (None, anchor) => {
                let (what, anchor) = match anchor {
                    Some(anchor) => (&b""[..], anchor.as_str()),
                    None => (&b"file"[..], self.file),
                };
                let parts = [own, what, anchor.as_bytes(), text.as_bytes()];
                self.unnamed.next(ids::derived(ids::CLAUDE_STREAM, &parts))
            }
        };
        event.source = "claude-code".into();
        event.actor = said.actor.into();
        let of = said.of.or_else(|| f.word("tool_use_id"));
        event.correlation = of.as_deref().map_or_else(String::new, names::label).into();
        let call = |id: &str| self.calls.get(id).copied();
        let before = self.runs.get(&session).copied().or_else(|| agent.as_deref().and_then(call));
        event.causation = said.answers.as_deref().and_then(call).or(before);
        let agent = agent_name.map(Cow::Owned);
        for (key, value) in
            [(source::ID, uuid), ("tool", said.tool.or_else(|| f.word("tool_name"))), ("agent", agent)]
        {
            if let Some(value) = value {
                event.metadata.insert(key.to_owned(), names::label(&value));
            }
        }
        let place = Place::new(session.clone(), BranchName::main());
        let draft = Draft::new(event, times::in_member(f, "timestamp"), Body::Record);
        if let Added::New(id) | Added::Variant(id) =
            self.plan.push(piece, piece.ordinal as u64, &place, draft)
        {
            self.runs.insert(session, id);
            for call in said.calls {
                self.calls.entry(call.into_owned()).or_insert(id);
            }
        }
        Ok(())
    }

    /// The name of the sub-agent that this call started.
    fn agent(&mut self, call: &str) -> String {
        let short = shortened(call);
        let first = self.agents.entry(short.to_owned()).or_insert_with(|| call.to_owned());
        if *first == *call { short.to_owned() } else { call.to_owned() }
    }
}

/// A call's id as a part of a name.
fn shortened(call: &str) -> &str {
    let call = CALLS.iter().fold(call, |call, start| call.strip_prefix(start).unwrap_or(call));
    call.char_indices().nth(AGENT).map_or(call, |(end, _)| call.get(..end).unwrap_or(call))
}

fn read<'a>(f: &Fields<'a>) -> Said<'a> {
    let what = f.text("type").unwrap_or_default();
    let sub = f.word("subtype");
    let message = f.object("message");
    match (&*what, sub.as_deref()) {
        ("assistant", _) => assistant(f, &message),
        ("user", _) => user(f, &message),
        ("result", sub) => {
            let failed = f.is_true("is_error") || sub != Some("success");
            let name = if failed { "result.error" } else { "result.success" };
            Said { name: name.to_owned(), ..Said::default() }
        }
        ("system", Some(sub)) if !KINDS.iter().any(|(name, _)| name.strip_prefix("system.") == Some(sub)) => {
            Said { name: sub.to_owned(), ..Said::default() }
        }
        ("system", Some(sub)) => Said { name: format!("system.{sub}"), ..Said::default() },
        ("stream_event", _) => {
            let id = f.object("event").object("message").word("id");
            Said { name: what.into_owned(), of: id.clone(), about: id, ..Said::default() }
        }
        _ => Said { name: what.into_owned(), ..Said::default() },
    }
}

fn assistant<'a>(f: &Fields<'a>, message: &Fields<'a>) -> Said<'a> {
    let mut said = Said { actor: "assistant", ..Said::default() };
    let (mut text, mut thinking) = (message.text("content").is_some(), false);
    for block in blocks(message) {
        match block.text("type").as_deref() {
            Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
                said.calls.extend(block.word("id"));
                said.tool = said.tool.or_else(|| block.word("name"));
            }
            Some("text") => text = true,
            Some("thinking" | "redacted_thinking") => thinking = true,
            _ => {}
        }
    }
    said.of = said.calls.first().cloned().or_else(|| message.word("id"));
    said.about = message.word("id").or_else(|| said.calls.first().cloned());
    said.name = match () {
        () if f.has("error") => "assistant.error",
        () if !said.calls.is_empty() => "assistant.call",
        () if text => "assistant.text",
        () if thinking => "assistant.thinking",
        () => "assistant",
    }
    .to_owned();
    said
}

fn user<'a>(f: &Fields<'a>, message: &Fields<'a>) -> Said<'a> {
    let mut said = Said { actor: "user", ..Said::default() };
    let mut failed = false;
    for block in blocks(message) {
        if block.text("type").as_deref() == Some("tool_result") {
            failed |= block.is_true("is_error");
            said.answers = said.answers.or_else(|| block.word("tool_use_id"));
            said.actor = "";
        }
    }
    said.of.clone_from(&said.answers);
    said.about.clone_from(&said.answers);
    said.name = match () {
        () if failed => "user.result_error",
        () if said.answers.is_some() => "user.result",
        () if f.is_true("isCompactSummary") => "user.summary",
        () if f.is_true("isSynthetic") || f.is_true("isMeta") => "user.meta",
        () => "user.text",
    }
    .to_owned();
    said
}

/// The blocks of a message's content; none when it is plain text.
fn blocks<'a>(message: &Fields<'a>) -> Vec<Fields<'a>> {
    message.list("content").into_iter().filter_map(|b| Fields::parse(b.get()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};
    use crate::agents::interop::{ExportScope, Format, export_sources, load};
    use crate::store::Store;

    fn line(what: &str, rest: &str) -> String {
        format!("{{\"type\":\"{what}\",\"session_id\":\"r-1\",{rest}}}\n")
    }

    fn call(id: &str, name: &str) -> String {
        line(
            "assistant",
            &format!(
                "\"message\":{{\"id\":\"m\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"{id}\",\"name\":\"{name}\"}}]}}"
            ),
        )
    }

    fn result(id: &str, is_error: bool) -> String {
        line(
            "user",
            &format!(
                "\"message\":{{\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"{id}\",\"is_error\":{is_error}}}]}}"
            ),
        )
    }

    fn of_agent(line: &str, call: &str) -> String {
        line.replacen('{', &format!("{{\"parent_tool_use_id\":\"{call}\","), 1)
    }

    fn run() -> String {
        [
            line("system", "\"subtype\":\"init\",\"model\":\"m\",\"tools\":[]"),
            line("assistant", "\"message\":{\"id\":\"m\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}"),
            call("toolu_1", "Task"),
            of_agent(&line("user", "\"message\":{\"content\":\"look\"}"), "toolu_1"),
            of_agent(&call("toolu_2", "Bash"), "toolu_1"),
            of_agent(&result("toolu_2", true), "toolu_1"),
            result("toolu_1", false),
            line("system", "\"subtype\":\"hook_started\""),
            line("result", "\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\",\"usage\":{\"input_tokens\":3}"),
        ]
        .concat()
    }

    #[test]
    fn a_run_and_its_sub_agent_are_two_sessions() {
        let file = run();
        let plan = plan_of("out.jsonl", &file);
        assert_eq!(plan.format, Format::ClaudeStream);
        assert_eq!(
            drawn(&plan),
            [
                "r-1/main: run.started message.assistant tool.invoked",
                "r-1.agent-1/main: message.user tool.invoked tool.errored",
                "r-1/main: tool.completed claude_stream.hook_started run.completed",
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[3].causation, all[5].causation), (Some(all[2].id), Some(all[4].id)));
        assert_eq!((all[6].causation, &*all[4].metadata["tool"]), (Some(all[2].id), "Bash"));
        assert_eq!(restored(&plan), file);
        assert_eq!(plan.timeless, 9);
    }

    #[test]
    fn equal_lines_are_told_apart_and_known_again() {
        let same = line("system", "\"subtype\":\"status\",\"status\":null");
        let file = run() + &same + &same;
        let plan = plan_of("out.jsonl", &file);
        assert_eq!((plan.events(), plan.duplicates), (11, 0));
        assert_eq!(restored(&plan), file);
        // With an id, a line that is written again is one event.
        let same = line("system", "\"subtype\":\"status\",\"uuid\":\"u\"");
        let plan = plan_of("out.jsonl", run() + &same.repeat(2));
        assert_eq!((plan.events(), plan.duplicates), (10, 1));
    }

    /// A run of a release whose records have no ids, with much in it that any other run has too.
    fn unnamed_run(message: &str) -> String {
        let delta =
            |event: &str| line("stream_event", &format!("\"event\":{event},\"parent_tool_use_id\":null"));
        [
            line("system", "\"subtype\":\"init\",\"model\":\"m\",\"tools\":[]"),
            delta(&format!("{{\"type\":\"message_start\",\"message\":{{\"id\":\"{message}\"}}}}")),
            delta("{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}").repeat(2),
            delta("{\"type\":\"message_stop\"}"),
            line("assistant", &format!("\"message\":{{\"id\":\"{message}\",\"content\":\"aa\"}}")),
            line("result", "\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1"),
        ]
        .concat()
    }

    #[test]
    fn ids_are_the_same_in_every_release() {
        let file = [
            line("system", "\"subtype\":\"init\",\"tools\":[]"),
            line("assistant", "\"message\":{\"id\":\"m\",\"content\":\"hi\"}"),
            line("system", "\"subtype\":\"status\",\"uuid\":\"u\""),
        ];
        let plan = plan_of("out.jsonl", file.concat());
        let ids: Vec<String> = events(&plan).map(|(_, e)| e.id.to_string()).collect();
        assert_eq!(
            ids,
            [
                "a5d1faba-bb22-5376-bf31-3336550d57af",
                "ed2659fa-e002-5df0-972a-967a3ed95484",
                "b4a6a98f-06f3-581d-9590-dbbc74bc529a",
            ]
        );
    }

    #[test]
    fn what_two_runs_of_a_session_have_alike_is_there_twice() {
        let (first, second) = (unnamed_run("m1"), unnamed_run("m2"));
        let store = Store::in_memory().unwrap();
        let import = |name: &str, file: &str| load(&store, plan_of(name, file), &mut |_| {}).unwrap().new;
        let grown = first.lines().take(4).map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!((import("a/1.jsonl", &grown), import("a/1.jsonl", &first)), (4, 3));
        // Another file goes on with the session.
        assert_eq!(import("a/2.jsonl", &second), 7);
        for (name, file) in [("a/1.jsonl", &first), ("b/1.jsonl", &first), ("2.jsonl", &second)] {
            assert_eq!(import(name, file), 0, "{name}");
        }
        // Both in one file are those of the two, but for what comes before any message.
        assert_eq!(import("a/1.jsonl", &(first.clone() + &second)), 1);
        let (files, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
        assert!(files.iter().any(|file| file.bytes == second.as_bytes()));
    }

    #[test]
    fn calls_that_begin_alike_have_a_sub_agent_each() {
        let of = |id: &str| of_agent(&line("user", "\"message\":{\"content\":\"look\"}"), id);
        let long = "0123456789abcdef";
        let ids = [
            format!("toolu_bdrk_{long}1"),
            format!("toolu_bdrk_{long}2"),
            "chatcmpl-tool-a1".to_owned(),
            "call_a2".to_owned(),
        ];
        let file = run() + &ids.each_ref().map(|id| of(id)).concat() + &of(&ids[0]);
        let sessions: Vec<String> =
            plan_of("out.jsonl", &file).places().into_iter().map(|place| place.session.to_string()).collect();
        let second = format!("r-1.agent-{}", ids[1]);
        let want =
            ["r-1", &format!("r-1.agent-{long}"), "r-1.agent-1", "r-1.agent-a1", "r-1.agent-a2", &second];
        assert_eq!(std::collections::BTreeSet::from_iter(sessions.iter().map(String::as_str)), want.into());
        // A longer copy of the file gives the same names.
        let grown = plan_of("out.jsonl", file.clone() + &of(&ids[3]));
        assert_eq!(grown.places().len(), want.len());
    }

    #[test]
    fn a_run_that_is_printed_as_a_list_has_the_same_events() {
        let lines = plan_of("out.jsonl", run());
        let list = plan_of("out.json", format!("[{}]\n", run().trim_end().replace('\n', ",")));
        let ids = |plan: &crate::agents::interop::Plan| events(plan).map(|(_, e)| e.id).collect::<Vec<_>>();
        assert_eq!(ids(&lines), ids(&list));
    }

    #[test]
    fn a_list_is_read_too_and_a_run_that_failed_says_so() {
        let lines = run().replace("\"success\",\"is_error\":false", "\"error_max_turns\",\"is_error\":true");
        let file = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
        let plan = plan_of("out.json", &file);
        assert_eq!(plan.format, Format::ClaudeStream);
        assert!(drawn(&plan)[2].ends_with("run.failed"), "{:?}", drawn(&plan));
        assert_eq!(restored(&plan), file);
    }
}
