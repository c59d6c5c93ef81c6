//! Exports and imports of sessions with branches that were deleted or truncated.

use std::ops::ControlFlow;

use bytes::Bytes;
use proptest::prelude::*;
use retold::agents::interop::{self, ExportScope, Format, Loaded, Options};
use retold::{Address, Error, Event, NewEvent, Query, SessionId, Store};

fn run(numbers: impl IntoIterator<Item = u64>) -> Vec<NewEvent> {
    numbers.into_iter().map(|n| NewEvent::new("step.done").data(n.into())).collect()
}

fn session() -> SessionId {
    "s".try_into().unwrap()
}

fn scopes() -> [ExportScope; 2] {
    [ExportScope::Session(session()), ExportScope::All]
}

fn lines(store: &Store, scope: &ExportScope, format: Format) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut progress = 0;
    let done = interop::export(store, scope, format, &mut lines, &mut |done| progress = done).unwrap();
    assert_eq!(done, progress);
    lines
}

/// Another store with what was exported.
fn copied(store: &Store, scope: &ExportScope, format: Format) -> (Store, Loaded) {
    let options = Options::default().format(Some(format));
    let plan = interop::parse("x", &Bytes::from(lines(store, scope, format)), &options).unwrap();
    assert_eq!((&plan.skipped[..], plan.duplicates), (&[][..], 0));
    let other = Store::in_memory().unwrap();
    let loaded = interop::load(&other, plan, &mut |_| {}).unwrap();
    (other, loaded)
}

fn history(store: &Store, branch: &str) -> Vec<(String, u64)> {
    let query = Query::branch(Address::new(session(), branch.try_into().unwrap())).unwrap();
    let of = |event: Event| (event.id().to_string(), event.json::<u64>().unwrap());
    store.events(query).unwrap().map(|event| of(event.unwrap())).collect()
}

fn numbers(store: &Store, branch: &str) -> Vec<u64> {
    history(store, branch).into_iter().map(|(_, number)| number).collect()
}

fn names(store: &Store) -> Vec<String> {
    store.branches(&session()).unwrap().into_iter().map(|b| b.place.branch.to_string()).collect()
}

/// Every branch of a store is in its copies, with the same events.
fn copies_are_equal(store: &Store) {
    for scope in scopes() {
        for format in [Format::Retold, Format::CloudEvents] {
            let (other, loaded) = copied(store, &scope, format);
            assert_eq!(loaded.notes, [""; 0]);
            for name in names(store) {
                assert_eq!(history(&other, &name), history(store, &name), "{name} {format} {scope:?}");
            }
            // A session with other branches has a main, which may be empty.
            let more: Vec<String> =
                names(&other).into_iter().filter(|name| !names(store).contains(name)).collect();
            assert!(more.is_empty() || more == ["main"] && history(&other, "main").is_empty(), "{more:?}");
        }
    }
}

#[test]
fn forks_of_a_deleted_branch_are_exported_with_what_they_inherit() {
    let store = Store::in_memory().unwrap();
    store.append("s", run(1..=4)).unwrap();
    store.fork("s@2", "short").unwrap();
    store.append("s/short", run([10])).unwrap();
    store.fork("s@4", "long").unwrap();
    store.append("s/long", run([20])).unwrap();
    store.fork("s/long@3", "of-a-fork").unwrap();
    store.fork("s@1", "empty").unwrap();
    store.lifecycle().delete("s").unwrap();
    copies_are_equal(&store);
    // What has the name now is another.
    store.append("s", run(30..=35)).unwrap();
    copies_are_equal(&store);
    store.lifecycle().delete("s/long").unwrap();
    copies_are_equal(&store);
    for name in ["short", "empty", "main"] {
        store.lifecycle().delete(format!("s/{name}").as_str()).unwrap();
    }
    copies_are_equal(&store);
    let text = String::from_utf8(lines(&store, &ExportScope::All, Format::Retold)).unwrap();
    assert_eq!(text.lines().count(), 4, "one line says where it begins, and three are its events: {text}");
}

#[test]
fn a_main_branch_that_was_forked_from_another_is_exported_before_it() {
    let store = Store::in_memory().unwrap();
    store.append("s", run([1])).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", run(2..=3)).unwrap();
    store.lifecycle().delete("s").unwrap();
    store.fork("s/b@2", "main").unwrap();
    store.append("s/b", run([4])).unwrap();
    store.append("s", run([5])).unwrap();
    copies_are_equal(&store);
}

#[test]
fn forks_of_a_truncated_branch_are_exported() {
    let store = Store::in_memory().unwrap();
    store.append("s", run(1..=6)).unwrap();
    store.fork("s@2", "before").unwrap();
    store.append("s/before", run([10])).unwrap();
    store.fork("s@5", "within").unwrap();
    store.append("s/within", run([20])).unwrap();
    store.lifecycle().truncate("s", 4).unwrap();
    store.fork("s@6", "after").unwrap();
    store.append("s/after", run([30])).unwrap();
    store.fork("s@6", "beyond").unwrap();
    store.append("s/beyond", run(40..=41)).unwrap();
    store.lifecycle().truncate("s/beyond", 8).unwrap();
    for scope in scopes() {
        let (other, loaded) = copied(&store, &scope, Format::Retold);
        assert_eq!(loaded.notes, [""; 0]);
        for (name, due) in [
            ("main", &[4, 5, 6][..]),
            ("before", &[1, 2, 10]),
            // It shares events with its parent, and forks from what is left of that.
            ("within", &[4, 5, 20]),
            ("after", &[4, 5, 6, 30]),
            ("beyond", &[41]),
        ] {
            assert_eq!(numbers(&other, name), due, "{name} {scope:?}");
        }
    }
    let branch = ExportScope::Branch("s/within".parse().unwrap());
    let text = String::from_utf8(lines(&store, &branch, Format::Retold)).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn the_files_of_forks_of_a_deleted_branch_are_given_back() {
    let file: String = (1..=3)
        .map(|n| {
            format!("{{\"id\":{n},\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"agent\",\"action\":\"run\",\"args\":{{}}}}\n")
        })
        .collect();
    let store = Store::in_memory().unwrap();
    let options = Options::default().session(Some(session()));
    let plan = interop::parse("t.jsonl", &Bytes::from(file.clone()), &options).unwrap();
    interop::load(&store, plan, &mut |_| {}).unwrap();
    store.fork("s@2", "b").unwrap();
    store.lifecycle().delete("s").unwrap();
    for scope in scopes() {
        let mut done = 0;
        let (files, unsourced) = interop::export_sources(&store, &scope, &mut |n| done = n).unwrap();
        assert_eq!((done, unsourced), (2, 0), "{scope:?}");
        let [given] = &files[..] else { panic!("{files:?}") };
        assert!(file.as_bytes().starts_with(&given.bytes) && given.records == 2, "{given:?}");
    }
}

#[test]
fn an_import_of_a_session_that_was_deleted_begins_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let line = |n: u32| {
        format!(
            "{{\"id\":{n},\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"agent\",\"action\":\"run\",\"args\":{{}}}}\n"
        )
    };
    let own = |n: u32, branch: &str| {
        format!(
            "{{\"id\":\"00000000-0000-4000-8000-00000000000{n}\",\"session\":\"own\",\"branch\":\"{branch}\",\"type\":\"a.b\",\"data\":{n}}}\n"
        )
    };
    let fork = "{\"session\":\"own\",\"branch\":\"b\",\"forked\":{\"from\":\"main\",\"at\":1,\"event\":\"00000000-0000-4000-8000-000000000001\"}}\n";
    let foreign = dir.path().join("t.jsonl");
    std::fs::write(&foreign, (1..=3).map(line).collect::<String>()).unwrap();
    let ours = dir.path().join("own.jsonl");
    std::fs::write(&ours, [&own(1, "main"), fork, &own(2, "b"), &own(3, "main")].concat()).unwrap();
    let store = Store::in_memory().unwrap();
    let load = |path: &std::path::Path| {
        interop::load_file(&store, path, &Options::default(), &mut |_| ControlFlow::Continue(())).unwrap()
    };
    for path in [&foreign, &ours] {
        assert_eq!((load(path).new, load(path).new), (3, 0));
    }
    for purges in [false, true] {
        for path in [&foreign, &ours] {
            let before = store.sessions(None, 10).unwrap();
            let name = if *path == foreign { "t" } else { "own" };
            store.lifecycle().delete_session(&name.try_into().unwrap()).unwrap();
            if purges {
                store.lifecycle().purge().unwrap();
            }
            assert_eq!((load(path).new, load(path).new), (3, 0), "{name}");
            let after = store.sessions(None, 10).unwrap();
            let named = |all: &[retold::store::SessionInfo]| -> Vec<(String, u64, u64)> {
                all.iter().map(|s| (s.session.to_string(), s.events, s.branches)).collect()
            };
            assert_eq!(named(&after), named(&before));
        }
    }
    // A part of it is taken in again where it was.
    store.lifecycle().delete("own/b").unwrap();
    assert_eq!(load(&ours).new, 1);
    // But not what a fork still has.
    store.lifecycle().delete("own").unwrap();
    let refused = interop::load_file(&store, &ours, &Options::default(), &mut |_| ControlFlow::Continue(()))
        .unwrap_err();
    assert!(matches!(refused, Error::Duplicate { .. }), "{refused}");
    let query = Query::branch("own/b").unwrap();
    assert_eq!(store.events(query).unwrap().count(), 2);
    store.lifecycle().delete("own/b").unwrap();
    assert_eq!(load(&ours).new, 3);
    // Another file may have the name of one that is gone.
    store.lifecycle().delete_session(&"t".try_into().unwrap()).unwrap();
    let (file, store) = (dir.path().join("u.jsonl"), &store);
    std::fs::write(&file, line(7)).unwrap();
    store.append("u", run([1])).unwrap();
    store.lifecycle().delete("u").unwrap();
    assert_eq!(load(&file).new, 1);
    assert_eq!(store.head("u").unwrap().get(), 1);
    assert!(matches!(store.head("t"), Err(Error::Deleted { .. })));
}

#[derive(Clone, Debug)]
enum Op {
    Append(usize),
    Fork(usize, u64, usize),
    Delete(usize),
}

const NAMES: [&str; 4] = ["main", "a", "b", "c"];

fn op() -> impl Strategy<Value = Op> {
    let branch = 0..NAMES.len();
    prop_oneof![
        3 => branch.clone().prop_map(Op::Append),
        3 => (branch.clone(), 0..6u64, branch.clone()).prop_map(|(from, at, to)| Op::Fork(from, at, to)),
        2 => branch.prop_map(Op::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_was_deleted_the_rest_is_exported_as_it_is_read(ops in prop::collection::vec(op(), 1..30)) {
        let store = Store::in_memory().unwrap();
        store.append("s", run(0..3)).unwrap();
        for (n, op) in (100..).zip(ops) {
            let place = |branch: usize| Address::new(session(), NAMES[branch].try_into().unwrap());
            // What is not there is refused.
            let _ = match op {
                Op::Append(branch) => store.append(place(branch), run([n])).map(drop),
                Op::Fork(from, at, to) => store.fork(place(from).at(at), NAMES[to]).map(drop),
                Op::Delete(branch) => store.lifecycle().delete(place(branch)),
            };
        }
        // Of a session without any event there is nothing to export.
        let is_any = |branches: Vec<retold::store::BranchInfo>| branches.iter().any(|branch| branch.head.get() > 0);
        if store.branches(&session()).is_ok_and(is_any) {
            copies_are_equal(&store);
        }
    }
}
