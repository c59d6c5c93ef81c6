//! What holds for every format.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::testing::{events, plan_of, restored};
use super::super::*;
use crate::event::Catalogue;
use crate::store::Store;

/// The types that a format gives its records, for the formats that have names of their own.
const TABLES: [(Format, &[(&str, &str)]); 10] = [
    (Format::ClaudeCode, &claude_code::record::KINDS),
    (Format::ClaudeStream, &claude_stream::KINDS),
    (Format::Codex, &codex::KINDS),
    (Format::GeminiCli, &gemini_cli::KINDS),
    (Format::Pi, &pi::KINDS),
    (Format::CopilotCli, &copilot_cli::KINDS),
    (Format::OpenHands, &openhands::KINDS),
    (Format::Temporal, &temporal::KINDS),
    (Format::AgUi, &ag_ui::KINDS),
    (Format::Aios, &aios::KINDS),
];

#[test]
fn every_type_that_a_format_gives_is_in_the_catalogue() {
    for (theirs, ours) in TABLES.iter().flat_map(|(_, table)| table.iter()) {
        let known = Catalogue::builtin().find(ours).map(|t| t.name());
        assert_eq!(known, Some(*ours), "{theirs}");
    }
}

#[test]
fn the_docs_list_the_mapping_of_each_format() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/import.md")).unwrap();
    for (format, table) in TABLES {
        let mut types: Vec<(&str, Vec<String>)> = Vec::new();
        for (theirs, ours) in table {
            let theirs = format!("`{theirs}`");
            match types.iter_mut().find(|(name, _)| name == ours) {
                Some((_, all)) => all.push(theirs),
                None => types.push((*ours, vec![theirs])),
            }
        }
        let types: Vec<String> =
            types.into_iter().map(|(ours, theirs)| format!("`{ours}` from {}", theirs.join(", "))).collect();
        let row = format!("| `{format}` | {} |", types.join("; "));
        assert!(docs.lines().any(|line| line == row), "docs/import.md should have this row:\n{row}");
    }
}

#[test]
fn what_is_no_known_format_is_refused_with_the_way_out() {
    for file in ["", "hello\n", "{}", "[1,2]", "[]"] {
        let e = parse("d/f.txt", &Bytes::from(file), &Options::default()).unwrap_err();
        assert!(e.to_string().contains("f.txt") && e.to_string().contains("claude-code"), "{e}");
    }
    assert_eq!("nope".parse::<Format>().unwrap_err().field, "format");
    for format in Format::ALL {
        assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
    }
}

#[test]
fn events_without_a_time_have_that_of_the_import_in_every_format() {
    let now = crate::event::Timestamp::from_micros(1_800_000_000_000_000);
    for (format, line) in [
        (Format::CloudEvents, r#"{"specversion":"1.0","id":"1","source":"a","type":"t"}"#),
        (Format::ClaudeCode, r#"{"type":"user","uuid":"u","sessionId":"s"}"#),
        (Format::OpenHands, r#"{"id":1,"timestamp":"?","source":"user","action":"run"}"#),
        (Format::Temporal, r#"{"eventId":"1","eventType":"TimerFired"}"#),
        (Format::Aios, r#"{"event_id":"e","session_id":"s","kind":{"type":"RunStarted"}}"#),
        (Format::Retold, r#"{"session":"s","type":"a"}"#),
        (Format::Codex, r#"{"type":"message","role":"user","content":[]}"#),
        (Format::GeminiCli, r#"{"type":"user","content":"x","timestamp":"?"}"#),
        (Format::ClaudeStream, r#"{"type":"result","subtype":"success","session_id":"s"}"#),
        (Format::Pi, r#"{"type":"message","id":"a","parentId":null,"message":{"role":"user"}}"#),
        (Format::Ndjson, r#"{"a":1}"#),
        (Format::AgUi, r#"{"type":"RUN_STARTED","threadId":"t","runId":"r"}"#),
        (Format::CopilotCli, r#"{"type":"abort","id":"a","data":{}}"#),
    ] {
        let options = Options::default().now(now).format(Some(format));
        let plan = parse("x", &Bytes::from(line), &options).unwrap();
        let event = events(&plan).next().map(|(_, e)| e.clone());
        let event = event.unwrap_or_else(|| panic!("{format}: {:?}", plan.skipped));
        assert_eq!((event.occurred, plan.timeless), (now, 1), "{format}");
        // One of our lines is the event itself, and nothing is added to it.
        let noted = event.metadata.get(source::TIME).map(String::as_str);
        assert_eq!(noted, (format != Format::Retold).then_some("import"), "{format}");
        let store = Store::in_memory().unwrap();
        let loaded = load(&store, plan.clone(), &mut |_| {}).unwrap();
        assert_eq!((loaded.timeless, loaded.notes.len()), (1, 0));
        assert_eq!(load(&store, plan, &mut |_| {}).unwrap().timeless, 0);
    }
}

#[test]
fn a_record_over_the_limit_is_reported_and_the_rest_goes_in() {
    let file = format!(
        "{{\"id\":1,\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"user\",\"action\":\"message\",\"args\":{{}},\"x\":\"{}\"}}\n{{\"id\":2,\"timestamp\":\"2026-01-01T00:00:00\",\"source\":\"user\",\"action\":\"message\",\"args\":{{}}}}\n",
        "x".repeat(200)
    );
    let options = Options::default().max_payload(150);
    let plan = parse("x.jsonl", &Bytes::from(file), &options).unwrap();
    assert_eq!((plan.events(), plan.skipped.len()), (1, 1));
    assert!(plan.skipped[0].reason.contains("150"), "{}", plan.skipped[0].reason);
}

proptest! {
    #[test]
    fn any_array_comes_back(
        ids in prop::collection::vec((0u32..50, "[ \n\t]{0,3}", "[ \n\t]{0,3}"), 1..20),
        (head, tail) in prop::sample::select(vec![("", ""), ("{\"events\":", "}"), ("{\"x\":{\"history\":", ",\"n\":[]}}\n")]),
        temporal: bool,
    ) {
        let records: Vec<String> = ids.iter().map(|(id, a, b)| match temporal {
            true => format!("{a}{{\"eventId\":\"{id}\",{b}\"eventType\":\"TimerFired\"}}{b}"),
            false => format!("{a}{{\"id\":{id},\"timestamp\":\"2026-01-01T00:00:00\",{b}\"source\":\"agent\",\"action\":\"run\",\"args\":{{}}}}{b}"),
        }).collect();
        let file = format!("{head}[{}]{tail}", records.join(","));
        let plan = plan_of("t.json", &file);
        prop_assert_eq!(plan.format, if temporal { Format::Temporal } else { Format::OpenHands });
        prop_assert_eq!(restored(&plan), file);
    }

    #[test]
    fn no_bytes_panic_any_parser(bytes: Vec<u8>, text in "[\\[\\]{}\",:0-9a-z \n]{0,200}") {
        for format in Format::ALL {
            let options = Options::default().format(Some(format));
            for input in [&bytes[..], text.as_bytes()] {
                let plan = parse("f", &Bytes::copy_from_slice(input), &options).unwrap();
                prop_assert_eq!(plan.records, plan.events() + plan.skipped.len() + plan.duplicates);
            }
        }
        let _ = Format::detect("f", &bytes);
    }
}
