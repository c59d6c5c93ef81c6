//! What becomes of the records beside the events when a store is restored up to some point.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::codec::{ConsumerRow, CurrentRow, LaneRow, Malformed};
use crate::engine::{KeptPart, KeptRecord};
use crate::error::{Error, Result};
use crate::event::{BranchName, Place, SessionId};
use crate::store::SidecarTable;

type Choice<'a> = Box<dyn FnOnce(Vec<KeptRecord>) -> Result<Vec<KeptRecord>> + 'a>;

/// How the records of a table are chosen; `None` when none is kept.
pub(super) fn cut_records(table: SidecarTable, kept: &KeptPart) -> Option<Choice<'static>> {
    let (position, before) = (kept.position, kept.before);
    Some(match table {
        // States are folded again from what is kept.
        SidecarTable::Snapshots | SidecarTable::Checkpoints => return None,
        SidecarTable::Leases | SidecarTable::Schemas | SidecarTable::Applications => Box::new(Ok),
        SidecarTable::DeadLetters => Box::new(move |rows| Ok(dead_letters(rows, position))),
        SidecarTable::Timers => Box::new(move |rows| timers(rows, before)),
        SidecarTable::Imports => Box::new(move |rows| imports(rows, before)),
        SidecarTable::Current => {
            let heads = kept.heads.clone();
            Box::new(move |rows| Ok(rows.into_iter().filter(|row| is_there(row, &heads)).collect()))
        }
        SidecarTable::Consumers => {
            let heads = kept.heads.clone();
            Box::new(move |rows| consumers(rows, position, before, &heads))
        }
    })
}

fn dead_letters(rows: Vec<KeptRecord>, position: u64) -> Vec<KeptRecord> {
    // The position is the last part of the key.
    let of = |key: &[u8]| key.last_chunk().copied().map_or(0, u64::from_be_bytes);
    rows.into_iter().filter(|(key, _)| of(key) <= position).collect()
}

fn timers(rows: Vec<KeptRecord>, before: i64) -> Result<Vec<KeptRecord>> {
    let mut gone = HashSet::new();
    for (key, value) in rows.iter().filter(|(key, _)| !key.starts_with(b"i")) {
        if number_in(value, "made", "timer")? >= before {
            gone.insert(key.clone());
        }
    }
    // The index leads from an id to the key of its timer.
    let stays = |(key, value): &KeptRecord| match key.first() {
        Some(b'i') => !gone.contains(value),
        _ => !gone.contains(key),
    };
    Ok(rows.into_iter().filter(stays).collect())
}

fn imports(rows: Vec<KeptRecord>, before: i64) -> Result<Vec<KeptRecord>> {
    let number = |key: &[u8]| key.last_chunk::<8>().copied();
    let mut gone = HashSet::new();
    for (key, value) in rows.iter().filter(|(key, _)| key.starts_with(b"i")) {
        if number_in(value, "time", "import")? >= before {
            gone.insert(number(key));
        }
    }
    let stays = |(key, _): &KeptRecord| match key.first() {
        Some(b'i' | b'l') => !gone.contains(&number(key)),
        _ => true,
    };
    Ok(rows.into_iter().filter(stays).collect())
}

fn number_in(value: &[u8], field: &str, what: &str) -> Result<i64> {
    let number = serde_json::from_slice::<Value>(value).ok().and_then(|value| value.get(field)?.as_i64());
    number.ok_or_else(|| Error::corrupt(format!("a record of a {what}"), format!("it has no number {field}")))
}

/// Whether the current branch of a session is kept.
fn is_there((key, value): &KeptRecord, heads: &HashMap<Place, u64>) -> bool {
    CurrentRow::decode(key, value).is_some_and(|row| heads.contains_key(&row.place))
}

/// Consumers go back to the position: what they have resolved after it is not.
fn consumers(
    rows: Vec<KeptRecord>,
    position: u64,
    before: i64,
    heads: &HashMap<Place, u64>,
) -> Result<Vec<KeptRecord>> {
    let bad = |key: &[u8], e: Malformed| {
        Error::corrupt(format!("row {} of consumers", key.escape_ascii()), e.to_string())
    };
    let mut kept = Vec::new();
    // The header of a consumer comes before the records of its branches, whose keys begin with its own.
    let mut rows = rows.into_iter().peekable();
    while let Some((key, value)) = rows.next() {
        let (mut header, mut lanes) = ConsumerRow::decode(&value).map_err(|e| bad(&key, e))?;
        let own = [&key[..], &[0]].concat();
        while let Some((lane, value)) = rows.next_if(|(next, _)| next.starts_with(&own)) {
            let place = lane
                .get(own.len()..)
                .and_then(place_of)
                .ok_or_else(|| bad(&lane, Malformed::new("its key names no branch")))?;
            lanes.push(LaneRow::decode(place, &value).map_err(|e| bad(&lane, e))?);
        }
        if header.created >= before {
            continue;
        }
        if header.scanned > position {
            (header.scanned, header.mark) = (position, None);
            lanes = lanes.into_iter().filter_map(|lane| cut_lane(lane, position, heads)).collect();
        }
        header.lanes = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
        kept.push((key.clone(), header.encode()));
        for lane in lanes {
            let (session, branch) = (lane.place.session.as_str(), lane.place.branch.as_str());
            let name = format!("{session}/{branch}");
            kept.push(([&own[..], name.as_bytes()].concat(), lane.encode()));
        }
    }
    Ok(kept)
}

fn place_of(name: &[u8]) -> Option<Place> {
    let (session, branch) = std::str::from_utf8(name).ok()?.split_once('/')?;
    Some(Place::new(SessionId::new(session).ok()?, BranchName::new(branch).ok()?))
}

/// What of a branch's events is unresolved and kept.
fn cut_lane(lane: LaneRow, position: u64, heads: &HashMap<Place, u64>) -> Option<LaneRow> {
    let head = heads.get(&lane.place)?;
    let rest = lane.rest.map(|(after, at, last)| (after, at, last.min(*head)));
    let rest = rest.filter(|(after, at, last)| *at <= position && after < last);
    let delivered = lane.head.filter(|delivered| delivered.position <= position);
    (rest.is_some() || delivered.is_some()).then_some(LaneRow { rest, head: delivered, ..lane })
}
