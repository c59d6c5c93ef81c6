use super::*;
use crate::agents::one_line;
use crate::event::NewEvent;
use crate::limits::BRIEF_BYTES;
use crate::store::Store;
use proptest::prelude::*;
use serde_json::json;

fn recorded(event: NewEvent) -> crate::event::Event {
    let (store, id) = (Store::in_memory().unwrap(), event.id());
    store.append("s", event).unwrap();
    store.get(id).unwrap()
}

fn read(kind: &'static str, payload: Value) -> Readable {
    let readable = Readable::of(&recorded(NewEvent::new(kind).data(payload.clone())), Catalogue::builtin());
    is_the_same_in_brief(kind, &payload, &readable.parts);
    readable
}

/// In brief, the same speakers say it, and what the user says begins alike.
fn is_the_same_in_brief(kind: &str, payload: &Value, whole: &[Part]) {
    let Some(role) = Catalogue::builtin().role(kind) else { return };
    let brief = said_briefly(role, payload, None);
    let who = |part: &Part| (part.speaker, part.tool.clone(), part.call.clone(), part.is_error);
    let brief_who: Vec<_> = brief.iter().map(who).collect();
    assert_eq!(brief_who, whole.iter().map(who).collect::<Vec<_>>(), "{payload}");
    for (brief, whole) in brief.iter().zip(whole) {
        match brief.speaker {
            Speaker::User => {
                assert_eq!(one_line(&brief.text, 120), one_line(&whole.text, 120));
                assert_eq!(brief.is_injected(), whole.is_injected());
            }
            _ => assert_eq!(brief.text, ""),
        }
    }
}

#[test]
fn in_brief_nothing_is_copied_but_the_beginning_of_what_the_user_says() {
    let long = "a word ".repeat(100_000);
    let content = json!([{"type": "text", "text": long}, {"type": "text", "text": long}]);
    for (kind, payload) in [
        ("message.user", json!({"message": {"role": "user", "content": content}})),
        ("message.assistant", json!({"message": {"content": content}})),
        ("tool.completed", json!({"tool": "grep", "result": long})),
        ("tool.invoked", json!({"tool": "write", "args": {"path": "a", "text": long}})),
    ] {
        let parts = said_briefly(Catalogue::builtin().role(kind).unwrap(), &payload, None);
        let copied: usize = parts.iter().map(|part| part.text.len()).sum();
        assert!(!parts.is_empty() && copied <= 2 * BRIEF_BYTES, "{kind}: {copied}");
        assert!(parts.iter().all(|part| part.subject.is_none()));
    }
}

fn drawn(readable: &Readable) -> Vec<String> {
    let part = |part: &Part| {
        let tool = part.tool.as_deref().map(|tool| format!(" {tool}")).unwrap_or_default();
        let telling = part.subject.as_deref().map(|telling| format!(" <{telling}>")).unwrap_or_default();
        let failed = if part.is_error { " !" } else { "" };
        let text = if part.speaker == Speaker::ToolCall { "" } else { part.text.as_str() };
        format!("{}{tool}{telling}{failed}: {text}", part.speaker).trim_end_matches(' ').to_owned()
    };
    readable.parts.iter().map(part).collect()
}

#[test]
fn records_of_every_program_are_read_alike() {
    let ran = ["tool_call Bash <cargo test>:"];
    let cases: Vec<(&'static str, Value, &str, Vec<&str>)> = vec![
        ("message.user", json!({"text": "Fix it."}), "Fix it.", vec!["user: Fix it."]),
        // Claude Code
        (
            "message.user",
            json!({"parentUuid": "x", "type": "user", "message": {"role": "user", "content": "Fix\n it."}}),
            "Fix it.",
            vec!["user: Fix\n it."],
        ),
        (
            "message.assistant",
            json!({"message": {"content": [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "cargo test"}}]}}),
            "I look. → Bash cargo test",
            vec!["assistant: I look.", ran[0]],
        ),
        (
            "tool.invoked",
            json!({"message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "cargo test"}}]}}),
            "Bash cargo test",
            ran.to_vec(),
        ),
        (
            "tool.completed",
            json!({"message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "ok\n"}]}]}}),
            "ok",
            vec!["tool_result: ok\n"],
        ),
        (
            "message.thinking",
            json!({"message": {"content": [{"type": "thinking", "thinking": "Hm."}]}}),
            "Hm.",
            vec!["thinking: Hm."],
        ),
        (
            "message.user",
            json!({"message": {"content": [{"type": "image", "source": {}}, {"type": "text", "text": "See."}]}}),
            "[image] See.",
            vec!["user: [image]\nSee."],
        ),
        // Codex
        (
            "message.user",
            json!({"type": "event_msg", "payload": {"type": "user_message", "message": "go"}}),
            "go",
            vec!["user: go"],
        ),
        (
            "message.assistant",
            json!({"payload": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]}}),
            "done",
            vec!["assistant: done"],
        ),
        (
            "tool.invoked",
            json!({"payload": {"type": "function_call", "name": "shell", "arguments": "{\"command\":[\"bash\",\"-lc\",\"ls\"]}", "call_id": "c"}}),
            "shell ls",
            vec!["tool_call shell <ls>:"],
        ),
        (
            "tool.completed",
            json!({"payload": {"type": "function_call_output", "call_id": "c", "output": "{\"output\":\"a.rs\",\"metadata\":{\"exit_code\":0}}"}}),
            "a.rs",
            vec!["tool_result: a.rs"],
        ),
        (
            "message.thinking",
            json!({"payload": {"type": "reasoning", "summary": [{"type": "summary_text", "text": "**Plan**"}]}}),
            "**Plan**",
            vec!["thinking: **Plan**"],
        ),
        // Gemini CLI
        (
            "message.assistant",
            json!({"type": "gemini", "content": "Here.", "thoughts": [{"subject": "Plan", "description": "read"}], "toolCalls": [{"id": "1", "name": "read_file", "args": {"path": "a.rs"}, "status": "success", "result": [{"functionResponse": {"name": "read_file", "response": {"output": "fn"}}}]}]}),
            "Here. → read_file a.rs",
            vec![
                "thinking: Plan: read",
                "assistant: Here.",
                "tool_call read_file <a.rs>:",
                "tool_result read_file: fn",
            ],
        ),
        // pi
        (
            "tool.completed",
            json!({"type": "message", "message": {"role": "toolResult", "toolName": "bash", "content": [{"type": "text", "text": "7"}]}}),
            "7",
            vec!["tool_result bash: 7"],
        ),
        // Copilot CLI
        (
            "tool.invoked",
            json!({"type": "tool.execution_start", "data": {"toolCallId": "q", "toolName": "grep", "arguments": {"pattern": "x"}}}),
            "grep x",
            vec!["tool_call grep <x>:"],
        ),
        // OpenHands
        (
            "tool.completed",
            json!({"kind": "ObservationEvent", "tool_name": "terminal", "observation": {"content": [{"type": "text", "text": "[main]"}], "exit_code": 0, "kind": "TerminalObservation"}}),
            "[main]",
            vec!["tool_result terminal: [main]"],
        ),
        (
            "message.user",
            json!({"source": "user", "llm_message": {"role": "user", "content": [{"type": "text", "text": "hi"}]}, "kind": "MessageEvent"}),
            "hi",
            vec!["user: hi"],
        ),
        // OpenHands as it wrote before, where the observation is a word.
        (
            "tool.completed",
            json!({"observation": "run", "content": "Serving HTTP", "extras": {"command": "x"}}),
            "Serving HTTP",
            vec!["tool_result: Serving HTTP"],
        ),
        // Temporal
        (
            "tool.invoked",
            json!({"activityTaskScheduledEventAttributes": {"activityType": {"name": "pay"}, "input": {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJxdWVyeSI6ImEifQ=="}]}}}),
            "pay a",
            vec!["tool_call pay <a>:"],
        ),
        // JSON that a tool returned is what it returned.
        (
            "tool.completed",
            json!({"tool": "cat", "result": "{\"name\": \"x\", \"description\": \"y\"}"}),
            "{\"name\": \"x\", \"description\": \"y\"}",
            vec!["tool_result cat: {\"name\": \"x\", \"description\": \"y\"}"],
        ),
        // Nothing was said: the envelope is not.
        (
            "tool.completed",
            json!({"message": {"content": [{"type": "tool_result", "tool_use_id": "toolu_01", "content": ""}]}, "uuid": "u"}),
            "",
            vec!["tool_result:"],
        ),
        (
            "message.thinking",
            json!({"message": {"content": [{"type": "thinking", "thinking": "", "signature": "x"}]}}),
            "",
            vec![],
        ),
        // Ours
        (
            "tool.errored",
            json!({"tool": "cargo", "error": "4 tests failed", "exit_code": 101}),
            "4 tests failed",
            vec!["tool_result cargo !: 4 tests failed"],
        ),
        (
            "tool.completed",
            json!({"tool": "grep", "result": {"hits": 3}}),
            "{\"hits\":3}",
            vec!["tool_result grep: {\"hits\":3}"],
        ),
        ("tool.invoked", json!({"tool": "now"}), "now", vec!["tool_call now:"]),
    ];
    for (kind, payload, summary, parts) in cases {
        let readable = read(kind, payload.clone());
        assert_eq!(drawn(&readable), parts, "{kind} {payload}");
        assert_eq!(readable.summary, summary, "{kind} {payload}");
    }
}

#[test]
fn what_nobody_says_is_told_by_its_fields() {
    for (kind, payload, summary) in [
        ("task.completed", json!({"task_id": "t-1", "title": "fix"}), "fix · t-1"),
        ("a.b", json!({"n": 3, "note": "second"}), "second · n 3"),
        ("a.b", json!({"reason": "change it at once", "choice": "change it at once"}), "change it at once"),
        ("a.b", json!({"uuid": "u", "sessionId": "s", "timestamp": "2026"}), ""),
        ("a.b", json!(null), ""),
        ("a.b", json!("text"), "text"),
        ("a.b", json!([1, 2]), "2 items"),
        (
            "codex.turn_diff",
            json!({"type": "event_msg", "payload": {"type": "turn_diff", "unified_diff": "--- a"}}),
            "unified_diff --- a",
        ),
        (
            "a.b",
            json!({"files": ["a", "b", "c", "d"], "rows": [{}, {}], "none": []}),
            "files a, b, c … · 2 rows",
        ),
    ] {
        let readable = read(kind, payload.clone());
        assert_eq!((readable.summary.as_str(), readable.parts.len()), (summary, 0), "{kind} {payload}");
    }
    let text = recorded(NewEvent::new("message.user").bytes("text/plain", "hello\nyou"));
    assert_eq!(Readable::of(&text, Catalogue::builtin()).summary, "hello you");
    let bytes = recorded(NewEvent::new("a.b").bytes("image/png", &[1_u8, 2][..]));
    assert_eq!(Readable::of(&bytes, Catalogue::builtin()).summary, "2 bytes of image/png");
}

#[test]
fn every_built_in_type_says_something_of_its_example() {
    for info in Catalogue::builtin().types() {
        let example = info.example().cloned().unwrap_or_default();
        let readable = Readable::of(
            &recorded(NewEvent::new(info.name().to_owned()).data(example.clone())),
            Catalogue::builtin(),
        );
        let is_empty = example
            .as_object()
            .is_none_or(|members| members.values().all(Value::is_object) || members.is_empty());
        assert!(!readable.summary.is_empty() || is_empty, "{} says nothing of {example}", info.name());
        assert_eq!(readable.speaker.is_some(), !readable.parts.is_empty(), "{}", info.name());
    }
}

#[test]
fn tokens_and_models_are_those_of_the_event() {
    let usage = json!({"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9});
    let usage = read(
        "message.assistant",
        json!({"message": {"id": "m", "model": "large-2", "content": "x", "usage": usage}}),
    )
    .usage;
    assert_eq!(
        (usage.input, usage.output, usage.cache_read, usage.cache_write),
        (Some(3.0), Some(5.0), Some(7.0), Some(9.0))
    );
    assert_eq!(usage.model.as_deref(), Some("large-2"));
    assert!(read("message.user", json!({"text": "x"})).usage.is_empty());
}

/// Any JSON, with the members that content has.
fn value() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "text",
        "type",
        "content",
        "name",
        "args",
        "input",
        "message",
        "payload",
        "thinking",
        "toolCalls",
        "result",
        "functionCall",
        "functionResponse",
        "thought",
        "id",
        "x",
    ]);
    let words = prop::sample::select(vec![
        "text",
        "tool_use",
        "tool_result",
        "thinking",
        "image",
        "function",
        "{\"a\":1}",
        "wörd \u{1b}[31m",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        words.prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever the payload is, the line is one, and short.
    #[test]
    fn any_payload_gives_one_short_line(payload in value(), kind in prop::sample::select(vec!["message.user", "message.assistant", "tool.invoked", "tool.completed", "tool.errored", "task.started", "x.y"])) {
        let readable = read(kind, payload);
        prop_assert!(readable.summary.chars().count() <= 241);
        prop_assert!(!readable.summary.contains(['\n', '\r', '\t']));
    }
}

#[test]
fn deep_content_is_read_in_bounded_space() {
    let mut deep = json!("end");
    for _ in 0..5 {
        deep = json!({"content": [deep]});
    }
    assert_eq!(read("message.user", json!({"content": deep.clone()})).summary, "end");
    for _ in 0..35 {
        deep = json!({"content": [deep]});
    }
    assert!(read("message.user", json!({"content": deep})).parts.is_empty());
}
