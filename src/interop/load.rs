//! Carrying out a plan: what the store has already is recognised, the rest goes in.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::{Address, Event, EventId, Expect, NewEvent, Place};
use crate::limits::MAX_IMPORT_LOOSE_BYTES;
use crate::store::{Batch, Store};

use super::imports::{self, Changed, Done};
use super::{Plan, Skipped, Step, source, variant};

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
    /// What else is worth knowing of the file.
    pub notes: Vec<String>,
    /// The number of this import; none when the file is as it was the last time.
    pub import: Option<u64>,
    /// It was stopped: how many events the file has. Those that were appended are `new` and `duplicates`.
    pub stopped: Option<usize>,
    /// How the file has changed since it was imported the last time.
    pub changed: Option<Changed>,
}

/// Appends what a plan holds and the store does not. Doing it again adds nothing; after a crash it goes on where it
/// was. `progress` is told the number of events done.
///
/// # Errors
/// Those of [`Store::append`] and [`Store::fork`]. What was appended before stays.
pub fn load(store: &Store, plan: Plan, progress: &mut dyn FnMut(usize)) -> Result<Loaded> {
    let bytes = plan.origin.bytes.clone().unwrap_or_default();
    let read = |range: Range<usize>| match bytes.get(range.clone()) {
        Some(_) => bytes.slice(range),
        None => Bytes::new(),
    };
    let mut go_on = |done| {
        progress(done);
        ControlFlow::Continue(())
    };
    load_from(store, plan, (bytes.len(), &read), &mut go_on)
}

/// [`load`] of a plan whose file is elsewhere: so many bytes, read like this. `progress` says whether to go on; where it
/// does not, what was appended stays, and importing the file again goes on from there.
pub(crate) fn load_from(
    store: &Store,
    plan: Plan,
    (bytes, read): (usize, &dyn Fn(Range<usize>) -> Bytes),
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Loaded> {
    let total = plan.events();
    let sessions: BTreeSet<String> = plan.places().iter().map(|p| p.session.to_string()).collect();
    let sessions = sessions.into_iter().collect();
    let mut loader = Loader {
        store,
        moved: HashMap::new(),
        otherwise: HashSet::new(),
        waiting: Vec::new(),
        events: 0,
        bytes: 0,
        done: 0,
        progress,
        stopped: false,
        loaded: Loaded {
            records: plan.records,
            duplicates: plan.duplicates,
            branches: plan.places().len(),
            ..Loaded::default()
        },
    };
    for step in plan.steps {
        if loader.stopped {
            break;
        }
        match step {
            Step::Append { place, events } => loader.append(&place, events)?,
            Step::Fork { place, parent, at } => loader.fork(place, parent, at)?,
        }
    }
    loader.flush()?;
    if loader.stopped && loader.done < total {
        return Ok(Loaded { stopped: Some(total), ..loader.loaded });
    }
    let (moved, otherwise) = (loader.moved, loader.otherwise);
    let mut loaded = Loaded { skipped: plan.skipped, notes: plan.notes, ..loader.loaded };
    let mut origin = plan.origin;
    if !moved.is_empty() || !otherwise.is_empty() {
        let name = |id| (!otherwise.contains(&id)).then(|| moved.get(&id).copied().unwrap_or(id));
        origin.layout.rename(name);
    }
    let loose = origin.layout.loose_bytes();
    if loose > MAX_IMPORT_LOOSE_BYTES {
        let what = format!(
            "{loose} bytes are in no event, too many to keep: the file cannot be given back as it is"
        );
        loaded.notes.push(what);
    }
    let done = Done { origin: &origin, format: plan.format, sessions, records: plan.records, bytes };
    if let Some((number, changed)) = imports::note(store, &done, read)? {
        (loaded.import, loaded.changed) = (Some(number), changed);
    }
    Ok(loaded)
}

struct Loader<'a> {
    store: &'a Store,
    /// Events that went in under another id, because theirs was taken by other content.
    moved: HashMap<EventId, EventId>,
    /// Events that the store has with the same payload, in a record that was written otherwise.
    otherwise: HashSet<EventId>,
    waiting: Vec<(Place, Vec<NewEvent>)>,
    events: usize,
    bytes: usize,
    done: usize,
    progress: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
    stopped: bool,
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
            if self.stopped {
                break;
            }
        }
        Ok(())
    }

    /// The event under the id that it will have; `None` when the store has it.
    fn fresh(&mut self, event: NewEvent) -> Result<Option<NewEvent>> {
        let id = event.id;
        let Some(found) = self.recorded(id)? else { return Ok(Some(event)) };
        if found.payload() == event.payload {
            if !source::is_one_record(&found, &event) {
                self.otherwise.insert(id);
            }
            return Ok(None);
        }
        let other = variant(id, &event.payload);
        self.moved.insert(id, other);
        match self.recorded(other)? {
            None => Ok(Some(event.with_id(other))),
            Some(found) => {
                if !source::is_one_record(&found, &event) {
                    self.otherwise.insert(id);
                }
                Ok(None)
            }
        }
    }

    /// The event as it was appended.
    fn recorded(&self, id: EventId) -> Result<Option<Event>> {
        match self.store.get_raw(id) {
            Ok(event) => Ok(Some(event)),
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
        self.stopped |= (self.progress)(self.done).is_break();
        Ok(())
    }
}
