//! Sessions at a glance through the real program: `ls`, `describe` and `stats`.

use crate::shell::{Shell, json};

/// A run that is at work with a fork, one that failed, and one of which no event says where it is.
fn shell() -> Shell {
    let shell = Shell::new();
    let append = |place: &str, kind: &str, second: u8, data: &str| {
        let time = format!("2026-02-03T04:05:{second:02}Z");
        shell.ok(&["append", place, kind, "--data", data, "--time", &time]);
    };
    append("work", "run.started", 0, r#"{"run_id": "r", "goal": "fix the build"}"#);
    append("work", "task.started", 1, r#"{"task_id": "t"}"#);
    append("work", "run.progress", 10, r#"{"run_id": "r", "progress": 40, "stage": "tests"}"#);
    append(
        "work",
        "coder.api_call",
        11,
        r#"{"provider": "acme", "model": "m", "input_tokens": 900, "output_tokens": 100}"#,
    );
    append("work", "task.completed", 12, r#"{"task_id": "t"}"#);
    append("work", "task.blocked", 13, r#"{"task_id": "t"}"#);
    shell.ok(&["fork", "work@2", "retry"]);
    append("work/retry", "coder.api_call", 20, r#"{"provider": "acme", "model": "m", "input_tokens": 50}"#);
    append("lost", "run.started", 0, "{}");
    append("lost", "run.failed", 5, r#"{"error": "the disk is full"}"#);
    append("mute", "note.taken", 0, "{}");
    shell
}

fn names(listed: &str) -> Vec<String> {
    json(listed).as_array().unwrap().iter().map(|s| s["session"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn sessions_are_listed_by_what_they_do() {
    let shell = shell();
    let ls = |args: &[&str]| shell.ok(&[&["ls", "-o", "json"], args].concat());
    // By when things happened: what is recorded last is the oldest here.
    assert_eq!(names(&ls(&[])), ["work", "lost", "mute"]);
    assert_eq!(names(&ls(&["--recorded"])), ["mute", "lost", "work"]);
    assert_eq!(names(&ls(&["--status", "running"])), ["work"]);
    assert_eq!(names(&ls(&["--status", "failed", "--status", "none", "--sort", "name"])), ["lost", "mute"]);
    assert_eq!(names(&ls(&["--sort", "tokens", "--limit", "1"])), ["work"]);
    assert_eq!(names(&ls(&["--sort", "events"]))[0], "work");
    assert_eq!(names(&ls(&["--sort", "age"])), ["lost", "mute", "work"]);
    assert_eq!(names(&ls(&["--sort", "age", "--recorded"])), ["work", "lost", "mute"]);
    assert_eq!(names(&ls(&["--sort", "age", "--recorded", "--reverse"])), ["mute", "lost", "work"]);
    assert!(names(&ls(&["--since", "1h"])).is_empty());
    assert_eq!(names(&ls(&["--since", "1h", "--recorded"])).len(), 3);
    assert_eq!(names(&ls(&["--since", "2026-02-03T04:05:05Z"])), ["work", "lost"]);
    assert!(names(&ls(&["--since", "2999-01-01T00:00:00Z"])).is_empty());
    let work = &json(&ls(&["--status", "running"]))[0];
    assert_eq!(
        (&work["first_occurred"], &work["last_occurred"]),
        (&"2026-02-03T04:05:00.000000Z".into(), &"2026-02-03T04:05:20.000000Z".into())
    );
    // Both branches were paid for; where it is and how far is what main says.
    assert_eq!((&work["tokens"], &work["progress"]), (&1_050.0.into(), &0.4.into()));
    let lost = &json(&ls(&["--status", "failed"]))[0];
    assert_eq!((&lost["why"], &lost["errors"]), (&"the disk is full".into(), &1.0.into()));
}

#[test]
fn sessions_are_listed_page_by_page_in_every_order() {
    let shell = Shell::new();
    let names_of = |n: u8| format!("s-{n:02}");
    for n in 0..12u8 {
        // Later names happened earlier.
        let time = format!("2026-02-03T04:05:{:02}Z", 50 - n);
        let source = if n % 3 == 0 { "fizz" } else { "other" };
        shell.ok(&["append", &names_of(n), "a.b", "--time", &time, "--source", source]);
    }
    let all: Vec<String> = (0..12).map(names_of).collect();
    let pages = |verb: &[&str], size: &str| {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let after = seen.last().cloned();
            let mut args = [verb, &["--limit", size, "-o", "json"]].concat();
            if let Some(after) = &after {
                args.extend(["--after", after]);
            }
            match names(&shell.ok(&args)) {
                page if page.is_empty() => return seen,
                page => seen.extend(page),
            }
        }
    };
    for size in ["1", "5", "12", "13"] {
        assert_eq!(pages(&["sessions"], size), all);
        for args in [
            &["ls"][..],
            &["ls", "--sort", "name"],
            &["ls", "--sort", "tokens"],
            &["ls", "--recorded", "--reverse"],
        ] {
            assert_eq!(pages(args, size), all, "{args:?} {size}");
        }
    }
    assert_eq!(pages(&["ls", "--source", "fizz"], "3"), ["s-00", "s-03", "s-06", "s-09"]);
    // The place to go on from need not match, or exist where names are listed.
    assert_eq!(
        names(&shell.ok(&["ls", "--source", "fizz", "--after", "s-04", "-o", "json"])),
        ["s-06", "s-09"]
    );
    assert_eq!(names(&shell.ok(&["sessions", "--after", "s-09zzz", "-o", "json"])), ["s-10", "s-11"]);
    assert!(shell.fails(4, &["ls", "--after", "nobody"]).contains("there is no session nobody"));

    let told = shell.run(&["ls", "--limit", "5", "-o", "table"]);
    assert!(told.err.contains("7 more; `--after s-04` shows the next ones"), "{}", told.err);
    let told = shell.run(&["sessions", "--limit", "5", "-o", "table"]);
    assert!(told.err.contains("there are more; `--after s-04` shows"), "{}", told.err);
    assert_eq!(told.out.lines().count(), 6);
    for verb in ["ls", "sessions"] {
        assert!(shell.ok(&["-q", verb, "--limit", "5", "-o", "table"]).contains("s-04"));
        assert_eq!(shell.ok(&[verb, "-o", "table"]).lines().count(), 13);
    }
}

#[test]
fn a_source_is_found_however_many_there_are() {
    let shell = Shell::new();
    let lines: String = (0..300)
        .map(|n| format!("{{\"session\":\"many\",\"type\":\"a.b\",\"source\":\"source-{n}\"}}\n"))
        .chain(["{\"session\":\"few\",\"type\":\"a.b\",\"source\":\"one\"}\n".to_owned()])
        .collect();
    assert_eq!(shell.run_with(&["append", "--ndjson", "-"], &lines).exit, 0);
    for (source, due) in [
        ("source-0", &["many"][..]),
        ("source-299", &["many"]),
        ("source-300", &[]),
        ("(others)", &[]),
        ("one", &["few"]),
    ] {
        assert_eq!(names(&shell.ok(&["ls", "--source", source, "-o", "json"])), due, "{source}");
    }
}

#[test]
fn people_see_a_session_on_one_screen() {
    let shell = shell();
    let screen = shell.ok(&["describe", "work", "-o", "table"]);
    for part in [
        "work/main@6",
        "running",
        "40%",
        "tests",
        "run r",
        "overdue",
        "m 900",
        "all branches together: 1,050 tokens",
        "it had already ended as completed and was not restarted",
        "└─ retry",
        "task.blocked",
    ] {
        assert!(screen.contains(part), "{part} is not in\n{screen}");
    }
    let list = shell.ok(&["ls", "-o", "table"]);
    for part in ["work", "running", "███▎░░░░ 40%", "1,050", "the disk is full"] {
        assert!(list.contains(part), "{part} is not in\n{list}");
    }
}

#[test]
fn a_session_is_described_as_it_was_after_an_event() {
    let shell = shell();
    let then = json(&shell.ok(&["describe", "work@2", "-o", "json"]));
    assert_eq!(then["lifecycle"]["entities"]["task"]["t"]["phase"], "running");
    assert_eq!((&then["lifecycle"]["odd"], &then["sequence"]), (&0.into(), &2.into()));
    assert_eq!(then["last_events"].as_array().unwrap().len(), 2);
    let now = json(&shell.ok(&["describe", "work", "-o", "json", "--events", "1"]));
    assert_eq!(now["lifecycle"]["anomalies"][0]["at"], "work/main@6");
    assert_eq!(now["resource"]["measures"]["input_tokens"]["sum"], 900.0);
    assert_eq!(now["session_resource"]["models"]["m"]["input_tokens"]["sum"], 950.0);
    assert_eq!(now["last_events"][0]["type"], "task.blocked");
    assert_eq!(now["branches"].as_array().unwrap().len(), 2);
    assert_eq!((&now["stats"]["events"], &now["stats"]["places"]["retry"]), (&7.into(), &1.into()));
}

#[test]
fn the_store_and_each_session_are_counted() {
    let shell = shell();
    let all = json(&shell.ok(&["stats", "-o", "json"]));
    assert_eq!((&all["sessions"], &all["events"]), (&3.into(), &10.into()));
    assert_eq!((&all["types"]["run.started"], &all["places"]["work"]), (&2.into(), &7.into()));
    assert_eq!((&all["largest"][0]["session"], &all["events_per_minute"]), (&"work".into(), &0.0.into()));
    let one = json(&shell.ok(&["stats", "lost", "-o", "json"]));
    assert_eq!((&one["events"], &one["per_minute"]), (&2.into(), &24.0.into()));
    let table = shell.ok(&["stats", "-o", "table"]);
    for part in ["coder.api_call", "LARGEST SESSIONS", "per minute"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
}

#[test]
fn types_of_ones_own_take_part() {
    let shell = Shell::new();
    let types = "[[type]]\nname = \"parcel.sent\"\n[type.role]\nphase = \"waiting\"\n";
    std::fs::write(shell.path("types.toml"), types).unwrap();
    shell.ok(&["append", "p", "parcel.sent"]);
    let status =
        |args: &[&str]| json(&shell.ok(&[&["ls", "-o", "json"], args].concat()))[0]["status"].clone();
    assert_eq!(status(&[]), serde_json::Value::Null);
    assert_eq!(status(&["--types", "types.toml"]), "waiting");
}

#[test]
fn what_ls_cannot_do_is_said_in_words() {
    let shell = shell();
    for (args, said) in [
        (&["ls", "--status", "asleep"][..], "not a status; use one of created, running"),
        (&["ls", "--since", "yesterday"], "not a time such as"),
        (&["describe", "nobody"], "there is no session nobody"),
        (&["describe", "work@99"], "the branch ends at 6"),
        (&["stats", "nobody"], "there is no session nobody"),
    ] {
        let run = shell.run(args);
        assert!(run.exit != 0 && run.err.contains(said), "{args:?}: {}", run.err);
    }
    let last = shell.run(&["ls", "--sort", "name", "--after", "work", "-o", "table"]);
    assert_eq!((last.exit, last.err.trim()), (0, "no session that matches comes after work"));
    let none = shell.run(&["ls", "--status", "paused", "-o", "table"]);
    assert_eq!((none.exit, none.err.trim()), (0, "none of 3 sessions matches"));
}
