//! Streams are made, appended to, sequenced and closed.

use retold::{Query, Store};
use retold_server::{Config, Tokens};

use super::{JSON, TEXT, at};
use crate::harness::Served;

#[tokio::test]
async fn a_stream_is_made_once_and_found_as_it_is() {
    let served = Served::open().await;
    let new = served.ask("PUT", &at("a/b%20c")).header("stream-ttl", "60").body(TEXT, "one").send().await;
    assert_eq!((new.status, new.header("content-type")), (201, Some(TEXT)));
    assert_eq!(new.header("location").unwrap(), format!("{}/v1/stream/a/b%20c", served.base()));
    let same = served
        .ask("PUT", &at("a/b%20c"))
        .header("stream-ttl", "60")
        .body("TEXT/plain; x=y", "two")
        .send()
        .await;
    assert_eq!((same.status, same.next(), same.header("location")), (200, new.next(), None));
    for (name, value, content_type) in
        [("stream-ttl", "61", TEXT), ("stream-closed", "true", TEXT), ("stream-ttl", "60", JSON)]
    {
        let other = served.ask("PUT", &at("a/b%20c")).header(name, value).body(content_type, "").send().await;
        assert_eq!(
            (other.status, other.problem().as_str()),
            (409, "exists"),
            "{name} {value} {content_type}"
        );
    }
    assert_eq!(served.text_of("a/b%20c").await, "one");
    let bare = served.ask("PUT", &at("bare")).send().await;
    assert_eq!((bare.status, bare.header("content-type")), (201, Some("application/octet-stream")));
    let done = served.ask("PUT", &at("done")).header("stream-closed", "True").body(TEXT, "all").send().await;
    assert_eq!((done.status, done.header("stream-closed")), (201, Some("true")));
    assert_eq!(served.append("done", TEXT, "more").send().await.problem(), "stream-closed");
    // What is recorded says which stream it is of, and has its type.
    let info = served.store.sessions(None, 10).unwrap();
    let session =
        info.iter().find(|of| of.events == 2 && of.session.as_str().starts_with("durable-stream:")).unwrap();
    let events = served.store.read(&Query::session(session.session.clone()).unwrap()).unwrap().events;
    assert_eq!(events[0].kind(), "stream.created");
    assert_eq!((events[1].kind(), events[1].content_type()), ("stream.data", TEXT));
}

#[tokio::test]
async fn what_cant_be_a_stream_is_refused_and_leaves_nothing() {
    let served = Served::open().await;
    for path in ["a//b", "a/../b", "a%00b", "a%0Ab", "%ff", "a/", &"a".repeat(1_100)] {
        let answer = served.ask("PUT", &at(path)).body(TEXT, "x").send().await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(served.get(&at(path)).await.status, 400, "{path}");
    }
    for path in ["__ds/subscriptions/a", "sessions", "sessions/a"] {
        assert_eq!(served.ask("PUT", &at(path)).body(TEXT, "x").send().await.status, 404, "{path}");
    }
    for (name, value) in [
        ("stream-ttl", "-1"),
        ("stream-ttl", "1.5"),
        ("stream-expires-at", "yesterday"),
        ("stream-expires-at", "2001-01-01T00:00:00Z"),
        ("stream-fork-offset", "-1"),
        ("stream-forked-from", "elsewhere"),
    ] {
        let answer = served.ask("PUT", &at("a")).header(name, value).body(TEXT, "x").send().await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid"), "{name}: {value}");
    }
    assert_eq!(served.ask("PUT", &at("a")).body("no type", "x").send().await.status, 400);
    assert_eq!(served.ask("PUT", &at("a")).body(JSON, "{").send().await.status, 400);
    assert!(served.store.sessions(None, 10).unwrap().is_empty());
    assert_eq!(served.append("a", TEXT, "x").send().await.problem(), "not-found");
    assert_eq!(served.ask("PATCH", &at("a")).send().await.status, 405);
}

#[tokio::test]
async fn appends_are_refused_for_their_type_their_body_and_their_sequence() {
    let served = Served::open().await;
    served.made("a", TEXT, "").await;
    let first = served.appended("a", TEXT, "one ").await;
    assert_eq!(first.next().len(), 20);
    let second =
        served.append("a", "TEXT/PLAIN; charset=utf-8", "two").header("stream-seq", "2").send().await;
    assert!(second.status == 204 && second.next() > first.next());
    for (seq, status) in
        [("2", 409), ("10", 409), ("1", 409), ("20", 204), ("A", 204), ("a", 204), ("B", 409)]
    {
        assert_eq!(
            served.append("a", TEXT, seq).header("stream-seq", seq).send().await.status,
            status,
            "{seq}"
        );
    }
    assert_eq!(served.append("a", JSON, "{}").send().await.problem(), "type-differs");
    assert_eq!(served.append("a", "nonsense", "x").send().await.status, 400);
    assert_eq!(served.append("a", TEXT, "").send().await.status, 400);
    assert_eq!(served.ask("POST", &at("a")).send().await.status, 400);
    assert_eq!(
        served.append("a", TEXT, "x").header("stream-seq", &"s".repeat(1_025)).send().await.status,
        400
    );
    assert_eq!(served.text_of("a").await, "one two20Aa");
}

#[tokio::test]
async fn json_is_a_list_of_messages() {
    let served = Served::open().await;
    served.made("a", "application/json; charset=utf-8", "[]").await;
    assert_eq!(served.text_of("a").await, "[]");
    for (body, status) in [
        ("{\"a\": 1.10}", 204),
        ("[1, [2, 3]]", 204),
        ("[[[4]]]", 204),
        (" null ", 204),
        ("[]", 400),
        ("[1,]", 400),
        ("{", 400),
        ("1 2", 400),
        ("", 400),
    ] {
        assert_eq!(served.append("a", JSON, body).send().await.status, status, "{body}");
    }
    let answer = served.get(&at("a")).await;
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    // Byte for byte as each message was sent.
    assert_eq!(answer.text(), "[{\"a\": 1.10},1,[2, 3],[[4]],null]");
}

#[tokio::test]
async fn a_stream_closes_once_and_for_good() {
    let served = Served::open().await;
    served.made("a", TEXT, "one").await;
    for not in ["false", "1", ""] {
        let answer = served.append("a", TEXT, "x").header("stream-closed", not).send().await;
        assert_eq!((answer.status, answer.header("stream-closed")), (204, None), "{not:?}");
    }
    let last = served.append("a", TEXT, "end").header("stream-closed", "TRUE").send().await;
    assert_eq!((last.status, last.header("stream-closed")), (204, Some("true")));
    let again = served.closed("a").await;
    assert_eq!(again.next(), last.next());
    for ask in [
        served.append("a", TEXT, "x"),
        served.append("a", JSON, "x"),
        served.append("a", TEXT, "x").header("stream-closed", "true"),
    ] {
        let refused = ask.send().await;
        assert_eq!((refused.status, refused.header("stream-closed")), (409, Some("true")));
        assert_eq!((refused.next(), refused.problem()), (last.next(), "stream-closed".to_owned()));
    }
    assert_eq!(served.head_of("a").await.header("stream-closed"), Some("true"));
    assert_eq!(served.text_of("a").await, "onexxxend");
    assert_eq!(served.ask("POST", &at("none")).header("stream-closed", "true").send().await.status, 404);
    // Closed as a branch, it is a closed stream.
    served.made("b", TEXT, "x").await;
    let session =
        served.store.sessions(None, 10).unwrap().into_iter().find(|of| of.events == 2).unwrap().session;
    served.store.lifecycle().close(&session).unwrap();
    assert_eq!(served.append("b", TEXT, "x").send().await.problem(), "stream-closed");
}

#[tokio::test]
async fn all_who_append_at_once_are_recorded_and_one_sequence_wins() {
    let served = Served::open().await;
    served.made("a", JSON, "").await;
    served.made("b", TEXT, "").await;
    let body: Vec<String> = (0..24).map(|n| n.to_string()).collect();
    let plain = body.iter().map(|body| served.append("a", JSON, body).send());
    let sequenced = (0..8).map(|_| served.append("b", TEXT, "x").header("stream-seq", "1").send());
    let (plain, sequenced) =
        tokio::join!(futures_util::future::join_all(plain), futures_util::future::join_all(sequenced));
    assert!(plain.iter().all(|answer| answer.status == 204));
    let statuses: Vec<u16> = sequenced.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 204 | 409)));
    let mut found: Vec<u64> = serde_json::from_str(&served.text_of("a").await).unwrap();
    found.sort_unstable();
    assert_eq!(found, (0..24).collect::<Vec<_>>());
    assert_eq!(served.text_of("b").await, "x");
}

#[tokio::test]
async fn a_body_has_a_limit_and_so_has_a_message() {
    let mut config = Config::new(Tokens::open());
    config.limits.body_bytes = 4_096;
    let store = Store::builder().max_payload_bytes(1_024).in_memory().unwrap();
    let served = Served::with(store, config).await;
    served.made("a", TEXT, "").await;
    assert_eq!(served.append("a", TEXT, &"x".repeat(1_024)).send().await.status, 204);
    assert!(matches!(served.append("a", TEXT, &"x".repeat(1_025)).send().await.status, 400 | 413));
    assert_eq!(served.append("a", TEXT, &"x".repeat(4_097)).send().await.problem(), "too-large");
    assert_eq!(served.text_of("a").await.len(), 1_024);
}
