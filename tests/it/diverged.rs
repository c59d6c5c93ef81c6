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

/// The next event or error, stepping over the times at which the store could not be read.
#[cfg(unix)]
async fn told(following: &mut Following) -> Option<Result<Followed>> {
    let told = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match following.next().await {
                Some(Err(e)) if e.is_retryable() => {}
                Some(Ok(Followed::CaughtUp { .. })) => {}
                other => return other,
            }
        }
    });
    told.await.unwrap()
}

/// Subscriptions to a store of 15 events that have begun, each with the last number that it has seen or begins after.
#[cfg(unix)]
async fn subscribed(reading: &Store) -> Vec<(&'static str, Following, String)> {
    let position = |n: u64| format!("position {n}");
    let sequence = |n: u64| format!("sequence {n} of s/main");
    let follow = |follow: Follow| reading.follow(follow).unwrap();
    let mut all = vec![
        ("from the end", follow(Follow::all().from_end()), position(15)),
        ("after a position", follow(Follow::all().after_position(12)), position(15)),
        (
            "after a position of others",
            follow(Follow::session("other").unwrap().after_position(13)),
            position(13),
        ),
        ("after a sequence", follow(Follow::branch("s").unwrap().after(11)), sequence(15)),
        ("from the end of a branch", follow(Follow::branch("s").unwrap().from_end()), sequence(15)),
    ];
    for (scope, at) in scopes().into_iter().zip([sequence(15), position(15), position(15)]) {
        let mut following = follow(scope);
        assert_eq!(rest(&mut following).await, (1..=15).collect::<Vec<_>>());
        all.push(("having read everything", following, at));
    }
    for (_, following, _) in all.iter_mut().take(5) {
        rest(following).await;
    }
    all
}

#[tokio::test]
#[cfg(unix)]
async fn every_subscription_hears_that_the_file_was_replaced_under_it() {
    // With more events than the original had, its numbers alone say nothing; with fewer, what was seen is not there.
    for more in [true, false] {
        let Restored { store, dir, .. } = restored().await;
        if more {
            store.append("s", (114..=120).map(numbered).collect::<Vec<_>>()).unwrap();
        }
        store.close_async().await.unwrap();
        let path = dir.path().join("runs.redb");
        let reading = Store::builder().read_only().open(&path).unwrap();
        let subscribed = subscribed(&reading).await;
        std::fs::rename(dir.path().join("backup.redb"), &path).unwrap();
        for (which, mut following, due) in subscribed {
            let told = told(&mut following).await;
            let Some(Err(Error::Diverged { what, at })) = &told else { panic!("{which}, {more}: {told:?}") };
            assert_eq!((what.as_str(), at), ("this subscription", &due), "{which}, {more}");
        }
    }
}

#[tokio::test]
#[cfg(unix)]
async fn what_a_subscription_had_stepped_over_is_read_again_in_the_file_that_took_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = (dir.path().join("runs.redb"), dir.path().join("backup.redb"));
    let store = opened(&path);
    store.append("t", numbered(1)).unwrap();
    store.maintenance().backup(&backup).unwrap();
    store.append("s", (1..=15).map(numbered).collect::<Vec<_>>()).unwrap();
    store.close_async().await.unwrap();
    let store = opened(&backup);
    store.append("t", numbered(2)).unwrap();
    store.append("new", numbered(3)).unwrap();
    store.close_async().await.unwrap();
    let reading = Store::builder().read_only().open(&path).unwrap();
    let mut following = reading.follow(Follow::session("t").unwrap()).unwrap();
    let mut new = reading.follow(Follow::branch("new").unwrap().wait_for_start()).unwrap();
    assert_eq!(rest(&mut following).await, [1]);
    assert!(rest(&mut new).await.is_empty());
    std::fs::rename(&backup, &path).unwrap();
    for (following, due) in [(&mut following, 2), (&mut new, 3)] {
        let Some(Ok(Followed::Event { event, .. })) = told(following).await else { panic!("no event") };
        assert_eq!(number(&event), due);
    }
    assert_eq!(reading.committed().get(), 3);
}

#[tokio::test]
#[cfg(unix)]
async fn who_waits_for_a_branch_beyond_its_start_waits_on_in_a_file_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["runs.redb", "second.redb", "third.redb"].map(|name| dir.path().join(name));
    let append = |path: &Path, session: &str, numbers: std::ops::RangeInclusive<u64>| {
        let store = opened(path);
        store.append(session, numbers.map(numbered).collect::<Vec<_>>()).unwrap();
        store.close().unwrap();
    };
    append(&files[0], "t", 1..=1);
    std::fs::copy(&files[0], &files[1]).unwrap();
    append(&files[1], "t", 2..=2);
    std::fs::copy(&files[1], &files[2]).unwrap();
    append(&files[2], "later", 1..=3);
    let reading = Store::builder().read_only().open(&files[0]).unwrap();
    let mut all = reading.follow(Follow::all()).unwrap();
    let mut later = reading.follow(Follow::branch("later").unwrap().after(2).wait_for_start()).unwrap();
    assert_eq!(rest(&mut all).await, [1]);
    assert!(rest(&mut later).await.is_empty());
    let replaced = async {
        std::fs::rename(&files[1], &files[0]).unwrap();
        let Some(Ok(Followed::Event { event, .. })) = told(&mut all).await else { panic!("no event") };
        assert_eq!(number(&event), 2);
        std::fs::rename(&files[2], &files[0]).unwrap();
    };
    let ((), told) = tokio::join!(replaced, told(&mut later));
    let Some(Ok(Followed::Event { event, .. })) = told else { panic!("{told:?}") };
    assert_eq!(number(&event), 3);
}

#[tokio::test]
#[cfg(unix)]
async fn a_subscription_to_a_branch_that_a_restored_store_does_not_have_is_told() {
    let Restored { store, dir, .. } = restored().await;
    // Its number is that of another branch there.
    store.append("taken", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
    store.close_async().await.unwrap();
    let path = dir.path().join("runs.redb");
    let store = opened(&path);
    store.append("gone", (1..=2).map(numbered).collect::<Vec<_>>()).unwrap();
    store.close_async().await.unwrap();
    let reading = Store::builder().read_only().open(&path).unwrap();
    let mut following = reading.follow(Follow::branch("gone").unwrap()).unwrap();
    assert_eq!(rest(&mut following).await, [1, 2]);
    std::fs::rename(dir.path().join("backup.redb"), &path).unwrap();
    let told = told(&mut following).await;
    let Some(Err(Error::Diverged { at, .. })) = &told else { panic!("{told:?}") };
    assert_eq!(at, "gone/main");
}
