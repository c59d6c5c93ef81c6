//! Import, export and `append --ndjson` through the real program.

use crate::shell::{Shell, json};

const LINES: &str = r#"{"session":"s","type":"a.b","data":{"n":1},"id":"01890000-0000-7000-8000-000000000001"}
{"session":"s","type":"a.b","data":{"n":2}
{"session":"s","type":"a.b","data":{"n":3},"id":"01890000-0000-7000-8000-000000000003"}

{"session":"s","branch":"nowhere","type":"a.b"}
{"specversion":"1.0","id":"01890000-0000-7000-8000-000000000004","source":"x","type":"c.d","session":"s"}
{"session":"s","type":"","id":"01890000-0000-7000-8000-000000000005"}
"#;

#[test]
fn a_broken_line_is_named_and_the_others_go_in() {
    let shell = Shell::new();
    std::fs::write(shell.path("in.ndjson"), LINES).unwrap();
    for (new, duplicates) in [(3, 0), (0, 3)] {
        let said = shell.run(&["append", "--ndjson", "in.ndjson"]);
        assert_eq!(said.exit, 7);
        let told: Vec<&str> = said.err.lines().collect();
        assert!(told.iter().any(|l| l.starts_with("in.ndjson:2: line is not JSON")), "{told:?}");
        assert!(told.contains(&"in.ndjson:5: there is no branch s/nowhere"), "{told:?}");
        assert!(told.iter().any(|l| l.starts_with("in.ndjson:7: type is empty")), "{told:?}");
        let report = json(&said.out);
        assert_eq!((&report["new"], &report["duplicates"]), (&new.into(), &duplicates.into()));
        let lines: Vec<&serde_json::Value> =
            report["skipped"].as_array().unwrap().iter().map(|s| &s["line"]).collect();
        assert_eq!(lines, [2, 5, 7]);
        assert_eq!(shell.head("s"), 3);
    }
}

#[test]
fn the_same_id_with_other_content_is_named_and_changes_nothing() {
    let shell = Shell::new();
    let line = |n: u64| {
        format!(
            "{{\"session\":\"s\",\"type\":\"a.b\",\"data\":{n},\"id\":\"01890000-0000-7000-8000-000000000001\"}}\n"
        )
    };
    let said = shell.run_with(&["append", "--ndjson", "-"], &(line(1) + &line(2)));
    assert_eq!(said.exit, 7);
    assert!(said.err.starts_with("standard input:2: event 01890000-"), "{}", said.err);
    assert!(shell.ok(&["read", "s"]).contains("\"data\":1}"));
}

#[test]
fn lines_without_a_session_go_where_the_command_says() {
    let shell = Shell::new();
    assert_eq!(shell.run_with(&["append", "other", "--ndjson", "-"], "{\"type\":\"a.b\"}").exit, 0);
    assert_eq!(shell.head("other"), 1);
}

#[test]
fn import_is_idempotent_and_strict_when_asked() {
    let shell = Shell::new();
    std::fs::write(shell.path("in.jsonl"), LINES).unwrap();
    let told = shell.fails(7, &["import", "--strict", "in.jsonl"]);
    assert!(told.contains("in.jsonl:2: ") && told.contains("nothing of in.jsonl was written"), "{told}");
    assert!(!shell.store().exists());
    let said = shell.run(&["import", "in.jsonl"]);
    assert_eq!(said.exit, 7);
    assert!(said.err.contains("in.jsonl:2: "), "{}", said.err);
    let before = shell.ok(&["read", "--all"]);
    let again = shell.run(&["import", "in.jsonl"]);
    assert_eq!((again.exit, &json(again.out.lines().next().unwrap())["new"]), (7, &0.into()));
    assert_eq!(shell.ok(&["read", "--all"]), before);
}

#[test]
fn one_missing_file_does_not_keep_the_others_out() {
    let shell = Shell::new();
    std::fs::write(shell.path("b.jsonl"), "{\"session\":\"s\",\"type\":\"a.b\"}\n").unwrap();
    let said = shell.run(&["import", "a.jsonl", "b.jsonl"]);
    assert_eq!(said.exit, 4);
    assert!(said.err.starts_with("error: there is no file a.jsonl"), "{}", said.err);
    assert_eq!(shell.head("s"), 1);
}

#[test]
fn what_is_no_known_format_is_refused_and_makes_no_store() {
    let shell = Shell::new();
    std::fs::write(shell.path("x.txt"), "hello\n").unwrap();
    assert!(shell.fails(7, &["import", "x.txt"]).contains("claude-code"));
    assert!(shell.fails(7, &["import", "--from", "nothing", "x.txt"]).contains("`nothing`"));
    assert!(!shell.store().exists());
}

#[test]
fn an_export_makes_the_same_sessions_in_another_store() {
    let shell = Shell::with_a_session();
    shell.ok(&["fork", "s/b@1", "deep"]);
    for format in ["retold", "cloudevents", "aios"] {
        let (file, store) = (format!("{format}.jsonl"), format!("{format}.redb"));
        let said = shell.run(&["export", "--to", format, "--out", &file]);
        assert_eq!((said.exit, said.err), (0, format!("4 events written to {file}\n")));
        assert_eq!(
            shell.run(&["export", "--to", format]).out,
            std::fs::read_to_string(shell.path(&file)).unwrap()
        );
        shell.ok(&["import", &file, "--store", &store]);
        let shape = |store: &str| -> Vec<(String, String, u64)> {
            let branches = shell.ok(&["branches", "s", "--store", store]);
            let text = |b: &serde_json::Value, name: &str| b[name].as_str().unwrap_or_default().to_owned();
            branches
                .lines()
                .map(json)
                .map(|b| (text(&b, "branch"), text(&b, "parent"), b["head"].as_u64().unwrap()))
                .collect()
        };
        assert_eq!(shape(&store), shape("retold.redb"), "{format}");
    }
}

#[test]
fn a_branch_is_exported_for_clients_of_ag_ui_and_for_trace_viewers() {
    let shell = Shell::new();
    shell.ok(&["append", "s", "run.started", "--data", r#"{"run_id":"r"}"#]);
    shell.ok(&["append", "s", "message.user", "--data", r#"{"text":"hidden"}"#]);
    shell.ok(&["append", "s", "message.assistant", "--data", r#"{"text":"found it","model":"large-2"}"#]);
    shell.ok(&["append", "s", "run.completed", "--data", r#"{"run_id":"r"}"#]);
    let lines = shell.ok(&["export", "s", "--to", "ag-ui"]);
    let types: Vec<String> =
        lines.lines().map(|line| json(line)["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!((types.len(), types[0].as_str(), types[7].as_str()), (8, "RUN_STARTED", "RUN_FINISHED"));
    let users = shell.ok(&["export", "s", "--to", "ag-ui", "--type", "message.user"]);
    assert_eq!(users.lines().count(), 5, "the message in a run: {users}");
    std::fs::write(shell.path("s.jsonl"), &lines).unwrap();
    shell.ok(&["import", "s.jsonl", "--store", "other.redb"]);
    assert_eq!(shell.ok(&["export", "s", "--to", "ag-ui", "--store", "other.redb"]), lines);

    let spans = shell.ok(&["export", "s", "--to", "otlp-json"]);
    assert_eq!((spans.lines().count(), spans.contains("hidden")), (1, false), "{spans}");
    assert_eq!(shell.ok(&["export", "s/main", "--to", "otlp-json"]), spans, "the same again");
    let of = &json(spans.trim())["resourceSpans"][0]["scopeSpans"][0]["spans"];
    let names: Vec<&str> = of.as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0] == "chat large-2" && names[1].starts_with("invoke_agent"), "{names:?}");
    assert!(shell.ok(&["export", "s", "--to", "otlp-json", "--content"]).contains("hidden"));
    for (args, why) in [
        (&["--to", "ag-ui"][..], "one branch"),
        (&["s", "--to", "otlp-json", "--type", "run.*"], "filters go with"),
        (&["s", "--to", "ag-ui", "--content"], "--content"),
        (&["s", "--to", "ag-ui", "--raw"], "--raw"),
        (&["s", "--to", "retold", "--otlp", "http://127.0.0.1:1"], "--otlp sends spans"),
        (&["--otlp", "http://127.0.0.1:1"], "one branch"),
    ] {
        let said = shell.fails(2, &[&["export"], args].concat());
        assert!(said.contains(why), "{args:?}: {said}");
    }
}

#[test]
fn source_gives_a_file_back_as_it_was_and_several_to_a_folder() {
    let shell = Shell::new();
    let record = |n: u64| format!("{{\"event_id\" : \"{n}\"}}");
    let file = |n: u64| {
        let event = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e{n}\", \"source\":\"x\",\"type\":\"a.b\",\"data\": {}}}",
            record(n)
        );
        format!("{event}\r\n")
    };
    std::fs::write(shell.path("a.ndjson"), file(1)).unwrap();
    std::fs::write(shell.path("b.ndjson"), file(2)).unwrap();
    shell.ok(&["import", "a.ndjson"]);
    assert_eq!(shell.ok(&["export", "--to", "source"]), file(1));
    shell.ok(&["import", "b.ndjson"]);
    assert!(shell.fails(2, &["export", "--to", "source"]).contains("2 files"));
    assert_eq!(shell.run(&["export", "--to", "source", "--out", "back"]).exit, 0);
    assert_eq!(std::fs::read_to_string(shell.path("back/a.ndjson")).unwrap(), file(1));
    assert_eq!(std::fs::read_to_string(shell.path("back/b.ndjson")).unwrap(), file(2));
}

#[test]
fn an_export_never_writes_over_its_store_or_half_a_file() {
    let shell = Shell::with_a_session();
    assert!(
        shell.fails(2, &["export", "--to", "retold", "--out", "retold.redb"]).contains("is the store itself")
    );
    assert!(shell.fails(4, &["export", "--to", "retold", "--out", "nowhere/x"]).contains("nowhere"));
    shell.fails(4, &["export", "nobody", "--to", "retold", "--out", "x"]);
    assert!(!shell.path("x").exists());
    assert!(shell.fails(4, &["export", "--to", "source"]).contains("no imported event"));
    assert!(shell.fails(2, &["export", "--to", "temporal"]).contains("temporal"));
}

/// A store with events that were imported from files of these names.
fn with_files(names: &[&str]) -> Shell {
    let shell = Shell::new();
    let lines: String = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let source = serde_json::json!({ "source.format": "cloudevents", "source.file": name, "source.record": "1" });
            let line = serde_json::json!({ "session": format!("s{n}"), "type": "a.b", "data": n, "metadata": source });
            format!("{line}\n")
        })
        .collect();
    assert_eq!(shell.run_with(&["append", "--ndjson", "-"], &lines).exit, 0);
    shell
}

fn read(path: std::path::PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_folder_keeps_what_is_in_it_unless_it_is_forced() {
    let shell = with_files(&[".bashrc", "b", "retold.redb"]);
    std::fs::create_dir(shell.path("home")).unwrap();
    std::fs::write(shell.path("home/b"), "mine").unwrap();
    let told = shell.fails(2, &["export", "--to", "source", "--out", "home"]);
    assert!(told.contains("home/b already exists") && told.contains("--force"), "{told}");
    // Nothing was written, also of those that could have been.
    assert!(!shell.path("home/.bashrc").exists() && read(shell.path("home/b")) == "mine");
    assert_eq!(shell.run(&["export", "--to", "source", "--out", "home", "--force"]).exit, 0);
    assert_eq!((read(shell.path("home/.bashrc")), read(shell.path("home/b"))), ("0\n".into(), "1\n".into()));
    // But never over the store.
    let told = shell.fails(2, &["export", "--to", "source", "--out", ".", "--force"]);
    assert!(told.contains("is the store itself"), "{told}");
}

#[test]
fn a_name_that_is_too_long_is_shortened_and_the_others_are_written() {
    let long = "n".repeat(300);
    let shell = with_files(&["a", &long, "z"]);
    let said = shell.run(&["export", "--to", "source", "--out", "back", "-q"]);
    assert_eq!(said.exit, 0, "{}", said.err);
    let names = std::fs::read_dir(shell.path("back")).unwrap();
    let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!((names.len(), names[0].as_str(), names[2].as_str()), (3, "a", "z"));
    assert!(names[1].len() <= 255 && said.err.contains(&names[1]), "{}", said.err);
    assert_eq!(read(shell.path("back").join(&names[1])), "1\n");
}

#[cfg(unix)]
#[test]
fn an_export_replaces_a_link_and_never_writes_through_it() {
    use std::os::unix::fs::symlink;
    let shell = with_files(&["a"]);
    std::fs::write(shell.path("victim"), "safe").unwrap();
    for target in ["victim", "nowhere", "retold.redb-not"] {
        let _ = std::fs::remove_file(shell.path("out"));
        symlink(shell.path(target), shell.path("out")).unwrap();
        assert_eq!(shell.run(&["export", "--to", "retold", "--out", "out"]).exit, 0);
        assert!(std::fs::symlink_metadata(shell.path("out")).unwrap().is_file());
        assert_eq!(read(shell.path("victim")), "safe");
        assert!(!shell.path("nowhere").exists());
    }
    std::fs::create_dir_all(shell.path("back")).unwrap();
    symlink(shell.path("nowhere"), shell.path("back/a")).unwrap();
    shell.fails(2, &["export", "--to", "source", "--out", "back/"]);
    assert!(!shell.path("nowhere").exists());
    // A device is written to as it is.
    let said = shell.run(&["export", "--to", "retold", "--out", "/dev/stdout"]);
    assert_eq!((said.exit, said.out.lines().count()), (0, 1));
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_is_not_followed_out_of_the_folder() {
    let shell = Shell::new();
    let event = "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"x\",\"type\":\"a.b\",\"data\":1}\n";
    for session in ["one", "two"] {
        let folder = shell.path(session);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("f.ndjson"), event.replace("e1", session)).unwrap();
        shell.ok(&["import", &format!("{session}/f.ndjson"), "--session", session]);
    }
    std::fs::create_dir_all(shell.path("outside")).unwrap();
    std::fs::create_dir_all(shell.path("back")).unwrap();
    std::os::unix::fs::symlink(shell.path("outside"), shell.path("back/two")).unwrap();
    for force in [&[][..], &["--force"]] {
        let args = [&["export", "--to", "source", "--out", "back"], force].concat();
        assert!(shell.fails(2, &args).contains("back/two is not a folder"));
        assert_eq!(std::fs::read_dir(shell.path("outside")).unwrap().count(), 0);
        assert!(!shell.path("back/one").exists());
    }
}

#[test]
fn many_that_make_one_store_at_once_all_get_their_events_in_and_leave_nothing() {
    let shell = Shell::new();
    for round in 0..5 {
        let store = format!("m{round}.redb");
        let makers: Vec<_> = (0..8)
            .map(|n| {
                let session = format!("s{n}");
                let args = ["--store", &store, "--wait", "60", "append", &session, "a.b", "-q"];
                shell.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut maker in makers {
            assert!(maker.wait().unwrap().success());
        }
        assert_eq!(shell.ok(&["sessions", "--store", &store, "-o", "jsonl"]).lines().count(), 8);
    }
    let names = std::fs::read_dir(shell.path("")).unwrap();
    let left = names.filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".new")).count();
    assert_eq!(left, 0);
}
