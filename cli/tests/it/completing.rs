//! Completions, as a shell asks for them: through the environment.

use retold::store::Store;

use crate::shell::{Said, Shell};

/// What is offered for the last of these words, but flags.
fn offered(shell: &Shell, words: &[&str]) -> Vec<String> {
    let mut command = shell.command(&[&["--", "retold"], words].concat());
    let said = Said::of(command.env("_RETOLD_COMPLETE", "fish").output().unwrap());
    assert_eq!((said.exit, said.err.as_str()), (0, ""), "{words:?}");
    let offered = said.out.lines().map(|line| line.split('\t').next().unwrap().to_owned());
    offered.filter(|word| !word.starts_with('-')).collect()
}

fn shell() -> Shell {
    let shell = Shell::new();
    for name in ["run-7", "run-7f3a", "nightly-build", "$(touch pwned)"] {
        shell.ok(&["-q", "append", name, "run.started"]);
    }
    shell.ok(&["fork", "nightly-build", "retry"]);
    shell.ok(&["fork", "nightly-build", "return"]);
    shell
}

#[test]
fn sessions_and_branches_are_offered_where_they_are_expected() {
    let shell = shell();
    let all = ["nightly-build", "run-7", "run-7f3a"];
    for (words, due) in [
        (&["read", ""][..], &all[..]),
        (&["read", "run-7"], &all[1..]),
        (&["read", "run-7f"], &all[2..]),
        (&["read", "x"], &[]),
        (&["describe", "n"], &all[..1]),
        (&["stats", "n"], &all[..1]),
        (&["read", "nightly-build/re"], &["nightly-build/retry", "nightly-build/return"]),
        (&["fork", "nightly-build/ret"], &["nightly-build/retry", "nightly-build/return"]),
        (&["adopt", "nigh"], &["nightly-build/"]),
        (&["diff", "nightly-build", "ma"], &["main"]),
        (&["diff", "nightly-build", "main", "retr"], &["retry"]),
        (&["state-diff", "counts", "run-7f"], &all[2..]),
        (&["read", "nightly-build/retry@"], &[]),
    ] {
        assert_eq!(offered(&shell, words), due, "{words:?}");
    }
}

#[test]
fn what_needs_no_store_is_offered_without_one() {
    let shell = Shell::new();
    assert_eq!(offered(&shell, &["append", "s", "coder.star"]), ["coder.started"]);
    assert_eq!(offered(&shell, &["read", "s", "--type", "coder.star"]), ["coder.started"]);
    assert_eq!(offered(&shell, &["state", "coun"]), ["counts"]);
    assert_eq!(offered(&shell, &["import", "--from", "gem"]), ["gemini-cli"]);
    assert_eq!(offered(&shell, &["export", "--to", "so"]), ["source"]);
    assert_eq!(offered(&shell, &["read", "-o", "jsonl"]), ["jsonl"]);
    assert_eq!(offered(&shell, &["descr"]), ["describe"]);
    std::fs::write(shell.path("types.toml"), "[[type]]\nname = \"parcel.sent\"\n").unwrap();
    assert_eq!(offered(&shell, &["--types", "types.toml", "append", "s", "parc"]), ["parcel.sent"]);
}

#[test]
fn a_store_that_cannot_be_read_offers_nothing_and_says_nothing() {
    let shell = shell();
    assert_eq!(offered(&shell, &["--store", "missing.redb", "read", ""]), [""; 0]);
    assert_eq!(offered(&shell, &["--store=missing.redb", "read", ""]), [""; 0]);
    assert!(!shell.path("missing.redb").exists());
    std::fs::write(shell.path("text.redb"), "this is no store").unwrap();
    assert_eq!(offered(&shell, &["--store", "text.redb", "read", ""]), [""; 0]);
    std::fs::write(shell.path("retold.toml"), "nonsense = [").unwrap();
    assert_eq!(offered(&shell, &["read", ""]), [""; 0]);
    std::fs::remove_file(shell.path("retold.toml")).unwrap();
    // Damaged from its first byte on, behind what says that it is a store.
    let mut bytes = std::fs::read(shell.store()).unwrap();
    bytes[4_096..].fill(0x5a);
    std::fs::write(shell.path("damaged.redb"), &bytes).unwrap();
    assert_eq!(offered(&shell, &["--store", "damaged.redb", "read", ""]), [""; 0]);
    // In use by somebody who does not share it, and by somebody who does.
    let store = Store::builder().exclusive().open(shell.store()).unwrap();
    assert_eq!(offered(&shell, &["read", "run"]), [""; 0]);
    store.close().unwrap();
    drop(store);
    let store = Store::open(shell.store()).unwrap();
    assert_eq!(offered(&shell, &["read", "run"]).len(), if cfg!(unix) { 2 } else { 0 });
    store.close().unwrap();
}

/// What bash puts on the command line for the last of these words.
#[cfg(unix)]
fn in_bash(shell: &Shell, typed: &str) -> Option<Vec<String>> {
    use std::process::Command;
    let script = shell.ok(&["completions", "bash"]);
    std::fs::write(shell.path("completions.bash"), script).unwrap();
    // `$2` is the word without the quote that opens it.
    let word = typed.trim_start_matches(['"', '\'']);
    let ask = r#"source ./completions.bash 2> /dev/null
        COMP_WORDS=(retold import "$1"); COMP_CWORD=2; COMP_TYPE=9
        _clap_complete_retold retold "$2" import 2> /dev/null
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut paths = vec![assert_cmd::cargo::cargo_bin!("retold").parent().unwrap().to_path_buf()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-c", ask, "bash", typed, word]);
    command.current_dir(shell.path("")).env("PATH", std::env::join_paths(paths).unwrap());
    // Where there is no bash, there is nothing to complete.
    let said = Said::of(command.output().ok()?);
    let offered = said.out.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect();
    Some(offered)
}

#[cfg(unix)]
#[test]
fn names_of_files_reach_bash_in_quotes() {
    let shell = Shell::new();
    for name in ["my notes.jsonl", "my$(id).jsonl", "plain.jsonl"] {
        std::fs::write(shell.path(name), "").unwrap();
    }
    let Some(all) = in_bash(&shell, "my") else { return };
    assert_eq!(all, [r"my\ notes.jsonl", r"my\$\(id\).jsonl"]);
    assert_eq!(in_bash(&shell, r"my\ n").unwrap(), [r"my\ notes.jsonl"]);
    assert_eq!(in_bash(&shell, "\"my n").unwrap(), ["my notes.jsonl"]);
    assert_eq!(in_bash(&shell, "pl").unwrap(), ["plain.jsonl"]);
}
