//! Imports through the real program: what becomes a session, what is told, and what is given back.

use std::io::Write;
use std::process::Stdio;

use crate::shell::{Said, Shell, json};

fn event(id: u64, said: &str) -> String {
    format!(
        "{{\"id\":{id},\"timestamp\":\"2026-01-01T00:00:{:02}\",\"source\":\"agent\",\"action\":\"run\",\"args\":\"{said}\"}}",
        id % 60
    )
}

fn trajectory(said: &str) -> String {
    format!("[\n{},\n{}\n]\n", event(0, said), event(1, said))
}

fn line(n: u32) -> String {
    let parent = if n == 1 { "null".to_owned() } else { format!("\"u{}\"", n - 1) };
    format!(
        "{{\"sessionId\":\"s\",\"uuid\":\"u{n}\",\"parentUuid\":{parent},\"type\":\"user\",\"message\":{{\"content\":\"w{n}\"}}}}\n"
    )
}

fn write(shell: &Shell, name: &str, bytes: impl AsRef<[u8]>) {
    let path = shell.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn sessions(shell: &Shell) -> Vec<String> {
    let listed = shell.ok(&["sessions"]);
    listed.lines().map(|l| json(l)["session"].as_str().unwrap().to_owned()).collect()
}

/// What an import reports, file by file. In each, the records are what is new, what is known and what was skipped.
fn reports(said: &Said) -> Vec<serde_json::Value> {
    let reports: Vec<serde_json::Value> = said.out.lines().map(json).collect();
    for r in &reports {
        let n = |name: &str| r[name].as_u64().unwrap();
        let skipped = r["skipped"].as_array().unwrap().len() as u64;
        assert_eq!(n("records"), n("new") + n("duplicates") + skipped, "{r}");
        assert_eq!(n("events"), n("new") + n("duplicates"), "{r}");
    }
    reports
}

#[test]
fn two_files_of_one_name_are_two_sessions_and_both_come_back() {
    let shell = Shell::new();
    write(&shell, "run-a/t.json", trajectory("a"));
    write(&shell, "run-b/t.json", trajectory("b"));
    for args in [&["run-a/t.json", "run-b/t.json"][..], &["."], &["./run-b/../run-a/t.json"]] {
        let said = shell.run(&[&["import"], args].concat());
        assert_eq!((said.exit, said.err.as_str()), (0, ""));
        reports(&said);
        assert_eq!(sessions(&shell), ["run-a-t", "run-b-t"], "{args:?}");
        assert_eq!((shell.head("run-a-t"), shell.head("run-b-t")), (2, 2));
    }
    shell.ok(&["export", "--to", "source", "run-b-t"]);
    assert_eq!(shell.run(&["export", "--to", "source", "--out", "back/"]).exit, 0);
    for name in ["run-a/t.json", "run-b/t.json"] {
        let back = std::fs::read(shell.path("back").join(name)).unwrap();
        assert!(back == std::fs::read(shell.path(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_second_file_of_a_name_gets_its_folder_in_front_whenever_it_comes() {
    let shell = Shell::new();
    write(&shell, "run-a/t.json", trajectory("a"));
    write(&shell, "run-b/t.json", trajectory("b"));
    write(&shell, "x/run-b/t.json", trajectory("c"));
    for (file, all) in [
        ("run-a/t.json", &["t"][..]),
        ("run-b/t.json", &["run-b-t", "t"]),
        ("run-a/t.json", &["run-b-t", "t"]),
        ("x/run-b/t.json", &["run-b-t", "t", "x-run-b-t"]),
        ("run-b/t.json", &["run-b-t", "t", "x-run-b-t"]),
    ] {
        shell.ok(&["import", file]);
        assert_eq!(sessions(&shell), all, "{file}");
    }
    assert!(sessions(&shell).iter().all(|s| shell.head(s) == 2));
    // The session of somebody else is left alone.
    shell.ok(&["append", "mine", "step.done"]);
    write(&shell, "y/mine.json", trajectory("d"));
    shell.ok(&["import", "y/mine.json"]);
    assert_eq!((shell.head("mine"), shell.head("y-mine")), (1, 2));
}

#[test]
fn a_file_that_was_moved_goes_on_with_its_session() {
    let shell = Shell::new();
    write(&shell, "a/t.json", trajectory("a"));
    shell.ok(&["import", "a/t.json"]);
    write(&shell, "b/t.json", format!("[\n{},\n{},\n{}\n]\n", event(0, "a"), event(1, "a"), event(2, "a")));
    let said = shell.run(&["import", "b/t.json"]);
    assert!(
        said.err.contains("b/t.json: has the same records as ") && said.err.contains("a/t.json"),
        "{}",
        said.err
    );
    assert_eq!(reports(&said)[0]["new"], 1);
    assert_eq!(sessions(&shell), ["t"]);
}

#[test]
fn a_folder_of_files_with_one_event_each_is_one_session_in_the_order_of_their_numbers() {
    let shell = Shell::new();
    for n in 0..12 {
        write(&shell, &format!("conversation/events/{n}.json"), event(n, "x"));
    }
    write(&shell, "conversation/events/notes.txt", "no record");
    for _ in 0..2 {
        let said = shell.run(&["import", "conversation"]);
        assert_eq!((said.exit, reports(&said).len()), (0, 12), "{}", said.err);
        assert_eq!(sessions(&shell), ["conversation"]);
        let read = shell.ok(&["read", "conversation"]);
        let ids: Vec<u64> = read.lines().map(|l| json(l)["data"]["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (0..12).collect::<Vec<_>>());
    }
    assert_eq!(shell.run(&["export", "conversation", "--to", "source", "--out", "back/"]).exit, 0);
    for n in 0..12 {
        assert_eq!(std::fs::read_to_string(shell.path(&format!("back/{n}.json"))).unwrap(), event(n, "x"));
    }
    write(&shell, "empty/readme.txt", "");
    assert!(shell.fails(4, &["import", "empty"]).contains("empty"));
}

#[test]
fn every_run_in_a_file_is_a_session_and_the_sum_adds_up() {
    let shell = Shell::new();
    let run = |name: &str| {
        format!("{{\"instance_id\":\"{name}\",\"history\":{}}}\n", trajectory(name).replace('\n', ""))
    };
    write(&shell, "all.jsonl", run("a") + &run("b") + "no run\n" + &run("c"));
    let said = shell.run(&["import", "all.jsonl"]);
    assert_eq!(said.exit, 7);
    assert!(said.err.contains("all.jsonl:3: byte "), "{}", said.err);
    assert_eq!(reports(&said)[0]["records"], 7);
    assert_eq!(sessions(&shell), ["all.a", "all.b", "all.c"]);
    let back = shell.ok(&["export", "--to", "source"]);
    assert!(back.as_bytes() == std::fs::read(shell.path("all.jsonl")).unwrap());
    assert!(
        shell.fails(7, &["import", "--strict", "all.jsonl"]).contains("nothing of all.jsonl was written")
    );
}

#[test]
fn an_export_of_several_workflows_is_a_session_for_each_history() {
    let shell = Shell::new();
    let history = |workflow: &str| {
        let event = |id: u32, kind: &str, rest: &str| {
            format!(
                "{{\"eventId\":\"{id}\",\"eventTime\":\"2026-01-01T00:00:0{id}Z\",\"eventType\":\"EVENT_TYPE_{kind}\"{rest}}}"
            )
        };
        let started = format!(
            ",\"workflowExecutionStartedEventAttributes\":{{\"workflowId\":\"{workflow}\",\"originalExecutionRunId\":\"r\"}}"
        );
        let events = [
            event(1, "WORKFLOW_EXECUTION_STARTED", &started),
            event(2, "WORKFLOW_TASK_SCHEDULED", ""),
            event(3, "WORKFLOW_EXECUTION_COMPLETED", ""),
        ];
        format!("{{\"history\":{{\"events\":[{}]}},\"namespace\":\"n\"}}", events.join(","))
    };
    let file = format!("{{\"items\":[\n{},\n{}]}}\n", history("wf-a"), history("wf-b"));
    write(&shell, "cloud.json", &file);
    let reported = reports(&shell.run(&["import", "cloud.json"]));
    assert_eq!(
        (&reported[0]["format"], &reported[0]["new"]),
        (&"temporal".into(), &6.into()),
        "{reported:?}"
    );
    assert_eq!(sessions(&shell), ["wf-a.r", "wf-b.r"]);
    assert_eq!(shell.ok(&["export", "--to", "source"]), file);
}

#[test]
fn whole_records_of_a_damaged_file_go_in_and_the_damage_comes_back() {
    let shell = Shell::new();
    let file = [line(1).trim(), &line(2), "\0\0\0", &line(3), &line(4)[..40], &line(5), &line(6)].concat();
    write(&shell, "d.jsonl", &file);
    let said = shell.run(&["import", "d.jsonl"]);
    let (nul, cut) = (line(1).len() + line(2).len(), line(1).len() + line(2).len() + 3 + line(3).len());
    assert_eq!(said.exit, 7);
    assert!(said.err.contains(&format!("d.jsonl:2: byte {nul}: is damaged: 3 NUL bytes")), "{}", said.err);
    assert!(said.err.contains(&format!("d.jsonl:3: byte {cut}: is not JSON")), "{}", said.err);
    assert!(said.err.contains("a record stands behind another on one line"), "{}", said.err);
    assert_eq!((&reports(&said)[0]["new"], &reports(&said)[0]["records"]), (&5.into(), &7.into()));
    assert!(shell.run(&["export", "--to", "source"]).out == file);
}

#[test]
fn a_file_that_changed_is_told_and_every_import_comes_back() {
    let shell = Shell::new();
    let files = [
        line(1) + &line(2) + &line(3),
        line(1) + &line(2) + &line(3) + &line(4),
        "{\"type\":\"summary\",\"summary\":\"x\"}\n".to_owned() + &line(1) + &line(4),
    ];
    let mut told = Vec::new();
    for file in [&files[0], &files[0], &files[1], &files[2]] {
        write(&shell, "t.jsonl", file);
        let said = shell.run(&["import", "t.jsonl"]);
        reports(&said);
        told.push(said.err);
        assert!(shell.ok(&["export", "--to", "source"]) == *file);
        assert!(shell.ok(&["export", "s", "--to", "source"]) == *file);
    }
    assert_eq!(told[..3], ["", "", ""]);
    assert_eq!(
        told[3],
        "t.jsonl: changed since import 2: 1 new before older ones, 0 moved, 2 gone; events of missing records are kept\n"
    );
    for (n, file) in files.iter().enumerate() {
        let n = (n + 1).to_string();
        assert!(shell.ok(&["export", "--to", "source", "--import", &n]) == *file);
    }
    let listed: Vec<serde_json::Value> = shell.ok(&["imports", "t.jsonl"]).lines().map(json).collect();
    assert_eq!(listed.iter().map(|l| l["import"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((&listed[2]["changed"]["gone"], &listed[2]["sessions"][0]), (&2.into(), &"s".into()));
    assert_eq!(shell.ok(&["imports", "other.jsonl"]), "");
    assert!(shell.fails(4, &["export", "--to", "source", "--import", "9"]).contains("import 9"));
    assert!(shell.fails(2, &["export", "s", "--to", "source", "--import", "1"]).contains("--import"));
    shell.ok(&["verify"]);
}

#[test]
fn two_different_files_on_standard_input_are_two_sessions() {
    let shell = Shell::new();
    for (said, new) in [("a", 2), ("b", 2), ("a", 0)] {
        let report = shell.run_with(&["import", "-"], &trajectory(said));
        assert_eq!(reports(&report)[0]["new"], new, "{said}");
    }
    assert_eq!(sessions(&shell), ["standard input", "standard input-2"]);
}

#[cfg(unix)]
#[test]
fn a_file_of_which_nothing_can_be_read_leaves_no_store() {
    let shell = Shell::new();
    write(&shell, "t.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    let said = shell.run(&["import", "--from", "cloudevents", "t.jsonl"]);
    assert_eq!(said.exit, 7, "{}", said.err);
    assert!(said.err.contains("t.jsonl: no record can be read as cloudevents"), "{}", said.err);
    assert_eq!(reports(&said)[0]["records"], 2);
    assert!(!shell.store().exists());
    // Beside a file that can be read it is no different.
    write(&shell, "good.json", trajectory("a"));
    let said = shell.run(&["import", "good.json", "t.jsonl"]);
    assert_eq!(said.exit, 7, "{}", said.err);
    assert!(shell.store().exists());
}

#[test]
fn an_import_that_is_interrupted_says_what_was_kept() {
    let shell = Shell::new();
    let mut child = shell
        .command(&["import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A pipe does not hold so much: when this returns, the program reads.
    let record = line(1).repeat(20_000);
    input.write_all(record.as_bytes()).unwrap();
    let id = i32::try_from(child.id()).unwrap();
    interrupt(id);
    // It looks up with the next bytes that come.
    while input.write_all(line(1).as_bytes()).is_ok() {}
    drop(input);
    let said = Said::of(child.wait_with_output().unwrap());
    assert_eq!(said.exit, 130, "{}", said.err);
    assert!(
        said.err.contains("interrupted while reading standard input; nothing of it was written"),
        "{}",
        said.err
    );
    assert!(!shell.store().exists());
}

#[cfg(unix)]
fn interrupt(id: i32) {
    let status = std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_compressed_file_is_the_one_that_it_was_packed_from() {
    let shell = Shell::new();
    let pack = |text: &str| {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    };
    let record = |n: u32, what: &str, payload: &str| {
        format!(
            "{{\"timestamp\":\"2026-01-02T03:04:{n:02}.000Z\",\"type\":\"{what}\",\"payload\":{payload}}}\n"
        )
    };
    let asks = |n, text: &str| {
        record(n, "event_msg", &format!("{{\"type\":\"user_message\",\"message\":\"{text}\"}}"))
    };
    let file = record(0, "session_meta", "{\"id\":\"x-1\"}") + &asks(1, "one");
    let grown = file.clone() + &asks(2, "two");
    write(&shell, "s/rollout-1.jsonl.zst", pack(&file));
    for new in [2, 0] {
        let said = shell.run(&["import", "s"]);
        assert_eq!((said.exit, reports(&said)[0]["new"].as_u64(), said.err.as_str()), (0, Some(new), ""));
        assert_eq!(sessions(&shell), ["x-1"]);
        assert_eq!(shell.ok(&["export", "--to", "source"]), file);
    }
    // Codex unpacks a rollout to go on with it, and may leave the packed one for a moment.
    write(&shell, "s/rollout-1.jsonl", &grown);
    let said = shell.run(&["import", "s"]);
    let reports = reports(&said);
    assert_eq!((reports.len(), &reports[0]["new"], said.err.as_str()), (1, &1.into(), ""));
    assert_eq!(shell.ok(&["export", "--to", "source"]), grown);
    assert_eq!(shell.ok(&["imports"]).lines().count(), 2);
    // From a pipe, and what cannot be unpacked.
    let other = file.replace("x-1", "x-2");
    let mut packed = pack(&other);
    let said = shell.run_with(&["import", "-"], &packed);
    assert_eq!((said.exit, shell.head("x-2")), (0, 2), "{}", said.err);
    packed.truncate(packed.len() / 2);
    write(&shell, "half.jsonl.zst", &packed);
    let said = shell.fails(7, &["import", "half.jsonl.zst"]);
    assert!(said.contains("half.jsonl.zst cannot be unpacked"), "{said}");
}

#[test]
fn a_compressed_file_is_known_by_its_name_in_any_folder_and_case() {
    let shell = Shell::new();
    let pack = |text: &str| {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    };
    // Two runs of one name, one of them compressed, and a folder that is called like a file.
    write(&shell, "s/run.json", trajectory("a"));
    write(&shell, "s/deep/run.JSON.Zst", pack(&trajectory("b")));
    write(&shell, "s/only.json.zst", pack(&trajectory("c")));
    std::fs::create_dir_all(shell.path("s/only.json")).unwrap();
    for new in [2, 0] {
        let said = shell.run(&["import", "s"]);
        assert_eq!((said.exit, said.err.as_str()), (0, ""));
        assert!(reports(&said).iter().all(|report| report["new"] == new), "{}", said.out);
        assert_eq!(sessions(&shell), ["deep-run", "only", "s-run"]);
    }
    // A pattern in a shell gives both a file and its compressed copy, which may be older.
    write(&shell, "t/log.json", trajectory("d"));
    write(&shell, "t/log.json.zst", pack(&format!("[{}]", event(0, "d"))));
    let said = shell.run(&["import", "t/log.json", "t/log.json.zst"]);
    assert_eq!((said.exit, reports(&said).len()), (0, 1), "{}", said.err);
}

#[test]
fn a_conversation_of_openhands_is_read_from_its_folder_with_its_branches() {
    let shell = Shell::new();
    let file = |n: u32, parent: Option<u32>| {
        let parent = parent.map_or_else(String::new, |parent| format!("\"parent_id\":\"0000000{parent}\","));
        format!(
            "{{\"id\":\"0000000{n}\",\"timestamp\":\"2026-01-02T03:04:0{n}\",\"source\":\"user\",{parent}\"kind\":\"MessageEvent\"}}"
        )
    };
    let events = [(0, None), (1, Some(0)), (2, Some(1)), (3, Some(0)), (4, Some(3))];
    for (n, parent) in events {
        write(&shell, &format!("all/7c/events/event-0000{n}-0000000{n}.json"), file(n, parent));
    }
    write(&shell, "all/7c/base_state.json", "{\"id\":\"7c\",\"agent\":{}}");
    write(&shell, "all/7c/event_cache/0-25.json", format!("[{}]", file(0, None)));
    write(&shell, "all/8d/events/event-00000-00000000.json", file(0, None));
    write(&shell, "all/8d/events/event-00001-00000001.json", file(1, Some(0)));
    for new in [7, 0] {
        let said = shell.run(&["import", "all"]);
        assert_eq!((said.exit, said.err.as_str()), (0, ""));
        let reports = reports(&said);
        assert_eq!(reports.iter().map(|r| r["new"].as_u64().unwrap()).sum::<u64>(), new);
        assert_eq!(reports.len(), 7);
        assert_eq!(sessions(&shell), ["7c", "8d"]);
    }
    // What was written last is what people mean by the session.
    let read = |address: &str| -> Vec<String> {
        let read = shell.run(&["read", address]);
        assert_eq!(read.exit, 0, "{}", read.err);
        read.out.lines().map(|l| json(l)["data"]["id"].as_str().unwrap()[7..].to_owned()).collect()
    };
    assert_eq!((read("7c/main"), read("7c")), (own(&["0", "1", "2"]), own(&["0", "3", "4"])));
    assert_eq!(shell.run(&["export", "7c", "--to", "source", "--out", "back/"]).exit, 0);
    for (n, parent) in events {
        let name = format!("back/event-0000{n}-0000000{n}.json");
        assert_eq!(std::fs::read_to_string(shell.path(&name)).unwrap(), file(n, parent));
    }
    // A file that cannot be read costs only itself.
    write(&shell, "all/7c/events/event-00005-00000005.json", "{\"id\":");
    write(&shell, "all/7c/events/event-00006-00000006.json", file(6, Some(5)));
    let said = shell.run(&["import", "all"]);
    assert!(said.exit == 7 && said.err.contains("event-00005-00000005.json"), "{}", said.err);
    assert!(said.err.contains("event-00006-00000006.json: its first event follows one"), "{}", said.err);
    assert_eq!(read("7c"), own(&["0", "3", "4", "6"]));
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn forks_of_a_pi_session_and_forks_of_those_are_branches_of_it() {
    let shell = Shell::new();
    let head = |id: &str, minute: u32, parent: &str| {
        let parent = match parent {
            "" => String::new(),
            parent => format!("\"parentSession\":\"/s/2026-01-02T03-0{}_{parent}.jsonl\",", minute - 1),
        };
        format!(
            "{{\"type\":\"session\",\"version\":3,\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:0{minute}:00.000Z\",{parent}\"cwd\":\"/x\"}}\n"
        )
    };
    let entry = |id: &str, minute: u32, parent: &str| {
        let parent = if parent.is_empty() { "null".to_owned() } else { format!("\"{parent}\"") };
        format!(
            "{{\"type\":\"message\",\"id\":\"{id}\",\"parentId\":{parent},\"timestamp\":\"2026-01-02T03:0{minute}:30.000Z\",\"message\":{{\"role\":\"user\",\"content\":\"{id}\"}}}}\n"
        )
    };
    let (a, b, c) = (entry("a", 1, ""), entry("b", 1, "a"), entry("c", 2, "a"));
    let files = [
        ("s/2026-01-02T03-01_p-1.jsonl", head("p-1", 1, "") + &a + &b),
        ("s/2026-01-02T03-02_p-2.jsonl", head("p-2", 2, "p-1") + &a + &c),
        ("s/2026-01-02T03-03_p-3.jsonl", head("p-3", 3, "p-2") + &a + &c + &entry("d", 3, "c")),
    ];
    for (name, text) in &files {
        write(&shell, name, text);
    }
    for new in [5, 0] {
        let said = shell.run(&["import", "s"]);
        assert_eq!((said.exit, said.err.as_str()), (0, ""));
        assert_eq!(reports(&said).iter().map(|r| r["new"].as_u64().unwrap()).sum::<u64>(), new);
        assert_eq!(sessions(&shell), ["p-1"]);
        let heads = ["p-1", "p-1/main", "p-1/p-2", "p-1/p-3"].map(|place| shell.head(place));
        assert_eq!(heads, [3, 3, 3, 4]);
    }
    assert_eq!(shell.run(&["export", "--to", "source", "--out", "back/"]).exit, 0);
    for (name, text) in files {
        let back = shell.path("back").join(name.trim_start_matches("s/"));
        assert_eq!(std::fs::read_to_string(back).unwrap(), text);
    }
}
