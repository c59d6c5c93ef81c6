//! An event that can no longer be read stops the states that need it, and no others.

use std::path::Path;
use std::time::Duration;

use retold::agents::projections::{Board, Resource};
use retold::project::Scope;
use retold::{Catalogue, Error, NewEvent, Projected, Query, Store};
use serde_json::json;

use crate::damaged_chunk::{damage, written};
use crate::projections::{Steps, Trail};
use crate::support::{batch, numbered};

fn open(path: &Path) -> Store {
    Store::builder().sync(false).open(path).unwrap()
}

fn count(steps: &Projected<Trail>, address: &str) -> u64 {
    steps.state(address).unwrap().count
}

fn corrupt_or_parked(read: retold::Result<Trail>) {
    assert!(matches!(read, Err(Error::Corrupt { .. } | Error::Parked { .. })), "{read:?}");
}

/// What is true however the projection came to the damage.
fn check(store: &Store, branches: &Projected<Trail>, sessions: &Projected<Trail>, first: u64) {
    branches.catch_up().unwrap();
    sessions.catch_up().unwrap();
    for n in [0, 2, 3] {
        assert_eq!(count(branches, &format!("s-{n}")), 1_000);
        assert_eq!(count(sessions, &format!("s-{n}")), 1_000);
    }
    assert_eq!(count(branches, &format!("s-1@{}", first - 1)), first - 1);
    corrupt_or_parked(branches.state(format!("s-1@{first}")));
    corrupt_or_parked(branches.state("s-1"));
    corrupt_or_parked(sessions.state("s-1"));
    let infos = store.projections().list().unwrap();
    for (name, of) in [("steps_by_branch", "s-1/main"), ("steps_by_session", "s-1")] {
        let info = infos.iter().find(|i| i.name == name).unwrap_or_else(|| panic!("{name} in {infos:?}"));
        assert_eq!(info.parked.iter().map(|p| p.of.as_str()).collect::<Vec<_>>(), [of], "{name}");
        assert_eq!((info.stopped.as_deref(), info.lag), (None, 0), "{name}");
    }
}

#[test]
fn an_unreadable_event_parks_its_branch_and_session_and_stops_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    written(&path);
    let (first, last) = damage(&path, 2);
    assert_eq!((first, last), (401, 600));

    // Built anew.
    let store = open(&path);
    let (branches, sessions) = (Steps::by(Scope::Branch), Steps::by(Scope::Session));
    let (branches, sessions) = (store.project(branches).unwrap(), store.project(sessions).unwrap());
    check(&store, &branches, &sessions, first);
    // Keys may be anybody's: that projection stops, says so, and its answers are no guesses.
    let keys = store.project(Steps::by(Scope::Key)).unwrap();
    assert!(keys.rebuilding().is_none_or(|r| r.wait().is_err()));
    assert!(keys.catch_up().is_err());
    assert!(matches!(keys.state_of("key-0"), Err(Error::Corrupt { .. })));
    // What comes later is followed.
    store.append_batch(batch("s-2", vec![numbered(7)])).unwrap();
    store.append_batch(batch("s-1", vec![numbered(8)])).unwrap();
    branches.catch_up().unwrap();
    assert_eq!(count(&branches, "s-2"), 1_001);
    let retried = branches.retry().unwrap();
    assert_eq!((retried.mended, retried.parked), (0, 1));
    let retried = sessions.retry().unwrap();
    assert_eq!((retried.mended, retried.parked), (0, 1));
}

#[test]
fn what_is_followed_goes_past_an_unreadable_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    // Registered before the first event, so that the runner follows from there.
    let store = open(&path);
    for scope in [Scope::Branch, Scope::Session, Scope::Key] {
        store.project(Steps::by(scope)).unwrap().catch_up().unwrap();
    }
    store.close().unwrap();
    written(&path);
    let (first, _) = damage(&path, 2);

    let store = open(&path);
    let (branches, sessions) = (Steps::by(Scope::Branch), Steps::by(Scope::Session));
    let (branches, sessions) = (store.project(branches).unwrap(), store.project(sessions).unwrap());
    check(&store, &branches, &sessions, first);
    let keys = store.project(Steps::by(Scope::Key)).unwrap();
    assert!(matches!(keys.catch_up(), Err(Error::Storage { .. })));
    assert!(matches!(keys.state_of("key-0"), Err(Error::Corrupt { .. })));
    branches.catch_up().unwrap();
}

#[test]
fn what_a_session_has_used_is_known_from_snapshots_where_an_event_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let settings = Store::builder().sync(false).flush_when_idle(Duration::from_secs(3_600));
    let store = settings.flush_after(usize::MAX, usize::MAX).open(&path).unwrap();
    let call = || NewEvent::new("coder.api_call").data(json!({"provider": "acme", "input_tokens": 1}));
    for _ in 0..5 {
        store.append("s", (0..200).map(|_| call()).collect::<Vec<_>>()).unwrap();
        store.maintenance().flush().unwrap();
    }
    store.fork("s", "b").unwrap();
    store.append("s/b", call()).unwrap();
    store.project(Resource::new(Catalogue::builtin())).unwrap().catch_up().unwrap();
    store.close().unwrap();
    damage(&path, 1);

    let store = open(&path);
    assert!(store.events(Query::branch("s").unwrap()).unwrap().any(|event| event.is_err()));
    let resource = store.project(Resource::new(Catalogue::builtin())).unwrap();
    assert_eq!(resource.read("s").unwrap().folded, 0);
    let board = Board::new(&store, Catalogue::builtin()).unwrap();
    assert_eq!(board.spent(&"s".try_into().unwrap()).unwrap().tokens(), 1_001.0);
}
