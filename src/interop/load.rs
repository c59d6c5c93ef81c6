//! Carrying out a plan: what the store has already is recognised, the rest goes in.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::event::{Address, BranchName, Expect, NewEvent, Place, SessionId};
use crate::store::{Batch, Marks, Store, current_mark};

use super::homes::{Fate, Homes};
use super::{Plan, Skipped, Step};

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
    /// Events of the file that say no time, and have that of the import; 0 when nothing was new.
    pub timeless: usize,
}

/// Appends what a plan holds and the store does not. Doing it again adds nothing; after a crash it goes on where it
/// was. `progress` is told the number of events done.
///
/// The branch that the plan says was written last becomes the [current](Store::current) one of its session when it
/// has something new, or when none was chosen before.
///
/// # Errors
/// Those of [`Store::append`] and [`Store::fork`]. What was appended before stays.
pub fn load(store: &Store, plan: Plan, progress: &mut dyn FnMut(usize)) -> Result<Loaded> {
    let mut loader = Loader {
        store,
        homes: Homes::survey(store, &plan.steps)?,
        current: plan.current.clone(),
        gained: BTreeSet::new(),
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
            Step::Fork { place, .. } if loader.homes.is_stored(&place) => {}
            Step::Fork { place, .. } => {
                loader.begin(&place)?;
            }
        }
    }
    loader.flush()?;
    loader.choose()?;
    let timeless = if loader.loaded.new > 0 { plan.timeless } else { 0 };
    Ok(Loaded { skipped: plan.skipped, notes: plan.notes, timeless, ..loader.loaded })
}

struct Loader<'a> {
    store: &'a Store,
    homes: Homes<'a>,
    /// The line of each session that was written last.
    current: BTreeMap<SessionId, BranchName>,
    /// Sessions where that line has an event that waits.
    gained: BTreeSet<SessionId>,
    waiting: Vec<(Place, Vec<NewEvent>)>,
    events: usize,
    bytes: usize,
    done: usize,
    progress: &'a mut dyn FnMut(usize),
    loaded: Loaded,
}

impl Loader<'_> {
    fn append(&mut self, line: &Place, events: Vec<NewEvent>) -> Result<()> {
        let is_live = self.current.get(&line.session) == Some(&line.branch);
        for event in events {
            self.done += 1;
            let Fate::New(id) = self.homes.next() else {
                self.loaded.duplicates += 1;
                continue;
            };
            let place = self.begin(line)?;
            if is_live {
                self.gained.insert(line.session.clone());
            }
            let event = event.with_id(id);
            self.events += 1;
            self.bytes += event.payload.len();
            match self.waiting.last_mut() {
                Some((last, events)) if *last == place => events.push(event),
                _ => self.waiting.push((place, vec![event])),
            }
            if self.events >= BATCH_EVENTS || self.bytes >= BATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The branch of a line; a new one is made, when what it leaves is in the store.
    fn begin(&mut self, line: &Place) -> Result<Place> {
        if let Some(place) = self.homes.of(line) {
            return Ok(place.clone());
        }
        self.flush()?;
        self.homes.begin(line)
    }

    /// The choice goes with the first events that it is about: after a crash there are both or neither.
    fn flush(&mut self) -> Result<()> {
        if self.events > 0 {
            let mut marks = Marks::new();
            for session in std::mem::take(&mut self.gained) {
                marks.extend(self.choice(&session, true)?);
            }
            let mut batch = Batch::new().marks(marks);
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

    /// What makes the live line of a session its current branch, where it is not. A choice that was made before
    /// stands, unless the line has something `new`.
    fn choice(&self, session: &SessionId, new: bool) -> Result<Marks> {
        let Some(live) = self.current.get(session) else { return Ok(Marks::new()) };
        let line = Place::new(session.clone(), live.clone());
        let Some(place) = self.homes.of(&line) else { return Ok(Marks::new()) };
        let chosen = self.store.reader()?.current(session)?;
        let stands = match &chosen {
            Some(branch) => !new || *branch == place.branch,
            None => place.branch == BranchName::main(),
        };
        Ok(if stands { Marks::new() } else { current_mark(place) })
    }

    fn choose(&self) -> Result<()> {
        let mut marks = Marks::new();
        for session in self.current.keys() {
            marks.extend(self.choice(session, false)?);
        }
        self.store.desk().mark(marks)
    }
}
