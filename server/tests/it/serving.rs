//! A server starts, answers, is watched over, and ends.

use std::net::SocketAddr;

use retold::{NewEvent, Store};
use retold_server::{Config, Server, Tokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Served, rest, soon};

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    let served = Served::open().await;
    let answer = served.get("/v1/nowhere").await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"));
    let answer = served.ask("DELETE", "/health").send().await;
    assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn a_server_that_ended_starts_again_on_the_same_store() {
    let served = Served::open().await;
    served.store.append("s", NewEvent::new("step.done")).unwrap();
    let address = served.address;
    let served = served.restart().await;
    assert_eq!(served.address, address);
    assert_eq!(served.store.head("s").unwrap().get(), 1);
    assert_eq!(served.get("/health").await.status, 200);
    let store = served.stop().await;
    assert_eq!(store.head("s").unwrap().get(), 1);
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_server_from_ending() {
    let served = Served::open().await;
    let mut idle = served.connect().await;
    let mut used = served.connect().await;
    used.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    served.connections(2).await;
    // Once it is answered, it is idle too.
    let mut begins = [0; 13];
    soon(used.read_exact(&mut begins)).await.unwrap();
    assert_eq!(&begins, b"HTTP/1.1 200 ");
    let began = std::time::Instant::now();
    served.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "it waited until it gave up");
    assert_eq!(rest(&mut idle).await, "");
    assert!(rest(&mut used).await.ends_with("{\"status\":\"ok\"}"));
}

#[tokio::test]
async fn the_beginning_of_a_request_does_not_keep_a_server_from_ending() {
    let served = Served::open().await;
    let mut begun = served.connect().await;
    begun.write_all(b"GET /health HT").await.unwrap();
    served.connections(1).await;
    let began = std::time::Instant::now();
    served.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "it waited until it gave up");
    assert_eq!(rest(&mut begun).await, "");
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_everything() {
    let store = Store::in_memory().unwrap();
    store.append("s", NewEvent::new("step.done")).unwrap();
    let mut config = Config::new(Tokens::open());
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let server = Server::bind(store.clone(), config).await.unwrap();
    let (app, address) = (server.app().clone(), server.local_addrs()[0]);
    let running = tokio::spawn(server.run(std::future::pending()));
    let mut connections = Vec::new();
    for request in ["", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /he", LIVE] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        connections.push(stream);
    }
    // The stream has begun.
    let mut first = [0; 15];
    soon(connections[3].read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    for stream in &mut connections {
        rest(stream).await;
    }
    soon(async {
        while app.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(store.head("s").unwrap().get(), 1, "the store stays open");
}

const LIVE: &str = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";

#[tokio::test]
async fn a_server_listens_at_several_addresses_and_says_which_one_it_can_not_have() {
    let store = Store::in_memory().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::new(Tokens::open());
    config.listen = vec![any, SocketAddr::from(([127, 0, 0, 2], 0))];
    let server = Server::bind(store.clone(), config.clone()).await.unwrap();
    let addresses = server.local_addrs().to_vec();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { ended.await.unwrap_or_default() }));
    for address in &addresses {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
    config.listen = vec![any, addresses[0]];
    let error = Server::bind(store.clone(), config.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&addresses[0].to_string()), "{error}");
    config.listen = vec!["0.0.0.0:0".parse().unwrap()];
    let error = Server::bind(store, config).await.unwrap_err().to_string();
    assert!(error.contains("--tokens") && error.contains("--insecure"), "{error}");
    drop(end);
    soon(running).await.unwrap();
}

#[tokio::test]
async fn a_server_is_ready_while_its_store_can_be_used() {
    let served = Served::open().await;
    let answer = served.get("/ready").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"ready".into()));
    assert_eq!(served.store.committed().get(), 0, "it was written to");
    assert!(served.store.sessions(None, 10).unwrap().is_empty());
    served.store.close().unwrap();
    // An answer holds for a second.
    let answer = loop {
        let answer = served.get("/ready").await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(served.get("/health").await.status, 200);
}

#[tokio::test]
async fn metrics_say_what_happened() {
    let served = Served::open().await;
    served.store.append("s", NewEvent::new("step.done")).unwrap();
    let _consumer =
        served.store.consumers().open("mail", retold::ConsumerConfig::new().from_start()).await.unwrap();
    served.get("/health").await;
    served.get("/v1/secret-path").await;
    served.get("/v1/other-path").await;
    let answer = served.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        "retold_http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"} 1",
        "retold_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 2",
        "retold_http_request_seconds_count{route=\"none\"} 2",
        "retold_http_request_seconds_bucket{route=\"none\",le=\"+Inf\"} 2",
        "retold_committed_position 1",
        "retold_consumer_lag_events{consumer=\"mail\"} 1",
        "retold_consumer_dead_letters{consumer=\"mail\"} 0",
        "retold_streams 0",
        "retold_connections_accepted_total 4",
    ] {
        assert!(text.lines().any(|of| of == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret-path"), "a path is not a label: there is no end of them");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok() && name.starts_with("retold_"), "{line}");
        assert!(text.contains("# TYPE"), "{line}");
    }
}
