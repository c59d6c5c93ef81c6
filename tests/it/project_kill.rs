//! A real process is killed while it keeps projections up: in the middle of checkpoints, rebuilds and swaps. No state
//! loses an event or counts one twice, and nothing is raised twice.

use std::collections::BTreeMap;
use std::time::Duration;

use retold::project::{Projection, Scope};
use retold::{Builder, Event, Projected, Query, Store};

use crate::projections::{Steps, Tenths, Trail, key_of};
use crate::support::{Dice, batch, numbered, soak};
use crate::victim::{Victim, orders, tell};

fn settings(dice: &mut Dice) -> Builder {
    Store::builder()
        .flush_after(1 + dice.under(300) as usize, 1 << 20)
        .flush_when_idle(Duration::from_micros(dice.under(3_000)))
        .fast_recovery(dice.one_in(3))
        .project_every(Duration::from_micros(dice.under(5_000)))
}

/// Changes now and then, so that a rebuild for a new version is killed, gone on with, and swapped.
fn version(seed: u64) -> u32 {
    1 + (seed / 4) as u32 % 3
}

fn steps(store: &Store, seed: u64) -> Vec<Projected<Trail>> {
    let scopes = [Scope::Branch, Scope::Session, Scope::Key];
    scopes.map(|scope| store.project(Steps { version: version(seed), ..Steps::by(scope) }).unwrap()).into()
}

#[test]
#[ignore = "the child process of the test below"]
fn the_projector_that_is_killed() {
    let Some((path, seed)) = orders() else { return };
    let mut dice = Dice(seed);
    let store = settings(&mut dice).open(path).unwrap();
    let projected = steps(&store, seed);
    let tenths = store.project(Tenths).unwrap();
    tell("\n");
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let store = &store;
            let mut dice = Dice(seed ^ (writer << 32));
            scope.spawn(move || {
                for n in 0..10_000u64 {
                    let session = format!("s{}", dice.under(6));
                    let events = (0..1 + dice.under(12)).map(numbered).collect();
                    store.append_batch(batch(&session, events)).unwrap();
                    if dice.one_in(40) {
                        let name = format!("f{seed}-{writer}-{n}");
                        store.fork(session.as_str(), &name).unwrap();
                        store.append_batch(batch(&format!("{session}/{name}"), vec![numbered(n)])).unwrap();
                    }
                    tell("appended\n");
                    (0..dice.under(60_000)).for_each(|_| std::hint::spin_loop());
                }
            });
        }
        for projected in &projected {
            scope.spawn(move || {
                // Left alone, it writes when its time has come, and not whatever it is asked.
                for _ in 0..if seed.is_multiple_of(2) { 10_000 } else { 0 } {
                    projected.rebuild().unwrap().wait().unwrap();
                    projected.catch_up().unwrap();
                    tell("rebuilt\n");
                }
            });
        }
        if seed.is_multiple_of(2) {
            scope.spawn(|| (0..10_000).for_each(|_| tenths.catch_up().unwrap()));
        }
    });
}

fn states(projected: &Projected<Trail>) -> BTreeMap<String, Trail> {
    let touched = projected.list(|r| r.state.count > 0).unwrap();
    touched.into_iter().map(|r| (r.of, r.state)).collect()
}

fn check(store: &Store, seed: u64, projected: &[Projected<Trail>]) {
    let fold = Steps { version: version(seed), ..Steps::by(Scope::Branch) };
    let events: Vec<Event> = store.events(Query::all()).unwrap().collect::<Result<_, _>>().unwrap();
    let (mut sessions, mut keys) = (BTreeMap::<String, Trail>::new(), BTreeMap::<String, Trail>::new());
    for event in &events {
        fold.apply(sessions.entry(event.session().to_string()).or_default(), event).unwrap();
        if let Some(key) = key_of(event) {
            fold.apply(keys.entry(key).or_default(), event).unwrap();
        }
    }
    let branches = states(&projected[0]);
    for (place, state) in &branches {
        let mut due = Trail::default();
        for event in store.events(Query::branch(place.as_str()).unwrap()).unwrap() {
            fold.apply(&mut due, &event.unwrap()).unwrap();
        }
        assert_eq!(*state, due, "{place}");
    }
    assert_eq!(states(&projected[1]), sessions);
    assert_eq!(states(&projected[2]), keys);
}

/// Every tenth step of each branch has its event, and no event is there twice.
fn check_raised(store: &Store) -> usize {
    let mut raised = 0;
    for session in store.sessions(None, 100).unwrap() {
        for branch in store.branches(&session.session).unwrap() {
            let (mut steps, mut due, mut told) = (0u64, Vec::new(), Vec::<u64>::new());
            for event in store.events(Query::branch(branch.place.to_string()).unwrap()).unwrap() {
                let event = event.unwrap();
                let own = *event.branch() == branch.place.branch;
                if event.kind() == "step.done" {
                    steps += 1;
                    due.extend(Some(steps).filter(|n| own && n % 10 == 0));
                } else if own {
                    told.push(std::str::from_utf8(event.payload()).unwrap().parse().unwrap());
                }
            }
            raised += told.len();
            assert_eq!(told, due, "{}", branch.place);
        }
    }
    raised
}

#[test]
fn kills_while_projections_are_kept_up_lose_nothing_and_count_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    let mut dice = Dice(9);
    let rounds = if soak() { 500 } else { 16 };
    let mut raised = 0;
    for seed in 0..rounds {
        let mut victim = Victim::begin("project_kill::the_projector_that_is_killed", &path, seed);
        victim.until(1 + dice.under(40), |line| matches!(line, "" | "appended" | "rebuilt"));
        victim.kill(&mut dice, 1_000_000);
        // Half of the time the next child finds everything as the kill left it.
        let copy = folder.path().join("copy.redb");
        std::fs::copy(&path, &copy).unwrap();
        let store = settings(&mut dice).open_only().open(if dice.one_in(2) { &copy } else { &path }).unwrap();
        let projected = steps(&store, seed);
        check(&store, seed, &projected);
        let tenths = store.project(Tenths).unwrap();
        projected.iter().for_each(|p| p.catch_up().unwrap());
        tenths.catch_up().unwrap();
        raised = raised.max(check_raised(&store));
        check(&store, seed, &projected);
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
    }
    assert!(raised > 20, "only {raised} were raised: the children were too slow to be killed");
}
