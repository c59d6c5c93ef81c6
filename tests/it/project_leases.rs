//! Several handles on one engine register the same projection, or another version of it: one of them writes, and all of
//! them answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use retold::project::{ApplyError, Projection, ProjectionInfo, Scope};
use retold::testkit::beside;
use retold::{Builder, Error, Event, Projected, Query, Store};

use crate::projections::{Steps, Tenths, Trail, key_of};
use crate::support::{batch, numbered};

/// Longer than any test: what waits for it to lapse never ends.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

fn settings(lease: Duration) -> Builder {
    Store::builder().sync(false).project_every(Duration::from_millis(1)).project_lease(lease)
}

/// A store on each engine.
fn on_each(lease: Duration, test: impl Fn(Store)) {
    let folder = tempfile::tempdir().unwrap();
    test(settings(lease).open(folder.path().join("s.redb")).unwrap());
    test(settings(lease).in_memory().unwrap());
}

/// Where a projection is held up until it may go on.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    turned: Condvar,
    reached: AtomicBool,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self { closed: Mutex::new(true), ..Self::default() })
    }

    fn pass(&self) {
        let mut closed = self.closed.lock().unwrap();
        if *closed {
            self.reached.store(true, Ordering::SeqCst);
            self.turned.notify_all();
        }
        while *closed {
            closed = self.turned.wait(closed).unwrap();
        }
    }

    /// Waits until something is held up.
    fn wait(&self) {
        let mut closed = self.closed.lock().unwrap();
        while !self.reached.load(Ordering::SeqCst) {
            closed = self.turned.wait(closed).unwrap();
        }
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.turned.notify_all();
    }
}

/// Opens a gate however a test ends, so that no thread is left before it.
struct Opening(Arc<Gate>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// [`Steps`], held up at the gate.
struct Gated(Steps, Arc<Gate>);

impl Projection for Gated {
    type State = Trail;

    fn name(&self) -> &str {
        self.0.name()
    }

    fn version(&self) -> u32 {
        self.0.version
    }

    fn scope(&self) -> Scope {
        self.0.scope
    }

    fn key(&self, event: &Event) -> Option<String> {
        key_of(event)
    }

    fn apply(&self, trail: &mut Trail, event: &Event) -> Result<(), ApplyError> {
        self.1.pass();
        self.0.apply(trail, event)
    }
}

const SCOPES: [Scope; 3] = [Scope::Branch, Scope::Session, Scope::Key];

fn steps(scope: Scope, version: u32) -> Steps {
    Steps { version, ..Steps::by(scope) }
}

fn project(store: &Store, version: u32) -> Vec<Projected<Trail>> {
    SCOPES.map(|scope| store.project(steps(scope, version)).unwrap()).into()
}

fn append(store: &Store, events: u64) {
    for n in 0..events {
        store.append_batch(batch(&format!("s{}", n % 4), vec![numbered(n), numbered(n)])).unwrap();
    }
}

fn states(projected: &Projected<Trail>) -> BTreeMap<String, Trail> {
    let touched = projected.list(|reading| reading.state.count > 0).unwrap();
    touched.into_iter().map(|reading| (reading.of, reading.state)).collect()
}

/// Every state is what a fold from the start gives.
fn check(store: &Store, version: u32, projected: &[Projected<Trail>]) {
    SCOPES
        .into_iter()
        .zip(projected)
        .for_each(|(scope, projected)| check_one(store, scope, version, projected));
}

fn check_one(store: &Store, scope: Scope, version: u32, projected: &Projected<Trail>) {
    let fold = steps(scope, version);
    let found = states(projected);
    let mut due = BTreeMap::<String, Trail>::new();
    for event in store.events(Query::all()).unwrap() {
        let event = event.unwrap();
        let of = match scope {
            Scope::Branch => Some(event.place().to_string()),
            Scope::Session => Some(event.session().to_string()),
            _ => key_of(&event),
        };
        if let Some(of) = of {
            fold.apply(due.entry(of).or_default(), &event).unwrap();
        }
    }
    if scope == Scope::Branch {
        // With what it inherits.
        for (branch, trail) in &mut due {
            *trail = Trail::default();
            let events = store.events(Query::branch(branch.as_str()).unwrap()).unwrap();
            events.for_each(|event| fold.apply(trail, &event.unwrap()).unwrap());
        }
    }
    assert_eq!(found, due, "{} version {version}", projected.name());
}

fn catch_up(projected: &[Projected<Trail>]) {
    projected.iter().for_each(|projected| projected.catch_up().unwrap());
}

fn infos(store: &Store) -> Vec<ProjectionInfo> {
    store.projections().list().unwrap()
}

fn running(store: &Store) -> Vec<bool> {
    infos(store).iter().map(|info| info.running).collect()
}

#[test]
fn two_runners_of_one_projection_keep_it_up_as_one() {
    on_each(FOR_EVER, |store| {
        let other = beside(&store);
        let (here, there) = (project(&store, 1), project(&other, 1));
        let tenths = store.project(Tenths).unwrap();
        let idle = other.project(Tenths).unwrap();
        assert_eq!((running(&store), running(&other)), (vec![true; 4], vec![false; 4]));
        std::thread::scope(|threads| {
            for store in [&store, &other] {
                threads.spawn(|| append(store, 200));
            }
            for projected in [&here, &there] {
                threads.spawn(|| (0..10).for_each(|_| catch_up(projected)));
            }
        });
        // What it raises comes before what is caught up with then.
        tenths.catch_up().unwrap();
        for (store, projected) in [(&store, &here), (&other, &there)] {
            catch_up(projected);
            check(store, 1, projected);
            assert!(projected.iter().all(|projected| projected.lag().unwrap() == 0));
        }
        assert_eq!(tenths.state("s0").unwrap(), idle.state("s0").unwrap());
        let kinds = store.events(Query::all()).unwrap().map(|event| event.unwrap().kind().to_owned());
        let raised = kinds.filter(|kind| kind == "alert.tenth").count();
        assert_eq!(raised, 4 * 20, "two hundred steps in each of four sessions");
        assert_eq!((running(&store), running(&other)), (vec![true; 4], vec![false; 4]));
        // What only one can do is refused to the other, and says why.
        let refused = there[0].rebuild().unwrap_err();
        assert!(matches!(refused, Error::Locked { .. }), "{refused}");
        assert!(refused.to_string().starts_with("projection steps_by_branch of "), "{refused}");
        assert!(matches!(there[0].retry(), Err(Error::Locked { .. })));
        assert!(here[0].rebuild().unwrap().wait().unwrap());
        check(&other, 1, &there);
        assert!(store.maintenance().verify().unwrap().is_clean());
    });
}

#[test]
fn a_holder_that_closes_hands_over_at_once() {
    on_each(FOR_EVER, |store| {
        append(&store, 20);
        let (one, other) = (beside(&store), beside(&store));
        let here = project(&one, 1);
        catch_up(&here);
        let there = project(&other, 1);
        append(&store, 20);
        assert_eq!(running(&other), [false; 3]);
        drop(here);
        one.close().unwrap();
        append(&store, 20);
        // Nobody has it: so it is taken, long before its time is over.
        catch_up(&there);
        assert_eq!(running(&other), [true; 3]);
        assert!(infos(&other).iter().all(|info| info.lag == 0));
        check(&other, 1, &there);
    });
}

#[test]
fn a_holder_that_stalls_is_taken_over_from_and_writes_nothing_when_it_wakes() {
    on_each(Duration::from_millis(30), |store| {
        for scope in SCOPES {
            let (one, other) = (beside(&store), beside(&store));
            let gate = Gate::closed();
            let opening = Opening(gate.clone());
            let first = beside(&store);
            first.project(steps(scope, 1)).unwrap().catch_up().unwrap();
            first.close().unwrap();
            let stalled = one.project(Gated(steps(scope, 1), gate.clone())).unwrap();
            append(&store, 30);
            gate.wait();
            let follows = other.project(steps(scope, 1)).unwrap();
            // What it has left undone is done here when its time is over.
            follows.catch_up().unwrap();
            let name = follows.name().to_owned();
            let info = |store: &Store| store.projections().info(&name).unwrap();
            assert!(info(&other).running);
            append(&store, 10);
            follows.catch_up().unwrap();
            let position = info(&other).position;
            drop(opening);
            // It comes back, and finds that its place is taken.
            stalled.catch_up().unwrap();
            assert!(!info(&one).running);
            assert_eq!((info(&one).position, info(&other).position), (position, position));
            assert_eq!(states(&stalled), states(&follows));
            append(&store, 10);
            follows.catch_up().unwrap();
            assert_eq!(states(&stalled), states(&follows));
            one.close().unwrap();
            other.close().unwrap();
        }
        check(&store, 1, &project(&store, 1));
        assert!(store.maintenance().verify().unwrap().is_clean());
    });
}

#[test]
fn an_older_program_that_opens_and_closes_while_a_newer_one_rebuilds_destroys_nothing() {
    on_each(FOR_EVER, |store| {
        for scope in SCOPES {
            append(&store, 60);
            let program = |version| {
                let handle = beside(&store);
                let projected = handle.project(steps(scope, version)).unwrap();
                (handle, projected)
            };
            let (old, states_of_old) = program(1);
            states_of_old.catch_up().unwrap();
            old.close().unwrap();

            let newer = beside(&store);
            let gate = Gate::closed();
            let opening = Opening(gate.clone());
            let built = newer.project(Gated(steps(scope, 2), gate.clone())).unwrap();
            let rebuild = built.rebuilding().unwrap();
            gate.wait();
            for _ in 0..3 {
                let (old, states_of_old) = program(1);
                let name = states_of_old.name().to_owned();
                append(&old, 5);
                states_of_old.catch_up().unwrap();
                let info = old.projections().info(&name).unwrap();
                assert_eq!((info.version, info.next_version, info.lag), (Some(1), Some(2), 0));
                assert!(info.running, "its own states are its own to keep up");
                assert!(matches!(states_of_old.rebuild(), Err(Error::Locked { .. })), "one is going on");
                check_one(&old, scope, 1, &states_of_old);
                old.close().unwrap();
            }
            // A third one that stays, and keeps up the old states until the new ones take their place.
            let (old, states_of_old) = program(1);
            drop(opening);
            assert!(rebuild.wait().unwrap());
            append(&store, 5);
            built.catch_up().unwrap();
            check_one(&newer, scope, 2, &built);
            let name = built.name().to_owned();
            let info = |store: &Store| store.projections().info(&name).unwrap();
            assert_eq!((info(&newer).version, info(&newer).next_version), (Some(2), None));
            states_of_old.catch_up().unwrap();
            assert!(info(&newer).running && !info(&old).running);
            check_one(&old, scope, 1, &states_of_old);
            assert!(matches!(states_of_old.rebuild(), Err(Error::Locked { .. })));

            // One that comes back later folds in memory, as long as the newer one is there.
            let (back, states_of_back) = program(1);
            append(&back, 5);
            states_of_back.catch_up().unwrap();
            check_one(&back, scope, 1, &states_of_back);
            assert!(states_of_back.rebuilding().is_none() && !info(&back).running);
            built.catch_up().unwrap();
            assert_eq!((info(&newer).version, info(&newer).lag), (Some(2), 0));
            old.close().unwrap();
            // Nobody runs the newer one any more: the way back.
            newer.close().unwrap();
            states_of_back.catch_up().unwrap();
            assert_eq!((info(&back).version, info(&back).running), (Some(1), true));
            check_one(&back, scope, 1, &states_of_back);
            back.close().unwrap();
        }
        assert!(store.maintenance().verify().unwrap().is_clean());
    });
}

/// Parks at a broken step.
struct Parks;

impl Projection for Parks {
    type State = u64;

    fn name(&self) -> &str {
        "parks"
    }

    fn apply(&self, count: &mut u64, event: &Event) -> Result<(), ApplyError> {
        if event.kind() == "step.broken" {
            return Err(ApplyError::new("it is broken"));
        }
        *count += 1;
        Ok(())
    }
}

/// Written by the release before there were leases: states of three projections, one of them rebuilt; one that is parked;
/// and a rebuild for version 2 of the states of sessions that was left when the store was closed.
const BEFORE_LEASES: &[u8] = include_bytes!("before_leases.redb.lz4");

#[test]
fn states_and_checkpoints_of_the_release_before_leases_are_read_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    std::fs::write(&path, lz4_flex::decompress_size_prepended(BEFORE_LEASES).unwrap()).unwrap();
    let store = settings(FOR_EVER).open_only().open(&path).unwrap();
    let stored = |store: &Store, name: &str| store.projections().info(name).unwrap();
    let found = infos(&store).into_iter().map(|info| (info.name, info.version, info.next_version));
    let name = |name: &str, next| (name.to_owned(), Some(1), next);
    let due = [name("parks", None), name("steps_by_branch", None), name("steps_by_key", None)];
    let due = due.into_iter().chain([name("steps_by_session", Some(2))]);
    assert!(found.eq(due), "{:?}", infos(&store));
    assert!(infos(&store).iter().take(3).all(|info| info.lag == 0));

    let projected = [(Scope::Branch, 1), (Scope::Session, 2), (Scope::Key, 1)]
        .map(|(scope, version)| store.project(steps(scope, version)).unwrap());
    let parks = store.project(Parks).unwrap();
    for kept in [&projected[0], &projected[2]] {
        assert!(kept.rebuilding().is_none(), "{} is as it was", kept.name());
        assert!(kept.top(9, |_| true, |a, b| a.of.cmp(&b.of)).unwrap().iter().all(|read| read.folded == 0));
    }
    let parked = stored(&store, "parks").parked;
    assert_eq!(parked.iter().map(|parked| parked.at.as_str()).collect::<Vec<_>>(), ["s1/retry@22"]);
    assert!(matches!(parks.state("s1/retry"), Err(Error::Parked { .. })));
    append(&store, 20);
    catch_up(&projected);
    parks.catch_up().unwrap();
    assert_eq!(stored(&store, "steps_by_session").version, Some(2));
    for ((scope, version), projected) in
        [(Scope::Branch, 1), (Scope::Session, 2), (Scope::Key, 1)].into_iter().zip(&projected)
    {
        check_one(&store, scope, version, projected);
    }
    assert!(infos(&store).iter().all(|info| info.running && info.lag == 0));
    assert_eq!(parks.state("s0").unwrap(), 40 + 10);
    assert!(store.maintenance().verify().unwrap().is_clean());
}
