//! The latest events, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::message::Message;
use crate::event::Filter;
use crate::limits::{HISTORY_BYTES, HISTORY_NAMES};
use crate::store::lock;

/// Bounded in events and in bytes of their records.
#[derive(Debug)]
pub(super) struct History {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Message>,
    bytes: usize,
    by_type: BTreeMap<String, u64>,
    seen: u64,
}

/// Statistics of events since the bus was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryCounts {
    /// All events.
    pub seen: u64,
    /// Events in memory.
    pub kept: usize,
    /// Bytes of their records.
    pub bytes: usize,
    /// Events by type. Beyond 1,024 types, others are counted under `…`.
    pub by_type: BTreeMap<String, u64>,
}

impl History {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// Whether events have to be followed at all.
    pub(super) fn is_kept(&self) -> bool {
        self.most > 0
    }

    pub(super) fn add(&self, message: Message) {
        if !self.is_kept() {
            return;
        }
        let mut kept = lock(&self.kept);
        let kept = &mut *kept;
        kept.seen += 1;
        let full = kept.by_type.len() >= HISTORY_NAMES;
        match kept.by_type.get_mut(message.kind()) {
            Some(count) => *count += 1,
            None => *kept.by_type.entry(if full { "…" } else { message.kind() }.to_owned()).or_default() += 1,
        }
        kept.bytes += message.record().encoded().len();
        kept.events.push_back(message);
        while kept.events.len() > self.most || kept.bytes > HISTORY_BYTES {
            let Some(oldest) = kept.events.pop_front() else { break };
            kept.bytes -= oldest.record().encoded().len();
        }
    }

    /// The latest events that match the filter, oldest first.
    pub(super) fn get(&self, filter: &Filter, limit: usize) -> Vec<Message> {
        let takes =
            |message: &&Message| filter.takes_kind(message.kind()) && filter.takes_but_kind(message.record());
        let kept = lock(&self.kept);
        let mut found: Vec<Message> = kept.events.iter().rev().filter(takes).take(limit).cloned().collect();
        found.reverse();
        found
    }

    pub(super) fn counts(&self) -> HistoryCounts {
        let kept = lock(&self.kept);
        HistoryCounts {
            seen: kept.seen,
            kept: kept.events.len(),
            bytes: kept.bytes,
            by_type: kept.by_type.clone(),
        }
    }
}
