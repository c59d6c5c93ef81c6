//! The power fails while a store is used for everything at once. Whatever the disk then holds is opened, and compared with a
//! plain model: what was acknowledged is there, what was not is there as a whole or not at all, and it goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use retold::event::{EventId, Expect};
use retold::testkit::{Cut, Disk, Folder};
use retold::{Batch, Builder, Durability, Error, NewEvent, Query, Store};
use tempfile::TempDir;

use crate::lives::{self, NAMES, Outcome, address, number, outcome, sized};
use crate::support::{Dice, explained, quick_dir, soak};

#[derive(Clone, Debug)]
enum Op {
    Append {
        name: usize,
        events: u64,
        expects_empty: bool,
        durability: Durability,
    },
    /// To two branches at once.
    Both {
        names: (usize, usize),
        durability: Durability,
    },
    /// One that was appended before.
    Again {
        name: usize,
        event: u64,
    },
    Fork {
        parent: usize,
        at: Option<u64>,
        name: usize,
    },
    Close(usize),
    Delete(usize),
    Truncate {
        name: usize,
        before: u64,
    },
    Purge,
    Flush,
    Reopen,
    Compact,
    /// Records: which branch is the current one, and timers.
    Current(usize),
    Schedule,
    Cancel(u64),
}

impl Op {
    fn draw(dice: &mut Dice, model: &Model, has_file: bool) -> Self {
        let name = |dice: &mut Dice| dice.under(NAMES.len() as u64) as usize;
        let durability = if dice.one_in(4) { Durability::Relaxed } else { Durability::Durable };
        let head = |name: usize| model.lives.live(name).map_or(3, |line| model.lives.head(line));
        match dice.under(40) {
            0..14 => {
                let events = if dice.one_in(10) { 10 + dice.under(30) } else { 1 + dice.under(4) };
                Self::Append { name: name(dice), events, expects_empty: dice.one_in(6), durability }
            }
            14..17 => Self::Both { names: (name(dice), name(dice)), durability },
            17 => Self::Again { name: name(dice), event: dice.under(model.lives.next) },
            18..23 => {
                let parent = name(dice);
                let at = (!dice.one_in(3)).then(|| dice.under(head(parent) + 2));
                Self::Fork { parent, at, name: name(dice) }
            }
            23 => Self::Close(name(dice)),
            24 | 25 => Self::Delete(name(dice)),
            26 | 27 => {
                let name = name(dice);
                Self::Truncate { name, before: dice.under(head(name) + 3) }
            }
            28 | 29 => Self::Purge,
            30 | 31 => Self::Flush,
            32 => Self::Reopen,
            33 if has_file => Self::Compact,
            33..35 => Self::Current(name(dice)),
            35..38 => Self::Schedule,
            _ => match model.timers.iter().nth(dice.under(model.timers.len() as u64) as usize) {
                Some(timer) => Self::Cancel(*timer),
                None => Self::Schedule,
            },
        }
    }

    /// Whether everything before it is durable after it, though it may change nothing.
    fn makes_durable(&self) -> bool {
        matches!(self, Self::Flush | Self::Reopen | Self::Compact)
    }

    fn is_relaxed(&self) -> bool {
        matches!(
            self,
            Self::Append { durability: Durability::Relaxed, .. }
                | Self::Both { durability: Durability::Relaxed, .. }
        )
    }
}

#[derive(Clone, Debug, Default)]
struct Model {
    lives: lives::Model,
    /// The line that is the current one.
    current: Option<usize>,
    timers: BTreeSet<u64>,
}

/// Head, first sequence, whether it is closed, and the numbers of its events.
type ShownBranch = (u64, u64, bool, Vec<u64>);

/// All that a store shows.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    committed: u64,
    branches: Vec<Result<ShownBranch, Outcome>>,
    /// Number and position of every event.
    order: Vec<(u64, u64)>,
    current: String,
    timers: BTreeSet<EventId>,
}

impl Model {
    fn shown(&self) -> Shown {
        let lives = &self.lives;
        let branch = |name: usize| match lives.live(name) {
            Some(line) => {
                let of = &lives.lines[line];
                Ok((lives.head(line), of.first, of.closed, lives.history(line)))
            }
            None => Err(lives.missing(name)),
        };
        let current = self.current.filter(|line| !lives.lines[*line].deleted);
        Shown {
            committed: lives.order.len() as u64,
            branches: (0..NAMES.len()).map(branch).collect(),
            order: lives.all(),
            current: NAMES[current.map_or(0, |line| lives.named[line])].to_owned(),
            timers: self.timers.iter().map(|timer| timed(*timer).id()).collect(),
        }
    }
}

fn timed(number: u64) -> NewEvent {
    let id: EventId = format!("01890000-0000-7000-9000-{number:012x}").parse().unwrap();
    NewEvent::new("late").json_text(number.to_string()).with_id(id)
}

fn shown(store: &Store) -> Shown {
    let read = |query: Query| -> Result<Vec<(u64, u64)>, Error> {
        store
            .events(query)?
            .map(|event| {
                let event = event?;
                let number = number(&event);
                assert_eq!(event.payload(), sized(number).payload(), "event {number}");
                Ok((number, event.position().get()))
            })
            .collect()
    };
    let branch = |name: usize| match store.branch(address(name).as_str()) {
        Ok(info) => {
            let found = read(Query::branch(address(name).as_str()).unwrap()).unwrap();
            let numbers = found.into_iter().map(|(number, _)| number).collect();
            Ok((info.head.get(), info.first.get(), info.closed.is_some(), numbers))
        }
        missing => Err(outcome(&missing)),
    };
    Shown {
        committed: store.committed().get(),
        branches: (0..NAMES.len()).map(branch).collect(),
        order: read(Query::all()).unwrap(),
        current: store.current(&"s".try_into().unwrap()).unwrap().to_string(),
        timers: store.timers().list(1_000).unwrap().into_iter().map(|timer| timer.id).collect(),
    }
}

/// Where a store lies: what is done to it is recorded.
enum Ground {
    Disk(Disk),
    /// And how many operations count as done before.
    Folder(TempDir, Folder, usize),
}

impl Ground {
    fn new(has_file: bool) -> Self {
        if !has_file {
            return Self::Disk(Disk::new());
        }
        Self::of(quick_dir())
    }

    fn of(dir: TempDir) -> Self {
        let folder = Folder::watch(dir.path()).unwrap();
        let begun = folder.operations();
        Self::Folder(dir, folder, begun)
    }

    fn begun(&self) -> usize {
        match self {
            Self::Disk(_) => 0,
            Self::Folder(_, _, begun) => *begun,
        }
    }

    fn open(&self, settings: &Builder) -> Store {
        match self {
            Self::Disk(disk) => settings.clone().with_backend(disk.backend()),
            Self::Folder(dir, ..) => settings.clone().exclusive().open(dir.path().join("runs.redb")),
        }
        .unwrap()
    }

    fn operations(&self) -> usize {
        match self {
            Self::Disk(disk) => disk.operations(),
            Self::Folder(_, folder, _) => folder.operations(),
        }
    }

    fn boundaries(&self) -> Vec<usize> {
        match self {
            Self::Disk(disk) => disk.sync_points(),
            Self::Folder(_, folder, _) => folder.boundaries(),
        }
    }

    /// What the power cut leaves, and in words what that is.
    fn cut(&self, moment: usize, dice: &mut Dice) -> (Self, String) {
        match self {
            Self::Disk(disk) => {
                let moment = disk.moment(moment);
                let cut = cut(dice, moment.unsynced());
                (Self::Disk(Disk::from_bytes(moment.cut(&cut))), format!("{cut:?}"))
            }
            Self::Folder(_, folder, _) => {
                let (last, moment) = (folder.last(moment), folder.moment(moment));
                let (names, files) = (cut(dice, moment.unsynced_names()), cut(dice, 20));
                let dir = quick_dir();
                moment.cut(&names, &files, dir.path()).unwrap();
                (Self::of(dir), format!("names {names:?}, files {files:?}, after {last}"))
            }
        }
    }
}

fn cut(dice: &mut Dice, unsynced: usize) -> Cut {
    let seed = dice.roll();
    match dice.under(8) {
        0 => Cut::Nothing,
        1 => Cut::Everything,
        2 | 3 => Cut::First {
            writes: dice.under(unsynced as u64 + 1) as usize,
            bytes: 512 * dice.under(16) as usize,
        },
        4 | 5 => Cut::Some { seed },
        6 => Cut::Torn { seed, sector: 512 },
        _ => Cut::Torn { seed, sector: 4_096 },
    }
}

struct World {
    ground: Ground,
    settings: Builder,
    store: Option<Store>,
}

impl World {
    fn open(ground: Ground, settings: &Builder) -> Self {
        let store = Some(ground.open(settings));
        Self { ground, settings: settings.clone(), store }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn append(&self, parts: &[(usize, Vec<u64>)], expect: Expect, durability: Durability) -> Outcome {
        let batch = parts.iter().fold(Batch::new(), |batch, (name, numbers)| {
            let events: Vec<NewEvent> = numbers.iter().map(|n| sized(*n)).collect();
            batch.add(address(*name).as_str(), expect, events).unwrap()
        });
        match self.store().append_batch(batch.durability(durability)) {
            Ok(receipt) if receipt.duplicate() => Outcome::Repeated,
            found => outcome(&found),
        }
    }

    /// Does it, and tells the model, which says what the answer has to be.
    fn perform(&mut self, op: &Op, model: &mut Model) {
        let lives = &mut model.lives;
        match op {
            Op::Append { name, events, expects_empty, durability } => {
                let new: Vec<u64> = (lives.next..lives.next + events).collect();
                lives.next += events;
                let expect = if *expects_empty { Expect::Empty } else { Expect::Any };
                let found = self.append(&[(*name, new.clone())], expect, *durability);
                assert_eq!(found, lives.append(*name, &new, *expects_empty));
            }
            Op::Both { names: (one, other), durability } => {
                let numbers = [vec![lives.next, lives.next + 1], vec![lives.next + 2]];
                lives.next += 3;
                let takes = |name: usize| lives.live(name).is_some_and(|line| !lives.lines[line].closed);
                if one == other || !takes(*one) || !takes(*other) {
                    return;
                }
                let [first, second] = &numbers;
                let parts = [(*one, first.clone()), (*other, second.clone())];
                assert_eq!(self.append(&parts, Expect::Any, *durability), Outcome::Done);
                parts.iter().for_each(|(name, numbers)| {
                    assert_eq!(lives.append(*name, numbers, false), Outcome::Done);
                });
            }
            Op::Again { name, event } if *event < lives.next => {
                let found = self.append(&[(*name, vec![*event])], Expect::Any, Durability::Durable);
                assert_eq!(found, lives.append(*name, &[*event], false));
            }
            Op::Again { .. } => {}
            Op::Fork { parent, at, name } => {
                let from = match at {
                    Some(at) => format!("{}@{at}", address(*parent)),
                    None => address(*parent),
                };
                let found = self.store().fork(from.as_str(), NAMES[*name]);
                assert_eq!(outcome(&found), lives.fork(*parent, *at, *name));
            }
            Op::Close(name) => {
                let found = self.store().lifecycle().close(address(*name).as_str());
                match lives.live(*name) {
                    Some(line) => {
                        found.unwrap();
                        lives.lines[line].closed = true;
                    }
                    None => assert_eq!(outcome(&found), lives.missing(*name)),
                }
            }
            Op::Delete(name) => {
                let found = self.store().lifecycle().delete(address(*name).as_str());
                match lives.live(*name) {
                    Some(line) => {
                        found.unwrap();
                        lives.lines[line].deleted = true;
                    }
                    None => assert_eq!(outcome(&found), lives.missing(*name)),
                }
            }
            Op::Truncate { name, before } => {
                let found = self.store().lifecycle().truncate(address(*name).as_str(), *before);
                assert_eq!(outcome(&found), lives.truncate(*name, *before));
            }
            Op::Purge => drop(self.store().lifecycle().purge().unwrap()),
            Op::Flush => self.store().maintenance().flush().unwrap(),
            Op::Reopen => {
                self.store().close().unwrap();
                self.store = None;
                self.store = Some(self.ground.open(&self.settings));
            }
            Op::Compact => drop(self.store().maintenance().compact().unwrap()),
            Op::Current(name) => {
                let Some(line) = lives.live(*name) else { return };
                self.store()
                    .set_current(&"s".try_into().unwrap(), &NAMES[*name].try_into().unwrap())
                    .unwrap();
                model.current = Some(line);
            }
            Op::Schedule => {
                let number = lives.next;
                lives.next += 1;
                let day = Duration::from_secs(86_400);
                self.store().timers().schedule("t", timed(number), day).unwrap();
                model.timers.insert(number);
            }
            Op::Cancel(timer) => {
                if model.timers.remove(timer) {
                    self.store().timers().cancel(timed(*timer).id()).unwrap();
                }
            }
        }
    }
}

/// An operation, and between which moments it was asked for and acknowledged to be durable.
struct Done {
    op: Op,
    asked: usize,
    durable: usize,
    after: Model,
}

struct Run {
    ground: Ground,
    settings: Builder,
    /// The moment at which the store was there.
    created: usize,
    done: Vec<Done>,
}

impl Run {
    /// Each is acknowledged before the next is asked for.
    fn new(dice: &mut Dice, ops: usize, has_file: bool) -> Self {
        let ground = Ground::new(has_file);
        let settings = Store::builder()
            .flush_after(1 + dice.under(40) as usize, 2_000 + dice.under(30_000) as usize)
            .flush_when_idle(Duration::from_secs(3_600))
            .note_when_idle(Duration::from_secs(if dice.one_in(2) { 3_600 } else { 0 }))
            .journal_bytes(4_096 * (16 + dice.under(16)))
            .two_phase(dice.one_in(4))
            .fast_recovery(dice.one_in(3));
        let mut world = World::open(ground, &settings);
        let created = world.ground.operations();
        let mut model = Model::default();
        let mut done: Vec<Done> = Vec::new();
        for _ in 0..ops {
            let (op, before) = (Op::draw(dice, &model, has_file), model.shown());
            let asked = world.ground.operations();
            world.perform(&op, &mut model);
            let now = world.ground.operations();
            // What changed nothing may not have come to the disk.
            let is_synced = op.makes_durable() || !op.is_relaxed() && model.shown() != before;
            let durable = if is_synced { now } else { usize::MAX };
            if is_synced {
                // Its sync takes what came before along.
                done.iter_mut().filter(|d| d.durable == usize::MAX).for_each(|d| d.durable = now);
            }
            done.push(Done { op, asked, durable, after: model.clone() });
        }
        let World { ground, store, .. } = world;
        drop(store);
        Self { ground, settings, created, done }
    }

    fn model(&self, n: usize) -> Model {
        n.checked_sub(1).map_or_else(Model::default, |last| self.done[last].after.clone())
    }

    /// How many operations were acknowledged to be durable at a moment.
    fn sure(&self, moment: usize) -> usize {
        self.done.iter().rposition(|d| d.durable <= moment).map_or(0, |last| last + 1)
    }

    /// Opens what is left, and says how many operations it has: all that are sure, and none by half.
    fn reopened(&self, left: Ground, moment: usize) -> (World, usize) {
        let world = World::open(left, &self.settings);
        let asked = self.done.iter().take_while(|d| d.asked < moment).count();
        let (sure, found) = (self.sure(moment), shown(world.store()));
        let n = (sure..=asked.max(sure)).find(|n| self.model(*n).shown() == found);
        let report = world.store().maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let n = n.unwrap_or_else(|| {
            let due = self.model(sure).shown();
            panic!("{found:?} is no state from {sure} to {asked}; the first of them is {due:?}")
        });
        (world, n)
    }

    /// One image. What it was, in words, if it fails.
    fn image(&self, dice: &mut Dice, seed: u64) {
        let (boundaries, end) = (self.ground.boundaries(), self.ground.operations());
        let moment = match dice.one_in(3) {
            true => boundaries[dice.under(boundaries.len() as u64) as usize].max(self.created),
            false => self.created + dice.under((end - self.created) as u64 + 1) as usize,
        };
        let (left, how) = self.ground.cut(moment, dice);
        let told = format!("seed {seed}, {how} at {moment} of {}..{end}", self.created);
        explained(&told, || {
            let (mut world, n) = self.reopened(left, moment);
            if dice.one_in(4) {
                // The power fails again while it is opened, or just after.
                world.store = None;
                let begun = world.ground.begun();
                let again = begun + dice.under((world.ground.operations() - begun) as u64 + 1) as usize;
                let (left, how) = world.ground.cut(again, dice);
                explained(&format!("then {how}"), || {
                    let (_, found) = self.reopened(left, moment);
                    assert!(found <= n, "{found} of {n}");
                });
                return;
            }
            let mut model = self.model(n);
            for done in self.done.iter().skip(n).take(3) {
                world.perform(&done.op, &mut model);
            }
            let more =
                Op::Append { name: 0, events: 3, expects_empty: false, durability: Durability::Durable };
            world.perform(&more, &mut model);
            world.perform(&Op::Flush, &mut model);
            assert_eq!(shown(world.store()), model.shown());
            let report = world.store().maintenance().verify().unwrap();
            assert!(report.is_clean(), "{:?}", report.problems);
        });
    }
}

fn images(seeds: std::ops::Range<u64>, images: u64, has_file: bool) -> u64 {
    for seed in seeds.clone() {
        let mut dice = Dice(seed);
        let run = Run::new(&mut dice, 60, has_file);
        (0..images).for_each(|_| run.image(&mut dice, seed));
    }
    (seeds.end - seeds.start) * images
}

#[test]
fn a_power_cut_under_mixed_load_takes_nothing_that_was_acknowledged_and_leaves_nothing_half_done() {
    let (runs, each) = if soak() { (320, 50) } else { (8, 30) };
    let made = images(0..runs, each, false);
    eprintln!("{made} images of disks");
}

#[test]
fn a_power_cut_under_mixed_load_with_compactions_leaves_the_store_in_the_one_file_or_the_other() {
    let (runs, each) = if soak() { (100, 40) } else { (4, 20) };
    let made = images(1_000..1_000 + runs, each, true);
    eprintln!("{made} images of folders");
}
