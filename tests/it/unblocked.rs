//! What tasks await reads the file on threads that may block, never on the worker of the runtime.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
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
    let builder = Store::builder().cache_bytes(0).settle_when_idle(Duration::from_secs(3_600));
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
    store.settle().unwrap();
    readers.forget();
    store.read(&Query::branch("s").unwrap()).unwrap();
    assert!(!readers.are_others());
}

#[test]
fn a_follower_of_flushed_events_reads_them_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    store.fork("s@5", "b").unwrap();
    store.settle().unwrap();
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
            store.append_async("s", retold::Expect::Any, events(1)).await.unwrap();
            assert_eq!(following.next_event().await.unwrap().unwrap().sequence().get(), n);
        }
        assert!(!readers.are_some());
    });
}

#[test]
fn a_consumer_is_opened_used_reset_and_removed_without_a_read_on_the_worker() {
    let (store, readers) = watched();
    store.append("s", events(3)).unwrap();
    store.settle().unwrap();
    on_one_worker(async {
        readers.forget();
        let consumer = store.consumer("c", ConsumerConfig::new()).await.unwrap();
        consumer.next().await.unwrap().park("no reason").await.unwrap();
        consumer.next().await.unwrap().ack().await.unwrap();
        assert!(readers.are_some() && readers.are_others(), "used");
        store.replay_letters(&Owner::consumer("c").unwrap()).unwrap();
        readers.forget();
        // The letter that was sent again.
        let again = consumer.next().await.unwrap();
        assert_eq!(again.event().sequence().get(), 1);
        again.ack().await.unwrap();
        consumer.close().await;
        drop(store.open_consumer("c").await.unwrap());
        store.reset_consumer("c", ConsumerConfig::new()).await.unwrap();
        assert_eq!(store.remove_consumer("c").await.unwrap(), 0);
        assert!(readers.are_some() && readers.are_others(), "reset and removed");
    });
}

#[test]
fn a_fork_a_promotion_and_a_choice_of_branch_read_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    store.settle().unwrap();
    on_one_worker(async {
        readers.forget();
        let branch = store.fork_async("s", "b").await.unwrap();
        assert_eq!((branch.head.get(), branch.events), (10, 0));
        store.append("s/b", events(3)).unwrap();
        store.settle().unwrap();
        readers.forget();
        store.set_current_async(&"s".try_into().unwrap(), &"b".try_into().unwrap()).await.unwrap();
        assert_eq!(store.promote_async("s/b").await.unwrap().last().get(), 13);
        assert!(readers.are_some() && readers.are_others());
    });
    assert_eq!(store.head("s").unwrap().get(), 13);
}
