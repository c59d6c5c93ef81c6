//! Consumers in thousands of schedules: workers that acknowledge, refuse, take too long and go away, a clock that runs on,
//! processes that are killed and begin anew from what is stored, and two of them at a time, on runtimes of their own that end
//! or that nobody runs any more. Each known way to get it wrong is injected, and has to be caught.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use tokio::sync::Notify;

use super::{Consumer, ConsumerConfig, Delivery};
use crate::delivery::Owner;
use crate::engine::{Commit, Engine, EngineLayer, Outcome, Submitted, beside, open_in_memory};
use crate::error::{Error, Result};
use crate::event::{Expect, NewEvent, Pattern};
use crate::store::{Batch, Builder, Query, Store};
use crate::sync::task::{JoinHandle, Runtime};
use crate::sync::{Mutex, end_runtimes, hurry, in_vain, point, runtimes};
use crate::testkit::{CONSUMER_SCHEDULES, all_caught, explore};

const WORKERS: usize = 3;
const EVENTS: usize = 8;
const CRASHES: usize = 2;
/// Runtimes that end, or that nobody runs any more.
const STOPPED: usize = 3;
const MAX_DELIVERIES: u32 = 3;
const NAME: &str = "c";
const BRANCHES: [&str; 3] = ["s/m", "s/n", "s/o"];

fn config() -> ConsumerConfig {
    ConsumerConfig::new()
        .pattern(Pattern::new("wanted.*").unwrap())
        .deadline(Duration::from_millis(100))
        .max_deliveries(MAX_DELIVERIES)
        .max_in_flight(3)
        .backoff(Duration::from_millis(10), Duration::from_millis(15))
}

/// A process's view of the engine, which outlives it: from the moment it is killed nothing that it does counts.
#[derive(Debug)]
struct Mortal {
    engine: Arc<dyn Engine>,
    world: Arc<World>,
    dead: Arc<AtomicBool>,
}

impl Mortal {
    fn commits(&self, commit: Commit) -> Result<Outcome> {
        let outcome = self.alive().and_then(|()| self.danger()).and_then(|()| self.engine.commit(commit));
        if outcome.is_ok() {
            self.world.floor_is_over_nothing_unresolved();
            self.world.changed.notify_waiters();
            self.danger()?;
        }
        outcome
    }

    fn alive(&self) -> Result<()> {
        if self.dead.load(Ordering::SeqCst) { Err(Error::storage("killed")) } else { Ok(()) }
    }

    /// The process may be killed here.
    fn danger(&self) -> Result<()> {
        let crashes = &self.world.crashes;
        if crashes.load(Ordering::SeqCst) > 0 && thread_rng().gen_bool(0.03) {
            crashes.fetch_sub(1, Ordering::SeqCst);
            self.dead.store(true, Ordering::SeqCst);
            self.world.changed.notify_waiters();
        }
        self.alive()
    }
}

impl EngineLayer for Mortal {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.commits(commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { self.commits(commit) })
    }
}

#[derive(Debug)]
struct Process {
    store: Store,
    consumer: Consumer,
    dead: Arc<AtomicBool>,
    /// Where it was opened.
    home: Runtime,
}

impl Process {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

/// An event of the store.
#[derive(Clone, Debug)]
struct Known {
    branch: usize,
    wanted: bool,
}

#[derive(Debug, Default)]
struct Seen {
    log: BTreeMap<u64, Known>,
    /// Acknowledgements that were asked for.
    asked: BTreeSet<u64>,
    /// Those that workers were told of, with the number of the delivery.
    answered: BTreeMap<u64, u64>,
    /// How often the event that kills did so.
    killed: u32,
    replayed: bool,
    /// What each worker, and who else is there, is at.
    at: BTreeMap<String, &'static str>,
}

/// What survives, and what is seen of it.
#[derive(Debug)]
struct World {
    root: Arc<dyn Engine>,
    store: Store,
    seen: std::sync::Mutex<Seen>,
    crashes: AtomicUsize,
    appending: AtomicBool,
    over: AtomicBool,
    changed: Notify,
    processes: Mutex<Vec<Arc<Process>>>,
    /// Each on a runtime of its own.
    workers: std::sync::Mutex<Vec<(Runtime, JoinHandle<()>)>>,
    /// The event that kills the process that is handed it.
    poison: Option<u64>,
}

impl World {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn owner() -> Owner {
        Owner::consumer(NAME).unwrap()
    }

    fn is_dead_letter(&self, position: u64) -> bool {
        self.store.dead_letters().get(&Self::owner(), position).is_ok()
    }

    /// Resolved, or about to be. In this order: a dead letter that is handled meanwhile was asked for before.
    fn is_resolved(&self, position: u64) -> bool {
        self.is_dead_letter(position) || self.seen().asked.contains(&position)
    }

    /// The cursor has moved over nothing that is not resolved.
    fn floor_is_over_nothing_unresolved(&self) {
        let Ok(info) = self.store.consumers().info(NAME) else { return };
        let log = self.seen().log.clone();
        for position in log.range(..=info.ack_floor.get()).filter(|(_, known)| known.wanted).map(|(p, _)| *p)
        {
            assert!(self.is_resolved(position), "the cursor passed {position}");
        }
    }

    /// A process that is alive.
    fn process(&self) -> Option<Arc<Process>> {
        let processes = self.processes.lock().unwrap();
        let alive: Vec<_> = processes.iter().filter(|process| !process.is_dead()).cloned().collect();
        drop(processes);
        if alive.is_empty() { None } else { Some(alive[thread_rng().gen_range(0..alive.len())].clone()) }
    }

    /// Until `ready`, which is looked at whenever something has changed.
    async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(ready) = ready() {
                return ready;
            }
            changed.await;
        }
    }

    fn append(&self) {
        for _ in 0..EVENTS {
            let branch = thread_rng().gen_range(0..BRANCHES.len());
            let wanted = thread_rng().gen_bool(0.8);
            let event = NewEvent::new(if wanted { "wanted.event" } else { "other.event" });
            let position = self.store.append(BRANCHES[branch], event).unwrap().position().get();
            self.seen().log.insert(position, Known { branch, wanted });
        }
        self.appending.store(false, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    fn employ(self: &Arc<Self>) {
        let runtime = Runtime::another();
        let works = runtime.spawn(self.clone().work(format!("{runtime:?}")));
        self.workers.lock().unwrap().push((runtime, works));
    }

    /// Has runtimes end, with all that is done there, or nobody run them any more. Some worker always goes on.
    fn stop(self: &Arc<Self>) {
        for _ in 0..thread_rng().gen_range(0..=STOPPED) {
            for _ in 0..thread_rng().gen_range(0..100) {
                point();
            }
            if thread_rng().gen_bool(0.4) {
                let (runtime, _works) = self.workers.lock().unwrap().remove(0);
                self.employ();
                self.at("stop", "ends a worker");
                runtime.end();
                self.at(&format!("{runtime:?}"), "has ended");
            } else if let Some(process) = self.process() {
                self.at("stop", "ends where a consumer was opened");
                match thread_rng().gen_bool(0.5) {
                    true => process.home.end(),
                    false => process.home.stand_still(true),
                }
            }
        }
        self.at("stop", "is done");
    }

    fn at(&self, who: &str, what: &'static str) {
        self.seen().at.insert(who.to_owned(), what);
    }

    /// What the model waits for.
    fn open(&self) -> String {
        let seen = self.seen();
        let open = seen.log.iter().filter(|(at, known)| known.wanted && !seen.asked.contains(at));
        let open: Vec<u64> = open.map(|(at, _)| *at).collect();
        format!("nothing goes on, and {open:?} are not resolved: {:?}; runtimes {}", seen.at, runtimes())
    }

    async fn work(self: Arc<Self>, name: String) {
        loop {
            self.at(&name, "waits for a process");
            let process = self
                .until(|| match self.over.load(Ordering::SeqCst) {
                    true => Some(None),
                    false => self.process().map(Some),
                })
                .await;
            let Some(process) = process else { return self.at(&name, "is done") };
            if thread_rng().gen_bool(0.1) {
                // Asks, and goes away before it is answered: what it was offered goes back.
                let mut asks = std::pin::pin!(process.consumer.next());
                std::future::poll_fn(|context| {
                    let _ = asks.as_mut().poll(context);
                    std::task::Poll::Ready(())
                })
                .await;
                point();
            }
            self.at(&name, "waits for an event");
            match process.consumer.next().await {
                Ok(delivery) if !process.is_dead() => {
                    self.at(&name, "handles an event");
                    self.handle(&process, delivery).await;
                }
                Ok(_) => {}
                Err(_) => {
                    // Killed, closed, or ended by what it could not write: not to be asked again.
                    process.dead.store(true, Ordering::SeqCst);
                    self.changed.notify_waiters();
                }
            }
        }
    }

    /// What holds whenever an event is handed out.
    fn is_due(&self, delivery: &Delivery) {
        let (event, at) = (delivery.event(), delivery.event().position().get());
        let again = self.is_dead_letter(at);
        let branch =
            BRANCHES.iter().position(|name| *name == format!("s/{}", event.branch().as_str())).unwrap();
        let early: Vec<u64> = {
            let mut seen = self.seen();
            seen.log.entry(at).or_insert(Known { branch, wanted: true });
            // One that comes late was handed out before.
            let answered = seen.answered.get(&at).is_some_and(|number| number_of(delivery) > *number);
            assert!(!answered, "{at} was acknowledged and answered");
            let before = seen.log.range(..at).filter(|(_, known)| known.wanted && known.branch == branch);
            before.map(|(position, _)| *position).collect()
        };
        assert_eq!(event.kind(), "wanted.event", "{at} was not wanted");
        assert!(
            delivery.deliveries() <= MAX_DELIVERIES,
            "{at} was delivered {} times",
            delivery.deliveries()
        );
        let unresolved = early.into_iter().find(|position| !again && !self.is_resolved(*position));
        assert_eq!(unresolved, None, "{at} came before its turn");
    }

    async fn handle(&self, process: &Process, delivery: Delivery) {
        let at = delivery.event().position().get();
        self.is_due(&delivery);
        // Not when it was replayed, also when it comes late.
        let is_replayed = self.seen().replayed || self.is_dead_letter(at);
        if self.poison == Some(at) && !is_replayed {
            let mut seen = self.seen();
            seen.killed += 1;
            assert!(seen.killed <= MAX_DELIVERIES, "the process was killed once too often");
            drop(seen);
            process.dead.store(true, Ordering::SeqCst);
            self.changed.notify_waiters();
            return;
        }
        match thread_rng().gen_range(0..10) {
            0 => drop(delivery.nack(None).await),
            1 => drop(delivery.nack(Duration::ZERO).await),
            2 => {}
            3..=5 => {
                let effect = NewEvent::new("effect.done").json_text(at.to_string());
                let effect = Batch::new().add("effects", Expect::Any, effect).unwrap();
                self.seen().asked.insert(at);
                self.told(process, &delivery, delivery.ack_with(effect).await.map(drop));
            }
            6 => {
                let _ = delivery.touch().await;
                self.seen().asked.insert(at);
                self.told(process, &delivery, delivery.ack().await);
            }
            _ => {
                self.seen().asked.insert(at);
                self.told(process, &delivery, delivery.ack().await);
            }
        }
        // Somebody may wait for what is resolved now.
        self.changed.notify_waiters();
    }

    fn told(&self, process: &Process, delivery: &Delivery, answer: Result<()>) {
        let at = delivery.event().position().get();
        match answer {
            _ if process.is_dead() => {}
            Ok(()) => drop(self.seen().answered.insert(at, number_of(delivery))),
            // Or it took too long, and is delivered again.
            Err(Error::NotDelivered { reason, .. }) => {
                assert!(!reason.contains("no such delivery"), "{at} was delivered");
            }
            Err(_) => {}
        }
    }

    /// A process, as soon as one can be opened.
    async fn opened(self: &Arc<Self>) -> Arc<Process> {
        loop {
            let dead = Arc::new(AtomicBool::new(false));
            let engine = beside(self.root.clone());
            let mortal = Mortal { engine, world: self.clone(), dead: dead.clone() };
            let store = Builder::new().on(Arc::new(mortal)).unwrap();
            let (home, opening) = (Runtime::another(), store.clone());
            let opened = home.spawn(async move { opening.consumers().open(NAME, config()).await });
            match opened.await.unwrap() {
                Ok(consumer) => return Arc::new(Process { store, consumer, dead, home }),
                Err(error) => {
                    assert!(dead.load(Ordering::SeqCst), "the consumer cannot be opened: {error}");
                    store.close().unwrap();
                }
            }
        }
    }

    /// Everything is resolved, and what became a dead letter was replayed once.
    fn is_done(&self) -> bool {
        if self.appending.load(Ordering::SeqCst) {
            return false;
        }
        let Ok(info) = self.store.consumers().info(NAME) else { return false };
        let dead_letters = self.store.dead_letters().list(Some(&Self::owner()), None, EVENTS).unwrap();
        let open = dead_letters.iter().any(|dead_letter| dead_letter.again);
        if info.lag > 0 || !info.outstanding.is_empty() || open {
            return false;
        }
        if dead_letters.is_empty() || std::mem::replace(&mut self.seen().replayed, true) {
            return true;
        }
        self.store.dead_letters().replay_all(&Self::owner()).unwrap();
        false
    }

    /// Keeps so many processes alive until everything is done.
    async fn keep_alive(self: &Arc<Self>, count: usize) {
        loop {
            let dead: Vec<_> = {
                let mut processes = self.processes.lock().unwrap();
                let (dead, alive) = processes.drain(..).partition(|process| process.is_dead());
                *processes = alive;
                dead
            };
            dead.iter().for_each(|process| process.store.close().unwrap());
            let missing = count - self.processes.lock().unwrap().len();
            for _ in 0..missing {
                self.at("main", "opens");
                let process = self.opened().await;
                self.processes.lock().unwrap().push(process);
                self.changed.notify_waiters();
            }
            self.at("main", "waits");
            let done = self
                .until(|| {
                    let any_dead = self.processes.lock().unwrap().iter().any(|process| process.is_dead());
                    if any_dead { Some(false) } else { self.is_done().then_some(true) }
                })
                .await;
            if done {
                break;
            }
        }
        self.at("main", "is done");
        self.over.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
        let processes = std::mem::take(&mut *self.processes.lock().unwrap());
        processes.iter().for_each(|process| process.store.close().unwrap());
    }
}

fn number_of(delivery: &Delivery) -> u64 {
    delivery.token().0.delivery
}

fn life() {
    hurry();
    let poison = thread_rng().gen_bool(0.3).then(|| thread_rng().gen_range(1..=EVENTS as u64));
    let root = open_in_memory(false);
    let store = Builder::new().on(root.clone()).unwrap();
    BRANCHES.iter().for_each(|branch| {
        store.append_if(*branch, Expect::Empty, NewEvent::new("other.event")).unwrap();
    });
    let world = Arc::new(World {
        root,
        store: store.clone(),
        seen: std::sync::Mutex::default(),
        crashes: AtomicUsize::new(CRASHES),
        appending: AtomicBool::new(true),
        over: AtomicBool::new(false),
        changed: Notify::new(),
        processes: Mutex::default(),
        workers: std::sync::Mutex::default(),
        poison: poison.map(|position| position + BRANCHES.len() as u64),
    });
    let runtime = Runtime::current().unwrap();
    let waits = world.clone();
    let watched = in_vain(Duration::from_secs(3_600), move || waits.open());
    (0..WORKERS).for_each(|_| world.employ());
    let (appender, stops) = (world.clone(), world.clone());
    let others =
        [runtime.spawn_blocking(move || appender.append()), runtime.spawn_blocking(move || stops.stop())];
    let count = if thread_rng().gen_bool(0.3) { 2 } else { 1 };
    block_on(world.keep_alive(count));
    others.into_iter().for_each(|other| block_on(other).unwrap());
    let workers = std::mem::take(&mut *world.workers.lock().unwrap());
    workers.into_iter().for_each(|(_, works)| block_on(works).unwrap());
    drop(watched);

    let effects = store.events(Query::branch("effects").unwrap()).unwrap();
    let effects: Vec<String> =
        effects.flatten().map(|event| String::from_utf8(event.payload().to_vec()).unwrap()).collect();
    let seen = world.seen();
    for (position, _) in seen.log.iter().filter(|(_, known)| known.wanted) {
        let resolved = seen.asked.contains(position) || world.is_dead_letter(*position);
        assert!(resolved, "{position} was lost");
        let count = effects.iter().filter(|effect| **effect == position.to_string()).count();
        assert!(count <= 1, "{position} took effect {count} times");
    }
    drop(seen);
    store.close().unwrap();
    end_runtimes();
}

#[test]
fn nothing_is_lost_and_only_the_unacknowledged_is_delivered_again_in_the_order_of_its_branch() {
    explore(CONSUMER_SCHEDULES, life);
}

/// The known wrong orders, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    all_caught(&[
        ("HighestAck", life, &["the cursor passed"]),
        ("HandsOutFirst", life, &["before its turn", "once too often", "was delivered"]),
        ("AnswersFirst", life, &["answered", "before its turn", "once too often", "was delivered"]),
        ("AppendsApart", life, &["took effect"]),
        ("ForgetsDeliveries", life, &["once too often", "was delivered"]),
        ("NumbersAgain", life, &["was delivered", "cannot be opened"]),
        ("ForgetsDeadlines", life, &["are not resolved"]),
    ]);
}
