//! Carrying out a plan: what the store has already is recognised, the rest goes in.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::event::{Address, EventId, Expect, NewEvent, Place};
use crate::store::{Batch, Store};

use super::{Plan, Skipped, Step, variant};

/// Events in one append; a file that has more is taken in several.
const BATCH_EVENTS: usize = 2_000;
/// Payload bytes after which an append is sent off.
const BATCH_BYTES: usize = 8 << 20;

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Records in the file, the broken and the repeated ones too.
    pub records: usize,
    /// Events that were appended.
    pub new: usize,
    /// Records that the store, or the file itself, had already.
    pub duplicates: usize,
    /// Branches that the file's events are on.
    pub branches: usize,
    /// Records that were left out, and why.
    pub skipped: Vec<Skipped>,
    /// What was kept, but not such that the whole file can be given back.
    pub notes: Vec<String>,
}

/// Appends what a plan holds and the store does not. Doing it again adds nothing; after a crash it goes on where it
/// was. `progress` is told the number of events done.
///
/// # Errors
/// Those of [`Store::append`] and [`Store::fork`]. What was appended before stays.
pub fn load(store: &Store, plan: Plan, progress: &mut dyn FnMut(usize)) -> Result<Loaded> {
    let mut loader = Loader {
        store,
        moved: HashMap::new(),
        waiting: Vec::new(),
        events: 0,
        bytes: 0,
        done: 0,
        progress,
        loaded: Loaded {
            records: plan.records,
            duplicates: plan.duplicates,
            branches: plan.places().len(),
            ..Loaded::default()
        },
    };
    for step in plan.steps {
        match step {
            Step::Append { place, events } => loader.append(&place, events)?,
            Step::Fork { place, parent, at } => loader.fork(place, parent, at)?,
        }
    }
    loader.flush()?;
    Ok(Loaded { skipped: plan.skipped, notes: plan.notes, ..loader.loaded })
}

struct Loader<'a> {
    store: &'a Store,
    /// Events that went in under another id, because theirs was taken by other content.
    moved: HashMap<EventId, EventId>,
    waiting: Vec<(Place, Vec<NewEvent>)>,
    events: usize,
    bytes: usize,
    done: usize,
    progress: &'a mut dyn FnMut(usize),
    loaded: Loaded,
}

impl Loader<'_> {
    fn append(&mut self, place: &Place, events: Vec<NewEvent>) -> Result<()> {
        for event in events {
            self.done += 1;
            let Some(event) = self.fresh(event)? else {
                self.loaded.duplicates += 1;
                continue;
            };
            self.events += 1;
            self.bytes += event.payload.len();
            match self.waiting.last_mut() {
                Some((last, events)) if last == place => events.push(event),
                _ => self.waiting.push((place.clone(), vec![event])),
            }
            if self.events >= BATCH_EVENTS || self.bytes >= BATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The event under the id that it will have; `None` when the store has it.
    fn fresh(&mut self, event: NewEvent) -> Result<Option<NewEvent>> {
        let id = event.id;
        let Some(found) = self.recorded(id)? else { return Ok(Some(event)) };
        if found == event.payload {
            return Ok(None);
        }
        let other = variant(id, &event.payload);
        self.moved.insert(id, other);
        Ok(self.recorded(other)?.is_none().then(|| event.with_id(other)))
    }

    fn recorded(&self, id: EventId) -> Result<Option<bytes::Bytes>> {
        match self.store.get(id) {
            Ok(event) => Ok(Some(event.payload_bytes())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A branch that is there from an earlier import of the same file is gone on with.
    fn fork(&mut self, place: Place, parent: Place, at: Option<EventId>) -> Result<()> {
        self.flush()?;
        let at = match at {
            None => 0.into(),
            Some(id) => self.store.get(self.moved.get(&id).copied().unwrap_or(id))?.sequence(),
        };
        match self.store.fork(Address::from(parent).at(at), place.branch.as_str()) {
            Ok(_) | Err(Error::Exists { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.events > 0 {
            let mut batch = Batch::new();
            for (place, events) in std::mem::take(&mut self.waiting) {
                batch = batch.add(Address::from(place), Expect::Any, events)?;
            }
            self.store.append_batch(batch)?;
            self.loaded.new += self.events;
            (self.events, self.bytes) = (0, 0);
        }
        (self.progress)(self.done);
        Ok(())
    }
}
