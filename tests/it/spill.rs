//! The spill behind a bus: damaged branches, full disks, and what an earlier process left.

use std::path::{Path, PathBuf};

use redb::{ReadableTable, TableDefinition};
use retold::bus::spill::Spill;
use retold::{Bus, Error, NewEvent, Query, Store};

use crate::support::on_small_disk;
use crate::tables::Tables;

const HEADS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("heads");

/// A closed store with three sessions, the second of which takes no more: its head cannot be read.
fn damaged(dir: &Path) -> PathBuf {
    let path = dir.join("s.redb");
    let store = Store::open(&path).unwrap();
    for session in ["a", "b", "c"] {
        store.append(session, NewEvent::new("step.done")).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let tables = Tables::of(&path);
    let txn = tables.db.begin_write().unwrap();
    {
        let mut heads = txn.open_table(HEADS).unwrap();
        let mut row = heads.get(2).unwrap().unwrap().value().to_vec();
        let last = row.len() - 1;
        row[last] ^= 1;
        heads.insert(2, row.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    tables.put(&path);
    path
}

fn kinds(store: &Store, session: &str) -> Vec<String> {
    store.events(Query::branch(session).unwrap()).unwrap().map(|e| e.unwrap().kind().to_owned()).collect()
}

#[test]
fn events_of_other_branches_are_drained_past_those_of_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(damaged(dir.path())).unwrap();
    assert!(matches!(store.append("b", NewEvent::new("x.y")), Err(Error::Corrupt { .. })));
    let spill = Spill::at(dir.path().join("spill.ndjson"));
    for n in 0..300 {
        let session = ["b", "a", "c"][n % 3];
        spill.put(session, &NewEvent::new(format!("step.n{n}"))).unwrap();
    }
    let drained = spill.drain(&store).unwrap();
    assert_eq!((drained.recorded, drained.known, drained.set_aside, drained.held), (200, 0, 0, 100));
    let wanted = |rest: usize| (0..300).filter(move |n| n % 3 == rest).map(|n| format!("step.n{n}"));
    for (rest, session) in [(1, "a"), (2, "c")] {
        assert_eq!(kinds(&store, session)[1..], wanted(rest).collect::<Vec<_>>());
    }
    // What is left is for the damaged one, in order, and stays as it is.
    let left = std::fs::read_to_string(spill.path()).unwrap();
    let left_of = |n: usize| format!("\"type\":\"step.n{}\"", n * 3);
    assert_eq!(left.lines().count(), 100);
    assert!(
        left.lines()
            .enumerate()
            .all(|(n, line)| line.contains("\"session\":\"b\"") && line.contains(&left_of(n)))
    );
    let again = spill.drain(&store).unwrap();
    assert_eq!((again.held, again.recorded), (100, 0));
    assert_eq!(std::fs::read_to_string(spill.path()).unwrap(), left);
    // What comes later is drained past them, too.
    spill.put("a", &NewEvent::new("step.later")).unwrap();
    assert_eq!(spill.drain(&store).unwrap().recorded, 1);
    assert_eq!(std::fs::read_to_string(spill.path()).unwrap(), left);
    store.close().unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_goes_on_with_healthy_branches_behind_a_spill_that_holds_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(damaged(dir.path())).unwrap();
    let path = dir.path().join("spill.ndjson");
    Spill::at(&path).put("b", &NewEvent::new("step.old")).unwrap();
    let bus = Bus::builder().spill(&path).spill_limit(200_000).open(&store).unwrap();
    for n in 0..3_000 {
        bus.publish_nowait("a", NewEvent::new("step.new"));
        if n % 1_000 == 0 {
            bus.publish_nowait("b", NewEvent::new("step.held"));
            bus.flush().await;
        }
    }
    let emitter = bus.emitter("e", "c").unwrap();
    assert!(emitter.emit(NewEvent::new("step.new")).await.is_recorded());
    let held = bus.emitter("e", "b").unwrap().emit(NewEvent::new("step.held")).await;
    assert!(matches!(held, retold::bus::Emitted::Spilled), "{held:?}");
    bus.flush().await;
    let stats = bus.stats();
    assert_eq!((kinds(&store, "a").len(), stats.dropped), (3_001, 0));
    bus.close().await.unwrap();
    let left = std::fs::read_to_string(&path).unwrap();
    let order: Vec<bool> = left.lines().map(|line| line.contains("step.old")).collect();
    assert_eq!(order, [true, false, false, false, false]);
    assert!(left.lines().all(|line| line.contains("\"session\":\"b\"")));
    store.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_are_given_what_an_earlier_process_left_once_they_are_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spill.ndjson");
    let store = Store::open(dir.path().join("s.redb")).unwrap();
    for _ in 0..5 {
        Spill::at(&path).put("s", &NewEvent::new("step.left")).unwrap();
    }
    let bus = Bus::builder().spill(&path).open(&store).unwrap();
    let (given, mut got) = tokio::sync::mpsc::unbounded_channel();
    for name in ["one", "other"] {
        // Whatever runs meanwhile.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let given = given.clone();
        bus.subscribe("step.*")
            .named(name)
            .run(move |message| {
                given.send(message.event().map(|event| event.sequence())).unwrap();
                async {}
            })
            .unwrap();
    }
    bus.ready();
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(got.recv().await.unwrap());
    }
    bus.close().await.unwrap();
    assert_eq!((got.try_recv().ok(), store.head("s").unwrap().get()), (None, 5));
    all.sort_unstable();
    let wanted: Vec<_> = (1..=5_u64).flat_map(|n| [n, n]).map(|n| Some(n.into())).collect();
    assert_eq!(all, wanted);
}

/// The disk that holds both is full: what was reserved for the spill is there.
#[test]
fn a_full_disk_leaves_room_for_what_was_reserved_and_draining_does_not_fill_it() {
    let name = "spill::a_full_disk_leaves_room_for_what_was_reserved_and_draining_does_not_fill_it";
    on_small_disk(name, 40, on_a_full_disk);
}

fn on_a_full_disk(disk: &Path) {
    let (path, ballast) = (disk.join("s.redb"), disk.join("ballast"));
    let store = Store::open(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let event =
        |n: u64| NewEvent::new("step.done").data(serde_json::json!({ "n": n, "text": "x".repeat(4_000) }));
    let kept = runtime.block_on(async {
        let bus = Bus::builder().spill_reserve(2 << 20).open(&store).unwrap();
        while bus.stats().spill.map_or(0, |spill| spill.reserved_bytes) == 0 {
            tokio::task::yield_now().await;
        }
        let mut filling = std::fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut filling, &[1; 4_096]).is_ok() {}
        let emitter = bus.emitter("e", "run-1").unwrap();
        let mut kept = Vec::new();
        for n in 0..3_000 {
            match emitter.emit(event(n)).await {
                retold::bus::Emitted::Recorded(_) | retold::bus::Emitted::Spilled => kept.push(n),
                retold::bus::Emitted::Dropped(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let spilled = bus.stats().spilled;
        assert!(spilled >= (2 << 20) / 4_300, "{spilled}");
        bus.close().await.unwrap();
        kept
    });
    let _ = store.close();
    drop(store);
    // A little room is not enough: the store is not to fill its disk again.
    std::fs::OpenOptions::new().write(true).open(&ballast).unwrap().set_len(0).unwrap();
    let mut filling = std::fs::File::create(&ballast).unwrap();
    let store = Store::open(&path).unwrap();
    let spill = Spill::beside(&store).unwrap();
    let free = || rustix::fs::statvfs(disk).map(|s| s.f_bavail * s.f_frsize).unwrap();
    while free() > 4 << 20 {
        std::io::Write::write_all(&mut filling, &[1; 4_096]).unwrap();
    }
    assert!(spill.drain(&store).unwrap_err().to_string().contains("bytes left"));
    store.append("other", NewEvent::new("step.done")).unwrap();
    drop(filling);
    std::fs::remove_file(&ballast).unwrap();
    spill.drain(&store).unwrap();
    let found: Vec<u64> = store
        .events(Query::branch("run-1").unwrap())
        .unwrap()
        .map(|event| event.unwrap().json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(found, kept);
    store.close().unwrap();
}

/// In a process without explorers, which turn events of tracing off for all of it.
#[test]
fn an_outage_is_warned_of_once_and_so_is_a_full_spill() {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (dir, lines) = (tempfile::tempdir().unwrap(), Lines::default());
    let warned = || String::from_utf8(lines.0.lock().unwrap().clone()).unwrap().matches("WARN").count();
    let spill = Spill::at(dir.path().join("s.spill.ndjson")).limit(700).unwrap();
    let (store, to) = (Store::in_memory().unwrap(), lines.clone());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let put = || {
            (0..9)
                .filter(|n| spill.put("s", &NewEvent::new("step.done").json_text(n.to_string())).is_ok())
                .count()
        };
        assert!(put() < 9);
        assert_eq!(warned(), 2);
        spill.drain(&store).unwrap();
        assert_eq!(warned(), 2);
        put();
        assert_eq!(warned(), 4);
    });
}
