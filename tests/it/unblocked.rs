//! What tasks await reads the file on threads that may block, never on the worker of the runtime.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use retold::agents::projections::Stats;
use retold::{ConsumerConfig, Follow, Followed, NewEvent, Owner, Query, Store};

/// A file in memory that remembers which threads read it.
#[derive(Debug, Default)]
struct Watched {
    file: InMemoryBackend,
    readers: Readers,
}

#[derive(Clone, Debug, Default)]
struct Readers(Arc<Mutex<HashSet<ThreadId>>>);

impl Readers {
    fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    fn are_others(&self) -> bool {
        !self.0.lock().unwrap().contains(&std::thread::current().id())
    }

    fn are_some(&self) -> bool {
        !self.0.lock().unwrap().is_empty()
    }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.readers.0.lock().unwrap().insert(std::thread::current().id());
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
}

/// A store without a cache, so that whoever reads it reads the file.
fn watched() -> (Store, Readers) {
    let file = Watched::default();
    let readers = file.readers.clone();
    let builder = Store::builder().cache_bytes(0).flush_when_idle(Duration::from_secs(3_600));
    (builder.with_backend(Box::new(file)).unwrap(), readers)
}

fn events(n: usize) -> Vec<NewEvent> {
    (0..n).map(|_| NewEvent::new("step.done")).collect()
}

/// Everything on the one thread of the test, whose reads are seen as its own.
fn on_one_worker<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn caught_up(store: &Store, readers: &Readers, follow: Follow) -> usize {
    let mut following = store.follow(follow).unwrap();
    // That it is made is the caller's; what it awaits is not.
    readers.forget();
    let mut seen = 0;
    loop {
        match following.next().await.unwrap().unwrap() {
            Followed::Event { .. } => seen += 1,
            Followed::CaughtUp { .. } => return seen,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_read_of_the_test_itself_is_seen() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    store.maintenance().flush().unwrap();
    readers.forget();
    store.read(&Query::branch("s").unwrap()).unwrap();
    assert!(!readers.are_others());
}

#[test]
fn a_follower_of_flushed_events_reads_them_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    store.fork("s@5", "b").unwrap();
    store.maintenance().flush().unwrap();
    on_one_worker(async {
        for (follow, count) in [
            (Follow::branch("s").unwrap(), 10),
            (Follow::branch("s/b").unwrap(), 5),
            (Follow::session("s").unwrap(), 10),
            (Follow::all(), 10),
        ] {
            assert_eq!(caught_up(&store, &readers, follow).await, count);
            assert!(readers.are_some() && readers.are_others());
        }
        // Nothing is there to be read; whether there is, is asked of the file.
        assert_eq!(caught_up(&store, &readers, Follow::branch("later").unwrap()).await, 0);
        assert!(readers.are_others());
    });
}

#[test]
fn a_follower_that_keeps_up_reads_nothing() {
    let (store, readers) = watched();
    on_one_worker(async {
        store.append("s", events(1)).unwrap();
        let mut following = store.follow(Follow::branch("s").unwrap()).unwrap();
        assert!(following.next_event().await.unwrap().is_ok());
        readers.forget();
        for n in 2..=20 {
            store.append_async("s", events(1)).await.unwrap();
            assert_eq!(following.next_event().await.unwrap().unwrap().sequence().get(), n);
        }
        assert!(!readers.are_some());
    });
}

#[test]
fn a_consumer_is_opened_used_reset_and_removed_without_a_read_on_the_worker() {
    let (store, readers) = watched();
    store.append("s", events(3)).unwrap();
    store.maintenance().flush().unwrap();
    on_one_worker(async {
        readers.forget();
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
        consumer.next().await.unwrap().park("no reason").await.unwrap();
        consumer.next().await.unwrap().ack().await.unwrap();
        assert!(readers.are_some() && readers.are_others(), "used");
        store.dead_letters().replay_all(&Owner::consumer("c").unwrap()).unwrap();
        readers.forget();
        // The dead letter that was sent again.
        let again = consumer.next().await.unwrap();
        assert_eq!(again.event().sequence().get(), 1);
        again.ack().await.unwrap();
        consumer.close().await;
        drop(store.consumers().open_existing("c").await.unwrap());
        store.consumers().reset("c", ConsumerConfig::new()).await.unwrap();
        assert_eq!(store.consumers().remove("c").await.unwrap(), 0);
        assert!(readers.are_some() && readers.are_others(), "reset and removed");
    });
}

#[test]
fn a_fork_a_promotion_and_a_choice_of_branch_read_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    store.maintenance().flush().unwrap();
    on_one_worker(async {
        readers.forget();
        let branch = store.fork_async("s", "b").await.unwrap();
        assert_eq!((branch.head.get(), branch.events), (10, 0));
        store.append("s/b", events(3)).unwrap();
        store.maintenance().flush().unwrap();
        readers.forget();
        store.set_current_async(&"s".try_into().unwrap(), &"b".try_into().unwrap()).await.unwrap();
        assert_eq!(store.promote_async("s/b").await.unwrap().last().get(), 13);
        assert!(readers.are_some() && readers.are_others());
    });
    assert_eq!(store.head("s").unwrap().get(), 13);
}

#[test]
fn what_only_reads_has_an_async_form_that_answers_the_same_from_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    store.fork("s@5", "b").unwrap();
    store.maintenance().flush().unwrap();
    let (session, query) = ("s".try_into().unwrap(), Query::branch("s/b").unwrap());
    let id = store.read(&query).unwrap().events[0].id();
    let (head, info, lines) = (store.head("s/b"), store.branch("s/b"), store.ancestry("s/b"));
    let (event, stored) = (store.get(id), store.get_raw(id));
    let (sessions, branches) = (store.sessions(None, 9), store.branches(&session));
    let (current, page) = (store.current(&session), store.read(&query).unwrap().events);
    let all = store.read_all(3.into(), 4).unwrap().events;
    on_one_worker(async {
        readers.forget();
        assert_eq!(store.head_async("s/b").await, head);
        assert_eq!(store.branch_async("s/b").await, info);
        assert_eq!(store.ancestry_async("s/b").await, lines);
        assert_eq!((store.get_async(id).await, store.get_raw_async(id).await), (event, stored));
        assert_eq!(store.sessions_async(None, 9).await, sessions);
        assert_eq!(store.branches_async(&session).await, branches);
        assert_eq!(store.current_async(&session).await, current);
        assert_eq!(store.read_async(&query).await.unwrap().events, page);
        assert_eq!(store.read_all_async(3.into(), 4).await.unwrap().events, all);
        store.append_if_async("s", retold::Expect::Head(10.into()), events(1)).await.unwrap();
        store.maintenance().flush_async().await.unwrap();
        assert!(readers.are_some() && readers.are_others());
    });
}

#[test]
fn dead_letters_and_states_have_async_forms_that_read_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(3)).unwrap();
    store.maintenance().flush().unwrap();
    let owner = Owner::consumer("c").unwrap();
    let stats = store.project(Stats::of_sessions()).unwrap();
    stats.catch_up().unwrap();
    let expected = stats.state("s").unwrap();
    on_one_worker(async {
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
        for _ in 0..2 {
            consumer.next().await.unwrap().park("no reason").await.unwrap();
        }
        consumer.close().await;
        readers.forget();
        assert_eq!(stats.state_async("s").await.unwrap(), expected);
        assert_eq!(stats.read_async("s").await.unwrap().state, expected);
        let dead_letters = store.dead_letters().list_async(Some(&owner), None, 9).await.unwrap();
        assert_eq!(dead_letters.len(), 2);
        assert_eq!(store.dead_letters().get_async(&owner, 1).await.as_ref(), Ok(&dead_letters[0]));
        store.dead_letters().replay_async(&owner, 1).await.unwrap();
        assert_eq!(store.dead_letters().replay_all_async(&owner).await, Ok(2));
        store.dead_letters().discard_async(&owner, 1).await.unwrap();
        assert_eq!(store.dead_letters().discard_all_async(&owner).await, Ok(1));
        assert!(readers.are_some() && readers.are_others());
    });
}
