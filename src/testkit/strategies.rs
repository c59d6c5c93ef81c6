//! Strategies for proptest: names, events, conditions and questions from small pools, so that they collide.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::want::{Ask, Want};
use crate::event::{BranchName, EventId, NewEvent, Place, SessionId, Timestamp};

const KINDS: [&str; 7] =
    ["run.started", "run.ended", "tool.invoked", "tool.call.done", "step", "message.user", "a.b.c.d"];
const PATTERNS: [&str; 9] =
    ["**", "*", "run.*", "tool.**", "**.done", "*.invoked", "step", "a.**.d", "t*l.*"];
const SOURCES: [&str; 3] = ["runner", "planner", "reviewer"];

/// Any name that a session or branch can have, including strange ones.
pub fn any_name() -> impl Strategy<Value = String> {
    let plain = "[a-z][a-z0-9_-]{0,12}";
    let wild = "[^/@*?\\p{Cc}]{1,40}";
    prop_oneof![3 => plain.boxed(), 1 => wild.boxed()]
        .prop_filter("a name of at most 255 bytes, and no folder", |n| {
            n.len() <= crate::limits::MAX_NAME_BYTES && n != "." && n != ".."
        })
}

/// Any session id.
pub fn any_session() -> impl Strategy<Value = SessionId> {
    any_name().prop_filter_map("a session id", |n| SessionId::new(n).ok())
}

/// Any branch name.
pub fn any_branch() -> impl Strategy<Value = BranchName> {
    any_name().prop_filter_map("a branch name", |n| BranchName::new(n).ok())
}

/// One of a few sessions, two of which are prefixes of others.
pub fn session() -> impl Strategy<Value = SessionId> {
    select(vec!["s", "s1", "s10", "t", "日本"]).prop_filter_map("a session id", |n| SessionId::new(n).ok())
}

/// One of a few branch names.
pub fn branch() -> impl Strategy<Value = BranchName> {
    select(vec!["a", "b", "c", "d", "main", "try 2"])
        .prop_filter_map("a branch name", |n| BranchName::new(n).ok())
}

/// One of a few branches.
pub fn place() -> impl Strategy<Value = Place> {
    (session(), branch()).prop_map(|(session, branch)| Place::new(session, branch))
}

/// A random id: unique in practice, and hardly ever ordered by time.
pub fn id() -> impl Strategy<Value = EventId> {
    any::<u128>().prop_map(|n| EventId::from_uuid(Uuid::from_u128(n)))
}

fn payload() -> impl Strategy<Value = (&'static str, Bytes)> {
    let json = "[a-z ]{0,30}".prop_map(|s| ("", Bytes::from(format!("{{\"text\":\"{s}\"}}"))));
    let long = (0usize..9_000).prop_map(|n| ("", Bytes::from(format!("\"{}\"", "x".repeat(n)))));
    let bytes =
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|b| ("application/octet-stream", Bytes::from(b)));
    prop_oneof![8 => json.boxed(), 1 => long.boxed(), 1 => bytes.boxed()]
}

/// A valid event. Every field is set now and then.
pub fn event() -> impl Strategy<Value = NewEvent> {
    let text = || prop_oneof![2 => Just(""), 1 => select(SOURCES.to_vec())];
    let metadata = prop::collection::btree_map("[a-c]", "[x-z]{0,2}", 0..3);
    let plain = (id(), select(KINDS.to_vec()), 0u32..4, 0i64..1_000, 0u8..4);
    (plain, text(), text(), text(), prop::option::weighted(0.2, id()), metadata, payload()).prop_map(
        |((id, kind, version, time, priority), source, actor, correlation, cause, metadata, payload)| {
            let (content_type, bytes) = payload;
            let event = NewEvent::new(kind).with_id(id).version(version).priority(priority);
            let event = event.occurred(Timestamp::from_micros(time)).source(source).actor(actor);
            let event = event.correlation(correlation).bytes(content_type, bytes);
            let event = metadata.into_iter().fold(event, |e, (k, v)| e.meta(k, v));
            match cause {
                Some(cause) => event.causation(cause),
                None => event,
            }
        },
    )
}

/// A few events; now and then enough to cause a flush.
pub fn events() -> impl Strategy<Value = Vec<NewEvent>> {
    prop_oneof![
        6 => prop::collection::vec(event(), 1..4).boxed(),
        2 => prop::collection::vec(event(), 4..12).boxed(),
        1 => prop::collection::vec(event(), 30..45).boxed(),
    ]
}

/// A filter, often an empty one.
pub fn want() -> impl Strategy<Value = Want> {
    let text = || prop::option::weighted(0.2, select(SOURCES.to_vec()).prop_map(str::to_owned));
    let pattern = select(PATTERNS.to_vec()).prop_map(str::to_owned);
    let fields = (
        prop::collection::vec(pattern, 0..3),
        (text(), text(), text()),
        prop_oneof![3 => Just(0u8), 1 => 1u8..4],
        prop::collection::vec(("[a-c]", "[x-z]{0,2}"), 0..2),
        (prop::option::weighted(0.2, 0i64..1_000), prop::option::weighted(0.2, 0i64..1_000)),
    );
    let some =
        fields.prop_map(|(patterns, (source, actor, correlation), priority, metadata, (since, until))| {
            Want { patterns, source, actor, correlation, priority, metadata, since, until }
        });
    prop_oneof![2 => Just(Want::default()).boxed(), 1 => some.boxed()]
}

/// A sequence or position near existing ones, or at the limits.
pub fn number(around: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..=around.saturating_add(2),
        1 => Just(0),
        1 => Just(u64::MAX),
        1 => Just(u64::MAX - 1),
    ]
}

/// A read of this branch, or of everything, when about `around` events exist.
pub fn ask(place: Option<Place>, around: u64) -> impl Strategy<Value = Ask> {
    let limit = prop::option::of(prop_oneof![4 => 0usize..20, 1 => 0usize..2_000, 1 => Just(usize::MAX)]);
    (number(around), number(around), limit, any::<bool>(), want()).prop_map(
        move |(from, to, limit, reverse, want)| Ask { place: place.clone(), from, to, limit, reverse, want },
    )
}
