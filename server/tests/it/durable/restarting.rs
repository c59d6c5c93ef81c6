//! Streams are what they were after the server and the store have ended.

use retold::Store;
use retold_server::{Config, Tokens};

use super::{JSON, TEXT, at};
use crate::harness::Served;

#[tokio::test]
async fn everything_of_a_stream_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("streams.redb");
    let open = || async {
        Served::with(Store::builder().sync(false).open(&file).unwrap(), Config::new(Tokens::open())).await
    };
    let by = |served: &Served, path: &str, seq: u64, body: &str| {
        let ask = served.append(path, JSON, body).header("producer-id", "p").header("producer-epoch", "3");
        ask.header("producer-seq", &seq.to_string()).header("stream-seq", &seq.to_string()).send()
    };
    let served = open().await;
    served.made("a/b", JSON, "[0]").await;
    assert_eq!(by(&served, "a/b", 0, "1").await.status, 200);
    let mark = served.head_of("a/b").await.next();
    assert_eq!(by(&served, "a/b", 1, "2").await.status, 200);
    served.made("done", TEXT, "all").await;
    let end = served.closed("done").await.next();
    let fork = served.ask("PUT", &at("fork")).header("stream-forked-from", &at("a/b"));
    assert_eq!(fork.header("stream-fork-offset", &mark).send().await.status, 201);
    served.made("gone", TEXT, "").await;
    assert_eq!(served.delete(&at("gone")).await.status, 204);
    let tag = served.get(&at("a/b")).await.header("etag").unwrap().to_owned();
    served.stop().await.close().unwrap();

    let served = open().await;
    assert_eq!(served.ask("GET", &at("a/b")).header("if-none-match", &tag).send().await.status, 304);
    assert_eq!(served.read_from("a/b", &mark).await.text(), "[2]");
    assert_eq!(served.text_of("fork").await, "[0,1]");
    assert_eq!(by(&served, "a/b", 1, "9").await.status, 204);
    assert_eq!(by(&served, "a/b", 3, "9").await.problem(), "producer-gap");
    assert_eq!(served.append("a/b", JSON, "x1").header("stream-seq", "1").send().await.status, 400);
    assert_eq!(
        served.append("a/b", JSON, "9").header("stream-seq", "1").send().await.problem(),
        "out-of-sequence"
    );
    assert_eq!(by(&served, "a/b", 2, "3").await.status, 200);
    let head = served.head_of("done").await;
    assert_eq!((head.header("stream-closed"), head.next()), (Some("true"), end));
    assert_eq!(served.append("done", TEXT, "more").send().await.problem(), "stream-closed");
    assert_eq!(served.head_of("gone").await.status, 404);
    assert_eq!(served.delete(&at("a/b")).await.status, 204);
    let store = served.stop().await;
    assert!(store.maintenance().verify().unwrap().is_clean());
    store.close().unwrap();

    let served = open().await;
    assert_eq!(served.head_of("a/b").await.status, 410);
    assert_eq!(served.delete(&at("fork")).await.status, 204);
    served.made("a/b", TEXT, "new").await;
    served.stop().await.close().unwrap();
}
