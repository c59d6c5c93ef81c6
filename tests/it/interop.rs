//! Sessions that other programs wrote, through the store and back.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::support::on_memory;
use bytes::Bytes;
use retold::agents::interop::{self, Format, Options};
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
    for folder in ["claude-code", "openhands", "temporal", "ag-ui"] {
        for entry in std::fs::read_dir(real.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // Prose with streams between.
            if path.extension().is_some_and(|e| e == "txt") {
                continue;
            }
            let store = on_memory(Store::builder());
            let first = load(&store, &path);
            assert_eq!(first.skipped, [], "{}", path.display());
            assert!(first.new > 0 && first.duplicates == 0, "{}: {first:?}", path.display());
            store.maintenance().flush().unwrap();
            let back = interop::restore(&all(&store));
            assert_eq!(back.len(), 1);
            assert!(back[0].bytes == std::fs::read(&path).unwrap(), "{} differs", path.display());
            let again = load(&store, &path);
            assert_eq!((again.new, again.duplicates), (0, first.new), "{}", path.display());
            assert!(store.maintenance().verify().unwrap().is_clean());
            files += 1;
        }
    }
    assert!(files >= 14, "{files} files");
}

#[test]
fn a_session_with_one_side_branch_has_exactly_two_branches() {
    let Some(real) = real() else { return };
    let store = on_memory(Store::builder());
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
fn what_is_exported_another_store_takes_in_with_its_branches() {
    let store = on_memory(Store::builder());
    let event = |n: i32| retold::NewEvent::new("step.done").data(serde_json::json!({ "n": n }));
    store.append("s", [event(1), event(2)]).unwrap();
    store.append("s", retold::NewEvent::new("raw").bytes("application/x", vec![0, 255, 10])).unwrap();
    store.append("t", retold::NewEvent::new("spread").json_text("{\n  \"a\": 1\n}")).unwrap();
    store.fork("s@2", "b").unwrap();
    store.fork("s/b", "c").unwrap();
    store.append("s/c", event(3)).unwrap();
    store.append("s/b", event(4)).unwrap();
    store.fork("s/c@3", "empty").unwrap();
    let session = interop::ExportScope::Session("s".try_into().unwrap());
    for (format, scope, events) in [
        (Format::Retold, interop::ExportScope::All, 6),
        (Format::CloudEvents, interop::ExportScope::All, 6),
        (Format::Aios, interop::ExportScope::All, 6),
        (Format::Retold, session, 5),
    ] {
        let mut lines = Vec::new();
        let done = interop::export(&store, &scope, format, &mut lines, &mut |_| {}).unwrap();
        assert_eq!(done, events);
        let options = Options::default().format(Some(format));
        let plan = interop::parse("x", &Bytes::from(lines), &options).unwrap();
        assert_eq!(plan.skipped, []);
        let other = on_memory(Store::builder());
        assert_eq!(interop::load(&other, plan, &mut |_| {}).unwrap().new as u64, events);
        for branch in store.branches(&"s".try_into().unwrap()).unwrap() {
            let read = |store: &Store| -> Vec<Event> {
                let query = Query::branch(retold::Address::from(branch.place.clone())).unwrap();
                store.events(query).unwrap().map(Result::unwrap).collect()
            };
            let (a, b) = (read(&store), read(&other));
            assert_eq!(a.len(), b.len(), "{format} {}", branch.place);
            for (a, b) in a.iter().zip(&b) {
                assert_eq!((a.place(), a.sequence(), a.kind()), (b.place(), b.sequence(), b.kind()));
                if format != Format::Aios {
                    assert_eq!((a.id(), a.payload(), a.occurred()), (b.id(), b.payload(), b.occurred()));
                }
            }
        }
        assert!(other.maintenance().verify().unwrap().is_clean());
    }
}

#[test]
fn an_import_that_is_stopped_keeps_what_it_did_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let line = |n: u32| {
        format!(
            "{{\"id\":{n},\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"agent\",\"action\":\"run\",\"args\":{{}}}}\n"
        )
    };
    std::fs::write(&path, (0..5_000).map(line).collect::<String>()).unwrap();
    let store = on_memory(Store::builder());
    let options = Options::default();
    let stopped = interop::load_file(&store, &path, &options, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((stopped.stopped, stopped.import), (Some(5_000), None));
    assert!(stopped.new > 0 && stopped.new < 5_000, "{}", stopped.new);
    let rest = interop::load_file(&store, &path, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((rest.new + stopped.new, rest.duplicates), (5_000, stopped.new));
    let (files, _) = interop::export_sources(&store, &interop::ExportScope::All, &mut |_| {}).unwrap();
    assert!(files[0].bytes == std::fs::read(&path).unwrap());
}

#[test]
fn a_record_that_comes_again_in_a_broken_run_comes_back_as_it_was() {
    let file = "{\"events\":[{\"eventId\":\"1\",\"eventType\":\"TimerFired\"},{\"eventId\":\"2\",\"eventType\":\"TimerFired\"}]}\n\
                {c\"events\":[{\"eventId\":\"1\",\"eventType\":\"TimerFired\"}]}\n";
    let options =
        retold::agents::interop::Options::default().format(Some(retold::agents::interop::Format::Temporal));
    let bytes = bytes::Bytes::from_static(file.as_bytes());
    let plan = retold::agents::interop::parse("f.jsonl", &bytes, &options).unwrap();
    let store = retold::Store::in_memory().unwrap();
    retold::agents::interop::load(&store, plan, &mut |_| {}).unwrap();
    let all = retold::agents::interop::ExportScope::All;
    let (files, _) = retold::agents::interop::export_sources(&store, &all, &mut |_| {}).unwrap();
    assert!(files.len() == 1 && files[0].bytes == file.as_bytes());
}

#[test]
fn a_branch_that_leaves_an_event_which_is_nowhere_begins_with_its_own_and_says_so() {
    let line = |n: u32, branch: &str| {
        format!(
            r#"{{"id":"00000000-0000-4000-8000-00000000000{n}","session":"s","branch":"{branch}","type":"run.step","data":{n}}}"#
        )
    };
    let fork = |branch: &str, from: &str, n: u32| {
        format!(
            r#"{{"session":"s","branch":"{branch}","forked":{{"from":"{from}","at":1,"event":"00000000-0000-4000-8000-00000000000{n}"}}}}"#
        )
    };
    let lines = [
        line(1, "main"),
        fork("lost", "main", 9),
        fork("loster", "never-written", 9),
        fork("own", "own", 1),
        line(2, "lost"),
        line(3, "loster"),
        line(4, "own"),
    ];
    let bytes = bytes::Bytes::from(lines.join("\n"));
    let plan =
        retold::agents::interop::parse("f.jsonl", &bytes, &retold::agents::interop::Options::default())
            .unwrap();
    let store = retold::Store::in_memory().unwrap();
    let loaded = retold::agents::interop::load(&store, plan, &mut |_| {}).unwrap();
    assert_eq!(loaded.new, 4);
    let [lost, loster] = &loaded.notes[..] else { panic!("{:?}", loaded.notes) };
    assert!(lost.contains("s/lost") && lost.contains("000000000009"), "{lost}");
    assert!(loster.contains("s/loster"), "{loster}");
    let read = |branch: &str| -> Vec<u64> {
        let events = store.events(Query::branch(format!("s/{branch}")).unwrap()).unwrap();
        events.map(|e| e.unwrap().json().unwrap()).collect()
    };
    assert_eq!((read("lost"), read("loster"), read("own")), (vec![2], vec![3], vec![1, 4]));
}
