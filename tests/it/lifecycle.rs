//! Random lives of branches with forks, on the file engine and in memory, equal a plain model: through appends, closing,
//! deleting, truncating, purging, flushing, reopening and crashes; and through moving into another file by a compaction, a
//! backup, a restore or a repair.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use retold::event::{Expect, Timestamp};
use retold::lifecycle::Expiry;
use retold::store::recovery::{LOST_EVENT, RestoreUntil, repair, restore};
use retold::testkit::{Cut, Disk};
use retold::{Builder, NewEvent, Query, Store};
use tempfile::TempDir;

use crate::lives::{Model, NAMES, Outcome, address, event, number, numbers, outcome, same};
use crate::support::soak;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Append {
        branch: usize,
        events: u64,
        expects_empty: bool,
    },
    /// An event that was appended before is appended to a branch.
    Again {
        branch: usize,
        event: usize,
    },
    Fork {
        parent: usize,
        at: Option<u64>,
        name: usize,
    },
    Close(usize),
    /// It is told when a branch expires, or that it does not: long after the test.
    Expire {
        branch: usize,
        days: Option<u32>,
    },
    /// A branch expires.
    Lapse(usize),
    Delete(usize),
    Truncate {
        branch: usize,
        before: u64,
    },
    Purge,
    Flush,
    Reopen,
    Crash,
    Compact,
    Backup,
    Restore,
    Repair,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let branch = || 0..NAMES.len();
    prop_oneof![
        8 => (branch(), 1..5u64, any::<bool>())
            .prop_map(|(branch, events, expects_empty)| Op::Append { branch, events, expects_empty }),
        2 => (branch(), any::<prop::sample::Index>())
            .prop_map(|(branch, event)| Op::Again { branch, event: event.index(1 << 20) }),
        5 => (branch(), prop::option::of(0..12u64), branch())
            .prop_map(|(parent, at, name)| Op::Fork { parent, at, name }),
        1 => branch().prop_map(Op::Close),
        2 => (branch(), prop::option::of(1..9u32)).prop_map(|(branch, days)| Op::Expire { branch, days }),
        1 => branch().prop_map(Op::Lapse),
        2 => branch().prop_map(Op::Delete),
        3 => (branch(), 0..12u64).prop_map(|(branch, before)| Op::Truncate { branch, before }),
        2 => Just(Op::Purge),
        2 => Just(Op::Flush),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
        1 => Just(Op::Compact),
        1 => Just(Op::Backup),
        1 => Just(Op::Restore),
        2 => Just(Op::Repair),
    ]
}

/// Where the store lies.
enum Place {
    Memory,
    Disk(Disk),
    /// A folder, and how many files there are in it.
    Folder(TempDir, usize),
}

pub(crate) struct World {
    store: Option<Store>,
    place: Place,
}

impl World {
    fn builder() -> Builder {
        Store::builder().flush_after(8, 1 << 20)
    }

    fn on_disk() -> Self {
        let disk = Disk::new();
        let store = Self::builder().with_backend(disk.backend()).unwrap();
        Self { store: Some(store), place: Place::Disk(disk) }
    }

    fn in_memory() -> Self {
        Self { store: Some(Store::in_memory().unwrap()), place: Place::Memory }
    }

    pub(crate) fn in_folder() -> Self {
        let mut world = Self { store: None, place: Place::Folder(tempfile::tempdir().unwrap(), 0) };
        world.open_file();
        world
    }

    /// A file of the folder; the last is that of the store.
    fn file(&self, number: usize) -> PathBuf {
        match &self.place {
            Place::Folder(folder, _) => folder.path().join(format!("{number}.redb")),
            _ => unreachable!("it is in no folder"),
        }
    }

    fn open_file(&mut self) {
        let Place::Folder(_, last) = &self.place else { return };
        let path = self.file(*last);
        let settings = Self::builder().sync(false).flush_when_idle(Duration::from_secs(3_600));
        self.store = Some(settings.exclusive().open(path).unwrap());
    }

    /// The file of the store.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.place {
            Place::Folder(_, last) => self.file(*last),
            _ => unreachable!("it is in no folder"),
        }
    }

    /// Makes another file of the store, which is then that.
    pub(crate) fn moves(&mut self, closes: bool, make: impl FnOnce(&Store, PathBuf, PathBuf)) {
        let Place::Folder(_, last) = &self.place else { return };
        let (last, from, to) = (*last, self.file(*last), self.file(*last + 1));
        if closes {
            self.store().close().unwrap();
        }
        make(self.store(), from, to);
        let _ = self.store().close();
        self.store = None;
        if let Place::Folder(_, number) = &mut self.place {
            *number = last + 1;
        }
        self.open_file();
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn open(&mut self, bytes: Vec<u8>) {
        self.store = None;
        let disk = Disk::from_bytes(bytes);
        self.store = Some(Self::builder().with_backend(disk.backend()).unwrap());
        self.place = Place::Disk(disk);
    }

    pub(crate) fn done(&mut self, op: &Op, model: &mut Model) {
        match op {
            Op::Append { branch, events, expects_empty } => {
                let new: Vec<u64> = (model.next..model.next + events).collect();
                model.next += events;
                let expect = if *expects_empty { Expect::Empty } else { Expect::Any };
                let events: Vec<NewEvent> = new.iter().map(|n| event(*n)).collect();
                let found = self.store().append_if(address(*branch).as_str(), expect, events);
                assert_eq!(outcome(&found), model.append(*branch, &new, *expects_empty));
            }
            Op::Again { branch, event: which } => {
                if model.next == 0 {
                    return;
                }
                let again = *which as u64 % model.next;
                let found = self.store().append(address(*branch).as_str(), event(again));
                match model.append(*branch, &[again], false) {
                    Outcome::Repeated => assert!(found.unwrap().duplicate()),
                    due => assert_eq!(outcome(&found), due),
                }
            }
            Op::Fork { parent, at, name } => {
                let from = match at {
                    Some(at) => format!("{}@{at}", address(*parent)),
                    None => address(*parent),
                };
                let found = self.store().fork(from.as_str(), NAMES[*name]);
                assert_eq!(outcome(&found), model.fork(*parent, *at, *name));
            }
            Op::Close(name) => {
                let found = self.store().lifecycle().close(address(*name).as_str());
                match model.live(*name) {
                    Some(line) => model.lines[line].closed = true,
                    None => assert_eq!(outcome(&found), model.missing(*name)),
                }
                assert_eq!(found.is_ok(), model.live(*name).is_some());
            }
            Op::Expire { branch, days } => {
                // In turn until a time of a century, and after a span.
                let expiry = days.map(|days| match days % 2 {
                    0 => Expiry::At(Timestamp::from_micros(4_102_444_800_000_000 + i64::from(days))),
                    _ => Expiry::Unused(Duration::from_secs(86_400) * days),
                });
                let found = self.store().lifecycle().expire(address(*branch).as_str(), expiry);
                match model.live(*branch) {
                    Some(line) => model.lines[line].expiry = expiry,
                    None => assert_eq!(outcome(&found), model.missing(*branch)),
                }
                assert_eq!(found.is_ok(), model.live(*branch).is_some());
            }
            Op::Lapse(name) => {
                let Some(line) = model.live(*name) else { return };
                let soon = Expiry::Unused(Duration::from_millis(1));
                // It may be gone before the answer is put together.
                let said = outcome(&self.store().lifecycle().expire(address(*name).as_str(), soon));
                assert!(matches!(said, Outcome::Done | Outcome::Deleted), "{said:?}");
                let begun = std::time::Instant::now();
                while self.store().head(address(*name).as_str()).is_ok() {
                    assert!(begun.elapsed() < Duration::from_secs(60), "{} stays", address(*name));
                    std::thread::yield_now();
                }
                model.lines[line].deleted = true;
            }
            Op::Delete(name) => {
                let found = self.store().lifecycle().delete(address(*name).as_str());
                match model.live(*name) {
                    Some(line) => {
                        model.lines[line].deleted = true;
                        found.unwrap();
                    }
                    None => assert_eq!(outcome(&found), model.missing(*name)),
                }
            }
            Op::Truncate { branch, before } => {
                let found = self.store().lifecycle().truncate(address(*branch).as_str(), *before);
                assert_eq!(outcome(&found), model.truncate(*branch, *before));
            }
            Op::Purge => {
                self.store().lifecycle().purge().unwrap();
                assert_eq!(self.store().lifecycle().purge().unwrap().events, 0, "once is enough");
            }
            Op::Flush => self.store().maintenance().flush().unwrap(),
            Op::Reopen => match &self.place {
                Place::Memory => {}
                Place::Disk(disk) => {
                    self.store().close().unwrap();
                    let bytes = disk.bytes();
                    self.open(bytes);
                }
                Place::Folder(..) => {
                    self.store().close().unwrap();
                    self.store = None;
                    self.open_file();
                }
            },
            Op::Crash => {
                if let Place::Disk(disk) = &self.place {
                    let left = disk.moment(disk.operations()).cut(&Cut::Nothing);
                    self.open(left);
                }
            }
            Op::Compact => {
                if let Place::Folder(..) = &self.place {
                    self.store().maintenance().compact().unwrap();
                }
            }
            Op::Backup => self.moves(false, |store, _, to| drop(store.maintenance().backup(to).unwrap())),
            Op::Restore => {
                self.moves(true, |_, from, to| drop(restore(from, to, RestoreUntil::End).unwrap()))
            }
            Op::Repair => self.moves(true, |_, from, to| {
                let repaired = repair(from, to).unwrap();
                assert_eq!((repaired.lost, repaired.damage), (vec![], vec![]));
            }),
        }
    }
}

fn lives(mut world: World, ops: &[Op]) {
    let mut model = Model::default();
    for op in ops {
        world.done(op, &mut model);
        same(world.store(), &model);
    }
    for op in [Op::Flush, Op::Purge, Op::Reopen] {
        world.done(&op, &mut model);
        same(world.store(), &model);
        let report = world.store().maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
    }
}

pub(crate) fn cases(short: u32) -> ProptestConfig {
    ProptestConfig::with_cases(if soak() { short * 20 } else { short })
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn lives_of_branches_in_a_file_equal_the_model(ops in prop::collection::vec(op(), 1..40)) {
        lives(World::on_disk(), &ops);
    }

    #[test]
    fn lives_of_branches_in_memory_equal_the_model(ops in prop::collection::vec(op(), 1..40)) {
        lives(World::in_memory(), &ops);
    }
}

// Each case makes files of its own.
proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn lives_of_branches_in_one_file_after_another_equal_the_model(ops in prop::collection::vec(op(), 1..40)) {
        lives(World::in_folder(), &ops);
    }

    #[test]
    fn a_store_restored_to_a_position_has_the_branches_of_then(
        ops in prop::collection::vec(op(), 1..40), picks in prop::collection::vec(0.0..1.0f64, 3), purges: bool,
    ) {
        restored(&ops, &picks, purges);
    }
}

/// Branches with so many events that they take many chunks, some of which forks have.
#[test]
fn what_no_fork_has_is_removed_and_the_rest_is_not() {
    let disk = Disk::new();
    let store = Store::builder().with_backend(disk.backend()).unwrap();
    for part in 0..20 {
        let numbers = part * 500..(part + 1) * 500;
        store.append("s", numbers.map(event).collect::<Vec<_>>()).unwrap();
        store.append("t", event(100_000 + part)).unwrap();
        store.maintenance().flush().unwrap();
    }
    store.fork("s@4000", "half").unwrap();
    store.lifecycle().truncate("s/half", 2_001).unwrap();
    store.lifecycle().delete("s").unwrap();
    let before = store.maintenance().info().unwrap();
    let purged = store.lifecycle().purge().unwrap();
    let left = 10_000 - purged.events;
    assert!((2_000..6_000).contains(&left), "{left} are left of which 2,000 are needed");
    let after = store.maintenance().info().unwrap();
    assert!(after.chunks < before.chunks && after.payload_bytes < before.payload_bytes);
    let due: Vec<u64> = (2_000..4_000).collect();
    let read = |store: &Store| numbers(store, Query::branch("s/half").unwrap()).unwrap();
    assert_eq!(read(&store), due);
    let positions = |store: &Store| store.events(Query::all()).unwrap().count();
    assert_eq!(positions(&store), 20);
    assert!(store.maintenance().verify().unwrap().is_clean());
    store.close().unwrap();
    drop(store);
    let store = Store::builder().with_backend(Disk::from_bytes(disk.bytes()).backend()).unwrap();
    assert_eq!((read(&store), positions(&store)), (due, 20));
    store.lifecycle().delete("s/half").unwrap();
    assert_eq!(store.lifecycle().purge().unwrap().events, left);
    // Its ids are free, and its name.
    store.append("s", (0..10_000).map(event).collect::<Vec<_>>()).unwrap();
    store.maintenance().flush().unwrap();
    assert_eq!((store.head("s").unwrap().get(), positions(&store)), (10_000, 10_020));
    assert!(store.maintenance().verify().unwrap().is_clean());
}

/// A power cut at any moment of a purge leaves everything that is to stay, and another purge removes the rest.
#[test]
fn a_purge_that_loses_power_is_begun_again() {
    let disk = Disk::new();
    let store = Store::builder().with_backend(disk.backend()).unwrap();
    for part in 0..12 {
        let numbers = part * 600..(part + 1) * 600;
        store.append("s", numbers.map(event).collect::<Vec<_>>()).unwrap();
        store.append("t", event(100_000 + part)).unwrap();
    }
    store.fork("s@100", "b").unwrap();
    store.lifecycle().delete("s").unwrap();
    store.maintenance().flush().unwrap();
    let begun = disk.operations();
    store.lifecycle().purge().unwrap();
    let ended = disk.operations();
    assert!(ended > begun + 8);
    let step = ((ended - begun) / 10).max(1);
    for moment in (begun..=ended).step_by(step) {
        for cut in [Cut::Nothing, Cut::Everything, Cut::Some { seed: moment as u64 }] {
            let left = Disk::from_bytes(disk.moment(moment).cut(&cut));
            let store = Store::builder().with_backend(left.backend()).unwrap();
            assert_eq!(numbers(&store, Query::branch("s/b").unwrap()).unwrap(), (0..100).collect::<Vec<_>>());
            assert!(store.maintenance().verify().unwrap().is_clean(), "after {moment} {cut:?}");
            store.lifecycle().purge().unwrap();
            assert_eq!(store.events(Query::all()).unwrap().count(), 12);
            assert!(store.maintenance().verify().unwrap().is_clean(), "purged after {moment} {cut:?}");
        }
    }
}

/// Does something with a store, and restores it up to some positions.
fn restored(ops: &[Op], picks: &[f64], purges: bool) {
    let mut world = World::in_folder();
    let mut model = Model::default();
    // After each commit that has events.
    let mut after = vec![model.clone()];
    for op in ops {
        let is_wanted = match op {
            Op::Purge => purges,
            Op::Compact | Op::Backup | Op::Restore | Op::Repair | Op::Crash => false,
            // What comes back and is due goes again when the restored store is opened.
            Op::Lapse(_) => false,
            _ => true,
        };
        if is_wanted {
            world.done(op, &mut model);
        }
        match model.order.len() == after.last().unwrap().order.len() {
            true => *after.last_mut().unwrap() = model.clone(),
            false => after.push(model.clone()),
        }
        // Two commits of one microsecond would count as one.
        let now = retold::Timestamp::now();
        while retold::Timestamp::now() <= now {}
    }
    world.store().close().unwrap();
    let total = model.order.len();
    for (at, pick) in picks.iter().enumerate() {
        let position = (*pick * total as f64) as u64;
        let to = world.file(100 + at);
        let made = restore(world.file(0), &to, RestoreUntil::Position(position.into())).unwrap();
        let store = Store::builder().sync(false).exclusive().open(&to).unwrap();
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let then = after.iter().rfind(|model| model.order.len() as u64 <= position).unwrap();
        for name in 0..NAMES.len() {
            let place = address(name);
            let found = numbers(&store, Query::branch(place.as_str()).unwrap());
            if purges {
                // Of what was removed for good not everything comes back, and nothing else does.
                let Ok(found) = found else { continue };
                let is_of = |line: usize| {
                    let all: Vec<u64> = (1..=model.head(line)).map(|n| model.at(line, n)).collect();
                    found.is_empty() || all.windows(found.len()).any(|part| part == found)
                };
                let lines = (0..model.lines.len()).filter(|line| model.named[*line] == name);
                assert!(lines.into_iter().any(is_of), "{place}: {found:?}");
                continue;
            }
            let Some(line) = then.live(name) else {
                assert_eq!(outcome(&found), then.missing(name), "{place} at {position}");
                continue;
            };
            // What was truncated since stays so.
            let (head, first) = (then.head(line), model.lines[line].first);
            let due: Vec<u64> = (first..=head).map(|sequence| then.at(line, sequence)).collect();
            assert_eq!(found.unwrap(), due, "{place} at {position}");
            let info = store.branch(place.as_str()).unwrap();
            assert_eq!((info.head.get(), info.closed.is_some()), (head, then.lines[line].closed), "{place}");
        }
        assert!(made.position.get() <= position);
        // It goes on.
        store.append("other", event(900_000)).unwrap();
        assert!(store.maintenance().verify().unwrap().is_clean());
    }
}

/// While one thread deletes and purges, the store is compacted again and again, and others read and append.
#[test]
fn a_store_is_purged_while_it_is_compacted_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::builder().sync(false).flush_after(200, 1 << 20).open(&path).unwrap();
    store.append("kept", (0..50).map(event).collect::<Vec<_>>()).unwrap();
    let done = AtomicBool::new(false);
    let appended = std::thread::scope(|scope| {
        let (store, done) = (&store, &done);
        let purger = scope.spawn(move || {
            let _over = crate::support::SetOnDrop(done);
            let mut removed = 0;
            for round in 0..12_u64 {
                let begin = 1_000 * (round + 1);
                // So that what the fork has lies in a chunk without the others.
                for part in [begin..begin + 200, begin + 200..begin + 600] {
                    store.append("gone", part.map(event).collect::<Vec<_>>()).unwrap();
                    store.maintenance().flush().unwrap();
                }
                store.fork("gone@100", format!("fork-{round}").as_str()).unwrap();
                store.lifecycle().delete("gone").unwrap();
                removed += store.lifecycle().purge().unwrap().events;
            }
            done.store(true, Ordering::Relaxed);
            removed
        });
        let writer = scope.spawn(move || {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                store.append("kept", event(100_000 + n)).unwrap();
                n += 1;
            }
            n
        });
        let mut compactions = 0;
        while !done.load(Ordering::Relaxed) {
            store.maintenance().compact().unwrap();
            compactions += 1;
            assert_eq!(store.read(&Query::branch("kept").unwrap().limit(50)).unwrap().events.len(), 50);
        }
        assert!(compactions > 0);
        assert!(purger.join().unwrap() >= 12 * 400);
        writer.join().unwrap()
    });
    let check = |store: &Store| {
        assert_eq!(store.head("kept").unwrap().get(), 50 + appended);
        for round in 0..12_u64 {
            let begin = 1_000 * (round + 1);
            let place = format!("gone/fork-{round}");
            let due: Vec<u64> = (begin..begin + 100).collect();
            assert_eq!(numbers(store, Query::branch(place.as_str()).unwrap()).unwrap(), due);
        }
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
    };
    check(&store);
    store.lifecycle().purge().unwrap();
    check(&store);
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    check(&store);
    store.lifecycle().delete_session(&"gone".try_into().unwrap()).unwrap();
    store.lifecycle().purge().unwrap();
    assert!(store.maintenance().verify().unwrap().is_clean());
    assert_eq!(store.events(Query::all()).unwrap().count() as u64, 50 + appended);
}

/// Wherever a page is overwritten: what has become of branches is no loss, and what is readable is what it was.
#[test]
fn a_damaged_store_is_repaired_with_what_has_become_of_its_branches() {
    let dir = tempfile::tempdir().unwrap();
    let (path, damaged) = (dir.path().join("runs.redb"), dir.path().join("damaged.redb"));
    let store = Store::builder().sync(false).flush_after(100, 1 << 20).open(&path).unwrap();
    let run = |numbers: std::ops::Range<u64>| numbers.map(event).collect::<Vec<_>>();
    for part in 0..6 {
        store.append("s", run(part * 400..(part + 1) * 400)).unwrap();
        store.append("t", run(10_000 + part * 400..10_000 + (part + 1) * 400)).unwrap();
        store.append("u", run(20_000 + part * 10..20_000 + (part + 1) * 10)).unwrap();
    }
    store.fork("s@700", "a").unwrap();
    store.append("s/a", run(30_000..30_040)).unwrap();
    let lifecycle = store.lifecycle();
    lifecycle.truncate("s/a", 301).unwrap();
    lifecycle.delete("s").unwrap();
    lifecycle.truncate("t", 1_501).unwrap();
    lifecycle.close("u").unwrap();
    lifecycle.purge().unwrap();
    // Some that are deleted and not purged, and some that have a name again.
    store.append("s", run(40_000..40_100)).unwrap();
    store.fork("u", "b").unwrap();
    store.append("u/b", run(50_000..50_200)).unwrap();
    lifecycle.delete("u/b").unwrap();
    store.maintenance().flush().unwrap();
    store.append("v", run(60_000..60_010)).unwrap();
    lifecycle.truncate("v", 6).unwrap();
    store.close().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    // The tables are behind the journal.
    let tables = 12_288 + (12 << 20);
    let due: BTreeMap<&str, Vec<u64>> = BTreeMap::from([
        ("s", (40_000..40_100).collect()),
        ("s/a", (300..700).chain(30_000..30_040).collect()),
        ("t", (11_500..12_400).collect()),
        ("u", (20_000..20_060).collect()),
        ("v", (60_005..60_010).collect()),
    ]);
    let pages = (bytes.len() - tables) / 4_096;
    assert!(pages > 20);
    let mut whole = 0;
    for page in (0..pages).step_by((pages / if soak() { 40 } else { 10 }).max(1)) {
        let mut bytes = bytes.clone();
        let at = tables + page * 4_096;
        bytes[at..at + 4_096].iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * 31 + page) as u8);
        std::fs::write(&damaged, &bytes).unwrap();
        let out = dir.path().join(format!("{page}.redb"));
        // It is verified before it has its name.
        let repaired = repair(&damaged, &out).unwrap_or_else(|e| panic!("page {page}: {e}"));
        whole += usize::from(repaired.lost.is_empty());
        let store = Store::builder().sync(false).exclusive().open(&out).unwrap();
        for (place, due) in &due {
            let found =
                store.events(Query::branch(*place).unwrap()).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let found = match found {
                Ok(found) => found,
                Err(_) => {
                    assert!(!repaired.lost.is_empty(), "{place} is missing after damage to page {page}");
                    continue;
                }
            };
            let is_same = found.len() == due.len()
                && found
                    .iter()
                    .zip(due)
                    .all(|(event, due)| event.kind() == LOST_EVENT || number(event) == *due);
            assert!(
                is_same || !repaired.lost.is_empty(),
                "{place} after damage to page {page}: {:?}",
                repaired.lost
            );
            let is_told = found.iter().all(|event| event.kind() != LOST_EVENT) || !repaired.lost.is_empty();
            assert!(is_told, "{place} after damage to page {page}");
        }
        drop(store);
        std::fs::remove_file(&out).unwrap();
    }
    assert!(whole > 0, "most pages are found elsewhere, or not in use");
}
