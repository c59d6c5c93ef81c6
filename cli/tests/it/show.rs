//! What was said in a session, as people read it.

use crate::shell::{Shell, json};

/// A transcript of Claude Code: a prompt, a thought, a call, its result, an answer, and a call that failed.
const TRANSCRIPT: [&str; 8] = [
    r#"{"type":"user","sessionId":"fix","uuid":"u1","parentUuid":null,"timestamp":"2026-02-03T04:05:01Z","message":{"role":"user","content":"Login fails for names\nwith an umlaut."}}"#,
    r#"{"type":"assistant","sessionId":"fix","uuid":"u2","parentUuid":"u1","timestamp":"2026-02-03T04:05:02Z","message":{"id":"m1","model":"large-2","role":"assistant","content":[{"type":"thinking","thinking":"It may be normalize()."}],"usage":{"input_tokens":12,"output_tokens":34,"cache_read_input_tokens":5600}}}"#,
    r#"{"type":"assistant","sessionId":"fix","uuid":"u3","parentUuid":"u2","timestamp":"2026-02-03T04:05:03Z","message":{"id":"m1","model":"large-2","role":"assistant","content":[{"type":"text","text":"I look for it."}],"usage":{"input_tokens":12,"output_tokens":34,"cache_read_input_tokens":5600}}}"#,
    r#"{"type":"assistant","sessionId":"fix","uuid":"u4","parentUuid":"u3","timestamp":"2026-02-03T04:05:04Z","message":{"id":"m1","model":"large-2","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Grep","input":{"pattern":"normalize","path":"src/"}}]}}"#,
    r#"{"type":"user","sessionId":"fix","uuid":"u5","parentUuid":"u4","timestamp":"2026-02-03T04:05:05Z","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"src/login.rs:7\nsrc/user.rs:9\nsrc/name.rs:3"}]}}"#,
    r#"{"type":"assistant","sessionId":"fix","uuid":"u6","parentUuid":"u5","timestamp":"2026-02-03T04:05:06Z","message":{"id":"m2","model":"large-2","role":"assistant","content":[{"type":"tool_use","id":"t2","name":"Bash","input":{"command":"cargo test login","description":"Run the tests"}}]}}"#,
    r#"{"type":"user","sessionId":"fix","uuid":"u7","parentUuid":"u6","timestamp":"2026-02-03T04:05:07Z","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","is_error":true,"content":"error: 4 tests failed"}]}}"#,
    r#"{"type":"assistant","sessionId":"fix","uuid":"u8","parentUuid":"u7","timestamp":"2026-02-03T04:05:08Z","message":{"id":"m3","model":"large-2","role":"assistant","content":[{"type":"text","text":"The cause is `normalize()`:\n\n- it is called twice\n- and the second call drops the umlaut, which nobody had noticed because no test has a name with one."}]}}"#,
];

fn imported() -> Shell {
    let shell = Shell::new();
    std::fs::write(shell.path("fix.jsonl"), TRANSCRIPT.map(|line| format!("{line}\n")).concat()).unwrap();
    let said = shell.run(&["import", "fix.jsonl"]);
    assert_eq!(said.exit, 0, "{}", said.err);
    shell
}

#[test]
fn a_transcript_is_shown_as_people_talk() {
    let shell = imported();
    insta::assert_snapshot!("show", shell.ok(&["-o", "table", "show", "fix"]));
    insta::assert_snapshot!("show_full", shell.ok(&["-o", "table", "show", "fix", "--full"]));
    insta::assert_snapshot!("read_transcript", shell.ok(&["-o", "table", "read", "fix"]));
    let only = shell.ok(&["-o", "table", "show", "fix", "--speaker", "user"]);
    assert!(
        only.contains("with an umlaut.") && !only.contains("Grep") && !only.contains("assistant"),
        "{only}"
    );
    let tools = shell.ok(&["-o", "table", "show", "fix@5", "--speaker", "tool"]);
    assert!(tools.contains("Grep normalize src/") && !tools.contains("Bash"), "{tools}");
    let late = shell.ok(&["-o", "table", "show", "fix", "--from", "8"]);
    assert!(late.contains("The cause is") && !late.contains("Login fails"), "{late}");
}

#[test]
fn programs_get_the_text_the_tool_and_the_tokens() {
    let shell = imported();
    let lines: Vec<serde_json::Value> = shell.ok(&["show", "fix", "-o", "jsonl"]).lines().map(json).collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[0]["event"], "fix/main@1");
    assert_eq!(
        (&lines[0]["speaker"], &lines[0]["parts"][0]["text"]),
        (&"user".into(), &"Login fails for names\nwith an umlaut.".into())
    );
    assert_eq!((&lines[1]["model"], &lines[1]["cache_read_tokens"]), (&"large-2".into(), &5600.0.into()));
    assert_eq!(
        (&lines[3]["parts"][0]["tool"], &lines[3]["parts"][0]["call"]),
        (&"Grep".into(), &"t1".into())
    );
    assert_eq!(lines[6]["parts"][0]["error"], true);
    assert_eq!(json(&shell.ok(&["show", "fix", "-o", "json"])).as_array().unwrap().len(), 8);
}

#[test]
fn what_has_no_messages_says_so_and_how_to_see_the_rest() {
    let shell = Shell::with_a_session();
    let said = shell.run(&["-o", "table", "show", "s"]);
    assert_eq!((said.exit, said.out.as_str()), (0, ""));
    assert!(said.err.contains("--events"), "{}", said.err);
    let events = shell.ok(&["-o", "table", "show", "s/b", "--events"]);
    assert!(events.contains("step.done n 1") && events.contains("step.failed"), "{events}");
    assert!(shell.fails(4, &["show", "nobody"]).contains("nobody"));
    assert!(shell.fails(4, &["show", "s/c"]).contains("s/c"));
    assert!(shell.fails(2, &["show", "s", "--speaker", "cat"]).contains("cat"));
}

#[test]
fn an_event_is_found_by_its_address() {
    let shell = Shell::with_a_session();
    assert_eq!(json(&shell.ok(&["get", "s@2"]))["data"]["n"], 2);
    assert_eq!(json(&shell.ok(&["get", "s/b@1"]))["data"]["n"], 1);
    assert_eq!(json(&shell.ok(&["get", "s/b@3", "--raw"]))["type"], "step.failed");
    assert!(shell.fails(4, &["get", "s@9"]).contains("s/main@9"));
    assert!(shell.fails(4, &["get", "t@1"]).contains("no session t"));
    assert!(shell.fails(7, &["get", "s"]).contains("id"));
    shell.ok(&["adopt", "s/b"]);
    assert_eq!(json(&shell.ok(&["-q", "get", "s@3"]))["type"], "step.failed");
}

#[test]
fn events_are_printed_with_a_template() {
    let shell = imported();
    let lines = shell.ok(&["read", "fix", "--format", "{address} {speaker}: {summary}"]);
    assert!(lines.starts_with("fix/main@1 user: Login fails for names with an umlaut.\n"), "{lines}");
    assert_eq!(lines.lines().nth(3), Some("fix/main@4 tool_call: Grep normalize src/"));
    let tail = shell.run(&["tail", "fix", "--no-follow", "--format", "{sequence}\\t{/message/id}"]);
    assert!(tail.out.starts_with("1\t\n2\tm1\n"), "{}", tail.out);
    assert!(shell.fails(2, &["read", "fix", "--format", "{adress}"]).contains("`adress` is not a field"));
    assert!(shell.fails(2, &["read", "fix", "--format", "{id}", "-o", "json"]).contains("--output"));
}

#[test]
fn nothing_that_is_said_reaches_the_terminal_unescaped() {
    let shell = Shell::new();
    let data = r#"{"text": "\u001b[31mred\u001b[0m \u202e\tx\r\ny"}"#;
    shell.ok(&["append", "s", "message.user", "--data", data]);
    shell.ok(&[
        "append",
        "s",
        "tool.invoked",
        "--data",
        r#"{"tool": "\u001b]0;t\u0007", "args": {"command": "a\u001bb"}}"#,
    ]);
    for args in [&["show", "s"][..], &["show", "s", "--full"], &["read", "s"], &["get", "s@1"]] {
        let shown = shell.ok(&[&["-o", "table"][..], args].concat());
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{args:?}: {shown:?}");
    }
}

#[test]
fn sessions_have_titles_and_stand_where_they_were_left() {
    let shell = imported();
    let listed = json(shell.ok(&["ls", "-o", "jsonl"]).trim());
    assert_eq!(
        (&listed["title"], &listed["status"]),
        (&"Login fails for names with an umlaut.".into(), &"completed".into())
    );
    std::fs::write(
        shell.path("left.jsonl"),
        TRANSCRIPT[..4]
            .iter()
            .map(|line| format!("{}\n", line.replace("\"fix\"", "\"left\"")))
            .collect::<String>(),
    )
    .unwrap();
    assert_eq!(shell.run(&["import", "left.jsonl"]).exit, 0);
    let listed = shell.ok(&["ls", "-o", "jsonl"]);
    let left = listed.lines().map(json).find(|s| s["session"] == "left").unwrap();
    assert_eq!(left["status"], "abandoned");
}
