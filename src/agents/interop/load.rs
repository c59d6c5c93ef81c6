//! Executes a plan: what the store already has is recognised, the rest is appended.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::{Address, BranchName, EventId, Expect, NewEvent, Place, SessionId};
use crate::limits::{MAX_BATCH_FORKS, MAX_IMPORT_LOOSE_BYTES};
use crate::store::{Batch, Receipt, SidecarWrites, Store, current_record};

use super::ahead::{Ahead, Step, ahead};
use super::entries::Item;
use super::homes::{Fate, Homes, count_commit};
use super::imports::{self, Changed, Done};
use super::sketch::{Sketch, lost};
use super::{Plan, Skipped};

/// The number of steps of the plan in one commit, however many branches and sessions they are about; a larger file takes
/// several.
pub(super) const BATCH_STEPS: usize = 2_000;
const _: () = assert!(BATCH_STEPS <= MAX_BATCH_FORKS);
/// The number of payload bytes after which a commit is made.
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
        waiting: Vec::new(),
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
            Item::Fork { .. } => loader.wait(Step::Begin(place.clone()))?,
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
    /// Steps that are not taken yet, and the bytes of their payloads.
    waiting: Vec<Step>,
    bytes: usize,
    done: usize,
    progress: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
    stopped: bool,
    loaded: Loaded,
}

/// Events for branches that exist.
type Parts = Vec<(Place, Vec<NewEvent>)>;

impl Loader<'_> {
    fn append(&mut self, line: &Place, id: EventId, load: impl FnOnce() -> Result<NewEvent>) -> Result<()> {
        self.done += 1;
        let Fate::New(id) = self.homes.next(id) else {
            self.loaded.duplicates += 1;
            if self.done.is_multiple_of(BATCH_STEPS) {
                self.report_progress();
            }
            return Ok(());
        };
        let event = load()?.with_id(id);
        self.bytes += event.payload.len();
        self.wait(Step::Append(line.clone(), Box::new(event)))
    }

    fn wait(&mut self, step: Step) -> Result<()> {
        self.waiting.push(step);
        if self.waiting.len() >= BATCH_STEPS || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn report_progress(&mut self) {
        self.stopped |= (self.progress)(self.done).is_break();
    }

    /// Takes the steps that wait: in one commit, if it can be said what becomes of them.
    fn flush(&mut self) -> Result<()> {
        let steps = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if !steps.is_empty() && !self.at_once(&steps)? {
            self.one_by_one(steps)?;
        }
        self.report_progress();
        Ok(())
    }

    /// Whether one commit did it. If not, nothing has changed.
    fn at_once(&mut self, steps: &[Step]) -> Result<bool> {
        let Some(Ahead { batch, branches }) = ahead(self.store, &self.homes, steps)? else {
            return Ok(false);
        };
        let lines = steps.iter().filter_map(|step| match step {
            Step::Append(line, _) => Some(line),
            Step::Begin(_) => None,
        });
        let records = self.choices(lines, &branches)?;
        count_commit();
        let receipt = match self.store.append_batch(batch.records(records)) {
            Ok(receipt) => receipt,
            // Somebody else has written there; or the owner of the store is of an earlier release.
            Err(e) if e.is_refusal() || matches!(e, Error::Storage { .. }) => return Ok(false),
            Err(e) => return Err(e),
        };
        // Somebody else has recorded the same events, which does not say that the branches have begun.
        if receipt.duplicate() && !branches.is_empty() {
            return Ok(false);
        }
        self.homes.settle(branches);
        self.count(&receipt, steps.iter().filter(|step| matches!(step, Step::Append(..))).count());
        Ok(true)
    }

    /// Counts the events of an append.
    fn count(&mut self, receipt: &Receipt, events: usize) {
        match receipt.duplicate() {
            true => self.loaded.duplicates += events,
            false => self.loaded.new += events,
        }
    }

    /// A new branch is created when what it forks from is in the store.
    fn one_by_one(&mut self, steps: Vec<Step>) -> Result<()> {
        let (mut parts, mut lines) = (Parts::new(), BTreeSet::new());
        for step in steps {
            let (Step::Begin(line) | Step::Append(line, _)) = &step;
            let branch = match self.homes.of(line) {
                Some(branch) => branch.clone(),
                None => {
                    self.write(std::mem::take(&mut parts), std::mem::take(&mut lines))?;
                    self.homes.begin(line)?
                }
            };
            let Step::Append(line, event) = step else { continue };
            let event = *event;
            lines.insert(line);
            match parts.last_mut() {
                Some((last, events)) if *last == branch => events.push(event),
                _ => parts.push((branch, vec![event])),
            }
        }
        self.write(parts, lines)
    }

    fn write(&mut self, parts: Parts, lines: BTreeSet<Place>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new().records(self.choices(lines.iter(), &HashMap::new())?);
        let mut events_in_it = 0;
        for (place, events) in parts {
            events_in_it += events.len();
            batch = batch.add(Address::from(place), Expect::Any, events)?;
        }
        count_commit();
        let receipt = self.store.append_batch(batch)?;
        self.count(&receipt, events_in_it);
        Ok(())
    }

    /// The choices that go with events of these lines. They are written with the first events that they are about, so that
    /// a crash leaves both or neither. `branches` are those that begin with them.
    fn choices<'l>(
        &self,
        lines: impl Iterator<Item = &'l Place>,
        branches: &HashMap<Place, Place>,
    ) -> Result<SidecarWrites> {
        let is_current = |line: &&Place| self.current.get(&line.session) == Some(&line.branch);
        let current: BTreeSet<&Place> = lines.filter(is_current).collect();
        let mut records = SidecarWrites::new();
        for line in current {
            if let Some(place) = branches.get(line).or_else(|| self.homes.of(line)) {
                records.extend(self.choice(place, true)?);
            }
        }
        Ok(records)
    }

    /// What makes the branch of the live line of a session its current one, if it is not. An earlier choice stands, unless
    /// the line has something `new`.
    fn choice(&self, place: &Place, new: bool) -> Result<SidecarWrites> {
        let reader = self.store.reader()?;
        let chosen = reader.current(&place.session)?;
        let stands = match &chosen {
            Some(branch) => !new || *branch == place.branch,
            None => place.branch == BranchName::main(),
        };
        if stands { Ok(SidecarWrites::new()) } else { current_record(&reader, place) }
    }

    fn choose(&self) -> Result<()> {
        let mut records = SidecarWrites::new();
        for (session, live) in &self.current {
            let line = Place::new(session.clone(), live.clone());
            if let Some(place) = self.homes.of(&line) {
                records.extend(self.choice(place, false)?);
            }
        }
        self.store.handle().write_records(records)
    }
}
