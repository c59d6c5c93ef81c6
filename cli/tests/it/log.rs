//! `retold log` through the real program.

use crate::shell::{Said, Shell, json};

/// A session that was tried again twice, once from within the first attempt.
fn with_branches() -> Shell {
    let shell = Shell::new();
    let append = |place: &str, second: u8, kind: &str, data: &str| {
        let time = format!("2026-02-03T04:05:{second:02}Z");
        shell.ok(&["append", place, kind, "--data", data, "--time", &time]);
    };
    append(
        "run-7",
        0,
        "message.user",
        r#"{"content": "The login fails for names with a capital letter. Find out why, and mend it."}"#,
    );
    for second in 1..8 {
        append("run-7", second, "tool.invoked", r#"{"tool": "Grep", "args": {"pattern": "normalize"}}"#);
    }
    append("run-7", 8, "message.user", r#"{"content": "and now the tests"}"#);
    append("run-7", 9, "run.failed", r#"{"reason": "a test fails"}"#);
    shell.ok(&["fork", "run-7@8", "retry"]);
    append(
        "run-7/retry",
        20,
        "tool.invoked",
        r#"{"tool": "Bash", "args": {"command": "cargo test --workspace"}}"#,
    );
    append("run-7/retry", 21, "run.completed", "{}");
    shell.ok(&["fork", "run-7/retry@9", "with-a-longer-name"]);
    append(
        "run-7/with-a-longer-name",
        22,
        "tool.invoked",
        r#"{"tool": "Read", "args": {"file_path": "app.log"}}"#,
    );
    shell.ok(&["fork", "run-7@8", "idle"]);
    shell.ok(&["close", "run-7/retry", "-q"]);
    shell.ok(&["adopt", "run-7/retry", "-q"]);
    shell
}

fn wide(shell: &Shell, columns: &str, args: &[&str]) -> String {
    let mut command = shell.command(&[&["-o", "table"], args].concat());
    let said = Said::of(command.env("COLUMNS", columns).output().unwrap());
    assert_eq!((said.exit, said.err.as_str()), (0, ""), "{args:?}");
    said.out
}

#[test]
fn what_people_see_of_branches_at_three_widths() {
    let shell = with_branches();
    for columns in ["60", "100", "200"] {
        let name = format!("log_graph_{columns}");
        insta::assert_snapshot!(name, wide(&shell, columns, &["log", "run-7", "--graph"]));
    }
    insta::assert_snapshot!(
        "log_ascii",
        wide(&shell, "100", &["log", "run-7", "--graph", "--ascii", "--all"])
    );
    insta::assert_snapshot!("log", wide(&shell, "100", &["log", "run-7"]));
    let mut command = shell.command(&["log", "run-7", "--graph", "-o", "table"]);
    let plain = Said::of(command.env("LANG", "C").output().unwrap()).out;
    assert!(plain.contains("|/") && !plain.contains('│'), "{plain}");
    assert!(shell.ok(&["log", "run-7", "--graph", "-o", "table", "--color", "always"]).contains("[38;5;"));
}

#[test]
fn programs_get_every_event_with_its_parent() {
    let shell = with_branches();
    let rows: Vec<_> = shell.ok(&["log", "run-7", "-o", "jsonl"]).lines().map(json).collect();
    assert_eq!(rows.len(), 13);
    let row = |event: &str| rows.iter().find(|row| row["event"] == event).unwrap().clone();
    assert_eq!(row("run-7/main@1")["parent"], serde_json::Value::Null);
    assert_eq!(row("run-7/retry@9")["parent"], "run-7/main@8");
    assert_eq!(row("run-7/with-a-longer-name@10")["parent"], "run-7/retry@9");
    assert_eq!(row("run-7/main@8")["tips"], serde_json::json!(["idle"]));
    assert_eq!(row("run-7/retry@10")["tips"], serde_json::json!(["retry"]));
    assert_eq!(
        (&row("run-7/main@9")["summary"], &row("run-7/main@9")["branch"]),
        (&"and now the tests".into(), &"main".into())
    );
    let list = json(&shell.ok(&["log", "run-7", "--graph", "-o", "json"]));
    assert_eq!(list.as_array().unwrap(), &rows);
}

#[test]
fn pages_and_copies_are_told() {
    let shell = with_branches();
    let first = shell.run(&["log", "run-7", "--all", "-n", "3", "-o", "table"]);
    assert_eq!(first.out.lines().count(), 3);
    assert!(first.err.contains("`--after run-7/retry@10` shows the next ones"), "{}", first.err);
    let next = shell.ok(&["log", "run-7", "-n", "1", "--after", "run-7/retry@10", "-o", "jsonl"]);
    assert_eq!(json(&next)["event"], "run-7/with-a-longer-name@10");
    // The inherited event is that of main.
    let rest = shell.ok(&["log", "run-7", "--after", "run-7/retry@3", "-o", "jsonl"]);
    assert_eq!(rest.lines().count(), 2);
    shell.ok(&["fork", "run-7", "better"]);
    shell.ok(&["append", "run-7/better", "run.completed"]);
    shell.ok(&["promote", "run-7/better"]);
    let copy = shell.ok(&["log", "run-7", "-n", "1", "-o", "jsonl"]);
    assert_eq!(json(&copy)["promoted_from"], "run-7/better@11");
    assert!(shell.ok(&["log", "run-7", "-o", "table"]).contains("(promoted from run-7/better@11)"));
}

#[test]
fn what_log_cannot_do_is_said() {
    let shell = with_branches();
    assert!(shell.fails(4, &["log", "run-8"]).contains("there is no session run-8"));
    shell.fails(7, &["log", "run-7/retry"]);
    shell.fails(2, &["log", "run-7", "--ascii"]);
    assert!(shell.fails(4, &["log", "run-7", "--after", "run-7@99"]).contains("run-7/main@99"));
    assert!(shell.fails(4, &["log", "run-7", "--after", "run-7/none@1"]).contains("run-7/none@1"));
    assert!(shell.fails(2, &["log", "run-7", "--after", "other@1"]).contains("is not an event of run-7"));
    assert_eq!(shell.ok(&["log", "run-7", "-n", "0", "-o", "jsonl"]), "");
    shell.ok(&["append", "bare", "a.b"]);
    shell.ok(&["fork", "bare@0", "empty"]);
    assert!(shell.ok(&["log", "bare", "--graph", "-o", "table"]).contains("(empty) no events"));
}
