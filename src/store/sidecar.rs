//! Sidecar tables: small records that other modules keep beside the events, by table and key. How far a fold has read,
//! its snapshots, where consumers stand, dead letters, timers, schemas, current branches.
//!
//! They are written by the one writer, alone or together with an append, in one transaction; the journal does not
//! carry them. A commit that only writes records gives no position.

use std::collections::BTreeMap;

use super::durability::Durability;
use crate::error::Result;

/// Which sidecar table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SidecarTable {
    Snapshots,
    Checkpoints,
    Consumers,
    DeadLetters,
    Timers,
    Schemas,
    Current,
    Imports,
}

impl SidecarTable {
    pub(crate) const ALL: [Self; 8] = [
        Self::Snapshots,
        Self::Checkpoints,
        Self::Consumers,
        Self::DeadLetters,
        Self::Timers,
        Self::Schemas,
        Self::Current,
        Self::Imports,
    ];

    /// Mixed into the seal, so that a row is not read in another table.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Whether silently losing a row changes a result. States are folded again.
    pub(crate) fn is_needed(self) -> bool {
        self != Self::Snapshots
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Checkpoints => "checkpoints",
            Self::Consumers => "consumers",
            Self::DeadLetters => "letters",
            Self::Timers => "timers",
            Self::Schemas => "schemas",
            Self::Current => "current",
            Self::Imports => "imports",
        }
    }
}

/// Changes to sidecar records, made in one transaction. The last change of a key counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct SidecarWrites {
    /// Sorted, so that neighbours share their page when they are written.
    rows: BTreeMap<(SidecarTable, Vec<u8>), Option<Vec<u8>>>,
    bytes: usize,
    relaxed: bool,
}

impl SidecarWrites {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn put(&mut self, table: SidecarTable, key: Vec<u8>, value: Vec<u8>) {
        self.set(table, key, Some(value));
    }

    pub(crate) fn remove(&mut self, table: SidecarTable, key: Vec<u8>) {
        self.set(table, key, None);
    }

    fn set(&mut self, table: SidecarTable, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.rows.insert((table, key), value);
    }

    /// Takes over the changes of another.
    pub(crate) fn extend(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.rows.extend(other.rows);
    }

    /// Acknowledged before a sync, for what can be rebuilt from the events. As with
    /// [`Durability::Relaxed`](super::Durability::Relaxed), a crash loses the most recent commits, never a part of one.
    pub(crate) fn relaxed(mut self) -> Self {
        self.relaxed = true;
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of all keys and values that were given.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn durability(&self) -> Durability {
        if self.relaxed { Durability::Relaxed } else { Durability::Durable }
    }

    /// Every change, sorted by table and key; `None` removes the row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (SidecarTable, &[u8], Option<&[u8]>)> {
        self.rows.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
    }
}

/// One record. What does not decode is said row by row: a snapshot can be done without, a consumer cannot.
#[derive(Debug)]
pub(crate) struct SidecarRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Result<Vec<u8>>,
}

/// Which records of a table: those whose key begins with a prefix, between two keys.
#[derive(Clone, Debug)]
pub(crate) struct SidecarRange<'a> {
    pub(crate) prefix: &'a [u8],
    /// Only keys after this one, when it is said.
    pub(crate) after: Option<&'a [u8]>,
    /// Only keys up to this one, when it is said.
    pub(crate) to: Option<&'a [u8]>,
    pub(crate) limit: usize,
    pub(crate) reverse: bool,
}

impl<'a> SidecarRange<'a> {
    /// The first rows under a prefix.
    pub(crate) fn under(prefix: &'a [u8], limit: usize) -> Self {
        Self { prefix, after: None, to: None, limit, reverse: false }
    }
}
