//! `retold migrate`, `retold schema`, and the flag that makes old events new.

use std::path::Path;

use crate::shell::{Shell, json};

const STEP: &str = "[[step]]\ntype = \"step.done\"\nversion = 1\nto = \"step.completed\"\n\
                    do = [{ rename = \"/n\", to = \"number\" }]\n";

/// With a folder `m` of steps, and a fourth event on which they fail.
fn shell() -> Shell {
    let shell = Shell::with_a_session();
    shell.ok(&["append", "s", "step.done", "--data", "{\"number\": 1, \"n\": 2}"]);
    folder(&shell, "m/0001_done", &[("upcast.toml", STEP)]);
    shell
}

fn folder(shell: &Shell, name: &str, files: &[(&str, &str)]) {
    std::fs::create_dir_all(shell.path(name)).unwrap();
    for (file, text) in files {
        std::fs::write(shell.path(name).join(file), text).unwrap();
    }
}

fn types(text: &str) -> Vec<String> {
    text.lines().map(|l| json(l)["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_verb_that_reads_gives_the_new_shape_when_it_is_told_of_the_steps() {
    let shell = shell();
    let new = shell.ok(&["read", "s", "--to", "3", "--migrations", "m"]);
    assert_eq!(types(&new), ["step.completed"; 3]);
    assert_eq!(json(new.lines().next().unwrap())["data"], serde_json::json!({"number": 1}));
    // A folder of that name is not read on its own.
    std::fs::rename(shell.path("m"), shell.path("migrations")).unwrap();
    assert_eq!(types(&shell.ok(&["read", "s", "--to", "3"])), ["step.done"; 3]);
    let with = |args: &[&str]| {
        let mut command = shell.command(args);
        let said = command.env("RETOLD_MIGRATIONS", "migrations").output().unwrap();
        assert!(said.status.success(), "{args:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let id = json(new.lines().next().unwrap())["id"].as_str().unwrap().to_owned();
    assert_eq!(types(&with(&["get", &id])), ["step.completed"]);
    assert_eq!(types(&with(&["get", &id, "--raw"])), ["step.done"]);
    assert_eq!(
        types(&with(&["tail", "s/b", "--no-follow", "--type", "step.completed"])),
        ["step.completed"; 2]
    );
    assert_eq!(
        types(&with(&["tail", "s/b", "--no-follow", "--raw", "--type", "step.done"])),
        ["step.done"; 2]
    );
    assert_eq!(types(&with(&["export", "s/b", "--to", "retold"]))[..2], ["step.completed"; 2]);
    assert_eq!(types(&with(&["export", "s/b", "--to", "retold", "--raw"]))[..2], ["step.done"; 2]);
    assert_eq!(types(&with(&["read", "s", "--raw"])), ["step.done"; 4]);
    assert!(with(&["diff", "s", "main@3", "b", "-o", "json"]).contains("\"type\":\"step.completed\""));
}

#[test]
fn an_event_that_cannot_be_made_new_is_told_in_its_place_and_the_rest_is_printed() {
    let shell = shell();
    shell.ok(&["append", "s", "run.completed"]);
    for args in [
        &["read", "s", "--migrations", "m"][..],
        &["tail", "s/main", "--no-follow", "-q", "--migrations", "m"],
    ] {
        let said = shell.run(args);
        assert_eq!((said.exit, types(&said.out).len()), (7, 4), "{args:?}");
        let due = "error: s/main@4 cannot be upcast, as step.done version 1: /n cannot be renamed: `number` already exists";
        assert!(said.err.starts_with(due), "{}", said.err);
    }
    let told = shell.run(&["read", "s", "--migrations", "m"]).err;
    assert!(told.contains("hint: `retold read s/main@4 --from 4 --raw` shows it"), "{told}");
    assert_eq!(
        types(&shell.ok(&["read", "s/main@4", "--from", "4", "--raw", "--migrations", "m"])),
        ["step.done"]
    );
}

#[test]
fn migrate_says_what_would_change_with_counts_and_changes_nothing() {
    let shell = shell();
    let before = std::fs::read(shell.store()).unwrap();
    let said = shell.run(&["migrate", "--dry-run", "--migrations", "m", "-o", "json"]);
    let told = json(&said.out);
    assert_eq!(
        (said.exit, &told["events"], &told["old"], &told["stuck"]),
        (7, &5.into(), &4.into(), &1.into())
    );
    let due = serde_json::json!([{
        "type": "step.done", "version": 1, "events": 4, "stuck": 1,
        "becomes": [{"type": "step.completed", "version": 1, "events": 3}],
        "first_stuck": {"at": "s/main@4", "reason": "as step.done version 1: /n cannot be renamed: `number` already exists"},
    }]);
    assert_eq!(told["steps"], due);
    assert_eq!(told["migrations"][0]["name"], "0001_done");
    assert_eq!(std::fs::read(shell.store()).unwrap(), before);
    let table = shell.run(&["migrate", "--check", "--migrations", "m", "-o", "table"]).out;
    assert!(table.contains("step.done 1 → step.completed 1: 3 events"), "{table}");
    assert!(shell.ok(&["migrate", "-o", "table"]).contains("3, the newest"));
}

#[test]
fn migrate_holds_the_examples_of_a_folder_against_its_steps() {
    let shell = Shell::with_a_session();
    let example = |kind: &str, field: &str| {
        format!("{{\"type\":\"{kind}\",\"version\":1,\"data\":{{\"{field}\":5}}}}\n")
    };
    let old = example("step.done", "n");
    for (new, exit) in [(example("step.completed", "number"), 0), (example("step.completed", "n"), 7)] {
        folder(
            &shell,
            "m/0001_done",
            &[("upcast.toml", STEP), ("before.jsonl", &old), ("after.jsonl", &new)],
        );
        let said = shell.run(&["migrate", "--check", "--migrations", "m", "-o", "json"]);
        let told = json(&said.out);
        assert_eq!(
            (said.exit, told["migrations"][0]["fails"].is_string()),
            (exit, exit != 0),
            "{}",
            said.out
        );
    }
}

#[test]
fn migrate_upgrades_an_old_file_and_keeps_a_copy() {
    let shell = Shell::new();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/0002_journal_in_front/before.redb");
    std::fs::copy(fixture, shell.store()).unwrap();
    let said = shell.run(&["migrate", "--check", "-o", "json"]);
    assert_eq!((said.exit, &json(&said.out)["format"]), (3, &1.into()));
    assert!(shell.ok(&["migrate", "--dry-run", "-o", "table"]).contains("1 would become 3"));
    assert_eq!(json(&shell.ok(&["info"]))["format"], 1);
    let told = json(&shell.ok(&["migrate", "-o", "json"]));
    assert_eq!(
        (&told["format"], &told["newest_format"], &told["upgraded"]),
        (&1.into(), &3.into(), &true.into())
    );
    let copy = told["copy"].as_str().unwrap();
    assert_eq!(json(&shell.ok(&["info", "--store", copy]))["format"], 1);
    assert_eq!(json(&shell.ok(&["info"]))["format"], 3);
    shell.ok(&["migrate", "--check"]);
    shell.ok(&["verify"]);
}

#[test]
fn steps_that_are_wrong_are_refused_with_file_line_and_the_nearest_name() {
    let shell = Shell::with_a_session();
    folder(
        &shell,
        "m/0001_done",
        &[("upcast.toml", "[[step]]\ntype = \"a\"\nversion = 1\ndo = [{ renam = \"/a\" }]\n")],
    );
    let told = shell.fails(7, &["read", "s", "--migrations", "m"]);
    assert!(
        told.contains("m/0001_done/upcast.toml:4: there is no operation `renam`; did you mean `rename`?"),
        "{told}"
    );
    let told = shell.fails(4, &["read", "s", "--migrations", "nowhere"]);
    assert!(told.contains("there is no folder nowhere"), "{told}");
    folder(
        &shell,
        "m/0002_circle",
        &[(
            "upcast.toml",
            "[[step]]\ntype = \"b\"\nversion = 1\nto = \"c\"\n[[step]]\ntype = \"c\"\nversion = 1\nto = \"b\"\n",
        )],
    );
    folder(&shell, "m/0001_done", &[("upcast.toml", STEP)]);
    let told = shell.fails(7, &["migrate", "--check", "--migrations", "m"]);
    assert!(told.contains("form a cycle"), "{told}");
}

#[test]
fn a_schema_is_compared_with_its_successor_and_the_step_between_them_is_suggested() {
    let shell = Shell::with_a_session();
    let write = |name: &str, text: &str| std::fs::write(shell.path(name), text).unwrap();
    write(
        "1.json",
        "{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}}, \"required\": [\"n\"]}",
    );
    write(
        "2.json",
        "{\"type\": \"object\", \"properties\": {\"number\": {\"type\": \"integer\"}}, \"required\": [\"number\"]}",
    );
    write("3.json", "{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}, \"more\": {}}}");
    let diff = ["schema", "diff", "1.json", "2.json", "--type", "step.done", "-o"];
    let said = shell.run(&[&diff[..], &["json"]].concat());
    let told = json(&said.out);
    assert_eq!((said.exit, &told["compatible"]), (3, &false.into()));
    assert_eq!(told["differences"][1]["path"], "/number");
    assert_eq!(told["differences"][1]["verdict"], "breaking");
    assert!(
        told["upcast"].as_str().unwrap().contains("{ rename = \"/n\", to = \"number\" }"),
        "{}",
        said.out
    );
    insta::assert_snapshot!("schema_diff", shell.run(&[&diff[..], &["table"]].concat()).out);
    // What it suggests does it.
    folder(&shell, "m/0001_done", &[]);
    let written = shell.run(&[&diff[..], &["table", "--upcast", "m/0001_done/upcast.toml"]].concat());
    assert_eq!((written.exit, written.out.contains("[[step]]")), (3, false));
    let new = shell.ok(&["read", "s", "--migrations", "m"]);
    assert_eq!(json(new.lines().next().unwrap())["data"], serde_json::json!({"number": 1}));

    assert!(shell.ok(&["schema", "diff", "1.json", "3.json", "-o", "table"]).contains("compatible"));
    let told = shell.fails(7, &["schema", "diff", "1.json", "1.json", "--type", "A b"]);
    assert!(told.contains("not a dotted name"), "{told}");
    write("4.json", "[]");
    assert!(shell.fails(7, &["schema", "diff", "4.json", "1.json"]).contains("is not a JSON Schema"));
    write("4.json", "{");
    assert!(shell.fails(7, &["schema", "diff", "4.json", "1.json"]).contains("is not JSON"));
    assert!(shell.fails(4, &["schema", "diff", "5.json", "1.json"]).contains("there is no file 5.json"));
}
