//! States through the real program: read, compared, listed and rebuilt.

use crate::shell::{Shell, json, steady};

fn table(shell: &Shell, args: &[&str]) -> String {
    let mut all = vec!["-o", "table"];
    all.extend(args);
    steady(&shell.ok(&all), &shell.path(""))
}

#[test]
fn what_people_see_of_states() {
    let shell = Shell::with_a_session();
    for (name, args) in [
        ("state", &["state", "counts", "s/b"][..]),
        ("state_history", &["state", "counts", "s/b", "--history"]),
        ("state_diff", &["state-diff", "counts", "s@1", "s/b"]),
        ("state_diff_none", &["state-diff", "counts", "s@2", "s/b@2"]),
    ] {
        insta::assert_snapshot!(name, table(&shell, args));
    }
}

#[test]
fn a_state_is_printed_at_any_sequence_and_time() {
    let shell = Shell::with_a_session();
    let state = |args: &[&str]| json(&shell.ok(&[&["state", "counts", "-o", "json"], args].concat()));
    let now = state(&["s"]);
    assert_eq!(now["state"], serde_json::json!({"events": 3, "types": {"step.done": 3}}));
    assert_eq!((&now["projection"], &now["of"], &now["at"]), (&"counts".into(), &"s/main".into(), &3.into()));
    assert_eq!(state(&["s@1"])["state"]["events"], 1);
    assert_eq!(state(&["s@0"])["state"]["events"], 0);
    assert_eq!(state(&["s/b", "--at", "2999-01-01T00:00:00Z"])["state"]["types"]["step.failed"], 1);
    // What happened in February and was recorded now.
    let at = |of: &str, second: u8| state(&[of, "--at", &format!("2026-02-03T04:05:{second:02}Z")]);
    assert_eq!((&at("s", 2)["at"], &at("s", 2)["state"]["events"]), (&2.into(), &2.into()));
    assert_eq!((&at("s/b", 6)["at"], &at("s/b", 7)["at"]), (&2.into(), &3.into()));
    assert_eq!(at("s@1", 3)["at"], 1);
    shell.fails(4, &["state", "counts", "s", "--recorded", "--at", "2026-02-03T04:05:02Z"]);
    let history = shell.ok(&["state", "counts", "s/b", "--history", "-o", "jsonl"]);
    let history: Vec<_> = history.lines().map(json).collect();
    assert_eq!(history.len(), 3);
    assert_eq!((&history[2]["type"], &history[2]["branch"]), (&"step.failed".into(), &"b".into()));
    assert_eq!(history[1]["state"]["events"], 2);
    let patch = json(&shell.ok(&["state-diff", "counts", "s@1", "s@3", "-o", "json"]));
    assert_eq!(patch.as_array().unwrap().len(), 2);
    assert!(patch.as_array().unwrap().iter().all(|step| step["op"] == "replace"));
}

#[test]
fn projections_are_listed_and_rebuilt() {
    let shell = Shell::with_a_session();
    let listed = || {
        let all = json(&shell.ok(&["projections", "-o", "json"]));
        all.as_array().unwrap().iter().find(|p| p["name"] == "counts").unwrap().clone()
    };
    let before = listed();
    assert_eq!((&before["version"], &before["lag"]), (&serde_json::Value::Null, &4.into()));
    let rebuilt = json(&shell.ok(&["rebuild", "counts", "-o", "jsonl"]));
    assert_eq!(
        (&rebuilt["projection"], &rebuilt["events"], &rebuilt["parked"]),
        (&"counts".into(), &4.into(), &0.into())
    );
    let after = listed();
    assert_eq!((&after["version"], &after["lag"], &after["scope"]), (&1.into(), &0.into(), &"branch".into()));
    assert!(shell.ok(&["rebuild", "--all", "-o", "table"]).contains("counts: 4 events in "));
    assert!(table(&shell, &["projections"]).contains("counts"));
    assert!(shell.ok(&["verify", "-o", "table"]).starts_with("clean"));
}

#[test]
fn what_cannot_be_answered_is_told_with_its_exit_code() {
    let shell = Shell::with_a_session();
    for verb in
        [&["state", "nothing", "s"][..], &["rebuild", "nothing"], &["state-diff", "nothing", "s", "s"]]
    {
        let said = shell.fails(4, verb);
        assert!(
            said.contains("there is no projection nothing") && said.contains("retold projections"),
            "{said}"
        );
    }
    let said = shell.fails(4, &["state", "counts", "s", "--at", "2001-01-01T00:00:00Z"]);
    assert!(said.contains("no event of s/main that happened at or before 2001-01-01T00:00:00"), "{said}");
    let said = shell.fails(4, &["state", "counts", "s", "--at", "2001-01-01T00:00:00Z", "--recorded"]);
    assert!(said.contains("recorded at or before 2001-01-01T00:00:00"), "{said}");
    let said = shell.fails(4, &["state", "counts", "s@9"]);
    assert!(said.contains("the branch ends at 3"), "{said}");
    assert!(shell.fails(4, &["state", "counts", "nobody"]).contains("there is no session nobody"));
    shell.fails(7, &["state", "counts", "s@x"]);
    shell.fails(7, &["state", "counts", "s", "--at", "yesterday"]);
    shell.fails(2, &["state", "counts", "s", "--at", "2001-01-01T00:00:00Z", "--history"]);
    shell.fails(2, &["rebuild"]);
}

#[test]
fn what_is_parked_is_retried_by_name_and_key() {
    let shell = Shell::new();
    let store = shell.store();
    crate::damaged_chunk::written(&store);
    crate::damaged_chunk::damage(&store, 2);
    let retry = |args: &[&str]| {
        json(&shell.ok(&[&["projections", "--retry", "counts", "-o", "json"], args].concat()))
    };
    assert_eq!(retry(&[])["parked"], 0, "nothing is folded yet");
    shell.ok(&["rebuild", "counts"]);
    assert_eq!(retry(&[]), serde_json::json!({"projection": "counts", "mended": 0, "parked": 1}));
    assert_eq!(retry(&["--key", "s-1"])["parked"], 1);
    let said = shell.fails(4, &["projections", "--retry", "counts", "--key", "s-2"]);
    assert!(said.contains("there is no parked key s-2 of counts"), "{said}");
    assert!(shell.ok(&["projections", "-o", "table"]).contains("counts is parked at s-1/main@"));
    let said = shell.ok(&["projections", "--retry", "counts", "-o", "table"]);
    assert!(said.contains("1 key is still parked"), "{said}");
    let said = shell.ok(&["projections", "--retry", "stats", "-o", "table"]);
    assert!(said.contains("stats is not parked"), "{said}");
    shell.fails(4, &["projections", "--retry", "nothing"]);
    shell.fails(2, &["projections", "--key", "s-1"]);
}

#[test]
fn a_silence_is_raised_once_by_whoever_looks_at_the_clock() {
    let shell = Shell::new();
    let nothing = shell.ok(&["append", "calm", "note.taken"]);
    assert!(!nothing.is_empty());
    assert_eq!(json(&shell.ok(&["alerts", "-o", "json"])), serde_json::json!([]));
    shell.ok(&["append", "run-7", "run.started", "--time", "2026-01-02T03:00:00Z"]);
    let raised = json(&shell.ok(&["alerts", "--check", "-o", "json"]));
    let kinds: Vec<_> = raised.as_array().unwrap().iter().map(|e| (&e["type"], &e["time"])).collect();
    assert_eq!(kinds, [(&"alert.stalled".into(), &"2026-01-02T03:15:00.000000Z".into())]);
    assert_eq!(json(&shell.ok(&["alerts", "--check", "-o", "json"])), serde_json::json!([]));
    assert_eq!(json(&shell.ok(&["alerts", "-o", "json"])), raised);
    assert_eq!(json(&shell.ok(&["alerts", "run-7", "-o", "json"])), raised);
    assert_eq!(json(&shell.ok(&["alerts", "calm", "-o", "json"])), serde_json::json!([]));
    assert_eq!(json(&shell.ok(&["alerts", "--since", "1h", "-o", "json"])), serde_json::json!([]));
    insta::assert_snapshot!("alerts", table(&shell, &["alerts"]));
    shell.fails(2, &["alerts", "--check", "run-7"]);
}

#[test]
fn the_program_raises_alerts_only_where_they_are_asked_for() {
    let shell = Shell::new();
    let warning = |n: &str| {
        shell.ok(&["append", "s", "budget.warning", "--data", "{}", "--meta", n]);
    };
    let raised = || shell.ok(&["read", "s", "--type", "alert.*"]).lines().count();
    warning("n=1");
    shell.ok(&["rebuild", "--all", "-q"]);
    assert_eq!(raised(), 0, "nobody has asked for them");
    let folded = json(&shell.ok(&["state", "alerts", "s", "-o", "json"]));
    assert_eq!(folded["state"]["raised"]["budget_warning"], 1, "what they would be can be asked");
    shell.ok(&["rebuild", "alerts", "-q"]);
    assert_eq!(raised(), 1);
    warning("n=2");
    shell.ok(&["rebuild", "--all", "-q"]);
    assert_eq!(raised(), 2, "this store has them");
}
