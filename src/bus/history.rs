//! The latest events, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::message::Message;
use crate::error::{Error, Result};
use crate::event::{Filter, PayloadView};
use crate::limits::{DEFAULT_PAGE, HISTORY_BYTES, HISTORY_NAMES};
use crate::store::{Range, StoreHandle};
use crate::sync::{Mutex, lock};

/// Bounded in events and in bytes of their records. A follower adds what is recorded, a moment later; whoever asks adds
/// what a publisher already knows of.
#[derive(Debug)]
pub(super) struct History {
    most: usize,
    kept: Mutex<Kept>,
    /// A publisher was told of everything up to this position.
    published: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Message>,
    bytes: usize,
    by_type: BTreeMap<String, u64>,
    seen: u64,
    /// Every recorded event up to this position was added.
    reached: u64,
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
        Self { most, kept: Mutex::default(), published: AtomicU64::new(0) }
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
        if let Some(position) = message.position() {
            if position <= kept.reached {
                return;
            }
            kept.reached = position;
        }
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

    /// Everything up to this position is not for the history, or is in it.
    pub(super) fn skip(&self, position: u64) {
        let mut kept = lock(&self.kept);
        kept.reached = kept.reached.max(position);
    }

    /// A publisher is told that its event is recorded at this position.
    pub(super) fn published(&self, position: u64) {
        self.published.fetch_max(position, SeqCst);
    }

    /// Adds what publishers were told of and the follower has not brought yet. Usually that is nothing; then nothing is
    /// read.
    pub(super) fn catch_up(&self, handle: &StoreHandle) -> Result<()> {
        if !self.is_kept() {
            return Ok(());
        }
        loop {
            let (reached, published) = (lock(&self.kept).reached, self.published.load(SeqCst));
            if reached >= published {
                return Ok(());
            }
            let reader = handle.reader()?;
            let range = Range { from: reached + 1, to: published, limit: DEFAULT_PAGE, reverse: false };
            let page = reader.page_all(range)?;
            if page.is_empty() {
                self.skip(published);
            }
            // The follower may add the same meanwhile: both go in order, and each event is added once.
            for event in page {
                let position = event.position().get();
                match reader.shaped(event) {
                    Ok(event) => self.add(Message::recorded(event)),
                    Err(Error::Upcast { .. }) => self.skip(position),
                    Err(e) => return Err(e),
                }
            }
        }
    }

    /// The latest events that match the filter, oldest first. Payloads are read when the history is not locked any more.
    pub(super) fn get(&self, filter: &Filter, limit: usize) -> Vec<Message> {
        let may_take =
            |message: &&Message| filter.takes_kind(message.kind()) && filter.takes_envelope(message.record());
        let near = match filter.tests_payloads() {
            true => usize::MAX,
            false => limit,
        };
        let found: Vec<Message> = {
            let kept = lock(&self.kept);
            kept.events.iter().rev().filter(may_take).take(near).cloned().collect()
        };
        let takes = |message: &Message| filter.takes_payload(&PayloadView::of(message.record()));
        let mut found: Vec<Message> = found.into_iter().filter(takes).take(limit).collect();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::encode_record;
    use crate::event::{NewEvent, Place};

    #[test]
    fn the_latest_are_those_whose_payloads_match() {
        let history = History::new(100);
        let place = Arc::new(Place::new("s".try_into().unwrap(), "main".try_into().unwrap()));
        for n in 0..20 {
            let event = NewEvent::new("a.b").data(serde_json::json!({ "odd": n % 2, "n": n }));
            history.add(Message::ephemeral(place.clone(), encode_record(&event, 100).unwrap()));
        }
        let odd = Filter::new().payload("/odd == 1".parse().unwrap());
        let found = history.get(&odd, 3);
        let numbers: Vec<u64> =
            found.iter().map(|m| m.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [15, 17, 19]);
        assert_eq!(history.get(&Filter::new(), 3).len(), 3);
    }
}
