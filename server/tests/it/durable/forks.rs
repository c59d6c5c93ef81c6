//! Forks: at any offset, within what was appended, and beyond the life of their source.

use retold::store::sidecar::Sidecar;

use super::{JSON, TEXT, at};
use crate::harness::{Answer, Ask, Served, soon};

fn forked(served: &Served, path: &str, from: &str) -> Ask {
    served.ask("PUT", &at(path)).header("stream-forked-from", &at(from))
}

async fn cut(served: &Served, path: &str, from: &str, offset: &str, sub: &str) -> Answer {
    let ask = forked(served, path, from).header("stream-fork-offset", offset);
    ask.header("stream-fork-sub-offset", sub).send().await
}

#[tokio::test]
async fn a_fork_has_what_came_before_it_and_goes_its_own_way() {
    let served = Served::open().await;
    let one = served.made("a", TEXT, "one ").await.next();
    served.appended("a", TEXT, "two ").await;
    let fork = forked(&served, "b", "a").body(TEXT, "b").send().await;
    assert_eq!((fork.status, fork.header("stream-forked-from")), (201, None));
    let early = forked(&served, "c", "a").header("stream-fork-offset", &one).send().await;
    assert_eq!((early.status, early.header("content-type")), (201, Some(TEXT)));
    served.appended("c", TEXT, "c").await;
    served.appended("a", TEXT, "three").await;
    let nothing = forked(&served, "d", "a").header("stream-fork-offset", "-1").send().await;
    assert_eq!(nothing.status, 201);
    let deep = forked(&served, "e", "b").body(TEXT, "e").send().await;
    assert_eq!(deep.status, 201);
    for (path, text) in
        [("a", "one two three"), ("b", "one two b"), ("c", "one c"), ("d", ""), ("e", "one two be")]
    {
        assert_eq!(served.text_of(path).await, text, "{path}");
    }
    // Offsets before the fork are the same in both.
    assert_eq!(served.read_from("c", &one).await.text(), "c");
    assert_eq!(served.read_from("b", &one).await.text(), "two b");
    // What was closed is open in a fork, and the other way round.
    served.closed("a").await;
    served.appended("b", TEXT, "!").await;
    assert_eq!(forked(&served, "f", "a").send().await.header("stream-closed"), None);
    served.appended("f", TEXT, "f").await;
    assert_eq!(served.text_of("f").await, "one two threef");
}

#[tokio::test]
async fn a_fork_may_leave_within_what_was_appended() {
    let served = Served::open().await;
    served.made("t", TEXT, "hello").await;
    served.made("j", JSON, "[1,2,3]").await;
    let end = served.head_of("j").await.next();
    served.appended("j", JSON, "[4,5]").await;
    for (n, (from, offset, sub, text)) in [
        ("t", "-1", "3", "hel"),
        ("t", "-1", "0", ""),
        ("t", "-1", "5", "hello"),
        ("j", "-1", "2", "[1,2]"),
        ("j", "0000000000000000_0000000000000000", "3", "[1,2,3]"),
        ("j", &end, "1", "[1,2,3,4]"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("f{n}");
        let made = cut(&served, &path, from, offset, sub).await;
        assert_eq!(made.status, 201, "{n}: {}", made.text());
        assert_eq!(served.text_of(&path).await, text, "{n}");
        assert_eq!(served.read_from(&path, &made.next()).await.header("stream-up-to-date"), Some("true"));
        assert_eq!(cut(&served, &path, from, offset, sub).await.status, 200, "{n}");
        assert_eq!(cut(&served, &path, from, offset, "1000").await.status, 409, "{n}");
    }
    served.appended("f0", TEXT, "p").await;
    assert_eq!(served.text_of("f0").await, "help");
    // Of a fork, too.
    assert_eq!(cut(&served, "ff", "f0", "-1", "2").await.status, 201);
    assert_eq!(served.text_of("ff").await, "he");
    let beyond = format!("{:020}", 999);
    for (from, offset, sub) in [
        ("t", "-1", "6"),
        ("j", "-1", "6"),
        ("j", &end, "3"),
        ("t", &beyond, "0"),
        ("t", "x", "0"),
        ("j", "-1", "999999999999"),
    ] {
        assert_eq!(cut(&served, "bad", from, offset, sub).await.status, 400, "{from} {offset} {sub}");
    }
    served.made("empty", TEXT, "").await;
    assert_eq!(cut(&served, "bad", "empty", "-1", "1").await.status, 400);
    assert_eq!(served.head_of("bad").await.status, 404);
}

#[tokio::test]
async fn a_fork_is_refused_where_it_fits_nothing() {
    let served = Served::open().await;
    served.made("a", TEXT, "x").await;
    served.made("taken", TEXT, "").await;
    assert_eq!(forked(&served, "b", "none").send().await.status, 404);
    assert_eq!(forked(&served, "taken", "a").send().await.problem(), "exists");
    assert_eq!(forked(&served, "b", "a").body(JSON, "").send().await.problem(), "type-differs");
    assert_eq!(forked(&served, "b", "a").send().await.status, 201);
    assert_eq!(forked(&served, "b", "a").send().await.status, 200);
    assert_eq!(served.ask("PUT", &at("b")).body(TEXT, "").send().await.problem(), "exists");
    assert_eq!(forked(&served, "b", "taken").send().await.problem(), "exists");
    // What was refused holds nothing.
    served.delete(&at("b")).await;
    served.delete(&at("a")).await;
    assert_eq!(served.head_of("a").await.status, 404);
}

#[tokio::test]
async fn a_deleted_stream_keeps_its_path_until_its_last_fork_goes() {
    let served = Served::open().await;
    served.made("a", TEXT, "A").await;
    assert_eq!(forked(&served, "b", "a").body(TEXT, "B").send().await.status, 201);
    assert_eq!(forked(&served, "c", "b").body(TEXT, "C").send().await.status, 201);
    assert_eq!(served.delete(&at("b")).await.status, 204);
    assert_eq!(served.delete(&at("a")).await.status, 204);
    for path in ["a", "b"] {
        for answer in [
            served.get(&at(path)).await,
            served.append(path, TEXT, "x").send().await,
            served.delete(&at(path)).await,
        ] {
            assert_eq!((answer.status, answer.problem().as_str()), (410, "deleted"), "{path}");
        }
        assert_eq!(served.head_of(path).await.status, 410, "{path}");
        assert_eq!(served.ask("PUT", &at(path)).body(TEXT, "").send().await.problem(), "deleted", "{path}");
        assert_eq!(forked(&served, "x", path).send().await.problem(), "deleted", "{path}");
    }
    assert_eq!(served.text_of("c").await, "ABC");
    served.appended("c", TEXT, "!").await;
    assert_eq!(served.delete(&at("c")).await.status, 204);
    for path in ["a", "b", "c"] {
        assert_eq!(served.head_of(path).await.status, 404, "{path}");
    }
    assert!(Sidecar::of(&served.store, "durable-streams").unwrap().list(b"", None, 10).unwrap().is_empty());
    served.made("a", TEXT, "again").await;
}

#[tokio::test]
async fn a_fork_has_the_life_of_its_source_or_its_own() {
    let served = Served::open().await;
    let put = served.ask("PUT", &at("a")).header("stream-ttl", "3600").body(TEXT, "x").send().await;
    assert_eq!(put.status, 201);
    assert_eq!(forked(&served, "b", "a").send().await.status, 201);
    assert_eq!(served.head_of("b").await.header("stream-ttl"), Some("3600"));
    assert_eq!(forked(&served, "b", "a").send().await.status, 200);
    assert_eq!(forked(&served, "c", "a").header("stream-ttl", "9").send().await.status, 201);
    assert_eq!(served.head_of("c").await.header("stream-ttl"), Some("9"));
    let at_last = "2999-01-02T03:04:05Z";
    assert_eq!(forked(&served, "d", "c").header("stream-expires-at", at_last).send().await.status, 201);
    let head = served.head_of("d").await;
    assert_eq!(
        (head.header("stream-ttl"), head.header("stream-expires-at")),
        (None, Some("2999-01-02T03:04:05.000000Z"))
    );
    // A fork that has gone by itself lets its source go.
    served.made("e", TEXT, "x").await;
    assert_eq!(forked(&served, "f", "e").header("stream-ttl", "0").send().await.status, 201);
    soon(async {
        while served.head_of("f").await.status != 404 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(served.delete(&at("e")).await.status, 204);
    served.made("e", TEXT, "new").await;
}

#[tokio::test]
async fn a_fork_knows_nothing_of_the_producers_of_its_source() {
    let served = Served::open().await;
    served.made("a", TEXT, "").await;
    let by = |path: &str, body: &str| {
        let ask = served.append(path, TEXT, body).header("producer-id", "p").header("producer-epoch", "0");
        ask.header("producer-seq", "0").header("stream-seq", "5").send()
    };
    assert_eq!(by("a", "one").await.status, 200);
    assert_eq!(forked(&served, "b", "a").send().await.status, 201);
    assert_eq!(by("b", "two").await.status, 200);
    assert_eq!(
        (served.text_of("a").await, served.text_of("b").await),
        ("one".to_owned(), "onetwo".to_owned())
    );
}
