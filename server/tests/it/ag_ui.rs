//! AG-UI streams: in order, resumed at any frame, and nothing of what may not be read.

use retold::{NewEvent, Store};
use retold_server::{Config, Scope};
use serde_json::{Value, json};

use crate::harness::{Frame, Served, Sse, tokens_of};

const PATH: &str = "/v1/sessions/s/branches/main/ag-ui";

fn event(kind: &'static str, payload: Value) -> NewEvent {
    NewEvent::new(kind).data(payload)
}

/// A run with a message, a call and a step.
fn run(n: u64) -> Vec<NewEvent> {
    let run = json!({"run_id": format!("r-{n}")});
    let call = json!({"tool": "grep", "tool_call_id": format!("c-{n}"), "args": {"path": "src"}});
    vec![
        event("run.started", run.clone()),
        event("message.user", json!({"text": format!("look {n}")})),
        event("step.started", json!({"step_id": "1", "name": "look"})),
        event("tool.invoked", call),
        event("tool.completed", json!({"tool_call_id": format!("c-{n}"), "result": "3 hits"})),
        event("run.progress", json!({"run_id": format!("r-{n}"), "progress": n})),
        event("message.assistant", json!({"text": "found", "message_id": format!("m-{n}")})),
        event("run.completed", run),
    ]
}

fn types(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| frame.json()["type"].as_str().unwrap().to_owned()).collect()
}

/// The frames up to where everything recorded was told.
async fn until_caught_up(sse: &mut Sse) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = sse.frame().await.expect("it catches up");
        match frame.comment.as_deref() {
            Some("caught up") => return frames,
            _ if frame.data.is_empty() => {}
            _ => frames.push(frame),
        }
    }
}

async fn rest(mut sse: Sse) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = sse.next().await {
        frames.push(frame);
    }
    frames
}

#[tokio::test]
async fn a_run_is_replayed_and_followed_as_clients_of_ag_ui_want_it() {
    let served = Served::open().await;
    served.store.append("s", run(1)).unwrap();
    let mut sse = served.sse(PATH).await;
    let replay = until_caught_up(&mut sse).await;
    let message = ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"];
    let call = ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"];
    let due = [
        &["RUN_STARTED"],
        &message[..],
        &["STEP_STARTED"],
        &call,
        &["CUSTOM"],
        &message,
        &["STEP_FINISHED", "RUN_FINISHED"],
    ];
    assert_eq!(types(&replay), due.concat());
    assert!(replay.iter().all(|frame| frame.event.is_empty() && frame.id.is_some()), "{replay:?}");
    served.store.append("s", event("run.started", json!({"run_id": "r-2"}))).unwrap();
    let live = sse.next().await.unwrap();
    assert_eq!((&live.json()["threadId"], &live.json()["runId"]), (&json!("s"), &json!("r-2")));
}

#[tokio::test]
async fn a_stream_goes_on_after_any_frame_without_a_gap_or_a_repeat() {
    let served = Served::open().await;
    let alone = event("message.user", json!({"text": "outside of runs"}));
    for events in [vec![alone.clone()], run(1), vec![alone.clone()], run(2), vec![alone]] {
        served.store.append("s", events).unwrap();
    }
    served.store.lifecycle().close("s").unwrap();
    for state in ["", "?state=progress"] {
        let path = format!("{PATH}{state}");
        let whole = rest(served.sse(&path).await).await;
        assert!(whole.len() > 30, "{}", whole.len());
        assert_eq!(types(&whole).last().map(String::as_str), Some("RUN_FINISHED"));
        if !state.is_empty() {
            assert!(types(&whole).contains(&"STATE_DELTA".to_owned()));
        }
        for (n, frame) in whole.iter().enumerate() {
            let id = frame.id.clone().unwrap_or_else(|| panic!("frame {n} has no id: {frame:?}"));
            let again = served.ask("GET", &path).header("last-event-id", &id);
            assert_eq!(rest(again.sse().await).await, whole[n + 1..], "after frame {n}, {id}");
        }
    }
}

#[tokio::test]
async fn a_reader_can_begin_with_the_messages_so_far() {
    let served = Served::open().await;
    served.store.append("s", run(1)).unwrap();
    served.store.append("s", event("run.started", json!({"run_id": "r-2"}))).unwrap();
    served.store.append("s", event("step.started", json!({"step_id": "1", "name": "again"}))).unwrap();
    let mut sse = served.sse(&format!("{PATH}?messages=true&state=lifecycle")).await;
    let begin = until_caught_up(&mut sse).await;
    assert_eq!(types(&begin), ["RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT", "STEP_STARTED"]);
    let messages = begin[1].json()["messages"].clone();
    let roles: Vec<&str> = messages.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant"]);
    assert_eq!(
        messages[1]["toolCalls"][0]["function"],
        json!({"name": "grep", "arguments": "{\"path\":\"src\"}"})
    );
    served.store.append("s", event("step.completed", json!({"step_id": "1"}))).unwrap();
    let live = sse.next().await.unwrap();
    assert_eq!(live.json()["type"], "STEP_FINISHED");
    // It is resumed without the snapshot.
    let last = begin.last().unwrap().id.clone().unwrap();
    let again = served.ask("GET", &format!("{PATH}?state=lifecycle")).header("last-event-id", &last);
    assert_eq!(again.sse().await.next().await.unwrap(), live);
    let asked =
        served.ask("GET", &format!("{PATH}?messages=true")).header("last-event-id", &last).send().await;
    assert_eq!((asked.status, asked.problem()), (400, "invalid".to_owned()));
}

#[tokio::test]
async fn a_token_without_the_session_is_told_nothing() {
    let tokens = tokens_of(&[("others", Scope::Read, "other*"), ("reader", Scope::Read, "s")]);
    let served = Served::with(Store::in_memory().unwrap(), Config::new(tokens)).await;
    served.store.append("s", run(1)).unwrap();
    for path in [PATH, "/v1/sessions/none/branches/main/ag-ui"] {
        assert_eq!(served.ask("GET", path).token("others").send().await.status, 403, "{path}");
        assert_eq!(served.get(path).await.status, 401);
    }
    let mut sse = served.ask("GET", PATH).token("reader").sse().await;
    assert_eq!(until_caught_up(&mut sse).await.len(), 15);
}

#[tokio::test]
async fn what_can_not_be_used_is_refused() {
    let served = Served::open().await;
    served.store.append("s", run(1)).unwrap();
    served.store.append("t", run(1)).unwrap();
    let of_t = served.sse("/v1/sessions/t/branches/main/ag-ui").await.next().await.unwrap().id.unwrap();
    for (query, problem) in [
        ("?cursor=x", "bad-cursor"),
        ("?cursor=start.x", "bad-cursor"),
        (&*format!("?cursor={of_t}"), "bad-cursor"),
        ("?state=none", "invalid"),
        ("?state=spent", "invalid"),
        ("?follow=sse", "invalid"),
    ] {
        let refused = served.get(&format!("{PATH}{query}")).await;
        assert_eq!((refused.status, refused.problem().as_str()), (400, problem), "{query}");
    }
    assert_eq!(served.get("/v1/sessions/s/branches/none/ag-ui").await.status, 404);
}
