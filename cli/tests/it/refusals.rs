//! Bad input through the real program: a clear sentence, its exit code, nothing lost, nothing half written.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use redb::{ReadableDatabase, ReadableTable};

use crate::shell::{Shell, json};
use crate::tables::Tables;

#[test]
fn a_name_or_type_that_is_none_is_refused_before_a_store_is_made() {
    let shell = Shell::new();
    for (args, field) in [
        (&["append", "a/b/c", "x"][..], "branch `b/c` contains '/'"),
        (&["append", "", "x"], "session is empty"),
        (&["append", "s", ""], "type is empty"),
        (&["append", "s", "Not A Type"], "type"),
        (&["append", "s@3", "x"], "names an event"),
        (&["append", "s", "x", "--expect", "soon"], "expect `soon`"),
        (&["append", "s", "x", "--id", "7"], "id `7` is not a UUID"),
        (&["append", "s", "x", "--causation", "7"], "causation `7` is not a UUID"),
        (&["append", "s", "x", "--time", "now"], "time `now` is not RFC 3339"),
        (&["append", "s", "x", "--data", "{\"n\": }"], "data is not JSON"),
        (&["append", "s", "x", "--data", ""], "data is not JSON"),
        (&["import", "--session", "a/b", "x"], "session `a/b` contains '/'"),
    ] {
        let told = shell.fails(7, args);
        assert!(told.starts_with("error: ") && told.contains(field), "{args:?}: {told}");
        assert!(!shell.store().exists(), "{args:?}");
    }
    for args in [
        &["append"][..],
        &["append", "s"],
        &["read"],
        &["frob"],
        &["read", "s", "--limit", "x"],
        &["read", "s", "--all"],
        &["append", "s", "x", "--meta", "k"],
        &["info", "-o", "cloudevents"],
    ] {
        assert!(!shell.fails(2, args).is_empty());
    }
    assert!(!shell.store().exists());
}

#[test]
fn a_conflict_names_both_numbers_and_writes_nothing() {
    let shell = Shell::with_a_session();
    let before = shell.ok(&["read", "--all"]);
    let told = shell.fails(3, &["append", "s", "x", "--expect", "5"]);
    assert!(told.contains("s/main is at sequence 3, not at head 5; nothing was written"), "{told}");
    assert_eq!(shell.fails(3, &["append", "s", "x", "--expect", "empty", "-q"]).lines().count(), 1);
    assert_eq!(shell.ok(&["read", "--all"]), before);
    assert_eq!(json(&shell.ok(&["append", "s", "x", "--expect", "3"]))["sequence"], 4);
}

#[test]
fn a_payload_over_the_limit_is_refused_with_both_sizes() {
    let shell = Shell::with_a_session();
    let said =
        shell.run_with(&["append", "s", "x", "--data", "@-"], &format!("\"{}\"", "x".repeat(16 << 20)));
    assert_eq!(said.exit, 7);
    assert!(said.err.contains("16777218 bytes; the limit of this store is 16777216"), "{}", said.err);
    assert_eq!(shell.head("s"), 3);
}

#[test]
fn what_is_not_there_is_named_with_a_way_to_find_it() {
    let shell = Shell::with_a_session();
    let id = "01890000-0000-7000-8000-00000000000f";
    for (args, told) in [
        (&["read", "nobody"][..], "there is no session nobody\nhint: `retold sessions`"),
        (&["branches", "nobody"], "there is no session nobody"),
        (&["tail", "nobody", "--no-follow"], "there is no session nobody"),
        (&["read", "s/x"], "there is no branch s/x\nhint: `retold branches s`"),
        (&["append", "s/x", "a.b"], "there is no branch s/x"),
        (&["diff", "s", "main", "x"], "there is no branch s/x"),
        (&["get", id], id),
        (&["fork", "s@4", "c"], "there is no event s/main@4: the branch ends at 3"),
        (&["append", "s", "a.b", "--data", "@nothing.json"], "there is no file nothing.json"),
        (&["read", "s", "--store", "other.redb"], "there is no store other.redb\nhint: `--store PATH`"),
        (&["fork", "s@1", "c", "--store", "other.redb"], "there is no store other.redb"),
    ] {
        let err = shell.fails(4, args);
        assert!(err.contains(told), "{args:?}: {err}");
    }
    assert!(!shell.path("other.redb").exists());
    let told = shell.fails(3, &["fork", "s@1", "b"]);
    assert!(told.contains("there is already a branch s/b\nhint: "), "{told}");
    assert_eq!(shell.ok(&["branches", "s"]).lines().count(), 2);
}

#[test]
fn errors_are_sentences_on_stderr_whatever_the_format() {
    let shell = Shell::with_a_session();
    for format in ["json", "jsonl", "table"] {
        let told = shell.fails(4, &["read", "nobody", "-o", format]);
        assert!(told.starts_with("error: there is no session nobody\n"), "{told}");
    }
}

#[test]
fn a_file_that_is_no_store_is_left_as_it_is() {
    let shell = Shell::new();
    for (name, content, told) in [
        ("text.redb", "this is a text file, and not a short one\n", "is something else, not a retold store"),
        ("empty.redb", "", "is empty, not a retold store"),
        ("short.redb", "redb", "is something else"),
    ] {
        std::fs::write(shell.path(name), content).unwrap();
        for args in [&["append", "s", "a.b"][..], &["read", "s"], &["verify"], &["demo"]] {
            let err = shell.fails(7, &[args, &["--store", name]].concat());
            assert!(err.contains(told) && err.contains(name), "{err}");
        }
        assert_eq!(std::fs::read_to_string(shell.path(name)).unwrap(), content);
    }
    assert!(shell.fails(7, &["append", "s", "a.b", "--store", "."]).contains("is a directory"));
    for path in ["/proc/x.redb", "nowhere/x.redb"] {
        let told = shell.fails(1, &["append", "s", "a.b", "--store", path]);
        assert!(told.contains(&format!("{path} cannot be created")), "{told}");
    }
}

#[test]
fn a_file_of_another_redb_program_is_not_touched() {
    let shell = Shell::new();
    const THEIRS: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("theirs");
    let db = redb::Database::create(shell.store()).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(THEIRS).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    drop(db);
    let told = shell.fails(7, &["append", "s", "a.b"]);
    assert!(told.contains("is a redb file of another program"), "{told}");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let shell = Shell::with_a_session();
    const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let tables = Tables::of(shell.store().as_ref());
    let txn = tables.db.begin_write().unwrap();
    {
        let mut table = txn.open_table(META).unwrap();
        let mut meta = retold::codec::Meta::decode(table.get("store").unwrap().unwrap().value()).unwrap();
        meta.format += 1;
        table.insert("store", meta.encode().as_slice()).unwrap();
    }
    txn.commit().unwrap();
    tables.put(shell.store().as_ref());
    let newer = retold::codec::FORMAT + 1;
    for args in [&["append", "s", "a.b"][..], &["read", "s"]] {
        let told = shell.fails(7, args);
        assert!(
            told.contains(&format!("has store format {newer}")) && told.contains("newer release"),
            "{told}"
        );
    }
}

#[test]
fn a_truncated_or_damaged_store_is_corrupt_and_tells_no_panic() {
    let shell = Shell::new();
    let lines = "{\"session\":\"s\",\"type\":\"a.b\",\"data\":\"some text\"}\n".repeat(5_000);
    assert_eq!(shell.run_with(&["append", "--ndjson", "-"], &lines).exit, 0);
    let whole = std::fs::read(shell.store()).unwrap();
    for keep in [whole.len() / 2, 4_096, 100] {
        std::fs::write(shell.store(), &whole[..keep]).unwrap();
        for args in [&["read", "s"][..], &["append", "s", "a.b"]] {
            let said = shell.run(args);
            assert_eq!(said.exit, 6, "{keep} bytes, {args:?}: {}", said.err);
            assert!(said.err.starts_with("error: ") && said.err.contains("corrupt"), "{}", said.err);
            assert!(!said.err.contains("panicked"), "{}", said.err);
        }
    }
    std::fs::write(shell.store(), &whole).unwrap();
    // Where the chunks lie depends on when they were flushed, so one is looked for.
    const EVENTS: redb::TableDefinition<'_, (u64, u64), &[u8]> = redb::TableDefinition::new("events");
    let chunk = {
        let tables = Tables::of(shell.store().as_ref());
        let txn = tables.db.begin_read().unwrap();
        let rows = txn.open_table(EVENTS).unwrap();
        rows.iter().unwrap().map(|row| row.unwrap().1.value().to_vec()).max_by_key(Vec::len).unwrap()
    };
    let mut damaged = whole.clone();
    let copies = whole.windows(chunk.len()).enumerate().filter(|(_, bytes)| *bytes == chunk);
    copies.for_each(|(at, _)| damaged[at + chunk.len() / 2] ^= 1);
    assert_ne!(damaged, whole);
    std::fs::write(shell.store(), &damaged).unwrap();
    let said = shell.run(&["verify"]);
    assert_eq!(said.exit, 6, "{} {}", said.out, said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[test]
fn a_store_in_use_is_waited_for_and_then_named() {
    let shell = Shell::with_a_session();
    let held = retold::Store::builder().exclusive().open(shell.store()).unwrap();
    for args in [&["append", "s", "a.b"][..], &["read", "s"], &["fork", "s", "c"]] {
        let told = shell.fails(5, &[args, &["--wait", "0"]].concat());
        assert!(told.contains("retold.redb is in use by another process"), "{told}");
    }
    let begun = Instant::now();
    shell.fails(5, &["read", "s", "--wait", "0.3"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let mut waiting = shell.command(&["append", "s", "a.b", "--wait", "20", "-vv"]);
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(waiting.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains("Pause")), "it never waited");
    held.close().unwrap();
    drop(held);
    told.for_each(drop);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(shell.head("s"), 4);
}

#[test]
fn two_that_read_do_not_disturb_each_other() {
    let shell = Shell::with_a_session();
    let _held = retold::Store::builder().read_only().open(shell.store()).unwrap();
    assert_eq!(shell.head("s"), 3);
    // It lets go of the file after a moment without a read. This has the lock of one whose read does not end.
    let reading = std::fs::File::open(shell.store()).unwrap();
    reading.lock_shared().unwrap();
    assert_eq!(shell.head("s"), 3);
    assert!(shell.fails(5, &["append", "s", "a.b", "--wait", "0"]).contains("in use"));
}

#[test]
fn nothing_hidden_comes_out_whatever_goes_in() {
    const HIDDEN: &str = "a\u{1b}[31mb\u{9b}2J\u{7f}\u{200b}\u{202e}\u{feff}\u{ad}c";
    let shell = Shell::new();
    let data = serde_json::json!({ "text": HIDDEN }).to_string();
    let said = shell.run(&[
        "append",
        "s",
        "a.b",
        "--source",
        "x\u{200b}y",
        "--data",
        &data,
        "--meta",
        "k=\u{202e}v",
    ]);
    assert_eq!(said.exit, 0, "{}", said.err);
    let line = shell.ok(&["read", "s", "-o", "jsonl"]);
    assert_eq!(json(&line)["data"]["text"], HIDDEN);
    let id = json(&line)["id"].as_str().unwrap().to_owned();
    let asked: [&[&str]; 12] = [
        &["read", "s", "-o", "jsonl"],
        &["read", "s", "-o", "json"],
        &["read", "s", "-o", "cloudevents"],
        &["read", "s", "-o", "table"],
        &["get", &id, "-o", "table"],
        &["get", &id, "-o", "json"],
        &["read", HIDDEN],
        &["read", "s", "--type", HIDDEN],
        &["info", "--store", HIDDEN],
        &["append", "s", HIDDEN],
        &["import", HIDDEN],
        &[HIDDEN],
    ];
    for args in asked {
        for color in ["never", "auto"] {
            let said = shell.run(&[args, &["--color", color]].concat());
            let all = said.out + &said.err;
            let hidden =
                |c: char| c.is_control() && c != '\n' || "\u{200b}\u{202e}\u{feff}\u{ad}".contains(c);
            assert!(!all.is_empty() && !all.contains(hidden), "{args:?}: {}", all.escape_debug());
        }
    }
}
