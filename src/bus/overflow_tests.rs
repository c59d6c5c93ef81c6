//! What happens when the spill is full, and while it is drained.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::builder::BusBuilder;
use super::bus::Bus;
use super::persist::Persistence;
use crate::engine::{Commit, Engine, EngineLayer, Outcome, Submitted, open_in_memory};
use crate::error::{Error, Result};
use crate::event::NewEvent;
use crate::store::{Builder, Durability, Query, Store};

/// What the test decides about a store.
#[derive(Debug, Default)]
struct Control {
    /// Nothing can be written.
    broken: AtomicBool,
    /// Nothing can be written to this session.
    damaged: Mutex<Option<&'static str>>,
    /// Appends of what was queued, in their order.
    appended: Mutex<Vec<Durability>>,
    /// What blocks waits here: to how many that happens.
    held: (Mutex<bool>, Condvar, AtomicUsize),
}

impl Control {
    fn hold(&self, held: bool) {
        *self.held.0.lock().unwrap() = held;
        self.held.1.notify_all();
    }
}

#[derive(Debug)]
struct Controlled {
    engine: Arc<dyn Engine>,
    control: Arc<Control>,
    /// One for each append of what is queued.
    permits: Arc<Semaphore>,
}

impl Controlled {
    fn commits(&self, commit: Commit) -> Result<Outcome> {
        if self.control.broken.load(SeqCst) {
            return Err(Error::storage("the disk is gone"));
        }
        let damaged = *self.control.damaged.lock().unwrap();
        match &commit {
            Commit::Append(p) if p.parts.iter().any(|p| Some(p.place.session.as_str()) == damaged) => {
                Err(Error::corrupt("a session", "it is damaged"))
            }
            _ => self.engine.commit(commit),
        }
    }
}

impl EngineLayer for Controlled {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move {
            self.permits.acquire().await.unwrap().forget();
            let durability = commit.durability();
            let committed = self.commits(commit);
            if committed.is_ok() {
                self.control.appended.lock().unwrap().push(durability);
            }
            committed
        })
    }

    /// Draining does this.
    fn commit(&self, commit: Commit) -> Result<Outcome> {
        let (held, changed, waiting) = &self.control.held;
        waiting.fetch_add(1, SeqCst);
        drop(changed.wait_while(held.lock().unwrap(), |held| *held).unwrap());
        waiting.fetch_sub(1, SeqCst);
        self.commits(commit)
    }
}

/// What blocks goes on when a test ends, however it does.
#[derive(Debug)]
struct Releases(Arc<Control>);

impl Drop for Releases {
    fn drop(&mut self) {
        self.0.hold(false);
    }
}

struct World {
    _dir: tempfile::TempDir,
    path: PathBuf,
    store: Store,
    control: Arc<Control>,
    permits: Arc<Semaphore>,
    _releases: Releases,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.spill.ndjson");
        let (control, permits) = (Arc::new(Control::default()), Arc::new(Semaphore::new(0)));
        let engine =
            Controlled { engine: open_in_memory(false), control: control.clone(), permits: permits.clone() };
        let store = Builder::new().durability(Durability::Relaxed).on(Arc::new(engine)).unwrap();
        let _releases = Releases(control.clone());
        Self { _dir: dir, path, store, control, permits, _releases }
    }

    fn bus(&self, with: impl FnOnce(BusBuilder) -> BusBuilder) -> Bus {
        let builder = Bus::builder().spill(&self.path).spill_reserve(0).timers(false).history_limit(0);
        with(builder).open(&self.store).unwrap()
    }

    fn recorded(&self, session: &str) -> Vec<String> {
        let events = self.store.events(Query::branch(session).unwrap()).unwrap();
        // There may be no such session yet.
        events.flatten().map(|event| event.kind().to_owned()).collect()
    }

    fn spilled(&self) -> Vec<String> {
        kinds_in(&self.path)
    }
}

/// The types of what is in the spill, in order.
fn kinds_in(spill: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(spill).unwrap_or_default();
    let kind = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].clone();
    text.lines().map(|line| kind(line).as_str().unwrap().to_owned()).collect()
}

/// Its line has some 600 bytes.
fn large(n: usize) -> NewEvent {
    NewEvent::new(format!("step.n{n}")).data(serde_json::json!({ "text": "x".repeat(400) }))
}

fn steps(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|n| format!("step.n{n}")).collect()
}

/// The clock is paused: it goes on when nothing else does, and not while something blocks.
#[track_caller]
fn until(holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        for _ in 0..100_000 {
            if holds() {
                return;
            }
            let (tick, ticks) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(1));
                let _ = tick.send(());
            });
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
                _ = ticks => {}
            }
        }
        panic!("it never came: {place}");
    }
}

/// On a thread of its own, which must not wait for what the test holds.
fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(done.send(work())));
    is_done.recv_timeout(Duration::from_secs(60)).expect("it does not wait")
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_in_the_spill_waits_in_its_order_and_stays_as_durable_as_was_asked() {
    let world = World::new();
    let bus = world.bus(|b| b.spill_limit(1_500).persist("step.*", Persistence::Durable).unwrap());
    world.control.broken.store(true, SeqCst);
    bus.publish_nowait("a", large(1));
    until(|| bus.stats().nowait_waiting == 0).await;
    (2..=5).for_each(|n| bus.publish_nowait("a", large(n)));
    // The first fails; the store is well again before anything else is tried.
    world.permits.add_permits(1);
    until(|| bus.stats().nowait_waiting == 3).await;
    world.control.broken.store(false, SeqCst);
    assert_eq!(world.spilled(), steps(4..=5));
    assert_eq!((bus.stats().nowait_waiting, bus.stats().dropped), (3, 0));
    // Neither takes more, and that is not waited for.
    bus.flush().await;
    bus.publish_nowait("a", large(6));
    assert_eq!((bus.stats().nowait_waiting, bus.stats().dropped), (3, 1));
    world.permits.add_permits(100);
    until(|| world.recorded("a").len() == 5 && world.spilled().is_empty()).await;
    assert_eq!(world.recorded("a"), steps(1..=5));
    bus.publish_nowait("a", large(7));
    // It may have gone to the spill, which was just being drained.
    until(|| world.recorded("a").len() == 6).await;
    assert_eq!(world.recorded("a")[5..], steps(7..=7));
    assert!(world.control.appended.lock().unwrap().iter().all(|d| *d == Durability::Durable));
    bus.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_stalls_is_tried_until_the_bus_closes_and_is_lost_then() {
    let world = World::new();
    let bus = world.bus(|b| b.spill_limit(1_500).nowait_queue(4));
    world.control.broken.store(true, SeqCst);
    world.permits.add_permits(1_000);
    (1..=4).for_each(|n| bus.publish_nowait("a", large(n)));
    until(|| bus.stats().nowait_waiting == 2 && !world.spilled().is_empty()).await;
    assert_eq!(world.spilled(), steps(3..=4));
    // A minute is some sixty looks, none of which changes anything.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((bus.stats().nowait_waiting, bus.stats().dropped), (2, 0));
    assert!((900..960).contains(&world.permits.available_permits()));
    bus.close().await.unwrap();
    let stats = bus.stats();
    assert_eq!((stats.nowait_waiting, stats.dropped, stats.spill.unwrap().dropped), (0, 2, 2));
    assert_eq!(world.spilled(), steps(3..=4));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_spill_that_is_drained_but_those_whose_events_go_there() {
    let world = World::new();
    world.permits.add_permits(1_000);
    *world.control.damaged.lock().unwrap() = Some("b");
    let bus = world.bus(|b| b);
    bus.publish_nowait("b", NewEvent::new("step.held"));
    bus.flush().await;
    assert_eq!((world.spilled().len(), bus.stats().spilled), (1, 1));
    world.control.hold(true);
    // It is looked whether the branch has been mended.
    until(|| world.control.held.2.load(SeqCst) == 1).await;
    let held = bus.clone();
    let held = std::thread::spawn(move || held.publish_nowait("b", NewEvent::new("step.later")));
    until(|| bus.stats().nowait == 2).await;
    for n in 1..=20 {
        let publishes = bus.clone();
        at_once(move || publishes.publish_nowait("a", NewEvent::new("other.step")));
        until(|| world.recorded("a").len() == n).await;
        let asks = bus.clone();
        assert_eq!(at_once(move || asks.stats().nowait_waiting), 0);
    }
    assert!(!held.is_finished());
    *world.control.damaged.lock().unwrap() = None;
    world.control.hold(false);
    held.join().unwrap();
    until(|| world.recorded("b").len() == 2 && world.spilled().is_empty()).await;
    assert_eq!(world.recorded("b"), ["step.held", "step.later"]);
    bus.publish_nowait("b", NewEvent::new("step.last"));
    until(|| world.recorded("b").len() == 3).await;
    assert_eq!(world.recorded("b")[2..], ["step.last"]);
    assert_eq!(bus.stats().dropped, 0);
    bus.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_is_published_to_all_the_time_leaves_the_spill_when_it_is_mended() {
    let world = World::new();
    world.permits.add_permits(1_000_000);
    *world.control.damaged.lock().unwrap() = Some("b");
    let bus = world.bus(|b| b);
    let is_over = Arc::new(AtomicBool::new(false));
    let (publishes, ends) = (bus.clone(), is_over.clone());
    let publisher = std::thread::spawn(move || {
        let mut n = 0;
        while !ends.load(SeqCst) {
            n += 1;
            publishes.publish_nowait("b", NewEvent::new(format!("step.n{n}")));
        }
        n
    });
    until(|| bus.stats().spilled > 10).await;
    *world.control.damaged.lock().unwrap() = None;
    // What is published goes to the store again.
    until(|| bus.stats().published > 0).await;
    is_over.store(true, SeqCst);
    let count = publisher.join().unwrap();
    bus.flush().await;
    until(|| world.recorded("b").len() == count && world.spilled().is_empty()).await;
    assert_eq!(world.recorded("b"), steps(1..=count));
    bus.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_spilled_while_the_spill_is_drained_does_not_overtake_what_is_queued() {
    let world = World::new();
    world.permits.add_permits(1_000);
    *world.control.damaged.lock().unwrap() = Some("b");
    let bus = world.bus(|b| b.nowait_queue(2));
    bus.publish_nowait("b", NewEvent::new("step.held"));
    bus.flush().await;
    assert_eq!(world.spilled().len(), 1);
    world.permits.forget_permits(1_000);
    world.control.hold(true);
    until(|| world.control.held.2.load(SeqCst) == 1).await;
    // The first is being written, and the next two are queued: there is no room for the fourth.
    bus.publish_nowait("a", NewEvent::new("step.n1"));
    until(|| bus.stats().nowait_waiting == 0).await;
    (2..=3).for_each(|n| bus.publish_nowait("a", NewEvent::new(format!("step.n{n}"))));
    let publishes = bus.clone();
    let fourth = std::thread::spawn(move || publishes.publish_nowait("a", NewEvent::new("step.n4")));
    until(|| bus.stats().nowait == 5).await;
    world.control.hold(false);
    until(|| fourth.is_finished()).await;
    until(|| world.control.held.2.load(SeqCst) == 0).await;
    world.permits.add_permits(1_000);
    until(|| world.recorded("a").len() == 4).await;
    assert_eq!(world.recorded("a"), steps(1..=4));
    bus.close().await.unwrap();
}
