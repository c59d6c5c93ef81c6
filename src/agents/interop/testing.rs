//! Helpers that the tests of this module share.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::encode_record;
use crate::event::{Event, EventId, NewEvent, Place, Position, Sequence, Timestamp};
use crate::limits::MAX_PAYLOAD_BYTES;

use super::{Forked, Options, Plan, PlanStep, SourceFile, load, parse, restore};
use crate::store::{Query, Store};

pub(crate) fn event(kind: &'static str) -> NewEvent {
    NewEvent::new(kind).occurred(Timestamp::from_micros(1_772_323_203_000_000)).json_text("{}")
}

pub(crate) fn fork() -> Forked {
    Forked {
        place: Place::new("s".try_into().unwrap(), "alt".try_into().unwrap()),
        parent: "main".try_into().unwrap(),
        at: 7.into(),
        event: Some(EventId::new()),
    }
}

pub(crate) fn plan_of(name: &str, file: impl AsRef<[u8]>) -> Plan {
    parse(name, &Bytes::copy_from_slice(file.as_ref()), &Options::default()).unwrap()
}

pub(crate) fn events(plan: &Plan) -> impl Iterator<Item = (&Place, &NewEvent)> {
    plan.steps.iter().flat_map(|s| match s {
        PlanStep::Append { place, events } => events.iter().map(|e| (place, e)).collect::<Vec<_>>(),
        PlanStep::Fork { .. } => Vec::new(),
    })
}

/// `branch: kind kind …` for each branch, forks as `branch<parent`.
pub(crate) fn drawn(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|s| match s {
            PlanStep::Fork { place, parent, at } => {
                format!("{place} < {}{}", parent.branch, if at.is_some() { "" } else { " at nothing" })
            }
            PlanStep::Append { place, events } => {
                format!("{place}: {}", events.iter().map(NewEvent::kind).collect::<Vec<_>>().join(" "))
            }
        })
        .collect()
}

/// An event as a store would have recorded it.
pub(crate) fn recorded(place: &str, sequence: u64, new: &NewEvent) -> Event {
    let (session, branch) = place.split_once('/').unwrap();
    let place = Place::new(session.try_into().unwrap(), branch.try_into().unwrap());
    let record = encode_record(new, MAX_PAYLOAD_BYTES).unwrap();
    Event::new(Arc::new(place), Sequence::new(sequence), Position::new(sequence), new.occurred, record)
}

pub(crate) fn restored_files(plan: &Plan) -> Vec<SourceFile> {
    let all: Vec<Event> = events(plan)
        .enumerate()
        .map(|(i, (place, e))| recorded(&place.to_string(), i as u64 + 1, e))
        .collect();
    restore(&all)
}

/// The only file that a plan restores.
pub(crate) fn restored(plan: &Plan) -> String {
    let mut files = restored_files(plan);
    assert_eq!(files.len(), 1, "{files:?}");
    String::from_utf8(files.remove(0).bytes).unwrap()
}

/// A store into which these files were imported one after another.
pub(crate) fn imported(files: &[(&str, &str)]) -> Store {
    let store = Store::in_memory().unwrap();
    for (name, text) in files {
        load(&store, plan_of(name, text), &mut |_| {}).unwrap();
    }
    assert!(store.maintenance().verify().unwrap().is_clean());
    store
}

pub(crate) fn all(store: &Store) -> Vec<Event> {
    store.events(Query::all()).unwrap().map(Result::unwrap).collect()
}

/// Every branch with the ids that it has, including inherited ones.
pub(crate) fn branches(store: &Store) -> Vec<(String, Vec<EventId>)> {
    let mut out = Vec::new();
    for session in store.sessions(None, 100).unwrap() {
        for branch in store.branches(&session.session).unwrap() {
            let address = crate::event::Address::from(branch.place);
            let events = store.events(Query::branch(&address).unwrap()).unwrap();
            out.push((address.to_string(), events.map(|e| e.unwrap().id()).collect()));
        }
    }
    out
}
