//! Short names: sessions, branches and events by the beginning of their name, and names that were meant.

use crate::shell::{Shell, json};

/// Three sessions that begin alike, one of them with the shortest name, and one with branches.
fn shell() -> Shell {
    let shell = Shell::new();
    for name in ["run-7", "run-7f3a", "run-7f9b", "nightly-build"] {
        shell.ok(&["-q", "append", name, "run.started", "--data", &format!("{{\"of\": \"{name}\"}}")]);
    }
    shell.ok(&["fork", "nightly-build", "retry"]);
    shell.ok(&["fork", "nightly-build", "return"]);
    shell.ok(&["append", "nightly-build/retry", "run.failed"]);
    shell
}

#[test]
fn a_session_is_read_by_the_beginning_of_its_name_if_only_one_begins_so() {
    let shell = shell();
    let read = shell.run(&["read", "run-7f3"]);
    assert_eq!((read.exit, read.err.as_str()), (0, "run-7f3 is short for run-7f3a\n"));
    assert!(read.out.contains("\"of\": \"run-7f3a\""), "{}", read.out);
    // Quiet, and exact although others begin so.
    assert!(shell.ok(&["-q", "read", "n@1"]).contains("nightly-build"));
    assert!(shell.ok(&["read", "run-7"]).contains("\"of\": \"run-7\""));
    let err = shell.fails(4, &["read", "run-7f"]);
    assert_eq!(
        err,
        "error: session run-7f is ambiguous: it could be run-7f3a, run-7f9b\nhint: give more of the name\n"
    );
    for n in 0..6 {
        shell.ok(&["append", &format!("x-{n}"), "a.b"]);
    }
    let err = shell.fails(4, &["describe", "x-"]);
    assert!(err.contains("could be x-0, x-1, x-2, x-3, x-4 or another\n"), "{err}");
}

#[test]
fn every_verb_that_reads_or_goes_on_from_something_takes_short_names() {
    let shell = shell();
    for args in [
        &["describe", "nigh"][..],
        &["state", "counts", "nigh@1"],
        &["state-diff", "counts", "nigh", "nigh/retr"],
        &["timeline", "nigh/retr"],
        &["branches", "nigh"],
        &["stats", "nigh"],
        &["diff", "nigh", "mai", "retr"],
        &["alerts", "nigh"],
        &["tail", "nigh", "--no-follow"],
        &["tail", "nigh/retr", "--no-follow"],
        &["fork", "nigh/retr", "again"],
    ] {
        let said = shell.run(args);
        assert_eq!(said.exit, 0, "{args:?}: {}", said.err);
        assert!(said.err.contains(" is short for nightly-build"), "{args:?}: {}", said.err);
    }
    // What changes something that exists, or writes a file for others, takes the name as it is.
    for args in [
        &["adopt", "nightly-build/retu"][..],
        &["promote", "nightly-build/retr"],
        &["export", "nightly", "--to", "retold"],
        &["export", "nightly-build/retr", "--to", "retold"],
    ] {
        assert!(shell.fails(4, args).contains("no "), "{args:?}");
    }
    let parents = shell.ok(&["branches", "nightly-build", "-o", "json"]);
    let again = json(&parents).as_array().unwrap().iter().find(|b| b["branch"] == "again").unwrap().clone();
    assert_eq!(again["parent"], "retry");
    let err = shell.fails(4, &["read", "nigh/ret"]);
    assert!(
        err.contains("branch nightly-build/ret is ambiguous: it could be nightly-build/retry, nightly"),
        "{err}"
    );
}

#[test]
fn an_event_is_found_by_the_beginning_of_its_id() {
    let shell = Shell::new();
    let ids = [
        "0199f3c2-5d01-7000-8000-000000000001",
        "0199f3c2-5d02-7000-8000-000000000002",
        "77777777-5d02-7000-8000-000000000003",
    ];
    for id in ids {
        shell.ok(&["append", "s", "a.b", "--id", id]);
    }
    let get = |id: &str| json(&shell.ok(&["get", id]))["id"].as_str().unwrap().to_owned();
    assert_eq!(get("77777777"), ids[2]);
    assert_eq!(get("0199f3c2-5d02"), ids[1]);
    assert_eq!(get("0199F3C25D01"), ids[0]);
    let err = shell.fails(4, &["get", "0199f3c2"]);
    assert!(
        err.contains(&format!("event 0199f3c2 is ambiguous: it could be {}, {}\n", ids[0], ids[1])),
        "{err}"
    );
    assert!(err.contains("give more digits"), "{err}");
    assert!(shell.fails(4, &["get", "0199f3c3"]).contains("there is no event 0199f3c3"));
    for (bad, why) in [("0199f3c", "8 digits"), ("run-7-and-more", "not the beginning of a UUID")] {
        let err = shell.fails(7, &["get", bad]);
        assert!(err.contains(why), "{err}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_answered_with_similar_ones() {
    let shell = shell();
    for (args, hint) in [
        (&["read", "nihgtly-build"][..], "hint: did you mean nightly-build?"),
        (&["read", "run-8"], "hint: did you mean run-7?"),
        (&["read", "nightly-build/retyr"], "hint: did you mean nightly-build/retry?"),
        (&["read", "elsewhere"], "hint: `retold sessions` lists the sessions"),
    ] {
        let err = shell.fails(4, args);
        assert!(err.contains(hint), "{args:?}: {err}");
    }
}

#[test]
fn what_destroys_something_takes_full_names_only_and_says_which_may_be_meant() {
    let shell = shell();
    for args in [
        &["close", "nightly-bui"][..],
        &["truncate", "nightly-bui", "--before", "2"],
        &["truncate", "nightly-bui", "--before", "2", "--dry-run"],
        &["expire", "nightly-bui", "--at", "12h"],
        &["delete", "nightly-bui", "--session"],
        &["delete", "nightly-bui", "--session", "--dry-run"],
        &["delete", "nightly-bui/main"],
    ] {
        let err = shell.fails(4, args);
        assert!(err.contains("did you mean nightly-build?"), "{args:?}: {err}");
    }
    for args in [&["delete", "nightly-build/retr"][..], &["close", "nightly-build/retr"]] {
        let err = shell.fails(4, args);
        assert!(err.contains("did you mean nightly-build/retry?"), "{args:?}: {err}");
    }
    // What is deleted keeps its name, and is not taken for another.
    shell.ok(&["delete", "run-7/main"]);
    let said = shell.run(&["read", "run-7"]);
    assert!(said.exit != 0 && !said.out.contains("run-7f"), "{}", said.out);
}

#[test]
fn an_append_under_a_name_with_a_slip_warns_and_is_recorded() {
    let shell = shell();
    let said = shell.run(&["append", "nightly-biuld", "a.b"]);
    assert_eq!(said.exit, 0);
    assert_eq!(
        said.err,
        "warning: nightly-biuld is a new session; did you mean nightly-build, which differs in one letter?\n"
    );
    assert_eq!(shell.head("nightly-biuld"), 1);
    // Only when it begins, not for numbers, and not when nobody wants to hear it.
    shell.ok(&["append", "nightly-biuld", "a.b"]);
    shell.ok(&["append", "run-8", "a.b"]);
    shell.ok(&["-q", "append", "nightly-buld", "a.b"]);
}

#[test]
fn a_tail_waits_for_exactly_the_session_that_was_named() {
    let shell = shell();
    let mut tail = shell.command(&["tail", "nightly-bui", "--count", "1"]);
    tail.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = tail.spawn().unwrap();
    // It may begin after this event or before it: it prints it either way.
    shell.ok(&["-q", "append", "nightly-bui", "a.b"]);
    let said = crate::shell::Said::of(child.wait_with_output().unwrap());
    assert_eq!(said.exit, 0, "{}", said.err);
    assert!(said.out.contains("a.b") && !said.out.contains("run.started"), "{}", said.out);
}
