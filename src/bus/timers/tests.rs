use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::clock::{Clock, Now};
use super::row::Family;
use super::*;
use crate::error::Error;
use crate::event::{EventId, Timestamp};
use crate::store::{Batch, Query, SidecarTable, SidecarWrites, Store};
use crate::testkit::{Disk, DiskOperation, Fault};

/// Clocks that are set by hand; the steady one can also go with tokio's.
#[derive(Debug, Default)]
struct Hands {
    wall: AtomicI64,
    steady: AtomicI64,
    with: Option<tokio::time::Instant>,
}

impl Hands {
    fn micros(&self) -> i64 {
        self.with.map_or(0, |begun| begun.elapsed().as_micros() as i64)
    }

    fn set_wall(&self, seconds: i64) {
        self.wall.store(seconds * 1_000_000, Ordering::SeqCst);
    }

    fn pass(&self, seconds: i64) {
        self.wall.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
        self.steady.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Now {
        let passed = self.micros();
        let read = |clock: &AtomicI64| clock.load(Ordering::SeqCst) + passed;
        Now { wall: read(&self.wall), steady: read(&self.steady) }
    }
}

fn with(clock: &Arc<Hands>, store: Store) -> Store {
    store.handle().observer(|| Registry::with(clock.clone())).unwrap();
    store
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").json_text(n.to_string())
}

fn recorded(store: &Store) -> Vec<EventId> {
    store.events(Query::all()).unwrap().map(|e| e.unwrap().id()).collect()
}

fn later(store: &Store, n: u64, when: impl Into<Due>) -> EventId {
    store.timers().schedule("s", numbered(n), when).unwrap().id
}

#[test]
fn timers_fire_once_in_the_order_in_which_they_are_due() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    let (b, c) = (later(&store, 2, at(20)), later(&store, 3, Duration::from_secs(30)));
    let a = later(&store, 1, Duration::from_secs(10));
    let ids = |timers: Vec<Timer>| timers.into_iter().map(|t| t.id).collect::<Vec<_>>();
    assert_eq!(ids(store.timers().list(9).unwrap()), [a, b, c]);
    assert_eq!(ids(store.timers().list(1).unwrap()), [a]);
    assert_eq!(
        store.timers().fire().unwrap(),
        Fired { recorded: 0, refused: 0, wait: Duration::from_secs(10) }
    );
    clock.pass(20);
    assert_eq!(store.timers().fire().unwrap().recorded, 2);
    assert_eq!(recorded(&store), [a, b]);
    assert_eq!(store.get(b).unwrap().occurred(), at(20));
    clock.pass(100);
    assert_eq!(store.timers().fire().unwrap().recorded, 1);
    assert_eq!(store.timers().fire().unwrap().recorded, 0);
    assert_eq!(recorded(&store), [a, b, c]);
    assert!(store.timers().list(9).unwrap().is_empty() && store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn pages_of_timers_neither_repeat_nor_skip_when_some_fire_meanwhile() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    let taken: Vec<NewEvent> = (0..3).map(numbered).collect();
    for event in &taken {
        store.timers().schedule("s", event.clone(), Duration::from_secs(1)).unwrap();
    }
    store.append("elsewhere", taken.clone()).unwrap();
    clock.pass(1);
    assert_eq!(store.timers().fire().unwrap().refused, 3);
    // Both clocks, mixed, some due at the same time.
    for n in 0..9 {
        later(&store, n, at(10 + n as i64 / 2));
        later(&store, n, Duration::from_secs(9 + n / 2));
    }
    let all = store.timers().list(99).unwrap();
    assert_eq!(all.len(), 21);
    for limit in [1, 2, 5] {
        let mut paged = store.timers().list(limit).unwrap();
        while let Some(last) = paged.last() {
            let page = store.timers().list_after(&last.mark(), limit).unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        let ids = |timers: &[Timer]| timers.iter().map(|timer| timer.id).collect::<Vec<_>>();
        assert_eq!(ids(&paged), ids(&all), "{limit}");
    }
    // What is at the end of a page goes, a refused one and one that fires; the marks stay.
    let (refused, fires) = (all[1].mark(), all[3].mark());
    store.timers().cancel(all[1].id).unwrap();
    clock.pass(9);
    assert_eq!(store.timers().fire().unwrap().recorded, 4);
    assert!(store.timers().get(all[3].id).is_err());
    assert_eq!(store.timers().list_after(&refused, 1).unwrap()[0].id, all[2].id);
    assert_eq!(store.timers().list_after(&fires, 1).unwrap()[0].id, all[7].id);
}

#[test]
fn a_wall_clock_that_is_set_moves_what_goes_by_it_and_nothing_else() {
    let clock = Arc::new(Hands::default());
    clock.pass(1_000);
    let store = with(&clock, Store::in_memory().unwrap());
    let (wall, delay) = (later(&store, 1, at(1_010)), later(&store, 2, Duration::from_secs(10)));
    clock.set_wall(500);
    clock.pass(10);
    store.timers().fire().unwrap();
    assert_eq!(recorded(&store), [delay]);
    // Looked at again soon, however far the timer is now.
    assert_eq!(store.timers().fire().unwrap().wait, Duration::from_secs(30));
    let second = later(&store, 3, Duration::from_secs(10));
    clock.set_wall(90_000);
    store.timers().fire().unwrap();
    assert_eq!(recorded(&store), [delay, wall]);
    clock.pass(10);
    store.timers().fire().unwrap();
    assert_eq!(recorded(&store), [delay, wall, second]);
}

#[test]
fn what_cannot_be_a_timer_is_refused_before_anything_is_written() {
    let clock = Arc::new(Hands::default());
    clock.pass(100);
    let store = with(&clock, Store::in_memory().unwrap());
    let invalid = |made: Result<Timer>| match made.unwrap_err() {
        Error::Invalid(e) => format!("{e}"),
        e => panic!("{e}"),
    };
    let past = invalid(store.timers().schedule("s", numbered(1), at(99)));
    assert!(past.contains("timer is 1970-01-01T00:01:39") && past.contains("past"), "{past}");
    invalid(store.timers().schedule("s", numbered(1), Duration::MAX));
    invalid(store.timers().schedule("s", numbered(1), Timestamp::from_micros(i64::MAX)));
    invalid(store.timers().schedule("s@4", numbered(1), Duration::ZERO));
    invalid(store.timers().schedule("s", NewEvent::new(""), Duration::ZERO));
    invalid(store.timers().schedule("s", NewEvent::new("a").json_text("{"), Duration::ZERO));
    let missing = store.timers().schedule("s/nowhere", numbered(1), Duration::ZERO).unwrap_err();
    assert!(matches!(missing, Error::NotFound { what: "branch", .. }));
    let event = numbered(2);
    store.append("s", event.clone()).unwrap();
    let twice = store.timers().schedule("s", event, Duration::ZERO).unwrap_err();
    assert!(matches!(twice, Error::Duplicate { .. }));
    for unknown in
        [store.timers().cancel(EventId::new()).unwrap_err(), store.timers().get(EventId::new()).unwrap_err()]
    {
        assert!(matches!(unknown, Error::NotFound { what: "timer", .. }));
    }
    assert!(store.timers().list(9).unwrap().is_empty());
    let strict = Store::builder().strict(true).max_payload_bytes(10).in_memory().unwrap();
    invalid(strict.timers().schedule("s", NewEvent::new("no.such.type"), Duration::ZERO));
    invalid(strict.timers().schedule(
        "s",
        NewEvent::new("step.done").json_text("12345678901"),
        Duration::ZERO,
    ));
}

#[test]
fn asking_again_for_the_same_event_changes_nothing() {
    let store = Store::in_memory().unwrap();
    let event = numbered(1);
    let first = store.timers().schedule("s", event.clone(), Duration::from_secs(60)).unwrap();
    let again = store.timers().schedule("s", event.clone(), Duration::from_secs(60)).unwrap();
    assert_eq!((first.id, first.due, first.made), (again.id, again.due, again.made));
    for other in [
        store.timers().schedule("t", event.clone(), Duration::from_secs(60)),
        store.timers().schedule("s", event.clone().actor("x"), Duration::from_secs(60)),
        store.timers().schedule("s", event, Timestamp::from_micros(first.due.micros() + 1)),
    ] {
        assert!(matches!(other.unwrap_err(), Error::Exists { what: "timer", .. }));
    }
    assert_eq!(store.timers().list(9).unwrap().len(), 1);
}

#[test]
fn a_timer_that_is_refused_is_kept_with_the_reason_and_holds_nobody_up() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    let taken = numbered(1);
    let due: Vec<EventId> = (0..300).map(|n| later(&store, n, Duration::from_secs(1))).collect();
    store.timers().schedule("s", taken.clone(), Duration::from_secs(1)).unwrap();
    // Its id is taken meanwhile, elsewhere.
    store.append("elsewhere", taken.clone()).unwrap();
    clock.pass(1);
    let fired = store.timers().fire().unwrap();
    assert_eq!((fired.recorded, fired.refused), (300, 1));
    assert_eq!(recorded(&store)[1..], due);
    let refused = store.timers().get(taken.id()).unwrap();
    assert!(refused.refused.unwrap().contains("already recorded"));
    assert_eq!(store.timers().list(9).unwrap().len(), 1);
    assert_eq!(store.timers().fire().unwrap().refused, 0);
    store.timers().cancel(taken.id()).unwrap();
    assert!(store.timers().list(9).unwrap().is_empty());
}

#[test]
fn a_row_that_cannot_be_read_holds_nobody_up_and_can_be_cancelled() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    let (bad, good) = (EventId::new(), later(&store, 1, Duration::ZERO));
    let mut records = SidecarWrites::new();
    let key = super::row::key(Family::At, -5, bad);
    records.put(SidecarTable::Timers, super::row::index_key(bad), key.clone());
    records.put(SidecarTable::Timers, key, b"nonsense".to_vec());
    store.write_records(records).unwrap();
    assert_eq!(store.timers().fire().unwrap().recorded, 1);
    assert_eq!(recorded(&store), [good]);
    assert!(matches!(store.timers().list(9), Err(Error::Corrupt { .. })));
    store.timers().cancel(bad).unwrap();
    assert!(store.timers().list(9).unwrap().is_empty());
}

#[test]
fn a_store_that_fails_while_timers_fire_fires_each_once_after_it_was_opened_again() {
    for (operation, after) in [DiskOperation::Write, DiskOperation::Sync]
        .into_iter()
        .flat_map(|o| (0..10).map(move |after| (o, after)))
    {
        let (disk, clock) = (Disk::new(), Arc::new(Hands::default()));
        let store = with(&clock, Store::builder().with_backend(disk.backend()).unwrap());
        let mut due: Vec<EventId> = (0..20).map(|n| later(&store, n, at(n as i64 + 1))).collect();
        let cancelled: Vec<EventId> = due.extract_if(.., |id| id.bytes()[15] % 4 == 0).collect();
        cancelled.iter().for_each(|id| store.timers().cancel(*id).unwrap());
        disk.arm(Fault::once(operation, after).for_good());
        for _ in 0..22 {
            clock.pass(1);
            let _ = store.timers().fire();
        }
        let _ = store.close();
        drop(store);
        disk.disarm();
        let store = with(&clock, Store::builder().with_backend(disk.backend()).unwrap());
        store.timers().fire().unwrap();
        assert_eq!(recorded(&store), due, "{operation:?} {after}");
        assert!(store.timers().list(9).unwrap().is_empty());
    }
}

#[test]
fn a_timer_is_fired_or_cancelled_and_never_both() {
    let store = Store::in_memory().unwrap();
    let ids: Vec<EventId> = (0..200).map(|n| later(&store, n, Duration::ZERO)).collect();
    let cancelled: Vec<EventId> = std::thread::scope(|scope| {
        let firing = scope.spawn(|| (0..20).map(|_| store.timers().fire().unwrap().recorded).sum::<u64>());
        let cancelled = ids.iter().copied().filter(|id| store.timers().cancel(*id).is_ok()).collect();
        let fired = firing.join().unwrap() + store.timers().fire().unwrap().recorded;
        assert_eq!(fired, recorded(&store).len() as u64);
        cancelled
    });
    let fired = recorded(&store);
    assert!(ids.iter().all(|id| fired.contains(id) != cancelled.contains(id)));
    assert_eq!(fired.len() + cancelled.len(), ids.len());
}

#[tokio::test(start_paused = true)]
async fn the_task_fires_when_the_time_comes_and_hears_of_a_nearer_one() {
    let clock = Arc::new(Hands { with: Some(tokio::time::Instant::now()), ..Hands::default() });
    let store = with(&clock, Store::in_memory().unwrap());
    let running = store.timers().run().unwrap();
    let also = store.timers().run().unwrap();
    let far = later(&store, 1, Duration::from_secs(100));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let near = store.timers().schedule_async("s", numbered(2), Duration::from_secs(3)).await.unwrap().id;
    let gone = later(&store, 3, Duration::from_secs(4));
    store.timers().cancel_async(gone).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert!(recorded(&store).is_empty());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(recorded(&store), [near]);
    drop(running);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(recorded(&store), [near, far], "it went on for the other handle");
    drop(also);
    let last = later(&store, 4, Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(recorded(&store), [near, far], "nobody runs them");
    // Started again it begins with what is late.
    let _running = store.timers().run().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(recorded(&store), [near, far, last]);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_store_and_does_not_keep_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.redb");
    let store = Store::open(&path).unwrap();
    let _running = store.timers().run().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(store);
    let store = Store::builder().read_only().open(&path).unwrap();
    assert!(matches!(store.timers().run(), Err(Error::ReadOnly { .. })));
    assert!(matches!(store.timers().schedule("s", numbered(1), Duration::ZERO), Err(Error::ReadOnly { .. })));
    assert!(matches!(store.timers().cancel(EventId::new()), Err(Error::NotFound { .. })));
}

#[test]
fn outside_a_runtime_the_task_says_what_to_do() {
    let store = Store::in_memory().unwrap();
    assert!(store.timers().run().unwrap_err().to_string().contains("`Timers::fire`"));
}

#[test]
fn an_append_of_the_same_event_before_it_fires_is_the_same_event() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    let timer = store.timers().schedule("s", numbered(1), Duration::from_secs(1)).unwrap();
    let batch = Batch::new().add("s", crate::event::Expect::Any, timer.event.clone()).unwrap();
    store.append_batch(batch).unwrap();
    clock.pass(1);
    assert_eq!(store.timers().fire().unwrap().recorded, 1);
    assert_eq!(recorded(&store), [timer.id]);
    assert!(store.timers().list(9).unwrap().is_empty());
}

#[test]
fn a_timer_belongs_to_its_branch_whatever_the_clocks_say() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    let far = i64::from(u32::MAX) * 2;
    // Made while the clock is far ahead of the store's, or far behind, for a session that had not begun, and one that had.
    for (name, wall) in [("s", far), ("t", 0)] {
        clock.set_wall(wall);
        let [before, begun, now] = [1, 2, 3].map(numbered);
        let set = |timer: &NewEvent| store.timers().schedule(name, timer.clone(), Duration::ZERO);
        set(&before).unwrap();
        store.append(name, numbered(4)).unwrap();
        set(&begun).unwrap();
        // Asked again, they are the same.
        assert!([&before, &begun].into_iter().all(|timer| set(timer).unwrap().id == timer.id));
        store.lifecycle().delete(name).unwrap();
        store.append(name, numbered(5)).unwrap();
        let fired = store.timers().fire().unwrap();
        assert_eq!((fired.recorded, fired.refused), (0, 2), "{wall}");
        assert!(matches!(store.get(begun.id), Err(Error::NotFound { .. })));
        // What was made for what has the name now fires.
        set(&now).unwrap();
        assert_eq!(store.timers().fire().unwrap().recorded, 1);
        assert!(store.get(now.id).is_ok());
        store.lifecycle().delete(name).unwrap();
        store.lifecycle().purge().unwrap();
        assert!(store.timers().list(9).unwrap().is_empty());
        let refused = set(&numbered(6));
        assert!(matches!(refused, Err(Error::Deleted { .. })), "{refused:?}");
    }
}

#[test]
fn a_timer_of_before_is_not_taken_for_one_of_the_next_branch() {
    let clock = Arc::new(Hands::default());
    let store = with(&clock, Store::in_memory().unwrap());
    store.append("s", numbered(1)).unwrap();
    let timer = numbered(2);
    store.timers().schedule("s", timer.clone(), Duration::from_secs(10)).unwrap();
    store.lifecycle().delete("s").unwrap();
    store.append("s", numbered(3)).unwrap();
    let again = store.timers().schedule("s", timer.clone(), Duration::from_secs(10));
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    store.timers().cancel(timer.id).unwrap();
    store.timers().schedule("s", timer.clone(), Duration::from_secs(10)).unwrap();
    clock.pass(10);
    assert_eq!(store.timers().fire().unwrap().recorded, 1);
    assert_eq!(store.head("s").unwrap().get(), 2);
}
