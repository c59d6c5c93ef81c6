//! Reading the maps.

use std::ops::Bound;
use std::sync::Arc;

use super::state::State;
use crate::engine::branch::Branch;
use crate::engine::get::{End, Get, Got, Range};
use crate::engine::identity::Identity;
use crate::engine::pieces::{Piece, Pieces};
use crate::engine::port::EngineReader;
use crate::engine::process::Process;
use crate::engine::reaper::Reaper;
use crate::engine::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::error::Result;
use crate::event::{Event, Position, SessionId};
use crate::limits::{PAGE_BYTES, SCAN_TAIL_EVENTS};
use crate::sync::RwLock;
use crate::sync::read;

/// What readers share with the engine: it lives as long as one of them.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) process: Process,
    pub(super) identity: Identity,
    pub(super) state: RwLock<State>,
    pub(super) reaper: Arc<Reaper>,
}

impl Kept {
    /// Zero in another process, where the state may be locked forever.
    pub(super) fn committed(&self) -> Position {
        match self.process.is_this() {
            true => Position::new(read(&self.state).committed()),
            false => Position::ZERO,
        }
    }
}

#[derive(Debug)]
pub(super) struct MemoryReader(pub(super) Arc<Kept>);

impl Drop for MemoryReader {
    fn drop(&mut self) {
        self.0.process.keep(&self.0);
    }
}

impl EngineReader for MemoryReader {
    fn identity(&self) -> &Identity {
        &self.0.identity
    }

    fn process(&self) -> &Process {
        &self.0.process
    }

    fn committed(&self) -> Position {
        self.0.committed()
    }

    fn read(&self, get: &Get<'_>) -> Result<Got> {
        self.0.process.check()?;
        let got = got(&read(&self.0.state), get);
        self.0.reaper.note(get, &got);
        got
    }

    fn peek(&self, get: &Get<'_>) -> Result<Option<Got>> {
        self.0.process.check()?;
        got(&read(&self.0.state), get).map(Some)
    }
}

fn got(state: &State, get: &Get<'_>) -> Result<Got> {
    Ok(match get {
        Get::Branch(place) => Got::Branch(state.find(place).cloned()),
        Get::BranchesOf(session) => Got::Branches(ended(state, state.branches_of(session))),
        Get::Branches { after, limit } => {
            let sessions = state.sessions_after(*after).take(*limit);
            Got::Branches(ended(state, sessions.flat_map(|session| state.branches_of(session))))
        }
        Get::Sessions { after, limit } => {
            Got::Sessions(state.sessions_after(*after).take(*limit).cloned().collect())
        }
        Get::Names { of, after, limit, rows } => Got::Names(state.some_names(*of, *after, *limit, *rows)),
        Get::End(branch) => {
            state.as_it_is(branch).is_there()?;
            Got::End(state.end(branch))
        }
        Get::Events { branch, range } => {
            state.as_it_is(branch).holds_from(range.from)?;
            Got::Events(history(state, branch, *range))
        }
        Get::Pieces { branch, from, to } => {
            state.as_it_is(branch).holds_from(*from)?;
            Got::Pieces(pieces(state, branch, *from, *to))
        }
        Get::OfSession { session, range } => Got::Events(of_session(state, session, *range)),
        Get::All(range) => {
            let event = |position| state.position(position).map(|(_, event)| event.clone());
            Got::Events(page(*range, state.committed(), event, Holes::LeftOut))
        }
        Get::Event(id) => Got::Event(state.by_id(*id).cloned()),
        Get::Ids { from, to, limit } => Got::Ids(state.ids_between(*from, *to, *limit)?),
        Get::Whose(position) => {
            let found = state.position(position.get());
            Got::Whose(found.map(|(branch, event)| (branch.clone(), event.sequence().get())))
        }
        Get::Record { table, key } => Got::Record(state.row(*table, key).cloned()),
        Get::EachRecord { table, keys } => {
            Got::EachRecord(keys.iter().map(|key| state.row(*table, key).cloned()).collect())
        }
        Get::Records { table, range } => Got::Records(records(state, *table, range)),
    })
}

fn ended<'a>(state: &State, branches: impl Iterator<Item = &'a Arc<Branch>>) -> Vec<(Arc<Branch>, End)> {
    branches.map(|branch| (branch.clone(), state.end(branch))).collect()
}

fn history(state: &State, branch: &Branch, range: Range) -> Vec<Event> {
    page(range, state.end(branch).head, |sequence| state.at(branch, sequence).cloned(), Holes::End)
}

fn pieces(state: &State, branch: &Branch, from: u64, to: u64) -> Pieces {
    let range = Range { from, to, limit: SCAN_TAIL_EVENTS, reverse: false };
    let events = history(state, branch, range);
    let next = events.last().map(|last| last.sequence().next().get());
    let list = if events.is_empty() { Vec::new() } else { vec![Piece::Events(events.into_iter())] };
    Pieces { list, next }
}

/// What becomes of a number without an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holes {
    End,
    LeftOut,
}

/// Events by number, up to the last one, until there are enough or they are too large.
fn page(range: Range, last: u64, event: impl Fn(u64) -> Option<Event>, holes: Holes) -> Vec<Event> {
    let numbers = range.from.max(1)..=range.to.min(last);
    let mut events: Vec<Event> = Vec::new();
    let mut bytes = 0;
    let mut take = |number| {
        let full = events.len() >= range.limit || (bytes >= PAGE_BYTES && !events.is_empty());
        let event: Option<Event> = if full { None } else { event(number) };
        let goes_on = event.is_some() || (holes == Holes::LeftOut && !full);
        bytes += event.as_ref().map_or(0, |event| event.record().encoded().len());
        events.extend(event);
        goes_on
    };
    match range.reverse {
        false => numbers.take_while(|number| take(*number)).count(),
        true => numbers.rev().take_while(|number| take(*number)).count(),
    };
    events
}

fn of_session(state: &State, session: &SessionId, range: Range) -> Vec<Event> {
    let mut events: Vec<&Event> = Vec::new();
    for branch in state.branches_of(session) {
        let own = state.own(branch, range.from, range.to);
        // No branch contributes more than a page.
        match range.reverse {
            false => events.extend(own.take(range.limit)),
            true => events.extend(own.rev().take(range.limit)),
        }
    }
    events.sort_unstable_by_key(|event| event.position());
    if range.reverse {
        events.reverse();
    }
    let mut bytes = 0;
    let within = |event: &&&Event| {
        let fits = bytes < PAGE_BYTES;
        bytes += event.record().encoded().len();
        fits
    };
    events.iter().take(range.limit).take_while(within).map(|event| (*event).clone()).collect()
}

fn records(state: &State, table: SidecarTable, range: &SidecarRange<'_>) -> Vec<SidecarRecord> {
    let from = match range.after {
        Some(after) if after >= range.prefix => Bound::Excluded(after),
        _ => Bound::Included(range.prefix),
    };
    let within = |key: &[u8]| key.starts_with(range.prefix) && range.to.is_none_or(|to| key <= to);
    let record =
        |(key, value): (&Vec<u8>, &Vec<u8>)| SidecarRecord { key: key.clone(), value: Ok(value.clone()) };
    let rows = state.records_from(table, from).take_while(|(key, _)| within(key));
    if range.reverse {
        let mut rows: Vec<(&Vec<u8>, &Vec<u8>)> = rows.collect();
        rows.reverse();
        return rows.into_iter().take(range.limit).map(record).collect();
    }
    rows.take(range.limit).map(record).collect()
}
