//! A bus in thousands of schedules: handlers of two priorities that fail and publish inside, publishers that wait for
//! them, and a bus that is closed at any moment. No timeout is needed by any of them, and none may hide what waits for
//! itself. Each known way to get it wrong is injected, and has to be caught.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};

use super::answer::Answer;
use super::bus::Bus;
use super::message::Message;
use crate::engine::{Commit, Engine, EngineLayer, Submitted, open_in_memory};
use crate::error::Error;
use crate::event::{NewEvent, Position};
use crate::store::{Builder, Query, Store};
use crate::sync::task::Runtime;
use crate::sync::time::sleep;
use crate::sync::{end_runtimes, in_vain, point, vary};
use crate::testkit::{BUS_END_SCHEDULES, BUS_SCHEDULES, all_caught, explore};

const BRANCHES: [&str; 2] = ["m", "n"];
const PUBLISHERS: usize = 2;
const EACH: usize = 3;
const ATTEMPTS: u32 = 2;
const PRIORITIES: [i32; 3] = [5, 0, 0];
/// The first of them publishes inside; these two are waited for.
const AWAITED: usize = 2;
/// What a retry rests; everything else that has a time is later.
const REST: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Of one branch: the sequences whose handling has ended, in that order, and what is being handled.
#[derive(Debug, Default)]
struct Lane {
    ended: Vec<u64>,
    trying: Option<u64>,
    failed: BTreeMap<u64, u32>,
}

/// What was seen of one handler.
#[derive(Debug, Default)]
struct Seen {
    lanes: BTreeMap<String, Lane>,
    first_ended: BTreeSet<u64>,
    dead_letters: usize,
}

/// The engine in memory, as slow as a disk may be: meanwhile everything else can happen. It counts what is appended.
#[derive(Debug)]
struct Slow(Arc<dyn Engine>, Arc<AtomicUsize>);

impl EngineLayer for Slow {
    fn below(&self) -> &dyn Engine {
        &*self.0
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move {
            if thread_rng().gen_bool(0.2) {
                sleep(REST).await;
            }
            let count = match &commit {
                Commit::Append(append) => append.parts.iter().map(|part| part.records.len()).sum(),
                _ => 0,
            };
            let committed = self.0.submit(commit).await;
            self.1.fetch_add(if committed.is_ok() { count } else { 0 }, Ordering::SeqCst);
            committed
        })
    }
}

struct World {
    seen: [std::sync::Mutex<Seen>; 3],
    /// Queues are so small that handlers take nothing for a while.
    small: bool,
    closing: AtomicBool,
    /// Events that were appended.
    appended: Arc<AtomicUsize>,
}

impl World {
    fn seen(&self, number: usize) -> std::sync::MutexGuard<'_, Seen> {
        self.seen[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// What the model waits for.
    fn open(&self) -> String {
        let appended = self.appended.load(Ordering::SeqCst);
        for number in 0..PRIORITIES.len() {
            let ended: usize = self.seen(number).lanes.values().map(|lane| lane.ended.len()).sum();
            if ended < appended {
                return format!("h{number} does not go on: it has ended {ended} of {appended} events");
            }
        }
        "publishing or closing does not end, and every handler is done".to_owned()
    }

    /// One attempt at a time in a branch, at its first event that has not ended.
    fn begins(&self, number: usize, message: &Message) {
        let (event, attempt) = (message.event().unwrap(), message.deliveries());
        let sequence = event.sequence().get();
        if attempt == 1 {
            self.in_turn(number, message);
        }
        let closing = self.is_closing();
        let mut seen = self.seen(number);
        let lane = seen.lanes.entry(event.session().to_string()).or_default();
        assert_eq!(lane.trying.replace(sequence), None, "two attempts at once in one branch");
        let failed = lane.failed.get(&sequence).copied().unwrap_or(0);
        // A closing bus does not try again.
        let before = lane.failed.keys().filter(|before| **before < sequence && closing);
        let before: Vec<u64> = before.filter(|before| !lane.ended.contains(before)).copied().collect();
        lane.ended.extend(before);
        assert_eq!(sequence, lane.ended.len() as u64 + 1, "an event came out of its order");
        assert_eq!(attempt, failed + 1, "attempts are counted");
    }

    /// Who is of higher priority had its first attempt, or is excused.
    fn in_turn(&self, number: usize, message: &Message) {
        let event = message.event().unwrap();
        for other in (0..PRIORITIES.len()).filter(|other| PRIORITIES[*other] > PRIORITIES[number]) {
            let seen = self.seen(other);
            let lane = seen.lanes.get(event.session().as_str());
            let held = lane.is_some_and(|lane| lane.failed.range(..event.sequence().get()).next().is_some());
            let excused = held || self.small || self.is_closing();
            let ended = seen.first_ended.contains(&event.position().get());
            assert!(ended || excused, "{} overtook a handler of higher priority", event.position());
        }
    }

    fn ends(&self, number: usize, message: &Message, fails: bool) {
        let event = message.event().unwrap();
        let sequence = event.sequence().get();
        let mut seen = self.seen(number);
        seen.first_ended.insert(event.position().get());
        let lane = seen.lanes.entry(event.session().to_string()).or_default();
        lane.trying = None;
        if fails {
            lane.failed.insert(sequence, message.deliveries());
        }
        let is_last = message.deliveries() == ATTEMPTS;
        if !fails || is_last {
            lane.ended.push(sequence);
        }
        seen.dead_letters += usize::from(fails && is_last);
    }
}

async fn handled(world: Arc<World>, bus: Bus, number: usize, message: Message) -> Result<(), String> {
    world.begins(number, &message);
    point();
    let fails = thread_rng().gen_bool(0.3);
    if message.kind() == "a.nests" && number == 0 && !fails {
        // Refused when the bus is closing.
        let address = BRANCHES[thread_rng().gen_range(0..BRANCHES.len())];
        let published = bus.publish(address, NewEvent::new("a.nested")).await;
        let is_refused =
            matches!(&published, Err(error) if matches!(error, Error::Closed { .. }) || has_ended(error));
        assert!(published.is_ok() || is_refused, "{published:?}");
    }
    world.ends(number, &message, fails);
    if fails { Err("failed".to_owned()) } else { Ok(()) }
}

/// Publishes, and looks at what the awaited handlers answer.
async fn publishes(world: Arc<World>, bus: Bus, number: usize) {
    for n in 0..EACH {
        let kind = if n == number { "a.nests" } else { "a.plain" };
        let address = BRANCHES[thread_rng().gen_range(0..BRANCHES.len())];
        let published = match bus.publish(address, NewEvent::new(kind)).await {
            Err(Error::Closed { .. }) if world.is_closing() => return,
            Err(error) if world.is_closing() && has_ended(&error) => return,
            published => published.unwrap(),
        };
        let answers = published.answers;
        assert!(answers.len() == AWAITED || world.is_closing(), "{answers:?}");
        for answered in answers {
            match answered.answer {
                Answer::Done(_) => {}
                Answer::Failed { deliveries: ATTEMPTS, .. } => {}
                Answer::Failed { .. } | Answer::Gone if world.is_closing() => {}
                other => panic!("{} was answered with {other:?}", answered.handler),
            }
        }
    }
}

/// A bus of this runtime, with its handlers.
fn opened(home: &Runtime) -> (Arc<World>, Store, Bus) {
    // In one half of the schedules queues overflow and handlers are full.
    let small = thread_rng().gen_bool(0.5);
    if small {
        vary("SmallQueues");
    }
    let appended = Arc::new(AtomicUsize::new(0));
    let store = Builder::new().on(Arc::new(Slow(open_in_memory(false), appended.clone()))).unwrap();
    let builder = Bus::builder().workers(2).deadline(HOUR).await_limit(HOUR).drain_limit(HOUR);
    let builder = builder.max_deliveries(ATTEMPTS).backoff(REST, REST).jitter(0.0);
    let bus = home.inside(|| builder.timers(false).history_limit(0).open(&store)).unwrap();
    let world = World { seen: Default::default(), small, closing: AtomicBool::new(false), appended };
    let world = Arc::new(world);
    for (number, priority) in PRIORITIES.iter().enumerate() {
        let (theirs, link) = (world.clone(), bus.link());
        let mut subscribe = bus.subscribe("a.*").named(format!("h{number}")).priority(*priority);
        if number < AWAITED {
            subscribe = subscribe.awaited();
        }
        let handler = move |message| handled(theirs.clone(), link.clone(), number, message);
        drop(subscribe.run(handler).unwrap());
    }
    (world, store, bus)
}

fn life() {
    let runtime = Runtime::current().unwrap();
    let (world, store, bus) = opened(&runtime);
    let waits = world.clone();
    let watched = in_vain(REST * 1_000, move || waits.open());
    let mut publishers =
        (0..PUBLISHERS).map(|number| runtime.spawn(publishes(world.clone(), bus.clone(), number)));
    let publishers: Vec<_> = publishers.by_ref().collect();
    // The bus closes when everything was published, or in the middle of it.
    let early = thread_rng().gen_bool(0.5);
    let mut publishers = publishers.into_iter();
    let first = if early { 1 } else { PUBLISHERS };
    publishers.by_ref().take(first).for_each(|publisher| block_on(publisher).unwrap());
    world.closing.store(true, Ordering::SeqCst);
    let until = store.committed();
    let closed = block_on(bus.close()).unwrap();
    assert_eq!(closed.unfinished, 0);
    publishers.for_each(|publisher| block_on(publisher).unwrap());
    drop(watched);
    is_done(&world, &store, until);
    drop(bus);
    store.close().unwrap();
}

/// The runtime of the bus ends, or that of publishers: nobody waits for what is not there any more.
fn end() {
    let [home, away] = [Runtime::another(), Runtime::another()];
    let (world, store, bus) = opened(&home);
    let watched = in_vain(REST * 1_000, || "somebody waits for a bus whose runtime has ended".into());
    let start = |number| away.spawn(publishes(world.clone(), bus.clone(), number));
    let publishers: Vec<_> = (0..PUBLISHERS).map(start).collect();
    for _ in 0..thread_rng().gen_range(0..200) {
        point();
    }
    world.closing.store(true, Ordering::SeqCst);
    let away_too = thread_rng().gen_bool(0.3);
    if away_too {
        away.end();
    }
    home.end();
    publishers.into_iter().for_each(|publisher| assert!(block_on(publisher).is_ok() || away_too));
    let refused = block_on(bus.publish(BRANCHES[0], NewEvent::new("a.late"))).unwrap_err();
    assert!(has_ended(&refused), "{refused}");
    assert!(bus.handlers().is_empty() && bus.on("a.*", |_: Message| async {}).is_err());
    assert_eq!(block_on(bus.close()).unwrap().unfinished, 0);
    block_on(bus.flush());
    drop((bus, watched));
    store.close().unwrap();
    end_runtimes();
}

fn has_ended(error: &Error) -> bool {
    matches!(error, Error::Storage { .. }) && error.to_string().contains("runtime")
}

/// Everything that was committed when the bus closed has ended, once each and in order.
fn is_done(world: &World, store: &Store, until: Position) {
    for number in 0..PRIORITIES.len() {
        let seen = world.seen(number);
        for branch in BRANCHES {
            let events = store.events(Query::branch(branch).unwrap()).unwrap();
            let due = events.filter(|event| event.as_ref().is_ok_and(|e| e.position() <= until)).count();
            let Some(lane) = seen.lanes.get(branch) else {
                assert_eq!(due, 0, "nothing of {branch} was handled");
                continue;
            };
            let mut ended: Vec<u64> = lane.ended.clone();
            // What failed while the bus was closing was not tried again.
            ended.extend(lane.failed.keys().filter(|failed| !lane.ended.contains(failed)));
            assert!(ended.iter().copied().eq(1..=ended.len() as u64), "once each, in order: {ended:?}");
            assert!(ended.len() >= due, "{} of {due} events have ended", ended.len());
        }
        let dead_letters = store.dead_letters().list(None, None, 100).unwrap();
        let own = dead_letters.iter().filter(|letter| letter.owner.name() == format!("h{number}")).count();
        assert!(own >= seen.dead_letters, "{own} of {} dead letters were kept", seen.dead_letters);
    }
}

#[test]
fn order_is_kept_in_each_branch_nobody_waits_for_ever_and_closing_ends_what_was_committed() {
    explore(BUS_SCHEDULES, life);
}

#[test]
fn nobody_waits_for_a_bus_whose_runtime_has_ended() {
    explore(BUS_END_SCHEDULES, end);
}

/// The known wrong ways, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    all_caught(&[
        ("RetriesLater", life, &["out of its order", "attempts are counted"]),
        ("TwoRunners", life, &["out of its order", "two attempts at once", "attempts are counted"]),
        ("NoGate", life, &["overtook"]),
        ("WaitsForItself", life, &["does not go on"]),
        ("WaitsAsWorker", life, &["does not go on"]),
        ("LooksThenListens", life, &["does not go on"]),
        ("WaitsInside", life, &["does not go on"]),
        ("OpensTicketLate", life, &["publishing or closing does not end"]),
        ("GoesSilently", life, &["publishing or closing does not end", "does not go on"]),
        ("StaysBehind", end, &["whose runtime has ended"]),
    ]);
}
