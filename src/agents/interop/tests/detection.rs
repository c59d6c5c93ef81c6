//! Which format a file is taken for.

use bytes::Bytes;

use super::super::{Format, Options, parse};

/// A small file of each format that is detected, in the ways in which its program writes it.
const OWN: [(Format, &str); 27] = [
    (Format::Retold, r#"{"session":"s","type":"page.viewed","data":{"url":"/"}}"#),
    (Format::CloudEvents, r#"{"specversion":"1.0","id":"1","source":"/a","type":"t"}"#),
    (Format::CloudEvents, r#"{"batch":[{"specversion":"1.0","id":"1","source":"/a","type":"t"}]}"#),
    (Format::Aios, r#"{"event_id":"e","session_id":"s","kind":{"type":"RunStarted"}}"#),
    (Format::Temporal, r#"{"events":[{"eventId":"1","eventType":"TimerFired"}]}"#),
    (Format::Temporal, r#"[{"event_id":"1","event_type":"EVENT_TYPE_TIMER_FIRED"}]"#),
    (Format::Temporal, r#"{"eventId":"1","eventType":"FromTheFuture","fromTheFutureEventAttributes":{}}"#),
    (
        Format::ClaudeCode,
        r#"{"parentUuid":null,"type":"user","uuid":"u","sessionId":"s","message":{"role":"user"}}"#,
    ),
    (Format::ClaudeCode, r#"{"type":"summary","summary":"x","leafUuid":"u"}"#),
    (Format::ClaudeStream, r#"{"type":"system","subtype":"init","session_id":"s","tools":[],"uuid":"u"}"#),
    (
        Format::ClaudeStream,
        r#"[{"type":"result","subtype":"success","session_id":"s","is_error":false,"num_turns":1}]"#,
    ),
    (
        Format::ClaudeStream,
        r#"{"type":"assistant","session_id":"s","message":{"id":"m","role":"assistant","content":[]}}"#,
    ),
    (
        Format::OpenHands,
        r#"[{"id":0,"timestamp":"2026-01-01T00:00:00","source":"user","action":"message","args":{}}]"#,
    ),
    (
        Format::OpenHands,
        r#"{"history":[{"id":0,"timestamp":"2026-01-01T00:00:00","source":"agent","observation":"run","content":"","extras":{}}]}"#,
    ),
    (
        Format::OpenHands,
        r#"{"id":"a","timestamp":"2026-01-01T00:00:00","source":"agent","kind":"FromTheFutureEvent"}"#,
    ),
    (
        Format::Codex,
        r#"{"timestamp":"2026-01-01T00:00:00Z","type":"session_meta","payload":{"id":"x","cwd":"/"}}"#,
    ),
    (
        Format::Codex,
        r#"{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{"type":"user_message","message":"go"}}"#,
    ),
    (
        Format::Codex,
        r#"{"id":"5e551011-0000-4000-8000-000000000001","timestamp":"2026-01-01T00:00:00Z","instructions":null}"#,
    ),
    (Format::Codex, r#"{"session":{"id":"s"},"items":[{"type":"message","role":"user","content":[]}]}"#),
    (Format::GeminiCli, r#"{"sessionId":"g","projectHash":"h","startTime":"2026-01-01T00:00:00Z"}"#),
    (
        Format::GeminiCli,
        r#"{"sessionId":"g","startTime":"2026-01-01T00:00:00Z","messages":[{"type":"user","timestamp":"2026-01-01T00:00:00Z","content":"hi"}]}"#,
    ),
    (Format::GeminiCli, r#"{"$rewindTo":"u1"}"#),
    (Format::Pi, r#"{"type":"session","id":"p","timestamp":"2026-01-01T00:00:00Z","cwd":"/"}"#),
    (
        Format::Pi,
        r#"{"type":"message","id":"b","parentId":"a","timestamp":"2026-01-01T00:00:00Z","message":{"role":"toolResult","toolCallId":"c"}}"#,
    ),
    (
        Format::CopilotCli,
        r#"{"type":"session.start","id":"0","data":{"sessionId":"c"},"timestamp":"2026-01-01T00:00:00Z","parentId":null}"#,
    ),
    (Format::AgUi, r#"{"type":"RUN_STARTED","threadId":"t","runId":"r"}"#),
    (Format::AgUi, "data: {\"type\":\"STATE_SNAPSHOT\",\"snapshot\":{}}\n\n"),
];

/// Records as other programs write them that only look like those of a format.
const OTHERS: [&str; 39] = [
    // Items and answers of an API.
    r#"[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]"#,
    r#"{"id":"resp_1","object":"response","output":[{"type":"message","id":"msg_1","role":"assistant","content":[]},{"type":"function_call","call_id":"c","name":"ls"}]}"#,
    r#"{"type":"function_call","call_id":"c","name":"ls","arguments":"{}"}"#,
    r#"{"id":"asst_1","object":"assistant","instructions":null,"timestamp":1767225600}"#,
    r#"{"record_type":"state"}"#,
    r#"{"type":"event_msg","payload":{"type":"user_message"}}"#,
    r#"{"timestamp":"2026-01-01T00:00:00Z","type":"compacted","payload":{"bytes":7}}"#,
    r#"{"session":{"id":"s"},"items":[{"sku":"a","type":"message"}]}"#,
    // Logs and databases.
    r#"{"type":"info","timestamp":"2026-01-01T00:00:00Z","content":"listening"}"#,
    r#"{"type":"error","timestamp":"2026-01-01T00:00:00Z","content":"refused"}"#,
    r#"{"type":"user","timestamp":"2026-01-01T00:00:00Z","content":"hi"}"#,
    r#"{"$set":{"name":"mara"}}"#,
    r#"{"q":{"_id":1},"u":{"$set":{"name":"mara"}},"$rewindTo":"x"}"#,
    r#"{"sessionId":"web-1","startTime":"2026-01-01T00:00:00Z","pages":7}"#,
    r#"{"sessionId":"web-1","startTime":"2026-01-01T00:00:00Z","messages":["hi"]}"#,
    r#"{"sessionId":"web-1","type":"pageview","uuid":"u","url":"/"}"#,
    r#"{"sessionId":"q","uuid":"u","parentUuid":null,"type":"user","message":{"role":"user","parts":[{"text":"hi"}]}}"#,
    r#"{"session_id":"s","event_id":"e","kind":"click"}"#,
    r#"{"session_id":"s","type":"user","message":"signed in"}"#,
    r#"{"session_id":"s","type":"system","subtype":"boot"}"#,
    r#"{"session_id":"s","type":"result","subtype":"score"}"#,
    r#"{"id":7,"timestamp":"2026-01-01T00:00:00Z","source":"web","action":"login","args":{}}"#,
    r#"{"id":7,"timestamp":"2026-01-01T00:00:00Z","source":"user","action":"read"}"#,
    r#"{"id":"a-7","timestamp":"2026-01-01T00:00:00Z","source":"agent","kind":"heartbeat"}"#,
    r#"{"eventId":7,"eventType":"OrderPlaced"}"#,
    r#"{"eventId":"7","eventType":"OrderPlaced","eventTime":"2026-01-01T00:00:00Z","version":"1"}"#,
    r#"{"id":"1","type":"user.created","timestamp":"2026-01-01T00:00:00Z","parentId":null,"data":{}}"#,
    r#"{"id":"1","type":"task.started","timestamp":"2026-01-01T00:00:00Z","parentId":null,"data":{}}"#,
    // Sessions of other agents.
    r#"{"type":"message","timestamp":"2026-01-01T00:00:00Z","message":{"role":"user","content":"hi"}}"#,
    r#"{"type":"message","id":"a","parentId":null,"timestamp":"2026-01-01T00:00:00Z","message":{"role":"assistant"}}"#,
    r#"{"type":"session","id":"d","createdAt":1767225600,"cwd":"/"}"#,
    r#"{"role":"user","content":"hi","timestamp":"2026-01-01T00:00:00Z"}"#,
    r#"{"type":"user","session_id":"c","message":{"role":"user","content":[{"type":"text","text":"hi"}]}}"#,
    r#"{"type":"result","subtype":"success","session_id":"c","is_error":false,"duration_ms":7}"#,
    // Names in capitals.
    r#"{"type":"CUSTOM","name":"x","value":1}"#,
    r#"{"type":"RAW","event":{}}"#,
    r#"{"type":"RUN_ERROR","message":"no such job"}"#,
    r#"{"type":"RUN_STARTED","runId":"build-7"}"#,
    r#"{"type":"STEP_STARTED","stepName":"build","jobId":7}"#,
];

#[test]
fn a_file_of_each_format_is_taken_for_it_and_for_no_other() {
    for (format, file) in OWN {
        assert_eq!(Format::detect("x", file.as_bytes()), Some(format), "{file}");
        assert_eq!(super::super::formats::told_by(file), [format], "{file}");
    }
    for format in Format::ALL.into_iter().filter(|format| *format != Format::Ndjson) {
        assert!(OWN.iter().any(|(of, _)| *of == format), "{format} is not tried");
    }
}

#[test]
fn records_that_other_programs_write_too_tell_nothing() {
    for record in OTHERS {
        for file in [
            record.to_owned(),
            format!("[{record}]"),
            format!("{record}\n{record}\n"),
            format!("{{\"rows\":{{\"all\":[{record}]}}}}"),
        ] {
            assert_eq!(Format::detect("x", file.as_bytes()), None, "{file}");
        }
    }
}

#[test]
fn a_program_that_writes_as_another_does_is_called_by_its_name() {
    let gemini = r#"{"sessionId":"g","projectHash":"h","startTime":"2026-01-01T00:00:00Z"}"#;
    let pi = r#"{"type":"session","id":"p","timestamp":"2026-01-01T00:00:00Z","cwd":"/"}"#;
    let custom = r#"{"type":"custom","id":"a","parentId":null,"timestamp":"2026-01-01T00:00:00Z","customType":"openclaw:model","data":{}}"#;
    let claude = r#"{"parentUuid":null,"type":"user","uuid":"u","sessionId":"s","userType":"external","message":{"role":"user"}}"#;
    let qwen = |rest: &str| format!(r#"{{"uuid":"u","parentUuid":null,"sessionId":"s",{rest}}}"#);
    for (path, file, program, from) in [
        (
            "/home/x/.tabnine/agent/tmp/1/chats/session-1.json",
            gemini.to_owned(),
            "Tabnine",
            "--from gemini-cli",
        ),
        ("C:\\x\\.qwen\\tmp\\1\\chats\\session-1.json", gemini.to_owned(), "Qwen Code", "--from gemini-cli"),
        ("/home/x/.openclaw/agents/main/sessions/1.jsonl", pi.to_owned(), "OpenClaw", "--from pi"),
        ("copy.jsonl", format!("{pi}\n{custom}\n"), "OpenClaw", "--from pi"),
        ("part.jsonl", format!("{custom}\n"), "OpenClaw", "--from pi"),
        ("/home/x/.qwen/projects/y/chats/s.jsonl", claude.to_owned(), "Qwen Code", "--from claude-code"),
        (
            "s.jsonl",
            qwen(r#""type":"user","message":{"role":"user","parts":[{"text":"hi"}]}"#),
            "Qwen Code",
            "--from ndjson",
        ),
        (
            "s.jsonl",
            qwen(r#""type":"system","subtype":"ui_telemetry","systemPayload":{"uiEvent":{}}"#),
            "Qwen Code",
            "--from ndjson",
        ),
        (
            "s.jsonl",
            qwen(r#""type":"tool_result","toolCallResult":{"callId":"c"}"#),
            "Qwen Code",
            "--map session=/sessionId",
        ),
    ] {
        assert_eq!(Format::detect(path, file.as_bytes()), None, "{path}: {file}");
        let refused = parse(path, &Bytes::from(file.clone()), &Options::default()).unwrap_err();
        assert!(refused.reason.contains(program) && refused.reason.contains(from), "{refused}");
        // Whoever says what it is has it read.
        let from = refused.reason.split("--from ").nth(1).unwrap().split([' ', ';']).next().unwrap();
        let options = Options::default().format(Some(from.parse().unwrap()));
        assert!(parse(path, &Bytes::from(file.clone()), &options).unwrap().events() > 0, "{file}");
    }
    // In such a folder, files of other programs are what they are.
    let path = "/home/x/.openclaw/exports/1.jsonl";
    assert_eq!(Format::detect(path, gemini.as_bytes()), Some(Format::GeminiCli));
    let unknown = parse(path, &Bytes::from_static(b"{\"a\":1}"), &Options::default()).unwrap_err();
    assert!(!unknown.reason.contains("OpenClaw"), "{unknown}");
}

#[test]
fn a_log_of_another_program_is_not_taken_for_a_session() {
    for line in [
        r#"{"sessionId": "web-1", "type": "pageview", "url": "/", "ts": 1}"#,
        r#"{"session": "web-1", "type": "pageview", "url": "/"}"#,
        r#"{"type": "summary", "text": "of the day"}"#,
        r#"{"type": "mode", "sessionId": "web-1"}"#,
    ] {
        assert_eq!(Format::detect("x", line.as_bytes()), None, "{line}");
    }
}

#[test]
fn a_copy_of_a_record_in_an_object_of_something_else_tells_nothing() {
    for (format, record) in OWN {
        let file = format!("{{\"id\":7,\"log\":{{\"last\":{record}}}}}");
        let is_wrapped = matches!(
            format,
            Format::CloudEvents
                | Format::Temporal
                | Format::OpenHands
                | Format::Codex
                | Format::GeminiCli
                | Format::AgUi
        );
        if !is_wrapped {
            assert_eq!(Format::detect("x", file.as_bytes()), None, "{file}");
        }
    }
}
