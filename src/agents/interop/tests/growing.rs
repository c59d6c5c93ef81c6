//! Files of every format that grow: imported again and again they are the same as at once.

use std::collections::BTreeSet;

use super::super::testing::{all, branches, imported, plan_of};
use super::super::*;
use crate::event::EventId;
use crate::store::Store;

const TIME: &str = "\"timestamp\":\"2026-01-02T03:04:05.000Z\"";

/// For each format, a file of lines that repeats none.
fn files() -> Vec<(Format, &'static str, Vec<String>)> {
    let codex = |what: &str, payload: &str| format!("{{{TIME},\"type\":\"{what}\",\"payload\":{payload}}}\n");
    let asks =
        |text: &str| codex("event_msg", &format!("{{\"type\":\"user_message\",\"message\":\"{text}\"}}"));
    let gemini = |id: &str, what: &str| {
        format!("{{\"id\":\"{id}\",{TIME},\"type\":\"{what}\",\"content\":\"{id}\"}}\n")
    };
    let stream = |what: &str, rest: &str| format!("{{\"type\":\"{what}\",\"session_id\":\"r\",{rest}}}\n");
    let pi = |id: &str, parent: &str| {
        format!(
            "{{\"type\":\"message\",\"id\":\"{id}\",\"parentId\":\"{parent}\",{TIME},\"message\":{{\"role\":\"user\",\"content\":\"{id}\"}}}}\n"
        )
    };
    let copilot = |id: &str, parent: &str, what: &str| {
        format!(
            "{{\"type\":\"{what}\",\"data\":{{\"sessionId\":\"c\"}},\"id\":\"{id}\",{TIME},\"parentId\":\"{parent}\"}}\n"
        )
    };
    let openhands = |id: &str, parent: &str| {
        let parent = if parent.is_empty() { String::new() } else { format!("\"parent_id\":\"{parent}\",") };
        format!("{{\"id\":\"{id}\",{TIME},\"source\":\"user\",{parent}\"kind\":\"MessageEvent\"}}\n")
    };
    vec![
        (
            Format::OpenHands,
            "n.jsonl",
            vec![
                openhands("a", ""),
                openhands("b", "a"),
                openhands("c", "b"),
                openhands("d", "b"),
                openhands("e", "d"),
                openhands("f", "a"),
                openhands("g", "c"),
            ],
        ),
        (
            Format::Codex,
            "rollout-1.jsonl",
            vec![
                codex("session_meta", "{\"id\":\"x\"}"),
                asks("a"),
                asks("b"),
                asks("c"),
                codex("event_msg", "{\"type\":\"thread_rolled_back\",\"num_turns\":2}"),
                asks("d"),
                asks("e"),
                codex("event_msg", "{\"type\":\"thread_rolled_back\",\"num_turns\":1}"),
                asks("f"),
            ],
        ),
        (
            Format::GeminiCli,
            "session-1.jsonl",
            vec![
                "{\"sessionId\":\"g\",\"projectHash\":\"h\",\"startTime\":\"2026-01-02T03:04:05.000Z\"}\n"
                    .to_owned(),
                gemini("a", "user"),
                gemini("b", "gemini"),
                gemini("c", "user"),
                "{\"$rewindTo\":\"c\"}\n".to_owned(),
                gemini("d", "user"),
                gemini("e", "gemini"),
                "{\"$rewindTo\":\"a\"}\n".to_owned(),
                gemini("f", "user"),
            ],
        ),
        (
            Format::ClaudeStream,
            "out.jsonl",
            vec![
                stream("system", "\"subtype\":\"init\",\"tools\":[]"),
                stream("system", "\"subtype\":\"status\""),
                stream("system", "\"subtype\":\"status\""),
                stream("user", "\"parent_tool_use_id\":\"toolu_1\",\"message\":{\"content\":\"x\"}"),
                stream("result", "\"subtype\":\"success\""),
            ],
        ),
        (
            Format::Pi,
            "p.jsonl",
            vec![
                format!("{{\"type\":\"session\",\"version\":3,\"id\":\"p\",{TIME},\"cwd\":\"/\"}}\n"),
                pi("a", "x").replace("\"x\"", "null"),
                pi("b", "a"),
                pi("c", "b"),
                pi("d", "b"),
                pi("e", "d"),
                pi("f", "a"),
                pi("g", "c"),
            ],
        ),
        (
            Format::CopilotCli,
            "events.jsonl",
            vec![
                copilot("0", "x", "session.start"),
                copilot("1", "0", "user.message"),
                copilot("2", "1", "assistant.message"),
                copilot("3", "2", "user.message"),
                copilot("4", "3", "assistant.message"),
                copilot("5", "2", "user.message"),
                copilot("6", "5", "assistant.message"),
            ],
        ),
    ]
}

/// Every line of history from its first event to its last, whatever its branch is called.
fn histories(store: &Store) -> BTreeSet<Vec<EventId>> {
    let all: BTreeSet<_> = branches(store).into_iter().map(|(_, ids)| ids).collect();
    let is_part =
        |line: &Vec<EventId>| all.iter().any(|other| other.len() > line.len() && other.starts_with(line));
    all.iter().filter(|line| !is_part(line)).cloned().collect()
}

#[test]
fn a_file_that_grows_is_the_same_as_at_once_and_comes_back() {
    for (format, name, lines) in files() {
        let whole = lines.concat();
        assert_eq!(Format::detect(name, whole.as_bytes()), Some(format));
        let once = imported(&[(name, &whole)]);
        assert_eq!(all(&once).len(), lines.len(), "{format}");
        for cut in 1..lines.len() {
            let part = lines[..cut].concat();
            let grown = imported(&[(name, &part), (name, &whole), (name, &whole)]);
            assert_eq!(histories(&once), histories(&grown), "{format} cut after {cut}");
            let (files, _) = export_sources(&grown, &ExportScope::All, &mut |_| {}).unwrap();
            assert_eq!(files.len(), 1);
            assert_eq!(String::from_utf8_lossy(&files[0].bytes), whole, "{format} cut after {cut}");
        }
    }
}

#[test]
fn a_branch_keeps_its_name_and_its_events_when_its_file_grows() {
    for (format, name, lines) in files() {
        let store = Store::in_memory().unwrap();
        let mut before: Vec<(String, Vec<EventId>)> = Vec::new();
        for end in 1..=lines.len() {
            let part = lines[..end].concat();
            for new in [1, 0] {
                let loaded = load(&store, plan_of(name, &part), &mut |_| {}).unwrap();
                assert_eq!(loaded.new, new, "{format} at line {end}");
                let now = branches(&store);
                for (branch, ids) in &before {
                    let is_kept =
                        |(name, all): &(String, Vec<EventId>)| name == branch && all.starts_with(ids);
                    assert!(now.iter().any(is_kept), "{format} at line {end}: {branch}");
                }
                assert!(new == 1 || now == before, "{format} at line {end}");
                before = now;
            }
        }
        let is_named = |(branch, _): &(String, Vec<EventId>)| {
            let (_, branch) = branch.split_once('/').unwrap();
            branch == "main" || branch.strip_prefix("side-").is_some_and(|id| id.len() == 8)
        };
        assert!(
            before.iter().all(is_named),
            "{format}: {:?}",
            before.iter().map(|(b, _)| b).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_broken_line_costs_only_itself_and_is_named() {
    for (format, name, lines) in files() {
        for broken in 1..lines.len() {
            let mut lines = lines.clone();
            lines[broken].truncate(10);
            lines[broken].push('\n');
            let whole = lines.concat();
            let plan = plan_of(name, &whole);
            assert_eq!(
                (plan.format, plan.events(), plan.skipped.len()),
                (format, lines.len() - 1, 1),
                "{broken}"
            );
            assert_eq!(plan.skipped[0].line, broken + 1);
            let store = Store::in_memory().unwrap();
            load(&store, plan, &mut |_| {}).unwrap();
            let (files, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
            assert_eq!(String::from_utf8_lossy(&files[0].bytes), whole, "{format} broken at {broken}");
        }
    }
}
