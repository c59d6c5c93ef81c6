//! Copies of a store that is in use.

use std::fs;
use std::time::Duration;

use retold::consumer::ConsumerConfig;
use retold::{Error, Expect, NewEvent, Query, Store};

use crate::peer::Peer;
use crate::support::{append_pairs, number, numbered, numbers, pairs_are_whole};

#[tokio::test]
async fn a_copy_has_what_was_acknowledged_and_is_a_store_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("runs.redb"), dir.path().join("copy.redb"));
    let store = Store::open(&path).unwrap();
    store.append("s", (1..=50).map(numbered).collect::<Vec<_>>()).unwrap();
    store.maintenance().flush().unwrap();
    store.append("s", (51..=60).map(numbered).collect::<Vec<_>>()).unwrap();
    store.fork("s@10", "retry").unwrap();
    store.append("s/retry", numbered(11)).unwrap();
    let consumer = store.consumers().open("worker", ConsumerConfig::new()).await.unwrap();
    consumer.next().await.unwrap().ack().await.unwrap();
    store.timers().schedule("s", NewEvent::new("late"), Duration::from_secs(99_999)).unwrap();
    let cursor = store.read(&Query::branch("s").unwrap().limit(20)).unwrap();

    let mut told = Vec::new();
    let made = store.maintenance().backup_with(&copy, None, |done, of| told.push((done, of))).unwrap();
    assert_eq!((made.position.get(), made.bytes), (61, fs::metadata(&copy).unwrap().len()));
    assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{told:?}");
    // What comes later is in the store alone.
    store.append("s", numbered(61)).unwrap();
    consumer.close().await;

    let copied = Store::open(&copy).unwrap();
    assert_eq!(copied.id(), store.id());
    assert_eq!(numbers(&copied, "s"), (1..=60).collect::<Vec<_>>());
    assert_eq!(numbers(&copied, "s/retry"), (1..=11).collect::<Vec<_>>());
    assert_eq!(copied.consumers().info("worker").unwrap().acknowledged, 1);
    assert_eq!(copied.timers().list(9).unwrap().len(), 1);
    let rest = copied.read(&cursor.next.unwrap().limit(100)).unwrap();
    assert_eq!(rest.events.len(), 40);
    // It goes on by itself.
    let consumer = copied.consumers().open_existing("worker").await.unwrap();
    assert_eq!(number(consumer.next().await.unwrap().event()), 2);
    copied.append_if("s", Expect::Head(60.into()), numbered(61)).unwrap();
    consumer.close().await;
    copied.close().unwrap();
    let copied = Store::builder().read_only().open(&copy).unwrap();
    assert!(copied.maintenance().verify().unwrap().is_clean());
    assert_eq!(copied.maintenance().info().unwrap().events, 62);
}

#[test]
fn a_copy_is_whole_while_others_append() {
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::builder().sync(false).flush_after(64, 1 << 20).open(dir.path().join("runs.redb")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = crate::support::SetOnDrop(&done);
        for session in ["s0", "s1"] {
            let (store, done) = (&store, &done);
            scope.spawn(move || append_pairs(store, session, done));
        }
        for round in 0..4 {
            let before = store.committed();
            let copy = dir.path().join(format!("copy{round}.redb"));
            let made = store.maintenance().backup(&copy).unwrap();
            assert!(made.position >= before);
            let copied = Store::builder().read_only().open(&copy).unwrap();
            pairs_are_whole(&copied, &["s0", "s1"]);
        }
    });
}

#[test]
fn nothing_is_overwritten_and_a_store_that_is_only_read_is_copied_with_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("runs.redb"), dir.path().join("copy.redb"));
    let store = Store::builder().flush_when_idle(Duration::from_secs(3_600)).open(&path).unwrap();
    store.append("s", (1..=5).map(numbered).collect::<Vec<_>>()).unwrap();
    // As a kill would leave it.
    let killed = dir.path().join("killed.redb");
    fs::copy(&path, &killed).unwrap();
    fs::write(&copy, "mine").unwrap();
    for taken in [&copy, &path] {
        let refused = store.maintenance().backup(taken);
        assert!(matches!(refused, Err(Error::Exists { .. })), "{refused:?}");
    }
    assert_eq!(fs::read(&copy).unwrap(), b"mine");
    assert!(store.maintenance().backup(dir.path().join("no/such/folder.redb")).is_err());
    let read_only = Store::builder().read_only().exclusive().open(&killed).unwrap();
    assert_eq!(read_only.maintenance().info().unwrap().in_journal, 5);
    let made = read_only.maintenance().backup(dir.path().join("restored.redb")).unwrap();
    assert_eq!(made.position.get(), 5);
    let restored = Store::open(&made.path).unwrap();
    assert_eq!(numbers(&restored, "s"), [1, 2, 3, 4, 5]);
    restored.append("s", numbered(6)).unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
    assert!(Store::in_memory().unwrap().maintenance().backup(dir.path().join("m.redb")).is_err());
}

#[test]
fn a_store_that_lacks_something_is_not_copied_as_if_it_were_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("runs.redb"), dir.path().join("copy.redb"));
    let store = Store::builder().flush_when_idle(Duration::from_secs(3_600)).open(&path).unwrap();
    for n in 1..=9 {
        store.append("s", numbered(n * 11_111_111)).unwrap();
    }
    // As a kill would leave it, with one byte of a commit in the middle changed.
    let mut bytes = fs::read(&path).unwrap();
    let fifth = bytes.windows(8).position(|part| part == b"55555555").unwrap();
    bytes[fifth] ^= 1;
    let killed = dir.path().join("killed.redb");
    fs::write(&killed, bytes).unwrap();
    let damaged = Store::builder().read_only().exclusive().open(&killed).unwrap();
    assert_eq!((damaged.maintenance().damage().len(), numbers(&damaged, "s").len()), (1, 4));
    let refused = damaged.maintenance().backup(&copy);
    assert!(matches!(&refused, Err(Error::Corrupt { .. })), "{refused:?}");
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains("copy")));
}

#[test]
#[cfg(unix)]
fn another_process_has_the_owner_make_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("runs.redb"), dir.path().join("copy.redb"));
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    for builder in [Store::builder(), Store::builder().read_only()] {
        let store = builder.open(&path).unwrap();
        let made = store.maintenance().backup(&copy).unwrap();
        assert_eq!((made.position.get(), made.path), (1, copy.clone()));
        assert!(matches!(store.maintenance().backup(&copy), Err(Error::Exists { .. })));
        store.close().unwrap();
        let copied = Store::builder().read_only().open(&copy).unwrap();
        assert_eq!(copied.head("s").unwrap().get(), 1);
        copied.close().unwrap();
        fs::remove_file(&copy).unwrap();
    }
    assert_eq!(peer.ask("append s second"), "2");
}
