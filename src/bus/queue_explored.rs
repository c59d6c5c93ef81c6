//! Publishing without waiting in thousands of schedules: a queue and a spill that are soon full, a store that cannot be written
//! for a while, a damaged branch, and a bus that is closed or whose runtime ends at any moment. What was published is recorded
//! once and in its order, or counted as lost. Each known way to get it wrong is injected, and has to be caught.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};

use super::bus::Bus;
use super::emitter::Emitted;
use super::persist::Persistence;
use crate::engine::{Commit, Engine, EngineLayer, Outcome, Submitted, open_in_memory};
use crate::error::{Error, Result};
use crate::event::NewEvent;
use crate::store::{Builder, Durability, Query, Store};
use crate::sync::task::Runtime;
use crate::sync::time::sleep;
use crate::sync::{end_runtimes, in_vain, point, thread};
use crate::testkit::{QUEUE_SCHEDULES, all_caught, explore};

const PUBLISHERS: u64 = 2;
const EACH: u64 = 6;
/// The second is damaged for a while. Each publisher waits for what it publishes to the last.
const SESSIONS: [&str; 3] = ["m", "n", "waits"];
const DURABLE: &str = "a.durable";

/// What the store can do.
#[derive(Debug)]
struct Weather {
    /// Commits that fail, before all is well.
    failures: AtomicUsize,
    damaged: AtomicBool,
}

impl Weather {
    fn commits(&self, engine: &dyn Engine, commit: Commit) -> Result<Outcome> {
        let Commit::Append(append) = &commit else { return engine.commit(commit) };
        let fails = thread_rng().gen_bool(0.5);
        if fails && self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::storage("the disk is gone"));
        }
        let is_damaged = append.parts.iter().any(|part| part.place.session.as_str() == SESSIONS[1]);
        if is_damaged && self.damaged.load(Ordering::SeqCst) {
            return Err(Error::corrupt(SESSIONS[1], "it is damaged"));
        }
        let is_asked = append.parts.iter().flat_map(|part| &part.records).any(|r| r.kind() == DURABLE);
        assert!(!is_asked || append.durability == Durability::Durable, "it is less durable than was asked");
        engine.commit(commit)
    }
}

#[derive(Debug)]
struct Unsteady {
    engine: Arc<dyn Engine>,
    weather: Arc<Weather>,
}

impl EngineLayer for Unsteady {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move {
            if thread_rng().gen_bool(0.5) {
                sleep(Duration::from_millis(1)).await;
            }
            let committed = self.weather.commits(&*self.engine, commit);
            point();
            committed
        })
    }

    /// Draining takes its time, too.
    fn commit(&self, commit: Commit) -> Result<Outcome> {
        if thread_rng().gen_bool(0.5) {
            thread::park_timeout(Duration::from_millis(thread_rng().gen_range(0..300)));
        }
        self.weather.commits(&*self.engine, commit)
    }
}

/// Publishes its numbers, and says how many of those it was told were lost.
fn publishes(bus: &Bus, publisher: u64) {
    for n in 1..=EACH {
        let session = SESSIONS[thread_rng().gen_range(0..SESSIONS.len())];
        let kind = if thread_rng().gen_bool(0.5) { DURABLE } else { "a.plain" };
        let event = NewEvent::new(kind).data(serde_json::json!([publisher, n]));
        if session == SESSIONS[2] {
            let emitter = bus.emitter("e", session).unwrap();
            let emitted = block_on(emitter.emit(event));
            assert!(!matches!(emitted, Emitted::Ephemeral), "{emitted:?}");
        } else {
            bus.publish_nowait(session, event);
        }
        match thread_rng().gen_range(0..10) {
            0 => block_on(bus.flush()),
            // So long that the spill is looked at.
            1..=3 => block_on(sleep(Duration::from_millis(thread_rng().gen_range(0..1_500)))),
            _ => {}
        }
    }
}

/// A folder that is in memory, where there is one.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A bus, and what it is soon short of.
fn opened(store: &Store, spill: PathBuf) -> (Bus, bool) {
    let room = [0, 500, 1_000, 1 << 20][thread_rng().gen_range(0..4)];
    let queue = if thread_rng().gen_bool(0.5) { 2 } else { 100 };
    let builder = Bus::builder().spill(spill).spill_limit(room).spill_reserve(0).nowait_queue(queue);
    let builder = builder.timers(false).history_limit(0).persist(DURABLE, Persistence::Durable).unwrap();
    (builder.open(store).unwrap(), room >= 1 << 20)
}

fn life() {
    let watch = in_vain(Duration::from_secs(7_200), || "somebody waits for a queue in vain".into());
    let folder = folder();
    let weather = Arc::new(Weather {
        failures: AtomicUsize::new(thread_rng().gen_range(0..4)),
        damaged: AtomicBool::new(thread_rng().gen_bool(0.3)),
    });
    let engine = Unsteady { engine: open_in_memory(false), weather: weather.clone() };
    let store = Builder::new().durability(Durability::Relaxed).on(Arc::new(engine)).unwrap();
    let (here, home) = (Runtime::current().unwrap(), Runtime::another());
    let (bus, has_room) = home.inside(|| opened(&store, folder.path().join("spill.ndjson")));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let bus = bus.clone();
            here.spawn_blocking(move || publishes(&bus, publisher))
        })
        .collect();
    let mends = weather.clone();
    let mending = here.spawn(async move {
        sleep(Duration::from_secs(thread_rng().gen_range(0..200))).await;
        mends.damaged.store(false, Ordering::SeqCst);
    });
    // At any moment.
    for _ in 0..thread_rng().gen_range(0..100) {
        point();
    }
    let ends = thread_rng().gen_range(0..3);
    match ends {
        0 => home.end(),
        1 => drop(block_on(bus.close()).unwrap()),
        _ => {}
    }
    publishers.into_iter().for_each(|publisher| block_on(publisher).unwrap());
    if thread_rng().gen_bool(0.5) {
        // What stalls is tried again.
        block_on(sleep(Duration::from_secs(3)));
    }
    block_on(bus.flush());
    block_on(bus.close()).unwrap();
    if ends == 0 {
        home.end();
    }
    // What still drains it has the turn: another handle would wait for the file, and the explorer with it.
    let (dropped, spill) = (bus.stats().dropped, bus.core().spill.clone());
    drop(bus);
    block_on(mending).unwrap();
    weather.failures.store(0, Ordering::SeqCst);
    if let Some(spill) = spill {
        spill.drain(&store).unwrap();
        assert!(spill.is_empty(), "something is left in the spill");
    }
    is_whole(&store, dropped, has_room, ends == 0);
    store.close().unwrap();
    drop(watch);
    end_runtimes();
}

/// Everything is there once and in its order, but what was counted.
fn is_whole(store: &Store, dropped: u64, has_room: bool, has_ended: bool) {
    let mut recorded = 0;
    for session in SESSIONS {
        let mut last = [0; PUBLISHERS as usize];
        // There may be no such session.
        for event in store.events(Query::branch(session).unwrap()).unwrap().flatten() {
            let (publisher, n): (usize, u64) = event.json().unwrap();
            assert_ne!(last[publisher], n, "an event of {session} is there twice");
            assert!(last[publisher] < n, "{n} of {session} came after {}", last[publisher]);
            last[publisher] = n;
            recorded += 1;
        }
    }
    let counted = recorded + dropped;
    assert!(
        counted >= PUBLISHERS * EACH,
        "{recorded} are recorded, and what is missing is not counted as lost"
    );
    // Of one that was being written when the runtime ended nobody knows.
    assert!(
        has_ended || counted == PUBLISHERS * EACH,
        "{recorded} are recorded, and {dropped} counted as lost"
    );
    assert!(!has_room || dropped == 0, "{dropped} were lost, and there was room in the spill");
}

#[test]
fn what_is_published_without_waiting_is_recorded_once_and_in_its_order_or_counted_as_lost() {
    explore(QUEUE_SCHEDULES, life);
}

/// The known wrong ways, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    all_caught(&[
        ("LosesWhatIsInHand", life, &["is not counted as lost"]),
        ("ForgetsWhatWasAsked", life, &["less durable than was asked"]),
        ("QueuesAgainAtTheEnd", life, &["came after"]),
        ("LeavesWhatIsQueued", life, &["came after"]),
        ("IgnoresWhatWasPut", life, &["came after"]),
        ("DrainsBeforeTheQueue", life, &["came after"]),
    ]);
}
