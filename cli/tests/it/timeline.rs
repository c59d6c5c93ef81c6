//! `retold timeline` through the real program.

use crate::shell::{Shell, json};

/// A run of two minutes: a tool that fails and is tried again, a wait for an approval, something that stays open.
fn with_a_run() -> Shell {
    let shell = Shell::new();
    for (time, kind, data) in [
        ("00:00", "run.started", r#"{"goal": "fix <it> & ship"}"#),
        ("00:10", "tool.invoked", r#"{"tool": "cargo", "tool_call_id": "c-1"}"#),
        ("00:40", "tool.errored", r#"{"tool": "cargo", "tool_call_id": "c-1"}"#),
        ("00:50", "tool.retried", r#"{"tool": "cargo", "tool_call_id": "c-1"}"#),
        ("01:10", "tool.completed", r#"{"tool": "cargo", "tool_call_id": "c-1"}"#),
        ("01:15", "approval.requested", r#"{"approval_id": "a-1"}"#),
        ("01:20", "coder.rate_limited", r#"{"provider": "acme"}"#),
        ("01:55", "approval.granted", r#"{"approval_id": "a-1"}"#),
        ("01:58", "task.started", r#"{"task_id": "t-1"}"#),
        ("02:00", "run.completed", "{}"),
    ] {
        let time = format!("2026-02-03T04:{time}Z");
        shell.ok(&["append", "s", kind, "--data", data, "--time", &time]);
    }
    shell
}

#[test]
fn what_people_see_of_a_timeline() {
    let shell = with_a_run();
    insta::assert_snapshot!("timeline", shell.ok(&["timeline", "s", "-o", "table", "-q"]));
    insta::assert_snapshot!("timeline_at", shell.ok(&["timeline", "s@3", "-o", "table", "-q"]));
    let tools = shell.ok(&["timeline", "s", "-o", "table", "-q", "--kind", "tool"]);
    assert!(tools.contains("tool c-1 cargo") && !tools.contains("approval"), "{tools}");
    let said = shell.run(&["timeline", "s", "-o", "table", "--limit", "1"]);
    assert!(said.out.contains("run") && !said.out.contains("approval"), "{}", said.out);
    assert!(said.err.contains("3 shorter ones not shown"), "{}", said.err);
}

#[test]
fn programs_get_the_phases_and_a_picture_is_a_document() {
    let shell = with_a_run();
    let laid = json(&shell.ok(&["timeline", "s", "-o", "json"]));
    let tool = &laid["entities"][1];
    assert_eq!(
        (&tool["kind"], &tool["id"], &tool["end"]),
        (&"tool".into(), &"c-1".into(), &"completed".into())
    );
    let phases: Vec<&str> =
        tool["spans"].as_array().unwrap().iter().map(|s| s["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["running", "failed", "running", "completed"]);
    assert_eq!(laid["warnings"][0]["type"], "coder.rate_limited");
    assert_eq!(laid["entities"][3].get("end"), None);
    shell.ok(&["timeline", "s", "--svg", "s.svg", "-q"]);
    let picture = std::fs::read_to_string(shell.path("s.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("fix &lt;it&gt; &amp; ship") && !picture.contains("<it>"), "{picture}");
    for (open, close) in [("<text", "</text>"), ("<title>", "</title>"), ("<g ", "</g>")] {
        assert_eq!(picture.matches(open).count(), picture.matches(close).count(), "{open}");
    }
    assert_eq!(picture.matches("url(#wait-2da44e)").count(), 1, "the wait ended well");
}

#[test]
fn a_timeline_of_nothing_is_told_in_words() {
    let shell = with_a_run();
    assert!(shell.fails(4, &["timeline", "none"]).contains("none"));
    assert!(shell.fails(4, &["timeline", "s@99"]).contains("99"));
    shell.fails(7, &["timeline", "s/b/c"]);
    shell.ok(&["fork", "s@0", "empty"]);
    let said = shell.run(&["timeline", "s/empty", "-o", "table"]);
    assert_eq!((said.exit, said.out.as_str(), said.err.trim()), (0, "", "s/empty has no events"));
    assert_eq!(json(&shell.ok(&["timeline", "s/empty", "-o", "json"]))["events"], 0);
    let elsewhere = shell.run(&["timeline", "s", "--svg", "no/such/folder.svg"]);
    assert!(elsewhere.exit != 0 && elsewhere.err.contains("no/such/folder.svg"), "{}", elsewhere.err);
}
