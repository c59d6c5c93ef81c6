//! Every verb through the real program: what it prints for people, and for programs.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::shell::{Said, Shell, json, steady};

fn table(shell: &Shell, args: &[&str]) -> String {
    let mut all = vec!["-o", "table"];
    all.extend(args);
    steady(&shell.ok(&all), &shell.path(""))
}

#[test]
fn what_people_see() {
    let shell = Shell::with_a_session();
    for (name, args) in [
        ("read", &["read", "s"][..]),
        ("read_fork", &["read", "s/b"]),
        ("read_all", &["read", "--all", "--reverse"]),
        ("sessions", &["sessions"]),
        ("branches", &["branches", "s"]),
        ("diff", &["diff", "s", "main", "b"]),
        ("verify", &["verify"]),
        ("append", &["append", "s", "a.b", "--id", "01890000-0000-7000-8000-000000000001"]),
        ("fork", &["fork", "s@1", "c"]),
    ] {
        insta::assert_snapshot!(name, table(&shell, args));
    }
}

#[test]
fn help_is_what_it_was() {
    let shell = Shell::new();
    let mut command = shell.command(&["--help"]);
    insta::assert_snapshot!("help", Said::of(command.output().unwrap()).out);
    let codes =
        ["0  done", "1  failed", "2  the", "3  conflict", "4  not found", "5  the", "6  the", "7  invalid"];
    let help = shell.ok(&["--help"]);
    assert!(codes.iter().all(|code| help.contains(code)), "{help}");
}

#[test]
fn the_short_help_fits_on_a_screen_and_says_where_the_rest_is() {
    let shell = Shell::new();
    let short = shell.ok(&["-h"]);
    insta::assert_snapshot!("help_short", short);
    let bare = shell.run(&[]);
    assert_eq!((bare.exit, bare.out.as_str(), bare.err.as_str()), (2, "", short.as_str()));
    // Of a verb: its own options, and no more of the others than where to find them.
    let (few, all) = (shell.ok(&["ls", "-h"]), shell.ok(&["ls", "--help"]));
    assert!(few.contains("--label") && few.contains("--store") && !few.contains("--strict-types"), "{few}");
    assert!(few.lines().count() < all.lines().count() && all.contains("--strict-types"), "{all}");
}

#[test]
fn help_is_readable_on_any_background() {
    let shell = Shell::new();
    for args in [&["--help"][..], &["-h"], &["ls", "--help"]] {
        let help = shell.ok(&[&["--color", "always"], args].concat());
        assert!(help.contains("\u{1b}[1m"), "{help:?}");
        // White, yellow, and their bright forms.
        for code in ["37m", "97m", "33m", "93m"] {
            assert!(
                !help.contains(&format!("[{code}")) && !help.contains(&format!(";{code}")),
                "{code}: {help:?}"
            );
        }
    }
}

#[test]
fn an_append_is_answered_with_its_place_in_this_order_of_names() {
    let shell = Shell::new();
    let id = "01890000-0000-7000-8000-000000000001";
    let append = ["append", "s", "run.started", "--id", id, "--data", "{\"a\": 1.10}", "-o", "json"];
    let line = format!(
        "{{\"session\":\"s\",\"branch\":\"main\",\"sequence\":1,\"position\":1,\"id\":\"{id}\",\"duplicate\":false}}\n"
    );
    assert_eq!(shell.ok(&append), line);
    assert_eq!(shell.ok(&append), line.replace("false", "true"));
    assert!(shell.ok(&["get", id]).contains("\"data\":{\"a\": 1.10}"));
}

#[test]
fn everything_that_can_be_said_of_an_event_comes_back() {
    let shell = Shell::new();
    let cause = "01890000-0000-7000-8000-000000000002";
    std::fs::write(shell.path("data.json"), "{\"big\": 123456789012345678901234567890}\n").unwrap();
    shell.ok(&[
        "append",
        "s",
        "tool.completed",
        "--data",
        "@data.json",
        "--expect",
        "empty",
        "--source",
        "runner",
        "--actor",
        "ana",
        "--correlation",
        "c-1",
        "--causation",
        cause,
        "--priority",
        "7",
        "--version",
        "3",
        "--meta",
        "k=v=w",
        "--meta",
        "a=b",
        "--time",
        "2026-02-03T05:05:06.123456+01:00",
    ]);
    let event = shell.ok(&["read", "s"]);
    assert!(event.contains("\"data\":{\"big\": 123456789012345678901234567890}}\n"), "{event}");
    let event = json(&event);
    for (name, value) in [
        ("type", "tool.completed"),
        ("source", "runner"),
        ("actor", "ana"),
        ("correlation", "c-1"),
        ("causation", cause),
        ("time", "2026-02-03T04:05:06.123456Z"),
    ] {
        assert_eq!(event[name], value);
    }
    assert_eq!((&event["priority"], &event["version"]), (&7.into(), &3.into()));
    assert_eq!(event["metadata"], serde_json::json!({"a": "b", "k": "v=w"}));
    let yes =
        ["--type", "tool.*", "--source", "runner", "--actor", "ana", "--meta", "k=v=w", "--priority", "7"];
    assert_eq!(shell.ok(&[&["read", "s"], &yes[..]].concat()).lines().count(), 1);
    for no in
        [["--type", "tool"], ["--source", "x"], ["--until", "2026-02-03T04:05:06Z"], ["--priority", "8"]]
    {
        assert_eq!(shell.ok(&[&["read", "s"], &no[..]].concat()), "");
    }
}

#[test]
fn payloads_come_from_standard_input_too() {
    let shell = Shell::new();
    assert_eq!(shell.run_with(&["append", "s", "a.b", "-d", "@-"], "[1,\n 2]\n").exit, 0);
    assert!(shell.ok(&["read", "s"]).ends_with("\"data\":[1,  2]}\n"));
}

#[test]
fn json_is_one_document_and_jsonl_one_a_line() {
    let shell = Shell::with_a_session();
    for args in [
        &["read", "s"][..],
        &["read", "--all"],
        &["sessions"],
        &["branches", "s"],
        &["tail", "-q", "--no-follow"],
    ] {
        let document = json(&shell.ok(&[args, &["-o", "json"]].concat()));
        let lines = shell.ok(&[args, &["-o", "jsonl"]].concat());
        let lines: Vec<serde_json::Value> = lines.lines().map(json).collect();
        assert_eq!(document.as_array().unwrap(), &lines, "{args:?}");
        assert!(!lines.is_empty());
    }
    assert_eq!(json(&shell.ok(&["read", "s", "--type", "x", "-o", "json"])), serde_json::json!([]));
    let diff = json(&shell.ok(&["diff", "s", "main", "b", "-o", "json"]));
    assert_eq!((&diff["common"], &diff["right"]["head"]), (&2.into(), &3.into()));
    assert_eq!(diff["pairs"][0]["left"]["type"], "step.done");
    assert_eq!(json(&shell.ok(&["info"]))["events"], 4);
    assert_eq!(json(&shell.ok(&["verify"]))["clean"], true);
    assert_eq!(
        json(&shell.ok(&["get", diff["pairs"][0]["left"]["id"].as_str().unwrap(), "-o", "cloudevents"]))["specversion"],
        "1.0"
    );
}

#[test]
fn nothing_is_cut_for_programs() {
    let shell = Shell::new();
    let long = "x".repeat(100_000);
    shell.run_with(&["append", "s", "a.b", "-d", "@-"], &format!("\"{long}\""));
    assert!(shell.ok(&["read", "s"]).contains(&long));
}

#[test]
fn reading_takes_ranges_from_both_ends() {
    let shell = Shell::with_a_session();
    let numbers = |args: &[&str]| -> Vec<u64> {
        shell.ok(&[&["read"], args].concat()).lines().map(|l| json(l)["sequence"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&["s"]), [1, 2, 3]);
    assert_eq!(numbers(&["s@2"]), [1, 2]);
    assert_eq!(numbers(&["s", "--from", "2"]), [2, 3]);
    assert_eq!(numbers(&["s", "--to", "2", "--reverse"]), [2, 1]);
    assert_eq!(numbers(&["s", "--reverse", "--limit", "1"]), [3]);
    assert_eq!(numbers(&["s/b"]), [1, 2, 3]);
    assert_eq!(numbers(&["--all", "--from-position", "4"]), [3]);
}

#[test]
fn a_branch_that_did_better_is_promoted_unless_its_parent_has_moved() {
    let shell = Shell::with_a_session();
    shell.ok(&["fork", "s", "better"]);
    shell.ok(&["append", "s/better", "run.completed"]);
    let told = shell.fails(3, &["promote", "s/b"]);
    assert!(told.contains("s/main is at sequence 3, not at head 2"), "{told}");
    assert!(told.contains("hint: `retold adopt s/b` makes it the current branch"), "{told}");
    let promoted = json(&shell.ok(&["promote", "s/better"]));
    assert_eq!((&promoted["branch"], &promoted["last"]), (&"main".into(), &4.into()));
    assert_eq!(json(&shell.ok(&["promote", "s/better"]))["duplicate"], true);
}

#[test]
fn flags_are_taken_before_and_after_the_verb_and_from_the_environment() {
    let shell = Shell::new();
    shell.ok(&["--store", "x.redb", "append", "s", "a.b"]);
    assert_eq!(shell.ok(&["read", "s", "--store", "x.redb"]).lines().count(), 1);
    let out = shell.command(&["read", "s"]).env("RETOLD_STORE", "x.redb").output().unwrap();
    assert_eq!(Said::of(out).out.lines().count(), 1);
    assert!(!shell.store().exists());
}

#[test]
fn colours_are_used_when_asked_for_only() {
    let shell = Shell::with_a_session();
    assert!(!shell.ok(&["read", "s", "-o", "table"]).contains('\u{1b}'));
    assert!(shell.ok(&["read", "s", "-o", "table", "--color", "always"]).contains('\u{1b}'));
    assert!(!shell.ok(&["read", "s", "-o", "json", "--color=always"]).contains('\u{1b}'));
    assert!(shell.ok(&["--color", "always", "--help"]).contains('\u{1b}'));
    let mut command = shell.command(&["read", "s", "-o", "table"]);
    let out = Said::of(command.env("NO_COLOR", "1").output().unwrap()).out;
    assert!(!out.contains('\u{1b}'));
}

#[test]
fn a_terminal_gets_no_control_characters_from_payloads() {
    let shell = Shell::new();
    shell.ok(&["append", "s", "a.b", "--data", "\"\u{202e}\u{9b}31m x\"", "--meta", "k=\u{7f}\u{1b}[2J"]);
    let id = json(&shell.ok(&["read", "s"]))["id"].as_str().unwrap().to_owned();
    for args in [&["read", "s", "-o", "table"][..], &["get", &id, "-o", "table"]] {
        let shown = shell.ok(args);
        assert!(!shown.contains(['\u{202e}', '\u{9b}', '\u{1b}', '\u{7f}']), "{shown:?}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let shell = Shell::new();
    let lines =
        "{\"session\":\"s\",\"type\":\"a.b\",\"data\":\"some text to fill the pipe with\"}\n".repeat(5_000);
    assert_eq!(shell.run_with(&["append", "--ndjson", "-"], &lines).exit, 0);
    for args in [
        &["read", "s"][..],
        &["read", "s", "-o", "table"],
        &["export", "--to", "retold"],
        &["read", "s", "-o", "json"],
    ] {
        let mut child = shell.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let shell = Shell::new();
    for name in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(shell.ok(&["completions", name]).contains("_RETOLD_COMPLETE"), "{name}");
    }
    assert!(shell.ok(&["man"]).contains(".TH retold"));
    assert!(shell.ok(&["man", "append"]).contains("ndjson"));
    assert!(shell.fails(2, &["man", "nothing"]).contains("nothing"));
}
