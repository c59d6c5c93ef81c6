//! Streams are read from any offset, in parts, and again only if they have changed.

use retold::NewEvent;
use serde_json::json;

use super::{JSON, TEXT, at};
use crate::harness::Served;

#[tokio::test]
async fn an_offset_leads_to_what_came_after_it() {
    let served = Served::open().await;
    let empty = served.made("a", TEXT, "").await.next();
    let one = served.appended("a", TEXT, "one").await.next();
    let two = served.appended("a", TEXT, "two").await.next();
    assert!(empty < one && one < two);
    let zeros = "00000000000000000000";
    for (offset, text) in [
        ("-1", "onetwo"),
        ("0", "onetwo"),
        (zeros, "onetwo"),
        (&empty, "onetwo"),
        (&one, "two"),
        (&two, ""),
        ("now", ""),
    ] {
        let answer = served.read_from("a", offset).await;
        assert_eq!((answer.status, answer.text(), answer.next()), (200, text, two.clone()), "{offset}");
        assert_eq!(answer.header("stream-up-to-date"), Some("true"), "{offset}");
        assert_eq!(answer.header("stream-closed"), None);
        let cached = answer.header("cache-control").unwrap();
        assert_eq!(
            cached,
            if text.is_empty() { "no-store" } else { "private, max-age=60, stale-while-revalidate=300" }
        );
    }
    let beyond = format!("{:020}", two.parse::<u64>().unwrap() + 1);
    for bad in
        ["", "1", "x", "-2", "0,1", "now&offset=now", "99999999999999999999", &beyond, "%00", "-1&live=x"]
    {
        assert_eq!(served.read_from("a", bad).await.status, 400, "{bad}");
    }
    assert_eq!(served.read_from("b", "now").await.status, 404);
    assert_eq!(served.get(&format!("{}?offset=-1&other=1", at("a"))).await.status, 200);
}

#[tokio::test]
async fn a_head_says_what_a_stream_is() {
    let served = Served::open().await;
    let put = served.ask("PUT", &at("a")).header("stream-expires-at", "2999-01-02T03:04:05+00:00");
    let put = put.body("image/png", "x").send().await;
    let head = served.head_of("a").await;
    assert_eq!((head.status, head.header("content-type"), head.next()), (200, Some("image/png"), put.next()));
    assert_eq!(head.header("stream-expires-at"), Some("2999-01-02T03:04:05.000000Z"));
    assert_eq!((head.header("cache-control"), head.header("stream-ttl")), (Some("no-store"), None));
    assert!(head.body.is_empty());
    assert_eq!(served.head_of("b").await.status, 404);
}

#[tokio::test]
async fn what_a_reader_has_is_not_sent_again_until_it_is_another() {
    let served = Served::open().await;
    served.made("a", TEXT, "one").await;
    let tag = |answer: &crate::harness::Answer| answer.header("etag").unwrap().to_owned();
    let with = |tag: String| served.ask("GET", &at("a")).header("if-none-match", &tag).send();
    let first = served.get(&at("a")).await;
    let known = with(format!("\"x\", W/{}", tag(&first))).await;
    assert_eq!((known.status, known.text(), known.next()), (304, "", first.next()));
    assert_eq!(with("\"x\"".to_owned()).await.status, 200);
    served.closed("a").await;
    let closed = with(tag(&first)).await;
    assert_eq!((closed.status, closed.header("stream-closed")), (200, Some("true")));
    assert_eq!(with(tag(&closed)).await.status, 304);
    // The same data at the same offsets, but of another stream.
    served.delete(&at("a")).await;
    served.made("a", TEXT, "one").await;
    assert_eq!(with(tag(&first)).await.status, 200);
}

#[tokio::test]
async fn much_comes_in_parts_and_bytes_stay_bytes() {
    let served = Served::open().await;
    let put = served.ask("PUT", &at("a")).header("content-type", "application/octet-stream").send().await;
    assert_eq!(put.status, 201);
    let block: Vec<u8> = (0..=255).cycle().take(400_000).collect();
    let mut due = Vec::new();
    for _ in 0..7 {
        let ask = served.ask("POST", &at("a")).body("application/octet-stream", block.clone());
        assert_eq!(ask.send().await.status, 204);
        due.extend_from_slice(&block);
    }
    served.closed("a").await;
    let (mut found, mut offset, mut parts) = (Vec::new(), "-1".to_owned(), 0);
    loop {
        let answer = served.read_from("a", &offset).await;
        assert!(answer.next() > offset, "{offset}");
        assert!(answer.body.len() < 2_000_000, "{}", answer.body.len());
        found.extend_from_slice(&answer.body);
        (offset, parts) = (answer.next(), parts + 1);
        let is_last = answer.header("stream-up-to-date").is_some();
        assert_eq!(answer.header("stream-closed").is_some(), is_last);
        if is_last {
            break;
        }
    }
    assert!(found == due && parts > 1, "{} {parts}", found.len());
}

#[tokio::test]
async fn events_of_others_are_none_of_the_streams_and_are_passed_over() {
    let served = Served::open().await;
    served.made("a", JSON, "[1]").await;
    let session = served.store.sessions(None, 10).unwrap()[0].session.clone();
    served.store.append(&session, NewEvent::new("note.made").data(json!("x"))).unwrap();
    let tail = served.appended("a", JSON, "2").await.next();
    assert_eq!(served.text_of("a").await, "[1,2]");
    assert_eq!(served.head_of("a").await.next(), tail);
    served.store.append(&session, NewEvent::new("note.made").data(json!("y"))).unwrap();
    let rest = served.read_from("a", &tail).await;
    assert_eq!((rest.text(), rest.header("stream-up-to-date")), ("[]", Some("true")));
    assert!(rest.next() > tail);
    // What was cut off is told, not passed over.
    served.store.lifecycle().truncate(&session, 4).unwrap();
    let first = served.made("b", JSON, "").await.next();
    assert_eq!(served.read_from("a", &first).await.problem(), "truncated");
    assert_eq!(served.text_of("a").await, "[2]");
}

#[tokio::test]
async fn a_browser_that_is_led_to_a_stream_runs_nothing_of_it() {
    let served = Served::open().await;
    served.made("a", "text/html", "<script>alert(1)</script>").await;
    let answer = served.get(&at("a")).await;
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(answer.header("vary"), Some("authorization"));
}

#[tokio::test]
async fn a_session_is_a_stream_that_can_only_be_read() {
    let served = Served::open().await;
    let step = |n: u64| NewEvent::new("step.done").data(json!({ "n": n }));
    served.store.append("run-7", vec![step(1), step(2)]).unwrap();
    served.store.fork("run-7@1", "retry").unwrap();
    let path = "sessions/run-7/main";
    let all = served.get(&at(path)).await;
    assert_eq!((all.status, all.header("content-type")), (200, Some(JSON)));
    let events = all.json();
    assert_eq!((&events[0]["sequence"], &events[1]["data"]["n"]), (&json!(1), &json!(2)));
    assert_eq!(all.next(), format!("{:020}", 2));
    assert_eq!(served.read_from(path, &format!("{:020}", 1)).await.json()[0], events[1]);
    assert_eq!(served.get(&at("sessions/run-7/retry")).await.json().as_array().unwrap().len(), 1);
    for ask in
        [served.append(path, JSON, "{}"), served.ask("PUT", &at(path)), served.ask("DELETE", &at(path))]
    {
        let refused = ask.send().await;
        assert_eq!((refused.status, refused.problem().as_str()), (405, "method-not-allowed"));
        assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    }
    let fork = served.ask("PUT", &at("mine")).header("stream-forked-from", &at(path)).send().await;
    assert_eq!(fork.status, 400);
    served.store.lifecycle().close("run-7").unwrap();
    assert_eq!(served.head_of(path).await.header("stream-closed"), Some("true"));
    served.store.lifecycle().truncate("run-7", 2).unwrap();
    assert_eq!(served.get(&at(path)).await.json().as_array().unwrap().len(), 1);
    for (path, status) in
        [("sessions/none/main", 404), ("sessions/run-7/none", 404), ("sessions/run-7/a*b", 400)]
    {
        assert_eq!(served.get(&at(path)).await.status, status, "{path}");
        assert_eq!(served.head_of(path).await.status, status, "{path}");
    }
    assert_eq!(served.store.head("run-7").unwrap().get(), 2);
}
