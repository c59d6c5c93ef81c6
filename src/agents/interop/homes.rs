//! Finds the branches for a plan's lines of history in a store that may already have a part of them.
//!
//! A file that has grown can have another live line than before, so that its branches have other names. What is
//! stored stays where it is: a line continues where the last of its events is, if that branch belongs to it. If
//! another line of the file continues there, it forks from that branch after this event, under a new name.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::{Address, BranchName, Event, EventId, MAIN, NewEvent, Place, Sequence};
use crate::limits::MAX_FORK_DEPTH;
use crate::store::{Query, Store};

use super::entries::{Entry, Item};
use super::layout::Layout;
use super::live::{is_unnamed, names_of};
use super::sketch::{Sketch, lost};
use super::spool::Planned;
use super::{source, variant};

/// What to do with an event of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The store has it already.
    Recorded,
    /// It is appended under this id.
    New(EventId),
}

/// Where a line of history begins that has no branch yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It is a branch of its own.
    Own,
    /// After this event of a stored branch.
    After(Address),
    /// On the branch of this line, after this event of the plan, or after nothing.
    Fork(Place, Option<EventId>),
    /// Only the store knows, when everything before it is there.
    Unknown,
}

#[cfg(test)]
thread_local! {
    /// Commits that imports of this thread have made, other than the note at the end.
    pub(super) static COMMITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

pub(super) fn count_commit() {
    #[cfg(test)]
    COMMITS.set(COMMITS.get() + 1);
}

/// The lines of history of one plan.
pub(super) struct Homes<'a> {
    store: &'a Store,
    /// Whether the store has it, for each remaining event of the plan, in order.
    recorded: VecDeque<bool>,
    /// Events that are recorded under another id, because theirs was taken by other content.
    moved: HashMap<EventId, EventId>,
    /// Events that are recorded with the same payload, from a record that was written differently.
    otherwise: HashSet<EventId>,
    /// The last event of each line that the store has.
    stored: HashMap<Place, Address>,
    /// The line that continues at the end of a stored branch.
    owners: HashMap<Place, Place>,
    /// Possible names of a line that needs a branch of its own.
    names: HashMap<Place, Vec<BranchName>>,
    forks: HashMap<Place, (Place, Option<EventId>)>,
    /// The events after which lines fork and which the file itself does not have.
    elsewhere: HashSet<EventId>,
    /// Whether the file goes on from what other files have.
    is_part: bool,
    /// The branches chosen so far.
    homes: HashMap<Place, Place>,
    /// Notes about branches whose beginning was not found.
    notes: Vec<String>,
}

impl<'a> Homes<'a> {
    /// Looks up every event.
    pub(super) fn survey(
        store: &'a Store,
        sketch: &Sketch,
        read: &dyn Fn(Range<usize>) -> Bytes,
    ) -> Result<Self> {
        let mut homes = Self {
            store,
            recorded: VecDeque::new(),
            moved: HashMap::new(),
            otherwise: HashSet::new(),
            stored: HashMap::new(),
            owners: HashMap::new(),
            names: HashMap::new(),
            forks: HashMap::new(),
            elsewhere: HashSet::new(),
            is_part: sketch.plan.origin.is_part,
            homes: HashMap::new(),
            notes: Vec::new(),
        };
        for entry in sketch.entries.iter() {
            if let Item::Fork { at: Some(at), .. } = entry.map_err(|e| lost(&e))?.item {
                homes.elsewhere.insert(at);
            }
        }
        for entry in sketch.entries.iter() {
            let Entry { place, item, .. } = entry.map_err(|e| lost(&e))?;
            let place = sketch.entries.place(place).map_err(|e| lost(&e))?;
            match item {
                Item::Event(planned) => {
                    homes.elsewhere.remove(&planned.id());
                    homes.look_up(place, &planned, &|| sketch.event(&planned, read))?;
                }
                Item::Fork { parent, at } => {
                    let parent = sketch.entries.place(parent).map_err(|e| lost(&e))?;
                    homes.forks.entry(place.clone()).or_insert_with(|| (parent.clone(), at));
                }
            }
        }
        let mut last: HashMap<Place, (Sequence, Place)> = HashMap::new();
        for (line, address) in &homes.stored {
            let (Some(sequence), place) = (address.sequence(), address.place()) else { continue };
            let best = last.entry(place.clone()).or_insert_with(|| (sequence, line.clone()));
            if sequence > best.0 {
                *best = (sequence, line.clone());
            }
        }
        homes.owners = last.into_iter().map(|(branch, (_, line))| (branch, line)).collect();
        Ok(homes)
    }

    fn look_up(
        &mut self,
        line: &Place,
        planned: &Planned,
        load: &dyn Fn() -> Result<NewEvent>,
    ) -> Result<()> {
        let mut found = self.stored(planned.id())?;
        if found.is_none() {
            if !self.names.contains_key(line) {
                self.names.insert(line.clone(), names_of(&load()?).collect());
            }
            self.recorded.push_back(false);
            return Ok(());
        }
        let event = &load()?;
        if found.as_ref().is_some_and(|f| f.record().payload() != event.payload) {
            let id = variant(event.id, &event.payload);
            self.moved.insert(event.id, id);
            found = self.stored(id)?;
        }
        let Some(found) = found else {
            self.names.entry(line.clone()).or_insert_with(|| names_of(event).collect());
            self.recorded.push_back(false);
            return Ok(());
        };
        self.recorded.push_back(true);
        if !source::is_one_record(&found, event) {
            self.otherwise.insert(event.id);
        }
        if *found.session() == line.session {
            self.stored.insert(line.clone(), found.address());
        }
        Ok(())
    }

    fn stored(&self, id: EventId) -> Result<Option<Event>> {
        match self.store.get_raw(id) {
            Ok(event) => Ok(Some(event)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Names the events of a file as they are named in the store.
    pub(super) fn rename(&self, layout: &mut Layout) -> io::Result<()> {
        if !self.moved.is_empty() || !self.otherwise.is_empty() {
            let name = |id| (!self.otherwise.contains(&id)).then(|| self.named(id));
            *layout = layout.renamed(name)?;
        }
        Ok(())
    }

    pub(super) fn named(&self, id: EventId) -> EventId {
        self.moved.get(&id).copied().unwrap_or(id)
    }

    /// The fate of the plan's next event, which has this id.
    pub(super) fn next(&mut self, id: EventId) -> Fate {
        match self.recorded.pop_front() {
            Some(false) => Fate::New(self.named(id)),
            Some(true) | None => Fate::Recorded,
        }
    }

    /// What is worth knowing about the new branches.
    pub(super) fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Whether the store has events of a line. It then needs no branch until there are more of them.
    pub(super) fn is_stored(&self, line: &Place) -> bool {
        self.stored.contains_key(line)
    }

    /// The branch of a line, if the store has it.
    pub(super) fn of(&self, line: &Place) -> Option<&Place> {
        self.homes
            .get(line)
            .or_else(|| self.stored.get(line).map(Address::place).filter(|b| self.owns(line, b)))
    }

    pub(super) fn owns(&self, line: &Place, branch: &Place) -> bool {
        self.owners.get(branch).is_none_or(|owner| owner == line)
    }

    /// Where a line begins, as far as the file and what it already has in the store say.
    pub(super) fn beginning(&self, line: &Place) -> Beginning {
        if self.is_part {
            return Beginning::Unknown;
        }
        match (self.stored.get(line), self.forks.get(line)) {
            (Some(last), _) => Beginning::After(last.clone()),
            (None, Some((_, Some(at)))) if self.elsewhere.contains(at) => Beginning::Unknown,
            (None, Some((parent, at))) => Beginning::Fork(parent.clone(), *at),
            (None, None) if self.owns(line, line) => Beginning::Own,
            (None, None) => Beginning::After(Address::from(line.clone()).at(0)),
        }
    }

    /// The names that the branch of a line may have, the best first.
    pub(super) fn candidates<'s>(&'s self, line: &'s Place) -> impl Iterator<Item = Place> + 's {
        let own = Some(&line.branch).filter(|name| name.as_str() != MAIN);
        let names = own.into_iter().chain(self.names.get(line).into_iter().flatten());
        let places = names.map(move |name| Place::new(line.session.clone(), name.clone()));
        places.filter(move |place| self.owns(line, place))
    }

    /// Notes the branches that lines have got.
    pub(super) fn settle(&mut self, branches: impl IntoIterator<Item = (Place, Place)>) {
        self.homes.extend(branches);
    }

    /// Makes sure that a line has a branch to append to. What it forks from must be in the store.
    pub(super) fn begin(&mut self, line: &Place) -> Result<Place> {
        if let Some(branch) = self.of(line) {
            return Ok(branch.clone());
        }
        let branch = match (self.stored.get(line), self.forks.get(line)) {
            (Some(last), _) => {
                let last = last.clone();
                self.fork_or_begin(line, last)?
            }
            (None, Some((parent, Some(at)))) => match self.at(parent, *at) {
                // What another file ended with goes on.
                Ok(address) if self.elsewhere.contains(at) && self.is_end(&address)? => {
                    address.place().clone()
                }
                Ok(at) => self.fork_or_begin(line, at)?,
                Err(Error::NotFound { .. }) if self.is_part => self.latest(line)?,
                Err(Error::NotFound { .. }) => {
                    let what = "begins with its own events: the event after which it leaves";
                    let note =
                        format!("branch {line} {what} {parent}, {at}, is in neither the file nor the store");
                    let main = Place::new(line.session.clone(), BranchName::main());
                    let branch = self.fork(line, Address::from(main).at(0))?;
                    self.notes.push(note);
                    branch
                }
                Err(e) => return Err(e),
            },
            (None, Some((parent, None))) if self.is_part && self.is_absent(parent)? => parent.clone(),
            (None, Some((parent, None))) => {
                let parent = self.of(parent).unwrap_or(parent).clone();
                self.fork(line, Address::from(parent).at(0))?
            }
            (None, None) if self.owns(line, line) => line.clone(),
            (None, None) => self.fork(line, Address::from(line.clone()).at(0))?,
        };
        self.homes.insert(line.clone(), branch.clone());
        Ok(branch)
    }

    /// Where a line forks from its parent after this event: on the parent itself, even if it inherited the event.
    fn at(&self, parent: &Place, event: EventId) -> Result<Address> {
        let id = self.named(event);
        let address = self.store.get_raw(id)?.address();
        let Some(sequence) = address.sequence() else { return Ok(address) };
        let parent = self.of(parent).unwrap_or(parent);
        Ok(match self.has(parent, sequence, id)? {
            true => Address::from(parent.clone()).at(sequence),
            false => address,
        })
    }

    /// Whether a branch in the store has this event, of its own or inherited.
    pub(super) fn has(&self, branch: &Place, sequence: Sequence, id: EventId) -> Result<bool> {
        let query = Query::branch(Address::from(branch.clone()))?.raw().from(sequence).to(sequence);
        match self.store.events(query).and_then(|mut events| events.next().transpose()) {
            Ok(found) => Ok(found.is_some_and(|found| found.id() == id)),
            Err(Error::NotFound { .. } | Error::Deleted { .. } | Error::Truncated { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Where the file before this one ended, as far as is known.
    fn latest(&mut self, line: &Place) -> Result<Place> {
        let current = self.store.reader()?.current(&line.session)?;
        let place = Place::new(line.session.clone(), current.unwrap_or_else(BranchName::main));
        self.notes.push(format!(
            "its first event follows one that is in neither the file nor the store; it was added to the end of {place}"
        ));
        Ok(place)
    }

    fn is_absent(&self, place: &Place) -> Result<bool> {
        match self.store.head(place.clone()) {
            Ok(_) => Ok(false),
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn is_end(&self, address: &Address) -> Result<bool> {
        let head = self.store.head(address.place().clone())?;
        Ok(address.sequence() == Some(head))
    }

    /// Forks; where branches are nested as deeply as they can be, the new one begins with its own events.
    fn fork_or_begin(&mut self, line: &Place, at: Address) -> Result<Place> {
        match self.fork(line, at.clone()) {
            Err(Error::Invalid(e)) if e.field == "branch" && *at.session() == line.session => {
                let what = "begins with its own events: its branches are nested more than";
                self.notes.push(format!("branch {line} {what} {MAX_FORK_DEPTH} deep"));
                let main = Place::new(line.session.clone(), BranchName::main());
                self.fork(line, Address::from(main).at(0))
            }
            forked => forked,
        }
    }

    /// A branch from an earlier import of the same file is continued. Under a name of ours that can be another one, whose
    /// first event has an id that begins alike, unless it is still empty.
    fn fork(&self, line: &Place, at: Address) -> Result<Place> {
        let mut taken = None;
        for place in self.candidates(line) {
            count_commit();
            match self.store.fork(at.clone(), place.branch.as_str()) {
                Ok(_) => return Ok(place),
                Err(Error::Exists { .. })
                    if place == *line && !is_unnamed(&place.branch) || self.is_begun(&place, &at)? =>
                {
                    return Ok(place);
                }
                Err(e @ Error::Exists { .. }) => taken = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(taken.unwrap_or_else(|| Error::Exists { what: "branch", name: line.to_string() }))
    }

    /// Whether an import that was interrupted created this branch.
    fn is_begun(&self, place: &Place, at: &Address) -> Result<bool> {
        let info = self.store.branch(place.clone())?;
        let from = at.sequence().map(|sequence| (at.branch().clone(), sequence));
        Ok(info.events == 0 && info.parent == from)
    }
}
