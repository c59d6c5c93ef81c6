//! The program beside an application that has the store open: this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use retold::store::{Builder, Query, Store};

use crate::shell::{Shell, json};

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const LONG: Duration = Duration::from_secs(120);

fn application(shell: &Shell) -> Store {
    Builder::new().program("the application").wait(LONG).open(shell.store()).unwrap()
}

#[test]
fn every_verb_works_while_an_application_has_the_store() {
    let shell = Shell::with_a_session();
    let store = application(&shell);
    std::fs::write(shell.path("in.ndjson"), "{\"session\": \"n\", \"type\": \"a.b\"}\n").unwrap();
    let verbs: [&[&str]; 33] = [
        &["append", "s", "step.done", "--data", "1"],
        &["append", "--ndjson", "in.ndjson"],
        &["read", "s"],
        &["read", "--all", "--reverse"],
        &["tail", "--no-follow", "-q"],
        &["sessions"],
        &["ls"],
        &["describe", "s"],
        &["stats"],
        &["branches", "s"],
        &["fork", "s@1", "c"],
        &["diff", "s", "main", "b"],
        &["adopt", "s/c"],
        &["state", "lifecycle", "s"],
        &["timeline", "s"],
        &["alerts"],
        &["projections"],
        &["rebuild", "lifecycle"],
        &["consumer", "add", "w"],
        &["consumer", "ls"],
        &["consumer", "next", "w"],
        &["consumer", "show", "w"],
        &["consumer", "reset", "w"],
        &["consumer", "rm", "w"],
        &["dead-letters", "ls"],
        &["timers", "add", "s", "a.b", "--after", "1h"],
        &["timers", "ls"],
        &["timers", "run", "--once"],
        &["imports"],
        &["export", "s", "--to", "cloudevents"],
        &["verify"],
        &["types"],
        &["info"],
    ];
    for verb in verbs {
        let said = shell.run(verb);
        assert_eq!(said.exit, 0, "{verb:?}: {}", said.err);
    }
    let info = json(shell.ok(&["info", "-o", "json"]).trim());
    assert_eq!(info["owner"]["pid"], std::process::id());
    assert_eq!(info["owner"]["program"], "the application");
    assert_eq!(info["owner"]["clients"][0]["program"], "retold info");
    assert_eq!(store.maintenance().info().unwrap().events, info["events"].as_u64().unwrap());
}

#[test]
fn tail_prints_what_the_application_records_from_the_first_event_on() {
    let shell = Shell::new();
    let store = application(&shell);
    let mut command = shell.command(&["tail"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _running = Running(child);
    for n in 1..=20u64 {
        let event = retold::event::NewEvent::new("a.b");
        store.append("s", event).unwrap();
        // It comes before the next is recorded.
        assert_eq!(json(&lines.next().unwrap().unwrap())["position"], n);
    }
    // The next owner goes on where this one ended.
    store.close().unwrap();
    shell.ok(&["append", "s", "a.b", "--wait", "60"]);
    assert_eq!(json(&lines.next().unwrap().unwrap())["position"], 21);
}

#[test]
fn lines_of_a_pipe_are_recorded_as_they_arrive() {
    let shell = Shell::new();
    let store = application(&shell);
    let mut following = store.follow(retold::follow::Follow::all()).unwrap().blocking();
    let mut command = shell.command(&["append", "s", "--ndjson", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = child.stdin.take().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut running = Running(child);
    let mut next = || loop {
        if let retold::follow::Followed::Event { event, .. } = following.next().unwrap().unwrap() {
            return event.position().get();
        }
    };
    for n in 1..=10 {
        lines.write_all(b"{\"type\": \"a.b\"}\n").unwrap();
        assert_eq!(next(), n);
    }
    // Many at once, and the last of them not yet complete.
    lines.write_all("{\"type\": \"a.b\"}\n".repeat(1_000).as_bytes()).unwrap();
    lines.write_all(b"{\"type\": ").unwrap();
    for n in 11..=1_010 {
        assert_eq!(next(), n);
    }
    lines.write_all(b"\"a.b\"}").unwrap();
    drop(lines);
    assert_eq!(next(), 1_011);
    let mut said = String::new();
    out.read_to_string(&mut said).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert_eq!(json(&said)["new"], 1_011, "{said}");
}

#[test]
fn a_reader_that_nobody_reads_keeps_no_writer_out() {
    let shell = Shell::new();
    let lines =
        "{\"session\": \"s\", \"type\": \"a.b\", \"data\": \"some text that takes its place in the pipe\"}\n";
    let said = shell.run_with(&["append", "--ndjson", "-"], &lines.repeat(20_000));
    assert_eq!(said.exit, 0, "{}", said.err);
    let mut command = shell.command(&["read", "--all"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let running = Running(child);
    // It prints into a pipe that is full, and has the file no more.
    let store = Builder::new().exclusive().wait(LONG).open(shell.store()).unwrap();
    store.append("s", retold::event::NewEvent::new("a.b")).unwrap();
    store.close().unwrap();
    // And then it goes on.
    let rest = out.lines().map_while(Result::ok).count();
    assert!((19_999..=20_000).contains(&rest), "{rest}");
    drop(running);
}

#[test]
fn several_shells_share_a_consumer_and_each_event_is_theirs_once() {
    let shell = Shell::new();
    let store = application(&shell);
    shell.ok(&["consumer", "add", "w", "--deadline", "600"]);
    for n in 0..24 {
        store.append(format!("s{}", n % 6), retold::event::NewEvent::new("a.b")).unwrap();
    }
    let taken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let said = shell.run(&["consumer", "next", "w", "-o", "json", "--wait", "60"]);
                    if said.exit == 4 {
                        break;
                    }
                    assert_eq!(said.exit, 0, "{}", said.err);
                    let got = json(said.out.trim());
                    let token = got["token"].as_str().unwrap().to_owned();
                    shell.ok(&["consumer", "ack", "w", &token, "--wait", "60"]);
                    taken.lock().unwrap().push(got["event"]["position"].as_u64().unwrap());
                }
            });
        }
    });
    // One that found nothing may have come while others had every branch in their hands.
    let mut taken = taken.into_inner().unwrap();
    loop {
        let said = shell.run(&["consumer", "next", "w", "-o", "json"]);
        if said.exit == 4 {
            break;
        }
        let got = json(said.out.trim());
        shell.ok(&["consumer", "ack", "w", got["token"].as_str().unwrap()]);
        taken.push(got["event"]["position"].as_u64().unwrap());
    }
    taken.sort_unstable();
    assert_eq!(taken, (1..=24).collect::<Vec<_>>());
}

#[test]
fn timers_fire_in_another_process_while_the_application_goes_on() {
    let shell = Shell::new();
    let store = application(&shell);
    let mut command = shell.command(&["timers", "run"]);
    store.append("s", retold::event::NewEvent::new("a.b")).unwrap();
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let _running = Running(child);
    let mut following = store.follow(retold::follow::Follow::all()).unwrap().blocking();
    store
        .timers()
        .schedule("s", retold::event::NewEvent::new("timer.fired"), Duration::from_millis(1))
        .unwrap();
    loop {
        if let retold::follow::Followed::Event { event, .. } = following.next().unwrap().unwrap()
            && event.kind() == "timer.fired"
        {
            break;
        }
    }
    assert_eq!(store.read(&Query::branch("s").unwrap()).unwrap().events.len(), 2);
}
