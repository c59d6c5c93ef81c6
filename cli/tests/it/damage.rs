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
