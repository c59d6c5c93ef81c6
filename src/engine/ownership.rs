//! Who has a store, as its users are told.

use super::rank::Rank;
use crate::event::Timestamp;

/// The process that has a store's file open, and those that it shares it with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOwner {
    /// Its process id.
    pub pid: u32,
    /// How it calls itself.
    pub program: String,
    /// Whether it hands the store over, and to whom.
    pub rank: Rank,
    /// Since when it has the file.
    pub since: Timestamp,
    /// The other processes that use the store.
    pub clients: Vec<StoreClient>,
}

/// A process that uses a store through its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreClient {
    /// Its process id.
    pub pid: u32,
    /// How it calls itself.
    pub program: String,
    /// See [`Rank`].
    pub rank: Rank,
    /// Since when it is connected.
    pub since: Timestamp,
    /// Bytes that wait until it reads them.
    pub queued_bytes: u64,
}
