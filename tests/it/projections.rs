//! States are what a plain fold from the start gives, whatever was kept, lost, parked or rebuilt in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use retold::project::{ApplyError, Emit, Projection, Scope};
use retold::testkit::Model;
use retold::{Address, Error, Event, Expect, Filter, NewEvent, Projected, Query, Store, Timestamp};
use serde::{Deserialize, Serialize};

use crate::support::{Deed, Dice, batch, explained, numbered, soak};

/// What was folded, in which order and how often: two folds that differ in anything differ in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trail {
    pub(crate) count: u64,
    hash: u64,
}

impl Trail {
    pub(crate) fn step(&mut self, event: &Event) {
        let (hi, lo) = event.id().uuid().as_u64_pair();
        self.count += 1;
        self.hash = (self.hash.rotate_left(7) ^ hi ^ lo.rotate_left(31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Folds everything, by any scope.
#[derive(Clone)]
pub(crate) struct Steps {
    pub(crate) scope: Scope,
    pub(crate) version: u32,
    pub(crate) shape: u64,
}

impl Steps {
    pub(crate) fn by(scope: Scope) -> Self {
        Self { scope, version: 1, shape: 0 }
    }
}

/// Three keys over all sessions, and events without one.
pub(crate) fn key_of(event: &Event) -> Option<String> {
    match event.id().uuid().as_u128() % 4 {
        3 => None,
        n => Some(format!("key-{n}")),
    }
}

impl Projection for Steps {
    type State = Trail;

    fn name(&self) -> &str {
        match self.scope {
            Scope::Branch => "steps_by_branch",
            Scope::Session => "steps_by_session",
            _ => "steps_by_key",
        }
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn shape(&self) -> u64 {
        self.shape
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn key(&self, event: &Event) -> Option<String> {
        key_of(event)
    }

    fn apply(&self, trail: &mut Trail, event: &Event) -> Result<(), ApplyError> {
        trail.step(event);
        // Another version gives another state.
        trail.hash ^= u64::from(self.version - 1);
        Ok(())
    }
}

struct All {
    by_branch: Projected<Trail>,
    by_session: Projected<Trail>,
    by_key: Projected<Trail>,
}

impl All {
    fn of(store: &Store, version: u32) -> Self {
        let steps = |scope| store.project(Steps { version, ..Steps::by(scope) }).unwrap();
        Self { by_branch: steps(Scope::Branch), by_session: steps(Scope::Session), by_key: steps(Scope::Key) }
    }

    fn each(&self) -> [&Projected<Trail>; 3] {
        [&self.by_branch, &self.by_session, &self.by_key]
    }
}

fn plain(version: u32, events: impl Iterator<Item = Event>) -> Trail {
    let fold = Steps { version, ..Steps::by(Scope::Branch) };
    let mut trail = Trail::default();
    events.for_each(|event| fold.apply(&mut trail, &event).unwrap());
    trail
}

fn history(store: &Store, query: Query) -> Vec<Event> {
    store.events(query).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every state at every address, against a fold from the start.
fn check(store: &Store, all: &All, model: &Model, version: u32) {
    let everything = history(store, Query::all());
    let (mut sessions, mut keys) = (BTreeMap::<String, Trail>::new(), BTreeMap::<String, Trail>::new());
    let fold = Steps { version, ..Steps::by(Scope::Branch) };
    for event in &everything {
        fold.apply(sessions.entry(event.session().to_string()).or_default(), event).unwrap();
        if let Some(key) = key_of(event) {
            fold.apply(keys.entry(key).or_default(), event).unwrap();
        }
    }
    let mut heads = BTreeMap::new();
    for place in model.places() {
        let address = Address::from(place.clone());
        let events = history(store, Query::branch(&address).unwrap());
        let mut trail = Trail::default();
        assert_eq!(all.by_branch.state(address.clone().at(0)).unwrap(), trail);
        for event in &events {
            fold.apply(&mut trail, event).unwrap();
            let reading = all.by_branch.read(address.clone().at(event.sequence())).unwrap();
            assert_eq!(reading.state, trail, "{place}@{}", event.sequence());
        }
        assert_eq!(all.by_branch.state(&address).unwrap(), trail, "{place}");
        let changes: Vec<Event> =
            all.by_branch.history(&address).unwrap().map(|change| change.unwrap().event).collect();
        assert_eq!(changes, events, "each event changes it");
        heads.insert(place.to_string(), trail);
        if let Some(event) = events.last() {
            // Several events of one commit have one time: the last of them counts.
            let at = all.by_branch.state_at(&address, event.recorded()).unwrap();
            assert_eq!(at.state, heads[&place.to_string()], "{place}");
        }
    }
    let listed = |projected: &Projected<Trail>| -> BTreeMap<String, Trail> {
        projected.list(|_| true).unwrap().into_iter().map(|r| (r.of, r.state)).collect()
    };
    assert_eq!(listed(&all.by_branch), heads);
    for (session, trail) in &sessions {
        assert_eq!(all.by_session.state(session.as_str()).unwrap(), *trail, "{session}");
    }
    let touched = |r: &retold::project::Reading<Trail>| r.state.count > 0;
    let by_session: BTreeMap<_, _> =
        all.by_session.list(touched).unwrap().into_iter().map(|r| (r.of, r.state)).collect();
    assert_eq!(by_session, sessions);
    for (key, trail) in &keys {
        assert_eq!(all.by_key.state_of(key).unwrap(), *trail, "{key}");
    }
    assert_eq!(listed(&all.by_key), keys);
    if let Some(event) = everything.get(everything.len() / 2) {
        let until = everything.iter().filter(|e| e.recorded() <= event.recorded());
        let due = plain(version, until.filter(|e| key_of(e).as_deref() == Some("key-1")).cloned());
        match all.by_key.state_of_at("key-1", event.recorded()) {
            Ok(reading) => assert_eq!(reading.state, due),
            Err(e) => assert!(matches!(e, Error::NotFound { .. }) && due.count == 0, "{e}"),
        }
    }
}

fn settings(dice: &mut Dice) -> retold::Builder {
    Store::builder()
        .settle_after(1 + dice.under(60) as usize, 1 << 20)
        .settle_when_idle(Duration::from_micros(dice.under(2_000)))
        .sync(false)
}

#[test]
fn a_state_is_what_a_plain_fold_gives_through_forks_reopening_settling_and_rebuilds() {
    let rounds = if soak() { 400 } else { 12 };
    for seed in 0..rounds {
        explained(&format!("seed {seed}"), || random_life(seed));
    }
}

fn random_life(seed: u64) {
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("states.redb");
    let mut model = Model::new();
    let mut version = 1;
    for _ in 0..4 {
        let store = settings(&mut dice).open(&path).unwrap();
        let all = All::of(&store, version);
        for _ in 0..25 {
            let deed = Deed::draw(&mut dice, &model);
            deed.tell(&mut model);
            deed.perform(&store, &model).unwrap();
            match dice.under(12) {
                0 => all.each().iter().for_each(|p| drop(p.catch_up().unwrap())),
                1 => drop(all.each()[dice.under(3) as usize].rebuild().unwrap()),
                _ => {}
            }
        }
        check(&store, &all, &model, version);
        if dice.one_in(2) {
            for projected in all.each() {
                projected.catch_up().unwrap();
                assert_eq!(projected.lag().unwrap(), 0);
            }
            check(&store, &all, &model, version);
        }
        drop(all);
        store.close().unwrap();
        let report = Store::builder().read_only().open(&path).unwrap().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        // Another process with code of its own: what it may not use it folds.
        let store = Store::builder().read_only().open(&path).unwrap();
        check(&store, &All::of(&store, version), &model, version);
        check(&store, &All::of(&store, version + 1), &model, version + 1);
        version += u32::from(dice.one_in(2));
    }
}

fn long_branch(store: &Store, events: u64) {
    for first in (0..events).step_by(5_000) {
        let events = (first..(first + 5_000).min(events)).map(numbered).collect();
        store.append_batch(batch("long", events)).unwrap();
    }
}

#[test]
fn a_state_far_back_takes_no_more_than_one_at_the_head() {
    let store = Store::builder().sync(false).in_memory().unwrap();
    let steps = store.project(Steps::by(Scope::Branch)).unwrap();
    long_branch(&store, 100_000);
    store.fork("long@77777", "fork").unwrap();
    store.append_batch(batch("long/fork", (0..10).map(numbered).collect())).unwrap();
    steps.catch_up().unwrap();
    for address in
        ["long@1", "long@255", "long@256", "long@50000", "long@99999", "long", "long/fork@77777", "long/fork"]
    {
        let reading = steps.read(address).unwrap();
        assert!(reading.folded < 256, "{address} folded {}", reading.folded);
        assert_eq!(reading.state.count, reading.at);
    }
    let events = history(&store, Query::branch("long@50001").unwrap());
    assert_eq!(steps.state("long@50001").unwrap(), plain(1, events.into_iter()));
}

#[test]
fn snapshots_of_old_heads_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::builder().sync(false).open(folder.path().join("s.redb")).unwrap();
    let steps = store.project(Steps::by(Scope::Branch)).unwrap();
    for n in 0..60 {
        store.append_batch(batch("s", (0..10).map(|i| numbered(n * 10 + i)).collect())).unwrap();
        steps.catch_up().unwrap();
    }
    drop(steps);
    store.close().unwrap();
    let db = redb::ReadOnlyDatabase::open(folder.path().join("s.redb")).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("snapshots");
    let rows = redb::ReadableTableMetadata::len(&txn.open_table(table).unwrap()).unwrap();
    assert_eq!(rows, 3, "256, 512 and the head");
}
