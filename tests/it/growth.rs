//! The file does not grow with what is read: nobody who reads, or stopped reading half-way, keeps the pages that commits
//! of consumers, timers and projections leave behind.

use std::path::PathBuf;
use std::time::Duration;

use retold::project::Scope;
use retold::{Consumer, ConsumerConfig, Follow, Followed, Projected, Query, Store};

use crate::projections::{Steps, Trail};
use crate::support::{batch, numbered};

const SESSIONS: u64 = 10;
const EVENTS_EACH: u64 = 1_000;

struct Growing {
    store: Store,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Growing {
    /// Sessions with events that are in the tables. Nothing is flushed from here on, unless the test says so.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("growing.redb");
        let settings = Store::builder().sync(false).flush_when_idle(Duration::from_secs(3_600));
        // A small journal, so that what is compared is the tables.
        let settings = settings.flush_after(usize::MAX, usize::MAX).journal_bytes(1 << 20);
        let store = settings.open(&path).unwrap();
        for s in 0..SESSIONS {
            let events = (0..EVENTS_EACH).map(numbered).collect();
            store.append_batch(batch(&format!("s-{s}"), events)).unwrap();
            store.maintenance().flush().unwrap();
        }
        Self { store, path, _folder: folder }
    }

    fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }

    fn read_some(&self) {
        assert_eq!(self.store.read(&Query::branch("s-3").unwrap().limit(3)).unwrap().events.len(), 3);
    }

    /// The file has not grown to twice as much as it would have without readers.
    fn holds(&self, without: u64, what: &str) {
        let bytes = self.bytes();
        assert!(bytes < 2 * without, "after {what}: {bytes} bytes, and {without} without a reader");
    }
}

async fn acknowledge(consumer: &Consumer, count: u64) {
    for _ in 0..count {
        consumer.try_next().await.unwrap().expect("there are more events").ack().await.unwrap();
    }
}

/// The size of the file after so many acknowledgements that nobody reads beside.
async fn acknowledged(count: u64) -> u64 {
    let growing = Growing::new();
    let consumer = growing.store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
    acknowledge(&consumer, count).await;
    growing.bytes()
}

async fn acknowledge_beside_a_reader(count: u64) {
    let without = acknowledged(count).await;
    let growing = Growing::new();
    growing.read_some();
    let consumer = growing.store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
    for n in (10..=count).step_by(10) {
        // Read once and never again in the first half, then again and again.
        if n > count / 2 {
            growing.read_some();
        }
        acknowledge(&consumer, 10).await;
        growing.holds(without, &format!("{n} acknowledgements"));
    }
    assert_eq!(growing.store.consumers().info("c").unwrap().ack_floor.get(), count);
}

#[tokio::test]
async fn acknowledgements_beside_a_reader_do_not_make_the_file_grow() {
    acknowledge_beside_a_reader(400).await;
}

#[tokio::test]
#[ignore = "the long form of the test above"]
async fn ten_thousand_acknowledgements_beside_a_reader_do_not_make_the_file_grow() {
    acknowledge_beside_a_reader(10_000).await;
}

fn set_timers_beside_a_reader(count: u64) {
    let set = |growing: &Growing, n: u64| {
        growing.store.timers().schedule("s-0", numbered(n), Duration::from_secs(1_000_000)).unwrap();
    };
    let without = Growing::new();
    (1..=count).for_each(|n| set(&without, n));
    let without = without.bytes();
    let growing = Growing::new();
    growing.read_some();
    for n in 1..=count {
        if n > count / 2 && n % 10 == 0 {
            growing.read_some();
        }
        set(&growing, n);
        growing.holds(without, &format!("{n} timers"));
    }
    growing.read_some();
    for (n, timer) in growing.store.timers().list(usize::MAX).unwrap().iter().enumerate() {
        growing.store.timers().cancel(timer.id).unwrap();
        growing.holds(without, &format!("{n} timers that were cancelled"));
    }
}

#[test]
fn timers_beside_a_reader_do_not_make_the_file_grow() {
    set_timers_beside_a_reader(400);
}

#[test]
#[ignore = "the long form of the test above"]
fn ten_thousand_timers_beside_a_reader_do_not_make_the_file_grow() {
    set_timers_beside_a_reader(10_000);
}

/// An event, its checkpoint, which is not durable by itself, and commits that make it so.
fn step(growing: &Growing, steps: Option<&Projected<Trail>>, n: u64) {
    growing.store.append_batch(batch("s-3", vec![numbered(n)])).unwrap();
    if let Some(steps) = steps {
        steps.catch_up().unwrap();
    }
    let timer = growing.store.timers().schedule("s-0", numbered(n), Duration::from_secs(1_000_000)).unwrap();
    growing.store.timers().cancel(timer.id).unwrap();
}

fn project_beside_a_reader(count: u64) {
    // A projection is a reader too: what it is compared with has none.
    let without = Growing::new();
    (1..=count).for_each(|n| step(&without, None, n));
    let without = without.bytes();
    let growing = Growing::new();
    let steps = growing.store.project(Steps::by(Scope::Session)).unwrap();
    for n in 1..=count {
        step(&growing, Some(&steps), n);
        // The first reader begins after a checkpoint that is not durable yet.
        if n == 1 || (n > count / 2 && n % 10 == 0) {
            growing.read_some();
            assert_eq!(steps.state("s-3").unwrap().count, EVENTS_EACH + n);
        }
        growing.holds(without, &format!("{n} checkpoints"));
    }
}

#[test]
fn checkpoints_of_a_projection_beside_a_reader_do_not_make_the_file_grow() {
    project_beside_a_reader(200);
}

#[test]
#[ignore = "the long form of the test above"]
fn ten_thousand_checkpoints_of_a_projection_beside_a_reader_do_not_make_the_file_grow() {
    project_beside_a_reader(10_000);
}

#[tokio::test]
async fn readers_that_stopped_half_way_do_not_make_the_file_grow() {
    const ACKS: u64 = 400;
    let without = acknowledged(ACKS).await;
    let growing = Growing::new();
    let store = &growing.store;
    let steps = store.project(Steps::by(Scope::Branch)).unwrap();
    steps.catch_up().unwrap();
    let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();

    let mut following = store.follow(Follow::branch("s-1").unwrap()).unwrap();
    assert!(matches!(following.next().await, Some(Ok(Followed::Event { .. }))));
    let mut long = store.events(Query::branch("s-2").unwrap()).unwrap();
    let mut everything = store.events(Query::all()).unwrap();
    let mut back = store.events(Query::branch("s-4").unwrap().reverse()).unwrap();
    assert!(long.next().is_some() && everything.next().is_some() && back.next().is_some());
    let mut history = steps.history("s-5").unwrap();
    assert!(history.next().is_some());

    for n in 0..ACKS / 10 {
        acknowledge(&consumer, 10).await;
        growing.holds(without, &format!("{} acknowledgements", (n + 1) * 10));
    }
    let rest = EVENTS_EACH - 1;
    assert_eq!(long.count() as u64, rest);
    assert_eq!(everything.count() as u64, SESSIONS * EVENTS_EACH - 1);
    assert_eq!(back.count() as u64, rest);
    assert_eq!(history.count() as u64, rest);
    for _ in 0..rest {
        assert!(matches!(following.next().await, Some(Ok(Followed::Event { .. }))));
    }
}
