//! `retold tail` and `retold demo` through the real program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::shell::{Said, Shell, json};

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tail(shell: &Shell, args: &[&str]) -> (Running, impl Iterator<Item = u64> + use<>) {
    let mut command = shell.command(&[&["tail"], args].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (Running(child), lines.map(|l| json(&l.unwrap())["position"].as_u64().unwrap()))
}

#[test]
fn tail_and_append_share_a_file() {
    let shell = Shell::with_a_session();
    let (_running, mut positions) = tail(&shell, &["--all"]);
    for n in 1..=4 {
        assert_eq!(positions.next(), Some(n));
    }
    for n in 5..=24 {
        shell.ok(&["append", if n % 2 == 0 { "s" } else { "t" }, "a.b", "--wait", "20"]);
    }
    assert_eq!(positions.by_ref().take(20).collect::<Vec<_>>(), (5..=24).collect::<Vec<_>>());
    shell.ok(&["append", "s", "a.b", "--wait", "20"]);
    assert_eq!(positions.next(), Some(25));
}

#[test]
fn tail_ends_at_its_count_and_goes_on_from_its_cursor() {
    let shell = Shell::with_a_session();
    let said = shell.run(&["tail", "s/b", "--count", "2"]);
    assert_eq!((said.exit, said.out.lines().count()), (0, 2));
    let cursor = said.err.trim().rsplit(' ').next().unwrap();
    let rest = shell.ok(&["tail", "s/b", "--no-follow", "-q", "--cursor", cursor]);
    assert_eq!(json(rest.trim())["type"], "step.failed");
    let told = shell.fails(7, &["tail", "s", "--no-follow", "--cursor", cursor]);
    assert!(told.contains("this cursor cannot be used here"), "{told}");
    assert!(shell.fails(7, &["tail", "--cursor", "x"]).contains("not a cursor"));
}

#[test]
fn tail_begins_where_it_is_told() {
    let shell = Shell::with_a_session();
    let count = |args: &[&str]| shell.ok(&[&["tail", "--no-follow", "-q"], args].concat()).lines().count();
    assert_eq!(count(&["s"]), 4);
    assert_eq!(count(&["s/main"]), 3);
    assert_eq!(count(&["s/b", "--from", "3"]), 1);
    assert_eq!(count(&["s", "--from", "end"]), 0);
    assert_eq!(count(&["--from", "4"]), 1);
    assert_eq!(count(&["--all", "--type", "*.failed"]), 1);
}

#[test]
fn a_session_that_is_not_there_yet_is_waited_for() {
    let shell = Shell::with_a_session();
    // A name that is nearly that of another: it says that it waits.
    shell.ok(&["append", "laters", "a.b"]);
    let mut command = shell.command(&["tail", "later/main", "--count", "1", "-o", "jsonl"]);
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut said = String::new();
    BufReader::new(child.0.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("does not exist yet, and is waited for"), "{said}");
    shell.ok(&["append", "later", "a.b", "--wait", "20", "-q"]);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert_eq!(json(&lines.next().unwrap().unwrap())["position"], 6);
    assert!(lines.next().is_none());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_tail_properly() {
    let shell = Shell::with_a_session();
    let mut command = shell.command(&["tail", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..4 {
        out.read_line(&mut text).unwrap();
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    while out.read_line(&mut text).unwrap() > 0 {}
    assert!(child.wait().unwrap().success());
    assert_eq!(json(&text).as_array().unwrap().len(), 4);
}

#[test]
fn the_demo_tells_its_story_and_leaves_a_store_to_try() {
    let shell = Shell::new();
    for _ in 0..2 {
        let story = shell.ok(&["demo", "--fast"]);
        assert!(!story.contains('\u{1b}'));
        let parts: Vec<usize> = story.split("\n\n").map(|part| part.lines().count()).collect();
        assert!(parts.iter().all(|lines| *lines <= 40) && parts.iter().sum::<usize>() <= 90, "{parts:?}");
        for told in
            ["8 events acknowledged before the kill", "nothing was lost", "verify: clean", "Try next:"]
        {
            assert!(story.contains(told), "{told}: {story}");
        }
        let commands: Vec<&str> = story.lines().skip_while(|l| *l != "Try next:").skip(1).collect();
        assert_eq!(commands.len(), 3);
        for command in commands {
            let mut shelled = Command::new("sh");
            shelled.args(["-c", command]).current_dir(shell.path(""));
            let said = Said::of(shelled.output().unwrap());
            assert_eq!((said.exit, said.err.as_str()), (0, ""), "{command}");
            assert!(!said.out.is_empty());
        }
    }
    assert!(!shell.store().exists());
}

#[test]
fn the_demo_never_touches_a_store_that_holds_more() {
    let shell = Shell::with_a_session();
    let told = shell.fails(3, &["demo", "--store", "retold.redb"]);
    assert!(told.contains("is not a demo store"), "{told}");
    assert_eq!(shell.head("s"), 3);
    shell.ok(&["demo"]);
    shell.ok(&["append", "fix-login", "message.user", "--store", "retold-demo.redb"]);
    shell.fails(3, &["demo"]);
}

/// What the demo tells about its sessions is the same wherever it is looked at.
#[test]
fn the_story_of_the_demo_agrees_with_itself() {
    let shell = Shell::new();
    shell.ok(&["demo"]);
    let of =
        |args: &[&str]| json(&shell.ok(&[args, &["--store", "retold-demo.redb", "-o", "json"]].concat()));
    let listed = of(&["ls", "--sort", "name"]);
    let card = |n: usize, member: &str| listed[n][member].clone();
    for (n, place, status) in [(0, "fix-login", "failed"), (1, "ship-login", "completed")] {
        assert_eq!((card(n, "session"), card(n, "status")), (place.into(), status.into()));
        let described = of(&["describe", place]);
        let lives = &described["lifecycle"];
        assert_eq!(lives["session"]["phase"], status);
        assert_eq!(lives["odd"], 0, "{}", lives["anomalies"]);
        // What timeline draws ends as describe says, entity by entity.
        let drawn = of(&["timeline", place]);
        for entity in drawn["entities"].as_array().unwrap() {
            let (kind, id) = (entity["kind"].as_str().unwrap(), entity["id"].as_str().unwrap());
            let life = if kind == "session" { &lives["session"] } else { &lives["entities"][kind][id] };
            let last = &entity["spans"].as_array().unwrap().last().unwrap()["phase"];
            assert_eq!(life["phase"], *last, "{place}: {kind} {id}");
        }
    }
    // Both attempts were paid for, and nothing that is listed as completed has anything left running.
    assert_eq!(card(0, "tokens"), 48_200.0 + 17_900.0);
    let better = of(&["describe", "fix-login/test-first"]);
    assert_eq!(
        (&better["lifecycle"]["session"]["phase"], &better["lifecycle"]["odd"]),
        (&"completed".into(), &0.into())
    );
    let spent = &better["session_resource"]["measures"]["tokens"]["sum"];
    assert_eq!(
        (spent, &better["resource"]["measures"]["tokens"]["sum"]),
        (&66_100.0.into(), &17_900.0.into())
    );
}

#[test]
fn events_are_selected_by_when_they_happened_or_by_when_they_were_recorded() {
    let shell = Shell::with_a_session();
    let count = |args: &[&str]| shell.ok(args).lines().count();
    for verb in
        [&["read", "s"][..], &["read", "--all"], &["tail", "s/main", "--no-follow", "-q"], &["alerts"]]
    {
        if verb == ["alerts"] {
            // One of what happened in February, raised now.
            shell.ok(&["append", "s", "alert.due", "--time", "2026-02-03T04:05:09Z"]);
        }
        let with = |args: &[&str]| count(&[verb, &["-o", "jsonl"], args].concat());
        let all = with(&[]);
        assert_eq!((with(&["--since", "1h"]), with(&["--since", "1h", "--recorded"])), (0, all), "{verb:?}");
        assert_eq!(with(&["--since", "2026-02-03T04:05:00Z"]), all, "{verb:?}");
        assert_eq!(with(&["--since", "2999-01-01T00:00:00Z", "--recorded"]), 0, "{verb:?}");
        if verb != ["alerts"] {
            assert_eq!(
                (with(&["--until", "1h"]), with(&["--until", "1h", "--recorded"])),
                (all, 0),
                "{verb:?}"
            );
            assert_eq!(with(&["--until", "2999-01-01T00:00:00Z", "--recorded"]), all, "{verb:?}");
        }
    }
    // Between two of them, by the times that they have.
    let lines = shell.ok(&["read", "s", "-o", "jsonl"]);
    let recorded: Vec<String> =
        lines.lines().map(|line| json(line)["recorded"].as_str().unwrap().to_owned()).collect();
    let since = ["read", "s", "--recorded", "--since", &recorded[1], "--until", &recorded[2], "-o", "jsonl"];
    assert_eq!(json(&shell.ok(&since))["sequence"], 2);
    let last =
        ["read", "s", "--recorded", "--until", &recorded[2], "--reverse", "--limit", "1", "-o", "jsonl"];
    assert_eq!(json(&shell.ok(&last))["sequence"], 2);
    let table = shell.ok(&["read", "s", "--recorded", "-o", "table"]);
    assert!(table.contains("RECORDED") && !table.contains("2026-02-03"), "{table}");
    assert_eq!(count(&["export", "s/main", "--to", "cloudevents", "--since", "1h"]), 0);
    assert!(shell.fails(2, &["export", "s", "--to", "cloudevents", "--recorded"]).contains("--recorded"));
}
