//! Labels and notes through the real program: `label`, `note`, and where they are shown.

use crate::shell::{Shell, json};

/// A session that was completed, and one that is running.
fn shell() -> Shell {
    let shell = Shell::new();
    for (session, kind, second) in
        [("done", "run.started", 1), ("done", "run.completed", 2), ("busy", "run.started", 3)]
    {
        let time = format!("2026-02-03T04:05:0{second}Z");
        shell.ok(&["append", session, kind, "--time", &time]);
    }
    shell
}

fn of(shell: &Shell, session: &str) -> serde_json::Value {
    let all = json(&shell.ok(&["ls", "-o", "json"]));
    all.as_array().unwrap().iter().find(|card| card["session"] == session).unwrap().clone()
}

fn names(listed: &str) -> Vec<String> {
    json(listed).as_array().unwrap().iter().map(|s| s["session"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn labels_are_set_listed_replaced_and_removed() {
    let shell = shell();
    let labels = |args: &[&str]| {
        let listed = json(&shell.ok(&[&["label", "done", "-o", "json"], args].concat()));
        let pair = |label: &serde_json::Value| {
            format!("{}={}", label["key"].as_str().unwrap(), label["value"].as_str().unwrap())
        };
        listed.as_array().unwrap().iter().map(pair).collect::<Vec<_>>()
    };
    assert!(labels(&[]).is_empty());
    assert_eq!(labels(&["team=search", "prio=a=b", "--actor", "mara"]), ["prio=a=b", "team=search"]);
    assert_eq!(labels(&["team=login", "--remove", "prio"]), ["team=login"]);
    assert_eq!(shell.head("done/annotations"), 4);
    assert_eq!(labels(&["team=login"]), ["team=login"], "what is so already is not recorded again");
    assert_eq!(shell.head("done/annotations"), 4);
    let listed = json(&shell.ok(&["label", "done", "-o", "json"]));
    assert_eq!((&listed[0]["session"], listed[0].get("by")), (&"done".into(), None));
    let table = shell.ok(&["label", "done", "prio=1", "--actor", "mara", "-o", "table"]);
    assert!(["KEY", "prio", "team", "login", "mara"].iter().all(|part| table.contains(part)), "{table}");
    assert!(labels(&["--remove", "prio", "--remove", "team"]).is_empty());
    let none = shell.run(&["label", "done", "-o", "table"]);
    assert_eq!((none.exit, none.err.trim()), (0, "done has no labels"));
}

#[test]
fn what_is_no_label_or_has_no_session_is_refused_and_records_nothing() {
    let shell = shell();
    for (exit, args, said) in [
        (2, &["label", "done", "team"][..], "not KEY=VALUE"),
        (2, &["label", "done", "=x"], "not KEY=VALUE"),
        (2, &["label", "done", "a=1", "--remove", "a"], "the label a is both set and removed"),
        (4, &["label", "done", "--remove", "a"], "there is no label a on done"),
        (7, &["label", "done", "a=1\u{7}"], "control character"),
        (4, &["label", "dnoe"], "there is no session dnoe"),
        (4, &["label", "dnoe", "a=1"], "there is no session dnoe"),
        (4, &["note", "dnoe", "hello"], "there is no session dnoe"),
        (7, &["note", "done", "  "], "note is empty"),
    ] {
        let err = shell.fails(exit, args);
        assert!(err.contains(said), "{args:?}: {err}");
    }
    shell.fails(7, &["label", "done", "b=2", &format!("c={}", "x".repeat(300))]);
    assert_eq!(names(&shell.ok(&["sessions", "-o", "json"])), ["busy", "done"]);
    assert_eq!(json(&shell.ok(&["branches", "done", "-o", "json"])).as_array().unwrap().len(), 1);
}

#[test]
fn notes_are_shown_where_a_session_is_described() {
    let shell = shell();
    shell.ok(&["label", "done", "team=search", "flag="]);
    for n in 1..=6 {
        shell.ok(&["note", "done", &format!("note number {n}"), "--actor", "mara"]);
    }
    let piped = shell.run_with(&["note", "done", "-"], "from a pipe,\non two lines\n");
    assert_eq!((piped.exit, piped.err.as_str()), (0, ""));
    let screen = shell.ok(&["describe", "done", "-o", "table"]);
    for part in
        ["labels  flag  team=search", "by mara: note number 6", "from a pipe, on two lines", "… and 3 more"]
    {
        assert!(screen.contains(part), "{part} is not in\n{screen}");
    }
    assert!(!screen.contains("note number 3"), "{screen}");
    let described = json(&shell.ok(&["describe", "done", "-o", "json"]));
    let annotations = &described["annotations"];
    assert_eq!(
        (&annotations["labels"]["team"]["value"], &annotations["noted"]),
        (&"search".into(), &7.into())
    );
    assert_eq!(annotations["notes"][6]["text"], "from a pipe,\non two lines");
    assert_eq!(shell.ok(&["read", "done/annotations", "--type", "session.noted"]).lines().count(), 7);
}

#[test]
fn a_note_on_a_completed_session_changes_neither_its_status_nor_when_it_happened() {
    let shell = shell();
    let (before, order) = (of(&shell, "done"), names(&shell.ok(&["ls", "-o", "json"])));
    assert_eq!(order, ["busy", "done"]);
    shell.ok(&["note", "done", "look at this"]);
    shell.ok(&["label", "done", "team=search"]);
    shell.ok(&["label", "done", "--remove", "team"]);
    let after = of(&shell, "done");
    for member in ["status", "since", "why", "last", "head"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!((&after["status"], &after["events"]), (&"completed".into(), &5.into()));
    assert_eq!(names(&shell.ok(&["ls", "-o", "json"])), order);
    let stats = json(&shell.ok(&["stats", "done", "-o", "json"]));
    assert_eq!(stats["newest"], "2026-02-03T04:05:02.000000Z");
    assert_eq!(stats["types"]["session.noted"], 1);
}

#[test]
fn an_agent_that_expects_a_head_and_a_closed_session_do_not_mind() {
    let shell = shell();
    shell.ok(&["label", "busy", "team=search"]);
    shell.ok(&["append", "busy", "run.completed", "--expect", "1"]);
    shell.ok(&["close", "busy"]);
    shell.ok(&["note", "busy", "closed, and still worth a note"]);
    assert_eq!(shell.head("busy/annotations"), 2);
}

#[test]
fn sessions_are_found_by_their_labels() {
    let shell = shell();
    shell.ok(&["label", "done", "team=search", "prio=1"]);
    shell.ok(&["label", "busy", "team=login"]);
    let found = |args: &[&str]| names(&shell.ok(&[&["ls", "--sort", "name", "-o", "json"], args].concat()));
    assert_eq!(found(&["--label", "team"]), ["busy", "done"]);
    assert_eq!(found(&["--label", "team=search"]), ["done"]);
    assert_eq!(found(&["--label", "team", "--label", "prio=1"]), ["done"]);
    assert!(found(&["--label", "prio=2"]).is_empty());
    assert_eq!(of(&shell, "done")["labels"]["prio"], "1");
    assert!(shell.fails(2, &["ls", "--label", "=x"]).contains("not KEY or KEY=VALUE"));
}

#[test]
fn an_imported_session_grows_and_is_given_back_as_if_it_had_no_label() {
    let shell = Shell::new();
    let line = |n: u32, parent: &str| {
        format!(
            "{{\"sessionId\":\"s\",\"uuid\":\"u{n}\",\"parentUuid\":{parent},\"type\":\"user\",\"message\":{{\"content\":\"w{n}\"}}}}\n"
        )
    };
    let (first, second) = (line(1, "null"), line(2, "\"u1\""));
    std::fs::write(shell.path("t.jsonl"), &first).unwrap();
    assert_eq!(shell.run(&["import", "t.jsonl", "-q"]).exit, 0);
    shell.ok(&["label", "s", "team=search"]);
    std::fs::write(shell.path("t.jsonl"), format!("{first}{second}")).unwrap();
    assert_eq!(shell.run(&["import", "t.jsonl", "-q"]).exit, 0);
    assert_eq!((shell.head("s"), shell.head("s/annotations")), (2, 1));
    let source = shell.run(&["export", "--to", "source", "s"]);
    assert_eq!(source.out, format!("{first}{second}"));
    assert_eq!((source.exit, source.err.trim()), (0, "1 event left out: not imported from a file"));
    assert_eq!(of(&shell, "s")["labels"]["team"], "search");
}

#[test]
fn labels_and_notes_move_with_an_export() {
    let shell = shell();
    shell.ok(&["label", "done", "team=search"]);
    shell.ok(&["note", "done", "look here"]);
    std::fs::write(shell.path("done.jsonl"), shell.ok(&["export", "done", "--to", "retold"])).unwrap();
    assert_eq!(shell.run(&["import", "done.jsonl", "--store", "other.redb", "-q"]).exit, 0);
    let labels = |store: &str| shell.ok(&["label", "done", "--store", store, "-o", "json"]);
    assert_eq!(labels("other.redb"), labels("retold.redb"));
    let described = json(&shell.ok(&["describe", "done", "--store", "other.redb", "-o", "json"]));
    assert_eq!(described["annotations"]["notes"][0]["text"], "look here");
}

/// A session of which little is left is listed with what is known, and hides no other.
#[test]
fn a_session_whose_main_is_gone_or_whose_fork_is_truncated_hides_no_other() {
    let shell = Shell::new();
    for session in ["gone", "cut", "whole"] {
        for kind in ["run.started", "step.done", "run.completed"] {
            shell.ok(&["append", session, kind]);
        }
    }
    shell.ok(&["label", "gone", "team=search"]);
    shell.ok(&["delete", "gone/main"]);
    shell.ok(&["fork", "cut@2", "b"]);
    for _ in 0..3 {
        shell.ok(&["append", "cut/b", "step.done"]);
    }
    shell.ok(&["retain", "--max-events", "1"]);
    for args in [&["ls"][..], &["ls", "--sort", "tokens"], &["ls", "--recorded"], &["ls", "--label", "team"]]
    {
        let listed = shell.ok(&[args, &["-o", "jsonl"]].concat());
        let names: Vec<String> =
            listed.lines().map(|line| json(line)["session"].as_str().unwrap().to_owned()).collect();
        assert!(args.contains(&"--label") || names.contains(&"whole".to_owned()), "{args:?}: {names:?}");
    }
    // A note begins no main branch anew.
    assert!(shell.fails(4, &["note", "nobody", "x"]).contains("nobody"));
    shell.ok(&["fork", "whole@3", "kept"]);
    shell.ok(&["delete", "whole/main"]);
    let refused = shell.run(&["note", "whole", "too late"]);
    assert_ne!(refused.exit, 0, "{}", refused.out);
    let branches = shell.ok(&["branches", "whole", "-o", "jsonl"]);
    assert_eq!(branches.lines().count(), 1, "{branches}");
}
