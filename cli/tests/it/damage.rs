//! A damaged store through the real program: what is sound is shown, what is missing is said, the exit code is 6.

use std::time::Duration;

use retold::{NewEvent, Store};

use crate::shell::Shell;

/// The store of a process that was killed: twenty events of a session `s`, all of them in the journal.
fn killed(shell: &Shell) -> Vec<u8> {
    let path = shell.path("live.redb");
    let how =
        Store::builder().flush_when_idle(Duration::from_secs(3_600)).flush_after(usize::MAX, usize::MAX);
    let store = how.open(&path).unwrap();
    for n in 1..=20 {
        store.append("s", NewEvent::new("step.done").json_text(n.to_string())).unwrap();
    }
    std::fs::read(&path).unwrap()
}

#[test]
fn what_lies_before_a_damaged_commit_is_shown_and_the_rest_is_said_to_be_missing() {
    let shell = Shell::new();
    let mut file = killed(&shell);
    let number = |at: usize| u64::from_le_bytes(file[at + 8..at + 16].try_into().unwrap());
    let at = (4_096..file.len()).step_by(16).find(|at| file[*at..*at + 4] == *b"rtj1" && number(*at) == 18);
    file[at.unwrap() + 50] ^= 4;
    std::fs::write(shell.store(), &file).unwrap();

    let missing = "commit 18 of the journal";
    for args in [
        &["read", "s", "-o", "jsonl"][..],
        &["export", "--to", "retold"],
        &["export", "s", "--to", "cloudevents"],
    ] {
        let said = shell.run(args);
        assert_eq!((said.exit, said.out.lines().count()), (6, 17), "{args:?}: {}", said.err);
        assert!(said.err.contains("damaged:") && said.err.contains(missing), "{}", said.err);
    }
    for args in [&["ls"][..], &["describe", "s"], &["info"], &["state", "lifecycle", "s"], &["stats"]] {
        let said = shell.run(args);
        assert_eq!((said.exit, said.err.contains(missing)), (6, true), "{args:?}: {}", said.err);
        assert!(!said.out.is_empty(), "{args:?}");
    }
    let said = shell.run(&["verify"]);
    assert_eq!(said.exit, 6, "{}", said.err);
    assert!(said.out.contains(missing) && said.out.contains("\"events\":17"), "{}", said.out);
    // Whoever wrote would write over what may yet be saved.
    let told = shell.fails(6, &["append", "s", "x"]);
    assert!(told.contains(missing) && told.contains("read-only"), "{told}");
    let journal = 4_096..u64::from_le_bytes(file[24..32].try_into().unwrap()) as usize;
    assert!(std::fs::read(shell.store()).unwrap()[journal.clone()] == file[journal]);
}

#[test]
fn a_damaged_header_keeps_nobody_from_reading_and_is_named() {
    let shell = Shell::new();
    let mut file = killed(&shell);
    file[33] ^= 1;
    std::fs::write(shell.store(), &file).unwrap();
    let said = shell.run(&["read", "s", "-o", "jsonl"]);
    assert_eq!((said.exit, said.out.lines().count()), (6, 20), "{}", said.err);
    let said = shell.run(&["verify"]);
    assert_eq!(
        (said.exit, said.out.contains("one bit of it is wrong")),
        (6, true),
        "{}{}",
        said.out,
        said.err
    );
    shell.fails(6, &["append", "s", "x"]);
}

#[test]
fn a_damaged_file_is_repaired_into_a_new_one_and_what_is_lost_is_listed() {
    let shell = Shell::new();
    let mut file = killed(&shell);
    let out = shell.path("repaired.redb");
    let out_text = out.to_str().unwrap();
    std::fs::write(shell.store(), &file).unwrap();
    let damaged = shell.store();
    let damaged_text = damaged.to_str().unwrap();
    let said = shell.run(&["repair", damaged_text, "--out", out_text, "-o", "table"]);
    assert_eq!(said.exit, 0, "{}", said.err);
    assert!(said.out.contains("nothing lost: 20 events, 1 branch and 0 records kept"), "{}", said.out);
    assert!(shell.fails(3, &["repair", damaged_text, "--out", out_text]).contains("already"));
    std::fs::remove_file(&out).unwrap();

    let number = |at: usize| u64::from_le_bytes(file[at + 8..at + 16].try_into().unwrap());
    let at = (4_096..file.len()).step_by(16).find(|at| file[*at..*at + 4] == *b"rtj1" && number(*at) == 18);
    file[at.unwrap() + 50] ^= 4;
    std::fs::write(&damaged, &file).unwrap();
    let said = shell.run(&["repair", damaged_text, "--out", out_text]);
    assert_eq!(said.exit, 6, "{}", said.err);
    let document = crate::shell::json(&said.out);
    assert_eq!(document["events"], 19);
    assert_eq!(document["position"], 20);
    assert_eq!(
        document["lost"],
        serde_json::json!([
            { "what": "events", "address": "s/main", "first": 18, "last": 18 },
            { "what": "commits", "first": 18, "last": 18 },
        ])
    );
    assert!(std::fs::read(&damaged).unwrap() == file);
    let read = shell.ok(&["--store", out_text, "read", "s", "-o", "jsonl"]);
    assert_eq!(read.lines().filter(|line| line.contains("store.event.lost")).count(), 1);
    assert_eq!(read.lines().count(), 20);
    shell.ok(&["--store", out_text, "verify"]);
    shell.fails(4, &["repair", "missing.redb", "--out", "x.redb"]);
}

#[test]
fn a_backup_is_restored_up_to_a_position_or_a_time() {
    let shell = Shell::new();
    for n in 1..=4 {
        shell.ok(&["append", "s", "step.done", "--data", &n.to_string()]);
    }
    let path = |name: &str| shell.path(name).to_str().unwrap().to_owned();
    let store = shell.store();
    let backup = store.to_str().unwrap();
    let said = shell.ok(&["--store", &path("a.redb"), "restore", backup, "--to-position", "2"]);
    assert!(said.contains("\"position\":2") && said.contains("\"left_out\":2"), "{said}");
    assert_eq!(shell.ok(&["--store", &path("a.redb"), "read", "s", "-o", "jsonl"]).lines().count(), 2);
    let said = shell.ok(&["--store", &path("b.redb"), "restore", backup, "--to-time", "1h"]);
    assert!(said.contains("\"position\":0"), "{said}");
    let said = shell.ok(&[
        "--store",
        &path("c.redb"),
        "restore",
        backup,
        "--to-time",
        "2999-01-01T00:00:00Z",
        "-o",
        "table",
    ]);
    assert!(said.contains("4 events") && said.contains("0 events and 0 branches left out"), "{said}");
    shell.fails(2, &["restore", backup, "--to-time", "1h", "--to-position", "1"]);
    shell.fails(2, &["restore", backup, "--to-time", "yesterday"]);
    shell.fails(3, &["--store", &path("c.redb"), "restore", backup, "--to-position", "1"]);
    shell.fails(4, &["--store", &path("d.redb"), "restore", &path("none.redb"), "--to-position", "1"]);
}

#[test]
fn incremental_backups_are_taken_and_restored() {
    let shell = Shell::new();
    let path = |name: &str| shell.path(name).to_str().unwrap().to_owned();
    let append = |n: u64| drop(shell.ok(&["append", "s", "step.done", "--data", &n.to_string()]));
    (1..=4).for_each(append);
    let [full, one, two] = ["full.redb", "one.redb", "two.redb"].map(path);
    assert!(!shell.ok(&["backup", &full]).contains("since"));
    append(5);
    let said = shell.ok(&["backup", &one, "--since", &full]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["since"], &said["position"]), (&4.into(), &5.into()));
    append(6);
    let said = shell.ok(&["backup", &two, "--since", &one, "-o", "table"]);
    assert!(said.contains("1 event after position 5"), "{said}");
    let said = shell.ok(&["--store", &path("a.redb"), "restore", &full, &one, &two, "-o", "table"]);
    assert!(said.contains("6 events") && !said.contains("left out"), "{said}");
    assert_eq!(shell.ok(&["--store", &path("a.redb"), "read", "s", "-o", "jsonl"]).lines().count(), 6);
    shell.ok(&["--store", &path("a.redb"), "verify"]);
    let said = shell.ok(&["--store", &path("b.redb"), "restore", &full, &one, &two, "--to-position", "5"]);
    assert!(said.contains("\"position\":5") && said.contains("\"left_out\":1"), "{said}");
    let said = shell.fails(7, &["--store", &path("c.redb"), "restore", &full, &two]);
    assert!(said.contains("one.redb") && said.contains("order"), "{said}");
    let said = shell.fails(7, &["--store", &one, "verify"]);
    assert!(said.contains("incremental backup since full.redb"), "{said}");
    let said = shell.fails(3, &["--store", &path("a.redb"), "backup", &path("d.redb"), "--since", &full]);
    assert!(said.contains("full.redb") && said.contains("make a full one"), "{said}");
    shell.fails(4, &["backup", &path("d.redb"), "--since", &path("none.redb")]);
    shell.fails(3, &["backup", &two, "--since", &full]);
    shell.fails(2, &["restore"]);
}
