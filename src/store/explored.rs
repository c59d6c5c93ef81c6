//! The writer and the flush in thousands of schedules: appends of every kind by threads and tasks, relaxed and durable,
//! with and without records, while readers read and layers are flushed, on a disk that loses power. Each known way to get
//! it wrong is injected, and has to be caught.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};

use crate::error::Error;
use crate::event::{EventId, Expect, NewEvent};
use crate::store::{Batch, Durability, Query, SidecarTable, SidecarWrites, Store};
use crate::sync::no_later_than;
use crate::sync::task::Runtime;
use crate::testkit::{Cut, Disk, WRITER_SCHEDULES, all_caught, explore};

const BRANCHES: [&str; 2] = ["m", "n"];
const APPENDERS: usize = 3;
const EACH: usize = 3;
/// When nobody appends, the tail is flushed after this time.
const IDLE: Duration = Duration::from_millis(500);

/// An append that was acknowledged.
#[derive(Clone, Copy)]
struct Done {
    branch: usize,
    sequence: u64,
    position: u64,
    id: EventId,
    durable: bool,
    /// So many operations of the disk were done when it was.
    operations: usize,
}

struct World {
    disk: Disk,
    done: std::sync::Mutex<Vec<Done>>,
}

impl World {
    fn done(&self) -> std::sync::MutexGuard<'_, Vec<Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn append(self: Arc<Self>, store: Store, appender: usize) {
        for n in 0..EACH {
            let branch = thread_rng().gen_range(0..BRANCHES.len());
            let durable = thread_rng().gen_bool(0.7);
            let event = NewEvent::new("step.done");
            let id = event.id();
            let mut batch = Batch::new().add(BRANCHES[branch], Expect::Any, event).unwrap();
            batch = batch.durability(if durable { Durability::Durable } else { Durability::Relaxed });
            let key = format!("{appender}/{n}").into_bytes();
            let with_record = thread_rng().gen_bool(0.2);
            if with_record {
                let mut records = SidecarWrites::new();
                records.put(SidecarTable::Consumers, key, id.bytes().to_vec());
                batch = batch.records(records);
            }
            let receipt = match thread_rng().gen_bool(0.5) {
                true => store.append_batch_async(batch).await.unwrap(),
                false => store.append_batch(batch).unwrap(),
            };
            let (sequence, position) = (receipt.last().get(), receipt.position().get());
            let operations = self.disk.operations();
            self.done().push(Done { branch, sequence, position, id, durable, operations });
            self.read(&store);
        }
    }

    /// Everything that was acknowledged before is there, in order and without a hole.
    fn read(&self, store: &Store) {
        let done = self.done().clone();
        let branch = thread_rng().gen_range(0..BRANCHES.len());
        let there = ids(store, branch);
        for done in done.iter().filter(|done| done.branch == branch) {
            let at = usize::try_from(done.sequence).unwrap() - 1;
            assert_eq!(there.get(at), Some(&done.id), "an acknowledged event cannot be read");
        }
        if let Some(last) = done.last() {
            assert!(store.committed().get() >= last.position, "the store ends before what it acknowledged");
            let found = store.get(last.id).unwrap();
            assert_eq!(found.position().get(), last.position, "an id leads to another event");
        }
    }
}

fn ids(store: &Store, branch: usize) -> Vec<EventId> {
    let events = store.events(Query::branch(BRANCHES[branch]).unwrap()).unwrap();
    // The branch may not be there yet.
    let there = events.filter(|event| !matches!(event, Err(Error::NotFound { .. })));
    there.map(|event| event.expect("a branch has no hole").id()).collect()
}

fn life() {
    no_later_than(IDLE * 100);
    let disk = Disk::new();
    let builder = || Store::builder().flush_after(2, 1 << 20).flush_when_idle(IDLE);
    let store = builder().with_backend(disk.backend()).unwrap();
    let world = Arc::new(World { disk: disk.clone(), done: std::sync::Mutex::default() });
    let runtime = Runtime::current().unwrap();
    let mut others: Vec<_> =
        (0..APPENDERS).map(|n| runtime.spawn(world.clone().append(store.clone(), n))).collect();
    let flushing = store.clone();
    others.push(runtime.spawn_blocking(move || flushing.maintenance().flush().unwrap()));
    others.into_iter().for_each(|other| block_on(other).unwrap());
    world.read(&store);
    store.close().unwrap();
    drop(store);

    // The power fails at some moment. What was acknowledged as durable before is there.
    let moment = thread_rng().gen_range(0..=disk.operations());
    let before = |done: &&Done| done.durable && done.operations <= moment;
    let durable: Vec<Done> = world.done().iter().filter(before).copied().collect();
    if durable.is_empty() {
        return;
    }
    let after = Disk::from_bytes(disk.moment(moment).cut(&Cut::Nothing));
    let store = builder().with_backend(after.backend()).unwrap();
    for done in durable {
        let found = store.get(done.id).map(|event| event.position().get());
        assert_eq!(found.ok(), Some(done.position), "an acknowledged event was lost");
    }
    store.close().unwrap();
}

#[test]
fn what_is_acknowledged_is_read_by_everybody_and_survives_a_power_failure() {
    explore(WRITER_SCHEDULES, life);
}

/// The known wrong orders, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    const NOT_READABLE: &[&str] = &["NotFound", "cannot be read", "no hole"];
    all_caught(&[
        ("AnswersBeforeSync", life, &["was lost"]),
        ("ThawsBeforeCommit", life, NOT_READABLE),
        ("KeepsView", life, NOT_READABLE),
        ("TablesBeforeTail", life, NOT_READABLE),
        ("WakesNobody", life, &["deadlock"]),
    ]);
}
