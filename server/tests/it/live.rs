//! Live streams: no gap, no repeat, nothing of what may not be read.

use retold::{NewEvent, Store};
use retold_server::{Config, Tokens};
use serde_json::json;

use crate::harness::{Frame, Served, Sse, soon};

pub(crate) async fn until_caught_up(sse: &mut Sse) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = sse.next().await.expect("it catches up");
        if frame.event == "caught-up" {
            return frames;
        }
        frames.push(frame);
    }
}

pub(crate) fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(json!({ "n": n }))
}

#[tokio::test]
async fn what_is_recorded_comes_first_then_what_will_be() {
    let served = Served::open().await;
    served.store.append("s", vec![numbered(1), numbered(2)]).unwrap();
    let mut sse = served.sse("/v1/sessions/s/branches/main/events").await;
    assert_eq!(sse.frame().await.unwrap().retry, Some(1000));
    let replay = until_caught_up(&mut sse).await;
    assert_eq!(replay.iter().map(|frame| frame.json()["sequence"].clone()).collect::<Vec<_>>(), [1, 2]);
    served.store.append("s", numbered(3)).unwrap();
    let live = sse.next().await.unwrap();
    assert_eq!((live.event.as_str(), &live.json()["data"]["n"]), ("event", &json!(3)));
    // After the second, the third comes again.
    let last = replay[1].id.clone().unwrap();
    let again = served.ask("GET", "/v1/sessions/s/branches/main/events").header("last-event-id", &last);
    assert_eq!(again.sse().await.next().await.unwrap(), live);
    let again = served
        .sse(&format!("/v1/sessions/s/branches/main/events?follow=sse&cursor={last}"))
        .await
        .next()
        .await;
    assert_eq!(again.unwrap(), live);
    served.store.lifecycle().close("s").unwrap();
    let end = sse.next().await.unwrap();
    assert_eq!((end.event.as_str(), end.json()), ("end", json!({"reason": "closed"})));
    assert!(sse.next().await.is_none());
}

#[tokio::test]
async fn a_cursor_of_another_stream_is_refused() {
    let served = Served::open().await;
    served.store.append("s", numbered(1)).unwrap();
    served.store.append("t", numbered(1)).unwrap();
    let first = served.sse("/v1/sessions/s/events").await.next().await.unwrap();
    let id = first.id.unwrap();
    for path in ["/v1/events", "/v1/sessions/t/events", "/v1/sessions/s/branches/main/events"] {
        let refused = served.get(&format!("{path}?follow=sse&cursor={id}")).await;
        assert_eq!((refused.status, refused.problem()), (400, "bad-cursor".to_owned()), "{path}");
    }
    let other = Served::open().await;
    other.store.append("s", numbered(1)).unwrap();
    assert_eq!(
        other.get(&format!("/v1/sessions/s/events?follow=sse&cursor={id}")).await.problem(),
        "bad-cursor"
    );
    for bad in ["limit=1", "reverse=true", "to=3", "cursor=x", "from=1&cursor=x"] {
        assert_eq!(served.get(&format!("/v1/events?follow=sse&{bad}")).await.status, 400, "{bad}");
    }
    for none in ["s/branches/none", "none/branches/main", "none"] {
        let refused = served.get(&format!("/v1/sessions/{none}/events?follow=sse")).await;
        assert_eq!(refused.problem(), "not-found", "{none}");
    }
}

#[tokio::test]
async fn a_server_that_restarts_leaves_no_gap_and_repeats_nothing() {
    const EVENTS: u64 = 400;
    const PART: u64 = 100;
    let mut served = Served::open().await;
    let store = served.store.clone();
    // A part for each of the first streams: none of them can see all.
    let (part, parts) = std::sync::mpsc::channel::<()>();
    let writer = tokio::task::spawn_blocking(move || {
        for n in 1..=EVENTS {
            if n % PART == 1 {
                parts.recv().unwrap();
            }
            store.append("s", numbered(n)).unwrap();
        }
    });
    let mut seen = Vec::new();
    let mut last: Option<String> = None;
    let mut restarts = 0_u64;
    while (seen.len() as u64) < EVENTS {
        // Nobody waits once all parts are written.
        let _ = part.send(());
        let mut ask = served.ask("GET", "/v1/sessions/s/branches/main/events");
        if let Some(id) = &last {
            ask = ask.header("last-event-id", id);
        }
        let mut sse = ask.sse().await;
        let until = seen.len() + 37;
        let mut is_ending = false;
        while let Some(frame) = sse.next().await {
            last = frame.id.clone().or(last);
            match frame.event.as_str() {
                "event" => seen.push(frame.json()["data"]["n"].as_u64().unwrap()),
                "end" => assert_eq!(frame.json()["reason"], "closing"),
                _ => {}
            }
            if seen.len() as u64 == EVENTS {
                break;
            }
            if seen.len() >= until && !is_ending {
                is_ending = true;
                restarts += 1;
                served.end();
            }
        }
        drop(sse);
        served = served.restart().await;
    }
    soon(writer).await.unwrap();
    assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
    assert!(restarts >= EVENTS / PART - 1, "{restarts}");
}

#[tokio::test]
async fn a_stream_that_fails_does_not_say_that_all_was_told() {
    let served = Served::open().await;
    served.store.append("s", numbered(1)).unwrap();
    let mut sse = served.sse("/v1/sessions/s/branches/main/events").await;
    assert_eq!(until_caught_up(&mut sse).await.len(), 1);
    served.store.lifecycle().delete("s").unwrap();
    let failed = sse.next().await.unwrap();
    assert_eq!((failed.event.as_str(), &failed.json()["status"]), ("error", &json!(410)));
    assert_eq!(sse.next().await, None);
}

#[tokio::test]
async fn a_stream_that_ends_with_its_store_does_not_say_that_the_branch_is_closed() {
    let served = Served::open().await;
    served.store.append("s", numbered(1)).unwrap();
    let mut streams = Vec::new();
    for path in ["/v1/events", "/v1/sessions/s/events", "/v1/sessions/s/branches/main/events"] {
        let mut sse = served.sse(path).await;
        until_caught_up(&mut sse).await;
        streams.push(sse);
    }
    served.store.close().unwrap();
    for mut sse in streams {
        let end = sse.next().await.unwrap();
        assert_eq!((end.event.as_str(), end.json()), ("end", json!({"reason": "closing"})));
        assert_eq!(sse.next().await, None);
    }
}

#[tokio::test]
async fn what_is_left_out_is_not_told_of_as_stuck_either() {
    let refuses = retold::schema::Upcaster::new("step.done", 1)
        .to("step.done", 2)
        .function(1, |_| Err("it is old".to_owned()));
    let store = Store::builder().upcasts(retold::Upcasts::new([refuses]).unwrap()).in_memory().unwrap();
    let served = Served::with(store, Config::new(Tokens::open())).await;
    served.store.append("s", numbered(1).source("a")).unwrap();
    served.store.append("s", NewEvent::new("tool.invoked").source("a")).unwrap();
    let path = "/v1/sessions/s/branches/main/events";
    for (query, count) in
        [("source=a", 1), ("except=step.*", 0), ("type=tool.*", 0), ("type=step.*", 1), ("source=b", 0)]
    {
        let mut sse = served.sse(&format!("{path}?{query}")).await;
        let frames = until_caught_up(&mut sse).await;
        assert_eq!(frames.iter().filter(|frame| frame.event == "error").count(), count, "{query}");
        let page = served.get(&format!("{path}?{query}")).await.json();
        assert_eq!(page["errors"].as_array().map_or(0, Vec::len), count, "{query}");
        let lines = served.get_as(&format!("{path}?{query}"), "application/x-ndjson").await;
        let told = lines.text().lines().filter(|line| line.starts_with("{\"error\":")).count();
        assert_eq!(told, count, "{query}");
    }
}

#[tokio::test]
async fn a_hundred_followers_see_the_same() {
    let served = Served::open().await;
    served.store.append("s", numbered(0)).unwrap();
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut sse = served.sse("/v1/sessions/s/events").await;
        until_caught_up(&mut sse).await;
        all.push(sse);
    }
    for n in 1..=20 {
        served.store.append("s", numbered(n)).unwrap();
    }
    for mut sse in all {
        for n in 1..=20 {
            assert_eq!(sse.next().await.unwrap().json()["data"]["n"], n);
        }
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_nobody() {
    let served = Served::open().await;
    let text = "x".repeat(16 * 1024);
    served.store.append("s", NewEvent::new("a")).unwrap();
    let mut slow = served.sse("/v1/sessions/s/events").await;
    for _ in 0..8 {
        let events: Vec<NewEvent> =
            (0..100).map(|_| NewEvent::new("big.event").data(json!({ "text": text }))).collect();
        served.store.append("s", events).unwrap();
    }
    assert_eq!(served.get("/v1/sessions/s/branches/main/events?limit=1").await.status, 200);
    let mut sequences = Vec::new();
    while sequences.len() < 801 {
        let frame = slow.next().await.unwrap();
        if frame.event == "event" {
            sequences.push(frame.json()["sequence"].as_u64().unwrap());
        }
    }
    assert_eq!(sequences, (1..=801).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let served = Served::limited(|limits| limits.stall_time = std::time::Duration::from_millis(100)).await;
    let text = "x".repeat(512 * 1024);
    served.store.append("s", NewEvent::new("a")).unwrap();
    let mut slow = served.sse("/v1/sessions/s/events").await;
    slow.next().await.unwrap();
    // More than what is buffered on the way.
    for _ in 0..40 {
        served.store.append("s", NewEvent::new("big.event").data(json!({ "text": text }))).unwrap();
    }
    served.connections(0).await;
}

#[tokio::test]
async fn streams_that_are_not_read_keep_no_turn() {
    let served = Served::open().await;
    let text = "x".repeat(64 * 1024);
    for _ in 0..3 {
        let events: Vec<NewEvent> =
            (0..20).map(|_| NewEvent::new("big.event").data(json!({ "text": text }))).collect();
        served.store.append("s", events).unwrap();
    }
    let mut slow = Vec::new();
    // More than have a turn at once.
    for _ in 0..66 {
        slow.push(served.sse("/v1/sessions/s/events").await);
    }
    let mut sse = served.sse("/v1/sessions/s/events").await;
    assert_eq!(until_caught_up(&mut sse).await.len(), 60);
}

#[tokio::test]
async fn a_span_is_before_the_first_request_of_a_stream() {
    let served = Served::open().await;
    let now = retold::Timestamp::now().micros();
    let at = |hours: i64| retold::Timestamp::from_micros(now - hours * 3_600_000_000);
    served.store.append("s", vec![numbered(1).occurred(at(0)), numbered(2).occurred(at(3))]).unwrap();
    let path = "/v1/sessions/s/branches/main/events?since=2h";
    let first = served.sse(path).await.next().await.unwrap();
    assert_eq!(first.json()["data"]["n"], 1);
    let id = first.id.unwrap();
    let again = |id: &str| served.ask("GET", path).header("last-event-id", id);
    assert_eq!(again(&id).sse().await.next().await.unwrap().event, "caught-up");
    // As if that had been two hours ago.
    let (cursor, began) = id.rsplit_once('.').unwrap();
    let began = began.parse::<i64>().unwrap() - 2 * 3_600_000_000;
    let event = again(&format!("{cursor}.{began}")).sse().await.next().await.unwrap();
    assert_eq!(event.json()["data"]["n"], 2);
    let changed = again(&format!("{cursor}.x")).header("accept", "text/event-stream").send().await;
    assert_eq!(changed.problem(), "bad-cursor");
}

#[tokio::test]
async fn what_was_removed_is_a_gap() {
    let served = Served::open().await;
    served.store.append("s", (1..=5).map(numbered).collect::<Vec<_>>()).unwrap();
    let first = served.sse("/v1/sessions/s/branches/main/events").await.next().await.unwrap();
    served.store.lifecycle().truncate("s", retold::Sequence::new(4)).unwrap();
    let path = format!("/v1/sessions/s/branches/main/events?cursor={}", first.id.unwrap());
    let mut sse = served.sse(&path).await;
    let gap = sse.next().await.unwrap();
    assert_eq!((gap.event.as_str(), gap.json()), ("gap", json!({"first": 4})));
    assert_eq!(sse.next().await.unwrap().json()["sequence"], 4);
    let from = "/v1/sessions/s/branches/main/events?from=2";
    for accept in ["application/json", "application/x-ndjson"] {
        let gone = served.get_as(from, accept).await;
        assert_eq!((gone.status, gone.problem()), (410, "truncated".to_owned()), "{accept}");
    }
    let page = served.get(&path).await;
    assert_eq!(page.problem(), "bad-cursor", "a live stream's is not a page's");
    let lines = served.get_as("/v1/sessions/s/branches/main/events", "application/x-ndjson").await;
    assert_eq!((lines.status, lines.text().lines().count()), (200, 2));
    assert_eq!(lines.header("cache-control"), Some("no-store, no-cache, no-transform"));
}

#[tokio::test]
async fn an_event_that_cannot_be_made_new_is_told_of_and_passed() {
    let refuses = retold::schema::Upcaster::new("step.done", 1)
        .to("step.done", 2)
        .function(1, |value| if value["n"] == 2 { Err("it is two".to_owned()) } else { Ok(value) });
    let store = Store::builder().upcasts(retold::Upcasts::new([refuses]).unwrap()).in_memory().unwrap();
    let served = Served::with(store, Config::new(Tokens::open())).await;
    served.store.append("s", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
    let mut sse = served.sse("/v1/sessions/s/branches/main/events").await;
    let frames = until_caught_up(&mut sse).await;
    let names: Vec<&str> = frames.iter().map(|frame| frame.event.as_str()).collect();
    assert_eq!(names, ["event", "error", "event"]);
    assert_eq!(frames[1].json()["sequence"], 2);
    let page = served.get("/v1/sessions/s/branches/main/events").await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    assert_eq!(page["errors"][0]["type"], "urn:retold:problem:stuck-event");
    assert_eq!(page["errors"][0]["sequence"], 2);
    let other = served.get("/v1/sessions/s/branches/main/events?type=tool.*").await.json();
    assert_eq!(other.get("errors"), None);
}
