//! Live events over a WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use retold::{NewEvent, Store};
use retold_server::{Config, Scope};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{Served, soon, tokens_of};

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(served: &Served, token: Option<&str>) -> Self {
        let mut request = format!("ws://{}/v1/live", served.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "cloudevents.json".parse().unwrap());
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = served.connect().await;
        let (socket, response) = soon(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "cloudevents.json");
        Self(socket)
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        soon(async {
            loop {
                match self.0.next().await.unwrap().unwrap() {
                    Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
                    // It comes while nothing else does.
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
        .await
    }

    /// The next message of this kind of control.
    async fn control(&mut self, what: &str) -> Value {
        let heard = self.hear().await;
        assert_eq!(heard["control"], what, "{heard}");
        heard
    }

    async fn closed(&mut self) -> u16 {
        loop {
            match soon(self.0.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(Message::Text(_) | Message::Ping(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").data(json!({ "n": n }))
}

#[tokio::test]
async fn subscriptions_bring_cloud_events_as_far_as_credit_goes() {
    let served = Served::open().await;
    served.store.append("s", (1..=5).map(numbered).collect::<Vec<_>>()).unwrap();
    let mut socket = Socket::open(&served, None).await;
    socket.say(json!({"op": "subscribe", "id": "a", "session": "s", "branch": "main", "credit": 2})).await;
    socket.control("subscribed").await;
    let first = socket.hear().await;
    assert_eq!(
        (&first["specversion"], &first["subscription"], &first["data"]["n"]),
        (&json!("1.0"), &json!("a"), &json!(1))
    );
    let cursor = first["cursor"].clone();
    assert_eq!(socket.hear().await["data"]["n"], 2);
    // Nothing more comes, though subscriptions take turns.
    socket.say(json!({"op": "subscribe", "id": "all", "session": "s"})).await;
    socket.control("subscribed").await;
    for _ in 1..=5 {
        assert_eq!(socket.hear().await["subscription"], "all");
    }
    assert_eq!(socket.control("caught-up").await["subscription"], "all");
    socket.say(json!({"op": "unsubscribe", "id": "all"})).await;
    socket.control("unsubscribed").await;
    socket.say(json!({"op": "credit", "id": "none", "events": 1})).await;
    assert_eq!(socket.control("error").await["problem"]["status"], 404);
    socket.say(json!({"op": "credit", "id": "a", "events": 1})).await;
    socket.control("credited").await;
    assert_eq!(socket.hear().await["data"]["n"], 3);
    socket
        .say(json!({"op": "subscribe", "id": "b", "session": "s", "branch": "main", "cursor": cursor}))
        .await;
    socket.control("subscribed").await;
    for n in 2..=5 {
        let event = socket.hear().await;
        assert_eq!((&event["subscription"], &event["data"]["n"]), (&json!("b"), &json!(n)));
    }
    socket.control("caught-up").await;
    socket.say(json!({"op": "unsubscribe", "id": "b"})).await;
    socket.control("unsubscribed").await;
    served.store.append("s", numbered(6)).unwrap();
    socket.say(json!({"op": "credit", "id": "b", "events": 1})).await;
    socket.control("error").await;
}

#[tokio::test]
async fn a_filter_changes_on_the_way() {
    let served = Served::open().await;
    served.store.append("s", numbered(1)).unwrap();
    let mut socket = Socket::open(&served, None).await;
    socket.say(json!({"op": "subscribe", "id": "a", "filter": {"type": ["step.*"]}})).await;
    socket.control("subscribed").await;
    assert_eq!(socket.hear().await["data"]["n"], 1);
    socket.control("caught-up").await;
    socket.say(json!({"op": "filter", "id": "a", "filter": {"type": ["tool.*"]}})).await;
    socket.control("filtered").await;
    served.store.append("s", vec![numbered(2), NewEvent::new("tool.invoked")]).unwrap();
    assert_eq!(socket.hear().await["type"], "tool.invoked");
    socket.say(json!({"op": "filter", "id": "a", "filter": {"type": ["a..b"]}})).await;
    assert_eq!(socket.control("error").await["problem"]["status"], 400);
}

#[tokio::test]
async fn a_filter_before_anything_was_sent_loses_nothing() {
    let served = Served::start(&[("all", Scope::Read, ""), ("a", Scope::Read, "a-*")]).await;
    served.store.append("a-1", numbered(0)).unwrap();
    for token in ["all", "a"] {
        let mut socket = Socket::open(&served, Some(token)).await;
        socket.say(json!({"op": "subscribe", "id": "x", "from": "end", "credit": 0})).await;
        socket.control("subscribed").await;
        socket.control("caught-up").await;
        served.store.append("a-1", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
        socket.say(json!({"op": "filter", "id": "x", "filter": {"type": ["step.*"]}})).await;
        socket.control("filtered").await;
        // As many as there can be, and more.
        for events in [u64::MAX, 1] {
            socket.say(json!({"op": "credit", "id": "x", "events": events})).await;
        }
        let mut numbers = Vec::new();
        let mut credited = 0;
        while numbers.len() < 3 || credited < 2 {
            let heard = socket.hear().await;
            match heard["data"]["n"].as_u64() {
                Some(n) => numbers.push(n),
                None if heard["control"] == "credited" => credited += 1,
                None => panic!("{heard}"),
            }
        }
        assert_eq!(numbers, [1, 2, 3], "{token}");
    }
}

#[tokio::test]
async fn a_filter_is_for_what_was_not_looked_at_yet() {
    let served = Served::start(&[("a", Scope::Read, "a-*")]).await;
    let mut socket = Socket::open(&served, Some("a")).await;
    let steps: Vec<NewEvent> = (1..=3).map(numbered).collect();
    served.store.append("a-1", steps.clone()).unwrap();
    // Held back until there is credit, it meets the filter that is there then.
    socket.say(json!({"op": "subscribe", "id": "x", "credit": 0})).await;
    socket.control("subscribed").await;
    socket.say(json!({"op": "filter", "id": "x", "filter": {"where": ["/n > 1"]}})).await;
    socket.control("filtered").await;
    socket.say(json!({"op": "credit", "id": "x", "events": 5})).await;
    socket.control("credited").await;
    for n in [2, 3] {
        assert_eq!(socket.hear().await["data"]["n"], n);
    }
    socket.control("caught-up").await;
    // What another filter has passed over is not sent again.
    socket.say(json!({"op": "filter", "id": "x", "filter": {"type": ["tool.*"]}})).await;
    socket.control("filtered").await;
    served
        .store
        .append("a-1", vec![numbered(4), NewEvent::new("tool.invoked").data(json!({"n": 5}))])
        .unwrap();
    assert_eq!(socket.hear().await["data"]["n"], 5);
    socket.say(json!({"op": "filter", "id": "x", "filter": {}})).await;
    socket.control("filtered").await;
    served.store.append("a-1", numbered(6)).unwrap();
    assert_eq!(socket.hear().await["data"]["n"], 6);
}

#[tokio::test]
async fn what_is_no_event_needs_no_credit() {
    let served = Served::open().await;
    served.store.append("s", vec![numbered(1), numbered(2)]).unwrap();
    served.store.append("t", numbered(1)).unwrap();
    let mut socket = Socket::open(&served, None).await;
    for (session, from, count) in [("s", 1, 2), ("t", 2, 0)] {
        let asked = json!({"op": "subscribe", "id": session, "session": session, "branch": "main", "from": from, "credit": count});
        socket.say(asked).await;
        socket.control("subscribed").await;
        for n in 1..=count {
            assert_eq!(socket.hear().await["data"]["n"], n);
        }
        assert_eq!(socket.control("caught-up").await["subscription"], session);
    }
    served.store.lifecycle().close("s").unwrap();
    let end = socket.control("end").await;
    assert_eq!((&end["subscription"], &end["reason"]), (&json!("s"), &json!("closed")));
    served.store.lifecycle().delete("t").unwrap();
    let failed = socket.control("end").await;
    assert_eq!((&failed["subscription"], &failed["reason"]), (&json!("t"), &json!("failed")));
    assert_eq!(failed["problem"]["status"], 410);
    // Its name is free again.
    socket.say(json!({"op": "subscribe", "id": "t"})).await;
    socket.control("subscribed").await;
}

#[tokio::test]
async fn a_token_comes_by_header_or_with_the_first_message() {
    let served = Served::start(&[("a", Scope::Read, "a-*")]).await;
    served.store.append("a-1", numbered(1)).unwrap();
    served.store.append("b-1", numbered(2)).unwrap();
    let mut by_header = Socket::open(&served, Some("a")).await;
    let mut by_message = Socket::open(&served, None).await;
    by_message.say(json!({"op": "auth", "token": "a"})).await;
    by_message.control("authenticated").await;
    for socket in [&mut by_header, &mut by_message] {
        socket.say(json!({"op": "subscribe", "id": "x", "session": "b-1"})).await;
        assert_eq!(socket.control("error").await["problem"]["status"], 403);
        socket.say(json!({"op": "subscribe", "id": "x"})).await;
        socket.control("subscribed").await;
        assert_eq!(socket.hear().await["data"]["n"], 1);
        assert!(socket.control("caught-up").await["cursor"].is_string());
    }
    for first in [
        json!({"op": "auth", "token": "wrong"}),
        json!({"op": "subscribe", "id": "a"}),
        json!({"op": "auth", "token": "a\nb"}),
    ] {
        let mut socket = Socket::open(&served, None).await;
        socket.say(first).await;
        assert_eq!(socket.closed().await, 1008);
    }
    let wrong = served.ask("GET", "/v1/live").token("wrong").send().await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn what_is_no_message_closes_the_connection_with_its_code() {
    let served = Served::open().await;
    for (message, code) in [
        (Message::text("nonsense"), 1007),
        (Message::text(r#"{"op":"dance"}"#), 1007),
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text(r#"{"op":"auth","token":"x"}"#), 1008),
        (Message::text("x".repeat(100_000)), 1009),
    ] {
        let mut socket = Socket::open(&served, None).await;
        socket.0.send(message.clone()).await.unwrap();
        assert_eq!(socket.closed().await, code, "{}", message.len());
    }
    let plain = served.get("/v1/live").await;
    assert_eq!((plain.status, plain.problem()), (400, "no-websocket".to_owned()), "{plain:?}");
}

#[tokio::test]
async fn a_message_counts_as_a_request() {
    let mut config = Config::new(tokens_of(&[("a", Scope::Read, "")]));
    // So few that none comes back while the test runs.
    config.limits.requests_per_second = Some(3);
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    let mut socket = Socket::open(&served, Some("a")).await;
    let mut refused = 0;
    for n in 0..20 {
        socket.say(json!({"op": "subscribe", "id": n.to_string(), "from": "end"})).await;
        let heard = loop {
            let heard = socket.hear().await;
            if heard["control"] != "caught-up" {
                break heard;
            }
        };
        assert_eq!(heard["subscription"], n.to_string());
        if heard["control"] == "error" {
            assert_eq!(heard["problem"]["type"], "urn:retold:problem:too-many-requests", "{heard}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn a_client_that_is_out_of_reach_is_left() {
    let served = Served::open().await;
    let mut away = Socket::open(&served, None).await;
    away.say(json!({"op": "subscribe", "id": "a"})).await;
    away.control("subscribed").await;
    away.control("caught-up").await;
    served.connections(1).await;
    tokio::time::pause();
    // It reads nothing, so it answers no ping.
    for _ in 0..8 {
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    tokio::time::resume();
    served.connections(0).await;
    assert_eq!(served.app.connections(), 0);
}

#[tokio::test]
async fn a_token_is_a_second_protocol() {
    let served = Served::start(&[("a b", Scope::Read, "")]).await;
    let upgrade = |protocols: &str| {
        let ask =
            served.ask("GET", "/v1/live").header("connection", "upgrade").header("upgrade", "websocket");
        let ask =
            ask.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        ask.header("sec-websocket-protocol", protocols)
    };
    let (known, _open) = upgrade("cloudevents.json, bearer.a%20b").response().await;
    assert_eq!(known.status(), 101);
    assert_eq!(known.headers()["sec-websocket-protocol"], "cloudevents.json");
    // It is told at once, not after the time for a first message.
    assert_eq!(upgrade("cloudevents.json, bearer.wrong").send().await.problem(), "unauthorized");
}

#[tokio::test]
async fn frames_that_are_none_close_the_connection() {
    use tokio::io::AsyncWriteExt;
    let served = Served::open().await;
    for (frame, code) in [
        // A reserved bit.
        (&[0xF1, 0x80, 0, 0, 0, 0][..], 1002),
        // An operation that there is not.
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        // Not masked.
        (&[0x81, 0x01, b'x'], 1002),
        // Not UTF-8.
        (&[0x81, 0x82, 0, 0, 0, 0, 0xC3, 0x28], 1007),
    ] {
        let mut socket = Socket::open(&served, None).await;
        socket.0.get_mut().write_all(frame).await.unwrap();
        assert_eq!(socket.closed().await, code, "{frame:?}");
    }
    assert_eq!(served.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_server_that_ends_says_so() {
    let served = Served::open().await;
    let mut socket = Socket::open(&served, None).await;
    socket.say(json!({"op": "subscribe", "id": "a"})).await;
    socket.control("subscribed").await;
    socket.control("caught-up").await;
    served.end();
    assert_eq!(socket.control("end").await["reason"], "closing");
    assert_eq!(socket.closed().await, 1001);
    served.stop().await;
}
