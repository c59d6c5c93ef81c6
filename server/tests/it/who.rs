//! Tokens: who gets in, what they may, how fast.

use retold::Store;
use retold_server::{Config, Scope, Token, Tokens};

use crate::harness::{Served, tokens_of};

const TOKENS: [(&str, Scope, &str); 3] =
    [("reads-all", Scope::Read, ""), ("reads-some", Scope::Read, "build-*"), ("may-all", Scope::Admin, "")];

#[tokio::test]
async fn a_server_with_tokens_answers_those_it_knows() {
    let served = Served::start(&TOKENS).await;
    for (token, status) in [("reads-all", 200), ("may-all", 200), ("reads-some", 403)] {
        assert_eq!(served.ask("GET", "/metrics").token(token).send().await.status, status, "{token}");
    }
    for header in [
        "Bearer",
        "Bearer ",
        "Bearer reads",
        "Bearer reads-allx",
        "Bearer READS-ALL",
        "Basic reads-all",
        "reads-all",
        "Bearer \u{e9}",
        &format!("Bearer {}", "x".repeat(20_000)),
    ] {
        let answer = served.ask("GET", "/metrics").header("authorization", header).send().await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{header}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"retold\""));
    }
    let twice = served.ask("GET", "/metrics").token("reads-all").token("reads-all").send().await;
    assert_eq!(twice.status, 401);
    assert_eq!(served.get("/metrics").await.problem(), "unauthorized");
    let named = served.get("/metrics?token=reads-all").await;
    assert_eq!(named.status, 401, "a secret in an address would be in every log");
    // Those who watch over the server need none.
    assert_eq!(served.get("/health").await.status, 200);
    assert_eq!(served.get("/ready").await.status, 200);
}

#[tokio::test]
async fn tokens_change_while_the_server_runs() {
    let served = Served::start(&TOKENS).await;
    served.app.set_tokens(tokens_of(&[("new", Scope::Read, "")]));
    assert_eq!(served.ask("GET", "/metrics").token("reads-all").send().await.status, 401);
    assert_eq!(served.ask("GET", "/metrics").token("new").send().await.status, 200);
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_held() {
    let slow = Token { requests_per_second: Some(3), ..Token::new("slow", Scope::Read) };
    let known = vec![("slow".to_owned(), slow), ("fast".to_owned(), Token::new("fast", Scope::Read))];
    let served = Served::with(Store::in_memory().unwrap(), Config::new(Tokens::of(known))).await;
    let mut held = None;
    for _ in 0..1_000 {
        let answer = served.ask("GET", "/metrics").token("slow").send().await;
        if answer.status == 429 {
            held = Some(answer);
            break;
        }
    }
    let held = held.expect("a thousand requests in a moment are more than three a second");
    assert_eq!((held.problem().as_str(), held.header("retry-after")), ("too-many-requests", Some("1")));
    assert_eq!(served.ask("GET", "/metrics").token("fast").send().await.status, 200);
    assert_eq!(served.get("/health").await.status, 200);
}
