//! Every folder of `migrations/`: what an earlier release wrote is opened, read, and then used.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle};
use retold::agents::interop::{self, ExportScope, Format, Options};
use retold::codec::FORMAT;
use retold::schema::{Evidence, Migration, check_evidence};
use retold::{Builder, Expect, NewEvent, Query, Store};

use crate::support::{Dice, soak};
use crate::tables::Tables;
use crate::victim::{self, Victim};

pub(crate) fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

pub(crate) fn export(store: &Store) -> String {
    let mut lines = Vec::new();
    interop::export(store, &ExportScope::All, Format::Retold, &mut lines, &mut |_| {}).unwrap();
    String::from_utf8(lines).unwrap()
}

/// The tables of a closed store and how many rows each has. How events lie in chunks, and positions in runs, depends on
/// when the store flushed, so those two are only named.
fn layout(path: &Path) -> String {
    let tables = Tables::of(path);
    let db = &tables.db;
    let txn = db.begin_read().unwrap();
    let mut lines: Vec<String> = txn
        .list_tables()
        .unwrap()
        .map(|table| {
            let name = table.name().to_owned();
            let rows = txn.open_untyped_table(table).unwrap().len().unwrap();
            match name.as_str() {
                "events" | "order" => name,
                _ => format!("{name} {rows}"),
            }
        })
        .collect();
    lines.sort();
    lines.join("\n") + "\n"
}

/// The lines of a layout without the tables of records, which no export holds.
fn of_events(layout: &str) -> Vec<&str> {
    let records =
        ["snapshots", "checkpoints", "consumers", "letters", "timers", "schemas", "current", "imports"];
    layout.lines().filter(|line| !records.contains(&line.split(' ').next().unwrap())).collect()
}

/// The file as it was lies beside the new one, whole: put back under its name, it is brought up to date once more.
fn assert_kept(path: &Path, Fixture { format, file: original, expected }: &Fixture) {
    let kept = path.with_extension(format!("redb.format{format}.bak"));
    let back = path.with_extension("back");
    std::fs::copy(&kept, &back).unwrap();
    assert_eq!(std::fs::metadata(&kept).unwrap().len() as usize, original.len());
    let store = Store::open(&back).unwrap();
    assert_eq!(&export(&store), expected);
    store.close().unwrap();
}

/// Without what only a first recording has.
fn without_times(lines: &str) -> Vec<serde_json::Value> {
    let parsed = lines.lines().map(|l| serde_json::from_str(l).unwrap());
    parsed
        .map(|mut event: serde_json::Value| {
            event.as_object_mut().unwrap().remove("recorded");
            event
        })
        .collect()
}

#[test]
fn what_every_earlier_release_wrote_is_read_as_it_was_meant_and_goes_on() {
    for folder in folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.redb");
        let fixture = fixture(&folder);
        let expected = &fixture.expected;
        std::fs::write(&path, &fixture.file).unwrap();

        let store = Store::open(&path).unwrap();
        assert_eq!(&export(&store), expected, "{}", folder.display());
        assert_eq!(store.maintenance().verify().unwrap().problems, []);
        store.close().unwrap();
        // The first format had a table for the journal, which closing emptied.
        let due = std::fs::read_to_string(folder.join("layout.txt")).unwrap().replace("journal 0\n", "");
        assert_eq!(layout(&path), due, "{}", folder.display());
        assert_kept(&path, &fixture);

        // A fresh store that takes the same in looks the same.
        let fresh = dir.path().join("fresh.redb");
        let store = Store::open(&fresh).unwrap();
        let options = Options::default().format(Some(Format::Retold));
        let plan = interop::parse("events", &Bytes::from(expected.clone()), &options).unwrap();
        interop::load(&store, plan, &mut |_| {}).unwrap();
        assert_eq!(without_times(&export(&store)), without_times(expected));
        store.close().unwrap();
        assert_eq!(of_events(&layout(&fresh)), of_events(&layout(&path)), "{}", folder.display());

        // And the old one is a store like any other.
        let store = Store::open(&path).unwrap();
        let session = store.sessions(None, 1).unwrap().remove(0).session;
        let head = store.head(session.as_str()).unwrap();
        store.append_if(session.as_str(), Expect::Head(head), NewEvent::new("run.resumed")).unwrap();
        store.fork(session.as_str(), "after-the-upgrade").unwrap();
        store.maintenance().flush().unwrap();
        store.close().unwrap();
        let store = Store::open(&path).unwrap();
        let branch = format!("{session}/after-the-upgrade");
        let last = store.read(&Query::branch(branch).unwrap().reverse().limit(1)).unwrap();
        assert_eq!(last.events[0].kind(), "run.resumed");
        assert_eq!(store.maintenance().verify().unwrap().problems, []);
    }
}

#[test]
fn every_event_step_does_to_its_examples_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["migrations", "examples/migrations"] {
        let folders = std::fs::read_dir(root.join(folder)).unwrap().map(|e| e.unwrap().path());
        for folder in folders.filter(|f| f.join("upcast.toml").is_file()) {
            let found = check_evidence(&Migration::read(&folder).unwrap()).unwrap();
            assert!(matches!(found, Evidence::Holds(1..)), "{}: {found:?}", folder.display());
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

/// A file that an earlier release wrote, and what comes out of it.
pub(crate) struct Fixture {
    pub(crate) format: u32,
    pub(crate) file: Vec<u8>,
    pub(crate) expected: String,
}

pub(crate) fn fixture(folder: &Path) -> Fixture {
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let packed = || read("before.redb.lz4").map(|lz4| lz4_flex::decompress_size_prepended(&lz4).unwrap());
    let file = read("store.redb").or_else(|| read("before.redb")).or_else(packed).unwrap();
    let expected = read("events.jsonl").or_else(|| read("expected.jsonl")).unwrap();
    let format = if file.starts_with(b"redb") { 1 } else { 2 };
    Fixture { format, file, expected: String::from_utf8(expected).unwrap() }
}

#[test]
fn records_of_the_second_format_are_there_in_the_third() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.redb");
    std::fs::write(&path, fixture(&folders()[2]).file).unwrap();
    let look = |store: &Store| {
        let worker = store.consumers().info("worker").unwrap();
        let timers: Vec<_> = store.timers().list(9).unwrap().iter().map(|timer| timer.id).collect();
        let states: Vec<_> =
            store.projections().list().unwrap().into_iter().map(|p| (p.name, p.version)).collect();
        assert_eq!((worker.acknowledged, worker.set_aside, timers.len()), (2, 1, 2));
        assert!(!states.is_empty());
        (timers, states, interop::imports(store).unwrap().len())
    };
    let read_only = Builder::new().read_only().open(&path).unwrap();
    let before = look(&read_only);
    read_only.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(look(&store), before);
    assert_eq!(store.branch("jobs").unwrap().head.get(), 7);
    store.timers().cancel(before.0[0]).unwrap();
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.timers().list(9).unwrap().len(), 1);
    assert_eq!(store.maintenance().verify().unwrap().problems, []);
}

fn figures(store: &Store) -> [u64; 4] {
    let info = store.maintenance().info().unwrap();
    [info.sessions, info.branches, info.events, info.payload_bytes]
}

#[test]
fn an_old_file_that_is_only_read_stays_as_it_is_and_says_the_same() {
    for folder in folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.redb");
        let Fixture { format, file, expected } = fixture(&folder);
        std::fs::write(&path, file).unwrap();
        let read_only = || Builder::new().read_only().open(&path).unwrap();
        let store = read_only();
        assert_eq!(export(&store), expected);
        assert_eq!(
            (store.maintenance().info().unwrap().format, store.maintenance().verify().unwrap().problems),
            (format, vec![])
        );
        let old = figures(&store);
        store.close().unwrap();
        assert_eq!(names(dir.path()), ["old.redb"]);
        Store::open(&path).unwrap().close().unwrap();
        let store = read_only();
        assert_eq!((store.maintenance().info().unwrap().format, figures(&store)), (FORMAT, old));
    }
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_copy_of_the_old_file_is_kept_beside_it_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.redb");
    let Fixture { file, expected, .. } = fixture(&folders()[1]);
    let (first, second) = ("old.redb.format1.bak", "old.redb.format1.bak.2");
    for name in [first, second] {
        std::fs::write(&path, &file).unwrap();
        Store::open(&path).unwrap().close().unwrap();
        let store = Builder::new().read_only().open(dir.path().join(name)).unwrap();
        assert_eq!((store.maintenance().info().unwrap().format, export(&store)), (1, expected.clone()));
        // Opened again, the store is not upgraded again.
        Store::open(&path).unwrap().close().unwrap();
        // Whatever has that name now, it stays.
        std::fs::write(dir.path().join(first), "mine").unwrap();
    }
    assert_eq!(names(dir.path()), ["old.redb", first, second]);
    assert_eq!(std::fs::read(dir.path().join(first)).unwrap(), b"mine");
}

#[test]
fn without_a_name_for_a_copy_the_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.redb");
    std::fs::write(&path, fixture(&folders()[1]).file).unwrap();
    std::fs::write(dir.path().join("old.redb.format1.bak"), "").unwrap();
    for n in 2..=1_000 {
        std::fs::write(dir.path().join(format!("old.redb.format1.bak.{n}")), "").unwrap();
    }
    let told = Store::open(&path).unwrap_err().to_string();
    assert!(told.contains("cannot be upgraded") && told.contains("read-only"), "{told}");
    assert_eq!(Builder::new().read_only().open(&path).unwrap().maintenance().info().unwrap().format, 1);
    assert_eq!(names(dir.path()).len(), 1_001);
}

#[test]
#[ignore = "the process that the test below kills"]
fn the_upgrader_that_is_killed() {
    let Some((path, _)) = victim::orders() else { return };
    victim::tell("\nbegin\n");
    let _store = Store::open(&path).unwrap();
    victim::tell("open\n");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_kill_while_a_store_is_upgraded_leaves_all_of_it_in_one_format_or_the_other() {
    let rounds = if soak() { 200 } else { 12 };
    let fixtures: Vec<_> = folders().iter().map(|folder| fixture(folder)).collect();
    let (mut old, mut drafts) = (0, 0);
    for round in 0..rounds {
        let fixture = &fixtures[round as usize % fixtures.len()];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.redb");
        std::fs::write(&path, &fixture.file).unwrap();
        let mut victim = Victim::begin("migrations::the_upgrader_that_is_killed", &path, round);
        victim.until(1, |line| line == "begin");
        victim.kill(&mut Dice(round + 1), 2_000_000);

        // The copy has its name first; opening the old file has changed some bytes of it by then.
        let bytes = std::fs::read(&path).unwrap();
        let is_old = !(bytes.starts_with(b"retold") && bytes[8] == 2);
        old += u32::from(is_old);
        drafts += u32::from(names(dir.path()).iter().any(|n| n.ends_with(".new")));
        let store = Store::open(&path).unwrap();
        assert_eq!(export(&store), fixture.expected, "round {round}");
        assert_eq!(store.maintenance().verify().unwrap().problems, [], "round {round}");
        assert_eq!(store.maintenance().upgraded().is_some(), is_old, "round {round}");
        store.append("after-the-kill", NewEvent::new("run.started")).unwrap();
        store.close().unwrap();
        assert_kept(&path, fixture);
        let stray: Vec<_> = names(dir.path()).into_iter().filter(|n| n.ends_with(".new")).collect();
        assert!(!is_old || stray.is_empty(), "round {round}: {stray:?}");
    }
    eprintln!("{old} of {rounds} were killed before the upgrade was done, {drafts} of them with a draft");
}
