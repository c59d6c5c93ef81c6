//! Which entity of a timeline is inside which.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::lasting::Lasting;
use crate::event::{Event, EventId};
use crate::limits::TIMELINE_CAUSES;

/// Members that name the parent by its id, in our own payloads and in those that are imported.
const PARENTS: [&str; 9] = [
    "parent_id",
    "parent_tool_use_id",
    "parent_tool_call_id",
    "parent_call_id",
    "parent_run_id",
    "parentRunId",
    "parent_step_id",
    "parent_task_id",
    "parent_agent_id",
];

/// What is around all else that happens while it is open, if it is the only one.
const CONTAINERS: [&str; 3] = ["step", "run", "session"];

/// How far out a kind of entity is. One is never inside another of the same rank unless an event says so.
fn rank(kind: &str) -> u8 {
    match kind {
        "session" => 0,
        "run" | "workflow" => 1,
        "plan" => 2,
        "step" | "task" => 3,
        "agent" | "coder" | "actor" => 4,
        "tool" => 6,
        _ => 5,
    }
}

/// What it takes to find the parent of the next entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Nesting {
    by_id: HashMap<String, Vec<usize>>,
    /// The entity that an event is about, or that the event which caused it is about: for the last events.
    about: HashMap<EventId, usize>,
    order: VecDeque<EventId>,
    /// Containers that are open.
    open: Vec<usize>,
    /// Whether the parent was named by an event, for each entity.
    named: Vec<bool>,
}

impl Nesting {
    /// The entity of this kind and id.
    pub(super) fn row(&self, all: &[Lasting], kind: &str, id: &str) -> Option<usize> {
        let rows = self.by_id.get(id)?;
        rows.iter().copied().find(|row| all.get(*row).is_some_and(|e| e.kind == kind))
    }

    /// A new entity, which gets this row.
    pub(super) fn add(&mut self, id: &str, row: usize) {
        self.by_id.entry(id.to_owned()).or_default().push(row);
        self.named.push(false);
    }

    /// An event that is about no entity belongs to the one that its cause is about.
    pub(super) fn pass_on(&mut self, event: &Event) {
        if let Some(row) = event.causation().and_then(|cause| self.about.get(&cause).copied()) {
            self.remember(event.id(), row);
        }
    }

    /// Finds the parent of an entity in an event about it. What an event names is preferred to what it implies.
    pub(super) fn place(&mut self, all: &mut [Lasting], row: usize, event: &Event, payload: &Value) {
        let is_new = all.get(row).is_some_and(|e| e.spans.is_empty());
        let is_named = self.named.get(row).copied().unwrap_or_default();
        let named = match is_named {
            true => None,
            false => self.named_in(all, row, event, payload).filter(|parent| !is_inside(all, *parent, row)),
        };
        if let (Some(_), Some(known)) = (named, self.named.get_mut(row)) {
            *known = true;
        }
        let implied = || self.implied_by(all, row, event);
        let parent = named.or_else(|| is_new.then(implied).flatten());
        if let (Some(parent), Some(entity)) = (parent, all.get_mut(row)) {
            entity.parent = Some(parent);
        }
        self.remember(event.id(), row);
    }

    /// Keeps what is open, once an entity has entered a phase.
    pub(super) fn entered(&mut self, all: &[Lasting], row: usize) {
        let Some(entity) = all.get(row).filter(|e| CONTAINERS.contains(&e.kind.as_str())) else { return };
        match (entity.is_open(), self.open.contains(&row)) {
            (true, false) => self.open.push(row),
            (false, true) => self.open.retain(|open| *open != row),
            _ => {}
        }
    }

    /// The parent that an event names: by a member for it, or by the id of an entity of an outer kind.
    fn named_in(&self, all: &[Lasting], row: usize, event: &Event, payload: &Value) -> Option<usize> {
        let inner = rank(&all.get(row)?.kind);
        let others = |id: &str| {
            let rows = self.by_id.get(id).filter(|_| !id.is_empty()).into_iter().flatten();
            rows.copied().filter(move |other| *other != row)
        };
        let rank_of = |row: &usize| all.get(*row).map_or(u8::MAX, |e| rank(&e.kind));
        let members = payload.as_object();
        let mut named = PARENTS.iter().filter_map(|name| text(members?.get(*name)?));
        if let Some(parent) = named.find_map(|id| others(&id).max_by_key(rank_of)) {
            return Some(parent);
        }
        let of_kind = |(name, value): (&String, &Value)| {
            let kind = name.strip_suffix("_id").or_else(|| name.strip_suffix("Id"))?;
            let id = text(value)?;
            others(&id).find(|row| all.get(*row).is_some_and(|e| e.kind == kind))
        };
        let by_members = members.into_iter().flatten().filter_map(of_kind);
        let by_correlation = event.correlation().into_iter().flat_map(others);
        by_members.chain(by_correlation).filter(|row| rank_of(row) < inner).max_by_key(rank_of)
    }

    /// The parent that follows from the event's cause, or from what is open.
    fn implied_by(&self, all: &[Lasting], row: usize, event: &Event) -> Option<usize> {
        let inner = rank(&all.get(row)?.kind);
        let is_around = |row: &usize| all.get(*row).is_some_and(|e| e.is_open() && rank(&e.kind) < inner);
        let mut cause = event.causation().and_then(|cause| self.about.get(&cause).copied());
        while let Some(row) = cause {
            if is_around(&row) {
                return Some(row);
            }
            cause = all.get(row).and_then(|e| e.parent);
        }
        CONTAINERS.iter().find_map(|kind| {
            let is_kind = |row: &&usize| is_around(row) && all.get(**row).is_some_and(|e| e.kind == *kind);
            let mut open = self.open.iter().filter(is_kind);
            open.next().filter(|_| open.next().is_none()).copied()
        })
    }

    fn remember(&mut self, event: EventId, row: usize) {
        if self.about.insert(event, row).is_none() {
            self.order.push_back(event);
        }
        if self.order.len() > TIMELINE_CAUSES {
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.about.remove(&oldest));
        }
    }
}

/// Whether an entity is inside another, or is it.
fn is_inside(all: &[Lasting], row: usize, other: usize) -> bool {
    let mut at = Some(row);
    while let Some(row) = at {
        if row == other {
            return true;
        }
        at = all.get(row).and_then(|e| e.parent);
    }
    false
}

/// An id: a text, or a number.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
