//! Which events are stored in old shapes, and what they are read as.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::FORMAT;
use crate::engine::Range;
use crate::error::Result;
use crate::event::{Address, Event};
use crate::limits::DEFAULT_PAGE;
use crate::schema::Upcasts;
use crate::store::handle::store::Store;

/// What a store's format and its event steps change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// The file's format.
    pub format: u32,
    /// The format of this release.
    pub newest_format: u32,
    /// Events that were looked at.
    pub events: u64,
    /// The old shapes among them, by type and version. Events without a step are not in it.
    pub old: Vec<Old>,
}

/// Events that are stored in one old shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Old {
    /// Their type as it is stored.
    pub kind: String,
    /// Their version as it is stored.
    pub version: u32,
    /// How many there are.
    pub events: u64,
    /// What they are read as.
    pub becomes: Vec<Becomes>,
    /// How many cannot be read in their newest shape.
    pub stuck: u64,
    /// The first of those, and why.
    pub first_stuck: Option<(Address, String)>,
}

/// A shape that old events are read in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Becomes {
    /// Its type.
    pub kind: String,
    /// Its version.
    pub version: u32,
    /// How many events have it.
    pub events: u64,
}

#[derive(Default)]
struct Tally {
    events: u64,
    becomes: BTreeMap<(Arc<str>, u32), u64>,
    stuck: u64,
    first_stuck: Option<(Address, String)>,
}

impl Survey {
    /// Events that are stored in an old shape.
    #[must_use]
    pub fn old_events(&self) -> u64 {
        self.old.iter().map(|o| o.events).sum()
    }

    /// Events that cannot be read in their newest shape.
    #[must_use]
    pub fn stuck_events(&self) -> u64 {
        self.old.iter().map(|o| o.stuck).sum()
    }
}

pub(super) fn survey(store: &Store, mut progress: impl FnMut(u64, u64)) -> Result<Survey> {
    let reader = store.reader()?;
    let total = store.committed().get();
    let mut tallies: BTreeMap<(String, u32), Tally> = BTreeMap::new();
    let mut events = 0;
    // Without steps nothing is old, whatever is stored.
    if let Some(upcasts) = reader.upcasts() {
        let mut from = 1;
        while from <= total {
            let range = Range { from, to: total, limit: DEFAULT_PAGE, reverse: false };
            let page = reader.page_all(range)?;
            let Some(last) = page.last() else { break };
            from = last.position().get() + 1;
            events += page.len() as u64;
            page.iter().for_each(|event| look(event, upcasts, &mut tallies));
            progress(events, total);
        }
    }
    let old = tallies.into_iter().map(|((kind, version), tally)| Old {
        kind,
        version,
        events: tally.events,
        becomes: tally
            .becomes
            .into_iter()
            .map(|((kind, version), events)| Becomes { kind: kind.to_string(), version, events })
            .collect(),
        stuck: tally.stuck,
        first_stuck: tally.first_stuck,
    });
    Ok(Survey { format: reader.identity().format, newest_format: FORMAT, events: total, old: old.collect() })
}
fn look(event: &Event, upcasts: &Upcasts, tallies: &mut BTreeMap<(String, u32), Tally>) {
    if !upcasts.touches(event.kind(), event.version()) {
        return;
    }
    let tally = tallies.entry((event.kind().to_owned(), event.version())).or_default();
    tally.events += 1;
    match upcasts.apply(event.kind(), event.version(), event.payload(), event.is_json()) {
        Ok(shaped) => {
            let shape = shaped.map_or((event.kind().into(), event.version()), |s| (s.kind, s.version));
            *tally.becomes.entry(shape).or_default() += 1;
        }
        Err(stuck) => {
            tally.stuck += 1;
            let why = || {
                (event.address(), format!("as {} version {}: {}", stuck.kind, stuck.version, stuck.reason))
            };
            tally.first_stuck.get_or_insert_with(why);
        }
    }
}
