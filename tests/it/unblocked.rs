//! What tasks await reads the file on threads that may block, never on the worker of the runtime.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use retold::agents::projections::Stats;
use retold::bus::WindowRule;
use retold::bus::spill::Spill;
use retold::project::{Reading, Window};
use retold::{Bus, ConsumerConfig, Filter, Follow, Followed, Message, NewEvent, Owner, Query, Store};

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
    readers.forget();
    let mut following = store.follow_async(follow).await.unwrap();
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
        store.dead_letters().replay_all_async(&Owner::consumer("c").unwrap()).await.unwrap();
        readers.forget();
        // The dead letter that was sent again.
        let again = consumer.next().await.unwrap();
        assert_eq!(again.event().sequence().get(), 1);
        again.ack().await.unwrap();
        consumer.close().await;
        assert!(readers.are_others(), "sent again");
        // What was written lately is in memory.
        store.maintenance().flush_async().await.unwrap();
        readers.forget();
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

#[test]
fn handles_have_async_forms_that_answer_the_same_from_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(10)).unwrap();
    let timer = store.timers().schedule("s", NewEvent::new("a.b"), Duration::from_secs(3_600)).unwrap().id;
    let gone = store.timers().schedule("s", NewEvent::new("a.b"), Duration::from_secs(3_600)).unwrap().id;
    store.project(Stats::of_sessions()).unwrap().catch_up().unwrap();
    store.maintenance().flush().unwrap();
    on_one_worker(async {
        drop(store.consumers().open("c", ConsumerConfig::new()).await.unwrap());
        let all = store.consumers().list().unwrap();
        assert_eq!(store.consumers().info("c").as_ref(), Ok(&all[0]));
        let (info, report) = (store.maintenance().info(), store.maintenance().verify());
        let survey = store.maintenance().survey(|_, _| {});
        let projections = store.projections().list().unwrap();
        readers.forget();
        assert_eq!(store.consumers().list_async().await.unwrap(), all);
        assert_eq!(store.consumers().info_async("c").await.as_ref(), Ok(&all[0]));
        assert_eq!(store.maintenance().info_async().await, info);
        assert_eq!(store.maintenance().verify_async().await, report);
        let (tell, told) = std::sync::mpsc::channel();
        let progress = move |done, total| tell.send((done, total)).unwrap();
        assert_eq!(store.maintenance().verify_with_async(progress).await, report);
        assert_eq!(told.into_iter().last(), Some((10, 10)));
        assert_eq!(store.maintenance().survey_async(|_, _| {}).await, survey);
        assert_eq!(store.projections().list_async().await.unwrap(), projections);
        assert_eq!(store.projections().info_async("stats").await.as_ref(), Ok(&projections[0]));
        assert_eq!(store.timers().list_async(9).await.unwrap().len(), 2);
        assert_eq!(store.timers().get_async(timer).await.unwrap().id, timer);
        store.timers().cancel_async(gone).await.unwrap();
        store.timers().schedule_async("s", NewEvent::new("a.b"), Duration::ZERO).await.unwrap();
        assert_eq!(store.timers().fire_async().await.unwrap().recorded, 1);
        assert_eq!(store.project_async(Stats::of_sessions()).await.unwrap().name(), "stats");
        assert!(readers.are_some() && readers.are_others());
    });
}

#[test]
fn two_branches_are_compared_elsewhere_and_so_are_their_pairs_read() {
    let (store, readers) = watched();
    store.append("s", events(200)).unwrap();
    store.fork("s@1", "b").unwrap();
    store.append("s/b", events(150)).unwrap();
    store.maintenance().flush().unwrap();
    let expected: Vec<_> = store.diff("s", "s/b").unwrap().pairs.map(Result::unwrap).collect();
    on_one_worker(async {
        readers.forget();
        let diff = store.diff_async("s", "s/b").await.unwrap();
        assert_eq!((diff.common.get(), diff.left.get(), diff.right.get()), (1, 200, 151));
        let (mut pairs, mut found) = (diff.pairs.into_stream(), Vec::new());
        while let Some(pair) = pairs.next().await {
            found.push(pair.unwrap());
        }
        assert_eq!((found.len(), &found), (199, &expected));
        assert!(readers.are_some() && readers.are_others());
        let missing = store.diff_async("s", "s/none").await;
        assert!(matches!(missing, Err(retold::Error::NotFound { .. })));
    });
}

#[test]
fn a_projection_is_asked_and_kept_up_elsewhere() {
    let (store, readers) = watched();
    store.append("s", events(200)).unwrap();
    store.append("t", events(3)).unwrap();
    let stats = store.project(Stats::of_sessions()).unwrap();
    stats.catch_up().unwrap();
    store.maintenance().flush().unwrap();
    let now = retold::Timestamp::now();
    let changes: Vec<_> = stats.history("s").unwrap().map(Result::unwrap).collect();
    let by_name = |a: &Reading<_>, b: &Reading<_>| a.of.cmp(&b.of);
    let (all, first) = (stats.list(|_| true).unwrap(), stats.top(1, |_| true, by_name).unwrap());
    on_one_worker(async {
        readers.forget();
        assert_eq!(stats.state_at_async("s", now).await, stats_elsewhere(&stats, |s| s.state_at("s", now)));
        assert_eq!(
            stats.state_of_at_async("s", now).await,
            stats_elsewhere(&stats, |s| s.state_of_at("s", now))
        );
        assert_eq!(stats.state_of_async("s").await, stats_elsewhere(&stats, |s| s.state_of("s")));
        assert_eq!(stats.read_of_async("s").await, stats_elsewhere(&stats, |s| s.read_of("s")));
        assert_eq!(stats.last_good_async("s").await, stats_elsewhere(&stats, |s| s.last_good("s")));
        assert_eq!(
            stats.diff_state_async("s", "t").await,
            stats_elsewhere(&stats, |s| s.diff_state("s", "t"))
        );
        assert_eq!(stats.list_async(|_| true).await.unwrap(), all);
        assert_eq!(stats.top_async(1, |_| true, by_name).await.unwrap(), first);
        for history in [stats.history_async("s").await, stats.history_of_async("s").await] {
            let (mut history, mut found) = (history.unwrap().into_stream(), Vec::new());
            while let Some(change) = history.next().await {
                found.push(change.unwrap());
            }
            assert_eq!((found.len(), &found), (200, &changes));
        }
        stats.catch_up_async().await.unwrap();
        assert_eq!(stats.lag_async().await, Ok(0));
        let rebuild = stats.rebuild_async().await.unwrap();
        assert_eq!(rebuild.wait_async().await, Ok(true));
        assert_eq!(stats.retry_async().await.unwrap().mended, 0);
        let not_parked = stats.retry_of_async("s").await;
        assert!(matches!(not_parked, Err(retold::Error::NotFound { .. })));
        assert!(readers.are_some() && readers.are_others());
    });
}

/// The blocking form, on a thread of its own.
fn stats_elsewhere<S: 'static, T: Send>(
    stats: &retold::Projected<S>,
    ask: impl FnOnce(&retold::Projected<S>) -> T + Send,
) -> T {
    std::thread::scope(|scope| scope.spawn(|| ask(stats)).join().unwrap())
}

#[test]
fn a_store_is_opened_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opened.redb");
    on_one_worker(async {
        let store = Store::open_async(&path).await.unwrap();
        store.append_async("s", events(1)).await.unwrap();
        store.close_async().await.unwrap();
        let missing = Store::builder().open_only().open_async(dir.path().join("none.redb")).await;
        assert!(matches!(missing, Err(retold::Error::NotFound { .. })));
        let store = Store::builder().read_only().open_async(&path).await.unwrap();
        assert_eq!(store.head_async("s").await.unwrap().get(), 1);
    });
}

#[test]
fn a_handler_and_a_rule_subscribe_without_a_read_on_the_worker() {
    let (store, readers) = watched();
    store.append("s", events(3)).unwrap();
    store.maintenance().flush().unwrap();
    on_one_worker(async {
        readers.forget();
        let bus = Bus::builder().max_deliveries(1).timers(false).open(&store).unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let handler = bus.subscribe("step.**").named("fails").from_start();
        let handler = handler
            .run(move |message: Message| {
                tell.send(message.id()).unwrap();
                async { Err::<(), _>(std::io::Error::other("no")) }
            })
            .unwrap();
        let window = Window::Tumbling(Duration::from_secs(1_000 * 365 * 24 * 3_600));
        let filter = Filter::new().pattern("step.**".parse().unwrap());
        let rule = WindowRule::new("many", filter, window, 3).unwrap().run(&store).unwrap();
        for _ in 0..3 {
            told.recv().await.unwrap();
        }
        let alerts = Filter::new().pattern("alert.*".parse().unwrap());
        let mut following = store.follow_async(Follow::all().filter(alerts)).await.unwrap();
        following.next_event().await.unwrap().unwrap();
        drop(rule);
        bus.close().await.unwrap();
        assert_eq!(handler.stats().dead_letters_kept, 3);
        assert!(readers.are_some() && readers.are_others());
    });
    // What an earlier process left is counted, though nothing is read as it subscribes.
    on_one_worker(async {
        let bus = Bus::new(&store).unwrap();
        let handler = bus.subscribe("step.**").named("fails").awaited().run(|_| async {}).unwrap();
        bus.publish("s", NewEvent::new("step.done")).await.unwrap();
        assert_eq!(handler.stats().dead_letters_kept, 3);
        bus.close().await.unwrap();
    });
}

#[test]
fn a_spill_is_filled_and_drained_in_a_task() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let spill = Spill::at(dir.path().join("spill.ndjson"));
    on_one_worker(async {
        spill.put_async("s", &NewEvent::new("step.done")).await.unwrap();
        assert_eq!((spill.stats().put, spill.is_empty()), (1, false));
        assert_eq!(spill.drain_async(&store).await.unwrap().recorded, 1);
        assert_eq!(store.head_async("s").await.unwrap().get(), 1);
    });
}

#[test]
fn an_async_form_waits_for_a_second_blocking_thread_when_it_runs_on_the_only_one() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(1)).unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let handle = store.clone();
        let mut head = Box::pin(async move { handle.head_async("s").await });
        let mut head = tokio::task::spawn_blocking(move || {
            for _ in 0..1_000 {
                assert!(head.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            head
        })
        .await
        .unwrap();
        // The thread is free again.
        assert_eq!(head.as_mut().await.unwrap().get(), 1);
    });
}

#[test]
fn an_async_form_goes_on_elsewhere_when_the_runtime_that_was_to_run_it_ends() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(1)).unwrap();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap()
    };
    let (ends, elsewhere) = (runtime(), runtime());
    let (frees, waits) = std::sync::mpsc::channel::<()>();
    let mut head = Box::pin(async move { store.head_async("s").await });
    ends.block_on(async {
        // The only thread for what blocks.
        drop(tokio::task::spawn_blocking(move || waits.recv()));
        assert!(head.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    ends.shutdown_background();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(elsewhere.block_on(head)));
    // A runtime that ends drops what has not begun when the thread for it is free.
    frees.send(()).unwrap();
    let head = is_done.recv_timeout(Duration::from_secs(60)).expect("it goes on");
    assert_eq!(head.unwrap().get(), 1);
}
