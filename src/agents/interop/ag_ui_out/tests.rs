//! Streams are in the order that clients insist on, and importing them again gives what both sides can say.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::AgUi;
use super::record::Record;
use crate::agents::interop::testing::all;
use crate::agents::interop::{Format, Options, load, parse};
use crate::agents::projections::Progress;
use crate::agents::readable::Readable;
use crate::event::{Catalogue, Event, NewEvent, Place, Speaker, Timestamp};
use crate::store::Store;

fn place() -> Place {
    Place::new("t".try_into().unwrap(), "main".try_into().unwrap())
}

fn stream() -> AgUi {
    AgUi::new(&place(), Catalogue::builtin().clone())
}

fn recorded(events: &[NewEvent]) -> Vec<Event> {
    let store = Store::in_memory().unwrap();
    store.append("t", events.to_vec()).unwrap();
    all(&store)
}

fn exported(events: &[Event]) -> Vec<String> {
    let mut stream = stream();
    let mut lines: Vec<String> = events.iter().flat_map(|event| stream.push(event)).collect();
    lines.extend(stream.finish());
    lines
}

fn imported(lines: &[String]) -> Vec<Event> {
    let options = Options::default().format(Some(Format::AgUi));
    let plan = parse("t.jsonl", &Bytes::from(lines.join("\n")), &options).unwrap();
    assert!(plan.skipped.is_empty(), "{:?}", plan.skipped);
    let store = Store::in_memory().unwrap();
    load(&store, plan, &mut |_| {}).unwrap();
    all(&store)
}

fn values(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(lines: &[String]) -> String {
    let types: Vec<String> =
        values(lines).iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect();
    types.join(" ")
}

/// The rules of `verifyEvents` in `@ag-ui/client`, written down again.
fn check_order(lines: &[String]) {
    let (mut in_a_run, mut begun) = (false, std::collections::BTreeSet::new());
    for line in lines {
        assert!(!line.contains(['\n', '\r']), "{line}");
        assert!(Record::read(line).is_some(), "clients refuse {line}");
        let value: Value = serde_json::from_str(line).unwrap();
        let of = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let kind = of("type");
        if kind == "RUN_STARTED" {
            assert!(!in_a_run, "a run within a run");
            (in_a_run, begun) = (true, Default::default());
            continue;
        }
        assert!(in_a_run, "outside of runs: {line}");
        let id = [of("stepName"), of("messageId"), of("toolCallId")].concat();
        let what = match &*kind {
            "STEP_STARTED" | "STEP_FINISHED" => "step",
            "TOOL_CALL_START" | "TOOL_CALL_ARGS" | "TOOL_CALL_END" => "call",
            "TEXT_MESSAGE_START" | "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_END" => "message",
            "REASONING_START" | "REASONING_END" => "reasoning",
            "REASONING_MESSAGE_START" | "REASONING_MESSAGE_CONTENT" | "REASONING_MESSAGE_END" => "thought",
            "RUN_FINISHED" => {
                assert!(begun.is_empty(), "{begun:?} has not ended");
                in_a_run = false;
                continue;
            }
            "RUN_ERROR" => {
                in_a_run = false;
                continue;
            }
            _ => continue,
        };
        let entry = (what, id);
        match kind.rsplit('_').next().unwrap() {
            "START" | "STARTED" => assert!(begun.insert(entry), "began twice: {line}"),
            "END" | "FINISHED" => assert!(begun.remove(&entry), "has not begun: {line}"),
            _ => assert!(begun.contains(&entry), "has not begun: {line}"),
        }
    }
}

/// What is said, called and returned, from the lines.
fn told(lines: &[String]) -> Vec<(String, String, String)> {
    let mut told: Vec<(String, String, String)> = Vec::new();
    let mut at: std::collections::HashMap<String, usize> = Default::default();
    for line in values(lines) {
        let of = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match &*of("type") {
            "TEXT_MESSAGE_START" => {
                at.insert(of("messageId"), told.len());
                told.push((of("role"), String::new(), String::new()));
            }
            "REASONING_MESSAGE_START" => {
                at.insert(of("messageId"), told.len());
                told.push(("thinking".into(), String::new(), String::new()));
            }
            "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT" => {
                told[at[&of("messageId")]].2.push_str(&of("delta"));
            }
            "TOOL_CALL_START" => {
                at.insert(of("toolCallId"), told.len());
                told.push(("tool_call".into(), of("toolCallName"), String::new()));
            }
            "TOOL_CALL_ARGS" => told[at[&of("toolCallId")]].2.push_str(&of("delta")),
            "TOOL_CALL_RESULT" => {
                let tool = at.get(&of("toolCallId")).map(|at| told[*at].1.clone()).unwrap_or_default();
                told.push(("tool_result".into(), tool, of("content")));
            }
            _ => {}
        }
    }
    told
}

/// The same, from the events.
fn said(events: &[Event]) -> Vec<(String, String, String)> {
    let parts = events.iter().flat_map(|event| Readable::of(event, Catalogue::builtin()).parts);
    let one_line = |text: String| match serde_json::from_str::<Value>(&text) {
        Ok(value) => value.to_string(),
        Err(_) => text,
    };
    parts
        .map(|part| match part.speaker {
            Speaker::ToolCall => ("tool_call".into(), part.tool.unwrap(), one_line(part.text)),
            speaker => (speaker.as_str().to_owned(), part.tool.unwrap_or_default(), part.text),
        })
        .collect()
}

/// One thing that a session does, from a small pool so that they collide.
#[derive(Clone, Debug)]
enum Does {
    Starts(u8),
    Ends(u8, u8),
    Says(u8, String),
    Calls(u8),
    Returns(u8, bool),
    StepStarts(u8),
    StepEnds(u8, bool),
    Changes(String, u8),
    Else,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        (0..3u8).prop_map(Does::Starts),
        (0..3u8, 0..4u8).prop_map(|(run, how)| Does::Ends(run, how)),
        (0..4u8, "[a-z\"\\\\ü]{1,5}").prop_map(|(who, text)| Does::Says(who, text)),
        (0..3u8).prop_map(Does::Calls),
        (0..3u8, any::<bool>()).prop_map(|(call, failed)| Does::Returns(call, failed)),
        (0..3u8).prop_map(Does::StepStarts),
        (0..3u8, any::<bool>()).prop_map(|(step, failed)| Does::StepEnds(step, failed)),
        ("[a~/]{1,3}", 0..3u8).prop_map(|(key, value)| Does::Changes(key, value)),
        Just(Does::Else),
    ]
}

fn event(n: usize, does: &Does) -> NewEvent {
    let event = match does {
        Does::Starts(run) => NewEvent::new("run.started").data(json!({"run_id": format!("r-{run}")})),
        Does::Ends(run, how) => {
            let kinds = ["run.completed", "run.failed", "run.cancelled", "run.paused"];
            NewEvent::new(kinds[usize::from(*how)]).data(json!({"run_id": format!("r-{run}"), "tokens": 7}))
        }
        Does::Says(who, text) => {
            let kinds = ["message.user", "message.assistant", "message.thinking", "message.system"];
            NewEvent::new(kinds[usize::from(*who)]).data(json!({ "text": text }))
        }
        Does::Calls(call) => {
            let args = json!({"path": "src", "n": call});
            let id = format!("c-{call}");
            NewEvent::new("tool.invoked").data(json!({"tool": "grep", "tool_call_id": id, "args": args}))
        }
        Does::Returns(call, true) => NewEvent::new("tool.errored")
            .data(json!({"tool": "grep", "tool_call_id": format!("c-{call}"), "error": "no such file"})),
        Does::Returns(call, false) => NewEvent::new("tool.completed")
            .data(json!({"tool": "grep", "tool_call_id": format!("c-{call}"), "result": "3 hits"})),
        Does::StepStarts(step) => {
            NewEvent::new("step.started").data(json!({"step_id": step.to_string(), "name": "look"}))
        }
        Does::StepEnds(step, failed) => {
            let kind = if *failed { "step.failed" } else { "step.completed" };
            NewEvent::new(kind).data(json!({"step_id": step.to_string(), "name": "look"}))
        }
        Does::Changes(key, value) => NewEvent::new("state.changed").data(json!({"key": key, "value": value})),
        Does::Else => NewEvent::new("mode.changed").json_text("{\n \"to\": 12345678901234567890123 }"),
    };
    event.occurred(Timestamp::from_micros(1_772_569_904_604_000 + n as i64 * 1_500))
}

fn events(all: &[Does]) -> Vec<NewEvent> {
    all.iter().enumerate().map(|(n, does)| event(n, does)).collect()
}

/// A stream that clients take: the events of one run.
fn body() -> impl Strategy<Value = Vec<Value>> {
    let message = ("[a-z]{1,2}", prop::collection::vec("[ a-z\"]{0,3}", 0..4)).prop_map(|(id, pieces)| {
        let start = json!({"type": "TEXT_MESSAGE_START", "messageId": id, "role": "user"});
        let pieces =
            pieces.into_iter().map(|p| json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": p}));
        let end = json!({"type": "TEXT_MESSAGE_END", "messageId": id});
        std::iter::once(start).chain(pieces).chain([end]).collect::<Vec<_>>()
    });
    let call = "[a-z]{1,2}".prop_map(|id| {
        vec![
            json!({"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": "ls", "parentMessageId": "p"}),
            json!({"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": "{}"}),
            json!({"type": "TOOL_CALL_END", "toolCallId": id}),
            json!({"type": "TOOL_CALL_RESULT", "toolCallId": id, "messageId": "r", "content": "x", "role": "tool"}),
        ]
    });
    let rest = prop::sample::select(vec![
        json!({"type": "STATE_SNAPSHOT", "snapshot": null}),
        json!({"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/a~1b", "value": [1, null]}]}),
        json!({"type": "CUSTOM", "name": "x", "value": {"a": 1}, "timestamp": 1_772_569_904_604_i64}),
        json!({"type": "RAW", "event": null, "source": "other"}),
        json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": "q", "delta": "a"}),
        json!({"type": "ACTIVITY_SNAPSHOT", "messageId": "q", "activityType": "PLAN", "content": {}}),
        json!({"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "1", "role": "user", "content": "hi"}]}),
    ])
    .prop_map(|value| vec![value]);
    prop::collection::vec(prop_oneof![message, call, rest], 0..6).prop_map(|parts| parts.concat())
}

fn runs() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec((body(), any::<bool>()), 1..4).prop_map(|runs| {
        let mut lines = Vec::new();
        for (n, (body, fails)) in runs.into_iter().enumerate() {
            let id = format!("r-{n}");
            lines.push(json!({"type": "RUN_STARTED", "threadId": "t", "runId": id}));
            lines.extend(body);
            lines.push(match fails {
                true => json!({"type": "RUN_ERROR", "message": "no"}),
                false => json!({"type": "RUN_FINISHED", "threadId": "t", "runId": id, "result": 1}),
            });
        }
        lines.iter().map(Value::to_string).collect()
    })
}

proptest! {
    #[test]
    fn a_stream_that_was_imported_is_given_back(lines in runs()) {
        check_order(&lines);
        prop_assert_eq!(exported(&imported(&lines)), lines);
    }

    #[test]
    fn any_session_is_a_stream_that_clients_take(all in prop::collection::vec(does(), 1..40)) {
        let events = recorded(&events(&all));
        let lines = exported(&events);
        check_order(&lines);
        // Importing it and exporting that changes nothing more.
        let again = imported(&lines);
        prop_assert_eq!(&exported(&again), &lines);
    }

    #[test]
    fn what_both_can_say_survives_the_way_there_and_back(all in prop::collection::vec(does(), 1..40)) {
        // Calls that are made again before they have returned are told once, and results need their calls.
        let mut open = std::collections::BTreeSet::new();
        let all: Vec<Does> = all.into_iter().filter(|does| match does {
            Does::Starts(_) | Does::Ends(..) => false,
            Does::Calls(call) => open.insert(*call),
            Does::Returns(call, _) => open.remove(call),
            _ => true,
        }).collect();
        prop_assume!(!all.is_empty());
        let mut run = vec![Does::Starts(0)];
        run.extend(all);
        run.push(Does::Ends(0, 0));
        let events = recorded(&events(&run));
        let lines = exported(&events);
        prop_assert_eq!(told(&lines), said(&events));
        let again = imported(&lines);
        let count = |of: &[Event], kinds: &[&str]| of.iter().filter(|e| kinds.contains(&e.kind())).count();
        for kinds in [&["run.started"][..], &["run.completed"], &["tool.invoked"], &["tool.completed", "tool.errored"], &["state.changed"]] {
            prop_assert_eq!(count(&again, kinds), count(&events, kinds), "{:?}", kinds);
        }
        let ids = |of: &[Event]| -> Vec<String> {
            let results = of.iter().filter(|e| matches!(e.kind(), "tool.invoked"));
            results.map(|e| { let p: Value = e.json().unwrap(); p["tool_call_id"].as_str().or(p["toolCallId"].as_str()).unwrap().to_owned() }).collect()
        };
        prop_assert_eq!(ids(&again), ids(&events));
    }

    #[test]
    fn a_stream_that_begins_with_a_run_goes_on_as_one_that_began_earlier(
        all in prop::collection::vec(does(), 1..40),
    ) {
        let events = recorded(&events(&all));
        let mut whole = stream();
        let told: Vec<Vec<String>> = events.iter().map(|event| whole.push(event)).collect();
        for (at, _) in events.iter().enumerate().filter(|(_, event)| event.kind() == AgUi::RESTART) {
            let mut late = stream();
            late.push(&events[at]);
            for (event, told) in events.iter().zip(&told).skip(at + 1) {
                prop_assert_eq!(&late.push(event), told);
            }
        }
    }

    #[test]
    fn a_reader_can_begin_anywhere(all in prop::collection::vec(does(), 1..30), lines in runs()) {
        for (events, is_own) in [(recorded(&events(&all)), true), (imported(&lines), false)] {
            for at in 0..events.len() {
                let mut stream = stream().remember();
                let before: Vec<String> = events[..at].iter().flat_map(|event| stream.push(event)).collect();
                let mut lines = stream.begin();
                if is_own {
                    // Everything is in the snapshot or begun after it.
                    let messages = values(&lines)[1]["messages"].as_array().unwrap().clone();
                    let calls = |m: &Value| m["toolCalls"].as_array().map_or(0, Vec::len);
                    let texts = messages.iter().filter(|m| m.get("content").is_some()).count();
                    let count = texts + messages.iter().map(calls).sum::<usize>() + told(&lines).len();
                    prop_assert_eq!(count, told(&before).len(), "{:?}", lines);
                }
                lines.extend(events[at..].iter().flat_map(|event| stream.push(event)));
                check_order(&lines);
            }
        }
    }
}

#[test]
fn the_example_of_every_type_is_told() {
    for found in Catalogue::builtin().types() {
        let Some(example) = found.example() else { continue };
        let events = recorded(&[NewEvent::new(found.name().to_owned()).data(example.clone())]);
        let lines = exported(&events);
        assert!(!lines.is_empty(), "{}", found.name());
        check_order(&lines);
    }
}

#[test]
fn pieces_of_a_message_are_not_said_twice() {
    let piece = |text: &str| NewEvent::new("message.delta").data(json!({"message_id": "m", "delta": text}));
    let whole =
        |text: &str| NewEvent::new("message.assistant").data(json!({"message_id": "m", "text": text}));
    let lines = exported(&recorded(&[piece("a"), piece(" "), piece("b"), whole("a bc")]));
    assert_eq!(told(&lines), [("assistant".to_owned(), String::new(), "a bc".to_owned())]);
    check_order(&lines);
    // What differs from its pieces is a message of its own.
    let lines = exported(&recorded(&[piece("a"), whole("b")]));
    assert_eq!(told(&lines).iter().map(|(_, _, text)| text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    check_order(&lines);
}

#[test]
fn thoughts_calls_and_results_are_tied_to_their_message() {
    let message = NewEvent::new("message.assistant").data(json!({
        "message": {"id": "m", "role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c-1", "name": "ls", "input": {"path": "."}},
        ]}
    }));
    let result = NewEvent::new("tool.errored").data(json!({"tool_call_id": "c-1", "error": "gone"}));
    let lines = values(&exported(&recorded(&[message, result])));
    let find = |kind: &str| lines.iter().find(|line| line["type"] == kind).unwrap();
    assert_eq!(find("REASONING_MESSAGE_CONTENT")["delta"], "hm");
    let (text, call) = (find("TEXT_MESSAGE_START"), find("TOOL_CALL_START"));
    assert_eq!((&call["parentMessageId"], &call["toolCallName"]), (&text["messageId"], &json!("ls")));
    assert_eq!(find("TOOL_CALL_ARGS")["delta"], r#"{"path":"."}"#);
    let result = find("TOOL_CALL_RESULT");
    assert_eq!(
        (&result["toolCallId"], &result["content"], &result["error"]),
        (&call["toolCallId"], &json!("gone"), &json!("gone"))
    );
}

#[test]
fn a_run_that_never_ended_is_over_when_the_next_one_begins() {
    let run = |id: &str| NewEvent::new("run.started").data(json!({ "run_id": id }));
    let lines = exported(&recorded(&[run("r-1"), run("r-2")]));
    assert_eq!(types(&lines), "RUN_STARTED RUN_ERROR RUN_STARTED");
    assert_eq!(values(&lines)[1]["code"], "unfinished");
    let said = NewEvent::new("message.user").data(json!({"text": "hi"}));
    let message = "TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END";
    let lines = exported(&recorded(&[said, run("r-1")]));
    assert_eq!(types(&lines), format!("RUN_STARTED {message} RUN_FINISHED RUN_STARTED"));
}

#[test]
fn the_tokens_of_a_run_are_with_its_end() {
    let run = json!({"run_id": "r", "input_tokens": 10, "output_tokens": 2, "model": "large-2"});
    let lines = exported(&recorded(&[NewEvent::new("run.completed").data(run)]));
    assert_eq!(types(&lines), "RUN_STARTED RUN_FINISHED");
    let usage = &values(&lines)[1]["usage"];
    assert_eq!(*usage, json!([{"model": "large-2", "inputTokens": 10, "outputTokens": 2}]));
    let spent = |of: &[Event]| Readable::of(of.last().unwrap(), Catalogue::builtin()).usage;
    assert_eq!(spent(&imported(&lines)).input, Some(10.0));
}

#[test]
fn records_that_clients_refuse_are_told_raw() {
    let lines: Vec<String> = [
        json!({"type": "RUN_STARTED", "threadId": "t", "runId": "r", "parentRunId": null}),
        json!({"type": "THINKING_START"}),
        json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"}),
        json!({"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": null}),
        json!({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    let back = exported(&imported(&lines));
    check_order(&back);
    assert_eq!(types(&back), "RUN_STARTED RAW RAW RUN_FINISHED RUN_STARTED RAW RUN_FINISHED");
    let values = values(&back);
    assert_eq!(values[0], json!({"type": "RUN_STARTED", "threadId": "t", "runId": "r"}));
    assert_eq!(values[2]["event"]["delta"], "x");
}

#[test]
fn the_state_of_a_projection_comes_whole_and_then_by_what_changes() {
    let progress = |n: u64| NewEvent::new("run.progress").data(json!({"run_id": "r", "progress": n}));
    let run = NewEvent::new("run.started").data(json!({"run_id": "r"}));
    let done = NewEvent::new("run.completed").data(json!({"run_id": "r"}));
    let events = recorded(&[run, progress(10), progress(20), done]);
    let projection = || Box::new(Progress::new(Catalogue::builtin()));
    let mut stream = stream().state(projection()).unwrap();
    let lines: Vec<String> = events.iter().flat_map(|event| stream.push(event)).collect();
    check_order(&lines);
    let mut state = Value::Null;
    for line in values(&lines) {
        match line["type"].as_str().unwrap() {
            "STATE_SNAPSHOT" => state = line["snapshot"].clone(),
            "STATE_DELTA" => {
                let patch: json_patch::Patch = serde_json::from_value(line["delta"].clone()).unwrap();
                json_patch::patch(&mut state, &patch).unwrap();
            }
            _ => {}
        }
    }
    let store = Store::in_memory().unwrap();
    let run = events.iter().map(|event| {
        NewEvent::new(event.kind().to_owned()).json_text(event.payload().to_vec()).occurred(event.occurred())
    });
    store.append("t", run.collect::<Vec<_>>()).unwrap();
    let due = store.project(Progress::new(Catalogue::builtin())).unwrap().state("t").unwrap();
    assert_eq!(state, serde_json::to_value(due).unwrap());
    assert!(types(&lines).contains("STATE_DELTA"), "{}", types(&lines));
    let by_session = Box::new(crate::agents::projections::Resource::of_sessions(Catalogue::builtin()));
    assert!(AgUi::new(&place(), Catalogue::builtin().clone()).state(by_session).is_err());
}
