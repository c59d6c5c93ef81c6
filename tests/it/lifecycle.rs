//! Random lives of branches with forks, on the file engine and in memory, equal a plain model: through appends, closing,
//! deleting, truncating, purging, flushing, reopening and crashes; and through moving into another file by a compaction, a
//! backup, a restore or a repair.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use retold::event::{EventId, Expect};
use retold::store::recovery::{LOST_EVENT, RestoreUntil, repair, restore};
use retold::testkit::{Cut, Disk};
use retold::{Builder, Error, NewEvent, Query, Store};
use tempfile::TempDir;

use crate::support::soak;

pub(crate) const NAMES: [&str; 4] = ["main", "a", "b", "c"];

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

/// A branch that has begun, whether it is deleted or not.
#[derive(Clone, Debug)]
struct Line {
    /// Which line it was forked from, and the last sequence that it inherits.
    parent: Option<(usize, u64)>,
    /// Numbers of its own events.
    own: Vec<u64>,
    first: u64,
    closed: bool,
    deleted: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    lines: Vec<Line>,
    /// The line that had a name last.
    names: BTreeMap<usize, usize>,
    /// The name of each line.
    named: Vec<usize>,
    /// Line, sequence and number of every event.
    pub(crate) order: Vec<(usize, u64, u64)>,
    /// By number, where it was recorded last.
    known: HashMap<u64, (usize, u64)>,
    pub(crate) next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Repeated,
    NotFound,
    Deleted,
    Closed,
    Conflict,
    Exists,
    Truncated,
    Duplicate,
}

pub(crate) fn outcome<T>(answer: &Result<T, Error>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Done,
        Err(Error::NotFound { .. }) => Outcome::NotFound,
        Err(Error::Deleted { .. }) => Outcome::Deleted,
        Err(Error::BranchClosed { .. }) => Outcome::Closed,
        Err(Error::Conflict { .. }) => Outcome::Conflict,
        Err(Error::Exists { .. }) => Outcome::Exists,
        Err(Error::Truncated { .. }) => Outcome::Truncated,
        Err(Error::Duplicate { .. }) => Outcome::Duplicate,
        Err(e) => panic!("{e:?}"),
    }
}

impl Model {
    /// The line of a name, unless it is deleted.
    fn live(&self, name: usize) -> Option<usize> {
        self.names.get(&name).copied().filter(|line| !self.lines[*line].deleted)
    }

    fn missing(&self, name: usize) -> Outcome {
        if self.names.contains_key(&name) { Outcome::Deleted } else { Outcome::NotFound }
    }

    fn fork_point(&self, line: usize) -> u64 {
        self.lines[line].parent.map_or(0, |(_, at)| at)
    }

    fn head(&self, line: usize) -> u64 {
        self.fork_point(line) + self.lines[line].own.len() as u64
    }

    /// The number of the event with a sequence, whoever owns it.
    fn at(&self, line: usize, sequence: u64) -> u64 {
        let fork = self.fork_point(line);
        if sequence > fork {
            return self.lines[line].own[(sequence - fork - 1) as usize];
        }
        self.at(self.lines[line].parent.unwrap().0, sequence)
    }

    /// Who owns an event of a history.
    fn owner(&self, line: usize, sequence: u64) -> usize {
        let fork = self.fork_point(line);
        if sequence > fork { line } else { self.owner(self.lines[line].parent.unwrap().0, sequence) }
    }

    fn history(&self, line: usize) -> Vec<u64> {
        (self.lines[line].first..=self.head(line)).map(|sequence| self.at(line, sequence)).collect()
    }

    fn begin(&mut self, name: usize, parent: Option<(usize, u64)>) -> usize {
        let first = parent.map_or(1, |(of, at)| (self.lines[of].first - 1).min(at) + 1);
        self.lines.push(Line { parent, own: Vec::new(), first, closed: false, deleted: false });
        self.names.insert(name, self.lines.len() - 1);
        self.named.push(name);
        self.lines.len() - 1
    }

    /// Whether an event of an earlier append is known.
    fn is_known(&self, number: u64) -> Option<(usize, u64)> {
        let (line, sequence) = *self.known.get(&number)?;
        let inherits = |to: usize| {
            sequence >= self.lines[to].first && sequence <= self.head(to) && self.owner(to, sequence) == line
        };
        let counts = (0..self.lines.len()).any(|to| !self.lines[to].deleted && (to == line || inherits(to)));
        counts.then_some((line, sequence))
    }

    pub(crate) fn append(&mut self, name: usize, numbers: &[u64], expects_empty: bool) -> Outcome {
        let known: Vec<_> = numbers.iter().filter_map(|n| self.is_known(*n)).collect();
        if let Some((line, sequence)) = known.first() {
            let is_here = self.live(name) == Some(*line) && *sequence >= self.lines[*line].first;
            return if is_here { Outcome::Repeated } else { Outcome::Duplicate };
        }
        let line = match self.live(name) {
            Some(line) => {
                if self.lines[line].closed {
                    return Outcome::Closed;
                }
                if expects_empty && self.head(line) > 0 {
                    return Outcome::Conflict;
                }
                line
            }
            None if name == 0 => self.begin(0, None),
            None if expects_empty => {
                let main = self.live(0).unwrap_or_else(|| self.begin(0, None));
                self.begin(name, Some((main, 0)))
            }
            None => return self.missing(name),
        };
        for number in numbers {
            self.lines[line].own.push(*number);
            let sequence = self.head(line);
            self.known.insert(*number, (line, sequence));
            self.order.push((line, sequence, *number));
        }
        Outcome::Done
    }

    fn fork(&mut self, parent: usize, at: Option<u64>, name: usize) -> Outcome {
        let is_taken = self.live(name).is_some();
        let line = match self.live(parent) {
            Some(line) => line,
            None if parent == 0 && at == Some(0) => {
                if name == 0 || is_taken {
                    return Outcome::Exists;
                }
                self.begin(0, None)
            }
            None => return self.missing(parent),
        };
        let at = at.unwrap_or(self.head(line));
        if at > self.head(line) {
            return Outcome::NotFound;
        }
        if at > 0 && at + 1 < self.lines[line].first {
            return Outcome::Truncated;
        }
        if is_taken {
            return Outcome::Exists;
        }
        self.begin(name, Some((line, at)));
        Outcome::Done
    }

    fn truncate(&mut self, name: usize, before: u64) -> Outcome {
        let Some(line) = self.live(name) else { return self.missing(name) };
        if before > self.head(line) + 1 {
            return Outcome::NotFound;
        }
        self.lines[line].first = self.lines[line].first.max(before);
        Outcome::Done
    }

    /// Number and position of what everybody can see.
    fn all(&self) -> Vec<(u64, u64)> {
        let shown = |(_, (line, sequence, _)): &(usize, &(usize, u64, u64))| {
            !self.lines[*line].deleted && *sequence >= self.lines[*line].first
        };
        self.order.iter().enumerate().filter(shown).map(|(i, (_, _, n))| (*n, i as u64 + 1)).collect()
    }
}

pub(crate) fn event(number: u64) -> NewEvent {
    let id: EventId = format!("01890000-0000-7000-8000-{number:012x}").parse().unwrap();
    NewEvent::new("step.done").json_text(number.to_string()).with_id(id)
}

fn number(event: &retold::Event) -> u64 {
    std::str::from_utf8(event.payload()).unwrap().parse().unwrap()
}

pub(crate) fn address(name: usize) -> String {
    format!("s/{}", NAMES[name])
}

fn numbers(store: &Store, query: Query) -> Result<Vec<u64>, Error> {
    store.events(query)?.map(|event| event.map(|event| number(&event))).collect()
}

pub(crate) fn same(store: &Store, model: &Model) {
    let listed: Vec<String> = match store.branches(&"s".try_into().unwrap()) {
        Ok(branches) => branches.iter().map(|b| b.place.branch.to_string()).collect(),
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(e) => panic!("{e}"),
    };
    let mut due: Vec<String> =
        (0..NAMES.len()).filter(|n| model.live(*n).is_some()).map(|n| NAMES[n].to_owned()).collect();
    due.sort();
    assert_eq!(listed, due);
    assert_eq!(store.sessions(None, 5).unwrap().len(), usize::from(!due.is_empty()));
    for name in 0..NAMES.len() {
        let (place, query) = (address(name), || Query::branch(address(name).as_str()).unwrap());
        let Some(line) = model.live(name) else {
            assert_eq!(outcome(&store.head(place.as_str())), model.missing(name));
            assert_eq!(outcome(&store.read(&query())), model.missing(name));
            assert_eq!(outcome(&numbers(store, query())), model.missing(name));
            continue;
        };
        let info = store.branch(place.as_str()).unwrap();
        let (head, first) = (model.head(line), model.lines[line].first);
        assert_eq!((info.head.get(), info.first.get()), (head, first), "{place}");
        assert_eq!(info.closed.is_some(), model.lines[line].closed);
        let history = model.history(line);
        assert_eq!(numbers(store, query()).unwrap(), history, "{place}");
        let mut turned = numbers(store, query().reverse()).unwrap();
        turned.reverse();
        assert_eq!(turned, history, "{place}");
        for from in 2..=head + 1 {
            let found = store.read(&query().from(from)).map(|page| page.events.len() as u64);
            match from < first {
                true => assert_eq!(outcome(&found), Outcome::Truncated, "{place}@{from}"),
                false => assert_eq!(found.unwrap(), (head + 1) - from, "{place}@{from}"),
            }
        }
    }
    let all = model.all();
    let read = |query: Query| -> Vec<(u64, u64)> {
        let page = store.events(query).unwrap().map(Result::unwrap);
        page.map(|event| (number(&event), event.position().get())).collect()
    };
    assert_eq!(read(Query::all()), all);
    let mut turned = read(Query::all().reverse());
    turned.reverse();
    assert_eq!(turned, all);
    for from in 1..=model.order.len() as u64 {
        let page = store.read_all(from.into(), 2).unwrap().events;
        let found: Vec<u64> = page.iter().map(|event| event.position().get()).collect();
        let due: Vec<u64> = all.iter().map(|(_, at)| *at).filter(|at| *at >= from).take(2).collect();
        assert_eq!(found, due);
    }
    if !due.is_empty() {
        assert_eq!(read(Query::session("s").unwrap()), all);
    }
    for (number, (line, sequence)) in &model.known {
        let shown = !model.lines[*line].deleted && *sequence >= model.lines[*line].first;
        assert_eq!(store.get(event(*number).id()).is_ok(), shown, "event {number}");
    }
    assert_eq!(store.committed().get(), model.order.len() as u64);
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
