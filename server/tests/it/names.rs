//! Requests for other servers, and from pages that may not call this one.

use retold::Store;
use retold_server::{Config, Tokens};

use crate::harness::{Ask, Served};

async fn status(ask: Ask) -> u16 {
    ask.send().await.status
}

#[tokio::test]
async fn a_page_whose_name_leads_here_gets_nothing() {
    let served = Served::open().await;
    for path in ["/health", "/metrics", "/v1/sessions", "/", "/v1/nowhere"] {
        let answer = served.ask("GET", path).header("host", "evil.example:7878").send().await;
        assert_eq!((answer.status, answer.problem().as_str()), (421, "misdirected"), "{path}");
        let answer = served.ask("GET", path).header("origin", "http://evil.example").send().await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "origin"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(status(served.ask("POST", "/v1/x").header("origin", "null")).await, 403);
    assert_eq!(status(served.ask("GET", "/health").header("origin", &served.base())).await, 200);
    let said = served.raw(b"GET /health HTTP/1.0\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.0 400 ") || said.starts_with("HTTP/1.1 400 "), "{said}");
}

#[tokio::test]
async fn names_and_origins_that_were_given_are_allowed() {
    let mut config = Config::new(Tokens::open());
    config.hosts = vec!["store.example".to_owned()];
    config.origins = vec!["https://app.example".to_owned()];
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    assert_eq!(status(served.ask("GET", "/health").header("host", "store.example")).await, 200);
    let answer = served.ask("GET", "/health").header("origin", "https://app.example").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("vary"), Some("origin"));
    // Errors can be read as well.
    let answer = served.ask("GET", "/v1/nowhere").header("origin", "https://app.example").send().await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (404, Some("https://app.example"))
    );
    let preflight = |origin| {
        served
            .ask("OPTIONS", "/v1/nowhere")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
    };
    let answer = preflight("https://app.example").send().await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    let answer = preflight("https://evil.example").send().await;
    assert_eq!((answer.status, answer.header("access-control-allow-methods")), (403, None));
}

#[tokio::test]
async fn browsers_are_told_to_be_careful() {
    let served = Served::open().await;
    for path in ["/health", "/v1/nowhere"] {
        let answer = served.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}
