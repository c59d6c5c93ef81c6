//! What holds for any history: forks are flat copies, flushes change nothing, pages add up, readers see no holes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use retold::testkit::{Ask, Model, Want, strategies};
use retold::{Address, BranchName, Error, Event, Place, Query, Result, Store};

use crate::support::{Deed, Dice, number, numbered, on_memory, soak};

fn cases(short: u32) -> ProptestConfig {
    let cases = if soak() { short * 40 } else { short };
    ProptestConfig { cases, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() }
}

fn unflushed() -> Store {
    let settings = Store::builder().flush_after(usize::MAX, usize::MAX);
    on_memory(settings.flush_when_idle(Duration::from_secs(3_600)))
}

/// A store with forks of forks, half of it flushed, and the events that strategies make.
fn history(seed: u64, events: Vec<Vec<retold::NewEvent>>) -> (Store, Vec<Place>) {
    let mut dice = Dice(seed);
    let store = unflushed();
    let mut model = Model::new();
    for events in events {
        let deed = match Deed::draw(&mut dice, &model) {
            Deed::Append(mut parts, durability) => {
                parts.truncate(1);
                parts[0].place.session = "s".parse().unwrap();
                if model.head(&parts[0].place).is_err() {
                    parts[0].place.branch = BranchName::main();
                }
                parts[0].events = events;
                Deed::Append(parts, durability)
            }
            other => other,
        };
        deed.tell(&mut model);
        deed.perform(&store, &model).unwrap();
    }
    (store, model.places().cloned().collect())
}

fn read(store: &Store, ask: &Ask) -> Vec<Event> {
    store.events(ask.query().unwrap()).unwrap().collect::<Result<_>>().unwrap()
}

fn drawn_history() -> impl Strategy<Value = (Store, Vec<Place>)> {
    (any::<u64>(), prop::collection::vec(strategies::events(), 2..25)).prop_map(|(s, e)| history(s, e))
}

/// A range, a direction, a limit and a filter, for whatever branch.
fn question() -> impl Strategy<Value = Ask> {
    strategies::ask(None, 60)
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_fork_reads_like_a_flat_copy(
        (store, places) in drawn_history(),
        asks in prop::collection::vec(question(), 8),
    ) {
        for place in &places {
            let all = read(&store, &Ask::branch(place.clone()));
            if all.is_empty() {
                continue;
            }
            // Ids are unique in a store, so each copy has a store of its own.
            let copy = unflushed();
            let events: Vec<_> = all.iter().map(|e| retold::NewEvent::from(e.record())).collect();
            copy.append("flat", events).unwrap();
            let main = Place::new("flat".parse().unwrap(), BranchName::main());
            for ask in &asks {
                let of = |place: &Place| Ask { place: Some(place.clone()), ..ask.clone() };
                let (left, right) = (read(&store, &of(place)), read(&copy, &of(&main)));
                prop_assert_eq!(left.len(), right.len(), "{:?} of {}", ask, place);
                for (a, b) in left.iter().zip(&right) {
                    prop_assert_eq!((a.sequence(), a.record()), (b.sequence(), b.record()));
                }
            }
        }
    }

    #[test]
    fn a_flush_changes_no_answer(
        (store, places) in drawn_history(),
        asks in prop::collection::vec(question(), 10),
    ) {
        let answers = || {
            let mut answers: Vec<Vec<Event>> = Vec::new();
            for ask in &asks {
                let whole = [ask.clone()].into_iter();
                let each = places.iter().map(|p| Ask { place: Some(p.clone()), ..ask.clone() });
                answers.extend(whole.chain(each).map(|ask| read(&store, &ask)));
            }
            let all: Vec<Event> = read(&store, &Ask::all());
            let found: Vec<Event> = all.iter().map(|e| store.get(e.id()).unwrap()).collect();
            answers.push(found);
            let lists: Vec<_> = places.iter().map(|p| store.branches(&p.session).unwrap()).collect();
            let lines: Vec<_> = places.iter().map(|p| store.ancestry(Address::from(p.clone())).unwrap()).collect();
            (answers, lists, lines, store.sessions(None, 100).unwrap(), store.committed())
        };
        let before = answers();
        store.maintenance().flush().unwrap();
        prop_assert_eq!(store.maintenance().info().unwrap().in_journal, 0);
        prop_assert_eq!(answers(), before);
    }

    #[test]
    fn pages_of_any_size_add_up_to_the_whole(
        (store, places) in drawn_history(),
        ask in question(),
        whole: bool,
        sizes in prop::collection::vec(1usize..40, 1..6),
        which in any::<prop::sample::Index>(),
    ) {
        let place = (!whole && !places.is_empty()).then(|| places[which.index(places.len())].clone());
        let ask = Ask { place, limit: None, ..ask };
        let mut pages: Vec<Event> = Vec::new();
        let mut sizes = sizes.into_iter().cycle();
        let mut next = Some(ask.query().unwrap());
        while let Some(query) = next {
            let size = sizes.next().unwrap();
            let page = store.read(&query.limit(size)).unwrap();
            prop_assert!(page.events.len() <= size);
            prop_assert!(page.next.is_none() || page.events.len() == size || !page.events.is_empty());
            pages.extend(page.events);
            next = page.next;
        }
        prop_assert_eq!(pages, read(&store, &ask));
    }

    #[test]
    fn any_name_can_be_a_session_and_a_branch(
        session in strategies::any_session(),
        branch in strategies::any_branch(),
        neighbour in strategies::any_session(),
    ) {
        prop_assume!(branch != BranchName::main());
        let store = unflushed();
        for flushed in [false, true] {
            let main = Address::new(session.clone(), BranchName::main());
            let before = store.head(&main).map_or(0, |n| n.get());
            store.append(&main, numbered(1)).unwrap();
            match store.fork(&main, branch.as_str()) {
                Ok(info) => prop_assert_eq!(&info.place.branch, &branch),
                Err(e) => prop_assert!(flushed && matches!(e, Error::Exists { .. }), "{}", e),
            }
            prop_assert_eq!(store.head(&main).unwrap().get(), before + 1);
            if neighbour != session {
                let e = store.head(Address::new(neighbour.clone(), BranchName::main())).unwrap_err();
                prop_assert!(matches!(e, Error::NotFound { .. }), "{}", e);
            }
            store.maintenance().flush().unwrap();
        }
    }

    #[test]
    fn a_filter_takes_what_its_plain_meaning_takes(
        events in prop::collection::vec(strategies::event(), 1..20),
        wants in prop::collection::vec(strategies::want(), 10),
        kind in select(vec!["tool.invoked", "tool", "a.b.c", "a", "tool.call.done.x"]),
        pattern in "(\\*\\*|[a-c*]{1,3}|tool)(\\.(\\*\\*|[a-c*]{1,2}|done)){0,3}",
    ) {
        let store = unflushed();
        let odd = retold::NewEvent::new(kind);
        let all: Vec<retold::NewEvent> = events.into_iter().chain([odd]).collect();
        store.append("s", all.clone()).unwrap();
        let globbed = Want { patterns: vec![pattern], ..Want::default() };
        for want in wants.into_iter().chain([globbed]) {
            // A part with `**` and more in it is no pattern.
            let Ok(filter) = want.filter() else { continue };
            let found = store.events(Query::branch("s").unwrap().filter(filter)).unwrap();
            let found: Vec<_> = found.map(|e| e.unwrap().id()).collect();
            let due: Vec<_> = all.iter().filter(|e| want.takes(e)).map(|e| e.id()).collect();
            prop_assert_eq!(found, due, "{:?}", want);
        }
    }

    #[test]
    fn a_session_is_read_like_the_store_without_the_others((store, places) in drawn_history(), ask in question()) {
        let sessions: std::collections::BTreeSet<_> = places.into_iter().map(|place| place.session).collect();
        for session in sessions {
            let whole = read(&store, &Ask { place: None, limit: None, ..ask.clone() });
            let mut expected: Vec<Event> = whole.into_iter().filter(|e| *e.session() == session).collect();
            expected.truncate(ask.limit.unwrap_or(usize::MAX));
            let mut query = Query::session(&session).unwrap().from(ask.from).to(ask.to);
            query = query.filter(ask.want.filter().unwrap()).limit(ask.limit.unwrap_or(usize::MAX));
            let query = if ask.reverse { query.reverse() } else { query };
            let found: Vec<Event> = store.events(query).unwrap().collect::<Result<_>>().unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}

/// Reads a branch from a random place in a random direction while it grows and flushes.
fn check_growing(store: &Store, address: &str, dice: &mut Dice) {
    let Ok(head) = store.head(address) else { return };
    let from = dice.under(head.get() + 1);
    let query = Query::branch(address).unwrap().from(from).limit(1 + dice.under(300) as usize);
    if dice.one_in(2) {
        let page = store.read(&query).unwrap();
        let due = (from.max(1)..).take(page.events.len());
        assert!(page.events.iter().map(|e| e.sequence().get()).eq(due), "{address} from {from}");
        assert!(page.events.iter().all(|e| number(e) == e.sequence().get()));
        // What was acknowledged before the read is in it.
        let least = (head.get() + 1 - from.max(1)).min(1);
        assert!(page.events.len() as u64 >= least);
    } else {
        let page = store.read(&query.reverse()).unwrap();
        let first = page.events.first().map_or(0, |e| e.sequence().get());
        assert!(first >= head.get(), "{address} ends at {first}, and was at {head} before");
        assert!(page.events.iter().map(|e| e.sequence().get()).eq((1..=first).rev().take(page.events.len())));
    }
    let after = store.head(address).unwrap();
    assert!(after >= head);
}

fn check_order(store: &Store, dice: &mut Dice) {
    let committed = store.committed().get();
    let from = dice.under(committed + 1).max(1);
    let query = Query::all().from(from).limit(1 + dice.under(400) as usize);
    let backward = dice.one_in(2);
    let page = store.read(&if backward { query.reverse() } else { query }).unwrap();
    let positions: Vec<u64> = page.events.iter().map(|e| e.position().get()).collect();
    match backward {
        true => assert!(positions.windows(2).all(|w| w[0] == w[1] + 1), "{positions:?}"),
        false => assert!(positions.iter().copied().eq((from..).take(positions.len())), "{positions:?}"),
    }
    if let (true, Some(first)) = (backward, positions.first()) {
        assert!(*first >= committed);
    }
}

#[test]
fn readers_during_flushes_see_dense_histories_that_never_shrink() {
    let settings = Store::builder().flush_after(30, 1 << 20).flush_when_idle(Duration::from_micros(500));
    let store = on_memory(settings.sync(false));
    let done = AtomicBool::new(false);
    let appends = if soak() { 100_000 } else { 1_500 };
    thread::scope(|scope| {
        for reader in 0..3 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut dice = Dice(reader);
                while !done.load(Ordering::Relaxed) {
                    let address = ["s0", "s1", "s2", "s0/fork", "s0/deep"][dice.under(5) as usize];
                    check_growing(store, address, &mut dice);
                    check_order(store, &mut dice);
                }
            });
        }
        let writers: Vec<_> = (0..3u64)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    let mut dice = Dice(100 + writer);
                    let mut heads = [(format!("s{writer}"), 0), ("s0/fork".to_owned(), 0)];
                    for _ in 0..appends {
                        let which = usize::from(writer == 0 && heads[1].1 > 0 && dice.one_in(3));
                        let (address, head) = &mut heads[which];
                        let count = if dice.one_in(50) { 40 } else { 1 + dice.under(3) };
                        let events: Vec<_> = (1..=count).map(|n| numbered(*head + n)).collect();
                        *head = store.append(address.as_str(), events).unwrap().last().get();
                        if writer == 0 && which == 0 && heads[1].1 == 0 && heads[0].1 > 50 {
                            heads[1].1 = store.fork("s0", "fork").unwrap().head.get();
                            store.fork("s0/fork@20", "deep").unwrap();
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(|r| r.is_ok()));
    });
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn a_session_that_grows_has_a_last_event_at_any_moment() {
    let store = on_memory(Store::builder());
    store.append("s", numbered(1)).unwrap();
    store.fork("s", "b").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = crate::support::SetOnDrop(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                store.append("s", numbered(1)).unwrap();
            }
        });
        let mut last = 0;
        for _ in 0..2_000 {
            let page = store.read(&Query::session("s").unwrap().reverse().limit(1)).unwrap();
            let found = page.events.first().map(|e| e.position().get());
            assert!(found.is_some_and(|position| position >= last), "{found:?} came after {last}");
            last = found.unwrap_or(last);
        }
    });
}
