//! Lanes, gates and tickets of the bus in thousands of schedules: handlers of two priorities, that fail, publish inside,
//! and are closed at any moment, over a small store. The drivers are those of `drive.rs`, `run.rs` and `publish.rs`
//! without their I/O and without any timeout, which would hide what waits for itself; each known way to get it wrong is
//! kept, and has to be caught.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, PoisonError};

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread;
use tokio::sync::{Notify, Semaphore};

use super::answer::Answer;
use super::gate::GateProgress;
use super::tickets::Tickets;
use super::wait_for::WaitFor;
use crate::delivery::{
    self, Delay, DeliverySettings, Failed, Look, Machine, NEVER, Next, Rules, Taken, Wanted,
};
use crate::event::{EventId, Place};
use crate::limits::AT_HAND_BYTES;
use crate::testkit::{BUS_SCHEDULES, caught, explore};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// What failed is put at the end of its queue instead of holding it.
    RetriesLater,
    /// The branch goes on while its event is being handled.
    ResolvesFirst,
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
    branch_queue: usize,
    sequence: u64,
    id: EventId,
    /// Its first handler publishes another.
    nests: bool,
    /// It is at hand only when its turn has come.
    is_large: bool,
}

impl delivery::Item for Item {
    fn bytes(&self) -> usize {
        if self.is_large { AT_HAND_BYTES + 1 } else { 1 }
    }
}

static PLACES: LazyLock<[Arc<Place>; LANES]> = LazyLock::new(|| {
    ["m", "n"].map(|b| Arc::new(Place::new("s".try_into().unwrap(), b.try_into().unwrap())))
});

#[derive(Default)]
struct Log {
    items: Vec<Item>,
    /// While the bus closes: the position up to which handlers take.
    until: Option<u64>,
}

struct Work {
    machine: Machine<Item>,
    most: usize,
    progress: GateProgress,
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

struct HandlerState {
    priority: i32,
    work: Mutex<Work>,
    room: Notify,
    tried: Notify,
    gone: AtomicBool,
    seen: Mutex<Seen>,
}

impl HandlerState {
    /// A place where another may run: the locks of `Notify` and `Tickets` are not the explorer's.
    fn point(&self) {
        self.gone.load(Ordering::SeqCst);
    }
}

struct World {
    log: Mutex<Log>,
    committed: Condvar,
    handler_states: Vec<HandlerState>,
    workers: Semaphore,
    is_tight: bool,
    tickets: Tickets,
    runners: Mutex<Vec<thread::JoinHandle<()>>>,
    wrong: Wrong,
}

impl World {
    fn append(&self, id: EventId, nests: bool) {
        let mut log = lock(&self.log);
        let branch_queue = thread_rng().gen_range(0..LANES);
        let sequence = log.items.iter().filter(|item| item.branch_queue == branch_queue).count() as u64 + 1;
        let position = log.items.len() as u64 + 1;
        log.items.push(Item { position, branch_queue, sequence, id, nests, is_large: self.is_tight });
        drop(log);
        self.committed.notify_all();
    }

    /// The append, then what the awaited handlers answer.
    fn publish(&self, nests: bool) {
        let id = EventId::new();
        if self.wrong == Wrong::OpensTicketLate {
            self.append(id, nests);
            self.handler_states[0].point();
        }
        let held = self.tickets.open(vec![id], WaitFor::Awaited);
        if self.wrong != Wrong::OpensTicketLate {
            self.append(id, nests);
        }
        for (number, handler_state) in self.handler_states.iter().enumerate().take(AWAITED) {
            loop {
                let gone = handler_state.gone.load(Ordering::SeqCst);
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

fn has_room(handler_state: &HandlerState) -> bool {
    let mut work = lock(&handler_state.work);
    let room = work.machine.held() < work.most;
    if !room && !work.full {
        lock(&handler_state.seen).was_full = true;
        work.progress.late(true);
        handler_state.tried.notify_waiters();
    } else if room && work.full {
        work.progress.late(false);
    }
    work.full = !room;
    room
}

/// A handler's life.
fn drive(world: &Arc<World>, number: usize) {
    let handler_state = &world.handler_states[number];
    let mut cursor = 0;
    loop {
        if !has_room(handler_state) {
            block_on(handler_state.room.notified());
            continue;
        }
        let Some(item) = world.next(cursor) else { break };
        cursor += 1;
        let put = {
            let mut work = lock(&handler_state.work);
            let place = &PLACES[item.branch_queue];
            let put = work.machine.scan(place, item.sequence, item.position, Wanted::Yes(Some(item)));
            if !put.is_kept {
                lock(&handler_state.seen).was_full = true;
            }
            let waits = put.is_kept && !put.is_held_up;
            work.progress.took(item.position, waits);
            if !waits {
                handler_state.tried.notify_waiters();
            }
            put
        };
        if put.begins {
            let running = world.clone();
            let runner = thread::spawn(move || run(&running, number));
            lock(&world.runners).push(runner);
        }
    }
    lock(&handler_state.work).progress.late(true);
    handler_state.tried.notify_waiters();
    while lock(&handler_state.work).machine.lanes() > 0 {
        block_on(handler_state.room.notified());
    }
    handler_state.gone.store(true, Ordering::SeqCst);
    lock(&handler_state.work).progress.gone();
    handler_state.tried.notify_waiters();
    if world.wrong != Wrong::GoesSilently {
        world.tickets.ring();
    }
}

/// Who calls the handler.
fn run(world: &Arc<World>, number: usize) {
    let handler_state = &world.handler_states[number];
    loop {
        let next = lock(&handler_state.work).machine.next(0);
        match next {
            Next::Deliver(taken, item) => attempted(world, number, &taken, item.unwrap()),
            Next::Look(look) => {
                let log = lock(&world.log);
                let there = |i: &&Item| {
                    PLACES[i.branch_queue] == look.place
                        && i.sequence > look.after
                        && i.sequence <= look.until
                };
                let items: Vec<Item> = log.items.iter().filter(there).take(2).copied().collect();
                drop(log);
                let until = items.last().map_or(look.until, |item| item.sequence);
                let found = items.into_iter().map(|item| (item.sequence, item.position, item)).collect();
                lock(&handler_state.work).machine.found(&Look { until, ..look }, found);
            }
            Next::Nothing => break,
        }
    }
    handler_state.room.notify_one();
}

fn attempted(world: &Arc<World>, number: usize, taken: &Taken, item: Item) {
    let (handler_state, delivery) = (&world.handler_states[number], taken.delivery);
    let early = world.wrong == Wrong::WaitsAsWorker;
    let mut worker = early.then(|| block_on(world.workers.acquire()).unwrap());
    if taken.deliveries == 1 {
        give_way(world, handler_state, &item);
        in_turn(world, handler_state, &item);
    }
    worker = worker.or_else(|| Some(block_on(world.workers.acquire()).unwrap()));
    if world.wrong == Wrong::ResolvesFirst {
        let _ = lock(&handler_state.work).machine.resolved(delivery);
        let running = world.clone();
        lock(&world.runners).push(thread::spawn(move || run(&running, number)));
    }
    begins(world, handler_state, &item, taken.deliveries);
    let fails = thread_rng().gen_bool(0.3);
    if item.nests && number == 0 && !fails {
        match world.wrong {
            Wrong::WaitsInside => world.publish(false),
            _ => world.append(EventId::new(), false),
        }
    }
    drop(worker);
    lock(&handler_state.seen).trying.remove(&item.branch_queue);
    tried(handler_state, &item, fails);
    if !fails {
        ended(handler_state, &item);
        world.tickets.resolve(item.id, number as u64, Answer::Gone);
        return resolved(handler_state, delivery);
    }
    if world.wrong == Wrong::RetriesLater && taken.deliveries < ATTEMPTS {
        // Behind what is there already.
        let _ = lock(&handler_state.work).machine.put(&PLACES[item.branch_queue], item);
        return resolved(handler_state, delivery);
    }
    let failed = lock(&handler_state.work).machine.fail(delivery, 0, Delay::Backoff(0.0), Some(item));
    match failed {
        Ok(Failed::Again { due }) => {
            thread::yield_now();
            lock(&handler_state.work).machine.expire(due);
        }
        Ok(Failed::Last(_)) => {
            ended(handler_state, &item);
            world.tickets.resolve(item.id, number as u64, Answer::Gone);
            resolved(handler_state, delivery);
        }
        Err(_) => {}
    }
}

fn resolved(handler_state: &HandlerState, delivery: u64) {
    let _ = lock(&handler_state.work).machine.resolved(delivery);
    handler_state.room.notify_one();
}

/// Waits for the first attempts of handlers of higher priority.
fn give_way(world: &World, handler_state: &HandlerState, item: &Item) {
    if world.wrong == Wrong::NoGate {
        return;
    }
    let itself = world.wrong == Wrong::WaitsForItself;
    let above = |other: &&HandlerState| {
        other.priority > handler_state.priority || itself && other.priority == handler_state.priority
    };
    for other in world.handler_states.iter().filter(above) {
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

fn tried(handler_state: &HandlerState, item: &Item, again: bool) {
    let mut seen = lock(&handler_state.seen);
    seen.first_ended.insert(item.position);
    if again {
        seen.failed.insert((item.branch_queue, item.sequence));
    }
    drop(seen);
    let mut work = lock(&handler_state.work);
    let work = &mut *work;
    work.progress.tried(item.position);
    for later in work.machine.at_hand(&PLACES[item.branch_queue]).filter(|_| again) {
        work.progress.tried(later.position);
    }
    handler_state.tried.notify_waiters();
}

/// Whoever is of higher priority had its first attempt, or is excused.
fn in_turn(world: &World, handler_state: &HandlerState, item: &Item) {
    for other in world.handler_states.iter().filter(|other| other.priority > handler_state.priority) {
        let seen = lock(&other.seen);
        let held =
            seen.failed.range((item.branch_queue, 0)..(item.branch_queue, item.sequence)).next().is_some();
        let excused = held || seen.was_full || other.gone.load(Ordering::SeqCst) || drains(world);
        let ended = seen.first_ended.contains(&item.position);
        assert!(ended || excused, "{} overtook a handler of higher priority", item.position);
    }
}

fn drains(world: &World) -> bool {
    lock(&world.log).until.is_some()
}

/// One attempt at a time in a queue, at the first event that has not ended.
fn begins(world: &World, handler_state: &HandlerState, item: &Item, attempt: u32) {
    let mut seen = lock(&handler_state.seen);
    let other = seen.trying.insert(item.branch_queue, item.position);
    assert_eq!(other, None, "two attempts at once in one queue");
    let done = seen.ended.get(&item.branch_queue).map_or(0, Vec::len) as u64;
    assert_eq!(item.sequence, done + 1, "an event came out of its order");
    let failed = seen.failed.contains(&(item.branch_queue, item.sequence));
    let counted = (attempt > 1) == failed || world.wrong == Wrong::RetriesLater;
    assert!(counted, "attempts are counted");
}

fn ended(handler_state: &HandlerState, item: &Item) {
    lock(&handler_state.seen).ended.entry(item.branch_queue).or_default().push(item.sequence);
}

fn life(wrong: Wrong) {
    // In one half of the schedules queues overflow and handlers are full.
    let is_tight = thread_rng().gen_bool(0.5);
    let delivery = DeliverySettings { max_deliveries: ATTEMPTS, ..DeliverySettings::of_handler() };
    let rules = Rules { deadline: NEVER, ..delivery.rules(usize::MAX, usize::MAX) };
    let handler_state = |priority: &i32| HandlerState {
        priority: *priority,
        work: Mutex::new(Work {
            machine: Machine::new(rules, 0),
            most: if is_tight { 2 } else { 100 },
            progress: GateProgress::new(0, false),
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
        handler_states: PRIORITIES.iter().map(handler_state).collect(),
        workers: Semaphore::new(2),
        is_tight,
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
    for handler_state in &world.handler_states {
        let seen = lock(&handler_state.seen);
        for branch_queue in 0..LANES {
            let due =
                log.items.iter().filter(|i| i.branch_queue == branch_queue && i.position <= until).count();
            let ended = seen.ended.get(&branch_queue).cloned().unwrap_or_default();
            assert!(ended.iter().copied().eq(1..=ended.len() as u64), "once each, in order: {ended:?}");
            assert!(ended.len() >= due, "{} of {due} events have ended", ended.len());
        }
        assert_eq!(lock(&handler_state.work).machine.held(), 0);
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
        (Wrong::ResolvesFirst, ""),
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
