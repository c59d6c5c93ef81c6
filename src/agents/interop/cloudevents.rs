//! CloudEvents 1.0 in JSON: a single event, a batch, or one per line.
//!
//! The payload is the event's data. Attributes that have a field in our events go there, all others into metadata. So
//! does an `id` that is not one of ours, as `source.id`; it is written again on export. Lines that we write have the
//! attribute `retold` and come back as the events they were.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;

use crate::event::envelope;
use crate::event::{
    BranchName, Event, EventId, Invalid, JSON, NewEvent, Place, SessionId, Timestamp, check_kind,
};
use crate::limits::MAX_KIND_BYTES;

use super::builder::Draft;
use super::fields::{self, Fields};
use super::input::Input;
use super::own::{self, Forked, add_fork, number, parsed, text};
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, json, names, source};

/// The attribute that marks our own lines.
const MARK: &str = "retold";
/// The attribute with our id, on lines whose `id` is the producer's.
const OWN_ID: &str = "eventid";
/// The `source`, which must not be empty, when the event has none or one that is not a URI reference.
const NO_SOURCE: &str = "/retold";
/// The type of the line that says where a branch begins.
const FORKED: &str = "retold.branch.forked";
/// The type as the producer wrote it, if it is not legal here.
const TYPE: &str = "cloudevents.type";
/// Attributes that become fields of an event, or its data.
const TAKEN: [&str; 16] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "data",
    "data_base64",
    MARK,
    envelope::SESSION,
    envelope::BRANCH,
    envelope::ACTOR,
    envelope::CORRELATION,
    envelope::TRACEPARENT,
    "sourcename",
    envelope::METADATA,
];
/// Attributes of our own lines that an import assigns anew.
const ASSIGNED: [&str; 4] = ["subject", envelope::SEQUENCE, envelope::POSITION, envelope::RECORDED];

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    f.has("specversion") && f.has("type")
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let fallback = input.session_or_stem()?;
    for ref piece in input.pieces() {
        let text = input.text(piece);
        let record = text.as_deref().map_err(Clone::clone).and_then(|text| {
            let f = Fields::parse(text)?;
            Ok((text, f))
        });
        let (record, f) = match record {
            Ok(both) => both,
            Err(reason) => {
                plan.skip(piece, reason);
                continue;
            }
        };
        if is_ours(&f) && f.text("type").is_some_and(|t| t == FORKED) {
            match forked(&f, &fallback) {
                Ok(fork) => add_fork(&mut plan, piece, &fork),
                Err(e) => plan.skip(piece, e.to_string()),
            }
            continue;
        }
        match parse_one(&f, Some(&fallback)) {
            Ok((place, event)) => {
                let time = f.has("time").then_some(event.occurred);
                let body = if is_ours(&f) { Body::Own } else { body(record, &f, &event) };
                let sequence =
                    if is_ours(&f) { number(&f, envelope::SEQUENCE).unwrap_or_default() } else { None };
                let draft = Draft { sequence, ..Draft::new(event, time, body) };
                plan.push(piece, piece.ordinal as u64, &place, draft);
            }
            Err(e) => plan.skip(piece, e.to_string()),
        }
    }
    Ok(plan.finish())
}

fn is_ours(f: &Fields<'_>) -> bool {
    f.text(MARK).is_some_and(|v| v == "1")
}

/// One event, in the session that it names or else in this one.
pub(crate) fn parse_one(f: &Fields<'_>, session: Option<&SessionId>) -> Result<(Place, NewEvent), Invalid> {
    let version = required(f, "specversion")?;
    if !version.starts_with("1.") {
        return Err(Invalid::new("specversion", format!("is {}; 1.0 can be read", version.escape_debug())));
    }
    let (id, source, kind) = (required(f, "id")?, required(f, "source")?, required(f, "type")?);
    let session = match (text(f, envelope::SESSION)?, session) {
        (Some(name), _) => SessionId::new(name)?,
        (None, Some(session)) => session.clone(),
        (None, None) => {
            return Err(Invalid::new(envelope::SESSION, "is missing: an extension attribute names it"));
        }
    };
    let branch = text(f, envelope::BRANCH)?.map_or_else(|| Ok(BranchName::main()), BranchName::new)?;
    let mut event = NewEvent::new(legal_kind(&kind));
    if event.kind != kind {
        event.metadata.insert(TYPE.to_owned(), kind);
    }
    let own = if is_ours(f) { parsed::<EventId>(f, OWN_ID)? } else { None };
    match own.map_or_else(|| id.parse(), Ok) {
        Ok(id) => event.id = id,
        Err(_) => {
            event.id = derived_id(&source, &id);
            event.metadata.insert(source::ID.to_owned(), id);
        }
    }
    event.source = match (is_ours(f), text(f, "sourcename")?) {
        (_, Some(name)) => name.into(),
        (true, None) if source == NO_SOURCE => "".into(),
        _ => names::label(&source).into(),
    };
    if let Some(time) = parsed::<Timestamp>(f, "time")? {
        event.occurred = time;
    }
    event.actor = text(f, envelope::ACTOR)?.unwrap_or_default().into();
    event.correlation = text(f, envelope::CORRELATION)?.unwrap_or_default().into();
    event.trace = text(f, envelope::TRACEPARENT)?.unwrap_or_default().into();
    if let Some(json) = text(f, envelope::METADATA)? {
        match serde_json::from_str::<BTreeMap<String, String>>(&json) {
            Ok(metadata) => event.metadata.extend(metadata),
            Err(_) => drop(event.metadata.insert(envelope::METADATA.to_owned(), json)),
        }
    }
    extensions(&mut event, f);
    Ok((Place::new(session, branch), payload(event, f)?))
}

/// Whatever else the event carries.
fn extensions(event: &mut NewEvent, f: &Fields<'_>) {
    let ours = is_ours(f);
    for (name, raw) in f.iter().filter(|(n, raw)| !TAKEN.contains(n) && raw.get() != "null") {
        match name {
            _ if ours && (ASSIGNED.contains(&name) || name == OWN_ID) => continue,
            envelope::CAUSATION if let Ok(Some(cause)) = parsed::<EventId>(f, envelope::CAUSATION) => {
                event.causation = Some(cause);
            }
            envelope::PRIORITY if let Ok(Some(priority)) = number(f, envelope::PRIORITY) => {
                event.priority = priority
            }
            envelope::VERSION if ours && let Ok(Some(version)) = number(f, envelope::VERSION) => {
                event.version = version
            }
            _ => {
                let value =
                    fields::string(raw.get()).map_or_else(|| raw.get().to_owned(), |v| v.into_owned());
                event.metadata.insert(name.to_owned(), value);
            }
        }
    }
}

fn payload(event: NewEvent, f: &Fields<'_>) -> Result<NewEvent, Invalid> {
    let content_type = text(f, "datacontenttype")?.unwrap_or_else(|| JSON.to_owned());
    let is_json = own::is_json(&content_type);
    let content_type = if is_json { JSON.to_owned() } else { content_type };
    match (f.raw("data"), f.value("data_base64")) {
        (Some(_), Some(_)) => {
            Err(Invalid::new("data", "is given together with data_base64; an event has only one of them"))
        }
        (None, None) => Ok(event),
        (None, Some(coded)) => Ok(event.bytes(content_type, own::decode(coded)?)),
        (Some(raw), None) => match fields::string(raw.get()) {
            Some(text) if !is_json => Ok(event.bytes(content_type, text.into_owned().into_bytes())),
            _ => Ok(event.bytes(content_type, Bytes::copy_from_slice(raw.get().as_bytes()))),
        },
    }
}

/// What of the record is not in the payload; together they restore it.
fn body(record: &str, f: &Fields<'_>, event: &NewEvent) -> Body {
    let whole = || Body::Part { open: record.to_owned(), close: String::new(), data: "none" };
    let split = |inner: &str, data: &'static str| {
        let at = (inner.as_ptr() as usize).wrapping_sub(record.as_ptr() as usize);
        match (record.get(..at), record.get(at + inner.len()..)) {
            (Some(open), Some(close)) => Body::Part { open: open.to_owned(), close: close.to_owned(), data },
            _ => whole(),
        }
    };
    if let Some(coded) = f.raw("data_base64").map(|r| r.get()) {
        let inner = coded.get(1..coded.len().saturating_sub(1)).unwrap_or_default();
        return if BASE64.encode(&event.payload) == inner { split(inner, "base64") } else { whole() };
    }
    let Some(raw) = f.raw("data").map(|r| r.get()) else {
        return whole();
    };
    if event.payload == raw.as_bytes() {
        return split(raw, "json");
    }
    let mut text = Vec::new();
    json::write_text(&String::from_utf8_lossy(&event.payload), &mut text);
    if text == raw.as_bytes() { split(raw, "text") } else { whole() }
}

fn required(f: &Fields<'_>, name: &'static str) -> Result<String, Invalid> {
    text(f, name)?.filter(|t| !t.is_empty()).ok_or_else(|| Invalid::new(name, "is missing"))
}

/// Producers guarantee that source and id together identify an event.
fn derived_id(source: &str, id: &str) -> EventId {
    ids::derived(ids::CLOUD_EVENTS, &[source.as_bytes(), id.as_bytes()])
}

/// The type itself if it is legal here; otherwise the catalogue's type of that name, or the type with its parts made
/// legal.
fn legal_kind(kind: &str) -> String {
    if check_kind(kind).is_ok() {
        return kind.to_owned();
    }
    if let Some(known) = names::known(kind) {
        return known.into_owned();
    }
    let mut out = String::new();
    for part in kind.split('.').filter(|p| !p.is_empty()) {
        let part = names::snake(part);
        if out.len() + 1 + part.len() > MAX_KIND_BYTES {
            break;
        }
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(&part);
    }
    if out.is_empty() { "cloudevents.unknown".to_owned() } else { out }
}

fn forked(f: &Fields<'_>, fallback: &SessionId) -> Result<Forked, Invalid> {
    own::forked(f, &f.object("data"), fallback)
}

/// Appends an event as one line.
pub(crate) fn print(event: &Event, out: &mut Vec<u8>) {
    let source = event.source().filter(|s| is_uri_reference(s) && *s != NO_SOURCE);
    out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    let own = event.id().to_string();
    // An id that another event has under the same source would merge the two.
    let is_its = |id: &&str| derived_id(event.source().unwrap_or_default(), id) == event.id();
    let given = event.meta(source::ID).filter(is_its);
    json::text("id", Some(given.unwrap_or(&own)), out);
    json::text("source", Some(source.unwrap_or(NO_SOURCE)), out);
    json::text("type", Some(event.kind()), out);
    json::text(OWN_ID, given.map(|_| own.as_str()), out);
    json::text("subject", Some(&event.address().to_string()), out);
    json::text("time", Some(&event.occurred().to_string()), out);
    json::text(MARK, Some("1"), out);
    json::text(envelope::SESSION, Some(event.session().as_str()), out);
    json::text(envelope::BRANCH, Some(event.branch().as_str()), out);
    // Integers in CloudEvents have 32 bits; these have 64.
    json::text(envelope::SEQUENCE, Some(&event.sequence().to_string()), out);
    json::text(envelope::POSITION, Some(&event.position().to_string()), out);
    json::text(envelope::VERSION, Some(&event.version().to_string()), out);
    json::text(envelope::RECORDED, Some(&event.recorded().to_string()), out);
    json::text("sourcename", event.source().filter(|_| source.is_none()), out);
    json::text(envelope::ACTOR, event.actor(), out);
    json::text(envelope::CORRELATION, event.correlation(), out);
    json::text(envelope::CAUSATION, event.causation().map(|c| c.to_string()).as_deref(), out);
    json::text(envelope::TRACEPARENT, event.trace(), out);
    if event.priority() > 0 {
        json::number(envelope::PRIORITY, event.priority(), out);
    }
    if event.metadata().len() > 0 {
        let mut metadata = Vec::new();
        json::metadata(event, &mut metadata);
        json::text(envelope::METADATA, Some(&String::from_utf8_lossy(&metadata)), out);
    }
    json::data(event, json::Style::Exact, out);
    out.extend_from_slice(b"}\n");
}

/// Appends the line that says where a branch begins.
pub(crate) fn print_fork(fork: &Forked, out: &mut Vec<u8>) {
    let (session, branch) = (fork.place.session.as_str(), fork.place.branch.as_str());
    let id = ids::derived(ids::CLOUD_EVENTS, &[session.as_bytes(), branch.as_bytes(), FORKED.as_bytes()]);
    out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    json::text("id", Some(&id.to_string()), out);
    json::text("source", Some(NO_SOURCE), out);
    json::text("type", Some(FORKED), out);
    json::text(MARK, Some("1"), out);
    json::text(envelope::SESSION, Some(session), out);
    json::text(envelope::BRANCH, Some(branch), out);
    json::name("data", out);
    fork.write(out);
    out.extend_from_slice(b"}\n");
}

/// Whether a text has only characters that a URI reference may contain.
fn is_uri_reference(text: &str) -> bool {
    let extra = b"-._~:/?#[]@!$&'()*+,;=%";
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::interop::testing::{event, plan_of, recorded, restored};

    #[test]
    fn attributes_go_where_they_belong() {
        let line = r#"{"specversion":"1.0","id":"A-1","source":"/my ctx","type":"Com.Example.Order-Placed","subject":"123","time":"2018-04-05T17:31:00Z","comexampleext":5,"flag":true,"session":"s1","branch":"try","correlation":"c","causation":"019bfc23-5c32-7791-ae30-aa4b590df541","priority":3,"datacontenttype":"application/json; charset=utf-8","data":{"a": 1}}"#;
        let (place, event) = crate::agents::interop::parse_line(line, None).unwrap();
        assert_eq!(place.to_string(), "s1/try");
        assert_eq!(
            (event.kind(), &*event.source, event.priority),
            ("com.example.order_placed", "/my ctx", 3)
        );
        assert_eq!(event.metadata["cloudevents.type"], "Com.Example.Order-Placed");
        assert_eq!((&*event.metadata["comexampleext"], &*event.metadata["flag"]), ("5", "true"));
        assert_eq!(event.metadata["subject"], "123");
        assert_eq!(event.payload, r#"{"a": 1}"#);
        assert!(event.causation.is_some() && event.content_type.is_empty());
    }

    #[test]
    fn all_three_ways_of_carrying_data_come_back() {
        let file = concat!(
            r#"{"specversion":"1.0","id":"1","source":"a","type":"t","data":[1, 2]}"#,
            "\n",
            r#"{"specversion":"1.0","id":"2","source":"a","type":"t","datacontenttype":"text/xml","data":"<a b=\"c\"/>"}"#,
            "\n",
            r#"{"specversion":"1.0","id":"3","source":"a","type":"t","datacontenttype":"x/y","data_base64":"AAEC"}"#,
            "\n",
            r#"{"specversion":"1.0","id":"4","source":"a","type":"t"}"#,
            "\n",
            r#"{"specversion":"1.0","id":"5","source":"a","type":"t","datacontenttype":"text/plain","data":"\u0041"}"#,
            "\n",
        );
        let plan = plan_of("ce.ndjson", file);
        assert_eq!(plan.format, super::super::Format::CloudEvents);
        let payloads: Vec<&[u8]> =
            crate::agents::interop::testing::events(&plan).map(|(_, e)| &*e.payload).collect();
        assert_eq!(payloads, [&b"[1, 2]"[..], b"<a b=\"c\"/>", b"\x00\x01\x02", b"null", b"A"]);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_batch_comes_back_whole() {
        let file = "[\n  {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a\",\"type\":\"t\"},\n  {\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"a\",\"type\":\"t\",\"data\":null}\n]\n";
        let plan = plan_of("batch.json", file);
        assert_eq!(plan.events(), 2);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn what_we_print_is_read_as_it_was() {
        let mut new =
            event("tool.invoked").source("not a uri").actor("me").meta("k.é", "v\n").version(7).priority(9);
        new = new.json_text("{\n\"a\":1}").causation(EventId::new()).trace("00-x");
        for new in [
            new,
            event("a").source("/ok?x=1"),
            event("a").source("/retold"),
            event("a"),
            event("a").bytes("text/plain", "hi"),
        ] {
            let recorded = recorded("s/b", 3, &new);
            let mut line = Vec::new();
            print(&recorded, &mut line);
            let line = String::from_utf8(line).unwrap();
            assert_eq!(line.matches('\n').count(), 1);
            let (place, back) = crate::agents::interop::parse_line(&line, None).unwrap();
            assert_eq!(place.to_string(), "s/b");
            assert_eq!(
                format!("{back:?}").replace("trusted: true", "trusted: false"),
                format!("{new:?}").replace("trusted: true", "trusted: false")
            );
        }
    }

    #[test]
    fn the_producers_id_is_kept_and_printed_again() {
        let line = r#"{"specversion":"1.0","id":"A-1","source":"/s","type":"t","session":"s"}"#;
        let (_, event) = crate::agents::interop::parse_line(line, None).unwrap();
        assert_eq!(event.metadata["source.id"], "A-1");
        let mut out = Vec::new();
        print(&recorded("s/main", 1, &event), &mut out);
        let printed = String::from_utf8(out).unwrap();
        assert!(printed.contains(r#""id":"A-1","source":"/s""#), "{printed}");
        let (_, back) = crate::agents::interop::parse_line(&printed, None).unwrap();
        assert_eq!((back.id, &back.metadata), (event.id, &event.metadata));
        // Another event under the same source and id is written under its own id.
        let other = event.clone().with_id(EventId::new());
        let mut out = Vec::new();
        print(&recorded("s/main", 2, &other), &mut out);
        assert!(String::from_utf8(out).unwrap().contains(&format!(r#""id":"{}""#, other.id)));
        let ours = r#"{"specversion":"1.0","id":"019bfc23-5c32-7791-ae30-aa4b590df541","source":"/s","type":"t","session":"s"}"#;
        let (_, event) = crate::agents::interop::parse_line(ours, None).unwrap();
        assert!(!event.metadata.contains_key("source.id"));
    }

    #[test]
    fn an_empty_extension_stays_empty() {
        let line = r#"{"specversion":"1.0","id":"1","source":"a","type":"t","session":"s","ext":"","n":0,"o":{"a":""}}"#;
        let (_, event) = crate::agents::interop::parse_line(line, None).unwrap();
        let meta = |name: &str| event.metadata[name].clone();
        assert_eq!([meta("ext"), meta("n"), meta("o")], ["", "0", r#"{"a":""}"#]);
    }

    #[test]
    fn a_fork_survives_the_trip() {
        let fork = crate::agents::interop::testing::fork();
        let mut out = Vec::new();
        print_fork(&fork, &mut out);
        let text = String::from_utf8(out).unwrap();
        let back = forked(&Fields::parse(text.trim()).unwrap(), &"x".try_into().unwrap()).unwrap();
        assert_eq!(back, fork);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, field) in [
            (r#"{"specversion":"1.0","source":"a","type":"t"}"#, "id"),
            (r#"{"specversion":"0.3","id":"1","source":"a","type":"t"}"#, "specversion"),
            (r#"{"specversion":"1.0","id":"1","source":"a","type":"t"}"#, "session"),
            (r#"{"specversion":"1.0","id":"1","source":"a","type":"t","session":"a/b"}"#, "session"),
            (
                r#"{"specversion":"1.0","id":"1","source":"a","type":"t","session":"a","data":1,"data_base64":""}"#,
                "data",
            ),
        ] {
            assert_eq!(crate::agents::interop::parse_line(line, None).unwrap_err().field, field, "{line}");
        }
    }
}
