//! Runners of several handles on one engine write in turn: seen from below, where every commit passes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{
    Commit, Engine, EngineLayer, Outcome, SidecarTable, SidecarWrites, Submitted, open_in_memory,
};
use crate::error::Result;
use crate::event::{Event, NewEvent};
use crate::project::{ApplyError, Projected, Projection, Scope};
use crate::store::{Query, Store};
use crate::sync::{Mutex, lock};

/// What a commit has written to the tables of projections, and what it expected of them.
#[derive(Debug)]
struct Written {
    rows: Vec<(SidecarTable, Vec<u8>, Option<Vec<u8>>)>,
    expected: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Written {
    fn of(records: &SidecarWrites) -> Self {
        let rows = records.rows().map(|(table, key, value)| (table, key.to_vec(), value.map(<[u8]>::to_vec)));
        let expected = records.expected().iter().map(|record| (record.key.clone(), record.value.clone()));
        Self { rows: rows.collect(), expected: expected.collect() }
    }
}

/// An engine that keeps a log of what was written, in the order of the commits.
#[derive(Debug)]
struct Logging {
    engine: Arc<dyn Engine>,
    log: Arc<Mutex<Vec<Written>>>,
}

impl EngineLayer for Logging {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        let mut log = lock(&self.log);
        let written = commit.records().map(Written::of);
        let outcome = self.engine.commit(commit)?;
        log.extend(written);
        Ok(outcome)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { EngineLayer::commit(self, commit) })
    }
}

/// Which events, and in which order.
struct Order {
    scope: Scope,
    version: u32,
}

impl Projection for Order {
    type State = Vec<u64>;

    fn name(&self) -> &str {
        match self.scope {
            Scope::Branch => "order_of_branch",
            Scope::Session => "order_of_session",
            Scope::Key => "order_of_key",
        }
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn key(&self, event: &Event) -> Option<String> {
        Some(event.kind().to_owned())
    }

    fn apply(&self, order: &mut Vec<u64>, event: &Event) -> std::result::Result<(), ApplyError> {
        order.push(event.position().get());
        Ok(())
    }
}

fn project(store: &Store, version: u32) -> [Projected<Vec<u64>>; 3] {
    [Scope::Branch, Scope::Session, Scope::Key].map(|scope| store.project(Order { scope, version }).unwrap())
}

fn check_states(store: &Store, projected: &[Projected<Vec<u64>>; 3]) {
    let events: Vec<Event> = store.events(Query::all()).unwrap().map(|event| event.unwrap()).collect();
    let mut due: [HashMap<String, Vec<u64>>; 3] = Default::default();
    for event in &events {
        let of = [event.place().to_string(), event.session().to_string(), event.kind().to_owned()];
        for (due, of) in due.iter_mut().zip(of) {
            due.entry(of).or_default().push(event.position().get());
        }
    }
    for (projected, due) in projected.iter().zip(due) {
        let states = projected.list(|_| true).unwrap();
        let states: HashMap<_, _> = states.into_iter().map(|reading| (reading.of, reading.state)).collect();
        assert_eq!(states, due, "{}", projected.name());
    }
}

/// Everything that was written was written by the one that had taken the lease last, and every checkpoint is after the one
/// before it.
fn check_log(log: &[Written]) -> usize {
    let mut holders: HashMap<Vec<u8>, (Vec<u8>, u64)> = HashMap::new();
    let mut checkpoints: HashMap<Vec<u8>, (u64, u64, Vec<u8>)> = HashMap::new();
    let mut taken = 0;
    for written in log {
        let held = written.expected.iter().filter_map(|(key, value)| {
            let is_held = key.starts_with(b"l\0") && key.ends_with(b"h") && value.is_some();
            is_held.then(|| (key.clone(), value.clone().unwrap()))
        });
        let held: Vec<_> = held.collect();
        for (key, value) in &held {
            assert_eq!(holders.get(key).map(|(value, _)| value), Some(value), "written without the lease");
        }
        for (table, key, value) in &written.rows {
            let holder = match (table, value) {
                (SidecarTable::Checkpoints, Some(value)) if key.starts_with(b"l\0") => {
                    if key.ends_with(b"h") {
                        let row: serde_json::Value = serde_json::from_slice(value).unwrap();
                        let fence = row["fence"].as_u64().unwrap();
                        let before = holders.insert(key.clone(), (value.clone(), fence));
                        assert_eq!(fence, before.map_or(0, |(_, fence)| fence) + 1);
                        taken += 1;
                    }
                    continue;
                }
                (SidecarTable::Checkpoints, None) if key.starts_with(b"l\0") => {
                    holders.remove(key);
                    continue;
                }
                _ => {
                    let name = match table {
                        SidecarTable::Snapshots => key.split(|byte| *byte == 0).next(),
                        _ => key.split(|byte| *byte == 0).nth(1),
                    };
                    let prefix = [b"l\0", name.unwrap(), b"\0"].concat();
                    let holder = held.iter().find(|(key, _)| key.starts_with(&prefix));
                    holder.map(|(_, value)| value.clone()).expect("written with no lease")
                }
            };
            if let (true, Some(value)) = (key.starts_with(b"c\0"), value) {
                let row: serde_json::Value = serde_json::from_slice(value).unwrap();
                let at = (row["generation"].as_u64().unwrap(), row["position"].as_u64().unwrap());
                if let Some((generation, position, last)) =
                    checkpoints.insert(key.clone(), (at.0, at.1, holder.clone()))
                {
                    assert!(generation <= at.0, "{generation} came back after {}", at.0);
                    if generation == at.0 {
                        let is_further = position < at.1 || (position == at.1 && last == holder);
                        assert!(is_further, "{} after {position}, by another: {}", at.1, last != holder);
                    }
                }
            }
        }
    }
    taken
}

fn logging(engine: Arc<dyn Engine>) -> (Store, Arc<Mutex<Vec<Written>>>) {
    let log = Arc::<Mutex<Vec<Written>>>::default();
    let engine = Arc::new(Logging { engine, log: log.clone() });
    let settings = Store::builder().project_every(Duration::ZERO).project_lease(Duration::from_millis(20));
    (settings.on(engine).unwrap(), log)
}

fn on_file(path: &std::path::Path) -> Arc<dyn Engine> {
    let options = crate::engine::Options { sync: false, ..Default::default() };
    crate::engine::open(crate::engine::Medium::File(path.to_owned()), options).unwrap()
}

fn append(store: &Store, from: u64) {
    for n in from..from + 40 {
        store.append(format!("s{}", n % 3), NewEvent::new(format!("kind.k{}", n % 5))).unwrap();
    }
}

#[test]
fn runners_that_come_and_go_advance_each_checkpoint_once() {
    let folder = tempfile::tempdir().unwrap();
    for engine in [open_in_memory(false), on_file(&folder.path().join("s.redb"))] {
        let (store, log) = logging(engine);
        let stays = project(&store, 1);
        for round in 0..5 {
            let others = [store.beside(), store.beside()];
            std::thread::scope(|threads| {
                threads.spawn(|| append(&store, round * 3));
                for (n, other) in others.iter().enumerate() {
                    threads.spawn(move || {
                        let projected = project(other, 1);
                        append(other, round);
                        if (round + n as u64).is_multiple_of(2) {
                            projected.iter().for_each(|projected| projected.catch_up().unwrap());
                            check_exact(other, &projected);
                        }
                        other.close().unwrap();
                    });
                }
            });
        }
        stays.iter().for_each(|projected| projected.catch_up().unwrap());
        check_states(&store, &stays);
        assert!(check_log(&lock(&log)) >= 6, "two runners had it at least");
    }
}

/// What is read while others append is of some moment since: of the branches of a session, in order.
fn check_exact(store: &Store, projected: &[Projected<Vec<u64>>; 3]) {
    for session in ["s0", "s1", "s2"] {
        let state = projected[0].state(session).unwrap();
        let query = Query::branch(session).unwrap();
        let events = store.events(query).unwrap().take(state.len()).map(|e| e.unwrap().position().get());
        assert!(events.eq(state.iter().copied()), "{session}");
    }
}

#[test]
fn runners_of_two_versions_write_their_own_generations_and_the_newer_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    for engine in [open_in_memory(false), on_file(&folder.path().join("s.redb"))] {
        let (store, log) = logging(engine);
        append(&store, 0);
        let newer = store.beside();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for round in 0..4 {
                    let older = store.beside();
                    let projected = project(&older, 1);
                    append(&older, round);
                    check_exact(&older, &projected);
                    older.close().unwrap();
                }
            });
            let newer = &newer;
            threads.spawn(move || {
                let projected = project(newer, 2);
                for round in 0..4 {
                    append(newer, round);
                    projected.iter().for_each(|projected| projected.catch_up().unwrap());
                    check_exact(newer, &projected);
                }
            });
        });
        let projected = project(&newer, 2);
        projected.iter().for_each(|projected| projected.catch_up().unwrap());
        check_states(&newer, &projected);
        let infos = newer.projections().list().unwrap();
        assert_eq!(infos.iter().map(|info| info.version).collect::<Vec<_>>(), [Some(2); 3]);
        check_log(&lock(&log));
    }
}
