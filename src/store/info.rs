//! What a store is, in figures.

use redb::ReadableTableMetadata;

use super::sync::read;
use super::tables::{EVENTS, LINES};
use super::trouble::{Trouble, guarded};
use super::verbs::Store;
use crate::codec::FORMAT;
use crate::error::Result;
use crate::event::{Catalogue, Position, StoreId, Timestamp};

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
    /// How many of them are in the journal and not yet settled.
    pub in_journal: u64,
    /// How many chunks hold the others.
    pub chunks: u64,
    /// The last position.
    pub committed: Position,
    /// Bytes of the file; `None` for a store in memory.
    pub file_bytes: Option<u64>,
}

impl Store {
    /// The types that this store knows: those it was opened with.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        self.shared().options.guard.catalogue()
    }

    /// Figures of this store. Counting sessions walks the names of all branches.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn info(&self) -> Result<StoreInfo> {
        let reader = self.reader()?;
        guarded(|| {
            let (committed, in_journal, born) = {
                let tail = read(&reader.shared.tail);
                (tail.committed(), tail.len() as u64, tail.births().count() as u64)
            };
            let txn = reader.db.begin_read()?;
            let settled_branches = txn.open_table(LINES).told()?.len().told()?;
            let mut sessions = 0;
            let mut after = None;
            loop {
                let page = reader.sessions(after.as_ref(), crate::limits::MAX_LISTING)?;
                sessions += page.len() as u64;
                match page.into_iter().next_back() {
                    Some(last) => after = Some(last.session),
                    None => break,
                }
            }
            Ok(StoreInfo {
                path: reader.shared.name.clone(),
                id: reader.shared.id,
                format: FORMAT,
                created: reader.shared.created,
                sessions,
                branches: settled_branches + born,
                events: committed,
                in_journal,
                chunks: txn.open_table(EVENTS).told()?.len().told()?,
                committed: Position::new(committed),
                file_bytes: std::fs::metadata(&reader.shared.name).ok().map(|m| m.len()),
            })
        })
    }
}
