//! Lanes, gates and tickets of the bus in thousands of schedules: handlers of two priorities, that fail, publish inside,
//! and are closed at any moment, over a small store. The drivers are those of `drive.rs`, `run.rs` and `publish.rs`
//! without their I/O and without any timeout, which would hide what waits for itself; each known way to get it wrong is
//! kept, and has to be caught.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread;
use tokio::sync::{Notify, Semaphore};

use super::answer::Answer;
use super::gate::Progress;
use super::lane::{Input, Numbered, Step, Taken};
use super::lanes::Lanes;
use super::tickets::Tickets;
use crate::event::EventId;
use crate::testkit::{BUS_SCHEDULES, caught, explore};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// What failed is put at the end of its lane instead of holding it.
    RetriesLater,
    /// Each event that is taken gets a runner, also when its lane has one.
    TwoRunners,
    NoGate,
    /// A handler gives way to those of its own priority too, so to itself.
    WaitsForItself,
    /// The place of a worker is taken before giving way.
    WaitsAsWorker,
    /// Whether a handler has passed is looked at before what it tells is listened to.
    LooksThenListens,
    /// Publishing inside a handler waits for the handlers.
    WaitsInside,
    /// The ticket is opened after the append.
    OpensTicketLate,
    /// A handler goes without telling who waits for it.
    GoesSilently,
}

const LANES: usize = 2;
const PUBLISHERS: usize = 2;
const EACH: usize = 3;
const ATTEMPTS: u32 = 2;
const PRIORITIES: [i32; 3] = [5, 0, 0];
/// The first of them publishes inside; these two are waited for.
const AWAITED: usize = 2;

/// Also after a panic: the first one is what is to be told.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    position: u64,
    lane: usize,
    sequence: u64,
    id: EventId,
    /// Its first handler publishes another.
    nests: bool,
}

impl Numbered for Item {
    fn number(&self) -> Option<u64> {
        Some(self.sequence)
    }
}

#[derive(Default)]
struct Log {
    items: Vec<Item>,
    /// While the bus closes: the position up to which handlers take.
    until: Option<u64>,
}

struct Work {
    lanes: Lanes<usize, Item>,
    progress: Progress,
    full: bool,
}

/// What was seen of a handler, apart from what its machines say.
#[derive(Default)]
struct Seen {
    first_ended: BTreeSet<u64>,
    failed: BTreeSet<(usize, u64)>,
    /// It took nothing for a while, or did not keep everything.
    was_full: bool,
    trying: BTreeMap<usize, u64>,
    ended: HashMap<usize, Vec<u64>>,
}

struct Seat {
    priority: i32,
    work: Mutex<Work>,
    room: Notify,
    tried: Notify,
    gone: AtomicBool,
    seen: Mutex<Seen>,
}

impl Seat {
    /// A place where another may run: the locks of `Notify` and `Tickets` are not the explorer's.
    fn point(&self) {
        self.gone.load(Ordering::SeqCst);
    }
}

struct World {
    log: Mutex<Log>,
    committed: Condvar,
    seats: Vec<Seat>,
    workers: Semaphore,
    tickets: Tickets,
    runners: Mutex<Vec<thread::JoinHandle<()>>>,
    wrong: Wrong,
}

impl World {
    fn append(&self, id: EventId, nests: bool) {
        let mut log = lock(&self.log);
        let lane = thread_rng().gen_range(0..LANES);
        let sequence = log.items.iter().filter(|item| item.lane == lane).count() as u64 + 1;
        let position = log.items.len() as u64 + 1;
        log.items.push(Item { position, lane, sequence, id, nests });
        drop(log);
        self.committed.notify_all();
    }

    /// The append, then what the awaited handlers answer.
    fn publish(&self, nests: bool) {
        let id = EventId::new();
        if self.wrong == Wrong::OpensTicketLate {
            self.append(id, nests);
            self.seats[0].point();
        }
        let held = self.tickets.open(vec![id]);
        if self.wrong != Wrong::OpensTicketLate {
            self.append(id, nests);
        }
        for (number, seat) in self.seats.iter().enumerate().take(AWAITED) {
            loop {
                let gone = seat.gone.load(Ordering::SeqCst);
                if held.ticket.take(id, number as u64).is_some() || gone {
                    break;
                }
                block_on(held.ticket.rung());
            }
        }
    }

    /// The next event for a handler; `None` when it has taken what it is to take.
    fn next(&self, cursor: usize) -> Option<Item> {
        let mut log = lock(&self.log);
        loop {
            match log.items.get(cursor) {
                Some(item) => return Some(*item),
                None if log.until.is_some_and(|until| cursor as u64 >= until) => return None,
                None => log = self.committed.wait(log).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn has_room(seat: &Seat) -> bool {
    let mut work = lock(&seat.work);
    let room = work.lanes.has_room();
    if !room && !work.full {
        lock(&seat.seen).was_full = true;
        work.progress.late(true);
        seat.tried.notify_waiters();
    } else if room && work.full {
        work.progress.late(false);
    }
    work.full = !room;
    room
}

/// A handler's life.
fn drive(world: &Arc<World>, number: usize) {
    let seat = &world.seats[number];
    let mut cursor = 0;
    loop {
        if !has_room(seat) {
            block_on(seat.room.notified());
            continue;
        }
        let Some(item) = world.next(cursor) else { break };
        cursor += 1;
        let put = {
            let mut work = lock(&seat.work);
            let put = work.lanes.take(&item.lane, item);
            let waits = !put.held && put.taken != Taken::Remembered;
            if put.taken == Taken::Remembered {
                lock(&seat.seen).was_full = true;
            }
            work.progress.took(item.position, waits);
            if !waits {
                seat.tried.notify_waiters();
            }
            put
        };
        if put.taken == Taken::Begin || (world.wrong == Wrong::TwoRunners && put.taken == Taken::Queued) {
            let running = world.clone();
            let runner = thread::spawn(move || run(&running, number, item.lane));
            lock(&world.runners).push(runner);
        }
    }
    lock(&seat.work).progress.late(true);
    seat.tried.notify_waiters();
    while !lock(&seat.work).lanes.is_empty() {
        block_on(seat.room.notified());
    }
    seat.gone.store(true, Ordering::SeqCst);
    lock(&seat.work).progress.gone();
    seat.tried.notify_waiters();
    if world.wrong != Wrong::GoesSilently {
        world.tickets.ring();
    }
}

/// The runner of one lane.
fn run(world: &Arc<World>, number: usize, lane: usize) {
    let seat = &world.seats[number];
    let mut input = Input::Begun;
    loop {
        let freed = matches!(input, Input::Succeeded | Input::Buried);
        let step = lock(&seat.work).lanes.next(&lane, input);
        if freed {
            seat.room.notify_one();
        }
        input = match step {
            Step::Rest => break,
            Step::Try { item, attempt } => attempted(world, number, item, attempt),
            Step::Pause { .. } => {
                thread::yield_now();
                Input::Waited
            }
            Step::Bury { item, .. } => {
                ended(seat, &item);
                world.tickets.settle(item.id, number as u64, Answer::Gone);
                Input::Buried
            }
            Step::Refill { after, to } => {
                let room = lock(&seat.work).lanes.refill();
                let log = lock(&world.log);
                let there = |i: &&Item| i.lane == lane && i.sequence > after && i.sequence <= to;
                let items: Vec<Item> = log.items.iter().filter(there).take(room).copied().collect();
                let scanned = items.last().map_or(to, |item| item.sequence);
                Input::Refilled { items, scanned }
            }
        };
    }
    seat.room.notify_one();
}

fn attempted(world: &Arc<World>, number: usize, item: Item, attempt: u32) -> Input<Item> {
    let seat = &world.seats[number];
    let early = world.wrong == Wrong::WaitsAsWorker;
    let mut worker = early.then(|| block_on(world.workers.acquire()).unwrap());
    if attempt == 1 {
        give_way(world, seat, &item);
        in_turn(world, seat, &item);
    }
    worker = worker.or_else(|| Some(block_on(world.workers.acquire()).unwrap()));
    begins(world, seat, &item, attempt);
    let fails = thread_rng().gen_bool(0.3);
    if item.nests && number == 0 && !fails {
        match world.wrong {
            Wrong::WaitsInside => world.publish(false),
            _ => world.append(EventId::new(), false),
        }
    }
    drop(worker);
    lock(&seat.seen).trying.remove(&item.lane);
    tried(seat, &item, fails);
    if !fails {
        ended(seat, &item);
        world.tickets.settle(item.id, number as u64, Answer::Gone);
        return Input::Succeeded;
    }
    if world.wrong == Wrong::RetriesLater && attempt < ATTEMPTS {
        let mut work = lock(&seat.work);
        work.lanes.take(&item.lane, item);
        return Input::Succeeded;
    }
    Input::Failed { last: false }
}

/// Waits for the first attempts of handlers of higher priority.
fn give_way(world: &World, seat: &Seat, item: &Item) {
    if world.wrong == Wrong::NoGate {
        return;
    }
    let itself = world.wrong == Wrong::WaitsForItself;
    let above = |other: &&Seat| other.priority > seat.priority || itself && other.priority == seat.priority;
    for other in world.seats.iter().filter(above) {
        let has_passed = || lock(&other.work).progress.has_passed(item.position);
        loop {
            if world.wrong == Wrong::LooksThenListens {
                if has_passed() {
                    break;
                }
                other.point();
                block_on(other.tried.notified());
                continue;
            }
            let passed = block_on(async {
                let tried = other.tried.notified();
                tokio::pin!(tried);
                tried.as_mut().enable();
                let passed = has_passed();
                if !passed {
                    tried.await;
                }
                passed
            });
            if passed {
                break;
            }
        }
    }
}

fn tried(seat: &Seat, item: &Item, again: bool) {
    let mut seen = lock(&seat.seen);
    seen.first_ended.insert(item.position);
    if again {
        seen.failed.insert((item.lane, item.sequence));
    }
    drop(seen);
    let mut work = lock(&seat.work);
    let work = &mut *work;
    work.progress.tried(item.position);
    for later in work.lanes.items(&item.lane).filter(|_| again) {
        work.progress.tried(later.position);
    }
    seat.tried.notify_waiters();
}

/// Whoever is of higher priority had its first attempt, or is excused.
fn in_turn(world: &World, seat: &Seat, item: &Item) {
    for other in world.seats.iter().filter(|other| other.priority > seat.priority) {
        let seen = lock(&other.seen);
        let held = seen.failed.range((item.lane, 0)..(item.lane, item.sequence)).next().is_some();
        let excused = held || seen.was_full || other.gone.load(Ordering::SeqCst) || drains(world);
        let ended = seen.first_ended.contains(&item.position);
        assert!(ended || excused, "{} overtook a handler of higher priority", item.position);
    }
}

fn drains(world: &World) -> bool {
    lock(&world.log).until.is_some()
}

/// One attempt at a time in a lane, at the first event that has not ended.
fn begins(world: &World, seat: &Seat, item: &Item, attempt: u32) {
    let mut seen = lock(&seat.seen);
    let other = seen.trying.insert(item.lane, item.position);
    assert_eq!(other, None, "two attempts at once in one lane");
    let done = seen.ended.get(&item.lane).map_or(0, Vec::len) as u64;
    assert_eq!(item.sequence, done + 1, "an event came out of its order");
    let failed = seen.failed.contains(&(item.lane, item.sequence));
    let counted = (attempt > 1) == failed || world.wrong == Wrong::RetriesLater;
    assert!(counted, "attempts are counted");
}

fn ended(seat: &Seat, item: &Item) {
    lock(&seat.seen).ended.entry(item.lane).or_default().push(item.sequence);
}

fn life(wrong: Wrong) {
    // In one half of the schedules lanes overflow and handlers are full.
    let (most, lane_room) = if thread_rng().gen_bool(0.5) { (2, 1) } else { (100, 100) };
    let seat = |priority: &i32| Seat {
        priority: *priority,
        work: Mutex::new(Work {
            lanes: Lanes::new(ATTEMPTS, most, lane_room),
            progress: Progress::new(0, false),
            full: false,
        }),
        room: Notify::new(),
        tried: Notify::new(),
        gone: AtomicBool::new(false),
        seen: Mutex::default(),
    };
    let world = Arc::new(World {
        log: Mutex::default(),
        committed: Condvar::new(),
        seats: PRIORITIES.iter().map(seat).collect(),
        workers: Semaphore::new(2),
        tickets: Tickets::default(),
        runners: Mutex::default(),
        wrong,
    });
    let spawn = |work: fn(&Arc<World>, usize), number: usize| {
        let world = world.clone();
        thread::spawn(move || work(&world, number))
    };
    let drivers: Vec<_> = (0..PRIORITIES.len()).map(|number| spawn(drive, number)).collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| spawn(|world, number| (0..EACH).for_each(|n| world.publish(n == number)), number))
        .collect();
    // The bus closes when everything was published, or in the middle of it.
    let early = thread_rng().gen_bool(0.5);
    let mut publishers = publishers.into_iter();
    if early {
        publishers.by_ref().take(1).for_each(|p| p.join().unwrap());
    } else {
        publishers.by_ref().for_each(|p| p.join().unwrap());
    }
    let until = {
        let mut log = lock(&world.log);
        let committed = log.items.len() as u64;
        *log.until.insert(committed)
    };
    world.committed.notify_all();
    drivers.into_iter().for_each(|driver| driver.join().unwrap());
    publishers.for_each(|p| p.join().unwrap());
    let runners = std::mem::take(&mut *lock(&world.runners));
    runners.into_iter().for_each(|runner| runner.join().unwrap());

    let log = lock(&world.log);
    for seat in &world.seats {
        let seen = lock(&seat.seen);
        for lane in 0..LANES {
            let due = log.items.iter().filter(|i| i.lane == lane && i.position <= until).count();
            let ended = seen.ended.get(&lane).cloned().unwrap_or_default();
            assert!(ended.iter().copied().eq(1..=ended.len() as u64), "once each, in order: {ended:?}");
            assert!(ended.len() >= due, "{} of {due} events have ended", ended.len());
        }
        assert_eq!(lock(&seat.work).lanes.held(), 0);
    }
}

#[test]
fn order_is_kept_in_each_branch_nobody_waits_for_ever_and_closing_ends_what_was_committed() {
    explore(BUS_SCHEDULES, || life(Wrong::Nothing));
}

/// The known wrong ways, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    let mut otherwise = Vec::new();
    for (wrong, with) in [
        (Wrong::RetriesLater, "out of its order"),
        (Wrong::TwoRunners, "out of its order"),
        (Wrong::NoGate, "overtook"),
        (Wrong::WaitsForItself, "deadlock"),
        (Wrong::WaitsAsWorker, "deadlock"),
        (Wrong::LooksThenListens, "deadlock"),
        (Wrong::WaitsInside, "deadlock"),
        (Wrong::OpensTicketLate, "deadlock"),
        (Wrong::GoesSilently, "deadlock"),
    ] {
        let text = caught(4_000, move || life(wrong));
        if !text.contains(with) {
            otherwise.push(format!("{wrong:?} was caught with: {text}"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}
