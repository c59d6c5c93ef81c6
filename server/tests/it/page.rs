//! The page as a browser gets it.

use retold_server::Scope;

use crate::harness::Served;

#[tokio::test]
async fn a_view_answers_with_the_document_and_other_paths_do_not() {
    let served = Served::start(&[("a-secret-of-enough-letters", Scope::Read, "")]).await;
    for path in
        ["/", "/sessions", "/sessions/a%2Fb/main?at=3", "/compare?left=s/a&right=s/b", "/dead-letters"]
    {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    for path in ["/v1/no-such", "/no-such", "/session", "/assets/no-such.js", "/assets/..%2Findex.html"] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_the_document_is_asked_for_again() {
    let served = Served::open().await;
    let document = served.get("/sessions").await;
    let text = document.text();
    let assets: Vec<&str> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(assets.len() >= 3, "{text}");
    for path in assets {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(!answer.body.is_empty(), "{path}");
    }
    let tag = document.header("etag").unwrap();
    let again = served.ask("GET", "/sessions").header("if-none-match", tag).send().await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = served.ask("GET", "/sessions").header("if-none-match", "\"other\"").send().await;
    assert_eq!(other.status, 200);
}
