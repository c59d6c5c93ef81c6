//! Streams are deleted, go by themselves, and their paths are taken again.

use retold::lifecycle::Expiry;
use retold::store::sidecar::Sidecar;

use super::{JSON, TEXT, at};
use crate::harness::{Served, soon};

/// Waits until a stream is not there.
async fn gone(served: &Served, path: &str, status: u16) {
    soon(async {
        while served.head_of(path).await.status != status {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_path_is_free_at_once_and_nothing_of_before_is_there() {
    let served = Served::open().await;
    assert_eq!(served.delete(&at("a")).await.status, 404);
    for n in 0..3 {
        served.made("a", TEXT, &format!("{n}")).await;
        served.append("a", TEXT, "x").header("stream-seq", "9").send().await;
        served.closed("a").await;
        assert_eq!(served.text_of("a").await, format!("{n}x"));
        assert_eq!(served.delete(&at("a")).await.status, 204);
        assert_eq!(served.delete(&at("a")).await.status, 404);
        for answer in [
            served.get(&at("a")).await,
            served.head_of("a").await,
            served.append("a", TEXT, "x").send().await,
        ] {
            assert_eq!(answer.status, 404);
        }
    }
    assert!(served.store.sessions(None, 10).unwrap().is_empty(), "no session is left of a stream");
    assert!(Sidecar::of(&served.store, "durable-streams").unwrap().list(b"", None, 10).unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_goes_by_itself_and_its_path_is_free() {
    let served = Served::open().await;
    for name in ["stream-ttl", "stream-expires-at"] {
        let soonest = retold::Timestamp::from_micros(retold::Timestamp::now().micros() + 50_000).to_string();
        let value = if name == "stream-ttl" { "0" } else { &soonest };
        let put = served.ask("PUT", &at("a")).header(name, value).body(TEXT, "x").send().await;
        assert_eq!(put.status, 201, "{}", put.text());
        gone(&served, "a", 404).await;
        assert_eq!(served.get(&at("a")).await.status, 404);
        assert_eq!(served.append("a", TEXT, "x").send().await.status, 404);
        served.made("a", JSON, "[1]").await;
        assert_eq!(served.text_of("a").await, "[1]");
        assert_eq!(served.delete(&at("a")).await.status, 204);
    }
}

#[tokio::test]
async fn nothing_stays_of_streams_that_went_by_themselves() {
    let served = Served::open().await;
    let kept = || Sidecar::of(&served.store, "durable-streams").unwrap().list(b"", None, 100).unwrap().len();
    for n in 0..10 {
        let path = format!("short/{n}");
        let put = served.ask("PUT", &at(&path)).header("stream-ttl", "1000").body(TEXT, "x").send().await;
        assert_eq!(put.status, 201);
        served.append(&path, TEXT, "x").header("stream-seq", "1").send().await;
    }
    assert_eq!(kept(), 20);
    // What has expired is gone as a branch is that was deleted.
    for session in served.store.sessions(None, 20).unwrap() {
        served.store.lifecycle().delete(&session.session).unwrap();
    }
    for n in 0..12 {
        served.made(&format!("a{n}"), TEXT, "").await;
    }
    assert_eq!(kept(), 12);
}

#[tokio::test]
async fn a_read_is_a_use_that_costs_no_write() {
    let served = Served::open().await;
    let put = served.ask("PUT", &at("a")).header("stream-ttl", "3600").body(TEXT, "x").send().await;
    assert_eq!(put.status, 201);
    let session = served.store.sessions(None, 10).unwrap()[0].session.clone();
    let before = served.store.branch(&session).unwrap();
    assert_eq!(before.expiry, Some(Expiry::Unused(std::time::Duration::from_secs(3_600))));
    for offset in ["-1", "now", &put.next()] {
        assert_eq!(served.read_from("a", offset).await.status, 200);
    }
    assert_eq!(served.head_of("a").await.header("stream-ttl"), Some("3600"));
    assert_eq!(served.store.branch(&session).unwrap(), before);
    // A server that ended before it was written when the stream goes has it written by the next that looks.
    served.store.lifecycle().expire(&session, None).unwrap();
    assert_eq!(served.head_of("a").await.status, 200);
    assert_eq!(served.store.branch(&session).unwrap().expiry, before.expiry);
}

#[tokio::test]
async fn a_stream_whose_session_was_deleted_is_gone() {
    let served = Served::open().await;
    served.made("a", TEXT, "x").await;
    let session = served.store.sessions(None, 10).unwrap()[0].session.clone();
    served.store.lifecycle().delete_session(&session).unwrap();
    assert_eq!(served.get(&at("a")).await.status, 404);
    assert_eq!(served.append("a", TEXT, "x").send().await.status, 404);
    assert!(served.store.sessions(None, 10).unwrap().is_empty());
    served.made("a", TEXT, "new").await;
    assert_eq!(served.text_of("a").await, "new");
}
