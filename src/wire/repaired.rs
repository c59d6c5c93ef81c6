//! A repair as JSON.

use serde::Serialize;

use crate::store::recovery::{Lost, Repaired};

/// A store that was put together from what is sound in a damaged file.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedView {
    path: String,
    position: u64,
    bytes: u64,
    events: u64,
    branches: u64,
    records: u64,
    damage: Vec<String>,
    lost: Vec<LostView>,
}

/// Something that could not be kept as it was.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum LostView {
    Events { address: String, first: u64, last: u64 },
    Strays { address: String, events: u64 },
    End { first: u64, last: u64 },
    Branch { was: String, now: Option<String>, why: String },
    Changes { branches: u64 },
    Tables,
    Records { table: &'static str, rows: u64 },
    Commits { first: u64, last: u64 },
    Identity,
}

impl From<&Lost> for LostView {
    fn from(lost: &Lost) -> Self {
        match lost {
            Lost::Events { place, first, last } => {
                Self::Events { address: place.to_string(), first: first.get(), last: last.get() }
            }
            Lost::Strays { place, events } => Self::Strays { address: place.to_string(), events: *events },
            Lost::End { first, last } => Self::End { first: first.get(), last: last.get() },
            Lost::Branch { was, now, why } => Self::Branch {
                was: was.clone(),
                now: now.as_ref().map(ToString::to_string),
                why: why.clone(),
            },
            Lost::Changes { branches } => Self::Changes { branches: *branches },
            Lost::Tables => Self::Tables,
            Lost::Records { table, rows } => Self::Records { table, rows: *rows },
            Lost::Commits { first, last } => Self::Commits { first: *first, last: *last },
            Lost::Identity => Self::Identity,
        }
    }
}

impl From<&Repaired> for RepairedView {
    fn from(repaired: &Repaired) -> Self {
        Self {
            path: repaired.path.display().to_string(),
            position: repaired.position.get(),
            bytes: repaired.bytes,
            events: repaired.events,
            branches: repaired.branches,
            records: repaired.records,
            damage: repaired.damage.iter().map(ToString::to_string).collect(),
            lost: repaired.lost.iter().map(LostView::from).collect(),
        }
    }
}
