//! Trajectories of OpenHands: the older arrays (`id,timestamp,source,cause,action|observation`) and the newer events,
//! one per line or one per file (`id,timestamp,source,kind`).
//!
//! - No record names its session, which is called after the file. A conversation that is kept as a folder, with a file
//!   per event, is called after the folder.
//! - Newer events have a `parent_id`. One that does not follow the last event of its branch begins a branch. Where a
//!   file has a single event, the store knows what is last.
//! - Times have no zone and are read as UTC.

use std::borrow::Cow;

use crate::event::{EventId, Invalid, NewEvent, SessionId};

use super::builder::Draft;
use super::fields::Fields;
use super::history::History;
use super::input::Input;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source};

/// Their kinds that mean the same as one of our types: `action.*` and `observation.*` of the older format, then the
/// newer names.
pub(super) const KINDS: [(&str, &str); 53] = [
    ("action.message.user", "message.user"),
    ("action.message.agent", "message.assistant"),
    ("action.system", "message.system"),
    ("action.think", "message.thinking"),
    ("action.run", "tool.invoked"),
    ("action.run_ipython", "tool.invoked"),
    ("action.read", "tool.invoked"),
    ("action.write", "tool.invoked"),
    ("action.edit", "tool.invoked"),
    ("action.browse", "tool.invoked"),
    ("action.browse_interactive", "tool.invoked"),
    ("action.call_tool_mcp", "tool.invoked"),
    ("action.finish", "run.completed"),
    ("action.reject", "run.failed"),
    ("action.change_agent_state", "state.requested"),
    ("action.condensation", "context.compacted"),
    ("action.pause", "run.paused"),
    ("action.resume", "run.resumed"),
    ("action.stop", "run.cancelled"),
    ("action.delegate", "agent.delegated"),
    ("observation.run", "tool.completed"),
    ("observation.run_ipython", "tool.completed"),
    ("observation.read", "tool.completed"),
    ("observation.write", "tool.completed"),
    ("observation.edit", "tool.completed"),
    ("observation.browse", "tool.completed"),
    ("observation.mcp", "tool.completed"),
    ("observation.delegate", "agent.completed"),
    ("observation.agent_state_changed", "state.changed"),
    ("observation.error", "tool.errored"),
    ("observation.error.uncaused", "error.raised"),
    ("observation.user_rejected", "approval.denied"),
    ("MessageEvent.user", "message.user"),
    ("MessageEvent.agent", "message.assistant"),
    ("SystemPromptEvent", "message.system"),
    ("ActionEvent", "tool.invoked"),
    ("ActionEvent.think", "message.thinking"),
    ("ActionEvent.finish", "run.completed"),
    ("ObservationEvent", "tool.completed"),
    ("ObservationEvent.error", "tool.errored"),
    ("AgentErrorEvent", "tool.errored"),
    ("ACPToolCallEvent", "tool.invoked"),
    ("ACPToolCallEvent.in_progress", "tool.progress"),
    ("ACPToolCallEvent.completed", "tool.completed"),
    ("ACPToolCallEvent.failed", "tool.errored"),
    ("StreamingDeltaEvent", "message.delta"),
    ("InterruptEvent", "run.paused"),
    ("UserRejectObservation", "approval.denied"),
    ("ConversationErrorEvent", "error.raised"),
    ("ConversationStateUpdateEvent", "state.changed"),
    ("PauseEvent", "run.paused"),
    ("Condensation", "context.compacted"),
    ("CondensationSummaryEvent", "context.summarized"),
];

/// The parent of an event that follows none.
const ROOT: &str = "__root__";

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    f.has("id")
        && f.has("timestamp")
        && f.has("source")
        && (f.has("action") || f.has("observation") || f.has("kind"))
}

/// Who the events of a conversation are from.
const SOURCES: [&str; 4] = ["user", "agent", "environment", "hook"];

/// An audit log has actions of users too, but no number and no arguments.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let is_number = f.value("id").is_some_and(|id| id.starts_with(|c: char| c.is_ascii_digit()));
    let is_action = || f.text("action").is_some() && f.has("args");
    let is_observation = || f.text("observation").is_some() && (f.has("extras") || f.has("content"));
    let is_newer = || {
        let kind = f.text("kind").unwrap_or_default();
        kind.ends_with("Event") || kind.ends_with("Observation") || kind.starts_with("Condensation")
    };
    let is_from = f.text("source").is_some_and(|source| SOURCES.contains(&&*source));
    is_record(f) && is_from && (is_number && (is_action() || is_observation()) || is_newer())
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut unnamed = ids::Occurrences::default();
    let mut runs: Vec<History> = input.sessions()?.into_iter().map(History::new).collect();
    for ref piece in input.pieces() {
        let Some(history) = runs.get_mut(piece.run) else { continue };
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => {
                let session = history.session().clone();
                let mut event = event(&f, &session);
                event.id = match f.scalar("id") {
                    Some(id) => event_id(&session, &id),
                    None => unnamed.next(event_id(&session, text)),
                };
                if let Some(parent) = f.word("parent_id").filter(|_| !history.has(event.id)) {
                    let parent = (parent != ROOT).then(|| event_id(&session, &parent));
                    match parent {
                        Some(id) if !history.has(id) => history.continue_from(parent),
                        // What comes before may be in other files.
                        None if history.is_empty() => history.continue_from(None),
                        _ => history.go_back(parent),
                    }
                }
                let time = f.text("timestamp").and_then(|t| names::time(&t));
                history.push(&mut plan, piece, Draft::new(event, time, Body::Record));
            }
            Err(reason) => plan.skip(piece, reason),
        }
    }
    for history in &runs {
        history.finish(&mut plan);
    }
    Ok(plan.finish())
}

fn event(f: &Fields<'_>, session: &SessionId) -> NewEvent {
    let source = f.word("source").map_or_else(|| "openhands".to_owned(), |s| names::label(&s));
    let mut event = NewEvent::new(kind(f));
    event.actor = if source == "environment" { "".into() } else { source.clone().into() };
    event.source = source.into();
    let call = f.word("tool_call_id").or_else(|| f.object("tool_call_metadata").word("tool_call_id"));
    event.correlation = call.map_or_else(String::new, |c| names::label(&c)).into();
    // The newer format names the action that an observation answers; the older one names any event, by number.
    let cause = f.scalar("cause").or_else(|| f.word("action_id"));
    event.causation = cause.map(|c| event_id(session, &c));
    let tool = f.word("tool_name").or_else(|| f.object("tool_call_metadata").word("function_name"));
    for (key, value) in [(source::ID, f.scalar("id")), ("tool", tool)] {
        if let Some(value) = value {
            event.metadata.insert(key.to_owned(), names::label(&value));
        }
    }
    event
}

fn event_id(session: &SessionId, id: &str) -> EventId {
    ids::derived(ids::OPEN_HANDS, &[session.as_str().as_bytes(), id.as_bytes()])
}

fn kind(f: &Fields<'_>) -> Cow<'static, str> {
    let source = f.text("source").unwrap_or_default();
    let name = if let Some(action) = f.text("action") {
        match &*action {
            "message" => format!("action.message.{}", if source == "user" { "user" } else { "agent" }),
            other => format!("action.{other}"),
        }
    } else if let Some(observation) = f.text("observation") {
        match &*observation {
            "error" if !f.has("cause") => "observation.error.uncaused".to_owned(),
            other => format!("observation.{other}"),
        }
    } else {
        newer(f, &f.text("kind").unwrap_or_default(), &source)
    };
    names::kind(&KINDS, "openhands", &name)
}

fn newer(f: &Fields<'_>, kind: &str, source: &str) -> String {
    match (kind, f.text("tool_name").as_deref()) {
        ("MessageEvent", _) => format!("MessageEvent.{}", if source == "user" { "user" } else { "agent" }),
        ("ActionEvent", Some(tool @ ("think" | "finish"))) => format!("ActionEvent.{tool}"),
        ("ObservationEvent", _) if f.object("observation").is_true("is_error") => {
            "ObservationEvent.error".to_owned()
        }
        ("ACPToolCallEvent", _) => match f.text("status").as_deref() {
            _ if f.is_true("is_error") => "ACPToolCallEvent.failed".to_owned(),
            Some(status @ ("in_progress" | "completed" | "failed")) => format!("{kind}.{status}"),
            _ => kind.to_owned(),
        },
        (kind, _) => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::agents::interop::testing::{branches, drawn, events, plan_of, restored};
    use crate::agents::interop::{Format, Options, load, parse};
    use crate::event::EventId;
    use crate::store::Store;

    #[test]
    fn the_older_array_keeps_gaps_and_causes() {
        let file = r#"[
  {"id": 0, "timestamp": "2026-01-02T03:04:05.000001", "source": "user", "action": "message", "args": {}},
  {"id": 3, "timestamp": "2026-01-02T03:04:06", "source": "agent", "action": "run", "tool_call_metadata": {"function_name": "bash", "tool_call_id": "c1"}},
  {"id": 4, "timestamp": "2026-01-02T03:04:07", "source": "agent", "cause": 3, "observation": "error", "content": "no"},
  {"id": 7, "timestamp": "2026-01-02T03:04:08", "source": "environment", "observation": "error"},
  {"id": 8, "timestamp": "2026-01-02T03:04:09", "source": "environment", "action": "brand_new"},
  {"id": 9, "timestamp": "2026-01-02T03:04:09", "source": "agent", "action": "finish"}
]"#;
        let plan = plan_of("a/run 1.json", file);
        assert_eq!(plan.format, Format::OpenHands);
        assert_eq!(
            drawn(&plan),
            [
                "run 1/main: message.user tool.invoked tool.errored error.raised openhands.action_brand_new run.completed"
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!(all[2].causation, Some(all[1].id));
        assert_eq!(
            (&*all[1].correlation, &*all[1].metadata["tool"], &*all[1].source),
            ("c1", "bash", "agent")
        );
        assert_eq!(all[0].occurred.to_string(), "2026-01-02T03:04:05.000001Z");
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn pairs_of_action_and_observation_are_the_steps_of_one_run() {
        let step = |id: u32, what: &str| {
            format!(
                "{{\"id\":{id},\"timestamp\":\"2026-01-02T03:04:05\",\"source\":\"agent\",{what}:\"run\",\"args\":{{}}}}"
            )
        };
        let pair =
            |id| format!("[{}, {}]", step(id, "\"action\""), step(id + 1, "\"cause\":0,\"observation\""));
        let (a, b, last) = (pair(0), pair(2), step(4, "\"action\""));
        for file in [
            format!("{{\"instance_id\":\"x\",\"history\":[{a},\n {b}, [],\n [{last}]],\"ok\":true}}\n"),
            format!("[{a}, {b}, [{last}]]"),
            format!("[\n{a},\n{b},[{last}\n]\n]\n"),
        ] {
            let plan = plan_of("h.json", &file);
            let kinds = "tool.invoked tool.completed tool.invoked tool.completed tool.invoked";
            assert_eq!(drawn(&plan), [format!("h/main: {kinds}")], "{file}");
            assert_eq!(restored(&plan), file);
        }
        // Arrays whose numbers start again are separate runs.
        let runs = plan_of("h.json", format!("[{a}, {a}]"));
        assert_eq!(runs.places().len(), 2);
    }

    #[test]
    fn the_newer_lines_name_the_action_they_answer() {
        let file = concat!(
            r#"{"id":"a","timestamp":"2026-01-02T03:04:05","source":"agent","tool_name":"terminal","tool_call_id":"c","kind":"ActionEvent"}"#,
            "\r\n",
            r#"{"id":"b","timestamp":"2026-01-02T03:04:05","source":"environment","observation":{"is_error":true},"action_id":"a","kind":"ObservationEvent"}"#,
            "\r\n",
            r#"{"id":"c","timestamp":"2026-01-02T03:04:05","source":"agent","tool_name":"finish","kind":"ActionEvent"}"#,
            "\r\n",
        );
        let plan = plan_of("n.jsonl", file);
        assert_eq!(drawn(&plan), ["n/main: tool.invoked tool.errored run.completed"]);
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!(all[1].causation, Some(all[0].id));
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn one_event_a_file_is_read_too() {
        let file = "{\n  \"id\": \"a\",\n  \"timestamp\": \"2026-01-02T03:04:05\",\n  \"source\": \"user\",\n  \"kind\": \"MessageEvent\"\n}\n";
        let plan = plan_of("event-00001.json", file);
        assert_eq!(drawn(&plan), ["event-00001/main: message.user"]);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn an_event_under_an_earlier_one_begins_a_branch() {
        let event = |id: &str, parent: &str| {
            format!(
                "{{\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:04:05\",\"source\":\"user\",{parent}\"kind\":\"MessageEvent\"}}\n"
            )
        };
        let under = |id: &str, parent: &str| event(id, &format!("\"parent_id\":\"{parent}\","));
        // The first releases wrote no parents.
        let file = event("a", "") + &event("b", "") + &under("c", "b") + &under("d", "b") + &under("e", "d");
        let plan = plan_of("n.jsonl", &file);
        let drawn = drawn(&plan);
        assert_eq!((drawn[0].as_str(), drawn.len()), ("n/main: message.user message.user", 4), "{drawn:?}");
        assert!(drawn[1].starts_with("n/side-") && drawn[1].ends_with(" < main"), "{drawn:?}");
        assert!(drawn[2].starts_with("n/side-") && drawn[2].ends_with(": message.user"), "{drawn:?}");
        assert_eq!(drawn[3], "n/main: message.user message.user");
        assert_eq!(restored(&plan), file);
        let root = file + &under("f", "__root__");
        assert_eq!(events(&plan_of("n.jsonl", root)).filter(|(p, _)| p.branch.as_str() == "main").count(), 1);
    }

    #[test]
    fn files_with_one_event_each_are_one_tree() {
        let file = |id: &str, parent: &str| {
            let parent = match parent {
                "" => String::new(),
                parent => format!("\"parent_id\":\"{parent}\","),
            };
            format!(
                "{{\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:04:05\",\"source\":\"user\",{parent}\"kind\":\"MessageEvent\"}}"
            )
        };
        let store = Store::in_memory().unwrap();
        let options = Options::default().session(Some("c".try_into().unwrap()));
        let add = |n: usize, id: &str, parent: &str| {
            let text = Bytes::from(file(id, parent));
            let plan = parse(&format!("event-{n:05}-{id}.json"), &text, &options).unwrap();
            load(&store, plan, &mut |_| {}).unwrap()
        };
        let all = [
            ("a", "__root__"),
            ("b", "a"),
            ("c", "b"),
            ("d", "a"),
            ("e", "d"),
            ("f", "c"),
            ("g", "__root__"),
        ];
        for _ in 0..2 {
            for (n, (id, parent)) in all.into_iter().enumerate() {
                let loaded = add(n, id, parent);
                assert_eq!((loaded.new + loaded.duplicates, loaded.notes.len()), (1, 0), "{id}");
            }
        }
        let names: std::collections::HashMap<EventId, &str> =
            all.map(|(id, _)| (super::event_id(&"c".try_into().unwrap(), id), id)).into();
        let mut lines: Vec<String> =
            branches(&store).into_iter().map(|(_, ids)| ids.iter().map(|id| names[id]).collect()).collect();
        lines.sort();
        assert_eq!(lines, ["abcf", "ade", "g"]);
        // What follows a file that cannot be read goes on with the rest.
        let loaded = add(8, "i", "h");
        assert!(loaded.notes[0].contains("neither the file nor the store"), "{:?}", loaded.notes);
        assert!(branches(&store).iter().any(|(_, ids)| ids.len() == 2), "{:?}", branches(&store));
    }

    #[test]
    fn parents_in_a_circle_end_nothing() {
        let event = |id: &str, parent: &str| {
            format!(
                "{{\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:04:05\",\"source\":\"user\",\"parent_id\":\"{parent}\",\"kind\":\"MessageEvent\"}}\n"
            )
        };
        for parents in [["a", "b", "c"], ["b", "a", "a"], ["c", "a", "b"], ["__root__", "c", "b"]] {
            let file: String =
                ["a", "b", "c"].into_iter().zip(parents).map(|(id, parent)| event(id, parent)).collect();
            let plan = plan_of("n.jsonl", &file);
            assert_eq!((plan.events(), restored(&plan)), (3, file), "{parents:?}");
            let store = Store::in_memory().unwrap();
            for new in [3, 0] {
                assert_eq!(load(&store, plan.clone(), &mut |_| {}).unwrap().new, new, "{parents:?}");
            }
        }
    }

    #[test]
    fn branches_whose_events_have_ids_that_begin_alike_stay_apart() {
        let id = |n: u32| format!("01890000-0000-7000-8000-{n:012}");
        let store = Store::in_memory().unwrap();
        let options = Options::default().session(Some("c".try_into().unwrap()));
        for new in [1, 0] {
            for (n, parent) in [(1, 0), (2, 1), (3, 1), (4, 1), (5, 3), (6, 4)] {
                let parent = if parent == 0 { "__root__".to_owned() } else { id(parent) };
                let text = format!(
                    "{{\"id\":\"{}\",\"timestamp\":\"2026-01-02T03:04:05\",\"source\":\"user\",\"parent_id\":\"{parent}\",\"kind\":\"MessageEvent\"}}",
                    id(n)
                );
                let plan = parse(&format!("event-{n:05}.json"), &Bytes::from(text), &options).unwrap();
                assert_eq!(load(&store, plan, &mut |_| {}).unwrap().new, new);
            }
        }
        let lengths: Vec<usize> = branches(&store).into_iter().map(|(_, ids)| ids.len()).collect();
        assert_eq!(lengths, [2, 3, 3], "{:?}", branches(&store));
    }
}
