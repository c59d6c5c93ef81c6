//! Sessions that other programs wrote, through the store and back.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use retold::interop::{self, Format, Options};
use retold::{Event, Query, Store};

/// Real files lie beside the project, not in it.
fn real() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: the real sessions are not here");
    None
}

fn all(store: &Store) -> Vec<Event> {
    store.events(Query::all()).unwrap().map(Result::unwrap).collect()
}

fn load(store: &Store, path: &Path) -> interop::Loaded {
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let plan = interop::parse(path.to_str().unwrap(), &bytes, &Options::default()).unwrap();
    interop::load(store, plan, &mut |_| {}).unwrap()
}

#[test]
fn real_files_come_back_byte_for_byte_and_going_in_again_adds_nothing() {
    let Some(real) = real() else { return };
    let mut files = 0;
    for folder in ["claude-code", "openhands", "temporal"] {
        for entry in std::fs::read_dir(real.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let store = Store::in_memory().unwrap();
            let first = load(&store, &path);
            assert_eq!(first.skipped, [], "{}", path.display());
            assert!(first.new > 0 && first.duplicates == 0, "{}: {first:?}", path.display());
            store.settle().unwrap();
            let back = interop::restore(&all(&store));
            assert_eq!(back.len(), 1);
            assert!(back[0].bytes == std::fs::read(&path).unwrap(), "{} differs", path.display());
            let again = load(&store, &path);
            assert_eq!((again.new, again.duplicates), (0, first.new), "{}", path.display());
            assert!(store.verify().unwrap().is_clean());
            files += 1;
        }
    }
    assert!(files >= 10, "{files} files");
}

#[test]
fn a_session_with_one_side_branch_has_exactly_two_branches() {
    let Some(real) = real() else { return };
    let store = Store::in_memory().unwrap();
    let loaded = load(&store, &real.join("claude-code/side-branch.jsonl"));
    assert_eq!(loaded.branches, 2);
    let session = store.sessions(None, 10).unwrap().remove(0).session;
    let branches = store.branches(&session).unwrap();
    assert_eq!(branches.len(), 2);
    let side = branches.iter().find(|b| b.parent.is_some()).unwrap();
    let (_, fork) = side.parent.clone().unwrap();
    let address = retold::Address::from(side.place.clone());
    let events: Vec<Event> =
        store.events(Query::branch(&address).unwrap()).unwrap().map(Result::unwrap).collect();
    let main: Vec<Event> =
        store.events(Query::branch(session.as_str()).unwrap()).unwrap().map(Result::unwrap).collect();
    let fork = usize::try_from(fork.get()).unwrap();
    assert_eq!(events[..fork], main[..fork]);
    assert!(events.len() > fork && events[fork].id() != main[fork].id());
}

#[test]
fn what_our_own_format_exports_another_store_imports() {
    let store = Store::in_memory().unwrap();
    let event = |n: i32| retold::NewEvent::new("step.done").data(serde_json::json!({ "n": n }));
    store.append("s", [event(1), event(2)]).unwrap();
    store.append("s", retold::NewEvent::new("raw").bytes("application/x", vec![0, 255, 10])).unwrap();
    store.append("t", retold::NewEvent::new("spread").json_text("{\n  \"a\": 1\n}")).unwrap();
    for format in [Format::Retold, Format::CloudEvents] {
        let mut lines = Vec::new();
        for event in all(&store) {
            interop::print(format, &event, &mut lines).unwrap();
        }
        let options = Options::default().format(Some(format));
        let plan = interop::parse("x", &Bytes::from(lines), &options).unwrap();
        let other = Store::in_memory().unwrap();
        assert_eq!(interop::load(&other, plan, &mut |_| {}).unwrap().new, 4);
        for (a, b) in all(&store).iter().zip(all(&other)) {
            assert_eq!((a.place(), a.sequence(), a.id()), (b.place(), b.sequence(), b.id()));
            assert_eq!((a.kind(), a.payload(), a.occurred()), (b.kind(), b.payload(), b.occurred()));
        }
    }
}
