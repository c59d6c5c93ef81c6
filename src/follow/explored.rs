//! Followers of every kind in thousands of schedules, on both engines: a writer, a flusher, followers that come early and
//! late, and one that leaves. Each known way to get it wrong is injected, and has to be caught.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};

use super::followed::Followed;
use super::request::Follow;
use super::stream::Following;
use crate::error::Error;
use crate::event::{Event, Expect, NewEvent};
use crate::limits::FOLLOW_BUFFER;
use crate::store::Store;
use crate::sync::task::{JoinHandle, Runtime};
use crate::sync::{Condvar, Mutex, no_later_than, thread};
use crate::testkit::{Disk, FOLLOW_FILE_SCHEDULES, FOLLOW_SCHEDULES, all_caught, explore};

const PLACES: [&str; 3] = ["a", "a/b", "c"];
const COMMITS: usize = 5;
/// A batch is given after this time.
const INTERVAL: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Session,
    Branch,
}

impl Scope {
    fn has(self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::Session => place < 2,
            Self::Branch => place == 0,
        }
    }

    fn follow(self, store: &Store) -> Result<Following, Error> {
        store.follow(match self {
            Self::All => Follow::all(),
            Self::Session => Follow::session("a")?,
            Self::Branch => Follow::branch("a")?,
        })
    }
}

/// What there is, and who has seen what of it.
struct World {
    /// Everything that was acknowledged, as place and position.
    log: Mutex<Vec<(usize, u64)>>,
    /// Followers that came before the store was closed.
    begun: Mutex<HashSet<usize>>,
    seen: Mutex<Vec<Vec<u64>>>,
    progress: Condvar,
}

impl World {
    fn write(&self, store: &Store) {
        for _ in 0..COMMITS {
            let burst = thread_rng().gen_bool(0.1);
            let place = thread_rng().gen_range(0..PLACES.len());
            for n in 0..if burst { FOLLOW_BUFFER + 1 } else { 1 } {
                // All but the first of a burst are of one branch.
                let place = if n == 1 { thread_rng().gen_range(0..PLACES.len()) } else { place };
                let count = thread_rng().gen_range(1..=3usize);
                let events: Vec<NewEvent> = (0..count).map(|_| NewEvent::new("step.done")).collect();
                let last = store.append(PLACES[place], events).unwrap().position().get();
                let mut log = self.log.lock().unwrap();
                log.extend((last + 1 - count as u64..=last).map(|position| (place, position)));
            }
        }
    }

    /// `None` when the store is closed.
    fn begin(&self, who: Who, store: &Store) -> Option<Following> {
        let following = match who.scope.follow(store) {
            Err(Error::Closed { .. }) => return None,
            following => following.unwrap(),
        };
        self.begun.lock().unwrap().insert(who.me);
        Some(following)
    }

    fn deliver(&self, follower: usize, event: &Event) {
        self.seen.lock().unwrap()[follower].push(event.position().get());
        self.progress.notify_all();
    }

    fn due(&self, scope: Scope) -> Vec<u64> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(place, _)| scope.has(*place)).map(|(_, position)| *position).collect()
    }

    /// Until every follower has what it is due. Nothing more is committed, so nothing else will wake it.
    fn wait_until_all_is_delivered(&self, due: &[Vec<u64>]) {
        let mut seen = self.seen.lock().unwrap();
        while seen.iter().zip(due).any(|(seen, due)| seen.len() < due.len()) {
            seen = self.progress.wait(seen).unwrap();
        }
    }
}

/// What a follower does. It may leave after so many events; then another of its kind takes its place.
#[derive(Clone, Copy)]
struct Who {
    me: usize,
    scope: Scope,
    leaves_after: usize,
}

impl Who {
    /// One item; whether it goes on.
    fn take(self, world: &World, event: &Event, left: &mut usize) -> bool {
        world.deliver(self.me, event);
        *left -= 1;
        *left > 0
    }

    async fn in_task(self, world: Arc<World>, store: Store) {
        let Some(mut following) = world.begin(self, &store) else { return };
        drop(store);
        let (mut left, mut told) = (self.leaves_after, 0);
        while let Some(item) = following.next().await {
            match item.unwrap() {
                Followed::CaughtUp { .. } => told += 1,
                Followed::Gap { .. } => panic!("nothing was removed"),
                Followed::Event { event, .. } if !self.take(&world, &event, &mut left) => return,
                Followed::Event { .. } => {}
            }
        }
        assert_eq!(told, 1, "catching up is told once");
    }

    async fn in_batches(self, world: Arc<World>, store: Store) {
        let Some(following) = world.begin(self, &store) else { return };
        drop(store);
        let mut left = self.leaves_after;
        let mut batches = following.batched(2, INTERVAL).unwrap();
        while let Some(batch) = batches.next().await {
            for event in batch.unwrap().events {
                if left > 0 && !self.take(&world, &event, &mut left) {
                    return;
                }
            }
        }
    }

    fn in_thread(self, world: &World, store: Store) {
        let Some(following) = world.begin(self, &store) else { return };
        drop(store);
        let (mut left, mut told) = (self.leaves_after, 0);
        for item in following.blocking() {
            match item.unwrap() {
                Followed::CaughtUp { .. } => told += 1,
                Followed::Gap { .. } => panic!("nothing was removed"),
                Followed::Event { event, .. } if !self.take(world, &event, &mut left) => return,
                Followed::Event { .. } => {}
            }
        }
        assert_eq!(told, 1, "catching up is told once");
    }
}

const WHO: [Who; 5] = [
    Who { me: 0, scope: Scope::All, leaves_after: usize::MAX },
    Who { me: 1, scope: Scope::Session, leaves_after: usize::MAX },
    Who { me: 2, scope: Scope::Branch, leaves_after: usize::MAX },
    Who { me: 3, scope: Scope::Session, leaves_after: 2 },
    Who { me: 4, scope: Scope::Session, leaves_after: usize::MAX },
];

enum Running {
    Task(JoinHandle<()>),
    Thread(thread::JoinHandle<()>),
}

impl Running {
    fn join(self) {
        match self {
            Self::Task(task) => shuttle::future::block_on(task).unwrap(),
            Self::Thread(thread) => thread.join().unwrap(),
        }
    }
}

fn begin(who: Who, world: &Arc<World>, store: &Store) -> Running {
    let (world, store) = (world.clone(), store.clone());
    let runtime = Runtime::current().unwrap();
    match thread_rng().gen_range(0..3) {
        0 => Running::Task(runtime.spawn(who.in_task(world, store))),
        1 => Running::Task(runtime.spawn(who.in_batches(world, store))),
        _ => spawned(move || who.in_thread(&world, store)),
    }
}

fn spawned(work: impl FnOnce() + Send + 'static) -> Running {
    Running::Thread(thread::Builder::new().spawn(work).unwrap())
}

/// A store's life. In one half of the schedules everything is delivered before the end, which would wake everybody.
fn life(store: Store, flushes: usize) {
    // The time of a batch is the only one that anybody waits for.
    no_later_than(INTERVAL * 1_000);
    let world = Arc::new(World {
        log: Mutex::default(),
        begun: Mutex::default(),
        seen: Mutex::new(vec![Vec::new(); WHO.len()]),
        progress: Condvar::new(),
    });
    let first = store.append_if(PLACES[1], Expect::Empty, NewEvent::new("step.done")).unwrap();
    world.log.lock().unwrap().push((1, first.position().get()));
    let mut followers: Vec<Running> = WHO[..3].iter().map(|who| begin(*who, &world, &store)).collect();
    followers.push({
        let (world, store) = (world.clone(), store.clone());
        spawned(move || {
            begin(WHO[3], &world, &store).join();
            begin(WHO[4], &world, &store).join();
        })
    });
    let writer = {
        let (world, store) = (world.clone(), store.clone());
        spawned(move || world.write(&store))
    };
    let flusher = {
        let store = store.clone();
        spawned(move || (0..flushes).for_each(|_| store.maintenance().flush().unwrap()))
    };
    writer.join();
    flusher.join();
    let mut due: Vec<Vec<u64>> = WHO.iter().map(|who| world.due(who.scope)).collect();
    due[3].truncate(WHO[3].leaves_after);
    if thread_rng().gen_bool(0.5) && due[3].len() == WHO[3].leaves_after {
        world.wait_until_all_is_delivered(&due);
    }
    store.close().unwrap();
    followers.into_iter().for_each(Running::join);
    let begun = world.begun.lock().unwrap();
    for (who, due) in WHO.iter().zip(due).filter(|(who, _)| begun.contains(&who.me)) {
        assert_eq!(world.seen.lock().unwrap()[who.me], due, "each event once, in order, without a hole");
    }
}

fn in_memory() {
    life(Store::in_memory().unwrap(), 0);
}

fn on_a_file() {
    let store = Store::builder().flush_after(3, 1 << 20).with_backend(Disk::new().backend()).unwrap();
    life(store, 2);
}

#[test]
fn every_event_is_delivered_once_in_order_and_the_end_comes() {
    explore(FOLLOW_SCHEDULES, in_memory);
}

#[test]
fn the_same_while_events_move_from_memory_to_the_file() {
    explore(FOLLOW_FILE_SCHEDULES, on_a_file);
}

/// The known wrong orders, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    all_caught(&[
        ("ReadBeforeSubscribe", in_memory, &["deadlock"]),
        ("FirstCursor", in_memory, &["each event once"]),
        ("FramesUnchecked", in_memory, &["each event once"]),
        ("LagIgnored", in_memory, &["deadlock"]),
        ("TablesBeforeTail", on_a_file, &["each event once", "is missing", "deadlock"]),
        ("ToldBeforeReadable", on_a_file, &["deadlock"]),
    ]);
}
