//! A backup is restored up to a position or a time: what is there then is what was there then.

use std::time::Duration;

use proptest::prelude::*;
use retold::consumer::ConsumerConfig;
use retold::store::recovery::{RestoreUntil, restore};
use retold::testkit::Model;
use retold::{Address, Error, NewEvent, Place, Query, Store};

use crate::support::{Deed, Dice, check_everything, check_heads, number, numbered};

/// The models after each commit that has events, oldest first: a point in time that can be restored.
fn written(store: &Store, seed: u64, deeds: usize) -> Vec<Model> {
    let mut dice = Dice(seed);
    let mut model = Model::new();
    let mut after = vec![model.clone()];
    for _ in 0..deeds {
        let deed = Deed::draw(&mut dice, &model);
        let before = store.committed();
        deed.tell(&mut model);
        deed.perform(store, &model).unwrap();
        match store.committed() == before {
            // A fork belongs to the commit before it.
            true => *after.last_mut().unwrap() = model.clone(),
            false => after.push(model.clone()),
        }
        // Two commits of one microsecond would count as one.
        let now = retold::Timestamp::now();
        while retold::Timestamp::now() <= now {}
    }
    after
}

/// The model that a store restored up to this position has.
fn due(after: &[Model], position: u64) -> &Model {
    after.iter().rfind(|model| model.committed() <= position).unwrap()
}

fn check(store: &Store, model: &Model, position: u64) {
    check_everything(store, model);
    assert!(store.committed().get() <= position);
    let places: Vec<Place> = model.places().cloned().collect();
    for session in store.sessions(None, 1_000).unwrap() {
        for branch in store.branches(&session.session).unwrap() {
            assert!(places.contains(&branch.place), "{} came later", branch.place);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn a_store_restored_to_a_position_is_what_it_was_then(
        seed: u64, picks in prop::collection::vec(0.0..1.1f64, 3), is_closed: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.redb");
        let settings = Store::builder().sync(false).flush_after(40, 1 << 20).flush_when_idle(Duration::from_secs(3_600));
        let store = settings.exclusive().open(&path).unwrap();
        let after = written(&store, seed, 30);
        let backup = dir.path().join("backup.redb");
        if is_closed {
            store.maintenance().backup(&backup).unwrap();
        } else {
            // As a kill would leave it: some of it is only in the journal.
            std::fs::copy(&path, &backup).unwrap();
        }
        for (n, pick) in picks.into_iter().enumerate() {
            let position = (pick * store.committed().get() as f64) as u64;
            let to = dir.path().join(format!("restored{n}.redb"));
            let restored = restore(&backup, &to, RestoreUntil::Position(position.into())).unwrap();
            let model = due(&after, position);
            prop_assert_eq!(restored.position.get(), model.committed());
            prop_assert_eq!(restored.left_out, store.committed().get() - model.committed());
            let again = Store::builder().sync(false).exclusive().open(&to).unwrap();
            check(&again, model, position);
            // It goes on by itself.
            again.append("afterwards", numbered(1)).unwrap();
            again.close().unwrap();
        }
    }
}

#[test]
fn a_time_is_as_good_as_a_position() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).exclusive().open(&path).unwrap();
    let after = written(&store, 7, 25);
    let times: Vec<_> = store.events(Query::all()).unwrap().map(|e| e.unwrap().recorded()).collect();
    let forked =
        store.fork(Address::from(after.last().unwrap().places().next().unwrap().clone()), "late").unwrap();
    store.close().unwrap();
    for (n, time) in times.iter().enumerate().step_by(7) {
        let to = dir.path().join(format!("restored{n}.redb"));
        let restored = restore(&path, &to, RestoreUntil::Time(*time)).unwrap();
        let position = times.iter().filter(|other| *other <= time).count() as u64;
        assert_eq!(restored.position.get(), position);
        let again = Store::builder().sync(false).exclusive().open(&to).unwrap();
        assert_eq!(again.committed().get(), position);
        assert!(again.maintenance().verify().unwrap().is_clean());
        assert!(matches!(again.head(Address::from(forked.place.clone())), Err(Error::NotFound { .. })));
    }
    let to = dir.path().join("none.redb");
    let restored = restore(&path, &to, RestoreUntil::Time(retold::Timestamp::from_micros(1))).unwrap();
    assert_eq!((restored.position.get(), restored.left_out), (0, times.len() as u64));
    check_heads(&Store::open(&to).unwrap(), &Model::new());
    let to = dir.path().join("all.redb");
    let restored = restore(&path, &to, RestoreUntil::Time(retold::Timestamp::now())).unwrap();
    assert_eq!((restored.left_out, restored.branches_left_out), (0, 0));
    let again = Store::open(&to).unwrap();
    check_heads(&again, after.last().unwrap());
    assert!(again.head(Address::from(forked.place)).is_ok());
}

#[tokio::test]
async fn records_go_back_with_the_events() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).exclusive().open(&path).unwrap();
    for session in ["a", "b"] {
        store.append(session, (1..=5).map(numbered).collect::<Vec<_>>()).unwrap();
    }
    store.fork("a@5", "early").unwrap();
    let config = ConsumerConfig::new().max_deliveries(1).deadline(Duration::from_secs(9_000));
    let consumer = store.consumers().open("worker", config.clone()).await.unwrap();
    consumer.next().await.unwrap().ack().await.unwrap();
    consumer.next().await.unwrap().park("no good").await.unwrap();
    let early = store.timers().schedule("a", NewEvent::new("t.early"), Duration::from_secs(99_999)).unwrap();
    store.set_current(&"a".parse().unwrap(), &"early".parse().unwrap()).unwrap();
    let cut = store.committed();
    let now = retold::Timestamp::now();
    while retold::Timestamp::now() <= now {}
    store.append("a", (6..=9).map(numbered).collect::<Vec<_>>()).unwrap();
    store.append("c", numbered(1)).unwrap();
    store.fork("b@5", "late").unwrap();
    store.set_current(&"b".parse().unwrap(), &"late".parse().unwrap()).unwrap();
    let late = store.timers().schedule("a", NewEvent::new("t.late"), Duration::from_secs(99_999)).unwrap();
    for _ in 0..11 {
        let delivery = consumer.next().await.unwrap();
        match number(delivery.event()) {
            7 => delivery.park("no good either").await.unwrap(),
            _ => delivery.ack().await.unwrap(),
        }
    }
    let other = store.consumers().open("latecomer", config).await.unwrap();
    other.close().await;
    consumer.close().await;
    store.close_async().await.unwrap();

    let to = dir.path().join("restored.redb");
    restore(&path, &to, RestoreUntil::Position(cut)).unwrap();
    let again = Store::builder().sync(false).exclusive().open(&to).unwrap();
    assert!(again.maintenance().verify().unwrap().is_clean());
    assert!(matches!(again.consumers().info("latecomer"), Err(Error::NotFound { .. })));
    let info = again.consumers().info("worker").unwrap();
    assert_eq!(info.ack_floor, cut);
    let letters = again.dead_letters().list(None, None, 9).unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let timers: Vec<_> = again.timers().list(9).unwrap().into_iter().map(|timer| timer.id).collect();
    assert_eq!(timers, [early.id]);
    assert_ne!(early.id, late.id);
    assert_eq!(again.current(&"a".parse().unwrap()).unwrap().as_str(), "early");
    assert_eq!(again.current(&"b".parse().unwrap()).unwrap().as_str(), "main");
    // What comes now is delivered, and what was acknowledged is not.
    again.append("d", numbered(77)).unwrap();
    let consumer = again.consumers().open_existing("worker").await.unwrap();
    assert_eq!(number(consumer.next().await.unwrap().event()), 77);
    consumer.close().await;
}

#[tokio::test]
async fn what_was_made_after_a_time_is_gone_though_no_event_came_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).exclusive().open(&path).unwrap();
    store.append("a", numbered(1)).unwrap();
    let early = store.timers().schedule("a", NewEvent::new("t.early"), Duration::from_secs(99_999)).unwrap();
    let time = retold::Timestamp::now();
    while retold::Timestamp::now() <= time {}
    store.timers().schedule("a", NewEvent::new("t.late"), Duration::from_secs(99_999)).unwrap();
    store.consumers().open("latecomer", ConsumerConfig::new()).await.unwrap().close().await;
    store.close_async().await.unwrap();
    let to = dir.path().join("restored.redb");
    let restored = restore(&path, &to, RestoreUntil::Time(time)).unwrap();
    assert_eq!((restored.position.get(), restored.left_out), (1, 0));
    let again = Store::builder().sync(false).exclusive().open(&to).unwrap();
    let timers: Vec<_> = again.timers().list(9).unwrap().into_iter().map(|timer| timer.id).collect();
    assert_eq!(timers, [early.id]);
    assert!(again.consumers().list().unwrap().is_empty());
}

#[test]
fn a_backup_that_is_damaged_missing_or_no_store_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let (path, to) = (dir.path().join("runs.redb"), dir.path().join("to.redb"));
    let until = RestoreUntil::Position(1.into());
    assert!(matches!(restore(&path, &to, until), Err(Error::NotFound { .. })));
    let store = Store::builder().exclusive().open(&path).unwrap();
    store.append("s", (1..=500).map(numbered).collect::<Vec<_>>()).unwrap();
    store.append("s", numbered(501)).unwrap();
    let until = RestoreUntil::Position(500.into());
    assert!(matches!(restore(&path, &to, until), Err(Error::Locked { .. })));
    store.close().unwrap();
    std::fs::write(&to, "mine").unwrap();
    assert!(matches!(restore(&path, &to, until), Err(Error::Exists { .. })));
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
    std::fs::remove_file(&to).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let tables = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    let at = (tables..bytes.len()).find(|at| bytes[*at..].starts_with(b"step.done")).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(restore(&path, &to, until), Err(Error::Corrupt { .. })));
    assert!(!to.exists() && std::fs::read(&path).unwrap() == bytes);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
