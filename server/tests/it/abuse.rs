//! Clients that are slow, greedy or broken: they get an error, or nothing, and the server goes on.

use std::time::Duration;

use retold::Store;
use retold_server::{Config, Scope, Token, Tokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{PATIENCE, Served, rest, soon};

const SHORT: Duration = Duration::from_millis(150);

async fn still_serves(served: &Served) {
    let answer = served.get("/health").await;
    assert_eq!((answer.status, answer.text()), (200, "{\"status\":\"ok\"}"));
}

#[tokio::test]
async fn headers_that_come_too_slowly_and_connections_that_are_idle_are_cut_off() {
    let served = Served::limited(|limits| limits.header_time = SHORT).await;
    for beginning in ["", "G", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", "\r\n\r\n\r\n"] {
        let mut stream = served.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{beginning:?}");
    }
    // Idle after a request that was answered.
    let said = served.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("{\"status\":\"ok\"}"), "{said}");
    // A byte now and then does not help.
    let mut slow = served.connect().await;
    soon(async {
        while slow.write_all(b"a").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    served.connections(0).await;
    still_serves(&served).await;
}

#[tokio::test]
async fn headers_that_are_too_large_or_too_many_are_refused() {
    let served = Served::open().await;
    let large = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(40 * 1024));
    let many = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(500));
    for request in [large, path, many] {
        let mut stream = served.connect().await;
        // The server may end the connection before it has all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut first = [0; 12];
        match soon(stream.read_exact(&mut first)).await {
            Ok(_) => assert!(first.starts_with(b"HTTP/1.1 4"), "{first:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    still_serves(&served).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let served = Served::open().await;
    for length in ["16777217", "9223372036854775807"] {
        let request = format!(
            "POST /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let said = served.raw(request.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("urn:retold:problem:too-large"), "{said}");
    }
    for length in ["-1", "1, 2", "x", "18446744073709551615", "99999999999999999999999"] {
        let request = format!("POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        let said = served.raw(request.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{length}: {said}");
    }
    still_serves(&served).await;
}

#[tokio::test]
async fn two_thousand_connections_leave_room_as_soon_as_they_end() {
    let served = Served::limited(|limits| {
        limits.connections = 64;
        limits.header_time = PATIENCE;
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(served.connect().await);
    }
    served.connections(64).await;
    // Not all at once: many a system gives a process 1,024 descriptors, and this one has both ends.
    for _ in 0..20 {
        let mut others = Vec::new();
        for _ in 0..97 {
            others.push(served.connect().await);
        }
        assert_eq!(served.app.connections(), 64);
    }
    idle.pop();
    served.connections(63).await;
    still_serves(&served).await;
    drop(idle);
    served.connections(0).await;
    let metrics = served.get("/metrics").await;
    let refused = metrics.text().lines().find(|line| line.starts_with("retold_connections_refused_total "));
    assert_eq!(refused, Some("retold_connections_refused_total 1940"));
}

#[tokio::test]
async fn one_that_is_too_many_is_told_so() {
    let served = Served::limited(|limits| limits.connections = 1).await;
    let _first = served.connect().await;
    served.connections(1).await;
    let said = served.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1"), "{said}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["type"], "urn:retold:problem:too-many-connections");
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let served = Served::limited(|limits| limits.header_time = SHORT).await;
    let zeros = [0; 4096];
    let bytes: Vec<u8> = (0..=255).cycle().take(8192).collect();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n",
        &zeros,
        &bytes,
    ] {
        let mut stream = served.connect().await;
        let _ = stream.write_all(garbage).await;
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{garbage:?}: {said}");
    }
    served.connections(0).await;
    still_serves(&served).await;
}

#[tokio::test]
async fn a_client_that_closes_its_half_or_goes_away_leaves_nothing_behind() {
    let served = Served::open().await;
    for request in [
        "",
        "GET /hea",
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut stream = served.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 "), "{said}");
        let mut stream = served.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
    }
    served.connections(0).await;
    still_serves(&served).await;
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let served = Served::limited(|limits| limits.stall_time = SHORT).await;
    let mut stream = served.connect().await;
    let requests = "GET /v1/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    soon(async { while stream.write_all(requests.as_bytes()).await.is_ok() {} }).await;
    served.connections(0).await;
    still_serves(&served).await;
}

/// A request with a body of so many bytes, all of which are sent before the answer is read.
async fn sends(served: &Served, head: &str, bytes: usize) -> String {
    let mut stream = served.connect().await;
    let head = format!(
        "POST /v1/sessions/s/branches/main/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\
         Content-Type: application/json\r\n{head}\r\n"
    );
    soon(stream.write_all(head.as_bytes())).await.unwrap();
    let some = vec![b' '; 64 * 1024];
    for _ in 0..bytes / some.len() {
        soon(stream.write_all(&some)).await.expect("the server takes what it was sent");
    }
    rest(&mut stream).await
}

#[tokio::test]
async fn who_sends_too_much_or_may_not_send_is_told_so() {
    let slow = Token { requests_per_second: Some(1), ..Token::new("slow", Scope::Append) };
    let known = [("reads", Token::new("reads", Scope::Read)), ("slow", slow)];
    let tokens = Tokens::of(known.map(|(secret, token)| (secret.to_owned(), token)).into());
    let served = Served::with(Store::in_memory().unwrap(), Config::new(tokens)).await;
    let megabytes = 1024 * 1024;
    let held = async {
        loop {
            served.ask("GET", "/v1/sessions").token("slow").send().await;
            // On a slow machine a second has passed.
            let said = sends(&served, "Authorization: Bearer slow\r\n", 4 * megabytes).await;
            if !said.starts_with("HTTP/1.1 400 ") {
                return said;
            }
        }
    };
    for (said, status) in [
        (sends(&served, "Authorization: Bearer reads\r\n", 20 * megabytes).await, "413"),
        (sends(&served, "", 8 * megabytes).await, "401"),
        (sends(&served, "Authorization: Bearer reads\r\n", 8 * megabytes).await, "403"),
        (soon(held).await, "429"),
    ] {
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")) && said.ends_with('}'), "{status}: {said}");
    }
    served.connections(0).await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_told_so() {
    let served = Served::limited(|limits| limits.request_time = SHORT).await;
    for path in ["/v1/sessions/s/branches/main/events", "/v1/backup", "/v1/sessions/s/notes"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{{"
        );
        let said = served.raw(request.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("slow-body"), "{path}: {said}");
    }
    still_serves(&served).await;
}

#[tokio::test]
async fn a_request_whose_client_left_is_counted() {
    let served = Served::start(&[("may-all", Scope::Admin, "")]).await;
    let _consumer =
        served.store.consumers().open("mail", retold::ConsumerConfig::new().from_start()).await.unwrap();
    let mut stream = served.connect().await;
    let body = "{\"wait\": 25}";
    let request = format!(
        "POST /v1/consumers/mail/next HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer may-all\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    served.connections(1).await;
    drop(stream);
    served.connections(0).await;
    let metrics = served.ask("GET", "/metrics").token("may-all").send().await;
    let line =
        "retold_http_requests_total{method=\"POST\",route=\"/v1/consumers/{c}/next\",status=\"499\"} 1";
    assert!(metrics.text().lines().any(|of| of == line), "{}", metrics.text());
}
