//! Sixty-four producers, readers, and tasks that are given up, all at once on one store.

use std::sync::atomic::{AtomicBool, Ordering};

use retold::{Error, Expect, NewEvent, Query, Store};

use crate::support::{Dice, number, numbered, on_memory, soak};

#[test]
fn sixty_four_producers_each_keep_their_order_while_readers_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let store = Store::builder().flush_after(700, 1 << 20).open(&path).unwrap();
    let each = if soak() { 3_000 } else { 60 };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4u64)
            .map(|seed| {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    let mut dice = Dice(seed);
                    while !done.load(Ordering::Relaxed) {
                        let address = format!("s{}", dice.under(64));
                        let events = match store.read(&Query::branch(&address).unwrap()) {
                            Ok(page) => page.events,
                            Err(Error::NotFound { .. }) => continue,
                            Err(e) => panic!("{e}"),
                        };
                        assert!(events.iter().map(number).eq(1..=events.len() as u64));
                        if let Some(last) = events.last() {
                            assert!(store.committed() >= last.position());
                            assert_eq!(store.get(last.id()).unwrap(), *last);
                        }
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..64)
            .map(|producer| {
                let store = &store;
                scope.spawn(move || {
                    let address = format!("s{producer}");
                    for n in 1..=each {
                        let expect = Expect::Head((n - 1).into());
                        let receipt = store.append_if(&address, expect, numbered(n)).unwrap();
                        assert_eq!(receipt.last().get(), n);
                    }
                })
            })
            .collect();
        let wrote: Vec<_> = producers.into_iter().map(|p| p.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(wrote.iter().all(Result::is_ok));
        assert!(readers.into_iter().all(|r| r.join().is_ok()));
    });
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.committed().get(), 64 * each);
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_are_aborted_leave_whole_appends_and_nobody_waiting() {
    let store = on_memory(Store::builder().flush_after(500, 1 << 20));
    let tasks = if soak() { 50_000 } else { 1_500 };
    let mut dice = Dice(3);
    let mut kept = Vec::new();
    let mut given_up = Vec::new();
    for n in 0..tasks {
        let events: Vec<NewEvent> = (0..3).map(numbered).collect();
        let ids: Vec<_> = events.iter().map(NewEvent::id).collect();
        let (store, address) = (store.clone(), format!("s{}", n % 20));
        let task = tokio::spawn(async move { store.append_async(&address, events).await });
        if dice.one_in(3) {
            (0..dice.under(4)).for_each(|_| std::thread::yield_now());
            task.abort();
            given_up.push((task, ids));
        } else {
            kept.push((task, ids));
        }
    }
    for (task, ids) in kept {
        let receipt = task.await.unwrap().unwrap();
        assert_eq!(store.get(ids[2]).unwrap().position(), receipt.position());
    }
    for (task, _) in &mut given_up {
        let _ = task.await;
    }
    // The queue is served in turn: what was queued before this is done after it.
    store.maintenance().flush().unwrap();
    for (_, ids) in given_up {
        let there = ids.iter().filter(|id| store.get(**id).is_ok()).count();
        assert!(there == 0 || there == ids.len(), "{there} of {}", ids.len());
    }
    assert!(store.maintenance().verify().unwrap().is_clean());
    store.close_async().await.unwrap();
    assert!(matches!(store.append("s", numbered(0)), Err(Error::Closed { .. })));
}
