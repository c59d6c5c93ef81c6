//! The store on another machine: the library's own protocol over the server.

use std::time::Duration;

use retold::remote::Endpoint;
use retold::{Error, Follow, NewEvent, Store};
use retold_server::{Config, Scope, Tokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{PATIENCE, Served, rest, soon, tokens_of};
use crate::tls::certificate;

const ALL: &str = "all";

async fn served() -> Served {
    Served::start(&[
        (ALL, Scope::Admin, ""),
        ("narrow", Scope::Admin, "run-*"),
        ("appends", Scope::Append, ""),
    ])
    .await
}

/// The store of the server, for who has this token.
async fn connected(served: &Served, secret: &str) -> Result<Store, Error> {
    let endpoint = Endpoint::new(&served.base()).unwrap().token(secret).unwrap();
    Store::builder().wait(PATIENCE).connect_with_async(endpoint).await
}

fn event() -> NewEvent {
    NewEvent::new("step.done")
}

#[tokio::test]
async fn a_program_has_the_whole_store() {
    let served = served().await;
    let store = connected(&served, ALL).await.unwrap();
    assert_eq!((store.id(), store.created()), (served.store.id(), served.store.created()));
    store.append_async("run-7", event()).await.unwrap();
    served.store.append_async("run-7", event()).await.unwrap();
    store.fork_async("run-7@1", "retry").await.unwrap();
    assert_eq!(store.head_async("run-7").await.unwrap().get(), 2);
    assert_eq!(served.store.head_async("run-7/retry").await.unwrap().get(), 1);
    let info = store.maintenance().info_async().await.unwrap();
    assert!(info.path.starts_with("http://127.0.0.1:"), "{}", info.path);
    let owner = info.owner.unwrap();
    assert_eq!((owner.program.as_str(), owner.clients.len()), ("retold serve", 1));
    // The process is one of another machine.
    assert_eq!(owner.clients[0].pid, 0);
    assert_eq!(served.app.connections(), 1);
    store.close_async().await.unwrap();
    served.connections(0).await;
}

#[tokio::test]
async fn who_may_not_do_everything_is_refused() {
    let served = served().await;
    for secret in ["narrow", "appends", "unknown"] {
        let error = connected(&served, secret).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{secret}: {error}");
        let named = if secret == "unknown" { "RETOLD_TOKEN" } else { secret };
        assert!(error.to_string().contains(named), "{error}");
    }
    let error = Store::connect_async(&served.base()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("token"), "{error}");
    served.connections(0).await;
    assert_eq!(served.store.committed().get(), 0);
}

#[tokio::test]
async fn what_asks_for_anything_else_is_told_what_there_is() {
    let served = served().await;
    for headers in [
        &[][..],
        &[("connection", "upgrade")],
        &[("connection", "upgrade"), ("upgrade", "websocket")],
        &[("connection", "upgrade"), ("upgrade", "retold-frames/2")],
        &[("upgrade", "retold-frames/1")],
    ] {
        let ask = headers
            .iter()
            .fold(served.ask("GET", "/v1/engine").token(ALL), |ask, (name, value)| ask.header(name, value));
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.problem().as_str()), (426, "no-upgrade"), "{headers:?}");
        assert_eq!(answer.header("upgrade"), Some("retold-frames/1"));
    }
    let asked = served.ask("GET", "/v1/engine?token=all").token(ALL).send().await;
    assert_eq!((asked.status, asked.problem().as_str()), (400, "invalid"));
    // Who may not is not told what there is to ask for.
    for secret in ["narrow", "appends"] {
        assert_eq!(served.ask("GET", "/v1/engine").token(secret).send().await.problem(), "forbidden");
    }
}

/// A connection that was upgraded.
async fn upgraded(served: &Served) -> tokio::net::TcpStream {
    let mut stream = served.connect().await;
    let request = format!(
        "GET /v1/engine HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ALL}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: Retold-Frames/1\r\n\r\n",
        served.address
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: retold-frames/1"), "{head}");
    stream
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_their_connection_and_nothing_else() {
    let served = served().await;
    let store = connected(&served, ALL).await.unwrap();
    let huge = [&[0xFF; 8][..], &[0; 8]].concat();
    for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64][..], &huge[..], &[0xFF; 100_000][..]] {
        let mut stream = upgraded(&served).await;
        // The server may hang up before everything is sent.
        let _ = stream.write_all(wrong).await;
        assert_eq!(rest(&mut stream).await, "");
    }
    served.connections(1).await;
    store.append_async("s", event()).await.unwrap();
}

#[tokio::test]
async fn connections_count_among_the_streams_of_their_token() {
    let mut config = Config::new(tokens_of(&[(ALL, Scope::Admin, "")]));
    config.limits.streams = 1;
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    let store = connected(&served, ALL).await.unwrap();
    let endpoint = Endpoint::new(&served.base()).unwrap().token(ALL).unwrap();
    let error = Store::builder().wait(Duration::ZERO).connect_with_async(endpoint).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.to_string().contains("streams"), "{error}");
    store.close_async().await.unwrap();
    connected(&served, ALL).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_gone_ends_its_connections() {
    let served = served().await;
    let store = connected(&served, ALL).await.unwrap();
    served.app.set_tokens(tokens_of(&[("other", Scope::Admin, "")]));
    served.connections(0).await;
    // It is not let in again, and says so without ending who waits.
    let error = soon(async {
        loop {
            match store.append_async("s", event()).await {
                Err(error @ Error::Unreachable { .. }) => return error,
                done => {
                    assert!(matches!(done, Err(Error::Unknown { .. })), "{done:?}");
                    tokio::task::yield_now().await;
                }
            }
        }
    })
    .await;
    assert!(error.to_string().contains("RETOLD_TOKEN"), "{error}");
    served.app.set_tokens(tokens_of(&[(ALL, Scope::Admin, "")]));
    soon(async {
        while store.append_async("s", event()).await.is_err() {
            // The server runs on this thread too.
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_follower_misses_and_repeats_nothing_when_the_server_is_started_again() {
    let mut served = served().await;
    let store = connected(&served, ALL).await.unwrap();
    let mut following = store.follow_async(Follow::session("s").unwrap()).await.unwrap();
    let (mut next, mut recorded) = (1, 0);
    for _ in 0..4 {
        for _ in 0..25 {
            // The same ids again, as long as it is unknown whether they were recorded.
            let one = event();
            soon(async {
                while let Err(error) = store.append_async("s", one.clone()).await {
                    assert!(error.is_retryable(), "{error}");
                }
            })
            .await;
            recorded += 1;
        }
        let restarting = tokio::spawn(served.restart());
        while next <= recorded {
            match soon(following.next()).await.unwrap() {
                Ok(step) => {
                    if let Some(event) = step.event() {
                        assert_eq!(event.sequence().get(), next);
                        next += 1;
                    }
                }
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
        served = soon(restarting).await.unwrap();
    }
    assert_eq!((recorded, served.store.head("s").unwrap().get()), (100, 100));
}

#[tokio::test]
async fn a_server_that_ends_is_waited_for_no_longer_than_was_asked() {
    let served = served().await;
    let endpoint = Endpoint::new(&served.base()).unwrap().token(ALL).unwrap();
    let store =
        Store::builder().wait(Duration::from_millis(10)).connect_with_async(endpoint.clone()).await.unwrap();
    drop(soon(served.stop()).await);
    let error = soon(store.append_async("s", event())).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let error = Store::builder().wait(Duration::ZERO).connect_with_async(endpoint).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    soon(store.close_async()).await.unwrap();
}

#[tokio::test]
async fn over_tls_only_a_server_that_is_trusted_is_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (_, files) = certificate(folder.path());
    let mut config = Config::new(Tokens::open());
    config.tls = Some(files.clone());
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    let at = |host: &str| Endpoint::new(&format!("https://{host}:{}", served.address.port())).unwrap();
    let open = |endpoint: Endpoint| Store::builder().wait(PATIENCE).connect_with_async(endpoint);
    let store = open(at("localhost").ca_file(&files.certificates)).await.unwrap();
    store.append_async("s", event()).await.unwrap();
    // A payload of many frames, in both directions.
    let long = event().data(serde_json::json!("x".repeat(5 << 20)));
    store.append_async("s", long.clone()).await.unwrap();
    let read = store.get_async(long.id()).await.unwrap();
    assert_eq!(read.payload().len(), long.payload().len());
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let others = folder.path().join("other.pem");
    std::fs::write(&others, other.cert.pem()).unwrap();
    let plain = Endpoint::new(&format!("http://localhost:{}", served.address.port())).unwrap();
    for (endpoint, says) in [
        (at("localhost").ca_file(&others), "not trusted"),
        (at("127.0.0.1").ca_file(&files.certificates), "not trusted"),
        (plain, "https://"),
    ] {
        let error = open(endpoint).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { .. }) && error.to_string().contains(says),
            "{says}: {error}"
        );
    }
    let open_served = Served::open().await;
    let tls = Endpoint::new(&format!("https://localhost:{}", open_served.address.port())).unwrap();
    let error = open(tls.ca_file(&files.certificates)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("http://"), "{error}");
}
