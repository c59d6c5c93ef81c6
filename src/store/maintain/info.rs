//! What a store is, in figures.

use crate::codec::FORMAT;
use crate::error::Result;
use crate::event::{Position, StoreId, Timestamp};
use crate::store::engine::open::old::count;
use crate::store::engine::tables::definitions::EVENTS;
use crate::store::engine::tables::lookup;
use crate::store::engine::trouble::guarded;
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
    /// How many sessions it has.
    pub sessions: u64,
    /// How many branches.
    pub branches: u64,
    /// How many events.
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
}

pub(super) fn info(store: &Store) -> Result<StoreInfo> {
    let reader = store.reader()?;
    let identity = &reader.contents.identity;
    guarded(|| {
        let (committed, in_journal, mut counts) = {
            let tail = reader.contents.tail()?;
            (tail.committed(), tail.len() as u64, tail.counts())
        };
        let txn = reader.db.begin_read()?;
        if identity.format < FORMAT {
            let flushed = count(&txn)?;
            counts.sessions += flushed.sessions;
            counts.branches += flushed.branches;
            counts.payload_bytes += flushed.payload_bytes;
        }
        Ok(StoreInfo {
            path: identity.name.clone(),
            id: identity.id,
            format: identity.format,
            created: identity.created,
            sessions: counts.sessions,
            branches: counts.branches,
            events: committed,
            in_journal,
            chunks: lookup::len(&lookup::open(&txn, EVENTS)?)?,
            committed: Position::new(committed),
            payload_bytes: counts.payload_bytes,
            file_bytes: std::fs::metadata(&identity.name).ok().map(|m| m.len()),
        })
    })
}
