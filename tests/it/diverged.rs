//! After a restore, whoever resumes at an event that is not there any more is told, and whoever resumes before it goes on.

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use retold::codec::CursorParts;
use retold::consumer::{ConsumerConfig, Token};
use retold::follow::{Cursor, Followed, Following};
use retold::{Error, Follow, Result, Store};

use crate::support::{number, numbered};

fn opened(path: &Path) -> Store {
    Store::builder().sync(false).exclusive().open(path).unwrap()
}

/// A store that was restored at its tenth event, and has other events than it had from there on.
struct Restored {
    dir: tempfile::TempDir,
    store: Store,
    /// Cursors of the original after each of its 15 events: of the branch, the session, and everything.
    cursors: Vec<[Cursor; 3]>,
}

fn scopes() -> [Follow; 3] {
    [Follow::branch("s").unwrap(), Follow::session("s").unwrap(), Follow::all()]
}

async fn cursors(store: &Store) -> Vec<[Cursor; 3]> {
    let mut each: Vec<Vec<Cursor>> = Vec::new();
    for scope in scopes() {
        let mut following = store.follow(scope).unwrap();
        let mut cursors = Vec::new();
        loop {
            match following.next().await.unwrap().unwrap() {
                Followed::Event { cursor, .. } => cursors.push(cursor),
                caught_up => {
                    // That of the end is that of the last event.
                    assert_eq!(Some(&caught_up.cursor()), cursors.last());
                    break;
                }
            }
        }
        each.push(cursors);
    }
    (0..each[0].len()).map(|n| [each[0][n], each[1][n], each[2][n]]).collect()
}

async fn restored() -> Restored {
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup.redb");
    let store = opened(&dir.path().join("runs.redb"));
    store.append("s", (1..=10).map(numbered).collect::<Vec<_>>()).unwrap();
    store.maintenance().backup(&backup).unwrap();
    store.append("s", (11..=15).map(numbered).collect::<Vec<_>>()).unwrap();
    let cursors = cursors(&store).await;
    store.close_async().await.unwrap();
    let store = opened(&backup);
    store.append("s", (111..=113).map(numbered).collect::<Vec<_>>()).unwrap();
    Restored { dir, store, cursors }
}

async fn rest(following: &mut Following) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Followed::Event { event, .. } = following.next().await.unwrap().unwrap() {
        numbers.push(number(&event));
    }
    numbers
}

#[tokio::test]
async fn a_cursor_of_an_event_that_is_another_now_or_gone_is_diverged() {
    let Restored { store, cursors, dir: _dir } = restored().await;
    for (n, cursors) in (1u64..).zip(&cursors) {
        for (scope, cursor) in scopes().into_iter().zip(cursors) {
            // It goes through a text, as in a front end.
            let cursor: Cursor = cursor.to_string().parse().unwrap();
            let followed = store.follow(scope.clone().cursor(cursor));
            if n <= 10 {
                let due: Vec<u64> = (n + 1..=10).chain(111..=113).collect();
                assert_eq!(rest(&mut followed.unwrap()).await, due);
                continue;
            }
            let Err(Error::Diverged { what, at }) = &followed else { panic!("{n}: {followed:?}") };
            assert_eq!(what, "this cursor");
            assert!(at.contains(&n.to_string()), "{at}");
            // Nor is it waited for: it was there.
            let waits = store.follow(scope.wait_for_start().cursor(cursor));
            assert!(matches!(waits, Err(Error::Diverged { .. })), "{waits:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_an_earlier_release_is_taken_as_it_is() {
    let Restored { store, dir: _dir, .. } = restored().await;
    let old = |scanned| {
        let parts =
            CursorParts { store: *store.id().uuid().as_bytes(), branch: None, scanned, mark: None }.encode();
        BASE64URL_NOPAD.encode(&parts).parse::<Cursor>().unwrap()
    };
    assert_eq!(rest(&mut store.follow(Follow::all().cursor(old(12))).unwrap()).await, [113]);
    let beyond = store.follow(Follow::all().cursor(old(15)));
    assert!(matches!(beyond, Err(Error::BadCursor { .. })), "{beyond:?}");
}

#[tokio::test]
async fn the_cursor_of_a_subscription_that_began_in_the_middle_knows_its_event_too() {
    let Restored { store, dir, .. } = restored().await;
    let mut following = store.follow(Follow::session("other").unwrap().after_position(12)).unwrap();
    let caught_up = following.next().await.unwrap().unwrap();
    drop(following);
    store.close_async().await.unwrap();
    let store = opened(&dir.path().join("runs.redb"));
    let followed = store.follow(Follow::session("other").unwrap().cursor(caught_up.cursor()));
    assert!(matches!(followed, Err(Error::Diverged { .. })), "{followed:?}");
}

async fn delivered(store: &Store, name: &str, count: u64) -> Token {
    let config = ConsumerConfig::new().deadline(Duration::from_secs(9_000));
    let consumer = store.consumers().open(name, config).await.unwrap();
    for _ in 1..count {
        consumer.next().await.unwrap().ack().await.unwrap();
    }
    let delivery = consumer.next().await.unwrap();
    let token = delivery.token();
    let told = store.consumers().info(name).unwrap().outstanding[0].token;
    assert_eq!(told, Some(token));
    token
}

#[tokio::test]
async fn a_token_acknowledges_no_other_event_than_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup.redb");
    let store = opened(&dir.path().join("runs.redb"));
    store.append("s", (1..=10).map(numbered).collect::<Vec<_>>()).unwrap();
    let consumer = store.consumers().open("work", ConsumerConfig::new()).await.unwrap();
    consumer.next().await.unwrap().ack().await.unwrap();
    consumer.close().await;
    store.maintenance().backup(&backup).unwrap();
    store.append("s", numbered(11)).unwrap();
    let consumer = store.consumers().open_existing("work").await.unwrap();
    for _ in 2..=10 {
        consumer.next().await.unwrap().ack().await.unwrap();
    }
    let stale = consumer.next().await.unwrap().token();
    consumer.close().await;
    store.close_async().await.unwrap();

    let store = opened(&backup);
    store.append("s", numbered(111)).unwrap();
    let consumer = store.consumers().open_existing("work").await.unwrap();
    for _ in 2..=10 {
        consumer.next().await.unwrap().ack().await.unwrap();
    }
    let delivery = consumer.next().await.unwrap();
    assert_eq!(number(delivery.event()), 111);
    // Delivery and position are the same; the event is not.
    let acked = consumer.ack(&stale).await;
    let Err(Error::Diverged { what, at }) = &acked else { panic!("{acked:?}") };
    assert_eq!((what.as_str(), at.as_str()), ("consumer work", "position 11"));
    assert_eq!(store.consumers().info("work").unwrap().acknowledged, 10);
    consumer.ack(&delivery.token()).await.unwrap();
    assert_eq!(store.consumers().info("work").unwrap().acknowledged, 11);
    consumer.close().await;
    let token = delivered(&store, "other", 3).await;
    let consumer = store.consumers().open_existing("other").await.unwrap();
    consumer.ack(&token).await.unwrap();
    consumer.close().await;
}

#[tokio::test]
#[cfg(unix)]
async fn a_subscription_hears_that_the_file_was_replaced_under_it() {
    let Restored { store, dir, .. } = restored().await;
    // More than the original had, so that its numbers alone say nothing.
    store.append("s", (114..=120).map(numbered).collect::<Vec<_>>()).unwrap();
    store.close_async().await.unwrap();
    let path = dir.path().join("runs.redb");
    let reading = Store::builder().read_only().open(&path).unwrap();
    let mut following = reading.follow(Follow::all()).unwrap();
    assert_eq!(rest(&mut following).await, (1..=15).collect::<Vec<_>>());
    std::fs::rename(dir.path().join("backup.redb"), &path).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match following.next().await {
                Some(Err(e)) if e.is_retryable() => {}
                other => return other,
            }
        }
    });
    let told: Option<Result<Followed>> = told.await.unwrap();
    let Some(Err(Error::Diverged { what, at })) = &told else { panic!("{told:?}") };
    assert_eq!((what.as_str(), at.as_str()), ("this subscription", "position 15"));
}
