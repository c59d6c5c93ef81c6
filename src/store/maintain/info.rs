//! What a store is, in figures.

use crate::engine::StoreOwner;
use crate::error::Result;
use crate::event::{Position, StoreId, Timestamp};
use crate::store::handle::store::Store;

/// Figures of an open store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The store's file, or words for a store in memory.
    pub path: String,
    /// The store's identity.
    pub id: StoreId,
    /// Its format.
    pub format: u32,
    /// When it was made.
    pub created: Timestamp,
    /// How many sessions it has whose main branch is not deleted.
    pub sessions: u64,
    /// How many branches that are not deleted.
    pub branches: u64,
    /// How many events were recorded. Those that were [removed](crate::lifecycle::BranchLifecycle::purge) since are among them.
    pub events: u64,
    /// How many of them are in the journal and not yet flushed.
    pub in_journal: u64,
    /// How many chunks hold the others.
    pub chunks: u64,
    /// The last position.
    pub committed: Position,
    /// Bytes of all payloads, as they were appended.
    pub payload_bytes: u64,
    /// Bytes of the file; `None` for a store in memory.
    pub file_bytes: Option<u64>,
    /// The process that has the file, and its clients; `None` when no process keeps it, as with a store that is only read,
    /// or one in memory.
    pub owner: Option<StoreOwner>,
}

pub(super) fn info(store: &Store) -> Result<StoreInfo> {
    let (identity, figures) = (store.inner().identity(), store.inner().admin()?.figures()?);
    Ok(StoreInfo {
        path: identity.name.clone(),
        id: identity.id,
        format: identity.format,
        created: identity.created,
        sessions: figures.sessions,
        branches: figures.branches,
        events: figures.events,
        in_journal: figures.in_journal,
        chunks: figures.chunks,
        committed: Position::new(figures.events),
        payload_bytes: figures.payload_bytes,
        file_bytes: figures.file_bytes,
        owner: store.inner().engine().owner()?,
    })
}
