//! What spans say of runs: nesting, errors, tools side by side, what has not ended, times.

use serde_json::{Value, json};

use super::{Spans, attributes};
use crate::agents::interop::testing::{all, imported};
use crate::event::{Catalogue, Event, NewEvent, Timestamp};
use crate::store::Store;

const BEGAN: i64 = 1_772_569_904_000_000;

fn at(second: f64, kind: &'static str, payload: Value) -> NewEvent {
    let time = Timestamp::from_micros(BEGAN + (second * 1e6) as i64);
    NewEvent::new(kind).data(payload).occurred(time).source("fixer")
}

fn recorded(events: Vec<NewEvent>) -> Vec<Event> {
    let store = Store::in_memory().unwrap();
    store.append("s", events).unwrap();
    all(&store)
}

fn requests(events: &[Event], with_content: bool) -> Vec<Value> {
    let place = events[0].place();
    let spans = Spans::new(place, Catalogue::builtin().clone());
    let mut spans = if with_content { spans.with_content() } else { spans };
    let mut out = Vec::new();
    for event in events {
        spans.push(event);
        out.extend(spans.take_request(5));
    }
    spans.finish();
    out.extend(spans.take_request(1));
    assert_eq!(spans.take_request(1), None);
    out.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn spans_of(events: &[Event]) -> Vec<Value> {
    let of =
        |request: Value| request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    let spans: Vec<Value> = requests(events, true).into_iter().flat_map(of).collect();
    check(&spans);
    spans
}

/// What holds for any spans.
fn check(spans: &[Value]) {
    let mut ids = std::collections::BTreeSet::new();
    for span in spans {
        let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
        assert!(text("traceId").len() == 32 && text("spanId").len() == 16, "{span}");
        assert!(ids.insert(text("spanId")), "an id twice: {span}");
        let time = |name: &str| text(name).parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
        let mut keys: Vec<&str> =
            span["attributes"].as_array().unwrap().iter().map(|a| a["key"].as_str().unwrap()).collect();
        assert!(keys.iter().all(|key| attributes::ALL.contains(key)), "{keys:?}");
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "an attribute twice: {span}");
    }
    for span in spans {
        if let Some(parent) = span["parentSpanId"].as_str()
            && let Some(parent) = spans.iter().find(|other| other["spanId"] == parent)
        {
            assert_eq!(parent["traceId"], span["traceId"]);
        }
    }
}

fn attribute(span: &Value, key: &str) -> Value {
    let found = span["attributes"].as_array().unwrap().iter().find(|a| a["key"] == key);
    let value = found.map_or(Value::Null, |a| a["value"].clone());
    value.as_object().and_then(|value| value.values().next().cloned()).unwrap_or_default()
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let found = spans.iter().find(|span| span["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", spans.iter().map(|s| &s["name"]).collect::<Vec<_>>()))
}

/// From the beginning, in seconds.
fn times(span: &Value) -> (f64, f64) {
    let of = |name: &str| {
        let nanos: i64 = span[name].as_str().unwrap().parse().unwrap();
        (nanos / 1_000 - BEGAN) as f64 / 1e6
    };
    (of("startTimeUnixNano"), of("endTimeUnixNano"))
}

fn call(second: f64, id: &str, tool: &str) -> NewEvent {
    at(second, "tool.invoked", json!({"tool": tool, "tool_call_id": id, "args": {"path": "src"}}))
}

fn run() -> Vec<NewEvent> {
    vec![
        at(0.0, "run.started", json!({"run_id": "r-1", "model": "large-2", "provider": "acme"})),
        at(1.0, "message.user", json!({"text": "Fix it."})),
        at(1.5, "step.started", json!({"step_id": "1", "name": "look"})),
        at(
            4.0,
            "message.assistant",
            json!({"text": "I look.", "model": "large-2", "input_tokens": 10, "output_tokens": 2}),
        ),
        call(4.0, "c-1", "grep"),
        call(4.25, "c-2", "read"),
        at(5.0, "tool.completed", json!({"tool_call_id": "c-2", "result": "text"})),
        at(6.0, "tool.errored", json!({"tool_call_id": "c-1", "error": "no such file"})),
        at(7.0, "step.completed", json!({"step_id": "1"})),
        at(
            9.0,
            "message.assistant",
            json!({"text": "Done.", "model": "large-2", "input_tokens": 20, "output_tokens": 3}),
        ),
        at(9.5, "run.completed", json!({"run_id": "r-1"})),
    ]
}

#[test]
fn a_run_is_an_agent_with_chats_and_tools_below_it() {
    let spans = spans_of(&recorded(run()));
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let (agent, step) = (named(&spans, "invoke_agent fixer"), named(&spans, "step look"));
    assert_eq!((times(agent), times(step)), ((0.0, 9.5), (1.5, 7.0)));
    assert!(agent.get("parentSpanId").is_none() && agent["kind"] == 1);
    assert_eq!(step["parentSpanId"], agent["spanId"]);
    assert_eq!(attribute(agent, "gen_ai.conversation.id"), "s");
    assert_eq!(attribute(agent, "gen_ai.usage.input_tokens"), "30", "whole numbers are texts");
    assert_eq!(attribute(agent, "gen_ai.provider.name"), "acme");
    // Side by side, in the step.
    let (grep, read) = (named(&spans, "execute_tool grep"), named(&spans, "execute_tool read"));
    assert_eq!((times(grep), times(read)), ((4.0, 6.0), (4.25, 5.0)));
    for tool in [grep, read] {
        assert_eq!(tool["parentSpanId"], step["spanId"]);
    }
    assert_eq!((&grep["status"]["code"], &grep["status"]["message"]), (&json!(2), &json!("no such file")));
    assert_eq!((attribute(grep, "error.type"), read["status"].clone()), (json!("_OTHER"), json!({})));
    let chats: Vec<&Value> = spans.iter().filter(|span| span["name"] == "chat large-2").collect();
    assert_eq!(chats.iter().map(|chat| times(chat)).collect::<Vec<_>>(), [(1.0, 4.0), (6.0, 9.0)]);
    assert_eq!((&chats[0]["kind"], &chats[0]["parentSpanId"]), (&json!(3), &step["spanId"]));
    assert_eq!(chats[1]["parentSpanId"], agent["spanId"]);
    let input: Value =
        serde_json::from_str(attribute(chats[0], "gen_ai.input.messages").as_str().unwrap()).unwrap();
    assert_eq!(input, json!([{"role": "user", "parts": [{"type": "text", "content": "Fix it."}]}]));
}

#[test]
fn the_same_events_give_the_same_spans_and_a_fork_others() {
    let store = Store::in_memory().unwrap();
    store.append("s", run()).unwrap();
    store.fork("s", "again").unwrap();
    let of = |branch: &str| {
        let events = store.events(crate::store::Query::branch(branch).unwrap()).unwrap();
        let place = branch.parse::<crate::event::Address>().unwrap().place().clone();
        let mut spans = Spans::new(&place, Catalogue::builtin().clone());
        events.for_each(|event| spans.push(&event.unwrap()));
        spans.finish();
        spans.take_request(1).unwrap()
    };
    assert_eq!(of("s"), of("s"));
    let ids = |text: &str| -> Vec<String> {
        text.split("\"spanId\":\"").skip(1).map(|rest| rest[..16].to_owned()).collect()
    };
    let (main, fork) = (ids(&of("s")), ids(&of("s/again")));
    assert_eq!(main.len(), fork.len());
    assert!(main.iter().all(|id| !fork.contains(id)));
}

#[test]
fn what_was_said_stays_at_home_unless_it_is_asked_for() {
    let events = recorded(run());
    let text = |with_content| serde_json::to_string(&requests(&events, with_content)).unwrap();
    for secret in ["Fix it.", "I look.", "src"] {
        assert!(text(true).contains(secret) && !text(false).contains(secret), "{secret}");
    }
}

#[test]
fn what_has_not_ended_ends_with_the_last_event_and_says_so() {
    let mut events = run();
    events.truncate(7);
    let spans = spans_of(&recorded(events));
    for (name, end) in [("invoke_agent fixer", 5.0), ("step look", 5.0), ("execute_tool grep", 5.0)] {
        let span = named(&spans, name);
        assert_eq!((attribute(span, "retold.unfinished"), times(span).1), (json!(true), end), "{name}");
    }
    assert_eq!(attribute(named(&spans, "execute_tool read"), "retold.unfinished"), Value::Null);
}

#[test]
fn a_run_that_failed_or_was_cancelled_says_why() {
    for (kind, payload, error, message) in [
        ("run.failed", json!({"run_id": "r-1", "error": "no way"}), "_OTHER", json!("no way")),
        ("run.timed_out", json!({"run_id": "r-1"}), "timeout", Value::Null),
        ("run.cancelled", json!({"run_id": "r-1", "reason": "by hand"}), "cancelled", json!("by hand")),
    ] {
        let spans = spans_of(&recorded(vec![
            at(0.0, "run.started", json!({"run_id": "r-1"})),
            at(1.0, kind, payload),
        ]));
        let span = named(&spans, "invoke_agent fixer");
        assert_eq!(
            (attribute(span, "error.type"), &span["status"]["message"]),
            (json!(error), &message),
            "{kind}"
        );
    }
}

#[test]
fn a_run_is_in_the_trace_that_its_event_is_in() {
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let start = |traceparent: &str| {
        let event = at(0.0, "run.started", json!({"run_id": "r-1"})).trace(traceparent.to_owned());
        spans_of(&recorded(vec![event, call(1.0, "c", "ls")]))
    };
    let spans = start(&format!("00-{trace}-{parent}-01"));
    let agent = named(&spans, "invoke_agent fixer");
    assert_eq!((&agent["traceId"], &agent["parentSpanId"]), (&json!(trace), &json!(parent)));
    assert_eq!(named(&spans, "execute_tool ls")["traceId"], trace);
    for bad in ["mine", &format!("ff-{trace}-{parent}-01"), &format!("00-{}-{parent}-01", "0".repeat(32))] {
        assert!(named(&start(bad), "invoke_agent fixer").get("parentSpanId").is_none(), "{bad}");
    }
}

#[test]
fn records_of_one_answer_are_one_chat_and_its_tokens_count_once() {
    let line = |n: u32, content: Value| {
        let message = json!({"id": "msg_1", "role": "assistant", "model": "claude-x", "content": [content],
            "usage": {"input_tokens": 5, "output_tokens": 7}});
        json!({"type": "assistant", "uuid": format!("u{n}"), "parentUuid": if n > 1 { json!(format!("u{}", n - 1)) } else { Value::Null },
            "sessionId": "s", "timestamp": format!("2026-03-03T20:31:4{n}.000Z"), "message": message})
        .to_string()
    };
    let file = [
        line(1, json!({"type": "text", "text": "I look."})),
        line(2, json!({"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "a"}})),
    ]
    .join("\n");
    let store = imported(&[("s.jsonl", &file)]);
    let spans = spans_of(&all(&store));
    let chat = named(&spans, "chat claude-x");
    assert_eq!(attribute(chat, "gen_ai.usage.output_tokens"), "7");
    assert_eq!(attribute(chat, "gen_ai.response.id"), "msg_1");
    assert_eq!(attribute(chat, "gen_ai.provider.name"), "anthropic");
    let agent = spans.iter().find(|span| span.get("parentSpanId").is_none()).unwrap();
    assert_eq!(attribute(agent, "gen_ai.usage.output_tokens"), "7");
    assert_eq!(attribute(agent, "retold.unfinished"), Value::Null, "nobody has begun it");
    assert_eq!(attribute(named(&spans, "execute_tool Read"), "gen_ai.tool.call.id"), "t1");
}

#[test]
fn totals_of_a_session_are_told_by_what_has_come() {
    let usage =
        |second: f64, input: u64| at(second, "message.usage", json!({"usage": {"input_tokens": input}}));
    let said = |second: f64| at(second, "message.assistant", json!({"text": "x"}));
    let spans = spans_of(&recorded(vec![said(1.0), usage(1.0, 100), said(2.0), usage(2.0, 130)]));
    let mut tokens: Vec<Value> =
        spans.iter().map(|span| attribute(span, "gen_ai.usage.input_tokens")).collect();
    tokens.sort_by_key(Value::to_string);
    assert_eq!(tokens, ["100", "130", "30"]);
}

#[test]
fn a_tool_that_only_returned_took_as_long_as_it_says() {
    let done = at(
        5.0,
        "tool.completed",
        json!({"tool": "ls", "tool_call_id": "c", "result": 1, "duration_ms": 1500}),
    );
    let spans = spans_of(&recorded(vec![done]));
    assert_eq!(times(named(&spans, "execute_tool ls")), (3.5, 5.0));
}

#[test]
fn the_example_of_every_type_is_taken() {
    let examples = Catalogue::builtin().types().filter_map(|found| {
        let example = found.example()?.clone();
        Some(NewEvent::new(found.name().to_owned()).data(example))
    });
    spans_of(&recorded(examples.collect()));
}

#[test]
fn the_docs_list_every_attribute() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/telemetry.md")).unwrap();
    for name in attributes::ALL {
        assert!(docs.contains(&format!("| `{name}` |")), "docs/telemetry.md should have a row for `{name}`");
    }
    assert!(docs.contains(attributes::SCHEMA.rsplit('/').next().unwrap()), "the version of the conventions");
}
