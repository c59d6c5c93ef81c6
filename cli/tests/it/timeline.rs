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

/// A run with two steps, and a sub-agent that a tool started.
fn with_steps() -> Shell {
    let shell = Shell::new();
    for (time, kind, data) in [
        ("00:00", "run.started", r#"{"run_id": "r-1", "goal": "fix the login"}"#),
        ("00:05", "step.started", r#"{"index": 1, "name": "find the cause"}"#),
        (
            "00:10",
            "tool.invoked",
            r#"{"tool": "Grep", "tool_call_id": "c-1", "args": {"pattern": "normalize", "path": "src/"}}"#,
        ),
        ("00:12", "tool.completed", r#"{"tool": "Grep", "tool_call_id": "c-1"}"#),
        (
            "00:14",
            "tool.invoked",
            r#"{"tool": "Task", "tool_call_id": "c-2", "args": {"prompt": "read\n the logs"}}"#,
        ),
        (
            "00:15",
            "tool.invoked",
            r#"{"tool": "Read", "tool_call_id": "c-3", "parent_tool_use_id": "c-2", "args": {"file_path": "app.log"}}"#,
        ),
        ("00:20", "tool.completed", r#"{"tool": "Read", "tool_call_id": "c-3"}"#),
        ("00:25", "tool.completed", r#"{"tool": "Task", "tool_call_id": "c-2"}"#),
        ("00:30", "step.completed", r#"{"index": 1}"#),
        ("00:31", "step.started", r#"{"index": 2, "name": "change the code"}"#),
        (
            "00:40",
            "tool.invoked",
            r#"{"tool": "Bash", "tool_call_id": "c-4", "args": {"command": "cargo test"}}"#,
        ),
        ("00:55", "tool.errored", r#"{"tool": "Bash", "tool_call_id": "c-4", "error": "1 failed"}"#),
        ("01:00", "run.failed", r#"{"run_id": "r-1", "reason": "a test fails"}"#),
    ] {
        let time = format!("2026-02-03T04:{time}Z");
        shell.ok(&["append", "s", kind, "--data", data, "--time", &time]);
    }
    shell
}

#[test]
fn entities_hang_below_their_parents_and_tools_say_what_they_do() {
    let shell = with_steps();
    insta::assert_snapshot!("timeline_tree", shell.ok(&["timeline", "s", "-o", "table", "-q"]));
    let laid = json(&shell.ok(&["timeline", "s", "-o", "json"]));
    let entity =
        |id: &str| laid["entities"].as_array().unwrap().iter().find(|e| e["id"] == id).unwrap().clone();
    assert_eq!(entity("r-1").get("parent"), None);
    assert_eq!(entity("1")["parent"], serde_json::json!({"kind": "run", "id": "r-1"}));
    assert_eq!(entity("c-3")["parent"]["id"], "c-2");
    assert_eq!(
        (&entity("c-3")["detail"], &entity("c-2")["detail"]),
        (&"app.log".into(), &"read the logs".into())
    );
    // What is left out takes nobody's place in the tree.
    let few = shell.ok(&["timeline", "s", "-o", "table", "-q", "--kind", "tool"]);
    assert!(few.lines().any(|line| line.starts_with("Task read the logs")), "{few}");
    assert!(few.lines().any(|line| line.starts_with("\u{2514} Read app.log")), "{few}");
    shell.ok(&["timeline", "s", "--svg", "s.svg", "-q"]);
    let picture = std::fs::read_to_string(shell.path("s.svg")).unwrap();
    assert_eq!(picture.matches("class=\"tree\"").count(), 6, "a line to each parent");
}

#[test]
fn a_part_of_a_timeline_is_named_by_times_spans_or_sequences() {
    let shell = with_steps();
    let ids = |args: &[&str]| {
        let laid = json(&shell.ok(&[&["timeline", "s", "-o", "json"], args].concat()));
        let id = |e: &serde_json::Value| e["id"].as_str().unwrap().to_owned();
        laid["entities"].as_array().unwrap().iter().map(id).collect::<Vec<_>>()
    };
    let late = ["r-1", "2", "c-4"];
    assert_eq!(ids(&["--from", "+31s"]), late);
    assert_eq!(ids(&["--from", "10"]), late);
    assert_eq!(ids(&["--from", "2026-02-03T04:00:31Z"]), late);
    assert_eq!(ids(&["--from", "10", "--to", "+35s"]), ["r-1", "2"]);
    assert_eq!(ids(&["--to", "4"]), ["r-1", "1", "c-1"]);
    let part = shell.ok(&["timeline", "s", "--from", "+31s", "-o", "table", "-q"]);
    assert!(part.contains("29s from 2026-02-03T04:00:31Z") && !part.contains("Grep"), "{part}");
    let after = shell.run(&["timeline", "s", "--from", "2027-01-01T00:00:00Z", "-o", "table"]);
    assert!(after.exit == 0 && after.err.contains("nothing of s happened between"), "{}", after.err);
    assert!(shell.fails(7, &["timeline", "s", "--from", "99"]).contains("no event with this sequence"));
    assert!(shell.fails(7, &["timeline", "s", "--from", "+9s", "--to", "+1s"]).contains("after the end"));
    assert!(shell.fails(2, &["timeline", "s", "--from", "later"]).contains("such as +90s"));
}

#[test]
fn a_deep_tree_leaves_room_for_names_on_a_narrow_terminal() {
    let shell = Shell::new();
    let lines: String = (0..30)
        .map(|n| {
            let parent =
                if n > 0 { format!(",\"parent_tool_use_id\":\"c-{}\"", n - 1) } else { String::new() };
            let data = format!("{{\"tool\":\"T{n:02}\",\"tool_call_id\":\"c-{n}\"{parent}}}");
            format!("{{\"session\":\"s\",\"type\":\"tool.invoked\",\"data\":{data}}}\n")
        })
        .collect();
    assert_eq!(shell.run_with(&["append", "--ndjson", "-"], &lines).exit, 0);
    for columns in ["60", "100"] {
        let mut command = shell.command(&["timeline", "s", "-o", "table", "-q"]);
        let drawn = crate::shell::Said::of(command.env("COLUMNS", columns).output().unwrap()).out;
        for n in 0..30 {
            let name = format!("T{n:02}");
            assert!(drawn.lines().any(|line| line.contains(&name)), "{name} at {columns}:\n{drawn}");
        }
        let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns.parse::<usize>().unwrap().max(60), "{columns}:\n{drawn}");
    }
    // Without a terminal, and with room for it, the tree is whole.
    assert!(shell.ok(&["timeline", "s", "-o", "table", "-q"]).contains("T29"));
}
