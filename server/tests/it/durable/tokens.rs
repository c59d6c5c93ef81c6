//! A token does with streams what it may, and learns nothing of the rest.

use retold::NewEvent;
use retold_server::Scope;

use super::{TEXT, at};
use crate::harness::Served;

const TOKENS: [(&str, Scope, &str); 4] = [
    ("all", Scope::Admin, ""),
    ("reads", Scope::Read, "chat-*"),
    ("writes", Scope::Append, "chat-*"),
    ("owns", Scope::Admin, "chat-*"),
];

#[tokio::test]
async fn the_pattern_of_a_token_is_for_paths() {
    let served = Served::start(&TOKENS).await;
    let put = |token: &str, path: &str| served.ask("PUT", &at(path)).token(token).body(TEXT, "x").send();
    let post = |token: &str, path: &str| served.ask("POST", &at(path)).token(token).body(TEXT, "x").send();
    let get = |token: &str, path: &str| served.ask("GET", &at(path)).token(token).send();
    let head = |token: &str, path: &str| served.ask("HEAD", &at(path)).token(token).send();
    let delete = |token: &str, path: &str| served.ask("DELETE", &at(path)).token(token).send();
    assert_eq!(served.ask("GET", &at("chat-1")).send().await.status, 401);
    assert_eq!(put("reads", "chat-1").await.status, 403);
    assert_eq!(put("writes", "chat-1/a").await.status, 201);
    assert_eq!(put("all", "secret").await.status, 201);
    for path in ["secret", "none"] {
        // The same whether there is such a stream or not.
        for token in ["reads", "writes", "owns"] {
            let refused = get(token, path).await;
            assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"), "{token} {path}");
            assert!(refused.header("stream-next-offset").is_none() && refused.header("etag").is_none());
            assert_eq!(head(token, path).await.status, 403);
            assert_eq!(post(token, path).await.status, 403);
            assert_eq!(put(token, path).await.status, 403);
            assert_eq!(delete(token, path).await.status, 403);
        }
    }
    assert_eq!(get("reads", "chat-1/a").await.text(), "x");
    assert_eq!(post("reads", "chat-1/a").await.status, 403);
    assert_eq!(post("writes", "chat-1/a").await.status, 204);
    assert_eq!(delete("writes", "chat-1/a").await.status, 403);
    assert_eq!(delete("owns", "chat-1/a").await.status, 204);
}

#[tokio::test]
async fn a_fork_of_what_may_not_be_read_is_refused_as_if_it_were_not_there() {
    let served = Served::start(&TOKENS).await;
    let put = served.ask("PUT", &at("secret")).token("all").body(TEXT, "x").send().await;
    assert_eq!(put.status, 201);
    let fork = |from: &str| {
        served.ask("PUT", &at("chat-2")).token("writes").header("stream-forked-from", &at(from)).send()
    };
    let (there, missing) = (fork("secret").await, fork("none").await);
    assert_eq!((there.status, &there.body), (403, &missing.body));
    assert_eq!(served.ask("HEAD", &at("chat-2")).token("reads").send().await.status, 404);
}

#[tokio::test]
async fn the_sessions_of_streams_are_not_those_of_its_pattern() {
    let served = Served::start(&TOKENS).await;
    let put = served.ask("PUT", &at("chat-1")).token("writes").body(TEXT, "x").send().await;
    assert_eq!(put.status, 201);
    let session = served.store.sessions(None, 10).unwrap()[0].session.clone();
    let events = format!("/v1/sessions/{session}/branches/main/events");
    assert_eq!(served.ask("GET", &events).token("owns").send().await.status, 403);
    assert_eq!(
        served.ask("GET", &at(&format!("sessions/{session}/main"))).token("owns").send().await.status,
        403
    );
    assert_eq!(served.ask("GET", &events).token("all").send().await.status, 200);
}

#[tokio::test]
async fn a_session_as_a_stream_needs_the_right_to_the_session() {
    let served = Served::start(&TOKENS).await;
    for session in ["chat-7", "other"] {
        served.store.append(session, NewEvent::new("step.done")).unwrap();
    }
    let get = |path: &'static str| served.ask("GET", &at(path)).token("reads").send();
    assert_eq!(get("sessions/chat-7/main").await.status, 200);
    for path in ["sessions/other/main", "sessions/none/main"] {
        let refused = get(path).await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"), "{path}");
        let refused = served.ask("POST", &at(path)).token("writes").body(TEXT, "x").send().await;
        assert_eq!(refused.status, 403, "{path}");
    }
    assert_eq!(
        served.ask("POST", &at("sessions/chat-7/main")).token("writes").body(TEXT, "x").send().await.status,
        405
    );
}
