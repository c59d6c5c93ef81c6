//! States are what a plain fold from the start gives, whatever was kept, lost, parked or rebuilt in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retold::project::{ApplyError, Emit, Projection, Scope};
use retold::testkit::Model;
use retold::{
    Address, Error, Event, Expect, Filter, NewEvent, Projected, Query, SessionId, Store, Timestamp,
};
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
fn check(store: &Store, all: &All, model: &Model, version: u32, every: u64) {
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
            if event.sequence().get() % every != 0 {
                continue;
            }
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
        .flush_after(1 + dice.under(60) as usize, 1 << 20)
        .flush_when_idle(Duration::from_micros(dice.under(2_000)))
        .sync(false)
}

/// Raises an event for every tenth step of a branch.
pub(crate) struct Tenths;

impl Projection for Tenths {
    type State = u64;

    fn name(&self) -> &str {
        "tenths"
    }

    fn interests(&self) -> Filter {
        Filter::new().pattern("step.done".parse().unwrap())
    }

    fn apply(&self, count: &mut u64, _: &Event) -> Result<(), ApplyError> {
        *count += 1;
        Ok(())
    }

    fn reacts(&self) -> bool {
        true
    }

    fn react(&self, _: &u64, count: &u64, _: &Event) -> Vec<Emit> {
        let raised = NewEvent::new("alert.tenth").json_text(count.to_string());
        if count.is_multiple_of(10) { vec![Emit::new("tenth", raised)] } else { Vec::new() }
    }
}

#[test]
fn a_state_is_what_a_plain_fold_gives_through_forks_reopening_flushing_and_rebuilds() {
    let rounds = if soak() { 400 } else { 6 };
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
                0 => all.each().iter().for_each(|p| p.catch_up().unwrap()),
                1 => drop(all.each()[dice.under(3) as usize].rebuild().unwrap()),
                _ => {}
            }
        }
        check(&store, &all, &model, version, 2);
        if dice.one_in(2) {
            for projected in all.each() {
                projected.catch_up().unwrap();
                assert_eq!(projected.lag().unwrap(), 0);
            }
            check(&store, &all, &model, version, 2);
        }
        drop(all);
        store.close().unwrap();
        let report = Store::builder().read_only().open(&path).unwrap().maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        // Another process with code of its own: what it may not use it folds.
        let store = Store::builder().read_only().open(&path).unwrap();
        check(&store, &All::of(&store, version), &model, version, 1);
        check(&store, &All::of(&store, version + 1), &model, version + 1, 23);
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
        assert!(reading.folded < 16, "{address} folded {}", reading.folded);
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
    let tables = crate::tables::Tables::of(&folder.path().join("s.redb"));
    let txn = redb::ReadableDatabase::begin_read(&tables.db).unwrap();
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("snapshots");
    let rows = redb::ReadableTableMetadata::len(&txn.open_table(table).unwrap()).unwrap();
    assert_eq!(rows, 600 / 16 + 1, "those on the grid of small states, and the head");
}

/// Fails at events whose number is in its list, by an error or a panic, unless it was mended.
#[derive(Clone)]
struct Picky {
    scope: Scope,
    mended: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum {
    sum: u64,
}

impl Projection for Picky {
    type State = Sum;

    fn name(&self) -> &str {
        "picky"
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn key(&self, event: &Event) -> Option<String> {
        Some(event.session().to_string())
    }

    fn apply(&self, sum: &mut Sum, event: &Event) -> Result<(), ApplyError> {
        let n = crate::support::number(event);
        sum.sum += n;
        match n {
            13 if !self.mended.load(Ordering::SeqCst) => Err(ApplyError::new("13 is unlucky")),
            17 if !self.mended.load(Ordering::SeqCst) => panic!("17 is worse"),
            _ => Ok(()),
        }
    }
}

fn sums(picky: &Projected<Sum>, scope: Scope) -> impl Fn(&str) -> retold::Result<u64> + use<> {
    let picky = picky.clone();
    move |of| if scope == Scope::Key { picky.state_of(of) } else { picky.state(of) }.map(|s| s.sum)
}

#[test]
fn what_cannot_be_applied_parks_one_key_until_it_is_mended_and_retried() {
    for scope in [Scope::Branch, Scope::Session, Scope::Key] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picky.redb");
        let mended = Arc::new(AtomicBool::new(false));
        let open = || Store::builder().sync(false).open(&path).unwrap();
        let project = |store: &Store| store.project(Picky { scope, mended: mended.clone() }).unwrap();
        let store = open();
        let picky = project(&store);
        for (session, numbers) in [("a", vec![1, 2, 13, 4]), ("b", vec![5, 6]), ("c", vec![17, 1])] {
            store.append_batch(batch(session, numbers.into_iter().map(numbered).collect())).unwrap();
        }
        picky.catch_up().unwrap();
        store.append_batch(batch("a", vec![numbered(8)])).unwrap();
        store.append_batch(batch("b", vec![numbered(9)])).unwrap();
        picky.catch_up().unwrap();
        let is_parked = |picky: &Projected<Sum>| {
            let sum = sums(picky, scope);
            assert_eq!(sum("b").unwrap(), 20, "others go on");
            match sum("a") {
                Err(Error::Parked { projection, at, reason }) => {
                    assert_eq!((projection.as_str(), at.to_string().as_str()), ("picky", "a/main@3"));
                    assert!(reason.contains("13 is unlucky"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            match sum("c") {
                Err(Error::Parked { at, reason, .. }) => {
                    assert_eq!(at.to_string(), "c/main@1");
                    assert!(reason.contains("17 is worse"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            let listed: Vec<(u64, bool)> =
                picky.list(|_| true).unwrap().iter().map(|r| (r.state.sum, r.parked.is_some())).collect();
            assert_eq!(listed, [(3, true), (20, false), (0, true)]);
        };
        is_parked(&picky);
        if scope == Scope::Branch {
            assert_eq!(picky.state("a@2").unwrap().sum, 3);
            assert_eq!(picky.last_good("a").unwrap().at, 2);
        }
        let info = |store: &Store| store.projections().list().unwrap().into_iter().next().unwrap();
        let parked: Vec<String> =
            info(&store).parked.iter().map(|p| format!("{}: {}", p.at, p.reason)).collect();
        assert_eq!(parked, ["a/main@3: 13 is unlucky", "c/main@1: it panicked: 17 is worse"]);
        let retried = picky.retry().unwrap();
        assert_eq!((retried.mended, retried.parked), (0, 2));
        is_parked(&picky);
        drop(picky);
        store.close().unwrap();

        let store = open();
        let picky = project(&store);
        is_parked(&picky);
        store.append_batch(batch("a", vec![numbered(10)])).unwrap();
        mended.store(true, Ordering::SeqCst);
        picky.catch_up().unwrap();
        let retried = picky.retry().unwrap();
        assert_eq!((retried.mended, retried.parked), (2, 0));
        assert!(info(&store).parked.is_empty());
        let sum = sums(&picky, scope);
        assert_eq!((sum("a").unwrap(), sum("b").unwrap(), sum("c").unwrap()), (38, 20, 18));
        store.append_batch(batch("a", vec![numbered(1)])).unwrap();
        picky.catch_up().unwrap();
        assert_eq!((sum("a").unwrap(), sum("c").unwrap()), (39, 18));
        drop((picky, sum));
        store.close().unwrap();
        let store = open();
        assert_eq!(sums(&project(&store), scope)("a").unwrap(), 39);
    }
}

/// Raises an alert for every third failure of a session.
struct Alarm {
    reacted: Arc<AtomicU64>,
    version: u32,
}

impl Projection for Alarm {
    type State = u64;

    fn name(&self) -> &str {
        "alarm"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn interests(&self) -> Filter {
        Filter::new().pattern("task.failed".parse().unwrap())
    }

    fn apply(&self, failures: &mut u64, _: &Event) -> Result<(), ApplyError> {
        *failures += 1;
        Ok(())
    }

    fn reacts(&self) -> bool {
        true
    }

    fn react(&self, before: &u64, after: &u64, _: &Event) -> Vec<Emit> {
        assert_eq!(before + 1, *after);
        self.reacted.fetch_add(1, Ordering::SeqCst);
        if !after.is_multiple_of(3) {
            return Vec::new();
        }
        vec![Emit::new(
            "thirds",
            NewEvent::new("alert.failures").data(serde_json::json!({ "failures": after })),
        )]
    }
}

#[test]
fn what_a_projection_raises_is_recorded_once_across_restarts_and_rebuilds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alarm.redb");
    let reacted = Arc::<AtomicU64>::default();
    let mut failures = 0;
    {
        // There before the first alarm was installed: nothing has reacted to it yet.
        let store = Store::builder().sync(false).open(&path).unwrap();
        store.append("s", (0..4).map(|_| NewEvent::new("task.failed")).collect::<Vec<_>>()).unwrap();
        failures += 4;
    }
    for (round, version) in [1, 1, 2, 2, 3].into_iter().enumerate() {
        let store = Store::builder().sync(false).open(&path).unwrap();
        // Recorded while nobody watched, or while the new version was being built.
        store.append("s", (0..2).map(|_| NewEvent::new("task.failed")).collect::<Vec<_>>()).unwrap();
        let alarm = store.project(Alarm { reacted: reacted.clone(), version }).unwrap();
        store.append("s", [NewEvent::new("task.failed"), NewEvent::new("task.started")]).unwrap();
        alarm.rebuild().unwrap();
        store.append("s", NewEvent::new("task.failed")).unwrap();
        failures += 4;
        alarm.catch_up().unwrap();
        alarm.catch_up().unwrap();
        assert_eq!(alarm.state("s").unwrap(), failures);
        let alerts: Vec<Event> =
            history(&store, Query::all().filter(Filter::new().pattern("alert.**".parse().unwrap())));
        let told: Vec<u64> = alerts
            .iter()
            .map(|e| e.json::<serde_json::Value>().unwrap()["failures"].as_u64().unwrap())
            .collect();
        let due: Vec<u64> = (1..=failures / 3).map(|n| n * 3).collect();
        assert_eq!(told, due, "round {round}");
        let causes: Vec<Event> = alerts.iter().map(|e| store.get(e.causation().unwrap()).unwrap()).collect();
        assert!(causes.iter().all(|e| e.kind() == "task.failed"));
        if round == 0 {
            assert_eq!(reacted.load(Ordering::SeqCst), failures, "each event was reacted to");
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_folded_again() {
    #[derive(Clone)]
    struct Shape(Scope);
    /// Another shape under the same version: a fault of the user, which costs time and nothing else.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Odd {
        trail: Trail,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<Vec<u8>>,
    }
    impl Projection for Shape {
        type State = Odd;
        fn name(&self) -> &str {
            "odd"
        }
        fn scope(&self) -> Scope {
            self.0
        }
        fn key(&self, event: &Event) -> Option<String> {
            key_of(event)
        }
        fn apply(&self, odd: &mut Odd, event: &Event) -> Result<(), ApplyError> {
            odd.trail.step(event);
            Ok(())
        }
    }
    /// The same states, of which the old ones do not decode.
    struct Strict(Scope);
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Full {
        trail: Trail,
        new: u64,
    }
    impl Projection for Strict {
        type State = Full;
        fn name(&self) -> &str {
            "odd"
        }
        fn scope(&self) -> Scope {
            self.0
        }
        fn key(&self, event: &Event) -> Option<String> {
            key_of(event)
        }
        fn apply(&self, full: &mut Full, event: &Event) -> Result<(), ApplyError> {
            full.trail.step(event);
            full.new += 1;
            Ok(())
        }
    }
    for scope in [Scope::Branch, Scope::Session, Scope::Key] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd.redb");
        let store = Store::builder().sync(false).open(&path).unwrap();
        let odd = store.project(Shape(scope)).unwrap();
        store.append_batch(batch("s", (0..600).map(numbered).collect())).unwrap();
        odd.catch_up().unwrap();
        drop(odd);
        store.close().unwrap();
        let store = Store::builder().sync(false).open(&path).unwrap();
        let strict = store.project(Strict(scope)).unwrap();
        let state = |strict: &Projected<Full>| match scope {
            Scope::Key => strict.state_of("key-0").unwrap(),
            _ => strict.state("s").unwrap(),
        };
        for _ in 0..2 {
            let events = history(&store, Query::all());
            let own = events.iter().filter(|e| scope != Scope::Key || key_of(e).as_deref() == Some("key-0"));
            let due = plain(1, own.cloned());
            let full = state(&strict);
            assert_eq!((full.trail, full.new), (due.clone(), due.count));
            store.append_batch(batch("s", (0..20).map(numbered).collect())).unwrap();
            strict.catch_up().unwrap();
        }
    }
}

#[test]
fn a_changed_shape_rebuilds_and_a_rebuild_that_was_given_up_leaves_what_there_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shape.redb");
    let open = || Store::builder().sync(false).open(&path).unwrap();
    let store = open();
    let steps = store.project(Steps::by(Scope::Branch)).unwrap();
    long_branch(&store, 20_000);
    steps.catch_up().unwrap();
    let rebuild = steps.rebuild().unwrap();
    rebuild.cancel();
    let done = rebuild.wait().unwrap();
    assert!(steps.read("long").unwrap().folded < 256, "what there was is still read; it was done: {done}");
    let rebuild = steps.rebuild().unwrap();
    assert!(rebuild.wait().unwrap());
    assert_eq!((rebuild.progress().done, rebuild.progress().total), (20_000, 20_000));
    assert!(steps.rebuilding().is_none() && steps.read("long").unwrap().folded < 256);
    drop(steps);
    store.close().unwrap();

    let store = open();
    let changed = Steps { shape: 7, ..Steps::by(Scope::Branch) };
    let other = store.project(changed.clone()).unwrap();
    other.catch_up().unwrap();
    assert!(other.read("long@9999").unwrap().folded < 256);
    assert_eq!(store.projections().list().unwrap()[0].version, Some(1));
    assert!(matches!(store.project(Steps::by(Scope::Branch)), Err(Error::Exists { .. })));
    store.project(changed).unwrap();
}

#[test]
fn a_rebuild_between_appends_gives_what_a_rebuild_afterwards_gives() {
    for scope in [Scope::Branch, Scope::Session, Scope::Key] {
        let store = Store::builder().sync(false).flush_after(500, 1 << 20).in_memory().unwrap();
        let steps = store.project(Steps::by(scope)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let writers = (0..3u64).map(|writer| {
                let store = &store;
                threads.spawn(move || {
                    for n in 0..150u64 {
                        let session = format!("s{}", (n + writer) % 7);
                        let events = (0..1 + n % 40).map(numbered).collect();
                        store.append_batch(batch(&session, events)).unwrap();
                        if n % 50 == 7 {
                            store.fork(session.as_str(), &format!("f{writer}-{n}")).unwrap();
                        }
                    }
                })
            });
            let writers: Vec<_> = writers.collect();
            let (steps, done) = (&steps, &done);
            let builder = threads.spawn(move || {
                let mut rebuilds = 0;
                while !done.load(Ordering::SeqCst) || rebuilds < 3 {
                    assert!(steps.rebuild().unwrap().wait().unwrap());
                    rebuilds += 1;
                }
            });
            writers.into_iter().for_each(|w| w.join().unwrap());
            done.store(true, Ordering::SeqCst);
            builder.join().unwrap();
        });
        let states = |steps: &Projected<Trail>| -> BTreeMap<String, Trail> {
            steps.list(|_| true).unwrap().into_iter().map(|r| (r.of, r.state)).collect()
        };
        let between = states(&steps);
        steps.catch_up().unwrap();
        assert_eq!(states(&steps), between);
        assert!(steps.rebuild().unwrap().wait().unwrap());
        assert_eq!(states(&steps), between);
        let mut due = BTreeMap::<String, Trail>::new();
        match scope {
            Scope::Branch => {
                for of in between.keys() {
                    let events = history(&store, Query::branch(of.as_str()).unwrap());
                    due.insert(of.clone(), plain(1, events.into_iter()));
                }
            }
            _ => {
                for event in history(&store, Query::all()) {
                    let key = if scope == Scope::Session {
                        Some(event.session().to_string())
                    } else {
                        key_of(&event)
                    };
                    if let Some(key) = key {
                        due.entry(key).or_default().step(&event);
                    }
                }
            }
        }
        assert_eq!(between, due);
    }
}

#[test]
fn what_cannot_be_answered_is_said_in_words() {
    let store = Store::in_memory().unwrap();
    let by_branch = store.project(Steps::by(Scope::Branch)).unwrap();
    let by_session = store.project(Steps::by(Scope::Session)).unwrap();
    let by_key = store.project(Steps::by(Scope::Key)).unwrap();
    store.append("s", [NewEvent::new("a.b"), NewEvent::new("a.b")]).unwrap();
    let told = |e: Error| e.to_string();
    assert_eq!(told(by_branch.state("nobody").unwrap_err()), "there is no session nobody");
    assert_eq!(told(by_branch.state("s/other").unwrap_err()), "there is no branch s/other");
    assert_eq!(told(by_branch.state("s@3").unwrap_err()), "there is no event s/main@3: the branch ends at 2");
    assert_eq!(told(by_session.state("nobody").unwrap_err()), "there is no session nobody");
    assert!(matches!(by_session.state("s@1"), Err(Error::Invalid(_))));
    assert!(matches!(by_session.state("s/b"), Err(Error::Invalid(_))));
    assert!(matches!(by_key.state("s"), Err(Error::Invalid(_))));
    assert!(matches!(by_branch.state_of("s"), Err(Error::Invalid(_))));
    assert_eq!(told(by_key.state_of("nothing").unwrap_err()), "there is no key nothing");
    let early = Timestamp::from_micros(5);
    let error = told(by_branch.state_at("s", early).unwrap_err());
    assert!(error.contains("recorded at or before 1970-01-01T00:00:00.000005Z"), "{error}");
    assert!(matches!(by_session.state_at("s", early), Err(Error::NotFound { .. })));
    assert_eq!(by_branch.state_at("s", Timestamp::now()).unwrap().at, 2);
    struct Nameless;
    impl Projection for Nameless {
        type State = u64;
        fn name(&self) -> &str {
            "not a name"
        }
        fn apply(&self, _: &mut u64, _: &Event) -> Result<(), ApplyError> {
            Ok(())
        }
    }
    assert!(matches!(store.project(Nameless), Err(Error::Invalid(_))));
    let patch = by_branch.diff_state("s@0", "s@1").unwrap();
    assert_eq!(patch[0]["op"], "replace");
    assert_eq!(by_branch.diff_state("s@1", "s@1").unwrap(), serde_json::json!([]));
    let most = by_branch.top(1, |_| true, |a, b| b.state.count.cmp(&a.state.count)).unwrap();
    assert_eq!(most.len(), 1);
    store.close().unwrap();
    assert!(matches!(by_branch.state("s"), Err(Error::Closed { .. })));
    assert!(matches!(by_branch.catch_up(), Err(Error::Closed { .. })));
}

#[test]
fn a_store_that_is_only_read_answers_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.redb");
    let store = Store::open(&path).unwrap();
    store.append_if("s", Expect::Empty, [NewEvent::new("a.b"), NewEvent::new("a.b")]).unwrap();
    store.close().unwrap();
    let store = Store::builder().read_only().open(&path).unwrap();
    let steps = store.project(Steps::by(Scope::Branch)).unwrap();
    assert_eq!(steps.state("s").unwrap().count, 2);
    assert_eq!((steps.lag().unwrap(), store.projections().list().unwrap().len()), (2, 0));
    for refused in [steps.catch_up(), steps.rebuild().map(drop), steps.retry().map(drop)] {
        assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    }
}

/// Counts what it folds of each session.
struct Looked {
    scope: Scope,
    at: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Projection for Looked {
    type State = u64;

    fn name(&self) -> &str {
        if self.scope == Scope::Session { "looked_by_session" } else { "looked_by_branch" }
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn apply(&self, count: &mut u64, event: &Event) -> Result<(), ApplyError> {
        *self.at.lock().unwrap().entry(event.session().to_string()).or_default() += 1;
        *count += 1;
        if event.kind() == "cannot.fold" { Err(ApplyError::new("it cannot")) } else { Ok(()) }
    }
}

#[test]
fn a_page_of_states_folds_only_the_sessions_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pages.redb");
    let store = Store::open(&path).unwrap();
    // By name `a` comes before `a-b`, by address `a-b/main` before `a/main`.
    for session in ["a", "a-b", "hidden", "hidden-2", "b"] {
        store.append(session, NewEvent::new("step.done")).unwrap();
        store.fork(session, "x").unwrap();
    }
    store.append("hidden", NewEvent::new("cannot.fold")).unwrap();
    store.close().unwrap();
    // No thread folds anything beside.
    let store = Store::builder().read_only().open(&path).unwrap();
    for (scope, all) in [
        (Scope::Branch, vec!["a/main", "a/x", "a-b/main", "a-b/x", "b/main", "b/x"]),
        (Scope::Session, vec!["a", "a-b", "b"]),
    ] {
        let at = Arc::<Mutex<BTreeMap<String, u64>>>::default();
        let looked = store.project(Looked { scope, at: at.clone() }).unwrap();
        let mine = |session: &SessionId| !session.as_str().starts_with("hidden");
        for limit in [1, 2, 4, 99] {
            let (mut found, mut after) = (Vec::new(), None::<String>);
            loop {
                let page = looked.list_after(after.as_deref(), limit, mine).unwrap();
                assert!(page.len() <= limit && page.iter().all(|state| state.state == 1));
                let Some(last) = page.last() else { break };
                after = Some(last.of.clone());
                found.extend(page.into_iter().map(|state| state.of));
            }
            assert_eq!(found, all, "{limit}");
        }
        let sessions: Vec<String> = at.lock().unwrap().keys().cloned().collect();
        assert_eq!(sessions, ["a", "a-b", "b"]);
        // One that comes after what is not there, or may not be seen.
        let after = if scope == Scope::Branch { "hidden/x" } else { "b" };
        assert_eq!(looked.list_after(Some(after), 9, mine).unwrap().len(), 0);
        let gone = if scope == Scope::Branch { "a-b/m" } else { "a-a" };
        assert_eq!(
            looked.list_after(Some(gone), 1, mine).unwrap()[0].of,
            if scope == Scope::Branch { "a-b/main" } else { "a-b" }
        );
        for bad in ["", "a/b/c", "a/main@1"] {
            assert!(matches!(looked.list_after(Some(bad), 9, mine), Err(Error::Invalid(_))), "{bad}");
        }
    }
    let keyed = store.project(Steps::by(Scope::Key)).unwrap();
    assert!(matches!(keyed.list_after(None, 9, |_| true), Err(Error::Invalid(_))));
}
