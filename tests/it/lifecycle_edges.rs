//! Single cases of what may become of branches: ids that are given again, restores and repairs around a purge, and what goes
//! on beside a branch as it is closed or deleted.

use std::collections::BTreeSet;

use redb::{ReadableDatabase, ReadableTable};
use retold::lifecycle::Expiry;
use retold::project::{ApplyError, Emit, Projection};
use retold::store::recovery::{RestoreUntil, repair, restore};
use retold::testkit::Disk;
use retold::{ConsumerConfig, Error, Event, NewEvent, Query, Store};

use crate::tables::Tables;

const EVENTS: redb::TableDefinition<'_, (u64, u64), &[u8]> = redb::TableDefinition::new("events");
const ORDER: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("order");

fn run(count: u64) -> Vec<NewEvent> {
    (0..count).map(|n| NewEvent::new("step.done").data(n.into())).collect()
}

fn number(event: &Event) -> u64 {
    event.json().unwrap()
}

fn is_clean(store: &Store) {
    let report = store.maintenance().verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
}

#[test]
fn an_id_that_is_given_again_before_a_flush_leads_to_the_last_event() {
    let disk = Disk::new();
    let store = Store::builder().with_backend(disk.backend()).unwrap();
    let events = run(3);
    for _ in 0..3 {
        store.append("s", events.clone()).unwrap();
        store.lifecycle().delete("s").unwrap();
    }
    store.append("s", events.clone()).unwrap();
    store.maintenance().flush().unwrap();
    is_clean(&store);
    store.close().unwrap();
    let store = Store::builder().with_backend(Disk::from_bytes(disk.bytes()).backend()).unwrap();
    for (event, position) in events.iter().zip(10..) {
        assert_eq!(store.get(event.id()).unwrap().position().get(), position);
    }
    assert!(store.append("s", events).unwrap().duplicate());
    store.lifecycle().purge().unwrap();
    is_clean(&store);
}

#[test]
fn a_branch_that_is_purged_but_for_its_beginning_is_restored_to_within_that() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).open(&path).unwrap();
    for part in 0..10 {
        store.append("s", run(100)).unwrap();
        if part == 4 {
            store.fork("s@500", "b").unwrap();
        }
        // Two commits of one microsecond would count as one.
        let now = retold::Timestamp::now();
        while retold::Timestamp::now() <= now {}
    }
    store.lifecycle().delete("s").unwrap();
    assert!(store.lifecycle().purge().unwrap().events > 0);
    store.close().unwrap();
    for position in (100..=500).step_by(100) {
        let to = dir.path().join(format!("{position}.redb"));
        restore(&path, &to, RestoreUntil::Position(position.into())).unwrap();
        let store = Store::builder().sync(false).open(&to).unwrap();
        assert_eq!(store.committed().get(), position);
        is_clean(&store);
        // Not all that it had shown is there.
        assert!(matches!(store.head("s"), Err(Error::Deleted { .. })));
        store.append("s", run(1)).unwrap();
        is_clean(&store);
    }
}

#[test]
fn a_repair_does_not_bring_back_what_was_deleted_past_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("runs.redb"), dir.path().join("repaired.redb"));
    let store = Store::builder().sync(false).journal_bytes(128 * 1_024).open(&path).unwrap();
    store.append("s", run(2)).unwrap();
    store.append("t", run(2)).unwrap();
    // Their changes are more than a commit in the journal can have; when they began still is there.
    let forks: Vec<String> = (0..200).map(|n| format!("b{n}-{}", "x".repeat(200))).collect();
    for fork in &forks {
        store.fork("s", fork.as_str()).unwrap();
    }
    store.maintenance().flush().unwrap();
    store.lifecycle().delete_session(&"s".try_into().unwrap()).unwrap();
    store.close().unwrap();
    let repaired = repair(&path, &out).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    let store = Store::builder().sync(false).open(&out).unwrap();
    assert!(matches!(store.head("s"), Err(Error::Deleted { .. })));
    for fork in &forks {
        assert!(matches!(store.head(format!("s/{fork}").as_str()), Err(Error::Deleted { .. })), "{fork}");
    }
    is_clean(&store);
}

#[test]
fn a_branch_that_is_truncated_purged_and_deleted_leaves_a_clean_store() {
    let store = Store::in_memory().unwrap();
    let disk = Disk::new();
    let on_disk = Store::builder().with_backend(disk.backend()).unwrap();
    for store in [&store, &on_disk] {
        store.append("s", run(1_200)).unwrap();
        store.append("t", run(3)).unwrap();
        store.maintenance().flush().unwrap();
        store.lifecycle().truncate("s", 1_100).unwrap();
        assert!(store.lifecycle().purge().unwrap().events > 0);
        is_clean(store);
        store.lifecycle().delete("s").unwrap();
        is_clean(store);
        store.lifecycle().purge().unwrap();
        is_clean(store);
        store.append("s", run(5)).unwrap();
        store.maintenance().flush().unwrap();
        is_clean(store);
    }
}

/// Raises an alert for each step, and does something to some branches before that.
struct Meddler {
    store: Store,
}

impl Projection for Meddler {
    type State = u64;

    fn name(&self) -> &str {
        "meddler"
    }

    fn apply(&self, steps: &mut u64, _: &Event) -> Result<(), ApplyError> {
        *steps += 1;
        Ok(())
    }

    fn reacts(&self) -> bool {
        true
    }

    fn react(&self, _: &u64, _: &u64, event: &Event) -> Vec<Emit> {
        if event.kind() != "step.done" {
            return Vec::new();
        }
        let place = event.session().to_string();
        let lifecycle = self.store.lifecycle();
        match place.as_str() {
            "closed" => drop(lifecycle.close("closed").unwrap()),
            "deleted" | "anew" => lifecycle.delete(place.as_str()).unwrap(),
            "truncated" => drop(lifecycle.truncate("truncated", 2).unwrap()),
            _ => {}
        }
        if place == "anew" {
            self.store.append("anew", NewEvent::new("a.b")).unwrap();
        }
        vec![Emit::new("meddled", NewEvent::new("alert.step"))]
    }
}

#[test]
fn what_is_raised_into_a_branch_that_is_closed_or_deleted_by_then_stops_nothing() {
    let store = Store::in_memory().unwrap();
    let meddler = store.project(Meddler { store: store.clone() }).unwrap();
    meddler.catch_up().unwrap();
    for place in ["closed", "deleted", "anew", "truncated", "last"] {
        store.append(place, run(1)).unwrap();
        meddler.catch_up().unwrap();
    }
    let kinds = |place: &str| -> Vec<String> {
        let events = store.events(Query::branch(place).unwrap()).unwrap();
        events.map(|event| event.unwrap().kind().to_owned()).collect()
    };
    assert_eq!(kinds("closed"), ["step.done"]);
    assert!(matches!(store.head("deleted"), Err(Error::Deleted { .. })));
    assert_eq!(kinds("anew"), ["a.b"]);
    assert_eq!(kinds("truncated"), ["alert.step"]);
    assert_eq!(kinds("last"), ["step.done", "alert.step"]);
}

#[tokio::test]
async fn a_consumer_with_a_backlog_gets_the_branch_that_has_the_name_now_in_its_order() {
    let store = Store::in_memory().unwrap();
    let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
    store.append("s", run(100)).unwrap();
    let out = consumer.next().await.unwrap();
    // It has seen all of them by now, and has not all at hand.
    assert!(consumer.try_next().await.unwrap().is_none());
    store.lifecycle().delete_async("s").await.unwrap();
    let anew = (1_000..1_150u64).map(|n| NewEvent::new("step.done").data(n.into())).collect::<Vec<_>>();
    store.append("s", anew).unwrap();
    out.ack().await.unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = consumer.try_next().await.unwrap() {
        found.push(number(delivery.event()));
        delivery.ack().await.unwrap();
    }
    let (old, new): (Vec<u64>, Vec<u64>) = found.into_iter().partition(|n| *n < 1_000);
    assert_eq!(new, (1_000..1_150).collect::<Vec<_>>());
    // What was read before may still come, once.
    assert!(old.len() < 99 && old.iter().collect::<BTreeSet<_>>().len() == old.len());
}

#[test]
fn a_branch_is_not_promoted_to_another_that_has_the_name_of_its_parent() {
    let store = Store::in_memory().unwrap();
    store.append("s", run(2)).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", run(1)).unwrap();
    store.lifecycle().delete("s").unwrap();
    assert!(matches!(store.promote("s/b"), Err(Error::Deleted { .. })));
    store.append("s", run(2)).unwrap();
    assert!(matches!(store.promote("s/b"), Err(Error::Deleted { .. })));
    assert_eq!(store.head("s").unwrap().get(), 2);
}

#[test]
fn an_id_is_not_free_again_while_a_fork_has_its_event() {
    let disk = Disk::new();
    let store = Store::builder().with_backend(disk.backend()).unwrap();
    let events = run(3);
    store.append("s", events.clone()).unwrap();
    store.fork("s@2", "b").unwrap();
    store.lifecycle().delete("s").unwrap();
    let again = |at: usize| store.append("t", events[at].clone());
    assert!(matches!(again(0).unwrap_err(), Error::Duplicate { .. }));
    again(2).unwrap();
    store.lifecycle().delete("t").unwrap();
    store.lifecycle().purge().unwrap();
    // The fork has it all the same.
    let in_fork = |at: usize| store.append("s/b", events[at].clone());
    assert!(matches!(in_fork(1).unwrap_err(), Error::Duplicate { .. }));
    store.lifecycle().delete("s/b").unwrap();
    again(0).unwrap();
    store.lifecycle().purge().unwrap();
    is_clean(&store);
}

/// However the commits come together in groups: who begins a branch and at once closes or deletes it may find both in one.
#[test]
fn a_branch_that_begins_and_ends_in_one_group_has_ended_after_a_crash() {
    let disk = Disk::new();
    let store = Store::builder().sync(false).with_backend(disk.backend()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let names: Vec<String> = (0..60).map(|n| format!("s{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let lifecycle = store.lifecycle();
        runtime.block_on(async {
            let append = store.append_async(name.as_str(), run(2));
            // Polled after the append, so decided after it.
            let end = async {
                match n % 2 {
                    0 => lifecycle.close_async(name.as_str()).await.map(drop),
                    _ => lifecycle.delete_async(name.as_str()).await.map(drop),
                }
            };
            let (appended, ended) = tokio::join!(biased; append, end);
            appended.unwrap();
            ended.unwrap();
        });
    }
    let bytes = disk.bytes();
    std::mem::forget(store);
    let store = Store::builder().with_backend(Disk::from_bytes(bytes).backend()).unwrap();
    for (n, name) in names.iter().enumerate() {
        match n % 2 {
            0 => assert!(matches!(
                store.append(name.as_str(), run(1)).unwrap_err(),
                Error::BranchClosed { .. }
            )),
            _ => assert!(matches!(store.head(name.as_str()).unwrap_err(), Error::Deleted { .. })),
        }
    }
    assert_eq!(store.events(Query::all()).unwrap().count(), 60);
    is_clean(&store);
}

#[test]
fn a_current_branch_whose_name_was_given_again_is_still_that_after_a_repair() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("runs.redb"), dir.path().join("out.redb"));
    let store = Store::builder().sync(false).open(&path).unwrap();
    store.append("s", run(3)).unwrap();
    let (session, b) = ("s".try_into().unwrap(), "b".try_into().unwrap());
    store.fork("s@2", "b").unwrap();
    store.lifecycle().delete("s/b").unwrap();
    store.fork("s@2", "b").unwrap();
    store.set_current(&session, &b).unwrap();
    store.close().unwrap();
    let repaired = repair(&path, &out).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    assert_eq!(Store::open(&out).unwrap().current(&session).unwrap(), b);
}

#[test]
fn what_was_purged_is_not_lost_though_the_global_order_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).open(&path).unwrap();
    store.append("gone", run(700)).unwrap();
    store.lifecycle().delete("gone").unwrap();
    store.lifecycle().purge().unwrap();
    // So much that the journal does not have what was purged either.
    let large = serde_json::json!("x".repeat(1 << 20));
    for _ in 0..30 {
        store.append("kept", NewEvent::new("large").data(large.clone())).unwrap();
    }
    store.close().unwrap();
    let tables = Tables::of(&path);
    let txn = tables.db.begin_write().unwrap();
    txn.open_table(ORDER).unwrap().insert(1, b"garbage".as_slice()).unwrap();
    txn.commit().unwrap();
    tables.put(&path);
    let out = dir.path().join("out.redb");
    let repaired = repair(&path, &out).unwrap();
    assert!(repaired.lost.is_empty() && repaired.events == 30, "{repaired:?}");
    let store = Store::open(&out).unwrap();
    assert_eq!(store.events(Query::all()).unwrap().count(), 30);
    is_clean(&store);
}

#[test]
fn nor_is_it_when_it_was_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("runs.redb"), dir.path().join("out.redb"));
    let store = Store::builder().sync(false).open(&path).unwrap();
    store.append("kept", run(30)).unwrap();
    store.append("gone", run(700)).unwrap();
    store.lifecycle().delete("gone").unwrap();
    store.lifecycle().purge().unwrap();
    // Nor does the journal of the new file have it.
    store.maintenance().compact().unwrap();
    store.close().unwrap();
    let tables = Tables::of(&path);
    let txn = tables.db.begin_write().unwrap();
    {
        let mut order = txn.open_table(ORDER).unwrap();
        let key = order.last().unwrap().unwrap().0.value();
        order.insert(key, b"garbage".as_slice()).unwrap();
    }
    txn.commit().unwrap();
    tables.put(&path);
    let repaired = repair(&path, &out).unwrap();
    assert!(repaired.lost.is_empty() && repaired.position.get() == 730, "{repaired:?}");
    let store = Store::open(&out).unwrap();
    assert_eq!(store.append("new", run(1)).unwrap().position().get(), 731);
    is_clean(&store);
}

#[test]
fn damage_to_one_branch_keeps_no_other_from_being_purged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).open(&path).unwrap();
    for name in ["a", "b", "c"] {
        store.append(name, run(300)).unwrap();
    }
    store.close().unwrap();
    let tables = Tables::of(&path);
    let txn = tables.db.begin_write().unwrap();
    {
        let mut events = txn.open_table(EVENTS).unwrap();
        let key = events.iter().unwrap().map(|row| row.unwrap().0.value()).find(|(of, _)| *of == 1).unwrap();
        events.insert(key, b"garbage".as_slice()).unwrap();
    }
    txn.commit().unwrap();
    tables.put(&path);
    let store = Store::builder().sync(false).open(&path).unwrap();
    for name in ["a", "b"] {
        store.lifecycle().delete(name).unwrap();
    }
    let before = store.maintenance().info().unwrap().payload_bytes;
    let error = store.lifecycle().purge().unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("a/main"), "{error}");
    let after = store.maintenance().info().unwrap().payload_bytes;
    assert!(after < before, "{after} of {before}");
    store.close().unwrap();
    let tables = Tables::of(&path);
    let rows = tables.db.begin_read().unwrap().open_table(EVENTS).unwrap();
    let left: BTreeSet<u64> = rows.iter().unwrap().map(|row| row.unwrap().0.value().0).collect();
    assert_eq!(left, BTreeSet::from([1, 3]));
}

#[test]
fn when_a_branch_was_used_last_is_known_after_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path).unwrap();
    store.append("s", run(1)).unwrap();
    let week = Expiry::Unused(std::time::Duration::from_secs(7 * 86_400));
    let first = store.lifecycle().expire("s", week).unwrap().expires.unwrap();
    let begun = retold::Timestamp::now();
    while retold::Timestamp::now() <= begun {}
    let used = |store: &Store| store.read(&Query::branch("s").unwrap()).unwrap().events.len();
    assert_eq!(used(&store), 1);
    store.close().unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let later = store.branch("s").unwrap().expires.unwrap();
    assert!(later > first, "{later} after {first}");
    // Who only lists it does not use it.
    store.close().unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().branch("s").unwrap().expires, Some(later));
}
