//! A store moves into a smaller file while it is in use.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use retold::consumer::ConsumerConfig;
use retold::{Error, Follow, Followed, NewEvent, Query, Store};

use crate::support::{number, numbered, numbers};

/// Files beside the store that are neither it nor what others find it by.
fn left(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| *name != "runs.redb" && !name.starts_with(".retold.")).collect()
}

/// Events, a consumer at work, and much that was removed again.
async fn grow(store: &Store) {
    for n in 0..40_u64 {
        store.append(format!("s{}", n % 8).as_str(), (1..=50).map(numbered).collect::<Vec<_>>()).unwrap();
        store.maintenance().flush().unwrap();
    }
    let consumer = store.consumers().open("worker", ConsumerConfig::new()).await.unwrap();
    for _ in 0..20 {
        consumer.next().await.unwrap().ack().await.unwrap();
    }
    consumer.close().await;
    let late = || NewEvent::new("late").data(serde_json::json!("x".repeat(9_000)));
    let day = Duration::from_secs(86_400);
    let timers: Vec<_> = (0..600).map(|_| store.timers().schedule("s1", late(), day).unwrap().id).collect();
    store.maintenance().flush().unwrap();
    timers.iter().for_each(|timer| store.timers().cancel(*timer).unwrap());
    store.maintenance().flush().unwrap();
}

/// A new file often gets the inode number of the one that a compaction has removed.
#[test]
#[cfg(unix)]
fn a_new_file_with_the_number_of_the_one_a_store_moved_out_of_is_another_store() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    let number_of = |path: &Path| fs::metadata(path).unwrap().ino();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).open(&path).unwrap();
    store.append("s", numbered(1)).unwrap();
    let was = number_of(&path);
    store.maintenance().compact().unwrap();
    let mut others = Vec::new();
    for n in 0..40 {
        let path = dir.path().join(format!("{n}.redb"));
        let other = Store::builder().sync(false).create_only().open(&path).unwrap();
        assert_eq!(other.committed().get(), 0, "{n}");
        assert_ne!(other.id(), store.id());
        let is_found = number_of(&path) == was;
        others.push(other);
        if is_found {
            break;
        }
    }
    // One that moves as well may get a number that others have had.
    let last = others.last().unwrap();
    last.append("t", numbered(7)).unwrap();
    last.maintenance().compact().unwrap();
    let again =
        Store::builder().sync(false).open(dir.path().join(format!("{}.redb", others.len() - 1))).unwrap();
    assert_eq!(again.head("t").unwrap().get(), 1);
    // The store itself is found in its new file.
    store.append("s", numbered(2)).unwrap();
    let beside = Store::builder().sync(false).open(&path).unwrap();
    assert_eq!(beside.head("s").unwrap().get(), 2);
    for other in &others {
        other.append("s", numbered(9)).unwrap();
        assert_eq!(other.head("s").unwrap().get(), 1);
    }
    assert_eq!(numbers(&store, "s"), [1, 2]);
}

#[tokio::test]
async fn what_was_in_the_store_is_in_the_smaller_file_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).open(&path).unwrap();
    grow(&store).await;
    store.fork("s1@10", "retry").unwrap();
    store.timers().schedule("s1", NewEvent::new("late"), Duration::from_secs(99_999)).unwrap();
    // In the journal, not in the tables.
    store.append("s1/retry", numbered(11)).unwrap();
    let before: Vec<_> = store.events(Query::all()).unwrap().map(Result::unwrap).collect();
    let reader = store.events(Query::all()).unwrap();
    let mut told = Vec::new();
    let compacted = store.maintenance().compact_with(|done, of| told.push((done, of))).unwrap();
    assert!(compacted.after + (4 << 20) < compacted.before, "{compacted:?}");
    assert_eq!(compacted.after, fs::metadata(&path).unwrap().len());
    assert!(!told.is_empty() && told.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{told:?}");
    assert_eq!(left(&path), [] as [&str; 0]);
    // Whoever began to read before reads on.
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), before);
    store.append("s1", numbered(99)).unwrap();
    store.append("new", numbered(1)).unwrap();
    let again = store.maintenance().compact().unwrap();
    assert!(again.after <= compacted.before);
    assert!(store.maintenance().verify().unwrap().is_clean());
    store.append("s1", numbered(100)).unwrap();
    store.close().unwrap();

    let store = Store::open(&path).unwrap();
    let after: Vec<_> = store.events(Query::all()).unwrap().map(Result::unwrap).collect();
    assert_eq!((&after[..before.len()], after.len()), (&before[..], before.len() + 3));
    assert_eq!(store.consumers().info("worker").unwrap().acknowledged, 20);
    assert_eq!(store.timers().list(9).unwrap().len(), 1);
    assert_eq!(numbers(&store, "s1/retry"), (1..=11).collect::<Vec<_>>());
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn appends_reads_and_followers_go_on_while_it_moves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).flush_after(64, 1 << 20).open(&path).unwrap();
    store.append("s0", numbered(1)).unwrap();
    let done = AtomicBool::new(false);
    let written: Vec<u64> = std::thread::scope(|scope| {
        let _over = crate::support::SetOnDrop(&done);
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (store, done) = (&store, &done);
                let session = format!("s{writer}");
                scope.spawn(move || {
                    let mut n = store.head(session.as_str()).map_or(0, |head| head.get());
                    while !done.load(Ordering::Relaxed) {
                        n += 1;
                        let receipt = store.append(session.as_str(), numbered(n)).unwrap();
                        assert_eq!(receipt.last().get(), n);
                        // What was just acknowledged is there, whichever file it is in.
                        let last = Query::branch(session.as_str()).unwrap().from(n);
                        let page = store.read(&last).unwrap();
                        assert_eq!(page.events.iter().map(number).collect::<Vec<_>>(), [n]);
                    }
                    n
                })
            })
            .collect();
        let follower = scope.spawn(|| {
            let mut follow = store.follow(Follow::branch("s0").unwrap()).unwrap().blocking();
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                if let Some(Ok(Followed::Event { event, .. })) = follow.next() {
                    seen += 1;
                    assert_eq!(number(&event), seen);
                }
            }
        });
        for _ in 0..6 {
            store.maintenance().compact().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        let written: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        // So that the follower looks.
        store.append("s0", numbered(written[0] + 1)).unwrap();
        follower.join().unwrap();
        written
    });
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.head("s0").unwrap().get(), written[0] + 1);
    assert_eq!(numbers(&store, "s1"), (1..=written[1]).collect::<Vec<_>>());
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn a_store_without_a_file_or_that_is_only_read_is_not_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let message = Store::in_memory().unwrap().maintenance().compact().unwrap_err().to_string();
    assert!(message.contains("has no file to compact"), "{message}");
    Store::open(&path).unwrap().close().unwrap();
    let store = Store::builder().read_only().open(&path).unwrap();
    assert!(matches!(store.maintenance().compact(), Err(Error::ReadOnly { .. })));
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    // One at a time; and what is ended on the way leaves nothing.
    let maintenance = store.maintenance();
    let mut second = None;
    maintenance.compact_with(|_, _| second = Some(store.maintenance().compact())).unwrap();
    assert!(second.unwrap().unwrap_err().to_string().contains("being compacted already"));
    // A file that has lost its name is not replaced by one that nobody asked for.
    let moved = dir.path().join("moved.redb");
    fs::rename(&path, &moved).unwrap();
    assert!(maintenance.compact().unwrap_err().to_string().contains("was deleted, renamed or replaced"));
    fs::rename(&moved, &path).unwrap();
    maintenance.compact().unwrap();
    store.close().unwrap();
    assert_eq!(left(&path), [] as [&str; 0]);
}

#[test]
fn a_store_that_is_closed_meanwhile_stays_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path).unwrap();
    store.append("s", numbered(1)).unwrap();
    let closing = store.clone();
    let compacted = store.maintenance().compact_with(|_, _| closing.close().unwrap());
    assert!(matches!(compacted, Err(Error::Closed { .. })), "{compacted:?}");
    assert_eq!(left(&path), [] as [&str; 0]);
    assert_eq!(numbers(&Store::open(&path).unwrap(), "s"), [1]);
}

#[cfg(unix)]
mod shared {
    use super::*;
    use crate::peer::Peer;
    use crate::sharing::{builder, owner_pid, place, until};

    #[test]
    fn other_processes_find_the_store_in_its_new_file_and_go_on_in_it_when_the_owner_is_killed() {
        let (_dir, path) = place();
        let mut owner = Peer::with(&path, "");
        assert_eq!(owner.ask("append s 1"), "1");
        // A client from before.
        let store = builder(&["cli"]).open(&path).unwrap();
        for round in 0..3 {
            // Asked by the owner itself, or by a client.
            match round {
                0 => assert_eq!(owner.ask("compact"), "ok"),
                _ => drop(store.maintenance().compact().unwrap()),
            }
            assert_eq!(left(&path), [] as [&str; 0]);
            let head = store.head("s").unwrap().get();
            store.append("s", numbered(head + 1)).unwrap();
            // One that comes later, and another handle of the owner.
            let mut later = Peer::with(&path, "");
            assert_eq!(later.ask("head s"), (head + 1).to_string());
            assert!(later.ask("owner").starts_with(&owner_pid(&owner)));
            assert_eq!(owner.ask("beside"), (head + 1).to_string());
        }
        owner.kill();
        until("the next owner", || store.append("s", numbered(5)).is_ok());
        let info = store.maintenance().info().unwrap();
        assert_eq!(info.owner.unwrap().pid, std::process::id());
        assert!(store.maintenance().verify().unwrap().is_clean());
        store.maintenance().compact().unwrap();
        store.close().unwrap();
        let beside = fs::read_dir(path.parent().unwrap()).unwrap();
        let beside: Vec<_> = beside.map(|entry| entry.unwrap().file_name()).collect();
        // The record of the owner that was killed was the next one's to remove.
        assert_eq!(beside, ["runs.redb"]);
        assert_eq!(Store::open(&path).unwrap().head("s").unwrap().get(), 5);
    }

    #[test]
    fn another_file_under_its_name_is_not_taken_for_the_one_it_moved_into() {
        let (dir, path) = place();
        let mut owner = Peer::with(&path, "");
        assert_eq!(owner.ask("append s 1"), "1");
        let copy = dir.path().join("copy");
        let store = builder(&["cli", "soon"]).open(&path).unwrap();
        store.maintenance().backup(&copy).unwrap();
        assert_eq!(owner.ask("append s 2"), "2");
        owner.kill();
        // The same store, but it does not have all that was acknowledged.
        fs::rename(&copy, &path).unwrap();
        let refused = store.append("s", numbered(3));
        assert!(refused.is_err(), "{refused:?}");
        store.close().unwrap();
        assert_eq!(Store::open(&path).unwrap().head("s").unwrap().get(), 1);
    }
}
