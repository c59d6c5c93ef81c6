//! The current branch of a session, as the program shows and sets it.

use crate::shell::{Shell, json};

/// A session with one event on `main` and another on `b`, which leaves it there.
fn forked() -> Shell {
    let shell = Shell::new();
    shell.ok(&["append", "s", "run.started"]);
    shell.ok(&["append", "s", "run.failed"]);
    shell.ok(&["fork", "s@1", "b"]);
    shell.ok(&["append", "s/b", "run.completed"]);
    shell
}

#[test]
fn verbs_that_show_a_session_show_its_current_branch_and_name_it() {
    let shell = forked();
    assert!(shell.ok(&["read", "s"]).contains("run.failed"));
    let adopted = json(&shell.ok(&["adopt", "s/b", "-o", "json"]));
    assert_eq!((&adopted["branch"], &adopted["current"]), (&"b".into(), &true.into()));

    let read = shell.run(&["read", "s", "-o", "jsonl"]);
    assert!(read.out.contains("run.completed") && !read.out.contains("run.failed"), "{}", read.out);
    assert!(read.err.contains("s/b is the current branch of s"), "{}", read.err);
    assert!(shell.ok(&["read", "s/main"]).contains("run.failed"));
    assert!(!shell.ok(&["-q", "read", "s@1", "-o", "jsonl"]).contains("run.completed"));

    let described = json(&shell.ok(&["-q", "describe", "s", "-o", "json"]));
    assert_eq!((&described["branch"], &described["current"]), (&"b".into(), &"b".into()));
    assert_eq!(json(&shell.ok(&["describe", "s/main", "-o", "json"]))["branch"], "main");
    assert!(shell.ok(&["-q", "describe", "s", "-o", "table"]).contains("b (current)"));

    let listed = shell.ok(&["ls", "-o", "jsonl"]);
    let listed = json(listed.trim());
    assert_eq!((&listed["current"], &listed["status"]), (&"b".into(), &"completed".into()));
    assert!(shell.ok(&["ls", "-o", "table"]).contains("s/b"));
    assert!(shell.ok(&["-q", "timeline", "s", "-o", "json"]).contains("s/b"));
    assert!(shell.ok(&["-q", "state", "counts", "s", "-o", "json"]).contains("run.completed"));

    let branches = shell.ok(&["branches", "s", "-o", "jsonl"]);
    let current: Vec<bool> = branches.lines().map(|l| json(l)["current"] == true).collect();
    assert_eq!(current, [true, false]);
    assert!(shell.ok(&["branches", "s", "-o", "table"]).contains("b (current)"));
    shell.ok(&["verify"]);
}

#[test]
fn what_is_written_without_a_branch_goes_to_main() {
    let shell = forked();
    shell.ok(&["adopt", "s/b"]);
    let appended = json(&shell.ok(&["append", "s", "a.b", "-o", "json"]));
    assert_eq!((&appended["branch"], &appended["sequence"]), (&"main".into(), &3.into()));
    let forked = json(&shell.ok(&["fork", "s", "c", "-o", "json"]));
    assert_eq!((&forked["parent"], &forked["forked_at"]), (&"main".into(), &3.into()));
    assert!(!shell.ok(&["-q", "read", "s", "-o", "jsonl"]).contains("a.b"));
    shell.ok(&["adopt", "s/main"]);
    let read = shell.run(&["read", "s", "-o", "jsonl"]);
    assert!(read.out.contains("a.b") && read.err.is_empty(), "{}", read.err);
}

#[test]
fn promoting_the_current_branch_makes_its_parent_current() {
    let shell = Shell::new();
    shell.ok(&["append", "s", "run.started"]);
    for name in ["b", "c"] {
        shell.ok(&["fork", "s@1", name]);
        shell.ok(&["append", &format!("s/{name}"), "run.completed"]);
    }
    shell.ok(&["adopt", "s/b"]);
    shell.ok(&["promote", "s/b"]);
    assert_eq!(json(shell.ok(&["ls", "-o", "jsonl"]).trim())["current"], "main");
    // Another branch's promotion changes nothing of it.
    shell.ok(&["fork", "s/c", "d"]);
    shell.ok(&["append", "s/d", "run.paused"]);
    shell.ok(&["adopt", "s/d"]);
    shell.run(&["promote", "s/c"]);
    assert_eq!(json(shell.ok(&["ls", "-o", "jsonl"]).trim())["current"], "d");
}

#[test]
fn a_branch_that_does_not_exist_or_an_event_cannot_be_adopted() {
    let shell = forked();
    assert_eq!(shell.run(&["adopt", "s/x"]).exit, 4);
    assert_eq!(shell.run(&["adopt", "s/b@1"]).exit, 7);
    assert_eq!(json(shell.ok(&["ls", "-o", "jsonl"]).trim())["current"], "main");
}

#[test]
fn a_transcript_that_was_rewound_between_two_imports_shows_the_live_conversation() {
    let shell = Shell::new();
    let line = |n: u32, parent: &str| {
        format!(
            r#"{{"type":"user","uuid":"u{n}","parentUuid":{parent},"sessionId":"s","timestamp":"2026-02-03T04:05:0{n}Z","message":{{"role":"user","content":"w{n}"}}}}"#
        ) + "\n"
    };
    let before = [line(1, "null"), line(2, "\"u1\""), line(3, "\"u2\"")].concat();
    let file = shell.path("run.jsonl");
    let import = |text: &str| {
        std::fs::write(&file, text).unwrap();
        shell.ok(&["import", file.to_str().unwrap()]);
    };
    import(&before);
    assert!(shell.ok(&["read", "s", "-o", "jsonl"]).contains("w3"));
    let after = [&*before, &line(4, "\"u1\""), &line(5, "\"u4\"")].concat();
    import(&after);
    let live = shell.ok(&["-q", "read", "s", "-o", "jsonl"]);
    assert!(live.contains("w1") && live.contains("w5") && !live.contains("w3"), "{live}");
    assert!(shell.ok(&["read", "s/main", "-o", "jsonl"]).contains("w3"));
    // The choice of a person stands while the file says nothing new.
    shell.ok(&["adopt", "s/main"]);
    import(&after);
    assert!(shell.ok(&["-q", "read", "s", "-o", "jsonl"]).contains("w3"));
    import(&(after + &line(6, "\"u5\"")));
    assert!(shell.ok(&["-q", "read", "s", "-o", "jsonl"]).contains("w6"));
    // Imported at once, the live conversation is main.
    let other = Shell::new();
    other.ok(&["import", file.to_str().unwrap()]);
    assert_eq!(json(other.ok(&["ls", "-o", "jsonl"]).trim())["current"], "main");
    assert!(other.ok(&["read", "s", "-o", "jsonl"]).contains("w6"));
}
