//! Executes a plan: what the store already has is recognised, the rest is appended.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use crate::error::Result;
use crate::event::{Address, BranchName, EventId, Expect, NewEvent, Place, SessionId};
use crate::limits::MAX_IMPORT_LOOSE_BYTES;
use crate::store::{Batch, SidecarWrites, Store, current_record};

use super::entries::Item;
use super::homes::{Fate, Homes};
use super::imports::{self, Changed, Done};
use super::sketch::{Sketch, lost};
use super::{Plan, Skipped};

/// The number of events in one append; a larger file takes several.
const BATCH_EVENTS: usize = 2_000;
/// The number of payload bytes after which an append is made.
const BATCH_BYTES: usize = 8 << 20;

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Records in the file, including broken and repeated ones.
    pub records: usize,
    /// Events that were appended.
    pub new: usize,
    /// Records that the store, or the file itself, already had.
    pub duplicates: usize,
    /// Branches that the file's events are on.
    pub branches: usize,
    /// Records that were skipped, and why.
    pub skipped: Vec<Skipped>,
    /// What else is worth knowing about the file.
    pub notes: Vec<String>,
    /// Events of the file that have no time of their own, and got that of the import; 0 when nothing was new.
    pub timeless: usize,
    /// The number of this import; `None` when the file has not changed since the last one.
    pub import: Option<u64>,
    /// The number of events in the file, if the import was stopped. Those that were appended are `new` and
    /// `duplicates`.
    pub stopped: Option<usize>,
    /// How the file has changed since its last import.
    pub changed: Option<Changed>,
}

/// Appends what a plan holds and the store does not. Repeating it adds nothing; after a crash it continues where it
/// was. `progress` is called with the number of events done.
///
/// The branch that the plan says was written last becomes the [current](Store::current) one of its session if it has
/// something new, or if none was chosen before.
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
    load_from(store, Sketch::of(plan).map_err(|e| lost(&e))?, (bytes.len(), &read), &mut go_on)
}

/// [`load`] of a plan whose file is elsewhere, with its size and how to read it. `progress` decides whether to
/// continue; after a stop, what was appended stays, and importing the file again continues from there.
pub(crate) fn load_from(
    store: &Store,
    sketch: Sketch,
    (bytes, read): (usize, &dyn Fn(Range<usize>) -> Bytes),
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Loaded> {
    let total = sketch.events();
    let places = sketch.places();
    let (branches, homes) = (places.len(), Homes::survey(store, &sketch, read)?);
    let sessions: BTreeSet<String> = places.iter().map(|p| p.session.to_string()).collect();
    let sessions = sessions.into_iter().collect();
    let Sketch { plan, entries, spool } = sketch;
    let mut loader = Loader {
        store,
        homes,
        current: plan.current.clone(),
        gained: BTreeSet::new(),
        waiting: Vec::new(),
        events: 0,
        bytes: 0,
        done: 0,
        progress,
        stopped: false,
        loaded: Loaded { records: plan.records, duplicates: plan.duplicates, branches, ..Loaded::default() },
    };
    for entry in entries.iter() {
        let entry = entry.map_err(|e| lost(&e))?;
        let place = entries.place(entry.place).map_err(|e| lost(&e))?;
        match entry.item {
            Item::Event(planned) => {
                let load = || spool.event(&planned, read).map_err(|e| lost(&e));
                loader.append(place, planned.id(), load)?;
            }
            Item::Fork { .. } if loader.homes.is_stored(place) => {}
            Item::Fork { .. } => {
                loader.begin(place)?;
            }
        }
        if loader.stopped {
            break;
        }
    }
    loader.flush()?;
    if loader.stopped && loader.done < total {
        return Ok(Loaded { stopped: Some(total), ..loader.loaded });
    }
    loader.choose()?;
    let timeless = if loader.loaded.new > 0 { plan.timeless } else { 0 };
    let mut loaded = Loaded { skipped: plan.skipped, notes: plan.notes, timeless, ..loader.loaded };
    loaded.notes.extend(loader.homes.notes());
    let mut origin = plan.origin;
    loader.homes.rename(&mut origin.layout).map_err(|e| lost(&e))?;
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
    homes: Homes<'a>,
    /// The line of each session that was written last.
    current: BTreeMap<SessionId, BranchName>,
    /// Sessions where that line has an event waiting to be appended.
    gained: BTreeSet<SessionId>,
    waiting: Vec<(Place, Vec<NewEvent>)>,
    events: usize,
    bytes: usize,
    done: usize,
    progress: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
    stopped: bool,
    loaded: Loaded,
}

impl Loader<'_> {
    fn append(&mut self, line: &Place, id: EventId, load: impl FnOnce() -> Result<NewEvent>) -> Result<()> {
        self.done += 1;
        let Fate::New(id) = self.homes.next(id) else {
            self.loaded.duplicates += 1;
            if self.done.is_multiple_of(BATCH_EVENTS) {
                self.report_progress();
            }
            return Ok(());
        };
        let place = self.begin(line)?;
        if self.current.get(&line.session) == Some(&line.branch) && !self.gained.contains(&line.session) {
            self.gained.insert(line.session.clone());
        }
        let event = load()?.with_id(id);
        self.events += 1;
        self.bytes += event.payload.len();
        match self.waiting.last_mut() {
            Some((last, events)) if *last == place => events.push(event),
            _ => self.waiting.push((place, vec![event])),
        }
        if self.events >= BATCH_EVENTS || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn report_progress(&mut self) {
        self.stopped |= (self.progress)(self.done).is_break();
    }

    /// The branch of a line. A new one is created, when what it forks from is in the store.
    fn begin(&mut self, line: &Place) -> Result<Place> {
        if let Some(place) = self.homes.of(line) {
            return Ok(place.clone());
        }
        self.flush()?;
        self.homes.begin(line)
    }

    /// The choice is written with the first events that it is about, so that a crash leaves both or neither.
    fn flush(&mut self) -> Result<()> {
        if self.events > 0 {
            let mut records = SidecarWrites::new();
            for session in std::mem::take(&mut self.gained) {
                records.extend(self.choice(&session, true)?);
            }
            let mut batch = Batch::new().records(records);
            for (place, events) in std::mem::take(&mut self.waiting) {
                batch = batch.add(Address::from(place), Expect::Any, events)?;
            }
            self.store.append_batch(batch)?;
            self.loaded.new += self.events;
            (self.events, self.bytes) = (0, 0);
        }
        self.report_progress();
        Ok(())
    }

    /// What makes the live line of a session its current branch, if it is not. An earlier choice stands, unless the
    /// line has something `new`.
    fn choice(&self, session: &SessionId, new: bool) -> Result<SidecarWrites> {
        let Some(live) = self.current.get(session) else { return Ok(SidecarWrites::new()) };
        let line = Place::new(session.clone(), live.clone());
        let Some(place) = self.homes.of(&line) else { return Ok(SidecarWrites::new()) };
        let reader = self.store.reader()?;
        let chosen = reader.current(session)?;
        let stands = match &chosen {
            Some(branch) => !new || *branch == place.branch,
            None => place.branch == BranchName::main(),
        };
        if stands { Ok(SidecarWrites::new()) } else { current_record(&reader, place) }
    }

    fn choose(&self) -> Result<()> {
        let mut records = SidecarWrites::new();
        for session in self.current.keys() {
            records.extend(self.choice(session, false)?);
        }
        self.store.handle().write_records(records)
    }
}
