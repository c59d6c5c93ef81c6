//! The writer under pressure: closing in the middle of it, dropped futures, clocks that must not be slept through,
//! and what must not be written at all.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use retold::testkit::Disk;
use retold::{Durability, Error, EventId, Expect, NewEvent, Query, Store};

use crate::support::{Dice, batch, event, numbered, on_memory, soak};

/// How long something that happens at once may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

fn never_idle() -> retold::Builder {
    Store::builder().flush_when_idle(Duration::from_secs(3_600))
}

fn becomes_true(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LONG, "{what}: not in {LONG:?}");
        thread::yield_now();
    }
}

/// The work ends in time, wherever it might hang.
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || done.send(work()));
    match wait.recv_timeout(LONG) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it answered nothing"))
        }
    }
}

#[test]
fn closing_waits_for_what_is_queued_and_refuses_the_rest() {
    ends("closing", || {
        let disk = Disk::new();
        let store = never_idle().with_backend(disk.backend()).unwrap();
        store.append("s", numbered(1)).unwrap();
        disk.pause();
        thread::scope(|scope| {
            let first = scope.spawn(|| store.append("s", numbered(2)));
            disk.wait_for_sync();
            let (asked, hear) = mpsc::channel();
            let queued: Vec<_> = (3..9)
                .map(|n| {
                    let (asked, store) = (asked.clone(), &store);
                    scope.spawn(move || {
                        asked.send(()).unwrap();
                        store.append("s", numbered(n))
                    })
                })
                .collect();
            (3..9).for_each(|_| hear.recv().unwrap());
            let close = scope.spawn(|| store.close());
            disk.resume();
            close.join().unwrap().unwrap();
            first.join().unwrap().unwrap();
            let acknowledged = queued.into_iter().filter(|_| true).map(|q| q.join().unwrap());
            let acknowledged = acknowledged.filter(|a| match a {
                Ok(_) => true,
                Err(e) => {
                    assert_eq!(*e, Error::Closed { after: None });
                    false
                }
            });
            let there = 2 + acknowledged.count() as u64;
            let store = never_idle().with_backend(Disk::from_bytes(disk.bytes()).backend()).unwrap();
            assert_eq!(store.head("s").unwrap().get(), there);
        });
    });
}

#[test]
fn every_append_is_acknowledged_and_there_or_refused_when_the_store_closes_under_its_producers() {
    let rounds = if soak() { 5_000 } else { 60 };
    for round in 0..rounds {
        let disk = Disk::new();
        let settings = Store::builder().flush_after(64, 1 << 20).flush_when_idle(Duration::from_micros(200));
        let store = settings.clone().with_backend(disk.backend()).unwrap();
        let acknowledged = ends("closing under load", move || close_under_load(store, round));
        let store = settings.with_backend(Disk::from_bytes(disk.bytes()).backend()).unwrap();
        assert_eq!(store.committed().get(), acknowledged.len() as u64, "round {round}");
        for (id, position) in acknowledged {
            assert_eq!(store.get(id).unwrap().position().get(), position);
        }
        assert!(store.maintenance().verify().unwrap().is_clean());
    }
}

fn close_under_load(store: Store, round: u64) -> BTreeMap<EventId, u64> {
    let acknowledged = Mutex::new(BTreeMap::new());
    let start = Barrier::new(9);
    let note = |ids: EventId, answer: retold::Result<retold::Receipt>| match answer {
        Ok(receipt) => acknowledged.lock().unwrap().insert(ids, receipt.position().get()).is_none(),
        Err(e) => {
            assert_eq!(e, Error::Closed { after: None });
            false
        }
    };
    thread::scope(|scope| {
        for producer in 0..8u64 {
            let (store, start, note) = (store.clone(), &start, &note);
            scope.spawn(move || {
                let mut dice = Dice(round * 8 + producer);
                let address = format!("s{producer}");
                start.wait();
                loop {
                    let event = event(&mut dice);
                    let id = event.id();
                    let went_on = if dice.one_in(2) {
                        note(id, store.append(&address, event))
                    } else {
                        note(id, blocked_on(store.append_async(&address, event)))
                    };
                    if !went_on {
                        return;
                    }
                }
            });
        }
        start.wait();
        let enough = Dice(round).under(200) as usize;
        while acknowledged.lock().unwrap().len() < enough {
            thread::yield_now();
        }
        store.close().unwrap();
    });
    acknowledged.into_inner().unwrap()
}

/// Runs a future on this thread, without a runtime.
fn blocked_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_dropped_future_is_recorded_as_a_whole_or_not_at_all_and_harms_no_neighbour() {
    let disk = Disk::new();
    let store = Store::builder().flush_after(50, 1 << 20).with_backend(disk.backend()).unwrap();
    let rounds = if soak() { 2_000 } else { 300 };
    let dropped = ends("dropping futures", move || {
        let mut dropped = Vec::new();
        thread::scope(|scope| {
            let neighbour = scope.spawn(|| {
                for n in 1..=rounds {
                    assert_eq!(store.append("neighbour", numbered(n)).unwrap().first().get(), n);
                }
            });
            let mut dice = Dice(7);
            for _ in 0..rounds {
                let events: Vec<NewEvent> = (0..3).map(numbered).collect();
                let ids: Vec<EventId> = events.iter().map(NewEvent::id).collect();
                let mut future = Box::pin(store.append_async("dropped", events));
                let mut context = Context::from_waker(Waker::noop());
                for _ in 0..dice.under(4) {
                    if future.as_mut().poll(&mut context).is_ready() {
                        break;
                    }
                    (0..dice.under(2_000)).for_each(|_| std::hint::spin_loop());
                }
                drop(future);
                dropped.push(ids);
            }
            neighbour.join().unwrap();
        });
        assert_eq!(store.head("neighbour").unwrap().get(), rounds);
        store.close().unwrap();
        dropped
    });
    let store = Store::builder().with_backend(Disk::from_bytes(disk.bytes()).backend()).unwrap();
    assert!(store.maintenance().verify().unwrap().is_clean());
    for ids in dropped {
        let there = ids.iter().filter(|id| store.get(**id).is_ok()).count();
        assert!(there == 0 || there == ids.len(), "{there} of {}", ids.len());
    }
}

#[test]
fn a_full_queue_makes_producers_wait_and_loses_none() {
    ends("backpressure", || {
        let disk = Disk::new();
        let store = never_idle().with_backend(disk.backend()).unwrap();
        disk.pause();
        let big = || NewEvent::new("a").bytes("text/plain", vec![b'x'; 12 << 20]);
        thread::scope(|scope| {
            for n in 0..10 {
                let (store, address) = (&store, format!("s{n}"));
                scope.spawn(move || match n % 2 {
                    0 => store.append(&address, big()).map(drop).unwrap(),
                    _ => blocked_on(store.append_async(&address, big())).map(drop).unwrap(),
                });
            }
            disk.wait_for_sync();
            disk.resume();
        });
        assert_eq!(store.committed().get(), 10);
    });
}

#[test]
fn a_refused_append_and_a_repeated_one_write_nothing() {
    let disk = Disk::new();
    let store = never_idle().with_backend(disk.backend()).unwrap();
    let event = numbered(1);
    store.append("s", event.clone()).unwrap();
    let before = (disk.writes(), disk.syncs());
    assert!(matches!(store.append_if("s", Expect::Empty, numbered(2)), Err(Error::Conflict { .. })));
    assert!(matches!(store.append("s/none", numbered(2)), Err(Error::NotFound { .. })));
    assert!(matches!(store.append("s", event.clone().priority(9)), Err(Error::Duplicate { .. })));
    assert!(store.append("s", event).unwrap().duplicate());
    assert_eq!((disk.writes(), disk.syncs()), before);
}

#[test]
fn a_durable_retry_of_a_relaxed_append_makes_it_durable() {
    let disk = Disk::new();
    let store = never_idle().with_backend(disk.backend()).unwrap();
    let event = numbered(1);
    store.append_batch(batch("s", vec![event.clone()]).durability(Durability::Relaxed)).unwrap();
    assert!(store.append("s", event).unwrap().duplicate());
    let after = disk.moment(disk.operations()).cut(&retold::testkit::Cut::Nothing);
    let store = never_idle().with_backend(Disk::from_bytes(after).backend()).unwrap();
    assert_eq!(store.head("s").unwrap().get(), 1);
}

#[test]
fn the_idle_flush_comes_also_when_its_time_passed_during_a_commit() {
    let disk = Disk::new();
    let idle = Duration::from_millis(20);
    let store = Store::builder().flush_when_idle(idle).with_backend(disk.backend()).unwrap();
    store.append("s", numbered(1)).unwrap();
    disk.pause();
    thread::scope(|scope| {
        let append = scope.spawn(|| store.append("s", numbered(2)).map(drop));
        disk.wait_for_sync();
        // The clock set by the first append strikes while the second is being synced.
        let start = Instant::now();
        while start.elapsed() < idle * 4 {
            thread::yield_now();
        }
        disk.resume();
        append.join().unwrap().unwrap();
    });
    becomes_true("the tail is flushed", || store.maintenance().info().unwrap().in_journal == 0);
}

#[test]
fn relaxed_appends_are_made_durable_while_they_keep_coming() {
    let disk = Disk::new();
    let never_flushed = never_idle().flush_after(usize::MAX, usize::MAX);
    let store = never_flushed.with_backend(disk.backend()).unwrap();
    let syncs = disk.syncs();
    let enough = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for producer in 0..16 {
            let (store, enough) = (&store, &enough);
            scope.spawn(move || {
                let address = format!("s{producer}");
                while !enough.load(std::sync::atomic::Ordering::Relaxed) {
                    let batch = batch(&address, vec![numbered(0)]).durability(Durability::Relaxed);
                    store.append_batch(batch).unwrap();
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < LONG && disk.syncs() < syncs + 5 {
            thread::yield_now();
        }
        enough.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(disk.syncs() >= syncs + 5, "{} syncs in {LONG:?}", disk.syncs() - syncs);
    assert!(store.events(Query::all()).unwrap().all(|e| e.is_ok()));
}

#[test]
fn a_relaxed_append_is_made_durable_when_nothing_follows() {
    let disk = Disk::new();
    let store = never_idle().with_backend(disk.backend()).unwrap();
    store.append_batch(batch("s", vec![numbered(0)]).durability(Durability::Relaxed)).unwrap();
    let survives = || {
        let after = disk.moment(disk.operations()).cut(&retold::testkit::Cut::Nothing);
        let store = never_idle().with_backend(Disk::from_bytes(after).backend()).unwrap();
        store.head("s").is_ok_and(|n| n.get() == 1)
    };
    becomes_true("it is durable", survives);
}

#[test]
fn a_follower_that_comes_while_the_store_closes_ends_or_is_refused() {
    for round in 0..if soak() { 20_000 } else { 300 } {
        ends("a follower of a closed store", move || {
            let store = on_memory(never_idle());
            // With nothing to flush, all of closing is about the length of a subscription.
            store.append("s", numbered(1)).unwrap();
            store.maintenance().flush().unwrap();
            let start = Barrier::new(2);
            let mut dice = Dice(round);
            let (late, later) = (dice.under(3_000), dice.under(3_000));
            thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    (0..late).for_each(|_| std::hint::spin_loop());
                    let Ok(mut following) = store.follow(retold::Follow::all()) else { return };
                    while let Some(item) = blocked_on(following.next()) {
                        item.unwrap();
                    }
                });
                start.wait();
                (0..later).for_each(|_| std::hint::spin_loop());
                store.close().unwrap();
            });
        });
    }
}
