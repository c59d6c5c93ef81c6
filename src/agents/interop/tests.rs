use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;

use super::testing::{drawn, event, events, fork, plan_of, recorded, restored, restored_files};
use super::*;
use crate::event::{Catalogue, Event};
use crate::store::{Query, Store};

#[test]
fn every_type_that_a_format_gives_is_in_the_catalogue() {
    let tables: [&[(&str, &str)]; 4] =
        [&aios::KINDS, &openhands::KINDS, &temporal::KINDS, &claude_code::record::KINDS];
    for (theirs, ours) in tables.iter().flat_map(|t| t.iter()) {
        let known = Catalogue::builtin().find(ours).map(|t| t.name());
        assert_eq!(known, Some(*ours), "{theirs}");
    }
}

#[test]
fn our_own_lines_come_back_as_the_events_they_were() {
    let full = event("tool.invoked").source("runner").actor("me").correlation("c").priority(2).version(3);
    let full = full
        .meta("k", "v\n")
        .causation(crate::event::EventId::new())
        .trace("00-a-b-01")
        .json_text("{\n \"a\": 1}");
    for new in [full, event("a"), event("b.c").bytes("text/plain", "x\ny")] {
        let mut out = Vec::new();
        print(Format::Retold, &recorded("s/b", 4, &new), &mut out).unwrap();
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        let plan = plan_of("x.jsonl", &out);
        let (place, back) = events(&plan).next().unwrap();
        assert_eq!((place.to_string().as_str(), plan.format), ("s/b", Format::Retold));
        let plain = |e: &crate::event::NewEvent| format!("{e:?}").replace("trusted: true", "trusted: false");
        assert_eq!(plain(back), plain(&new));
    }
}

#[test]
fn the_names_of_an_event_stand_in_their_order() {
    let new = event("tool.invoked").source("runner").priority(1).meta("k", "v").json_text("{ \"a\":\n1 }");
    let new = new.with_id("019bfc23-5c32-7791-ae30-aa4b590df541".parse().unwrap());
    let shown = json::to_string(&recorded("s/main", 4, &new), json::Style::Shown);
    assert_eq!(
        shown,
        r#"{"id":"019bfc23-5c32-7791-ae30-aa4b590df541","session":"s","branch":"main","sequence":4,"position":4,"type":"tool.invoked","version":1,"time":"2026-03-01T00:00:03.000000Z","recorded":"2026-03-01T00:00:03.000000Z","source":"runner","priority":1,"metadata":{"k":"v"},"data":{ "a": 1 }}"#
    );
}

#[test]
fn a_fork_line_makes_a_fork() {
    let (fork, new) = (fork(), event("a"));
    let mut out = Vec::new();
    print(Format::Retold, &recorded("s/main", 7, &new), &mut out).unwrap();
    print_fork(Format::Retold, &fork, &mut out).unwrap();
    print(Format::Retold, &recorded("s/alt", 8, &event("b")), &mut out).unwrap();
    assert_eq!(drawn(&plan_of("x", &out)), ["s/main: a", "s/alt < main", "s/alt: b"]);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(parse_line(text.lines().nth(1).unwrap(), None).unwrap_err().field, "line");
}

#[test]
fn a_line_says_what_it_lacks() {
    for (line, field) in [
        ("", "line"),
        ("[]", "line"),
        ("{\"type\":", "line"),
        (r#"{"session":"s"}"#, "type"),
        (r#"{"type":"a"}"#, "session"),
        (r#"{"type":"a","session":"a/b"}"#, "session"),
        (r#"{"type":"a","session":5}"#, "session"),
        (r#"{"type":"a","session":"s","typo":1}"#, "event"),
        (r#"{"type":"a","session":"s","time":"soon"}"#, "time"),
        (r#"{"type":"a","session":"s","id":"1"}"#, "id"),
        (r#"{"type":"a","session":"s","causation":"1"}"#, "causation"),
        (r#"{"type":"a","session":"s","priority":256}"#, "priority"),
        (r#"{"type":"a","session":"s","version":-1}"#, "version"),
        (r#"{"type":"a","session":"s","metadata":{"a":1}}"#, "metadata"),
        (r#"{"type":"a","session":"s","data_base64":"!"}"#, "data_base64"),
        (r#"{"type":"a","session":"s","data":1,"data_base64":""}"#, "data"),
        (r#"{"type":"a","session":"s","data":1,"datacontenttype":"text/plain"}"#, "data"),
    ] {
        assert_eq!(parse_line(line, None).unwrap_err().field, field, "{line}");
    }
    let (place, new) = parse_line(r#"{"type":"a","data":null}"#, Some(&"d".try_into().unwrap())).unwrap();
    assert_eq!((place.to_string(), &*new.payload), ("d/main".to_owned(), &b"null"[..]));
}

#[test]
fn lines_without_ids_get_the_same_ones_again() {
    let file =
        "{\"type\":\"a\",\"session\":\"s\",\"data\":1}\n{\"type\":\"a\",\"session\":\"s\",\"data\":1}\n";
    let ids = |p: &Plan| events(p).map(|(_, e)| e.id).collect::<Vec<_>>();
    let (a, b) = (plan_of("x", file), plan_of("y", file));
    assert_eq!(ids(&a), ids(&b));
    assert_eq!((a.events(), a.duplicates), (2, 0));
}

#[test]
fn what_is_no_known_format_is_refused_with_the_way_out() {
    for file in ["", "hello\n", "{}", "[1,2]", "[]"] {
        let e = parse("d/f.txt", &Bytes::from(file), &Options::default()).unwrap_err();
        assert!(e.to_string().contains("f.txt") && e.to_string().contains("claude-code"), "{e}");
    }
    assert_eq!("nope".parse::<Format>().unwrap_err().field, "format");
    for format in Format::ALL {
        assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
    }
}

#[test]
fn a_log_of_another_program_is_not_taken_for_a_session() {
    for line in [
        r#"{"sessionId": "web-1", "type": "pageview", "url": "/", "ts": 1}"#,
        r#"{"session": "web-1", "type": "pageview", "url": "/"}"#,
        r#"{"type": "summary", "text": "of the day"}"#,
        r#"{"type": "mode", "sessionId": "web-1"}"#,
    ] {
        assert_eq!(Format::detect("x", line.as_bytes()), None, "{line}");
    }
    let ours = r#"{"session": "s", "type": "page.viewed", "data": {"url": "/"}}"#;
    assert_eq!(Format::detect("x", ours.as_bytes()), Some(Format::Retold));
}

#[test]
fn events_without_a_time_have_that_of_the_import_in_every_format() {
    let now = crate::event::Timestamp::from_micros(1_800_000_000_000_000);
    for (format, line) in [
        (Format::CloudEvents, r#"{"specversion":"1.0","id":"1","source":"a","type":"t"}"#),
        (Format::ClaudeCode, r#"{"type":"user","uuid":"u","sessionId":"s"}"#),
        (Format::OpenHands, r#"{"id":1,"timestamp":"?","source":"user","action":"run"}"#),
        (Format::Temporal, r#"{"eventId":"1","eventType":"TimerFired"}"#),
        (Format::Aios, r#"{"event_id":"e","session_id":"s","kind":{"type":"RunStarted"}}"#),
        (Format::Retold, r#"{"session":"s","type":"a"}"#),
    ] {
        let options = Options::default().now(now).format(Some(format));
        let plan = parse("x", &Bytes::from(line), &options).unwrap();
        let event = events(&plan).next().map(|(_, e)| e.clone());
        let event = event.unwrap_or_else(|| panic!("{format}: {:?}", plan.skipped));
        assert_eq!((event.occurred, plan.timeless), (now, 1), "{format}");
        // A line of ours is the event itself, to which nothing is added.
        let noted = event.metadata.get(source::TIME).map(String::as_str);
        assert_eq!(noted, (format != Format::Retold).then_some("import"), "{format}");
        let store = Store::in_memory().unwrap();
        let loaded = load(&store, plan.clone(), &mut |_| {}).unwrap();
        assert_eq!((loaded.timeless, loaded.notes.len()), (1, 0));
        assert_eq!(load(&store, plan, &mut |_| {}).unwrap().timeless, 0);
    }
}

#[test]
fn a_record_over_the_limit_is_reported_and_the_rest_goes_in() {
    let file = format!(
        "{{\"id\":1,\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"user\",\"action\":\"message\",\"x\":\"{}\"}}\n{{\"id\":2,\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"user\",\"action\":\"message\"}}\n",
        "x".repeat(200)
    );
    let options = Options::default().max_payload(150);
    let plan = parse("x.jsonl", &Bytes::from(file), &options).unwrap();
    assert_eq!((plan.events(), plan.skipped.len()), (1, 1));
    assert!(plan.skipped[0].reason.contains("150"), "{}", plan.skipped[0].reason);
}

#[test]
fn files_of_one_name_are_kept_apart() {
    let line = |s: &str| format!("{{\"sessionId\":\"{s}\",\"type\":\"x\",\"uuid\":\"u\"}}\n");
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
    let line = |n: u32| format!("{{\"sessionId\":\"a\",\"type\":\"x\",\"uuid\":\"u{n}\"}}");
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
    let event = "{\"eventId\":\"1\",\"eventType\":\"X\"}";
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

/// The files that a store gives back, each as it was imported last.
fn given_back(store: &Store) -> Vec<(String, String)> {
    let (files, _) = export_sources(store, &Scope::All, &mut |_| {}).unwrap();
    files.into_iter().map(|f| (f.name, String::from_utf8(f.bytes).unwrap())).collect()
}

fn claude_line(uuid: &str, parent: &str) -> String {
    let parent = if parent.is_empty() { "null".to_owned() } else { format!("\"{parent}\"") };
    format!(
        "{{\"sessionId\":\"s\",\"parentUuid\":{parent},\"uuid\":\"{uuid}\",\"type\":\"user\",\"message\":{{\"content\":\"w{uuid}\"}}}}\n"
    )
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
    assert!(store.verify().unwrap().is_clean());
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
    // Bytes that are no text come back too.
    let file = [a.as_bytes(), b"\xff\xfe{\n", c.as_bytes()].concat();
    let store = Store::in_memory().unwrap();
    let loaded = load(&store, plan_of("x.jsonl", &file), &mut |_| {}).unwrap();
    assert_eq!((loaded.skipped[0].line, loaded.skipped[0].byte), (2, a.len() + 1));
    assert_eq!(export_sources(&store, &Scope::All, &mut |_| {}).unwrap().0[0].bytes, file);
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
    let line = |s: &str| format!("{{\"sessionId\":\"{s}\",\"type\":\"x\",\"uuid\":\"u\"}}\n");
    let store = imported(&[
        ("/x/run-a/log.jsonl", &line("a")),
        ("/y/run-b/log.jsonl", &line("b")),
        ("/y/other.jsonl", &line("c")),
    ]);
    let names: Vec<_> = given_back(&store).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["other.jsonl", "run-a/log.jsonl", "run-b/log.jsonl"]);
    let scope = Scope::Session("b".try_into().unwrap());
    let (files, left) = export_sources(&store, &scope, &mut |_| {}).unwrap();
    assert_eq!((files.len(), files[0].bytes.as_slice(), left), (1, line("b").as_bytes(), 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_damaged_file_comes_back_through_a_store_and_its_sum_adds_up(lines in transcript(), at: prop::sample::Index, what in 0u8..4, bytes in prop::collection::vec(any::<u8>(), 0..30)) {
        let mut file = lines.concat().into_bytes();
        prop_assume!(!file.is_empty());
        let i = at.index(file.len());
        match what {
            0 => drop(file.splice(i..i, bytes)),
            1 => drop(file.splice(i..i, vec![0; 200])),
            2 => drop(file.splice(i..i, lines[0].trim().bytes().collect::<Vec<u8>>())),
            _ => file.truncate(i),
        }
        let options = Options::default().format(Some(Format::ClaudeCode));
        let plan = parse("f.jsonl", &Bytes::copy_from_slice(&file), &options).unwrap();
        prop_assert_eq!(plan.records, plan.events() + plan.skipped.len() + plan.duplicates);
        prop_assume!(plan.events() > 0);
        let store = Store::in_memory().unwrap();
        let loaded = load(&store, plan, &mut |_| {}).unwrap();
        prop_assert_eq!(loaded.records, loaded.new + loaded.skipped.len() + loaded.duplicates);
        let (files, _) = export_sources(&store, &Scope::All, &mut |_| {}).unwrap();
        prop_assert_eq!(files.len(), 1);
        prop_assert!(files[0].bytes == file);
    }
}

fn real(folder: &str) -> Vec<(PathBuf, Bytes)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real").join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        println!("skipped: {} is not there", root.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files.into_iter().map(|p| (p.clone(), std::fs::read(p).unwrap().into())).collect()
}

#[test]
fn real_files_come_back_byte_for_byte() {
    for (folder, format) in [
        ("claude-code", Format::ClaudeCode),
        ("openhands", Format::OpenHands),
        ("temporal", Format::Temporal),
    ] {
        for (path, bytes) in real(folder) {
            let name = path.to_string_lossy().into_owned();
            let plan = parse(&name, &bytes, &Options::default()).unwrap();
            assert_eq!(plan.format, format, "{name}");
            assert!(
                plan.skipped.is_empty() && plan.notes.is_empty(),
                "{name}: {:?} {:?}",
                plan.skipped,
                plan.notes
            );
            assert_eq!(plan.events(), plan.records, "{name}");
            let files = restored_files(&plan);
            assert_eq!(files.len(), 1);
            assert!(files[0].bytes == bytes, "{name} did not come back");
            let mut seen = std::collections::HashMap::new();
            for (place, e) in events(&plan) {
                println!("{} {place} {} {:?}", e.id(), e.kind(), e.causation);
                assert!(seen.insert(e.id(), e.kind().to_owned()).is_none());
            }
        }
    }
}

#[test]
fn the_real_side_branch_gives_two_branches() {
    for (path, bytes) in real("claude-code").into_iter().filter(|(p, _)| p.ends_with("side-branch.jsonl")) {
        let plan = parse(&path.to_string_lossy(), &bytes, &Options::default()).unwrap();
        let places: Vec<String> = plan.places().into_iter().map(|p| p.branch.to_string()).collect();
        assert_eq!(places, ["main", "side-95100eaf"]);
        let forked = events(&plan).nth(1).unwrap().1.id;
        let forks: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|s| if let Step::Fork { at, .. } = s { *at } else { None })
            .collect();
        assert_eq!(forks, [forked]);
        assert_eq!(events(&plan).filter(|(p, _)| p.branch.as_str() == "main").count(), 115);
    }
}

/// A transcript of the grammar that matters: who speaks, to what, in which shape of line.
fn transcript() -> impl Strategy<Value = Vec<String>> {
    let line = (0usize..12, 0usize..8, any::<bool>(), "[ \t]{0,2}", "[ \t\r]{0,2}\n{0,2}");
    prop::collection::vec(line, 0..40).prop_map(|lines| {
        let mut out = Vec::new();
        for (i, (what, back, has_parent, before, after)) in lines.into_iter().enumerate() {
            let parent = if has_parent { format!("\"u{}\"", i.saturating_sub(back)) } else { "null".to_owned() };
            let common = format!("\"sessionId\":\"s{}\",\"parentUuid\":{parent},\"uuid\":\"u{i}\"", what / 11);
            let m = i / 3;
            let text = match what {
                0..=2 => format!(r#"{{{common},"type":"user","message":{{"content":"w{i}"}}}}"#),
                3..=5 => format!(r#"{{{common},"type":"assistant","message":{{"id":"m{m}","content":[{{"type":"text"}}]}}}}"#),
                6 => format!(r#"{{{common},"type":"assistant","message":{{"id":"m{m}","content":[{{"type":"tool_use","id":"t{m}","name":"Task","input":{{"prompt":"w{m}"}}}}]}}}}"#),
                7 => format!(r#"{{{common},"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t{m}"}}]}}}}"#),
                8 => format!(r#"{{{common},"type":"system","subtype":"note"}}"#),
                9 => format!(r#"{{"type":"summary","n":{back}}}"#),
                10 => format!(r#"{{{common},"isSidechain":true,"type":"user","message":{{"content":"w{m}"}}}}"#),
                _ => format!(r#"{{{common},"type":"user","isMeta":true,"message":{{"content":"x"}}}}"#),
            };
            out.push(format!("{before}{text}{after}\n"));
        }
        out
    })
}

fn claude(bytes: &[u8]) -> Plan {
    let options = Options::default().format(Some(Format::ClaudeCode)).session(Some("s".try_into().unwrap()));
    parse("f.jsonl", &Bytes::copy_from_slice(bytes), &options).unwrap()
}

/// What each event is, in the order of the file.
fn outline(plan: &Plan) -> Vec<String> {
    events(plan).map(|(p, e)| format!("{} {} {:?} {}", p.session, e.id(), e.causation, e.kind())).collect()
}

proptest! {
    #[test]
    fn any_transcript_comes_back(lines in transcript(), last_newline: bool, bom: bool) {
        let mut file = if bom { "\u{feff}".to_owned() } else { String::new() };
        file.extend(lines);
        if !last_newline { file.truncate(file.trim_end().len()); }
        let plan = claude(file.as_bytes());
        prop_assert!(plan.skipped.is_empty() && plan.notes.is_empty());
        prop_assert_eq!(plan.events() + plan.duplicates, plan.records);
        if plan.records > 0 { prop_assert_eq!(restored(&plan), file); }
    }

    #[test]
    fn a_transcript_that_grew_begins_as_it_did(lines in transcript(), cut in 0usize..40) {
        let part: String = lines.iter().take(cut).map(String::as_str).collect();
        let whole: String = lines.concat();
        let (part, whole) = (outline(&claude(part.as_bytes())), outline(&claude(whole.as_bytes())));
        prop_assert_eq!(&part[..], &whole[..part.len()]);
    }

    #[test]
    fn every_fork_leaves_an_event_that_is_there(lines in transcript()) {
        let plan = claude(lines.concat().as_bytes());
        let mut at_place = std::collections::HashMap::new();
        let mut branches = std::collections::HashSet::new();
        for step in &plan.steps {
            match step {
                Step::Fork { place, parent, at } => {
                    prop_assert!(branches.insert(place.clone()), "{} twice", place);
                    prop_assert!(at.is_none_or(|at| at_place.get(&at) == Some(parent)));
                }
                Step::Append { place, events } => {
                    prop_assert!(place.branch.as_str() == "main" || branches.contains(place));
                    at_place.extend(events.iter().map(|e| (e.id(), place.clone())));
                }
            }
        }
    }

    #[test]
    fn any_array_comes_back(
        ids in prop::collection::vec((0u32..50, "[ \n\t]{0,3}", "[ \n\t]{0,3}"), 1..20),
        (head, tail) in prop::sample::select(vec![("", ""), ("{\"events\":", "}"), ("{\"x\":{\"history\":", ",\"n\":[]}}\n")]),
        temporal: bool,
    ) {
        let records: Vec<String> = ids.iter().map(|(id, a, b)| match temporal {
            true => format!("{a}{{\"eventId\":\"{id}\",{b}\"eventType\":\"TimerFired\"}}{b}"),
            false => format!("{a}{{\"id\":{id},\"timestamp\":\"2026-01-01T00:00:00\",{b}\"source\":\"agent\",\"action\":\"run\"}}{b}"),
        }).collect();
        let file = format!("{head}[{}]{tail}", records.join(","));
        let plan = plan_of("t.json", &file);
        prop_assert_eq!(plan.format, if temporal { Format::Temporal } else { Format::OpenHands });
        prop_assert_eq!(restored(&plan), file);
    }

    #[test]
    fn no_bytes_panic_any_parser(bytes: Vec<u8>, text in "[\\[\\]{}\",:0-9a-z \n]{0,200}") {
        for format in Format::ALL {
            let options = Options::default().format(Some(format));
            for input in [&bytes[..], text.as_bytes()] {
                let plan = parse("f", &Bytes::copy_from_slice(input), &options).unwrap();
                prop_assert_eq!(plan.records, plan.events() + plan.skipped.len() + plan.duplicates);
            }
        }
        let _ = Format::detect("f", &bytes);
    }

    #[test]
    fn a_damaged_file_loses_only_what_was_damaged(lines in transcript(), at: prop::sample::Index, with: u8) {
        let mut file = lines.concat().into_bytes();
        prop_assume!(!file.is_empty());
        let records = claude(&file).records;
        let i = at.index(file.len());
        prop_assume!(file[i] != b'\n' && with != b'\n');
        file[i] = with;
        let plan = claude(&file);
        prop_assert!(plan.skipped.len() <= 1 && plan.records <= records + 1);
    }
}

/// A store after these files were imported into it, one after the other.
fn imported(files: &[(&str, &str)]) -> Store {
    let store = Store::in_memory().unwrap();
    for (name, text) in files {
        load(&store, plan_of(name, text), &mut |_| {}).unwrap();
    }
    assert!(store.verify().unwrap().is_clean());
    store
}

fn all(store: &Store) -> Vec<Event> {
    store.events(Query::all()).unwrap().map(Result::unwrap).collect()
}

/// Every branch with the ids that are read through it.
fn branches(store: &Store) -> Vec<(String, Vec<crate::event::EventId>)> {
    let mut out = Vec::new();
    for session in store.sessions(None, 100).unwrap() {
        for branch in store.branches(&session.session).unwrap() {
            let address = crate::event::Address::from(branch.place);
            let events = store.events(Query::branch(&address).unwrap()).unwrap();
            out.push((address.to_string(), events.map(|e| e.unwrap().id()).collect()));
        }
    }
    out
}

/// Every line of history, from its first event to its last, whatever its branch is called.
fn histories(store: &Store) -> BTreeSet<Vec<crate::event::EventId>> {
    let all: BTreeSet<_> = branches(store).into_iter().map(|(_, ids)| ids).collect();
    // What begins another one stands right before it.
    let mut whole: BTreeSet<Vec<_>> = BTreeSet::new();
    for line in all {
        if let Some(last) = whole.last().filter(|last| line.starts_with(last)).cloned() {
            whole.remove(&last);
        }
        whole.insert(line);
    }
    whole
}

/// What the current branch of each session holds.
fn currents(store: &Store) -> Vec<Vec<crate::event::EventId>> {
    let read = |session: crate::store::SessionInfo| {
        let branch = store.current(&session.session).unwrap();
        let address = crate::event::Address::new(session.session, branch);
        store.events(Query::branch(&address).unwrap()).unwrap().map(|e| e.unwrap().id()).collect()
    };
    store.sessions(None, 100).unwrap().into_iter().map(read).collect()
}

#[test]
fn a_history_with_forks_goes_through_every_format_that_is_printed() {
    let store = imported(&[]);
    let e = |kind| event(kind).meta("k", "v");
    store.append("s", [e("a"), e("b"), e("c")]).unwrap();
    store.fork("s@2", "alt").unwrap();
    store.append("s/alt", [e("d"), e("e")]).unwrap();
    store.fork("s/alt@3", "deep").unwrap();
    store.append("s/deep", [e("f")]).unwrap();
    store.fork("s@0", "fresh").unwrap();
    store.append("s/fresh", [e("g")]).unwrap();
    for format in [Format::Retold, Format::CloudEvents, Format::Aios] {
        let mut out = Vec::new();
        for (name, parent, at) in
            [("main", "", 0), ("alt", "main", 2), ("deep", "alt", 3), ("fresh", "main", 0)]
        {
            let place = crate::event::Place::new("s".try_into().unwrap(), name.try_into().unwrap());
            let own: Vec<Event> = all(&store).into_iter().filter(|e| **e.place() == place).collect();
            if !parent.is_empty() {
                let read = store.events(Query::branch("s/deep").unwrap()).unwrap();
                let event = read.map(Result::unwrap).find(|e| e.sequence().get() == at).map(|e| e.id());
                let parent = parent.try_into().unwrap();
                print_fork(format, &Forked { place, parent, at: at.into(), event }, &mut out).unwrap();
            }
            own.iter().for_each(|e| print(format, e, &mut out).unwrap());
        }
        let text = String::from_utf8(out).unwrap();
        let other = imported(&[("x.jsonl", &text), ("x.jsonl", &text)]);
        assert_eq!(branches(&other), branches(&store), "{format}");
        for (a, b) in all(&store).iter().zip(all(&other)) {
            assert!(a.record().same_content(b.record()), "{format}: {a:?} {b:?}");
        }
    }
}

#[test]
fn branches_that_a_listing_does_not_explain_are_guessed_from_their_numbers() {
    let store = imported(&[]);
    store.append("s", [event("a"), event("b"), event("c")]).unwrap();
    store.fork("s@2", "alt").unwrap();
    store.append("s/alt", [event("d")]).unwrap();
    let mut out = Vec::new();
    store
        .events(Query::branch("s/alt").unwrap())
        .unwrap()
        .for_each(|e| print(Format::Retold, &e.unwrap(), &mut out).unwrap());
    assert_eq!(drawn(&plan_of("x", &out)), ["s/main: a b", "s/alt < main", "s/alt: d"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_transcript_imported_as_it_grows_is_the_same_as_at_once(lines in transcript(), cut in 1usize..40) {
        let part: String = lines.iter().take(cut).map(String::as_str).collect();
        let whole: String = lines.concat();
        prop_assume!(!part.trim().is_empty());
        let import = |files: &[&str]| {
            let store = Store::in_memory().unwrap();
            for file in files { load(&store, claude(file.as_bytes()), &mut |_| {}).unwrap(); }
            store
        };
        let (once, grown) = (import(&[&whole]), import(&[&part, &whole, &whole]));
        prop_assert!(grown.verify().unwrap().is_clean());
        prop_assert_eq!(histories(&once), histories(&grown));
        prop_assert_eq!(currents(&once), currents(&grown));
        for store in [once, grown] {
            let files = restore(&all(&store));
            prop_assert_eq!(std::str::from_utf8(&files[0].bytes).unwrap(), &whole);
        }
    }
}
