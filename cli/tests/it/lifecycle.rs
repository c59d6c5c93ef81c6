//! What becomes of branches: closing, deleting, truncating, and removing what is gone.

use crate::shell::{Shell, json, steady};

#[test]
fn a_closed_branch_takes_nothing_more_and_is_shown_as_closed() {
    let shell = Shell::with_a_session();
    let told = steady(&shell.ok(&["close", "s/b", "-o", "table"]), &shell.path(""));
    assert_eq!(told, "s/b was closed after @3 at 0000-00-00T00:00:00Z\n");
    let refused = shell.fails(3, &["append", "s/b", "a.b"]);
    assert!(refused.contains("s/b was closed at") && refused.contains("nothing was written"), "{refused}");
    assert!(refused.contains("`retold fork s/b NAME`"), "{refused}");
    let branches = shell.ok(&["branches", "s", "-o", "table"]);
    assert!(branches.contains("b (closed)"), "{branches}");
    // Again is no error, and says when it was.
    let first = json(&shell.ok(&["close", "s/b", "-o", "json"]));
    assert_eq!(first, json(&shell.ok(&["close", "s/b", "-o", "json"])));
    assert!(first["closed"].is_string() && first["head"] == 3, "{first}");
    shell.ok(&["fork", "s/b", "more"]);
    shell.ok(&["append", "s/more", "a.b"]);
}

#[test]
fn what_is_not_there_or_no_branch_is_not_closed() {
    let shell = Shell::with_a_session();
    assert!(shell.fails(4, &["close", "t"]).contains("there is no session t"));
    assert!(shell.fails(4, &["close", "s/x"]).contains("there is no branch s/x"));
    assert!(shell.fails(7, &["close", "s@1"]).contains("only a whole branch can be closed"));
}

#[test]
fn tailing_a_branch_ends_when_it_is_closed() {
    let shell = Shell::with_a_session();
    shell.ok(&["close", "s"]);
    let tailed = shell.run(&["tail", "s/main", "--from", "start"]);
    assert_eq!((tailed.exit, tailed.out.lines().count()), (0, shell.head("s")));
}

#[test]
fn a_deleted_branch_is_gone_and_its_forks_are_shown() {
    let shell = Shell::with_a_session();
    assert_eq!(shell.ok(&["delete", "s/main", "-o", "table"]), "s/main was deleted: 1 branch\n");
    let gone = shell.fails(4, &["read", "s/main"]);
    assert!(gone.contains("s was deleted at") || gone.contains("s/main was deleted at"), "{gone}");
    assert!(gone.contains("`retold branches s`"), "{gone}");
    let branches = shell.ok(&["branches", "s", "-o", "table"]);
    assert!(branches.contains("b (parent deleted)") && !branches.contains("main"), "{branches}");
    let described = shell.ok(&["describe", "s/b", "-o", "table"]);
    assert!(described.contains("b (parent deleted)"), "{described}");
    let listed = json(&shell.ok(&["branches", "s", "-o", "json"]));
    assert_eq!((&listed[0]["branch"], &listed[0]["parent_deleted"]), (&"b".into(), &true.into()), "{listed}");
    assert_eq!(shell.head("s/b"), 3);
    assert!(shell.fails(4, &["delete", "s/main"]).contains("was deleted at"));
    let purged = json(&shell.ok(&["purge", "-o", "json"]));
    assert!(purged["events"].is_number() && purged["bytes"].is_number(), "{purged}");
    shell.ok(&["verify"]);
    let deleted = json(&shell.ok(&["delete", "s", "--session", "-o", "json"]));
    assert_eq!((&deleted["deleted"], &deleted["branches"]), (&"s".into(), &1.into()));
    assert!(shell.fails(4, &["branches", "s"]).contains("there is no session s"));
    shell.ok(&["append", "s", "a.b"]);
    assert_eq!(shell.head("s"), 1);
}

#[test]
fn a_session_is_deleted_only_when_it_is_meant() {
    let shell = Shell::with_a_session();
    assert!(shell.fails(2, &["delete", "s"]).contains("--session"));
    assert!(shell.fails(4, &["delete", "t", "--session"]).contains("there is no session t"));
    assert!(shell.fails(7, &["delete", "s/b@1"]).contains("only a whole branch can be deleted"));
    assert_eq!(shell.head("s/b"), 3);
}

#[test]
fn a_truncated_branch_is_read_from_what_is_left() {
    let shell = Shell::with_a_session();
    let told = shell.ok(&["truncate", "s", "--before", "3", "-o", "table"]);
    assert_eq!(told, "s/main begins at @3: 1 event of its own left\n");
    assert_eq!(json(&shell.ok(&["truncate", "s", "--before", "3", "-o", "json"]))["first"], 3);
    assert_eq!((shell.head("s"), shell.head("s/b")), (1, 3));
    let gone = shell.fails(4, &["read", "s", "--from", "2"]);
    assert!(gone.contains("before @3 were removed") && gone.contains("--from 3"), "{gone}");
    assert!(shell.fails(4, &["truncate", "s", "--before", "9"]).contains("the branch ends at 3"));
    assert!(shell.fails(4, &["truncate", "t", "--before", "1"]).contains("there is no session t"));
}

#[test]
fn tail_says_what_was_removed() {
    let shell = Shell::with_a_session();
    shell.ok(&["truncate", "s", "--before", "3"]);
    let tail = |args: &[&str]| shell.run(&[&["tail", "s/main", "--no-follow"], args].concat());
    let lines = tail(&["-o", "jsonl"]);
    let first = lines.out.lines().next().unwrap();
    assert_eq!((json(first), lines.out.lines().count()), (serde_json::json!({ "gap": { "first": 3 } }), 2));
    let list = json(&tail(&["-o", "json"]).out);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["gap"]["first"]), (2, &3.into()));
    for format in ["table", "cloudevents"] {
        let told = tail(&["-o", format]);
        assert!(told.err.contains("events before @3 were removed"), "{}", told.err);
        assert!(!told.out.contains("gap"), "{}", told.out);
    }
    // From what is left on there is nothing to say.
    let rest = tail(&["--from", "3", "-o", "jsonl"]);
    assert_eq!((rest.out.lines().count(), rest.out.contains("gap")), (1, false));
    shell.ok(&["delete", "s/main"]);
    let all = shell.run(&["tail", "--no-follow", "-o", "table"]);
    assert!(all.err.contains("events before position"), "{}", all.err);
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() {
    let shell = Shell::with_a_session();
    let before = shell.ok(&["branches", "s", "-o", "json"]);
    let dry = |args: &[&str]| json(&shell.ok(&[args, &["--dry-run", "-o", "json"]].concat()));
    let main = dry(&["delete", "s/main"]);
    assert_eq!(
        (&main["branches"], &main["events"], &main["inherited"]),
        (&1.into(), &1.into(), &2.into()),
        "{main}"
    );
    assert!(main["bytes"].as_u64().unwrap() > 0, "{main}");
    let all = dry(&["delete", "s", "--session"]);
    assert_eq!(
        (&all["branches"], &all["events"], &all["inherited"]),
        (&2.into(), &4.into(), &0.into()),
        "{all}"
    );
    let begin = dry(&["truncate", "s", "--before", "4"]);
    assert_eq!((&begin["branches"], &begin["events"]), (&0.into(), &1.into()), "{begin}");
    let told = shell.ok(&["delete", "s/main", "--dry-run", "-o", "table"]);
    assert!(told.starts_with("of s/main would be removed: 1 branch, 1 event ("), "{told}");
    assert!(told.ends_with(" bytes), 2 events would stay for forks; nothing was changed\n"), "{told}");
    assert_eq!(shell.ok(&["branches", "s", "-o", "json"]), before);
    // What could not be done is refused here too.
    assert!(shell.fails(4, &["delete", "s/x", "--dry-run"]).contains("there is no branch s/x"));
    assert!(shell.fails(4, &["delete", "t", "--session", "--dry-run"]).contains("there is no session t"));
    assert!(
        shell.fails(4, &["truncate", "s", "--before", "9", "--dry-run"]).contains("the branch ends at 3")
    );
    assert!(shell.fails(7, &["delete", "s/b@1", "--dry-run"]).contains("only a whole branch can be deleted"));
    // It is what a purge removes then.
    shell.ok(&["delete", "s", "--session"]);
    let purged = json(&shell.ok(&["purge", "-o", "json"]));
    assert_eq!((&purged["events"], &purged["bytes"]), (&all["events"], &all["bytes"]), "{purged}");
}

#[test]
fn a_branch_is_told_when_it_expires() {
    let shell = Shell::with_a_session();
    let told = steady(&shell.ok(&["expire", "s/b", "--unused", "30d", "-o", "table"]), &shell.path(""));
    assert_eq!(told, "s/b expires at 0000-00-00T00:00:00Z, unless it is used until then\n");
    let branches = shell.ok(&["branches", "s", "-o", "table"]);
    assert!(branches.contains("b (expires "), "{branches}");
    let described = shell.ok(&["describe", "s", "-o", "table"]);
    assert!(described.contains("b (expires "), "{described}");
    let set = json(&shell.ok(&["expire", "s/b", "--at", "2100-01-01T00:00:00Z", "-o", "json"]));
    assert_eq!(
        (&set["expires"], &set["unused_ms"]),
        (&"2100-01-01T00:00:00.000000Z".into(), &serde_json::Value::Null)
    );
    let set = json(&shell.ok(&["expire", "s/b", "--unused", "90s", "-o", "json"]));
    assert_eq!(set["unused_ms"], 90_000);
    assert_eq!(shell.ok(&["expire", "s/b", "--never", "-o", "table"]), "s/b does not expire\n");
    assert!(!shell.ok(&["branches", "s", "-o", "table"]).contains("expires"));
    let soon = shell.ok(&["expire", "s/b", "--at", "1h", "-o", "table"]);
    assert!(soon.starts_with("s/b expires at ") && !soon.contains("unless"), "{soon}");
}

#[test]
fn an_expiry_that_cannot_be_is_refused() {
    let shell = Shell::with_a_session();
    assert!(shell.fails(4, &["expire", "t", "--unused", "1h"]).contains("there is no session t"));
    assert!(shell.fails(7, &["expire", "s@1", "--never"]).contains("only a whole branch can expire"));
    assert!(shell.fails(7, &["expire", "s", "--at", "2001-01-01T00:00:00Z"]).contains("has passed"));
    assert!(shell.fails(7, &["expire", "s", "--unused", "0"]).contains("longer than nothing"));
    for usage in [
        &["expire", "s"][..],
        &["expire", "s", "--never", "--at", "1h"],
        &["expire", "s", "--unused", "soon"],
        &["expire", "s", "--at", "tomorrow"],
    ] {
        shell.fails(2, usage);
    }
}

#[test]
fn a_policy_says_what_would_go_and_removes_it() {
    let shell = Shell::with_a_session();
    for session in ["nightly-1", "nightly-2", "nightly-3"] {
        shell.ok(&["append", session, "a.b"]);
        shell.ok(&["append", session, "a.c"]);
    }
    let policy = |args: &[&str]| shell.ok(&[&["retain", "--sessions", "nightly-*"], args].concat());
    let dry = json(&policy(&["--max-sessions", "1", "--max-events", "1", "--dry-run", "-o", "json"]));
    let named = |of: &str, key: &str| -> Vec<String> {
        dry[of].as_array().unwrap().iter().map(|it| it[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named("sessions", "session"), ["nightly-1", "nightly-2"]);
    assert_eq!(
        (named("branches", "branch"), &dry["dry_run"]),
        (vec!["nightly-3/main".to_owned()], &true.into())
    );
    let told = policy(&["--max-sessions", "1", "--max-events", "1", "--dry-run", "-o", "table"]);
    assert!(
        told.contains("2 sessions, and 1 event of 1 branch that stay would be removed; nothing was changed"),
        "{told}"
    );
    assert_eq!(shell.ok(&["sessions", "-o", "jsonl"]).lines().count(), 4);
    shell.ok(&["lease", "acquire", "nightly-1", "--holder", "me", "--for", "1h"]);
    let told = policy(&["--max-sessions", "1", "--max-events", "1", "-o", "table"]);
    let end = "deleted: 1 session, and 2 events of 2 branches that stay; kept because in use: 1 session\n";
    assert!(told.contains("nightly-2") && told.contains("sessions") && told.ends_with(end), "{told}");
    assert!(shell.fails(4, &["read", "nightly-2"]).contains("deleted"));
    assert_eq!((shell.head("nightly-1"), shell.head("nightly-3"), shell.head("s/b")), (1, 1, 3));
    let bytes = json(&shell.ok(&["retain", "--max-bytes", "1KiB", "--dry-run", "-o", "json"]));
    assert_eq!(bytes["sessions"], serde_json::json!([]));
    let bytes = json(&shell.ok(&["retain", "--max-bytes", "1B", "--dry-run", "-o", "json"]));
    assert!(bytes["sessions"][0]["bytes"].as_u64().unwrap() > 0, "{bytes}");
    let old = json(&shell.ok(&["retain", "--max-age", "1d", "-o", "json"]));
    assert_eq!((&old["sessions"], &old["dry_run"]), (&serde_json::json!([]), &false.into()));
    for usage in [&["retain"][..], &["retain", "--sessions", "x"], &["retain", "--max-bytes", "much"]] {
        shell.fails(2, usage);
    }
    shell.fails(2, &["retain", "--sessions", "a/b", "--max-sessions", "1"]);
}

#[test]
fn info_says_how_much_of_the_file_is_dead_space() {
    let shell = Shell::with_a_session();
    let info = || json(&shell.ok(&["info", "-o", "json"]));
    let before = info();
    let dead = &before["dead"];
    assert_eq!((&dead["unpurged_bytes"], &dead["partial"]), (&0.into(), &false.into()), "{before}");
    assert!(dead["bytes"].as_u64() <= before["file_bytes"].as_u64(), "{before}");
    assert!(dead["percent"].as_u64() <= Some(100), "{before}");
    shell.ok(&["delete", "s", "--session"]);
    let deleted = info();
    assert!(deleted["dead"]["unpurged_bytes"].as_u64() > Some(0), "{deleted}");
    let table = shell.ok(&["info", "-o", "table"]);
    assert!(table.contains("dead space  about ") && table.contains(" to be purged\n"), "{table}");
    let would = json(&shell.ok(&["purge", "--dry-run", "-o", "json"]));
    assert_eq!(would["would_free"], deleted["dead"]["unpurged_bytes"], "{would}");
    let would = shell.ok(&["purge", "--dry-run", "-o", "table"]);
    assert!(would.starts_with("about ") && would.contains("nothing was changed"), "{would}");
    assert_eq!(info()["dead"]["unpurged_bytes"], deleted["dead"]["unpurged_bytes"]);
    shell.ok(&["purge"]);
    assert_eq!(info()["dead"]["unpurged_bytes"], 0);
    assert_eq!(json(&shell.ok(&["purge", "--dry-run", "-o", "json"]))["would_free"], 0);
    assert!(!shell.ok(&["info", "-o", "table"]).contains("to be purged"));
    shell.ok(&["compact"]);
    assert!(info()["dead"]["percent"].as_u64() <= Some(100));
}
