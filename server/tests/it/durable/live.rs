//! What comes in a stream is told as it comes: by long polls and by server-sent events.

use std::time::Duration;

use retold::Store;
use retold_server::{Config, Scope, Tokens};
use serde_json::{Value, json};

use super::{JSON, TEXT, at};
use crate::harness::{Answer, Frame, Served, Sse, soon};

fn live(path: &str, offset: &str, how: &str) -> String {
    format!("{}?offset={offset}&live={how}", at(path))
}

/// A server whose long polls end at once.
async fn impatient() -> Served {
    Served::limited(|limits| limits.long_poll_time = Duration::from_millis(1)).await
}

/// Waits until there are so many live reads.
async fn waiting(served: &Served, count: u64) {
    let due = format!("retold_streams {count}");
    soon(async {
        while !served.get("/metrics").await.text().lines().any(|line| line == due) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_poll_answers_with_what_is_there_or_what_comes_or_nothing() {
    let served = Served::open().await;
    let start = served.made("a", TEXT, "").await.next();
    let poll = served.ask("GET", &live("a", "now", "long-poll")).send();
    let poll = tokio::spawn(poll);
    waiting(&served, 1).await;
    let tail = served.appended("a", TEXT, "one").await.next();
    let found = soon(poll).await.unwrap();
    assert_eq!((found.status, found.text(), found.next()), (200, "one", tail.clone()));
    assert_eq!(found.header("stream-up-to-date"), Some("true"));
    let there = served.get(&live("a", &start, "long-poll")).await;
    let cursor: u64 = there.header("stream-cursor").unwrap().parse().unwrap();
    assert_eq!((there.status, there.text()), (200, "one"));
    let again = served.get(&format!("{}&cursor={cursor}", live("a", "-1", "long-poll"))).await;
    assert!(again.header("stream-cursor").unwrap().parse::<u64>().unwrap() > cursor);
    for bad in ["?live=long-poll", "?offset=-1&live=poll", "?offset=-1&live=long-poll&live=sse"] {
        assert_eq!(served.get(&format!("{}{bad}", at("a"))).await.status, 400, "{bad}");
    }
    assert_eq!(served.get(&live("none", "now", "long-poll")).await.status, 404);
    let served = impatient().await;
    let tail = served.made("a", JSON, "[1]").await.next();
    let nothing = served.get(&live("a", &tail, "long-poll")).await;
    assert_eq!((nothing.status, nothing.text(), nothing.next()), (204, "", tail));
    assert!(nothing.header("stream-cursor").is_some() && nothing.header("stream-up-to-date").is_some());
    assert_eq!(nothing.header("stream-closed"), None);
}

#[tokio::test]
async fn a_long_poll_ends_when_the_stream_closes_or_goes() {
    let served = Served::open().await;
    for (how, status, text) in [("close", 204, ""), ("close with data", 200, "end"), ("delete", 404, "")] {
        let tail = served.made("a", TEXT, "x").await.next();
        let poll = tokio::spawn(served.ask("GET", &live("a", &tail, "long-poll")).send());
        waiting(&served, 1).await;
        match how {
            "close" => drop(served.closed("a").await),
            "delete" => drop(served.delete(&at("a")).await),
            _ => drop(served.append("a", TEXT, "end").header("stream-closed", "true").send().await),
        }
        let mut found: Answer = soon(poll).await.unwrap();
        assert_eq!(found.status, status, "{how}: {}", found.text());
        if status == 404 {
            continue;
        }
        assert_eq!(found.text(), text, "{how}");
        if found.header("stream-closed").is_none() {
            // It has answered with the data before the end was known.
            found = served.get(&live("a", &found.next(), "long-poll")).await;
            assert_eq!(found.status, 204);
        }
        assert_eq!((found.header("stream-closed"), found.header("stream-cursor")), (Some("true"), None));
        let at_once = served.get(&live("a", "now", "long-poll")).await;
        assert_eq!((at_once.status, at_once.header("stream-closed")), (204, Some("true")));
        served.delete(&at("a")).await;
    }
}

/// The data of frames, and the last control.
async fn until(sse: &mut Sse, is_over: impl Fn(&Value) -> bool) -> (Vec<String>, Value) {
    let mut data = Vec::new();
    loop {
        let frame: Frame = sse.next().await.expect("a control comes");
        match frame.event.as_str() {
            "data" => {
                data.push(frame.data);
                let control = sse.next().await.expect("a control follows data");
                assert_eq!(control.event, "control");
                if is_over(&control.json()) {
                    return (data, control.json());
                }
            }
            "control" if is_over(&frame.json()) => return (data, frame.json()),
            "control" => {}
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn server_sent_events_have_what_there_is_then_what_comes_then_the_end() {
    let served = Served::open().await;
    served.made("a", JSON, "[1,2]").await;
    let mut sse = served.sse(&live("a", "-1", "sse")).await;
    let (data, control) = until(&mut sse, |control| control["upToDate"] == true).await;
    assert_eq!(data, ["[1,2]"]);
    assert!(control["streamCursor"].as_str().unwrap().parse::<u64>().is_ok(), "{control}");
    let tail = served.appended("a", JSON, "[3, {\"a\":\n4}]").await.next();
    let (data, control) = until(&mut sse, |control| control["streamNextOffset"] == *tail).await;
    assert_eq!(serde_json::from_str::<Value>(&data.concat()).unwrap(), json!([3, { "a": 4 }]));
    assert_eq!(control["upToDate"], true);
    let end = served.append("a", JSON, "5").header("stream-closed", "true").send().await.next();
    let (data, control) = until(&mut sse, |control| control["streamClosed"] == true).await;
    assert_eq!(data.concat(), "[5]");
    assert_eq!((&control["streamNextOffset"], control.get("streamCursor")), (&json!(end), None));
    assert_eq!(sse.next().await, None);
    let mut late = served.sse(&live("a", "now", "sse")).await;
    let frame = late.next().await.unwrap();
    assert_eq!((frame.event.as_str(), &frame.json()["streamClosed"]), ("control", &json!(true)));
    assert_eq!(late.next().await, None);
    assert_eq!(served.get(&format!("{}?live=sse", at("a"))).await.status, 400);
    assert_eq!(served.get(&live("none", "-1", "sse")).await.status, 404);
}

#[tokio::test]
async fn a_live_reader_misses_nothing_and_has_nothing_twice() {
    let served = Served::open().await;
    served.made("a", JSON, "").await;
    let mut sse = served.sse(&live("a", "-1", "sse")).await;
    let writes = async {
        for n in 0..60 {
            served.appended("a", JSON, &n.to_string()).await;
        }
        served.closed("a").await;
    };
    let ((), (data, _)) = tokio::join!(writes, until(&mut sse, |control| control["streamClosed"] == true));
    let found: Vec<u64> =
        data.iter().flat_map(|part| serde_json::from_str::<Vec<u64>>(part).unwrap()).collect();
    assert_eq!(found, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn bytes_are_encoded_and_text_has_no_frames_of_its_own() {
    let served = Served::open().await;
    let put = served.ask("PUT", &at("b")).body("image/png", &b"\0\n\r\xff"[..]).send().await;
    assert_eq!(put.status, 201);
    let (response, _open) = served.ask("GET", &live("b", "-1", "sse")).response().await;
    assert_eq!(response.headers()["stream-sse-data-encoding"], "base64");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut sse = served.sse(&live("b", "-1", "sse")).await;
    assert_eq!(sse.next().await.unwrap().data, "AAoN/w==");
    served.made("t", TEXT, " a\r\n\r\nevent: control\rdata: {}\n\nb").await;
    let mut sse = served.sse(&live("t", "-1", "sse")).await;
    let frame = sse.next().await.unwrap();
    assert_eq!((frame.event.as_str(), frame.data.as_str()), ("data", " a\n\nevent: control\ndata: {}\n\nb"));
    assert_eq!(sse.next().await.unwrap().event, "control");
}

#[tokio::test]
async fn a_fork_is_told_of_its_own_and_of_nothing_else() {
    let served = Served::open().await;
    served.made("a", TEXT, "x").await;
    let fork = served.ask("PUT", &at("b")).header("stream-forked-from", &at("a")).send().await;
    assert_eq!(fork.status, 201);
    let mut sse = served.sse(&live("b", "-1", "sse")).await;
    let (data, _) = until(&mut sse, |control| control["upToDate"] == true).await;
    assert_eq!(data, ["x"]);
    served.appended("a", TEXT, "not this").await;
    served.appended("b", TEXT, "this").await;
    let (data, _) = until(&mut sse, |_| true).await;
    assert_eq!(data, ["this"]);
    served.delete(&at("b")).await;
    assert_eq!(sse.next().await, None, "it ends with the stream");
}

#[tokio::test]
async fn live_reads_count_as_streams_and_end_with_the_server() {
    let mut config = Config::new(Tokens::open());
    config.limits.streams = 2;
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    served.made("a", TEXT, "x").await;
    let mut first = served.sse(&live("a", "-1", "sse")).await;
    let _second = served.sse(&live("a", "-1", "sse")).await;
    for how in ["sse", "long-poll"] {
        let refused = served.get(&live("a", "now", how)).await;
        assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-streams"));
    }
    served.end();
    while first.next().await.is_some() {}
    let served = Served::open().await;
    served.made("a", TEXT, "x").await;
    let poll = tokio::spawn(served.ask("GET", &live("a", "now", "long-poll")).send());
    waiting(&served, 1).await;
    served.end();
    assert_eq!(soon(poll).await.unwrap().status, 204);
}

#[tokio::test]
async fn a_stream_is_followed_only_by_those_who_may() {
    let served = Served::start(&[("all", Scope::Admin, ""), ("mine", Scope::Read, "mine*")]).await;
    for path in ["mine", "theirs"] {
        let put = served.ask("PUT", &at(path)).token("all").body(TEXT, "x").send().await;
        assert_eq!(put.status, 201);
    }
    for how in ["sse", "long-poll"] {
        for path in ["theirs", "none"] {
            let refused = served.ask("GET", &live(path, "-1", how)).token("mine").send().await;
            assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"), "{path}");
        }
    }
    let mut sse = served.ask("GET", &live("mine", "-1", "sse")).token("mine").sse().await;
    assert_eq!(sse.next().await.unwrap().data, "x");
}
