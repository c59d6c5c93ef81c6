//! The projections of a store, their progress, and where they are parked.

use std::collections::BTreeSet;

use super::fold::Scope;
use super::generations::Generations;
use super::keys::{self, ParkedRow};
use super::run::Runner;
use super::task::RebuildProgress;
use crate::error::Result;
use crate::event::{Position, Timestamp};
use crate::limits::MAX_LISTING;
use crate::store::{Records, SidecarRange, SidecarTable, Store};
use crate::sync::lock;

/// One projection of a store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProjectionInfo {
    /// Its name.
    pub name: String,
    /// The version of the current states; `None` before there are any.
    pub version: Option<u32>,
    /// The version of the states that are being built.
    pub next_version: Option<u32>,
    /// What its states belong to.
    pub scope: Option<Scope>,
    /// Every event up to here is in the stored states, or was folded by this process.
    pub position: Position,
    /// How many positions it is behind what is committed.
    pub lag: u64,
    /// Where it is parked.
    pub parked: Vec<Parked>,
    /// The rebuild that is running in this process.
    pub rebuild: Option<RebuildProgress>,
    /// Why it has stopped in this process.
    pub stopped: Option<String>,
    /// Whether this process keeps it up to date. Of several that have registered it, one does.
    pub running: bool,
}

impl ProjectionInfo {
    /// A projection that has no states yet, for front ends that list their own.
    #[must_use]
    pub fn none(name: &str, scope: Scope, lag: u64) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            next_version: None,
            scope: Some(scope),
            position: Position::new(0),
            lag,
            parked: Vec::new(),
            rebuild: None,
            stopped: None,
            running: false,
        }
    }
}

/// An event that a projection could not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// The branch, session or key that is parked.
    pub of: String,
    /// The event's address.
    pub at: String,
    /// Its position.
    pub position: Position,
    /// Why it could not be applied.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl From<ParkedRow> for Parked {
    fn from(row: ParkedRow) -> Self {
        let ParkedRow { of, at, position, reason, since, .. } = row;
        Self { of, at, position: Position::new(position), reason, since: Timestamp::from_micros(since) }
    }
}

pub(super) fn list(store: &Store) -> Result<Vec<ProjectionInfo>> {
    let reader = store.reader()?;
    let records = reader.records();
    let mut names = BTreeSet::new();
    for prefix in keys::all_generations() {
        for row in records.rows(SidecarTable::Checkpoints, &SidecarRange::under(prefix, MAX_LISTING))? {
            names.extend(keys::name_of(&row.key).map(str::to_owned));
        }
    }
    let running = if store.handle().read_only() { None } else { Runner::running(store) };
    let known = running.map(|runner| lock(&runner.known).clone()).unwrap_or_default();
    names.extend(known.keys().cloned());
    let committed = reader.committed().get();
    let info = |name: String| -> Result<ProjectionInfo> {
        let (current, next) = Generations::read(&records, &name)?.built();
        let here = known.get(&name);
        let stored = current.as_ref().map_or(0, |c| c.position);
        let position = here.map_or(stored, |(_, status)| {
            stored.max(status.position.load(std::sync::atomic::Ordering::Relaxed))
        });
        let parked = match &current {
            Some(current) => parked(&records, &name, current.generation)?,
            None => Vec::new(),
        };
        Ok(ProjectionInfo {
            version: current.as_ref().map(|c| c.version),
            next_version: next.as_ref().map(|n| n.version),
            scope: current.or(next).map(|built| built.scope).or_else(|| here.map(|(fold, _)| fold.scope)),
            position: Position::new(position),
            lag: committed.saturating_sub(position),
            parked,
            rebuild: here.and_then(|(_, status)| status.task()).map(|task| super::Rebuild(task).progress()),
            stopped: here.and_then(|(_, status)| status.failed()),
            running: here.is_some_and(|(_, status)| status.holds()),
            name,
        })
    };
    names.into_iter().map(info).collect()
}
fn parked(records: &Records, name: &str, generation: u32) -> Result<Vec<Parked>> {
    let rows = records.rows(
        SidecarTable::Checkpoints,
        &SidecarRange::under(&keys::parkings_of(name, generation), MAX_LISTING),
    )?;
    let row = |json: Vec<u8>| serde_json::from_slice::<ParkedRow>(&json).ok();
    Ok(rows.into_iter().filter_map(|record| record.value.ok().and_then(row)).map(Parked::from).collect())
}
