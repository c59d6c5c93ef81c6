//! Files that are restored byte for byte: changed, damaged, with equal names, with several runs.

use super::super::testing::{drawn, event, events, imported, plan_of, recorded};
use super::super::*;
use crate::store::Store;

/// The files that a store restores, each as of its last import.
fn given_back(store: &Store) -> Vec<(String, String)> {
    let (files, _) = export_sources(store, &ExportScope::All, &mut |_| {}).unwrap();
    files.into_iter().map(|f| (f.name, String::from_utf8(f.bytes).unwrap())).collect()
}

fn claude_line(uuid: &str, parent: &str) -> String {
    let parent = if parent.is_empty() { "null".to_owned() } else { format!("\"{parent}\"") };
    format!(
        "{{\"sessionId\":\"s\",\"parentUuid\":{parent},\"uuid\":\"{uuid}\",\"type\":\"user\",\"message\":{{\"content\":\"w{uuid}\"}}}}\n"
    )
}

#[test]
fn files_of_one_name_are_kept_apart() {
    let line =
        |s: &str| format!("{{\"sessionId\":\"{s}\",\"type\":\"x\",\"parentUuid\":null,\"uuid\":\"u\"}}\n");
    let (a, b) = (plan_of("1/log.jsonl", line("a")), plan_of("2/log.jsonl", line("b")));
    let all: Vec<_> = [&a, &b]
        .into_iter()
        .flat_map(|p| events(p).map(|(place, e)| recorded(&place.to_string(), 1, e)).collect::<Vec<_>>())
        .collect();
    let names: Vec<_> = restore(&all).into_iter().map(|f| (f.name, f.bytes)).collect();
    assert_eq!(
        names,
        [
            ("a/log.jsonl".to_owned(), line("a").into_bytes()),
            ("b/log.jsonl".to_owned(), line("b").into_bytes())
        ]
    );
}

#[test]
fn a_file_name_never_leads_out_of_its_folder() {
    for (name, want) in [
        ("../../etc/passwd", "passwd"),
        ("..", "input"),
        ("a:b\\..", "input"),
        ("", "input"),
        ("x\u{0}y", "x-y"),
    ] {
        let new = event("a").meta(source::FILE, name).meta(source::RECORD, "1");
        let files = restore(&[recorded("s/main", 1, &new)]);
        assert_eq!(files[0].name, want, "{name}");
    }
    let mut files = Files::default();
    files.add(&recorded("s/main", 1, &event("a")));
    assert_eq!(files.unsourced(), 1);
    assert!(files.finish().is_empty());
}

#[test]
fn a_file_that_grew_after_an_unfinished_line_is_put_together_with_its_line_ends() {
    let line =
        |n: u32| format!("{{\"sessionId\":\"a\",\"type\":\"x\",\"parentUuid\":null,\"uuid\":\"u{n}\"}}");
    let old = plan_of("l.jsonl", line(1));
    let new = plan_of("l.jsonl", format!("{}\n{}", line(1), line(2)));
    let first = events(&old).next().unwrap();
    let second = events(&new).nth(1).unwrap();
    let all = [recorded("a/main", 1, first.1), recorded("a/main", 2, second.1)];
    assert_eq!(
        String::from_utf8(restore(&all).remove(0).bytes).unwrap(),
        format!("{}\n{}", line(1), line(2))
    );
}

#[test]
fn what_is_too_long_for_metadata_is_kept_beside_it() {
    let pad = "x".repeat(20_000);
    let event = "{\"eventId\":\"1\",\"eventType\":\"TimerFired\"}";
    for file in [
        format!("{{\"pad\":\"{pad}\",\"events\":[{event}]}}"),
        format!("{{\"events\":[{event}],\"pad\":\"{pad}\"}}"),
        format!("{{\"events\":[{event} {pad} ,{event}]}}", pad = " ".repeat(20_000)),
    ] {
        let plan = plan_of("h.json", &file);
        assert_eq!((plan.events(), plan.notes.len()), (1, 0), "{:?}", plan.notes);
        assert_eq!(given_back(&imported(&[("h.json", &file)])), [("h.json".to_owned(), file)]);
    }
}

#[test]
fn a_file_that_changed_is_given_back_as_it_is_now_and_as_it_was() {
    let line =
        |n: u32| claude_line(&format!("u{n}"), &if n == 1 { String::new() } else { format!("u{}", n - 1) });
    let whole = |ns: &[u32]| ns.iter().map(|n| line(*n)).collect::<String>();
    let store = Store::in_memory().unwrap();
    let mut files = Vec::new();
    for (ns, want) in [
        (&[1, 2, 3, 4][..], None),
        (&[1, 2, 3, 4], None),
        (&[1, 2, 3, 4, 5], Some((1, 0, 0))),
        (&[9, 1, 2, 3, 4, 5], Some((1, 0, 0))),
        (&[1, 4, 5], Some((0, 0, 3))),
        (&[5, 1, 4], Some((0, 1, 0))),
    ] {
        let file = whole(ns);
        let loaded = load(&store, plan_of("d/log.jsonl", &file), &mut |_| {}).unwrap();
        let changed = loaded.changed.map(|c| (c.new, c.moved, c.gone));
        assert_eq!(changed, want, "{ns:?}");
        assert_eq!(loaded.records, loaded.new + loaded.duplicates + loaded.skipped.len());
        assert_eq!(given_back(&store), [("log.jsonl".to_owned(), file.clone())], "{ns:?}");
        if let Some(number) = loaded.import {
            files.push((number, file));
        }
    }
    assert_eq!(files.len(), 5);
    for (number, file) in files {
        assert_eq!(export_import(&store, number).unwrap().bytes, file.into_bytes());
    }
    let all = imports(&store).unwrap();
    assert_eq!(all.iter().map(|i| i.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(export_import(&store, 6).is_err());
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn what_a_release_without_a_list_of_imports_took_in_comes_back_and_goes_on() {
    let (old, new) = (claude_line("u1", "") + &claude_line("u2", "u1"), claude_line("u3", "u2"));
    let store = Store::in_memory().unwrap();
    for (place, event) in events(&plan_of("x.jsonl", &old)) {
        store.append(crate::event::Address::from(place.clone()), event.clone()).unwrap();
    }
    assert_eq!(given_back(&store), [("x.jsonl".to_owned(), old.clone())]);
    let grown = new.clone() + &old;
    let loaded = load(&store, plan_of("x.jsonl", &grown), &mut |_| {}).unwrap();
    assert_eq!((loaded.new, loaded.duplicates, loaded.changed), (1, 2, None));
    assert_eq!(given_back(&store), [("x.jsonl".to_owned(), grown)]);
}

#[test]
fn a_mended_record_is_a_new_one_and_both_files_come_back() {
    let (a, b) = (claude_line("u1", ""), claude_line("u1", "").replace("wu1", "mended"));
    let store = imported(&[("x.jsonl", &a)]);
    let loaded = load(&store, plan_of("x.jsonl", &b), &mut |_| {}).unwrap();
    let changed = loaded.changed.unwrap();
    assert_eq!((changed.new, changed.moved, changed.gone), (1, 0, 1));
    assert_eq!(given_back(&store), [("x.jsonl".to_owned(), b)]);
    assert_eq!(export_import(&store, 1).unwrap().bytes, a.into_bytes());
}

#[test]
fn an_envelope_that_was_written_otherwise_is_kept_though_its_event_is_there() {
    let line = |space: &str| {
        format!(
            "{{\"specversion\":\"1.0\",{space}\"id\":\"1\",\"source\":\"a\",\"type\":\"t\",\"data\":[1]}}\n"
        )
    };
    let store = imported(&[("a.ndjson", &line("")), ("b.ndjson", &line("  "))]);
    let back = given_back(&store);
    assert_eq!(back, [("a.ndjson".to_owned(), line("")), ("b.ndjson".to_owned(), line("  "))]);
}

#[test]
fn a_damaged_file_comes_back_with_its_damage() {
    let (a, b, c) = (claude_line("u1", ""), claude_line("u2", "u1"), claude_line("u3", "u2"));
    let cut = &b[..30];
    for (file, events, skipped) in [
        (format!("{}{b}{c}", a.trim()), 3, 0),
        (format!("{a}{cut}{b}{c}"), 3, 1),
        (format!("{a}\0\0\0\0{b}{c}"), 3, 1),
        (format!("{a}{cut}\n{c}"), 2, 1),
        (format!("{a}{b}{cut}"), 2, 1),
        (format!("{a}{a}{b}"), 2, 0),
    ] {
        let plan = plan_of("x.jsonl", &file);
        assert_eq!((plan.events(), plan.skipped.len()), (events, skipped), "{file:?} {:?}", plan.skipped);
        assert_eq!(plan.records, plan.events() + plan.duplicates + plan.skipped.len());
        assert_eq!(given_back(&imported(&[("x.jsonl", &file)])), [("x.jsonl".to_owned(), file)]);
    }
    // Bytes that are not text come back too.
    let file = [a.as_bytes(), b"\xff\xfe{\n", c.as_bytes()].concat();
    let store = Store::in_memory().unwrap();
    let loaded = load(&store, plan_of("x.jsonl", &file), &mut |_| {}).unwrap();
    assert_eq!((loaded.skipped[0].line, loaded.skipped[0].byte), (2, a.len() + 1));
    assert_eq!(export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap().0[0].bytes, file);
}

#[test]
fn every_run_of_a_file_becomes_a_session() {
    let event = |id: u32, run: &str| {
        format!(
            "{{\"id\":{id},\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"agent\",\"action\":\"run\",\"args\":\"{run}\"}}"
        )
    };
    let list = |run: &str| format!("[{},{}]", event(0, run), event(1, run));
    let named = |run: &str| format!("{{\"instance_id\":\"{run}\",\"history\":{}}}", list(run));
    for (name, file, sessions) in [
        ("a.jsonl", format!("{}\n{}\n", list("x"), list("y")), vec!["a", "a.2"]),
        ("b.jsonl", format!("{}\n{}\n", named("x"), named("y")), vec!["b.x", "b.y"]),
        ("b.jsonl", format!("{}\n", named("x")), vec!["b.x"]),
        ("c.json", format!("[{},{}]", named("x"), named("y")), vec!["c.x", "c.y"]),
        ("d.json", named("x"), vec!["d"]),
        (
            "e.json",
            format!("{{\"a\":{{\"e\":{}}},\"b\":{{\"e\":{}}}}}", list("x"), list("y")),
            vec!["e", "e.2"],
        ),
    ] {
        let plan = plan_of(name, &file);
        let found: std::collections::BTreeSet<&str> =
            plan.places().iter().map(|p| p.session.as_str()).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), sessions, "{file}");
        assert_eq!((plan.events(), plan.duplicates), (2 * sessions.len(), 0), "{file}");
        assert_eq!(given_back(&imported(&[(name, &file)])), [(name.to_owned(), file)]);
    }
    let temporal = |run: &str| {
        format!(
            "{{\"events\":[{{\"eventId\":\"1\",\"eventType\":\"WorkflowExecutionStarted\",\"workflowExecutionStartedEventAttributes\":{{\"workflowId\":\"w\",\"originalExecutionRunId\":\"{run}\"}}}},{{\"eventId\":\"2\",\"eventType\":\"TimerFired\"}}]}}"
        )
    };
    for file in [
        format!("{}\n{}\n", temporal("a"), temporal("b")),
        format!("[{},{}]", temporal("a"), temporal("b")),
        format!("{{\"x\":{},\"y\":{}}}", temporal("a"), temporal("b")),
    ] {
        assert_eq!(
            drawn(&plan_of("t.json", &file)),
            ["w.a/main: run.started scheduler.timer_fired", "w.b/main: run.started scheduler.timer_fired"]
        );
        assert_eq!(given_back(&imported(&[("t.json", &file)])), [("t.json".to_owned(), file)]);
    }
    let batch =
        |n: u32| format!("[{{\"specversion\":\"1.0\",\"id\":\"{n}\",\"source\":\"a\",\"type\":\"t\"}}]\n");
    let file = batch(1) + &batch(2);
    assert_eq!(plan_of("c.ndjson", &file).events(), 2);
}

#[test]
fn files_of_one_name_are_given_back_with_their_folders() {
    let line =
        |s: &str| format!("{{\"sessionId\":\"{s}\",\"type\":\"x\",\"parentUuid\":null,\"uuid\":\"u\"}}\n");
    let store = imported(&[
        ("/x/run-a/log.jsonl", &line("a")),
        ("/y/run-b/log.jsonl", &line("b")),
        ("/y/other.jsonl", &line("c")),
    ]);
    let names: Vec<_> = given_back(&store).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["other.jsonl", "run-a/log.jsonl", "run-b/log.jsonl"]);
    let scope = ExportScope::Session("b".try_into().unwrap());
    let (files, left) = export_sources(&store, &scope, &mut |_| {}).unwrap();
    assert_eq!((files.len(), files[0].bytes.as_slice(), left), (1, line("b").as_bytes(), 0));
}
