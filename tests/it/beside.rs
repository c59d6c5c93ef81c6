//! Two handles on one engine, as two processes have them: consumers, dead letters and timers against each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use retold::testkit::beside;
use retold::{
    Batch, Consumer, ConsumerConfig, Delivery, Error, EventId, Expect, Follow, NewEvent, Owner, Query, Store,
    Timestamp,
};
use tokio::sync::watch;

fn config() -> ConsumerConfig {
    ConsumerConfig::new()
}

/// Two handles on a store in memory, and two on a file.
fn pairs() -> ([[Store; 2]; 2], tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = Store::builder().sync(false).open(dir.path().join("s.redb")).unwrap();
    let pair = |store: Store| [beside(&store), store];
    ([pair(Store::in_memory().unwrap()), pair(file)], dir)
}

fn fill(store: &Store, sessions: usize, each: usize) {
    for n in 0..each {
        for session in 0..sessions {
            store.append(format!("s{session}"), NewEvent::new("step.done").data(n.into())).unwrap();
        }
    }
}

fn at(delivery: &Delivery) -> String {
    delivery.event().address().to_string()
}

async fn opened(stores: &[Store; 2], config: ConsumerConfig) -> [Consumer; 2] {
    let [one, other] = stores;
    [
        one.consumers().open("c", config.clone()).await.unwrap(),
        other.consumers().open("c", config).await.unwrap(),
    ]
}

fn not_delivered<T>(result: retold::Result<T>) -> bool {
    matches!(result, Err(Error::NotDelivered { .. }))
}

#[tokio::test]
async fn two_workers_never_have_the_same_event_and_a_branch_goes_on_with_either() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        fill(&stores[0], 2, 2);
        let [one, other] = opened(&stores, config()).await;
        let (first, second) = (one.next().await.unwrap(), other.next().await.unwrap());
        assert_eq!([at(&first), at(&second)], ["s0/main@1", "s1/main@1"]);
        // Every branch has an event out.
        assert!(one.try_next().await.unwrap().is_none() && other.try_next().await.unwrap().is_none());
        let (third, acked) = tokio::join!(other.next(), first.ack());
        acked.unwrap();
        let third = third.unwrap();
        assert_eq!(at(&third), "s0/main@2");
        // Each resolves what the other was given.
        one.ack(&third.token()).await.unwrap();
        one.nack(&second.token(), Duration::ZERO).await.unwrap();
        let again = one.next().await.unwrap();
        assert_eq!((at(&again), again.deliveries()), ("s1/main@1".into(), 2));
        assert!(not_delivered(other.ack(&second.token()).await) && not_delivered(third.ack().await));
        other.ack(&again.token()).await.unwrap();
        assert!(not_delivered(again.ack().await));
        let last = other.next().await.unwrap();
        last.touch().await.unwrap();
        one.ack(&last.token()).await.unwrap();
        for store in &stores {
            let info = store.consumers().info("c").unwrap();
            assert_eq!((info.acknowledged, info.lag, info.outstanding.len()), (4, 0, 0));
        }
    }
}

#[tokio::test]
async fn the_bound_of_what_is_in_flight_holds_for_all_together() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        fill(&stores[0], 8, 1);
        let workers = opened(&stores, config().max_in_flight(3)).await;
        let mut out = VecDeque::new();
        for n in 0..8 {
            let [one, other] = [&workers[n % 2], &workers[(n + 1) % 2]];
            out.push_back(one.next().await.unwrap());
            if out.len() == 3 {
                assert!(one.try_next().await.unwrap().is_none() && other.try_next().await.unwrap().is_none());
                other.ack(&out.pop_front().unwrap().token()).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_the_one_does_not_acknowledge_in_time_the_other_is_given() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        fill(&stores[0], 1, 1);
        let [one, other] = opened(&stores, config().deadline(Duration::from_millis(1))).await;
        let late = one.next().await.unwrap();
        drop(one);
        let again = other.next().await.unwrap();
        assert_eq!((at(&again), again.deliveries()), (at(&late), 2));
        assert!(not_delivered(late.ack().await));
    }
}

#[tokio::test]
async fn a_consumer_is_made_once_reset_for_all_and_removed_for_all() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        fill(&stores[0], 1, 3);
        let [a, b] = stores.each_ref().map(Store::consumers);
        let (one, other) = tokio::join!(a.open("c", config()), b.open("c", config()));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(a.list().unwrap().len(), 1);
        assert!(matches!(b.open("c", config().max_deliveries(9)).await, Err(Error::Differs { .. })));
        let out = one.next().await.unwrap();
        other.ack(&out.token()).await.unwrap();
        let out = one.next().await.unwrap();
        assert_eq!(at(&out), "s0/main@2");

        b.reset("c", config()).await.unwrap();
        assert!(not_delivered(out.ack().await));
        let [first, none] = [one.try_next().await.unwrap(), other.try_next().await.unwrap()];
        let first = first.unwrap();
        assert!(at(&first) == "s0/main@1" && none.is_none());

        b.remove("c").await.unwrap();
        assert!(matches!(first.ack().await, Err(Error::NotFound { .. })));
        assert!(matches!(one.next().await, Err(Error::NotFound { .. })));
        assert!(a.list().unwrap().is_empty());
        // One that is made anew is another.
        let anew = a.open("c", config()).await.unwrap();
        assert!(not_delivered(anew.ack(&out.token()).await));
        assert_eq!(at(&anew.next().await.unwrap()), "s0/main@1");
    }
}

#[tokio::test]
async fn the_result_of_an_event_is_recorded_once_whoever_tries() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        fill(&stores[0], 1, 1);
        let [one, other] = opened(&stores, config().pattern("step.**".parse().unwrap())).await;
        let out = one.next().await.unwrap();
        let token = out.token();
        let batch = || Batch::new().add("results", Expect::Any, NewEvent::new("result.made")).unwrap();
        let (a, b) = tokio::join!(one.ack_with(&token, batch()), other.ack_with(&token, batch()));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        assert!(not_delivered(a.and(b)));
        assert_eq!(stores[0].head("results").unwrap().get(), 1);
    }
}

#[tokio::test]
async fn a_result_that_was_recorded_before_is_acknowledged_as_it_is() {
    let (pairs, _dir) = pairs();
    for [_, store] in pairs {
        fill(&store, 1, 1);
        let worker = store.consumers().open("c", config()).await.unwrap();
        let out = worker.next().await.unwrap();
        let batch = Batch::new().add("results", Expect::Any, NewEvent::new("result.made")).unwrap();
        let first = store.append_batch(batch.clone()).unwrap();
        let again = out.ack_with(batch).await.unwrap();
        assert!(again.duplicate() && again.position() == first.position());
        assert!(not_delivered(out.ack().await));
        assert_eq!(store.consumers().info("c").unwrap().acknowledged, 1);
    }
}

#[tokio::test]
async fn dead_letters_of_the_one_are_seen_replayed_and_discarded_by_the_other() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        fill(&stores[0], 3, 1);
        let [one, other] = opened(&stores, config().max_dead_letters(2)).await;
        let owner = Owner::consumer("c").unwrap();
        for worker in [&one, &other, &one] {
            worker.next().await.unwrap().park("no such host").await.unwrap();
        }
        // The bound holds over both.
        let [a, b] = stores.each_ref().map(Store::dead_letters);
        let left: Vec<u64> = b.list(None, None, 9).unwrap().iter().map(|l| l.position.get()).collect();
        assert_eq!(left, [2, 3]);
        assert!(stores.each_ref().map(|s| s.consumers().info("c").unwrap().dead_letters) == [2, 2]);

        let (again, replayed) = tokio::join!(one.next(), b.replay_async(&owner, 3));
        replayed.unwrap();
        let again = again.unwrap();
        assert_eq!((again.event().position().get(), again.deliveries()), (3, 1));
        assert!(other.try_next().await.unwrap().is_none());
        other.ack(&again.token()).await.unwrap();
        assert!(matches!(a.get(&owner, 3), Err(Error::NotFound { .. })));

        a.replay(&owner, 2).unwrap();
        b.discard(&owner, 2).unwrap();
        assert!(matches!(a.discard(&owner, 2), Err(Error::NotFound { .. })));
        assert!(one.try_next().await.unwrap().is_none() && other.try_next().await.unwrap().is_none());
        assert!(stores.each_ref().map(|s| s.consumers().info("c").unwrap().dead_letters) == [0, 0]);
    }
}

/// Whatever another handle writes meanwhile, what was scanned is not scanned anew for ever.
#[tokio::test]
async fn a_consumer_gets_past_what_it_skips_while_others_are_busy() {
    let (pairs, _dir) = pairs();
    for stores in pairs {
        for n in 0..120 {
            let events: Vec<NewEvent> = (0..100).map(|_| NewEvent::new("noise.made")).collect();
            stores[0].append(format!("n{}", n % 3), events).unwrap();
        }
        stores[0].append("s", NewEvent::new("step.done")).unwrap();
        fill(&stores[0], 1, 2_000);
        let [one, other] = stores.each_ref().map(Store::consumers);
        let busy = one.open("busy", config().session("s0").unwrap()).await.unwrap();
        let rare = other.open("rare", config().pattern("step.done".parse().unwrap()).session("s").unwrap());
        let rare = rare.await.unwrap();
        let found = tokio::select! {
            found = rare.next() => found.unwrap(),
            () = async { loop { busy.next().await.unwrap().ack().await.unwrap(); } } => unreachable!(),
        };
        assert_eq!(at(&found), "s/main@1");
    }
}

/// What each worker was given, in the order of acknowledgements.
type Seen = Arc<Mutex<Vec<(String, u64)>>>;

async fn work(worker: Consumer, seen: Seen, wanted: usize, all: watch::Sender<bool>) {
    let mut done = all.subscribe();
    loop {
        let out = tokio::select! {
            out = worker.next() => out.unwrap(),
            _ = done.wait_for(|done| *done) => return,
        };
        // Before it is acknowledged nobody else can be given the next.
        let event = out.event();
        let count = {
            let mut seen = seen.lock().unwrap();
            seen.push((event.session().to_string(), event.sequence().get()));
            seen.len()
        };
        out.ack().await.unwrap();
        if count == wanted {
            all.send_replace(true);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_of_two_handles_get_through_everything_once_and_in_order() {
    const SESSIONS: usize = 12;
    const EACH: usize = 25;
    let (pairs, _dir) = pairs();
    for stores in pairs {
        let workers = opened(&stores, config().deadline(Duration::from_secs(600))).await;
        let (seen, wanted) = (Seen::default(), SESSIONS * EACH);
        let all = watch::Sender::new(false);
        let tasks: Vec<_> = (0..6)
            .map(|n| tokio::spawn(work(workers[n % 2].clone(), seen.clone(), wanted, all.clone())))
            .collect();
        for n in 0..EACH {
            for session in 0..SESSIONS {
                let store = &stores[(n + session) % 2];
                store.append_async(format!("s{session}"), NewEvent::new("step.done")).await.unwrap();
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
        let mut by_session: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (session, sequence) in &*seen.lock().unwrap() {
            by_session.entry(session.clone()).or_default().push(*sequence);
        }
        let in_order: Vec<u64> = (1..=EACH as u64).collect();
        assert!(by_session.len() == SESSIONS && by_session.values().all(|seen| *seen == in_order));
        for worker in workers {
            assert!(worker.try_next().await.unwrap().is_none());
            worker.close().await;
        }
        let info = stores[0].consumers().info("c").unwrap();
        assert_eq!((info.acknowledged, info.outstanding.len(), info.lag), (wanted as u64, 0, 0));
        assert!(stores[1].maintenance().verify().unwrap().is_clean());
    }
}

/// One step of two handles, one after the other.
#[derive(Clone, Debug)]
enum Step {
    Append { session: usize },
    Take { by: usize },
    Ack { by: usize, which: usize },
    Nack { by: usize, which: usize },
    Park { by: usize, which: usize },
    Replay { by: usize },
    Reopen { by: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let by = || 0..2_usize;
    let step = prop_oneof![
        3 => (0..3_usize).prop_map(|session| Step::Append { session }),
        4 => by().prop_map(|by| Step::Take { by }),
        3 => (by(), 0..4_usize).prop_map(|(by, which)| Step::Ack { by, which }),
        1 => (by(), 0..4_usize).prop_map(|(by, which)| Step::Nack { by, which }),
        1 => (by(), 0..4_usize).prop_map(|(by, which)| Step::Park { by, which }),
        1 => by().prop_map(|by| Step::Replay { by }),
        1 => by().prop_map(|by| Step::Reopen { by }),
    ];
    prop::collection::vec(step, 1..60)
}

/// A consumer as it is to be: its branches, each with what waits in it.
#[derive(Default)]
struct Reference {
    /// By branch: positions that wait, replayed dead letters before the others.
    waits: BTreeMap<usize, VecDeque<u64>>,
    /// By branch: what is out.
    out: BTreeMap<usize, u64>,
    dead: BTreeMap<u64, usize>,
    appended: u64,
    acknowledged: u64,
}

impl Reference {
    /// The events whose turn has come. Which of them is first is not promised.
    fn due(&self) -> BTreeMap<u64, usize> {
        let free = self.waits.iter().filter(|(session, _)| !self.out.contains_key(session));
        free.filter_map(|(session, waits)| Some((*waits.front()?, *session))).collect()
    }
}

async fn follow_steps(stores: [Store; 2], steps: Vec<Step>) {
    let mut workers = opened(&stores, config().max_deliveries(100)).await;
    let owner = Owner::consumer("c").unwrap();
    let (mut reference, mut held) = (Reference::default(), Vec::<Delivery>::new());
    for step in steps {
        match step {
            Step::Append { session } => {
                let receipt =
                    stores[session % 2].append(format!("s{session}"), NewEvent::new("a.b")).unwrap();
                reference.appended += 1;
                reference.waits.entry(session).or_default().push_back(receipt.position().get());
            }
            Step::Take { by } => {
                let taken = workers[by].try_next().await.unwrap();
                let due = reference.due();
                assert_eq!(taken.is_some(), !due.is_empty(), "{due:?}");
                if let Some(taken) = &taken {
                    let position = taken.event().position().get();
                    let session = due[&position];
                    reference.waits.get_mut(&session).unwrap().pop_front();
                    reference.out.insert(session, position);
                }
                held.extend(taken);
            }
            Step::Ack { by, which } | Step::Nack { by, which } | Step::Park { by, which } => {
                if held.is_empty() {
                    continue;
                }
                let out = held.swap_remove(which % held.len());
                let (position, token) = (out.event().position().get(), out.token());
                let session = *reference.out.iter().find(|(_, p)| **p == position).unwrap().0;
                reference.out.remove(&session);
                match step {
                    Step::Ack { .. } => {
                        workers[by].ack(&token).await.unwrap();
                        reference.dead.remove(&position);
                        reference.acknowledged += 1;
                    }
                    Step::Nack { .. } => {
                        workers[by].nack(&token, Duration::ZERO).await.unwrap();
                        reference.waits.entry(session).or_default().push_front(position);
                    }
                    _ => {
                        workers[by].park(&token, "no").await.unwrap();
                        reference.dead.insert(position, session);
                    }
                }
                // By either, it is resolved once.
                assert!(not_delivered(workers[1 - by].ack(&token).await));
            }
            Step::Replay { by } => {
                let Some((position, session)) = reference.dead.iter().next().map(|(p, s)| (*p, *s)) else {
                    continue;
                };
                let waits = reference.waits.entry(session).or_default();
                // One that waits or is out is not sent twice, and where one failed its branch waits for that one first.
                if waits.contains(&position)
                    || reference.out.values().any(|p| *p == position)
                    || !waits.is_empty()
                {
                    continue;
                }
                stores[by].dead_letters().replay(&owner, position).unwrap();
                waits.push_front(position);
            }
            Step::Reopen { by } => {
                workers[by].clone().close().await;
                workers[by] = stores[by].consumers().open("c", config().max_deliveries(100)).await.unwrap();
            }
        }
        for store in &stores {
            let info = store.consumers().info("c").unwrap();
            assert_eq!(
                (info.acknowledged, info.dead_letters),
                (reference.acknowledged, reference.dead.len())
            );
            let out: BTreeSet<u64> =
                info.outstanding.iter().filter(|o| o.token.is_some()).map(|o| o.position.get()).collect();
            assert_eq!(out, reference.out.values().copied().collect());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn two_handles_are_one_consumer(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (pairs, _dir) = pairs();
        for stores in pairs {
            runtime.block_on(follow_steps(stores, steps.clone()));
        }
    }
}

#[test]
fn two_loops_fire_each_timer_once() {
    const TIMERS: usize = 300;
    let (pairs, _dir) = pairs();
    for stores in pairs {
        let mut ids = BTreeSet::new();
        for n in 0..TIMERS {
            let timer = stores[n % 2].timers().schedule("s", NewEvent::new("a.b"), Duration::ZERO).unwrap();
            assert!(ids.insert(timer.id));
        }
        let fired: u64 = std::thread::scope(|threads| {
            let loops =
                stores.each_ref().map(|store| threads.spawn(|| store.timers().fire().unwrap().recorded));
            loops.map(|fired| fired.join().unwrap()).iter().sum()
        });
        assert_eq!(fired, TIMERS as u64);
        let recorded: Vec<EventId> =
            stores[0].events(Query::branch("s").unwrap()).unwrap().map(|event| event.unwrap().id()).collect();
        assert_eq!(recorded.len(), TIMERS);
        assert_eq!(recorded.into_iter().collect::<BTreeSet<_>>(), ids);
        assert!(stores.iter().all(|store| store.timers().list(9).unwrap().is_empty()));
    }
}

#[test]
fn a_timer_is_fired_by_the_one_or_cancelled_by_the_other() {
    let (pairs, _dir) = pairs();
    for [one, other] in pairs {
        for round in 0..40 {
            let timer = one.timers().schedule("s", NewEvent::new("a.b"), Duration::ZERO).unwrap();
            let (fired, cancelled) = std::thread::scope(|threads| {
                let fired = threads.spawn(|| one.timers().fire().unwrap().recorded);
                let cancelled = threads.spawn(|| other.timers().cancel(timer.id));
                (fired.join().unwrap(), cancelled.join().unwrap())
            });
            let is_recorded = one.get(timer.id).is_ok();
            match cancelled {
                Ok(()) => assert!(fired == 0 && !is_recorded, "round {round}"),
                Err(Error::NotFound { .. }) => assert!(fired == 1 && is_recorded, "round {round}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_timer_is_made_once_for_its_event() {
    let (pairs, _dir) = pairs();
    for [one, other] in pairs {
        let event = NewEvent::new("a.b");
        let when = Timestamp::from_micros(Timestamp::now().micros() + 3_600_000_000);
        let made = std::thread::scope(|threads| {
            let ask = |store: &Store| store.timers().schedule("s", event.clone(), when).map(|timer| timer.id);
            let made = [
                threads.spawn(move || ask(&one)),
                threads.spawn({
                    let other = other.clone();
                    move || ask(&other)
                }),
            ];
            made.map(|made| made.join().unwrap().unwrap())
        });
        assert!(made[0] == made[1]);
        assert_eq!(other.timers().list(9).unwrap().len(), 1);
    }
}

#[test]
fn a_timer_whose_event_was_appended_meanwhile_is_over() {
    let (pairs, _dir) = pairs();
    for [one, other] in pairs {
        let (event, later) = (NewEvent::new("a.b"), NewEvent::new("a.c"));
        one.timers().schedule("s", event.clone(), Duration::ZERO).unwrap();
        one.timers().schedule("s", later.clone(), Duration::ZERO).unwrap();
        let timer = other.timers().get(event.id()).unwrap();
        other.append("s", timer.event).unwrap();
        assert_eq!(one.timers().fire().unwrap().recorded, 2);
        assert!(other.timers().list(9).unwrap().is_empty());
        assert_eq!(one.head("s").unwrap().get(), 2);
    }
}

#[tokio::test]
async fn a_loop_wakes_for_a_timer_of_another_process() {
    let (pairs, _dir) = pairs();
    for [one, other] in pairs {
        let _running = one.timers().run().unwrap();
        let mut following = one.follow(Follow::all()).unwrap();
        let timer = other.timers().schedule_async("s", NewEvent::new("a.b"), Duration::ZERO).await.unwrap();
        assert_eq!(following.next_event().await.unwrap().unwrap().id(), timer.id);
    }
}
