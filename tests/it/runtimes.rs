//! What goes on, and what says that it does not, when the runtime that something was begun on has ended.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use retold::bus::Emitted;
use retold::bus::spill::Spill;
use retold::{Bus, ConsumerConfig, Error, Follow, Message, NewEvent, Store};
use tokio::runtime::{Builder, Runtime};

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
    ]
}

/// Runs work on a runtime that is there for nothing else.
fn elsewhere<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), work).await.expect("an end in time")
    })
}

fn has_ended<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(
        matches!(&result, Err(error @ Error::Storage { .. }) if error.to_string().contains("runtime")),
        "{result:?}"
    );
}

#[test]
fn a_bus_whose_runtime_has_ended_says_so_keeps_what_it_can_and_lets_go_of_the_file() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let store = Store::open(&path).unwrap();
        let bus = runtime.block_on(async {
            let bus = Bus::new(&store).unwrap();
            let (handled, mut handles) = tokio::sync::mpsc::unbounded_channel();
            bus.on("**", move |_: Message| {
                handled.send(()).unwrap();
                async {}
            })
            .unwrap();
            bus.publish("s", NewEvent::new("step.done")).await.unwrap();
            handles.recv().await.unwrap();
            // Not written before the runtime ends; on the one of one thread it is still queued.
            bus.publish_nowait("s", NewEvent::new("step.kept"));
            bus
        });
        runtime.shutdown_timeout(Duration::from_secs(30));

        has_ended(bus.on("**", |_: Message| async {}));
        has_ended(elsewhere(bus.publish("s", NewEvent::new("step.done"))));
        let emitter = bus.emitter("e", "s");
        let emitted = elsewhere(emitter.unwrap().emit(NewEvent::new("step.kept")));
        assert!(matches!(emitted, Emitted::Spilled), "{emitted:?}");
        bus.publish_nowait("s", NewEvent::new("step.kept"));
        assert!(bus.handlers().is_empty());
        elsewhere(bus.flush());
        assert_eq!(elsewhere(bus.close()).unwrap().unfinished, 0);

        // The bus is still there; the file is free.
        store.close().unwrap();
        let again = Store::builder().open_only().open(&path).unwrap();
        assert_eq!(Spill::beside(&again).unwrap().drain(&again).unwrap().set_aside, 0);
        assert_eq!(again.head("s").unwrap().get(), 4);
        again.close().unwrap();
        drop(bus);
    }
}

#[test]
fn a_consumer_goes_on_with_whoever_opens_it_on_another_runtime() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let store = Store::open(&path).unwrap();
        store.append("s", (0..3).map(|_| NewEvent::new("step.done")).collect::<Vec<_>>()).unwrap();
        let (worker, out) = runtime.block_on(async {
            let worker = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
            worker.next().await.unwrap().ack().await.unwrap();
            let out = worker.next().await.unwrap();
            (worker, out)
        });
        runtime.shutdown_timeout(Duration::from_secs(30));
        // Its task is gone, and it says so.
        assert!(elsewhere(worker.try_next()).is_err());
        elsewhere(async {
            let next = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
            next.ack(&out.token()).await.unwrap();
            let last = next.next().await.unwrap();
            assert_eq!(last.event().sequence().get(), 3);
            last.ack().await.unwrap();
            next.close().await;
        });
        store.close().unwrap();
        Store::open(&path).unwrap().close().unwrap();
        drop((worker, out));
    }
}

#[test]
fn a_consumer_goes_on_while_nobody_runs_the_runtime_that_opened_it() {
    let store = Store::in_memory().unwrap();
    store.append("s", (0..4).map(|_| NewEvent::new("step.done")).collect::<Vec<_>>()).unwrap();
    let config = ConsumerConfig::new().deadline(Duration::from_millis(20));
    let [still, _] = runtimes();
    let (worker, out) = still.block_on(async {
        let worker = store.consumers().open("c", config).await.unwrap();
        worker.next().await.unwrap().ack().await.unwrap();
        let out = worker.next().await.unwrap();
        (worker, out)
    });
    // From here on nobody runs it, and it is there.
    elsewhere(async {
        out.ack().await.unwrap();
        let other = store.consumers().open_existing("c").await.unwrap();
        drop(other.next().await.unwrap());
        // Its deadline passes.
        let again = worker.next().await.unwrap();
        assert_eq!((again.event().sequence().get(), again.deliveries()), (3, 2));
        again.ack().await.unwrap();
        let last = other.next().await.unwrap();
        assert_eq!(last.event().sequence().get(), 4);
        last.ack().await.unwrap();
        assert!(other.try_next().await.unwrap().is_none());
        other.close().await;
        assert_eq!(store.consumers().remove("c").await.unwrap(), 0);
    });
    drop((worker, still));
}

#[test]
fn whoever_waits_for_a_consumer_has_its_events_also_when_the_runtime_that_opened_it_ends() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let store = Store::open(&path).unwrap();
        let worker =
            runtime.block_on(async { store.consumers().open("c", ConsumerConfig::new()).await.unwrap() });
        let waits = std::thread::spawn(move || {
            elsewhere(async {
                let mut next = std::pin::pin!(worker.next());
                let is_pending = std::future::poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending()));
                assert!(is_pending.await);
                let ending = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(30)));
                next.await.unwrap().ack().await.unwrap();
                // What it was doing has let go of the file.
                ending.join().unwrap();
            });
        });
        store.append("s", NewEvent::new("step.done")).unwrap();
        waits.join().unwrap();
        // The worker is gone, and nobody has the file.
        store.close().unwrap();
        Store::open(&path).unwrap().close().unwrap();
    }
}

/// A consumer of two events, one of which has been delivered; its deadline is short.
fn delivered(store: &Store, runtime: &Runtime) -> retold::Consumer {
    store.append("s", (0..2).map(|_| NewEvent::new("step.done")).collect::<Vec<_>>()).unwrap();
    runtime.block_on(async {
        let config = ConsumerConfig::new().deadline(Duration::from_millis(300));
        let worker = store.consumers().open("c", config).await.unwrap();
        assert_eq!(worker.next().await.unwrap().deliveries(), 1);
        worker
    })
}

/// It waits for an event, until that is pending.
async fn is_waited_for(next: &mut std::pin::Pin<&mut impl Future>) {
    assert!(std::future::poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await);
}

#[test]
fn a_deadline_is_kept_also_when_a_runtime_that_waited_for_it_has_ended() {
    for home in runtimes() {
        let store = Store::in_memory().unwrap();
        let worker = delivered(&store, &home);
        elsewhere(async {
            let mut next = std::pin::pin!(worker.next());
            is_waited_for(&mut next).await;
        });
        let late = async { tokio::time::timeout(Duration::from_secs(60), worker.next()).await };
        let again = home.block_on(late).expect("it is delivered again").unwrap();
        assert_eq!((again.event().sequence().get(), again.deliveries()), (1, 2));
    }
}

#[test]
fn a_deadline_is_kept_also_when_the_runtime_that_opened_the_consumer_ends_meanwhile() {
    for home in runtimes() {
        let store = Store::in_memory().unwrap();
        let worker = delivered(&store, &home);
        elsewhere(async {
            let mut next = std::pin::pin!(worker.next());
            is_waited_for(&mut next).await;
            std::thread::spawn(move || home.shutdown_timeout(Duration::from_secs(30))).join().unwrap();
            let again = next.await.unwrap();
            assert_eq!((again.event().sequence().get(), again.deliveries()), (1, 2));
            again.ack().await.unwrap();
        });
    }
}

#[test]
fn a_deadline_is_kept_also_when_whoever_polled_last_stops() {
    let [home, _] = runtimes();
    let store = Store::in_memory().unwrap();
    let worker = delivered(&store, &home);
    let other = worker.clone();
    let (waits, is_waiting) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        elsewhere(async {
            let mut next = std::pin::pin!(other.next());
            is_waited_for(&mut next).await;
            waits.send(()).unwrap();
            let again = next.await.unwrap();
            assert_eq!((again.event().sequence().get(), again.deliveries()), (1, 2));
            again.ack().await.unwrap();
        });
    });
    is_waiting.recv().unwrap();
    // It is polled here, and then no more, though its runtime stays.
    home.block_on(async { assert!(worker.try_next().await.unwrap().is_none()) });
    waiting.join().unwrap();
    drop(home);
}

#[test]
fn a_consumer_that_was_waited_for_when_its_runtime_ended_lets_go_of_the_file() {
    for home in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let store = Store::open(&path).unwrap();
        let worker = delivered(&store, &home);
        elsewhere(async {
            let mut next = Box::pin(worker.next());
            is_waited_for(&mut next.as_mut()).await;
            std::thread::spawn(move || home.shutdown_timeout(Duration::from_secs(30))).join().unwrap();
            // It is waited for no more.
            drop(next);
            tokio::task::yield_now().await;
        });
        store.close().unwrap();
        drop(store);
        Store::open(&path).unwrap().close().unwrap();
        drop(worker);
    }
}

#[test]
fn timers_are_fired_by_whoever_runs_them_next() {
    for runtime in runtimes() {
        let store = Store::in_memory().unwrap();
        let running = runtime.block_on(async { store.timers().run().unwrap() });
        runtime.shutdown_timeout(Duration::from_secs(30));
        store.timers().schedule("s", NewEvent::new("step.late"), Duration::ZERO).unwrap();
        elsewhere(async {
            let mut following = store.follow(Follow::all()).unwrap();
            let _running = store.timers().run().unwrap();
            assert_eq!(following.next_event().await.unwrap().unwrap().kind(), "step.late");
        });
        drop(running);
    }
}

#[test]
fn a_follower_is_polled_by_any_runtime() {
    for runtime in runtimes() {
        let store = Store::in_memory().unwrap();
        let mut following = runtime.block_on(async {
            let mut following = store.follow(Follow::all()).unwrap();
            store.append_async("s", NewEvent::new("step.one")).await.unwrap();
            assert_eq!(following.next_event().await.unwrap().unwrap().kind(), "step.one");
            following
        });
        runtime.shutdown_timeout(Duration::from_secs(30));
        elsewhere(async {
            store.append_async("s", NewEvent::new("step.two")).await.unwrap();
            assert_eq!(following.next_event().await.unwrap().unwrap().kind(), "step.two");
        });
    }
}

/// How often the tasks of workers are polled.
fn polls_of(workers: u64, events: u64, home: &Runtime, away: &Runtime) -> u64 {
    let polls = Arc::new(AtomicU64::new(0));
    let store = Store::in_memory().unwrap();
    let consumer = home.block_on(async { store.consumers().open("c", ConsumerConfig::new()).await.unwrap() });
    let (handled, mut all) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..workers {
        let (worker, handled, polls) = (consumer.clone(), handled.clone(), polls.clone());
        away.spawn(async move {
            let mut works = Box::pin(async {
                while let Ok(delivery) = worker.next().await {
                    delivery.ack().await.unwrap();
                    handled.send(()).unwrap();
                }
            });
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                works.as_mut().poll(cx)
            })
            .await;
        });
    }
    away.block_on(async {
        for _ in 0..events {
            store.append_async("s", NewEvent::new("step.done")).await.unwrap();
            tokio::time::timeout(Duration::from_secs(60), all.recv()).await.expect("in time").unwrap();
        }
    });
    store.close().unwrap();
    polls.load(Ordering::SeqCst)
}

#[test]
fn a_delivery_wakes_no_worker_that_waits_for_another_on_whatever_runtime() {
    let [still, _] = runtimes();
    for away in runtimes() {
        let (few, many) = (polls_of(2, 50, &still, &away), polls_of(102, 50, &still, &away));
        // Each of the hundred more is polled when it begins, and when the store closes.
        assert!(many < few + 100 * 8, "{few} polls of 2 workers, {many} of 102");
    }
}

#[test]
fn a_worker_is_waited_for_through_the_handle_of_a_runtime_that_nobody_runs() {
    let [still, _] = runtimes();
    let store = Store::in_memory().unwrap();
    store.append("s", (0..3).map(|_| NewEvent::new("step.done")).collect::<Vec<_>>()).unwrap();
    let worker = still.block_on(async { store.consumers().open("c", ConsumerConfig::new()).await.unwrap() });
    let handle = still.handle().clone();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        handle.block_on(async {
            for _ in 0..3 {
                worker.next().await.unwrap().ack().await.unwrap();
            }
        });
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(60)).expect("it goes on");
    drop(still);
}
