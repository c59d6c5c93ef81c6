//! Event logs of the crate `aios-events` 0.3: one `EventRecord` of `aios-protocol` per line. Its `EventEnvelope`,
//! which names time and sequence differently, is read too.
//!
//! We write `EventRecord`s of the kind `Custom`. What has no place there goes into a member `retold`, which their
//! reader ignores. An event that was imported from such a log is written as the original record.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::event::envelope;
use crate::event::{BranchName, Event, EventId, Invalid, NewEvent, Place, SessionId, Timestamp, check_kind};

use super::builder::{Added, Builder, Draft};
use super::fields::Fields;
use super::format::Format;
use super::input::Input;
use super::own::{self, Forked, number, parsed, text};
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, json, names, source};

/// Their kinds that mean the same as one of our types.
pub(super) const KINDS: [(&str, &str); 31] = [
    ("UserMessage", "message.user"),
    ("AssistantMessageCommitted", "message.assistant"),
    ("Message", "message.assistant"),
    ("SessionCreated", "session.created"),
    ("SessionResumed", "session.resumed"),
    ("SessionClosed", "session.closed"),
    ("RunStarted", "run.started"),
    ("RunFinished", "run.completed"),
    ("RunErrored", "run.failed"),
    ("StepStarted", "step.started"),
    ("StepFinished", "step.completed"),
    ("ToolCallRequested", "tool.invoked"),
    ("ToolCallStarted", "tool.started"),
    ("ToolCallCompleted", "tool.completed"),
    ("ToolCallFailed", "tool.errored"),
    ("ApprovalRequested", "approval.requested"),
    ("ApprovalResolved", "approval.resolved"),
    ("PolicyEvaluated", "policy.evaluated"),
    ("BudgetUpdated", "budget.updated"),
    ("ContextCompacted", "context.compacted"),
    ("StatePatchCommitted", "state.changed"),
    ("StatePatched", "state.changed"),
    ("CheckpointCreated", "checkpoint.created"),
    ("CheckpointRestored", "checkpoint.restored"),
    ("SandboxCreated", "sandbox.created"),
    ("SandboxExecuted", "sandbox.executed"),
    ("SandboxDestroyed", "sandbox.destroyed"),
    ("MemoryProposed", "memory.proposed"),
    ("MemoryCommitted", "memory.committed"),
    ("MemoryTombstoned", "memory.tombstoned"),
    ("ErrorRaised", "error.raised"),
];
/// The name in `schema` of records that we wrote.
const OURS: &str = "retold";

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    f.has("event_id") && f.has("session_id") && f.has("kind")
}

/// Other logs name a session and an event too, but what happened by a word.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    is_record(f) && f.object("kind").has("type")
}

/// Where each sequence of each branch is, for the records that say where a branch begins.
#[derive(Default)]
struct Places {
    own: HashMap<(Place, u64), EventId>,
    /// The parent of each branch, where inherited sequences are found.
    parents: HashMap<Place, Place>,
}

impl Places {
    fn find(&self, place: &Place, sequence: u64) -> Option<EventId> {
        let mut place = place;
        // Bounded, because a faulty file can make a branch its own ancestor.
        for _ in 0..=self.parents.len() {
            if let Some(id) = self.own.get(&(place.clone(), sequence)) {
                return Some(*id);
            }
            place = self.parents.get(place)?;
        }
        None
    }
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut places = Places::default();
    for ref piece in input.pieces() {
        let read = input
            .text(piece)
            .as_deref()
            .map_err(Clone::clone)
            .and_then(Fields::parse)
            .and_then(|f| record(&f, input.options.session.as_ref()).map_err(|e| e.to_string()));
        let read = match read {
            Ok(read) => read,
            Err(reason) => {
                plan.skip(piece, reason);
                continue;
            }
        };
        if read.is_fork {
            plan.pass(piece);
            begin_branch(&mut plan, piece.ordinal as u64, &read, &mut places);
            continue;
        }
        let body = if read.ours { Body::Own } else { Body::Record };
        let draft = Draft::new(read.event.clone(), read.time, body);
        let draft = Draft { sequence: read.sequence, ..draft };
        let order = piece.ordinal as u64;
        if let Added::New(id) | Added::Variant(id) = plan.push(piece, order, &read.place, draft) {
            places.own.extend(read.sequence.map(|n| ((read.place.clone(), n), id)));
            begin_branch(&mut plan, order, &read, &mut places);
        }
    }
    Ok(plan.finish())
}

/// Forks the branch that a record creates. If the event it forks after is not in this file, the branch begins with
/// its own events.
fn begin_branch(plan: &mut Builder<'_>, order: u64, read: &Read, places: &mut Places) {
    let Some((branch, at)) = &read.begins else { return };
    let place = Place::new(read.place.session.clone(), branch.clone());
    let event = places.find(&read.place, *at);
    if event.is_some() || *at == 0 {
        places.parents.insert(place.clone(), read.place.clone());
        plan.fork(order, &place, &read.place, event);
    }
}

struct Read {
    place: Place,
    sequence: Option<u64>,
    event: NewEvent,
    time: Option<Timestamp>,
    ours: bool,
    /// The branch that this record creates, and after which sequence.
    begins: Option<(BranchName, u64)>,
    /// Whether it does nothing else, like the ones that we write.
    is_fork: bool,
}

fn record(f: &Fields<'_>, session: Option<&SessionId>) -> Result<Read, Invalid> {
    let required = |name| text(f, name)?.ok_or_else(|| Invalid::new(name, "is missing"));
    let (id, name) = (required("event_id")?, required("session_id")?);
    let session = session.map_or_else(|| names::session(&name), |s| Ok(s.clone()))?;
    let branch = text(f, "branch_id")?.map_or_else(|| Ok(BranchName::main()), |b| names::branch(&b))?;
    let place = Place::new(session, branch);
    let sequence = number(f, "sequence")?.or(number(f, "seq")?);
    if !f.has("kind") {
        return Err(Invalid::new("kind", "is missing"));
    }
    let kind = f.object("kind");
    let (actor, schema) = (f.object("actor"), f.object("schema"));
    let mut event = NewEvent::new(kind_of(&kind));
    event.id = event_id(&place.session, &id);
    event.source = actor.word("component").map_or_else(|| "aios".into(), |c| names::label(&c)).into();
    event.actor = actor.word("type").map_or_else(String::new, |t| names::label(&t)).into();
    event.correlation = correlation(f, &kind).map_or_else(String::new, |c| names::label(&c)).into();
    event.trace = trace(f).unwrap_or_default().into();
    let cause = ["causation_id", "parent_event_id", "parent_id"].iter().find_map(|n| f.word(n));
    event.causation = cause.map(|c| event_id(&place.session, &c));
    if event.id.to_string() != id {
        event.metadata.insert(source::ID.to_owned(), names::label(&id));
    }
    let begins = match kind.text("type").as_deref() {
        Some("BranchCreated") => {
            let named = kind.word("new_branch_id").map(|b| names::branch(&b)).transpose()?;
            named.zip(number(&kind, "fork_point_seq")?)
        }
        _ => None,
    };
    let ours = schema.text("name").is_some_and(|n| n == OURS) && f.has(OURS);
    let is_fork = ours && f.object(OURS).is_true("fork");
    let event = if ours && !is_fork { original(event, &kind, &f.object(OURS), &schema)? } else { event };
    Ok(Read { place, sequence, time: time(f), event, ours, begins, is_fork })
}

/// Their ids can be any text; UUIDs are kept.
fn event_id(session: &SessionId, id: &str) -> EventId {
    id.parse().unwrap_or_else(|_| ids::derived(ids::AIOS, &[session.as_str().as_bytes(), id.as_bytes()]))
}

fn kind_of(kind: &Fields<'_>) -> Cow<'static, str> {
    let name = kind.text("type").unwrap_or_default();
    match &*name {
        "Custom" => match kind.text("event_type") {
            Some(t) if check_kind(&t).is_ok() => Cow::Owned(t.into_owned()),
            t => other(&t.unwrap_or_default()),
        },
        "Message" if kind.text("role").is_some_and(|r| r == "user") => Cow::Borrowed("message.user"),
        "ToolCallCompleted" if kind.text("status").is_some_and(|s| s.eq_ignore_ascii_case("error")) => {
            Cow::Borrowed("tool.errored")
        }
        name if KINDS.iter().any(|(theirs, _)| *theirs == name) => names::kind(&KINDS, "aios", name),
        name => other(name),
    }
}

/// A kind that is not in the table: many are in the catalogue under that name.
fn other(name: &str) -> Cow<'static, str> {
    names::known(name).unwrap_or_else(|| names::kind(&[], "aios", name))
}

fn correlation<'a>(f: &Fields<'a>, kind: &Fields<'a>) -> Option<Cow<'a, str>> {
    f.word("correlation_id")
        .or_else(|| kind.word("call_id"))
        .or_else(|| kind.word("tool_run_id"))
        .or_else(|| f.word("run_id"))
}

fn trace(f: &Fields<'_>) -> Option<String> {
    let hex = |name, digits: usize| {
        f.text(name).filter(|t| t.len() == digits && t.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    Some(format!("00-{}-{}-01", hex("trace_id", 32)?, hex("span_id", 16)?))
}

/// A record has an RFC 3339 time; an envelope has microseconds, although it calls them `ts_ms`.
fn time(f: &Fields<'_>) -> Option<Timestamp> {
    if let Some(time) = f.text("timestamp").and_then(|t| names::time(&t)) {
        return Some(time);
    }
    let micros = f.scalar("ts_ms").or_else(|| f.scalar("timestamp"))?.parse().ok()?;
    Some(Timestamp::from_micros(micros)).filter(|t| t.is_printable())
}

/// Restores our event from the record that we wrote for it.
fn original(
    mut event: NewEvent,
    kind: &Fields<'_>,
    own: &Fields<'_>,
    schema: &Fields<'_>,
) -> Result<NewEvent, Invalid> {
    event.version = number(schema, "version")?.unwrap_or(1);
    event.priority = number(own, envelope::PRIORITY)?.unwrap_or(0);
    event.source = text(own, envelope::SOURCE)?.unwrap_or_default().into();
    event.actor = text(own, envelope::ACTOR)?.unwrap_or_default().into();
    event.correlation = text(own, envelope::CORRELATION)?.unwrap_or_default().into();
    event.trace = text(own, envelope::TRACEPARENT)?.unwrap_or_default().into();
    event.causation = parsed(own, envelope::CAUSATION)?;
    event.metadata.clear();
    if let Some(metadata) = own.value(envelope::METADATA) {
        event.metadata = serde_json::from_str(metadata)
            .map_err(|_| Invalid::new("metadata", "is not an object whose values are all strings"))?;
    }
    own::payload(event, if own.has(envelope::DATA_BASE64) { own } else { kind })
}

/// Appends an event as one line.
pub(crate) fn print(event: &Event, out: &mut Vec<u8>) {
    let was_theirs = event.meta(source::FORMAT) == Some(Format::Aios.name());
    if was_theirs && !event.payload().iter().any(|b| matches!(b, b'\n' | b'\r')) {
        out.extend_from_slice(event.payload());
        out.push(b'\n');
        return;
    }
    let actor = match event.actor() {
        Some("user") => "user",
        Some("agent" | "assistant") => "agent",
        _ => "system",
    };
    out.extend_from_slice(b"{\"event_id\":");
    json::write_text(&event.id().to_string(), out);
    json::text("session_id", Some(event.session().as_str()), out);
    json::text("agent_id", Some(event.actor().or(event.source()).unwrap_or(OURS)), out);
    json::text("branch_id", Some(event.branch().as_str()), out);
    json::number("sequence", event.sequence().get(), out);
    json::text("timestamp", Some(&event.occurred().to_string()), out);
    json::name("actor", out);
    out.extend_from_slice(b"{\"type\":");
    json::write_text(actor, out);
    json::text("component", event.source(), out);
    out.push(b'}');
    json::name("schema", out);
    out.extend_from_slice(b"{\"name\":");
    json::write_text(OURS, out);
    json::text("version", Some(&event.version().to_string()), out);
    out.push(b'}');
    json::text("causation_id", event.causation().map(|c| c.to_string()).as_deref(), out);
    json::text("correlation_id", event.correlation(), out);
    print_trace(event, out);
    let mut data = Vec::new();
    json::data(event, json::Style::Exact, &mut data);
    let inline = data.starts_with(b",\"data\":");
    json::name("kind", out);
    out.extend_from_slice(b"{\"type\":\"Custom\"");
    json::text("event_type", Some(event.kind()), out);
    out.extend_from_slice(if inline { &data } else { b",\"data\":null" });
    out.push(b'}');
    json::name(OURS, out);
    out.extend_from_slice(b"{\"position\":");
    out.extend_from_slice(event.position().to_string().as_bytes());
    json::text(envelope::RECORDED, Some(&event.recorded().to_string()), out);
    json::text(envelope::SOURCE, event.source(), out);
    json::text(envelope::ACTOR, event.actor(), out);
    json::text(envelope::CORRELATION, event.correlation(), out);
    json::text(envelope::CAUSATION, event.causation().map(|c| c.to_string()).as_deref(), out);
    json::text(envelope::TRACEPARENT, event.trace(), out);
    if event.priority() > 0 {
        json::number(envelope::PRIORITY, event.priority(), out);
    }
    if event.metadata().len() > 0 {
        json::name(envelope::METADATA, out);
        json::metadata(event, out);
    }
    if !inline {
        out.extend_from_slice(&data);
    }
    out.extend_from_slice(b"}}\n");
}

fn print_trace(event: &Event, out: &mut Vec<u8>) {
    let mut parts = event.trace().unwrap_or_default().split('-');
    if let (Some(_), Some(trace), Some(span)) = (parts.next(), parts.next(), parts.next()) {
        json::text("trace_id", Some(trace), out);
        json::text("span_id", Some(span), out);
    }
}

/// Appends the record that says where a branch begins: `BranchCreated`, on the parent branch.
pub(crate) fn print_fork(fork: &Forked, out: &mut Vec<u8>) {
    let (session, branch) = (fork.place.session.as_str(), fork.place.branch.as_str());
    let id = ids::derived(ids::AIOS, &[session.as_bytes(), branch.as_bytes(), b"forked"]);
    out.extend_from_slice(b"{\"event_id\":");
    json::write_text(&id.to_string(), out);
    json::text("session_id", Some(session), out);
    json::text("branch_id", Some(fork.parent.as_str()), out);
    json::number("sequence", fork.at.get(), out);
    json::text("timestamp", Some(&Timestamp::default().to_string()), out);
    json::name("schema", out);
    out.extend_from_slice(b"{\"name\":\"retold\",\"version\":\"1\"}");
    json::name("kind", out);
    out.extend_from_slice(b"{\"type\":\"BranchCreated\"");
    json::text("new_branch_id", Some(branch), out);
    json::number("fork_point_seq", fork.at.get(), out);
    json::text("name", Some(branch), out);
    out.extend_from_slice(b"},\"retold\":{\"fork\":true}}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::interop::testing::{event, events, fork, plan_of, recorded, restored};
    use crate::agents::interop::{PlanStep, print_fork};

    const LOG: &str = concat!(
        r#"{"event_id":"01J1","session_id":"S1","agent_id":"a","branch_id":"main","sequence":1,"timestamp":"2026-03-01T00:00:00Z","actor":{"type":"system","component":"daemon"},"schema":{"name":"aios-protocol","version":"0.1.0"},"kind":{"type":"RunStarted","provider":"p","max_iterations":3}}"#,
        "\n",
        r#"{"event_id":"01J2","session_id":"S1","agent_id":"a","branch_id":"main","sequence":2,"timestamp":"2026-03-01T00:00:01Z","causation_id":"01J1","trace_id":"0123456789abcdef0123456789abcdef","span_id":"0123456789abcdef","kind":{"type":"ToolCallRequested","call_id":"c1","tool_name":"grep","arguments":{}}}"#,
        "\n",
        r#"{"event_id":"01J3","session_id":"S1","branch_id":"main","sequence":3,"timestamp":"2026-03-01T00:00:02Z","kind":{"type":"BranchCreated","new_branch_id":"alt","fork_point_seq":1,"name":"alt"}}"#,
        "\n",
        r#"{"event_id":"5f0c0a0e-3f7a-4b39-9b5e-000000000001","session_id":"S1","branch_id":"alt","seq":1,"ts_ms":1772323203000000,"kind":{"type":"FutureThing","x":1}}"#,
        "\n",
    );

    #[test]
    fn kinds_without_a_word_of_ours_are_found_by_their_name_in_the_catalogue() {
        for (theirs, ours) in [
            ("SandboxViolation", "sandbox.violated"),
            ("ModeChanged", "mode.changed"),
            ("Heartbeat", "system.heartbeat"),
            ("StateEstimated", "state.estimated"),
            ("IntentProposed", "decision.created"),
            ("IntentRejected", "decision.rejected"),
            ("FileWrite", "coder.file_modified"),
            ("ObservationAppended", "memory.observed"),
            ("AssistantTextDelta", "message.delta"),
            ("HiveTaskCompleted", "task.completed"),
            ("CircuitBreakerTripped", "policy.circuit_broken"),
            ("VoiceInputChunk", "aios.voice_input_chunk"),
        ] {
            let f = format!("{{\"type\":\"{theirs}\"}}");
            assert_eq!(kind_of(&Fields::parse(&f).unwrap()), ours);
        }
        for (theirs, ours) in
            [("PLAN_CREATED", "plan.created"), ("plan.made", "plan.made"), ("New!", "aios.new")]
        {
            let f = format!("{{\"type\":\"Custom\",\"event_type\":\"{theirs}\"}}");
            assert_eq!(kind_of(&Fields::parse(&f).unwrap()), ours);
        }
    }

    #[test]
    fn a_log_becomes_a_session_with_its_branch() {
        let plan = plan_of("s1.jsonl", LOG);
        assert_eq!(plan.format, Format::Aios);
        let kinds: Vec<&str> = events(&plan).map(|(_, e)| e.kind()).collect();
        assert_eq!(kinds, ["run.started", "tool.invoked", "aios.branch_created", "aios.future_thing"]);
        let all: Vec<_> = events(&plan).collect();
        assert_eq!(all[1].1.causation, Some(all[0].1.id));
        assert_eq!(all[1].1.trace, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
        assert_eq!(all[3].1.occurred.to_string(), "2026-03-01T00:00:03.000000Z");
        let forks: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|s| {
                if let PlanStep::Fork { place, at, .. } = s { Some((place.to_string(), *at)) } else { None }
            })
            .collect();
        assert_eq!(forks, [("S1/alt".to_owned(), Some(all[0].1.id))]);
        assert_eq!(restored(&plan), LOG);
    }

    #[test]
    fn their_records_are_printed_as_they_were() {
        let plan = plan_of("s1.jsonl", LOG);
        let mut out = Vec::new();
        for (i, (place, e)) in events(&plan).enumerate() {
            print(&recorded(&place.to_string(), i as u64 + 1, e), &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap(), LOG);
    }

    #[test]
    fn what_we_print_is_read_as_it_was() {
        let full = event("tool.invoked")
            .source("runner")
            .actor("agent")
            .correlation("c")
            .priority(2)
            .version(3)
            .meta("k", "v")
            .causation(EventId::new())
            .trace("00-a-b-01")
            .json_text("{\n \"a\": 1}");
        for new in [full, event("a"), event("b.c").bytes("text/plain", "x\ny")] {
            let mut out = Vec::new();
            print(&recorded("s/b", 4, &new), &mut out);
            assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            let plan = plan_of("x.jsonl", std::str::from_utf8(&out).unwrap());
            let (place, back) = events(&plan).next().unwrap();
            assert_eq!(place.to_string(), "s/b");
            assert_eq!(
                format!("{back:?}").replace("trusted: true", "trusted: false"),
                format!("{new:?}").replace("trusted: true", "trusted: false")
            );
        }
    }

    #[test]
    fn a_fork_survives_the_trip() {
        let (fork, new) = (fork(), event("a"));
        let mut out = Vec::new();
        print(&recorded("s/main", fork.at.get(), &new), &mut out);
        print_fork(Format::Aios, &fork, &mut out).unwrap();
        let plan = plan_of("x.jsonl", std::str::from_utf8(&out).unwrap());
        assert_eq!(plan.events(), 1);
        let Some(PlanStep::Fork { place, parent, at }) = plan.steps.last() else { panic!("no fork") };
        assert_eq!((place, &parent.branch, *at), (&fork.place, &fork.parent, Some(new.id)));
    }
}
