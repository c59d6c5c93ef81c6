//! `--where`: events by what is in their payload.

use crate::shell::Shell;

fn shell() -> Shell {
    let shell = Shell::new();
    for (session, data) in [
        ("s", r#"{"tool": "cargo", "ms": 850, "args": ["test", "--all"]}"#),
        ("s", r#"{"tool": "rustc", "ms": 120}"#),
        ("s", r#"{"tool": "cargo", "ms": 40, "error": {"text": "a timeout of 30 s"}}"#),
        ("t", "null"),
    ] {
        shell.ok(&["append", session, "tool.completed", "--data", data]);
    }
    shell
}

fn found(shell: &Shell, args: &[&str]) -> Vec<String> {
    let listed = shell.ok(args);
    let place = |line: &str| {
        let event = crate::shell::json(line);
        format!("{}@{}", event["session"].as_str().unwrap(), event["sequence"])
    };
    listed.lines().map(place).collect()
}

#[test]
fn events_are_selected_by_what_is_in_their_payload() {
    let shell = shell();
    for (tests, due) in [
        (&["/tool == \"cargo\""][..], &["s@1", "s@3"][..]),
        (&["/tool==cargo", "/ms > 500"], &["s@1"]),
        (&["/tool != cargo"], &["s@2", "t@1"]),
        (&["/error"], &["s@3"]),
        (&["/error/text ~ timeout"], &["s@3"]),
        (&["/args/* == --all"], &["s@1"]),
        (&["/ms >= 40", "/ms <= 120"], &["s@2", "s@3"]),
        (&["/nothing"], &[]),
    ] {
        let flags: Vec<&str> = tests.iter().flat_map(|test| ["--where", test]).collect();
        assert_eq!(found(&shell, &[&["read", "--all"], &flags[..]].concat()), due, "{tests:?}");
        assert_eq!(found(&shell, &[&["-q", "tail", "--no-follow"], &flags[..]].concat()), due, "{tests:?}");
    }
    let more = ["read", "s", "--where", "/tool == cargo", "--type", "tool.*", "--reverse", "--limit", "1"];
    assert_eq!(found(&shell, &more), ["s@3"]);
}

#[test]
fn an_export_for_other_programs_is_selected_and_a_copy_is_not() {
    let shell = shell();
    shell.ok(&["fork", "s@1", "b"]);
    shell.ok(&["append", "s/b", "tool.completed", "--data", r#"{"tool": "cargo"}"#]);
    let lines = |args: &[&str]| {
        let written =
            shell.ok(&[&["export", "--to", "cloudevents", "--where", "/tool == cargo"], args].concat());
        written.lines().filter(|line| line.contains("\"cargo\"")).count()
    };
    assert_eq!((lines(&[]), lines(&["s"]), lines(&["s/main"]), lines(&["s/b"])), (3, 3, 2, 2));
    let all = shell.ok(&["export", "--to", "cloudevents", "--where", "/tool == cargo"]);
    assert!(!all.contains("rustc"), "{all}");
    for to in ["retold", "source"] {
        let err = shell.fails(2, &["export", "--to", to, "--type", "tool.*"]);
        assert!(err.contains("filters go with --to cloudevents"), "{err}");
    }
}

#[test]
fn what_is_no_test_is_refused_before_the_store_is_opened() {
    let shell = Shell::new();
    for (bad, why) in [
        ("tool == cargo", "does not begin with a JSON pointer"),
        ("/tool = cargo", "unknown operator"),
        ("/tool ==", "has no value"),
        ("/tool < true", "takes a number or a text"),
    ] {
        let err = shell.fails(7, &["read", "s", "--where", bad]);
        assert!(err.contains("where ") && err.contains(why), "{err}");
    }
}
